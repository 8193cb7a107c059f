/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"
#include "model/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct kg_regex_scratch *scratch;

/* Where the match ends, or -1. */
static int end_of(enum kg_regex_kind kind, const char *pattern, const char *subject)
{
    struct kg_error err;
    struct kg_regex *regex = kg_regex_new(kind, kg_slice_str(pattern), &err);
    size_t end = 0;

    assert_non_null(regex);
    bool matched = kg_regex_match(regex, kg_slice_str(subject), scratch, &end);
    kg_regex_free(regex);
    return matched ? (int)end : -1;
}

static void a_path_is_matched_from_its_start(void **state)
{
    assert_int_equal(end_of(KG_REGEX_PATH, "/a[0-9]+", "/a12/b"), 4);
    assert_int_equal(end_of(KG_REGEX_PATH, "/a[0-9]+", "/x/a12"), -1);
    assert_int_equal(end_of(KG_REGEX_PATH, "/x|/a", "/b/a"), -1);
    assert_int_equal(end_of(KG_REGEX_PATH, "/a", "/A"), -1);
    assert_int_equal(end_of(KG_REGEX_PATH, "/(a)(b)(c)", "/abcd"), 4);
    assert_int_equal(end_of(KG_REGEX_PATH, "/a|", "/b"), 0);
}

static void a_dollar_is_the_very_end(void **state)
{
    assert_int_equal(end_of(KG_REGEX_PATH, "/a$", "/a"), 2);
    assert_int_equal(end_of(KG_REGEX_PATH, "/a$", "/a\n"), -1);
    assert_int_equal(end_of(KG_REGEX_PATH, "/a$", "/ab"), -1);
}

static void a_header_is_searched_without_regard_to_case(void **state)
{
    assert_int_equal(end_of(KG_REGEX_HEADER, "v[0-9]", "Api-V2-x"), 6);
    assert_int_equal(end_of(KG_REGEX_HEADER, "^v", "api-v2"), -1);
}

static void a_path_may_be_any_bytes(void **state)
{
    assert_int_equal(end_of(KG_REGEX_PATH, "/.b",
                            "/\xff"
                            "b"),
                     3);
    assert_int_equal(end_of(KG_REGEX_PATH, "/a\\K.b",
                            "/a\xc3"
                            "b"),
                     4);
}

static void what_is_no_regex_is_refused_with_the_place(void **state)
{
    static const struct {
        const char *pattern, *why;
    } bad[] = {
        { "/a(", "invalid regex: missing closing parenthesis at character 4" },
        { "/[", "invalid regex: missing terminating ] for character class at character 3" },
        { "/*+?*", "invalid regex: quantifier does not follow a repeatable item at character 4" },
        { "(*UTF)/a", "invalid regex: using UTF is disabled by the application at character 7" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct kg_error err;
        assert_null(kg_regex_new(KG_REGEX_PATH, kg_slice_str(bad[i].pattern), &err));
        assert_string_equal(err.text, bad[i].why);
    }
}

/* Each of these would take longer than anybody lives. */
static const char *const endless[] = { "/(a+)+$", "/(a*)*b", "/(a|a)*$", "/(?:a?){50}a{50}$",
                                       "/a*a*a*a*a*a*a*b" };

static void a_match_without_end_is_none(void **state)
{
    static char subject[8192];

    memset(subject, 'a', sizeof(subject) - 2);
    subject[0] = '/';
    subject[sizeof(subject) - 2] = '!';
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        uint64_t start = kg_clock_ms();
        kg_regex_scratch_begin(scratch);
        assert_int_equal(end_of(KG_REGEX_PATH, endless[i], subject), -1);
        print_message("%s: %u ms\n", endless[i], (unsigned)(kg_clock_ms() - start));
        /* Milliseconds, but this machine may be busy. */
        assert_in_range(kg_clock_ms() - start, 0, 1000);
    }
}

static void a_request_that_exhausts_the_limits_often_gets_no_more_regexes(void **state)
{
    static char subject[4096];

    memset(subject, 'a', sizeof(subject) - 2);
    subject[0] = '/';
    subject[sizeof(subject) - 2] = '!';
    kg_regex_scratch_begin(scratch);
    for (int i = 0; i < KG_REGEX_EXHAUSTED; i++) {
        assert_int_equal(end_of(KG_REGEX_PATH, "/a", "/a"), 2);
        assert_int_equal(end_of(KG_REGEX_PATH, "/(a+)+$", subject), -1);
    }
    assert_int_equal(end_of(KG_REGEX_PATH, "/a", "/a"), -1);
    kg_regex_scratch_begin(scratch);
    assert_int_equal(end_of(KG_REGEX_PATH, "/a", "/a"), 2);
}

static void a_sane_pattern_takes_a_long_path(void **state)
{
    static char subject[8192];

    memset(subject, 'a', sizeof(subject) - 1);
    subject[0] = '/';
    assert_int_equal(end_of(KG_REGEX_PATH, "/[a-z]+$", subject), sizeof(subject) - 1);
    assert_int_equal(end_of(KG_REGEX_PATH, "/.*a", subject), sizeof(subject) - 1);
    assert_int_equal(end_of(KG_REGEX_PATH, "/(a|b)*$", subject), sizeof(subject) - 1);
}

static int set_up(void **state)
{
    scratch = kg_regex_scratch_new();
    return 0;
}

static int tear_down(void **state)
{
    kg_regex_scratch_free(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_matched_from_its_start),
        cmocka_unit_test(a_dollar_is_the_very_end),
        cmocka_unit_test(a_header_is_searched_without_regard_to_case),
        cmocka_unit_test(a_path_may_be_any_bytes),
        cmocka_unit_test(what_is_no_regex_is_refused_with_the_place),
        cmocka_unit_test(a_match_without_end_is_none),
        cmocka_unit_test(a_request_that_exhausts_the_limits_often_gets_no_more_regexes),
        cmocka_unit_test(a_sane_pattern_takes_a_long_path),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
