/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of the path table that Kong documents for path_handling v0 (reference: service path, route path,
 * strip, request). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/internal.h"

static void expect_path(const char *service, const char *matched, bool strip, const char *request,
                        const char *want)
{
    char text[256];
    struct kg_writer out = kg_writer_of(text, sizeof(text) - 1);

    kg_upstream_path(kg_slice_str(service), kg_slice_str(request), strlen(matched), strip, &out);
    assert_false(out.overflow);
    text[out.len] = '\0';
    assert_string_equal(text, want);
}

static void strip_path_takes_the_matched_prefix_away(void **state)
{
    expect_path("/", "/route", true, "/route", "/");
    expect_path("/", "/route", true, "/routereq", "/req");
    expect_path("/srv", "/rou", true, "/roureq", "/srv/req");
    expect_path("/service", "/route", true, "/route", "/service");
    expect_path("/service", "/route/", true, "/route/req", "/service/req");
    expect_path("/service/", "/route", true, "/routereq", "/service/req");
}

static void a_trailing_slash_survives_stripping(void **state)
{
    expect_path("/srv/", "/rou", true, "/rou", "/srv");
    expect_path("/service/", "/route", true, "/route", "/service");
    expect_path("/service", "/route", true, "/route/", "/service/");
    expect_path("/service", "/route/", true, "/route/", "/service/");
}

static void without_strip_path_the_whole_path_is_appended(void **state)
{
    expect_path("/srv", "/rou", false, "/roureq", "/srv/roureq");
    expect_path("/service", "/", false, "/", "/service");
    expect_path("/service", "/", false, "/route/", "/service/route/");
    expect_path("/service/", "/", false, "/route", "/service/route");
    expect_path("/", "/x", false, "/x/y", "/x/y");
}

/* The last row of the table: what normalising decodes is in the path that is appended. */
static void the_path_that_is_appended_is_the_normalised_one(void **state)
{
    char text[64];
    struct kg_writer normal = kg_writer_of(text, sizeof(text) - 1);
    const char *why;

    assert_int_equal(kg_path_normalize(KG_SLICE("/route%2E/req"), &normal, &why), 0);
    text[normal.len] = '\0';
    expect_path("/service", "/route", false, text, "/service/route./req");
}

static void a_root_route_strips_nothing_but_the_slash(void **state)
{
    expect_path("/service", "/", true, "/", "/service");
    expect_path("/service", "/", true, "/route/", "/service/route/");
}

static void a_route_without_paths_keeps_the_path(void **state)
{
    expect_path("/service/", "", true, "/route", "/service/route");
    expect_path("/service/", "", false, "/route", "/service/route");
    expect_path("/service", "", true, "/route", "/service/route");
    expect_path("/service", "", false, "/route", "/service/route");
}

static void what_is_left_cannot_climb_out_of_the_service_path(void **state)
{
    expect_path("/service", "/route", true, "/route../req", "/service/req");
    expect_path("/service", "/route", true, "/route./req", "/service/req");
    expect_path("/service", "/route", true, "/route..", "/service");
    expect_path("/service", "/route", true, "/route.", "/service");
}

static void what_normalising_decoded_is_encoded_again(void **state)
{
    expect_path("/service", "/a", true, "/a/x\"y", "/service/x%22y");
    expect_path("/service", "/a", false, "/a/{x}", "/service/a/%7Bx%7D");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_normalising_decoded_is_encoded_again),
        cmocka_unit_test(strip_path_takes_the_matched_prefix_away),
        cmocka_unit_test(a_trailing_slash_survives_stripping),
        cmocka_unit_test(without_strip_path_the_whole_path_is_appended),
        cmocka_unit_test(the_path_that_is_appended_is_the_normalised_one),
        cmocka_unit_test(a_root_route_strips_nothing_but_the_slash),
        cmocka_unit_test(a_route_without_paths_keeps_the_path),
        cmocka_unit_test(what_is_left_cannot_climb_out_of_the_service_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
