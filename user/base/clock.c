/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t kg_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t kg_clock_ms(void)
{
    return kg_clock_ns() / 1000000;
}

int64_t kg_clock_wall(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

void kg_clock_http_date(int64_t wall, char out[30])
{
    /* Names spelt out: strftime's %a and %b follow the locale, HTTP's do not. */
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    /* Four digits of year are all the format has. */
    const int64_t last = 253402300799; /* 9999-12-31T23:59:59Z */
    time_t t = (time_t)(wall < 0 ? 0 : wall > last ? last : wall);
    struct tm tm;

    gmtime_r(&t, &tm);
    /* The scratch is wide enough for any int, so that the compiler can prove nothing is cut. */
    char text[80];
    snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
             months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(out, text, 29);
    out[29] = '\0';
}
