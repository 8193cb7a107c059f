/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/wheel.h"
#include "base/assert.h"

#define SLOT_BITS 6
#define SLOT_MASK (KG_WHEEL_SLOTS - 1)
/* The furthest ahead a timer can be filed; later ones are filed again when that moment comes. */
#define HORIZON ((1ull << (SLOT_BITS * KG_WHEEL_LEVELS)) - 1)

void kg_wheel_init(struct kg_wheel *wheel, uint64_t now_ms)
{
    *wheel = (struct kg_wheel){ .now = now_ms / KG_WHEEL_TICK_MS };
    for (unsigned level = 0; level < KG_WHEEL_LEVELS; level++) {
        for (unsigned i = 0; i < KG_WHEEL_SLOTS; i++) {
            struct kg_timer *head = &wheel->slots[level][i];

            head->next = head->prev = head;
        }
    }
}

static void link_before(struct kg_timer *head, struct kg_timer *timer)
{
    timer->next = head;
    timer->prev = head->prev;
    head->prev->next = timer;
    head->prev = timer;
}

void kg_timer_stop(struct kg_timer *timer)
{
    if (!timer->next)
        return;
    timer->next->prev = timer->prev;
    timer->prev->next = timer->next;
    timer->next = timer->prev = 0;
}

/* Level by distance: level n holds what is due within 64^(n+1) ticks. */
static void file(struct kg_wheel *wheel, struct kg_timer *timer)
{
    uint64_t at = timer->deadline > wheel->now ? timer->deadline : wheel->now + 1;
    uint64_t ahead = at - wheel->now;
    unsigned level = 0;

    if (ahead > HORIZON) {
        at = wheel->now + HORIZON;
        ahead = HORIZON;
    }
    while (ahead >> (SLOT_BITS * (level + 1)))
        level++;
    unsigned slot = (unsigned)(at >> (SLOT_BITS * level)) & SLOT_MASK;
    wheel->occupied[level] |= 1ull << slot;
    link_before(&wheel->slots[level][slot], timer);
}

void kg_timer_set(struct kg_wheel *wheel, struct kg_timer *timer, uint64_t now_ms, uint64_t delay_ms,
                  void (*fire)(struct kg_timer *timer))
{
    uint64_t due;

    kg_timer_stop(timer);
    timer->fire = fire;
    /* Rounded up, so that it never fires early; "for ever" must not wrap round to now. */
    if (__builtin_add_overflow(now_ms, delay_ms, &due) || due > UINT64_MAX - KG_WHEEL_TICK_MS)
        due = UINT64_MAX - KG_WHEEL_TICK_MS;
    timer->deadline = (due + KG_WHEEL_TICK_MS - 1) / KG_WHEEL_TICK_MS;
    file(wheel, timer);
}

/* Takes a slot's whole list onto `list`, so that handlers may file into the same slot meanwhile. */
static void take_slot(struct kg_wheel *wheel, unsigned level, unsigned slot, struct kg_timer *list)
{
    struct kg_timer *head = &wheel->slots[level][slot];

    wheel->occupied[level] &= ~(1ull << slot);
    list->next = list->prev = list;
    if (head->next == head)
        return;
    list->next = head->next;
    list->prev = head->prev;
    list->next->prev = list;
    list->prev->next = list;
    head->next = head->prev = head;
}

static void cascade(struct kg_wheel *wheel, unsigned level)
{
    struct kg_timer list;

    take_slot(wheel, level, (unsigned)(wheel->now >> (SLOT_BITS * level)) & SLOT_MASK, &list);
    while (list.next != &list) {
        struct kg_timer *timer = list.next;

        kg_timer_stop(timer);
        /* Due in this very tick: file() would push it one tick further. */
        if (timer->deadline <= wheel->now) {
            unsigned slot = (unsigned)wheel->now & SLOT_MASK;

            wheel->occupied[0] |= 1ull << slot;
            link_before(&wheel->slots[0][slot], timer);
            continue;
        }
        file(wheel, timer);
    }
}

static void tick(struct kg_wheel *wheel)
{
    struct kg_timer list;

    wheel->now++;
    for (unsigned level = KG_WHEEL_LEVELS - 1; level > 0; level--) {
        if ((wheel->now & ((1ull << (SLOT_BITS * level)) - 1)) == 0)
            cascade(wheel, level);
    }
    take_slot(wheel, 0, (unsigned)wheel->now & SLOT_MASK, &list);
    while (list.next != &list) {
        struct kg_timer *timer = list.next;

        kg_timer_stop(timer);
        timer->fire(timer);
    }
}

/* Ticks until the next occupied slot of level 0 or the next cascade of an occupied higher level. */
static uint64_t ticks_ahead(const struct kg_wheel *wheel)
{
    unsigned at = (unsigned)wheel->now & SLOT_MASK;
    unsigned turn = (at + 1) & SLOT_MASK;
    uint64_t ring = wheel->occupied[0];

    ring = turn ? ring >> turn | ring << (KG_WHEEL_SLOTS - turn) : ring;
    uint64_t ahead = ring ? (uint64_t)__builtin_ctzll(ring) + 1 : UINT64_MAX;
    for (unsigned level = 1; level < KG_WHEEL_LEVELS; level++) {
        uint64_t cascade_in = KG_WHEEL_SLOTS - at;

        if (wheel->occupied[level] && cascade_in < ahead)
            ahead = cascade_in;
    }
    return ahead;
}

void kg_wheel_advance(struct kg_wheel *wheel, uint64_t now_ms)
{
    uint64_t until = now_ms / KG_WHEEL_TICK_MS;

    while (wheel->now < until) {
        uint64_t ahead = ticks_ahead(wheel);

        /* Nothing is due in between: jump there at once. */
        if (ahead > until - wheel->now) {
            wheel->now = until;
            return;
        }
        wheel->now += ahead - 1;
        tick(wheel);
    }
}

uint64_t kg_wheel_next(const struct kg_wheel *wheel, uint64_t now_ms, uint64_t limit)
{
    uint64_t ahead = ticks_ahead(wheel);

    if (ahead == UINT64_MAX)
        return limit;
    uint64_t due = (wheel->now + ahead) * KG_WHEEL_TICK_MS;
    uint64_t wait = due > now_ms ? due - now_ms : 0;
    return wait < limit ? wait : limit;
}
