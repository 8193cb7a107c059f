/* SPDX-License-Identifier: BSD-2-Clause */
/* JWT credentials as the model keeps them and snapshots show them. */
#include "base/mem.h"
#include "model/checks.h"
#include "model/jwt_algorithm.h"
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#define ID(n)                 "00000000-0000-4000-8000-0000000000" #n
#define assert_slice(s, text) assert_true(kg_slice_eq((s), KG_SLICE(text)))

static void put(struct kg_model *model, const char *id, const char *consumer, const char *key,
                const char *secret, const char *algorithm, const char *pem)
{
    json_t *object = json_pack("{ss s{ss} ss ss ss ss?}", "id", id, "consumer", "id", consumer, "key", key,
                               "secret", secret, "algorithm", algorithm, "rsa_public_key", pem);

    assert_non_null(object);
    kg_model_put(model, KG_JWT_SECRETS, object);
    json_decref(object);
}

static const struct kg_jwt_key *find(const struct kg_snapshot *snapshot, const char *key)
{
    return kg_snapshot_jwt_key(snapshot, kg_slice_str(key));
}

/* alice (21) has "a" and "b", bob (22) has "c". */
static struct kg_model *model_with_keys(void)
{
    struct kg_model *model = kg_model_new(NULL);

    kg_model_put_consumer(model, ID(21), "alice", NULL);
    kg_model_put_consumer(model, ID(22), "bob", NULL);
    put(model, ID(31), ID(21), "a", "Zm9v", "HS256", NULL);
    put(model, ID(32), ID(21), "b", "not base64", "HS512", NULL);
    put(model, ID(33), ID(22), "c", "secret-c", "HS384", NULL);
    return model;
}

static char *public_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;

    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    long len = BIO_get_mem_data(bio, &data);
    char *copy = kg_strndup(data, (size_t)len); /* BIO memory has no NUL behind it */
    BIO_free(bio);
    return copy;
}

