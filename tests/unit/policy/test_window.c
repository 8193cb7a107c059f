/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#define DAY 86400

static int64_t at(int year, int month, int day, int hour, int minute, int second)
{
    struct tm tm = { .tm_year = year - 1900,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = minute,
                     .tm_sec = second };

    return timegm(&tm);
}

static int64_t left(enum kg_period period, int64_t now)
{
    return kg_window_of(period, now).end - now;
}

static void ends_with_the_calendars_second_minute_hour_and_day(void **state)
{
    int64_t now = at(2026, 11, 24, 20, 51, 44);

    assert_int_equal(left(KG_SECOND, now), 1);
    assert_int_equal(left(KG_MINUTE, now), 16);
    assert_int_equal(left(KG_HOUR, now), 8 * 60 + 16);
    assert_int_equal(left(KG_DAY, now), 3 * 3600 + 8 * 60 + 16);
}

static void months_and_years_are_as_long_as_they_are(void **state)
{
    assert_int_equal(left(KG_MONTH, at(2026, 1, 1, 0, 0, 0)), 31 * DAY);
    assert_int_equal(left(KG_MONTH, at(2026, 1, 31, 23, 59, 59)), 1);
    assert_int_equal(left(KG_MONTH, at(2026, 2, 1, 0, 0, 0)), 28 * DAY);
    assert_int_equal(left(KG_MONTH, at(2028, 2, 29, 0, 0, 0)), DAY);
    assert_int_equal(left(KG_MONTH, at(2000, 2, 1, 0, 0, 0)), 29 * DAY);
    assert_int_equal(left(KG_MONTH, at(2100, 2, 1, 0, 0, 0)), 28 * DAY);
    assert_int_equal(left(KG_YEAR, at(2026, 1, 1, 0, 0, 0)), 365 * DAY);
    assert_int_equal(left(KG_YEAR, at(2028, 1, 1, 0, 0, 0)), 366 * DAY);
    assert_int_equal(left(KG_YEAR, at(2028, 12, 31, 23, 59, 59)), 1);
}

/* Against the C library's calendar, day by day. */
static void every_day_until_2106_is_in_its_month_and_year(void **state)
{
    int64_t last = at(2106, 2, 7, 0, 0, 0);

    for (int64_t now = 0; now < last; now += DAY) {
        time_t when = (time_t)now;
        struct tm tm;

        gmtime_r(&when, &tm);
        struct kg_window month = kg_window_of(KG_MONTH, now), year = kg_window_of(KG_YEAR, now + DAY - 1);
        assert_int_equal(month.number, (tm.tm_year - 70) * 12 + tm.tm_mon + 1);
        assert_int_equal(year.number, tm.tm_year - 70 + 1);
        assert_int_equal(month.end, at(tm.tm_year + 1900, tm.tm_mon + 2, 1, 0, 0, 0));
        assert_int_equal(year.end, at(tm.tm_year + 1901, 1, 1, 0, 0, 0));
    }
}

static void numbers_rise_by_one_and_fit_their_bits(void **state)
{
    static const int64_t moments[] = { INT64_MIN, -1, 0, 1785000000, UINT32_MAX, INT64_MAX };

    for (int p = 0; p < KG_PERIODS; p++) {
        enum kg_period period = (enum kg_period)p;
        struct kg_window window = kg_window_of(period, 1785000000);

        assert_int_equal(kg_window_of(period, window.end - 1).number, window.number);
        assert_int_equal(kg_window_of(period, window.end).number, window.number + 1);
        for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
            uint64_t number = kg_window_of(period, moments[i]).number;
            assert_true(number >= 1 && number < UINT64_C(1) << kg_window_bits[period]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_with_the_calendars_second_minute_hour_and_day),
        cmocka_unit_test(months_and_years_are_as_long_as_they_are),
        cmocka_unit_test(every_day_until_2106_is_in_its_month_and_year),
        cmocka_unit_test(numbers_rise_by_one_and_fit_their_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
