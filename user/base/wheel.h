/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hierarchical timer wheel: four levels of 64 slots, one tick each KG_WHEEL_TICK_MS, so setting and
 * stopping a timer costs a list splice whatever the number of timers. Timers are embedded in their owner; the
 * wheel owns nothing. One thread at a time. A timer never fires early; it may fire one tick late.
 */
#ifndef KG_BASE_WHEEL_H
#define KG_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define KG_WHEEL_TICK_MS 8
#define KG_WHEEL_SLOTS   64
#define KG_WHEEL_LEVELS                                                                                      \
    4 /* 64^4 ticks of 8 ms: 37 hours; later deadlines wait in the last slot and go round again */

/* States: idle (next == NULL) or linked in one slot of the wheel. Zeroed memory is idle. */
struct kg_timer {
    struct kg_timer *next, *prev;
    uint64_t deadline; /* in ticks */
    void (*fire)(struct kg_timer *timer);
};

struct kg_wheel {
    uint64_t now;                       /* ticks handled so far */
    uint64_t occupied[KG_WHEEL_LEVELS]; /* bit = slot holds a timer; may be set on a slot that has emptied */
    struct kg_timer slots[KG_WHEEL_LEVELS][KG_WHEEL_SLOTS];
};

void kg_wheel_init(struct kg_wheel *wheel, uint64_t now_ms);

/* (Re)arms the timer to fire delay_ms from now_ms. */
void kg_timer_set(struct kg_wheel *wheel, struct kg_timer *timer, uint64_t now_ms, uint64_t delay_ms,
                  void (*fire)(struct kg_timer *timer));
void kg_timer_stop(struct kg_timer *timer);

static inline bool kg_timer_pending(const struct kg_timer *timer)
{
    return timer->next != 0;
}

/* Fires all timers due at now_ms. A handler may set and stop any timer. */
void kg_wheel_advance(struct kg_wheel *wheel, uint64_t now_ms);

/* Milliseconds until the wheel needs to be advanced again, at most `limit`. May be earlier than the next
 * timer, never later. */
uint64_t kg_wheel_next(const struct kg_wheel *wheel, uint64_t now_ms, uint64_t limit);

#endif
