/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/jwt_verify.h"
#include "base/base64.h"
#include "jwt_vectors.h"
#include "model/jwt_algorithm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#define TEXT "what.is-signed"

static struct kg_jwt_verifier *verifier;

static int set_up(void **state)
{
    verifier = kg_jwt_verifier_new();
    return 0;
}

static int tear_down(void **state)
{
    kg_jwt_verifier_free(verifier);
    return 0;
}

static const struct kg_jwt_algorithm *algorithm_of(const char *name)
{
    const struct kg_jwt_algorithm *algorithm = kg_jwt_algorithm_find(kg_slice_str(name));

    assert_non_null(algorithm);
    return algorithm;
}

/* A signature that a test may spoil. */
struct signature {
    char bytes[1024];
    size_t len;
};

static struct kg_slice slice_of(const struct signature *signature)
{
    return kg_slice_of(signature->bytes, signature->len);
}

static struct signature decode(struct kg_slice text)
{
    struct signature out;
    struct kg_writer w = kg_writer_of(out.bytes, sizeof(out.bytes));

    assert_true(kg_base64url_decode(text, &w));
    out.len = w.len;
    return out;
}

/* ---- known answers ---- */

static bool verify_vector(const struct jwt_vector *vector, struct kg_slice signed_part,
                          struct kg_slice signature)
{
    const struct kg_jwt_algorithm *algorithm = algorithm_of(vector->algorithm);

    if (algorithm->family == KG_JWT_HMAC) {
        struct signature secret = decode(kg_slice_str(vector->key));
        return kg_jwt_verify_secret(verifier, algorithm, slice_of(&secret), signed_part, signature);
    }
    EVP_PKEY *key = kg_jwt_public_key(kg_slice_str(vector->key));
    assert_non_null(key);
    assert_true(kg_jwt_algorithm_suits(algorithm, key));
    bool good = kg_jwt_verify_public(verifier, algorithm, key, signed_part, signature);
    EVP_PKEY_free(key);
    return good;
}

static void the_examples_of_the_standards_are_good_and_no_bit_of_them_may_change(void **state)
{
    for (size_t i = 0; i < sizeof(jwt_vectors) / sizeof(jwt_vectors[0]); i++) {
        const struct jwt_vector *vector = &jwt_vectors[i];
        const char *dot = strrchr(vector->token, '.');
        struct kg_slice signed_part = kg_slice_of(vector->token, (size_t)(dot - vector->token));
        struct signature signature = decode(kg_slice_str(dot + 1));

        if (!verify_vector(vector, signed_part, slice_of(&signature)))
            fail_msg("%s", vector->source);
        signed_part.len--;
        assert_false(verify_vector(vector, signed_part, slice_of(&signature)));
        signed_part.len++;
        for (size_t at = 0; at < signature.len; at += 7) {
            signature.bytes[at] ^= 1;
            assert_false(verify_vector(vector, signed_part, slice_of(&signature)));
            signature.bytes[at] ^= 1;
        }
        for (size_t len = 0; len < signature.len; len += 5)
            assert_false(verify_vector(vector, signed_part, kg_slice_of(signature.bytes, len)));
        signature.len++;
        assert_false(verify_vector(vector, signed_part, slice_of(&signature)));
    }
}

/* ---- what OpenSSL signs otherwise ---- */

static struct signature sign(EVP_PKEY *key, const char *hash, int padding, int salt)
{
    struct signature out = { .len = sizeof(out.bytes) };
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *inner = NULL;

    assert_int_equal(EVP_DigestSignInit_ex(ctx, &inner, hash, NULL, NULL, key, NULL), 1);
    if (padding) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(inner, padding), 1);
        if (padding == RSA_PKCS1_PSS_PADDING)
            assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, salt), 1);
    }
    assert_int_equal(EVP_DigestSign(ctx, (unsigned char *)out.bytes, &out.len, (const unsigned char *)TEXT,
                                    sizeof(TEXT) - 1),
                     1);
    EVP_MD_CTX_free(ctx);
    return out;
}

static bool verify(const char *algorithm, EVP_PKEY *key, struct signature signature)
{
    return kg_jwt_verify_public(verifier, algorithm_of(algorithm), key, KG_SLICE(TEXT), slice_of(&signature));
}

/* The two numbers out of DER, each padded to its size. */
static struct signature raw_of(struct signature der, size_t size)
{
    const unsigned char *at = (const unsigned char *)der.bytes;
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    struct signature out = { .len = 2 * size };

    assert_non_null(numbers);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), (unsigned char *)out.bytes, (int)size), size);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), (unsigned char *)out.bytes + size, (int)size),
                     size);
    ECDSA_SIG_free(numbers);
    return out;
}

