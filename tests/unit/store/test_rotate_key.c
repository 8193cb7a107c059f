/* SPDX-License-Identifier: BSD-2-Clause */
/* A credential gets a new key; the old one stays for a while as a credential of its own. And when it was
 * used. */
#include "store_test.h"
#include "base/clock.h"
#include "store/internal.h"

#define KEY_INPUT(id, rest) "{\"id\":\"" id "\",\"consumer\":{\"id\":\"" ID_A "\"}," rest "}"

static int set_up_with(void **state, bool hashed)
{
    int rc = set_up(state);
    struct fixture *f = *state;
    struct kg_store_options options = { .dir = f->dir, .hashed = hashed };
    struct kg_error err;

    if (rc || kg_store_open_with(&options, &f->store, &err))
        return -1;
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(
        put(f->store, KG_KEYAUTH_CREDENTIALS,
            KEY_INPUT(ID_B, "\"key\":\"old\",\"name\":\"n\",\"description\":\"d\",\"tags\":[\"t\"]"), NULL),
        0);
    return 0;
}

static int set_up_encrypted(void **state)
{
    return set_up_with(state, false);
}

static int set_up_hashed(void **state)
{
    return set_up_with(state, true);
}

static int rotate(struct fixture *f, const char *key, const struct kg_key_grace *grace, json_t **problem)
{
    json_t *object = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_B);
    struct kg_error err = { "" };
    int rc;

    json_object_set_new(object, "key", json_string(key));
    rc = kg_store_rotate_key(f->store, object, grace, problem, &err);
    if (rc == -EIO)
        fail_msg("%s", err.text);
    json_decref(object);
    return rc;
}

static void assert_found_as(struct fixture *f, const char *key, const char *id, bool ends)
{
    json_t *found = kg_store_find(f->store, KG_KEYAUTH_CREDENTIALS, kg_slice_str(key));
    const json_t *shown = json_object_get(found, "key");

    assert_non_null(found);
    assert_string_equal(json_string_value(json_object_get(found, "id")), id);
    assert_string_equal(json_string_value(json_object_get(found, "name")), "n");
    assert_string_equal(json_string_value(json_object_get(found, "description")), "d");
    assert_int_equal(json_array_size(json_object_get(found, "tags")), 1);
    assert_int_equal(json_is_integer(json_object_get(found, "ttl")), ends);
    if (!f->store->hashed)
        assert_string_equal(json_string_value(shown), key);
    else
        assert_true(json_is_null(shown));
    json_decref(found);
}

static void both_keys_are_there_and_the_old_one_ends(void **state)
{
    struct fixture *f = *state;
    struct kg_key_grace grace = { 60, ID_C };
    json_t *problem = NULL;

    assert_int_equal(rotate(f, "new", &grace, &problem), 0);
    assert_found_as(f, "new", ID_B, false);
    assert_found_as(f, "old", ID_C, true);
}

static void without_grace_the_old_key_is_gone(void **state)
{
    struct fixture *f = *state;
    struct kg_key_grace grace = { 0, ID_C };
    json_t *problem = NULL;

    assert_int_equal(rotate(f, "new", &grace, &problem), 0);
    assert_found_as(f, "new", ID_B, false);
    assert_null(kg_store_find(f->store, KG_KEYAUTH_CREDENTIALS, KG_SLICE("old")));
    assert_false(is_there(f->store, KG_KEYAUTH_CREDENTIALS, ID_C));
}

static void a_grace_never_lengthens_a_life(void **state)
{
    struct fixture *f = *state;
    struct kg_key_grace grace = { 3600, ID_C };
    json_t *problem = NULL, *object;

    assert_int_equal(
        put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_B, "\"key\":\"old\",\"ttl\":30"), NULL), 0);
    assert_int_equal(rotate(f, "new", &grace, &problem), 0);
    object = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_C);
    assert_in_range(json_integer_value(json_object_get(object, "ttl")), 1, 30);
    json_decref(object);
}

static void a_taken_key_is_refused_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct kg_key_grace grace = { 60, ID_C };
    json_t *problem = NULL;

    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_D, "\"key\":\"taken\""), NULL), 0);
    assert_int_equal(rotate(f, "taken", &grace, &problem), -EEXIST);
    json_decref(problem);
    assert_int_equal(rotate(f, "old", &grace, &problem), -EEXIST);
    json_decref(problem);
    assert_found_as(f, "old", ID_B, false);
    assert_false(is_there(f->store, KG_KEYAUTH_CREDENTIALS, ID_C));
}

static void the_later_use_of_a_key_stays(void **state)
{
    struct fixture *f = *state;
    struct kg_key_use uses[] = { { ID_B, 120 }, { ID_B, 60 }, { ID_D, 60 } };
    struct kg_error err = { "" };
    json_t *object;

    assert_int_equal(kg_store_note_uses(f->store, uses, 3, &err), 0);
    assert_int_equal(kg_store_note_uses(f->store, uses + 1, 1, &err), 0);
    object = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_B);
    assert_int_equal(json_integer_value(json_object_get(object, "last_used_at")), 120);
    json_decref(object);
    assert_false(is_there(f->store, KG_KEYAUTH_CREDENTIALS, ID_D));
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_encrypted, tear_down)
#define HASHED_TEST(f)                                                                                       \
    {                                                                                                        \
#f " (hashed)", f, set_up_hashed, tear_down, NULL                                                    \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(both_keys_are_there_and_the_old_one_ends),
        HASHED_TEST(both_keys_are_there_and_the_old_one_ends),
        STORE_TEST(without_grace_the_old_key_is_gone),
        HASHED_TEST(without_grace_the_old_key_is_gone),
        STORE_TEST(a_grace_never_lengthens_a_life),
        STORE_TEST(a_taken_key_is_refused_and_changes_nothing),
        HASHED_TEST(a_taken_key_is_refused_and_changes_nothing),
        STORE_TEST(the_later_use_of_a_key_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