static void is_found_by_the_key_that_tokens_name(void **state)
{
    struct kg_model *model = model_with_keys();
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    const struct kg_jwt_key *a = find(snapshot, "a"), *b = find(snapshot, "b");

    assert_string_equal(a->id, ID(31));
    assert_slice(a->key, "a");
    assert_slice(a->consumer->username, "alice");
    assert_slice(a->algorithm->name, "HS256");
    assert_slice(a->secret, "Zm9v");
    assert_slice(a->decoded, "foo");
    assert_null(a->public_key);
    assert_slice(b->secret, "not base64");
    assert_int_equal(b->decoded.len, 0);
    assert_null(find(snapshot, "A"));
    assert_null(find(snapshot, ""));
    assert_null(find(snapshot, ID(31)));
    assert_null(kg_snapshot_jwt_key(snapshot, kg_slice_of("a\0", 2)));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void a_write_is_in_the_next_snapshot_and_not_in_the_last(void **state)
{
    struct kg_model *model = model_with_keys();
    struct kg_snapshot *before = kg_model_snapshot(model);

    put(model, ID(31), ID(22), "a2", "new", "HS256", NULL);
    kg_model_remove(model, KG_JWT_SECRETS, ID(32));
    kg_model_remove(model, KG_JWT_SECRETS, ID(99));
    struct kg_snapshot *after = kg_model_snapshot(model);
    assert_null(find(after, "a"));
    assert_null(find(after, "b"));
    assert_slice(find(after, "a2")->secret, "new");
    assert_slice(find(after, "a2")->consumer->username, "bob");
    assert_ptr_equal(find(after, "c"), find(before, "c"));
    kg_model_free(model);
    kg_snapshot_free(after);
    assert_slice(find(before, "a")->secret, "Zm9v");
    assert_slice(find(before, "b")->consumer->username, "alice");
    kg_snapshot_free(before);
}

/* Within one change a key may go from one credential to another, in either order. */
static void a_key_passes_from_one_credential_to_another(void **state)
{
    struct kg_model *model = model_with_keys();

    put(model, ID(31), ID(21), "c", "s1", "HS256", NULL);
    put(model, ID(33), ID(22), "a", "s2", "HS256", NULL);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_string_equal(find(snapshot, "c")->id, ID(31));
    assert_string_equal(find(snapshot, "a")->id, ID(33));
    kg_snapshot_free(snapshot);
    kg_model_remove(model, KG_JWT_SECRETS, ID(31));
    kg_model_remove(model, KG_JWT_SECRETS, ID(33));
    snapshot = kg_model_snapshot(model);
    assert_null(find(snapshot, "a"));
    assert_null(find(snapshot, "c"));
    assert_non_null(find(snapshot, "b"));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void goes_with_its_consumer(void **state)
{
    struct kg_model *model = model_with_keys();

    put(model, ID(34), ID(21), "d", "s", "HS256", NULL);
    kg_model_remove(model, KG_JWT_SECRETS, ID(32)); /* out of the middle of the list */
    kg_model_remove(model, KG_CONSUMERS, ID(21));
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_null(find(snapshot, "a"));
    assert_null(find(snapshot, "b"));
    assert_null(find(snapshot, "d"));
    assert_slice(find(snapshot, "c")->consumer->username, "bob");
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void a_renamed_consumer_keeps_all_of_them(void **state)
{
    struct kg_model *model = model_with_keys();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    char *pem = public_pem(key);

    put(model, ID(34), ID(21), "d", "s", "EdDSA", pem);
    struct kg_snapshot *before = kg_model_snapshot(model);
    kg_model_put_consumer(model, ID(21), "carol", NULL);
    struct kg_snapshot *after = kg_model_snapshot(model);
    assert_slice(find(before, "a")->consumer->username, "alice");
    kg_snapshot_free(before);
    assert_slice(find(after, "a")->consumer->username, "carol");
    assert_slice(find(after, "a")->decoded, "foo");
    assert_slice(find(after, "b")->consumer->username, "carol");
    assert_slice(find(after, "b")->algorithm->name, "HS512");
    assert_slice(find(after, "c")->consumer->username, "bob");
    assert_int_equal(EVP_PKEY_eq(find(after, "d")->public_key, key), 1);
    kg_snapshot_free(after);
    kg_model_remove(model, KG_CONSUMERS, ID(21));
    after = kg_model_snapshot(model);
    assert_null(find(after, "a"));
    assert_null(find(after, "b"));
    assert_null(find(after, "d"));
    kg_snapshot_free(after);
    kg_model_free(model);
    free(pem);
    EVP_PKEY_free(key);
}

/* ---- algorithms ---- */

static void every_algorithm_of_the_schema_is_known(void **state)
{
    const struct kg_field *field = kg_field_find(kg_jwt_fields, "algorithm");
    size_t count = 0;

    for (; field->one_of[count]; count++) {
        const struct kg_jwt_algorithm *algorithm = kg_jwt_algorithm_find(kg_slice_str(field->one_of[count]));

        assert_non_null(algorithm);
        assert_string_equal(algorithm->name.ptr, field->one_of[count]);
    }
    assert_int_equal(count, 13);
    assert_null(kg_jwt_algorithm_find(KG_SLICE("none")));
    assert_null(kg_jwt_algorithm_find(KG_SLICE("hs256")));
    assert_null(kg_jwt_algorithm_find(KG_SLICE("")));
    assert_null(kg_jwt_algorithm_find(kg_slice_of("HS256\0", 6)));
}

static void each_algorithm_has_its_kind_of_key(void **state)
{
    EVP_PKEY *keys[] = {
        EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
        EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
        EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"),
        EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521"),
        EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"),
        EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
        EVP_PKEY_Q_keygen(NULL, NULL, "ED448"),
        EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
    };
    static const struct {
        const char *algorithm;
        unsigned suits; /* bit = which of the keys */
    } cases[] = {
        { "HS256", 0 },      { "HS512", 0 },      { "RS256", 1 },      { "RS512", 1 },      { "PS256", 1 },
        { "ES256", 1 << 1 }, { "ES384", 1 << 2 }, { "ES512", 1 << 3 }, { "EdDSA", 3 << 5 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct kg_jwt_algorithm *algorithm = kg_jwt_algorithm_find(kg_slice_str(cases[i].algorithm));

        for (unsigned k = 0; k < 8; k++) {
            if (kg_jwt_algorithm_suits(algorithm, keys[k]) != (cases[i].suits >> k & 1))
                fail_msg("%s and key %u", cases[i].algorithm, k);
        }
    }
    for (unsigned k = 0; k < 8; k++)
        EVP_PKEY_free(keys[k]);
}

static void a_key_that_does_not_suit_is_no_key(void **state)
{
    struct kg_model *model = model_with_keys();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    char *pem = public_pem(key);

    put(model, ID(41), ID(21), "wrong-curve", "s", "ES256", pem);
    put(model, ID(42), ID(21), "right-curve", "s", "ES384", pem);
    put(model, ID(43), ID(21), "unreadable", "s", "ES384", "nonsense");
    put(model, ID(44), ID(21), "none", "s", "ES384", NULL);
    put(model, ID(45), ID(21), "hmac", "s", "HS256", pem);
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    assert_null(find(snapshot, "wrong-curve")->public_key);
    assert_int_equal(EVP_PKEY_eq(find(snapshot, "right-curve")->public_key, key), 1);
    assert_null(find(snapshot, "unreadable")->public_key);
    assert_null(find(snapshot, "none")->public_key);
    assert_null(find(snapshot, "hmac")->public_key);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
    free(pem);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_found_by_the_key_that_tokens_name),
        cmocka_unit_test(a_write_is_in_the_next_snapshot_and_not_in_the_last),
        cmocka_unit_test(a_key_passes_from_one_credential_to_another),
        cmocka_unit_test(goes_with_its_consumer),
        cmocka_unit_test(a_renamed_consumer_keeps_all_of_them),
        cmocka_unit_test(every_algorithm_of_the_schema_is_known),
        cmocka_unit_test(each_algorithm_has_its_kind_of_key),
        cmocka_unit_test(a_key_that_does_not_suit_is_no_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
