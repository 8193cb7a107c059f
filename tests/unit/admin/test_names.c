/* SPDX-License-Identifier: BSD-2-Clause */
/* Names that look like ids, and what a database that fails makes of references. */
#include "fixture.h"

#include <sqlite3.h>

#define UUID       "11111111-1111-4111-8111-111111111111"
#define UNREADABLE "{\"message\":\"the database cannot be read\"}"

/* The text behind a path such as "service.id" in what GET answers. */
static void look(struct api *api, const char *path, const char *name, const char *below, char out[128])
{
    struct reply reply = send_json(api, "GET", path, NULL);
    json_t *value = json_object_get(reply.json, name);

    assert_int_equal(reply.status, 200);
    snprintf(out, 128, "%s", json_string_value(below ? json_object_get(value, below) : value));
    drop(&reply);
}

static void a_name_that_looks_like_an_id_is_a_name_where_a_name_is_given(void **state)
{
    struct api *api = *state;
    char named[128], owner[128];

    assert_int_equal(status_of(api, "POST", "/services", "{\"name\":\"" UUID "\",\"host\":\"a\"}"), 201);
    look(api, "/services/" UUID, "id", NULL, named);
    assert_int_equal(
        status_of(api, "POST", "/services", "{\"id\":\"" UUID "\",\"name\":\"other\",\"host\":\"b\"}"), 201);
    assert_int_equal(status_of(api, "POST", "/routes",
                               "{\"name\":\"r\",\"paths\":[\"/\"],\"service\":{\"name\":\"" UUID "\"}}"),
                     201);
    look(api, "/routes/r", "service", "id", owner);
    assert_string_equal(owner, named);
}

static void what_cannot_be_read_is_neither_missing_nor_free(void **state)
{
    struct api *api = *state;
    char path[128];
    sqlite3 *db;

    assert_int_equal(status_of(api, "POST", "/services", "{\"id\":\"" UUID "\",\"host\":\"b\"}"), 201);
    snprintf(path, sizeof(path), "%s/keygate.db", api->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE services RENAME TO away", NULL, NULL, NULL), SQLITE_OK);
    expect_text(api, "POST", "/routes", "{\"paths\":[\"/\"],\"service\":{\"name\":\"x\"}}", 500, UNREADABLE);
    expect_text(api, "POST", "/services", "{\"id\":\"" UUID "\",\"host\":\"c\"}", 500, UNREADABLE);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE away RENAME TO services", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_that_looks_like_an_id_is_a_name_where_a_name_is_given, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_neither_missing_nor_free, set_up, tear_down),
    };

    kg_policies_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
