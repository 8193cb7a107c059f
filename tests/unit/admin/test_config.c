/* SPDX-License-Identifier: BSD-2-Clause */
/* What a call of /config asks for: select tags above all, since what carries them may be deleted. */
#include "fixture.h"

#define EMPTY "_format_version: \"3.0\"\n"

static unsigned sync_with(struct api *api, const char *query)
{
    char path[256];
    struct reply reply;
    unsigned status;

    snprintf(path, sizeof(path), "/config%s", query);
    reply = send_as(api, "POST", path, "application/yaml", EMPTY);
    status = reply.status;
    drop(&reply);
    return status;
}

static void make_tagged(struct api *api)
{
    assert_int_equal(status_of(api, "POST", "/consumers", "{\"username\":\"a\",\"tags\":[\"one\"]}"), 201);
    assert_int_equal(status_of(api, "POST", "/consumers", "{\"username\":\"b\",\"tags\":[\"one\",\"two\"]}"),
                     201);
}

static void select_tags_that_are_not_understood_delete_nothing(void **state)
{
    struct api *api = *state;

    make_tagged(api);
    assert_int_equal(sync_with(api, "?select_tags="), 400);
    assert_int_equal(sync_with(api, "?select_tags"), 400);
    assert_int_equal(sync_with(api, "?select_tags=,"), 400);
    assert_int_equal(sync_with(api, "?select_tags=one,%FF"), 400);
    assert_int_equal(sync_with(api, "?select_tags=one&select_tags=two"), 400);
    assert_int_equal(status_of(api, "GET", "/consumers/a", NULL), 200);
    assert_int_equal(status_of(api, "GET", "/config?select_tags=one,%FF", NULL), 400);
}

static void only_what_carries_all_select_tags_is_deleted(void **state)
{
    struct api *api = *state;

    make_tagged(api);
    assert_int_equal(sync_with(api, "?select_tags=one,two"), 201);
    assert_int_equal(status_of(api, "GET", "/consumers/a", NULL), 200);
    assert_int_equal(status_of(api, "GET", "/consumers/b", NULL), 404);
}

static void a_dry_run_that_is_and_is_not_one_writes_nothing(void **state)
{
    struct api *api = *state;

    assert_int_equal(status_of(api, "POST", "/consumers?dry_run=0&dry_run=1", "{\"username\":\"a\"}"), 400);
    assert_int_equal(status_of(api, "GET", "/consumers/a", NULL), 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(select_tags_that_are_not_understood_delete_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_dry_run_that_is_and_is_not_one_writes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_carries_all_select_tags_is_deleted, set_up, tear_down),
    };

    kg_policies_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
