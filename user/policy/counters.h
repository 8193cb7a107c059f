/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many requests somebody has made in a window of time: counters that all workers share, so that a limit
 * holds for all of them together, to the request. Their number is fixed at the start. Nothing here waits,
 * takes a lock or allocates; all is atomic operations on 64-bit words.
 *
 * A counter is taken by the first request that asks for it, and is free again when its window has ended. It
 * is never taken away before: where there is no place left, the one who asks is told so. Names that strangers
 * can make up may take three quarters of the places; the rest is left to those that the configuration knows.
 *
 * Should the clock be set back, counters of the windows that have thereby become the future are forgotten.
 */
#ifndef KG_POLICY_COUNTERS_H
#define KG_POLICY_COUNTERS_H

#include "base/error.h"
#include "base/slice.h"
#include "policy/window.h"

#include <stdatomic.h>

struct kg_counters;

/* Room for at least `most` counters (2 to 2^30) of each period at a time. Takes address space for all of
 * them, and memory, 32 bytes for each, only as they are used. 0 or -errno with a sentence. Main thread. */
int kg_counters_new(uint32_t most, struct kg_counters **out, struct kg_error *err);
void kg_counters_free(struct kg_counters *counters);

/* Whose requests are counted: one name is one counter in each period. */
struct kg_counter_name {
    uint64_t hash[2];
    bool made_up; /* a stranger can choose it: an address, a header's value */
};

/* scope and who together are the name; scope's length is a multiple of 8. */
struct kg_counter_name kg_counters_name(const struct kg_counters *counters, struct kg_slice scope,
                                        struct kg_slice who, bool made_up);

/* A name's counter in one window. */
struct kg_counter {
    struct kg_counter_table *table;
    struct kg_counter_entry *entry; /* NULL: there is none */
    uint64_t window;
};

/*
 * The counter for the window that wall-clock second `now` is in; takes a place for it when it has none. False
 * when no place is left, which is counted, and *counter is none. `now` may be some seconds late, as a
 * worker's is in a long turn: the counter is then that of the latest window that any worker has come to.
 */
bool kg_counters_get(struct kg_counters *counters, const struct kg_counter_name *name, enum kg_period period,
                     int64_t now, struct kg_counter *counter);
/* The same without taking a place: none where nothing has been counted. */
void kg_counters_peek(struct kg_counters *counters, const struct kg_counter_name *name, enum kg_period period,
                      int64_t now, struct kg_counter *counter);

/* What has been counted so far; of none 0. */
uint64_t kg_counter_value(const struct kg_counter *counter);

enum kg_counted {
    KG_COUNTED,  /* one more, and still within the limit */
    KG_AT_LIMIT, /* not counted: the limit is reached */
    KG_ENDED,    /* not counted: the window is over, to be asked for again */
};

/* Counts one unless that would be more than `limit`. *value is what the counter then holds. */
enum kg_counted kg_counter_add(const struct kg_counter *counter, uint64_t limit, uint64_t *value);
/* Takes back what an add has counted. */
void kg_counter_give_back(const struct kg_counter *counter);

/* Any thread: how many hold something for a window that `now` is in, and how often no place was left. */
uint64_t kg_counters_in_use(const struct kg_counters *counters, int64_t now);
uint64_t kg_counters_refused(const struct kg_counters *counters);

#endif
