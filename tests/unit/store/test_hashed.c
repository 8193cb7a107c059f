/* SPDX-License-Identifier: BSD-2-Clause */
/* keys.at_rest: hashed. Of an API key nothing but its hash is kept. */
#include "store_test.h"
#include "../model/pem_test.h"
#include "store/internal.h"

#define KEY_INPUT(id, rest) "{\"id\":\"" id "\",\"consumer\":{\"id\":\"" ID_A "\"}," rest "}"

static void open_as(struct fixture *f, bool hashed)
{
    struct kg_store_options options = { .dir = f->dir, .hashed = hashed };
    struct kg_error err = { "" };

    kg_store_close(f->store);
    f->store = NULL;
    if (kg_store_open_with(&options, &f->store, &err))
        fail_msg("%s", err.text);
}

static int set_up_hashed(void **state)
{
    int rc = set_up(state);
    struct fixture *f = *state;

    if (rc)
        return rc;
    open_as(f, true);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_B, "\"key\":\"the key\""), NULL), 0);
    return 0;
}

static void assert_hash_alone(struct fixture *f)
{
    json_t *found = kg_store_find(f->store, KG_KEYAUTH_CREDENTIALS, KG_SLICE("the key"));
    struct kg_model model = { "" };
    struct kg_error err = { "" };
    uint8_t mac[32], stored[32];

    assert_string_equal(json_string_value(json_object_get(found, "id")), ID_B);
    assert_true(json_is_null(json_object_get(found, "key")));
    json_decref(found);
    kg_store_mac(f->store, KG_SLICE("the key"), mac);
    assert_int_equal(kg_store_stored_mac(f->store, KG_KEYAUTH_CREDENTIALS, ID_B, stored), 0);
    assert_memory_equal(mac, stored, 32);
    assert_int_equal(kg_store_load(f->store, &model, &err), 0);
    assert_memory_equal(model.mac, mac, 32);
}

static void a_hashed_key_is_found_and_loaded_but_not_shown(void **state)
{
    struct fixture *f = *state;
    uint8_t mac[32];

    assert_hash_alone(f);
    open_as(f, true);
    assert_hash_alone(f);
    assert_int_equal(kg_store_stored_mac(f->store, KG_KEYAUTH_CREDENTIALS, ID_C, mac), -ENOENT);
}

static void write_over(struct fixture *f, enum kg_write write, const char *input)
{
    json_t *old = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_B), *given = json_loads(input, 0, NULL);
    json_t *object = NULL, *problem = NULL;
    struct kg_error err = { "" };

    assert_non_null(given);
    if (kg_schema_apply(&kg_entities[KG_KEYAUTH_CREDENTIALS], write, given, old, &object, &problem))
        fail_msg("%s", json_string_value(json_object_get(problem, "message")));
    assert_int_equal(kg_store_put(f->store, KG_KEYAUTH_CREDENTIALS, object, &problem, &err), 0);
    json_decref(object);
    json_decref(given);
    json_decref(old);
}

static void a_write_without_a_key_keeps_the_hash(void **state)
{
    struct fixture *f = *state;

    write_over(f, KG_WRITE_PATCH, "{\"tags\":[\"t\"]}");
    assert_hash_alone(f);
    write_over(f, KG_WRITE_REPLACE, "{\"consumer\":{\"id\":\"" ID_A "\"},\"key\":null}");
    assert_hash_alone(f);
    open_as(f, false);
    write_over(f, KG_WRITE_PATCH, "{\"tags\":[\"u\"]}");
    assert_hash_alone(f);
}

static void a_write_with_a_key_changes_it(void **state)
{
    struct fixture *f = *state;

    write_over(f, KG_WRITE_PATCH, "{\"key\":\"another\"}");
    json_t *found = kg_store_find(f->store, KG_KEYAUTH_CREDENTIALS, KG_SLICE("another"));
    assert_non_null(found);
    json_decref(found);
    assert_null(kg_store_find(f->store, KG_KEYAUTH_CREDENTIALS, KG_SLICE("the key")));
}

static void a_taken_key_is_refused_by_its_hash(void **state)
{
    struct fixture *f = *state;
    json_t *problem = NULL;

    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_C, "\"key\":\"the key\""), &problem),
                     -EEXIST);
    json_decref(problem);
}

