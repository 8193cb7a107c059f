/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static void writes_http_dates(void **state)
{
    static const struct {
        int64_t wall;
        const char *text;
    } cases[] = {
        { 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" }, /* RFC 9110, 5.6.7 */
        { 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
        { 1709164800, "Thu, 29 Feb 2024 00:00:00 GMT" },
        { 4102444799, "Thu, 31 Dec 2099 23:59:59 GMT" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[30];
        kg_clock_http_date(cases[i].wall, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void the_two_monotonic_clocks_are_one(void **state)
{
    uint64_t before = kg_clock_ns(), ms = kg_clock_ms(), after = kg_clock_ns();

    assert_true(before <= after);
    assert_in_range(ms, before / 1000000, after / 1000000);
}

static void the_wall_clock_is_the_systems(void **state)
{
    struct timespec before, after;

    clock_gettime(CLOCK_REALTIME, &before);
    int64_t wall = kg_clock_wall();
    clock_gettime(CLOCK_REALTIME, &after);
    assert_true(wall >= before.tv_sec && wall <= after.tv_sec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_http_dates),
        cmocka_unit_test(the_two_monotonic_clocks_are_one),
        cmocka_unit_test(the_wall_clock_is_the_systems),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
