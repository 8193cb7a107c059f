/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/window.h"

#include <stdbool.h>

#define EPOCH 1970
#define DAY   86400
#define LAST  (UINT32_MAX - 1) /* 2106-02-07 */

const unsigned kg_window_bits[KG_PERIODS] = { 32, 27, 21, 16, 12, 8 };

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* From 1970-01-01 to this year's first of January. */
static int64_t days_before_year(int64_t year)
{
    int64_t past = year - 1, first = EPOCH - 1;

    return 365 * (year - EPOCH) + (past / 4 - past / 100 + past / 400) -
           (first / 4 - first / 100 + first / 400);
}

/* gmtime_r() takes a lock, which a worker must not wait for. */
static int64_t year_of(int64_t days)
{
    int64_t year = EPOCH + days / 366;

    while (days_before_year(year + 1) <= days)
        year++;
    return year;
}

static struct kg_window month_of(int64_t days)
{
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t year = year_of(days), end = days_before_year(year), month = 0;

    for (;; month++) {
        end += lengths[month] + (month == 1 && is_leap(year));
        if (end > days)
            break;
    }
    return (struct kg_window){ (uint64_t)((year - EPOCH) * 12 + month) + 1, end * DAY };
}

struct kg_window kg_window_of(enum kg_period period, int64_t now)
{
    static const int64_t lengths[] = { [KG_SECOND] = 1, [KG_MINUTE] = 60, [KG_HOUR] = 3600, [KG_DAY] = DAY };
    int64_t wall = now < 0 ? 0 : now > LAST ? LAST : now;

    if (period == KG_MONTH)
        return month_of(wall / DAY);
    if (period == KG_YEAR) {
        int64_t year = year_of(wall / DAY);

        return (struct kg_window){ (uint64_t)(year - EPOCH) + 1, days_before_year(year + 1) * DAY };
    }
    int64_t before = wall / lengths[period];
    return (struct kg_window){ (uint64_t)before + 1, (before + 1) * lengths[period] };
}