static void hmac_of_every_length(void **state)
{
    static const char *const names[] = { "HS256", "HS384", "HS512" };
    const EVP_MD *hashes[] = { EVP_sha256(), EVP_sha384(), EVP_sha512() };
    static const char secret[] =
        "a secret that is longer than the block of any of the hashes, which is up to one "
        "hundred and twenty-eight bytes, so that it is hashed first";

    for (size_t i = 0; i < 3; i++) {
        for (size_t len = 1; len < sizeof(secret); len += 3) {
            struct signature mac;
            unsigned size = 0;

            assert_non_null(HMAC(hashes[i], secret, (int)len, (const unsigned char *)TEXT, sizeof(TEXT) - 1,
                                 (unsigned char *)mac.bytes, &size));
            mac.len = size;
            assert_true(kg_jwt_verify_secret(verifier, algorithm_of(names[i]), kg_slice_of(secret, len),
                                             KG_SLICE(TEXT), slice_of(&mac)));
            assert_false(kg_jwt_verify_secret(verifier, algorithm_of(names[(i + 1) % 3]),
                                              kg_slice_of(secret, len), KG_SLICE(TEXT), slice_of(&mac)));
            assert_false(kg_jwt_verify_secret(verifier, algorithm_of(names[i]), kg_slice_of(secret + 1, len),
                                              KG_SLICE(TEXT), slice_of(&mac)));
        }
    }
}

static void rsa_by_its_padding_its_hash_and_a_salt_as_long_as_that(void **state)
{
    static const char *const hashes[] = { "SHA256", "SHA384", "SHA512" };
    static const int lengths[] = { 32, 48, 64 };
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);

    for (size_t i = 0; i < 3; i++) {
        struct signature plain = sign(key, hashes[i], RSA_PKCS1_PADDING, 0);
        struct signature pss = sign(key, hashes[i], RSA_PKCS1_PSS_PADDING, lengths[i]);

        for (size_t k = 0; k < 3; k++) {
            char rs[8], ps[8];

            snprintf(rs, sizeof(rs), "RS%s", hashes[k] + 3);
            snprintf(ps, sizeof(ps), "PS%s", hashes[k] + 3);
            assert_int_equal(verify(rs, key, plain), i == k);
            assert_int_equal(verify(ps, key, pss), i == k);
            assert_false(verify(rs, key, pss));
            assert_false(verify(ps, key, plain));
        }
    }
    assert_false(verify("PS256", key, sign(key, "SHA256", RSA_PKCS1_PSS_PADDING, 20)));
    assert_false(verify("PS256", key, sign(key, "SHA256", RSA_PKCS1_PSS_PADDING, 0)));
    EVP_PKEY_free(key);
}

static void ecdsa_only_as_two_numbers_of_full_length(void **state)
{
    static const struct {
        const char *algorithm, *curve, *hash;
        size_t size;
    } cases[] = { { "ES256", "P-256", "SHA256", 32 },
                  { "ES384", "P-384", "SHA384", 48 },
                  { "ES512", "P-521", "SHA512", 66 } };

    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", cases[i].curve);

        /* Some of the numbers have their top bit set, some begin with zeros. */
        for (int round = 0; round < 64; round++) {
            struct signature der = sign(key, cases[i].hash, 0, 0);
            struct signature raw = raw_of(der, cases[i].size);

            assert_true(verify(cases[i].algorithm, key, raw));
            assert_false(verify(cases[i].algorithm, key, der));
        }
        struct signature zero = { .len = 2 * cases[i].size };
        assert_false(verify(cases[i].algorithm, key, zero));
        memset(zero.bytes, 0xff, zero.len);
        assert_false(verify(cases[i].algorithm, key, zero));
        EVP_PKEY_free(key);
    }
}

static void eddsa_on_both_curves(void **state)
{
    static const char *const curves[] = { "ED25519", "ED448" };

    for (size_t i = 0; i < 2; i++) {
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, curves[i]);
        struct signature signature = sign(key, NULL, 0, 0);

        assert_true(verify("EdDSA", key, signature));
        signature.bytes[signature.len / 2] ^= 0x10;
        assert_false(verify("EdDSA", key, signature));
        EVP_PKEY_free(key);
    }
}

/* One key after another through the one context, and nothing is left in the thread's queue of errors. */
static void a_signature_is_checked_by_its_own_key(void **state)
{
    EVP_PKEY *one = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
             *two = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    struct signature by_one = raw_of(sign(one, "SHA256", 0, 0), 32),
                     by_two = raw_of(sign(two, "SHA256", 0, 0), 32);

    for (int round = 0; round < 3; round++) {
        assert_true(verify("ES256", one, by_one));
        assert_false(verify("ES256", two, by_one));
        assert_true(verify("ES256", two, by_two));
        assert_false(verify("ES256", one, by_two));
        assert_int_equal(ERR_peek_error(), 0);
    }
    EVP_PKEY_free(one);
    EVP_PKEY_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standards_are_good_and_no_bit_of_them_may_change),
        cmocka_unit_test(hmac_of_every_length),
        cmocka_unit_test(rsa_by_its_padding_its_hash_and_a_salt_as_long_as_that),
        cmocka_unit_test(ecdsa_only_as_two_numbers_of_full_length),
        cmocka_unit_test(eddsa_on_both_curves),
        cmocka_unit_test(a_signature_is_checked_by_its_own_key),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
