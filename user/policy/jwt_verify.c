/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/jwt_verify.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/writer.h"
#include "model/jwt_algorithm.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>

/* Two numbers of 66 bytes, each with a tag, a length and a zero before it, and the head of the sequence. */
#define DER_MAX (2 * (66 + 3) + 3)

struct kg_jwt_verifier {
    EVP_MAC_CTX *macs[KG_JWT_HASHES];
    EVP_MD *hashes[KG_JWT_HASHES];
    EVP_MD_CTX *ctx;
};

struct kg_jwt_verifier *kg_jwt_verifier_new(void)
{
    struct kg_jwt_verifier *verifier = kg_calloc(1, sizeof(*verifier));
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    KG_ASSERT(hmac != NULL);
    for (size_t i = 0; i < KG_JWT_HASHES; i++) {
        static const char *const names[KG_JWT_HASHES] = { "SHA256", "SHA384", "SHA512" };
        char name[8];
        OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                OSSL_PARAM_construct_end() };

        memcpy(name, names[i], strlen(names[i]) + 1);
        verifier->hashes[i] = EVP_MD_fetch(NULL, name, NULL);
        verifier->macs[i] = EVP_MAC_CTX_new(hmac);
        KG_ASSERT(verifier->hashes[i] != NULL && verifier->macs[i] != NULL);
        KG_ASSERT(EVP_MAC_CTX_set_params(verifier->macs[i], params) == 1);
    }
    EVP_MAC_free(hmac);
    verifier->ctx = EVP_MD_CTX_new();
    KG_ASSERT(verifier->ctx != NULL);
    return verifier;
}

void kg_jwt_verifier_free(struct kg_jwt_verifier *verifier)
{
    if (!verifier)
        return;
    for (size_t i = 0; i < KG_JWT_HASHES; i++) {
        EVP_MAC_CTX_free(verifier->macs[i]);
        EVP_MD_free(verifier->hashes[i]);
    }
    EVP_MD_CTX_free(verifier->ctx);
    free(verifier);
}

static const unsigned char *bytes_of(struct kg_slice slice)
{
    return (const unsigned char *)slice.ptr;
}

bool kg_jwt_verify_secret(struct kg_jwt_verifier *verifier, const struct kg_jwt_algorithm *algorithm,
                          struct kg_slice secret, struct kg_slice signed_part, struct kg_slice signature)
{
    EVP_MAC_CTX *mac = verifier->macs[algorithm->hash];
    unsigned char expected[EVP_MAX_MD_SIZE];
    size_t len = 0;

    KG_ASSERT(secret.len > 0);
    KG_ASSERT(EVP_MAC_init(mac, bytes_of(secret), secret.len, NULL) == 1);
    KG_ASSERT(EVP_MAC_update(mac, bytes_of(signed_part), signed_part.len) == 1);
    KG_ASSERT(EVP_MAC_final(mac, expected, &len, sizeof(expected)) == 1);
    return signature.len == len && CRYPTO_memcmp(signature.ptr, expected, len) == 0;
}

/* An INTEGER of DER (X.690, 8.3): no more bytes than there must be, and none that makes it negative. */
static void put_number(struct kg_writer *w, struct kg_slice number)
{
    while (number.len > 1 && number.ptr[0] == '\0') {
        number.ptr++;
        number.len--;
    }
    bool zero = (unsigned char)number.ptr[0] & 0x80;
    kg_put_char(w, 0x02);
    kg_put_char(w, (char)(number.len + zero));
    if (zero)
        kg_put_char(w, '\0');
    kg_put(w, number);
}

/* The two numbers of an ECDSA signature (RFC 7518, 3.4), as OpenSSL wants them: ECDSA-Sig-Value (RFC 3279,
 * 2.2.3). */
static void put_ecdsa(struct kg_writer *w, struct kg_slice signature)
{
    char numbers[DER_MAX];
    struct kg_writer inside = kg_writer_of(numbers, sizeof(numbers));
    size_t half = signature.len / 2;

    put_number(&inside, kg_slice_of(signature.ptr, half));
    put_number(&inside, kg_slice_of(signature.ptr + half, half));
    kg_put_char(w, 0x30);
    if (inside.len > 0x7f)
        kg_put_char(w, (char)0x81);
    kg_put_char(w, (char)inside.len);
    kg_put(w, kg_writer_slice(&inside));
    KG_ASSERT(!inside.overflow && !w->overflow);
}

static bool begin(const struct kg_jwt_verifier *verifier, const struct kg_jwt_algorithm *algorithm,
                  EVP_PKEY *key)
{
    const EVP_MD *hash = algorithm->hash < KG_JWT_HASHES ? verifier->hashes[algorithm->hash] : NULL;
    EVP_PKEY_CTX *ctx = NULL; /* the other one's own */

    if (EVP_DigestVerifyInit(verifier->ctx, &ctx, hash, NULL, key) != 1)
        return false;
    if (algorithm->family != KG_JWT_PSS)
        return true;
    /* RFC 7518, 3.5. The mask is made with the same hash unless it is told otherwise. */
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool kg_jwt_verify_public(struct kg_jwt_verifier *verifier, const struct kg_jwt_algorithm *algorithm,
                          EVP_PKEY *key, struct kg_slice signed_part, struct kg_slice signature)
{
    char der[DER_MAX];
    struct kg_writer w = kg_writer_of(der, sizeof(der));

    if (algorithm->family == KG_JWT_ECDSA) {
        if (signature.len != 2 * algorithm->number)
            return false;
        put_ecdsa(&w, signature);
        signature = kg_writer_slice(&w);
    }
    bool good =
        begin(verifier, algorithm, key) && EVP_DigestVerify(verifier->ctx, bytes_of(signature), signature.len,
                                                            bytes_of(signed_part), signed_part.len) == 1;
    /* The context keeps the key otherwise, and would go on using it. */
    EVP_MD_CTX_reset(verifier->ctx);
    /* What this thread's next TLS record goes wrong with is looked for in the same queue. */
    ERR_clear_error();
    return good;
}
