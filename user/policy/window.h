/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Windows of time that begin and end with the calendar's seconds, minutes, hours, days, months and years, in
 * UTC. Any thread.
 */
#ifndef KG_POLICY_WINDOW_H
#define KG_POLICY_WINDOW_H

#include <stdint.h>

enum kg_period { KG_SECOND, KG_MINUTE, KG_HOUR, KG_DAY, KG_MONTH, KG_YEAR, KG_PERIODS };

/* Bits that hold the number of any window of a period until the year 2106. */
extern const unsigned kg_window_bits[KG_PERIODS];

struct kg_window {
    uint64_t number; /* of its period, counted from 1970 on; the first is 1 */
    int64_t end;     /* the first second behind it, since 1970 */
};

/* The one that a wall-clock second is in; seconds before 1970 count as the first, those after 2106 as the
 * last. */
struct kg_window kg_window_of(enum kg_period period, int64_t now);

#endif