static size_t read_sealed(struct fixture *f, const char *sql, uint8_t *out, size_t cap)
{
    sqlite3_stmt *stmt;
    size_t len;

    assert_int_equal(sqlite3_prepare_v2(f->store->db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    len = (size_t)sqlite3_column_bytes(stmt, 0);
    assert_true(len <= cap);
    if (len > 0)
        memcpy(out, sqlite3_column_blob(stmt, 0), len);
    sqlite3_finalize(stmt);
    return len;
}

/* Also of one that was deleted before: an older keygate did not zero what it freed. */
static void from_encrypted_to_hashed_leaves_no_cipher_text_on_disk(void **state)
{
    struct fixture *f = *state;
    uint8_t kept[128], deleted[128];

    open_as(f, false);
    write_over(f, KG_WRITE_PATCH, "{\"key\":\"the key\"}");
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_C, "\"key\":\"c\""), NULL), 0);
    assert_true(read_sealed(f, "SELECT key_sealed FROM keyauth_credentials WHERE id = '" ID_B "'", kept,
                            sizeof(kept)) > 29);
    assert_true(read_sealed(f, "SELECT key_sealed FROM keyauth_credentials WHERE id = '" ID_C "'", deleted,
                            sizeof(deleted)) > 29);
    assert_int_equal(sqlite3_exec(f->store->db, "PRAGMA secure_delete = OFF", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(delete (f->store, KG_KEYAUTH_CREDENTIALS, ID_C, NULL), 0);
    assert_true(is_on_disk(f, kept, 29));
    assert_true(is_on_disk(f, deleted, 29));
    open_as(f, true);
    assert_hash_alone(f);
    assert_false(is_on_disk(f, kept, 29));
    assert_false(is_on_disk(f, deleted, 29));
}

/* Killed between the commit and the wiping: the mark is there, the next start wipes. */
static void wiping_that_was_broken_off_is_done_at_the_next_start(void **state)
{
    struct fixture *f = *state;
    uint8_t sealed[128];
    struct kg_error err = { "" };

    open_as(f, false);
    write_over(f, KG_WRITE_PATCH, "{\"key\":\"the key\"}");
    read_sealed(f, "SELECT key_sealed FROM keyauth_credentials", sealed, sizeof(sealed));
    f->store->hashed = true;
    assert_int_equal(kg_at_rest_settle(f->store, &err), 0);
    assert_true(is_on_disk(f, sealed, 29));
    open_as(f, false);
    assert_false(is_on_disk(f, sealed, 29));
}

static void from_hashed_to_encrypted_is_for_new_keys(void **state)
{
    struct fixture *f = *state;

    open_as(f, false);
    assert_hash_alone(f);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_C, "\"key\":\"c\""), NULL), 0);
    json_t *found = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_C);
    assert_string_equal(json_string_value(json_object_get(found, "key")), "c");
    json_decref(found);
}

static void a_private_key_stays_encrypted(void **state)
{
    struct fixture *f = *state;
    json_t *input = certificate_json(&rsa, "{\"id\":\"" ID_D "\"}");

    assert_int_equal(put_json(f->store, KG_CERTIFICATES, input, NULL), 0);
    open_as(f, true);
    json_t *found = kg_store_get(f->store, KG_CERTIFICATES, ID_D);
    assert_string_equal(json_string_value(json_object_get(found, "key")), rsa.key);
    json_decref(found);
}

static void hashed_keys_survive_a_new_master_key(void **state)
{
    struct fixture *f = *state;
    struct kg_error err = { "" };
    size_t count;

    assert_int_equal(kg_store_rotate_master(f->store, &count, &err), 0);
    assert_int_equal(count, 0);
    open_as(f, true);
    assert_hash_alone(f);
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_hashed, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_hashed_key_is_found_and_loaded_but_not_shown),
        STORE_TEST(a_write_without_a_key_keeps_the_hash),
        STORE_TEST(a_write_with_a_key_changes_it),
        STORE_TEST(a_taken_key_is_refused_by_its_hash),
        STORE_TEST(from_encrypted_to_hashed_leaves_no_cipher_text_on_disk),
        STORE_TEST(wiping_that_was_broken_off_is_done_at_the_next_start),
        STORE_TEST(from_hashed_to_encrypted_is_for_new_keys),
        STORE_TEST(a_private_key_stays_encrypted),
        STORE_TEST(hashed_keys_survive_a_new_master_key),
    };

    return cmocka_run_group_tests(tests, make_pems, free_pems);
}
