/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One table for each period. Every word of an entry begins with the number of the window that it was written
 * in; a word of an earlier window is as good as empty. So all entries of a period become free at once, when
 * its window ends, with nobody to sweep them, and within a window an entry that is taken stays taken.
 *
 * That is what makes the search for a name safe without a lock. All who look for it go to the same places in
 * the same order and take the first free one, with a compare-and-swap of the first of its three words.
 * Whoever loses looks at that place again and finds the name there, or another one, which will stay. The
 * other two words are written the same way, by whoever comes first among those that the word before lets
 * pass: one that took the first word and was then held up holds nobody else up. Two names that agree in the
 * first word only part at a later one, and again in the same way for all that look.
 *
 * At least 96 bits of a name are compared, and others decide where it is looked for.
 */
#include "policy/counters.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/siphash.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define WORDS   3
#define IN_LINE 2
#define PROBES                                                                                               \
    32 /* lines looked at; with three quarters of all places taken, one in 10^8 searches needs more */

struct kg_counter_entry {
    _Atomic uint64_t name[WORDS];
    _Atomic uint64_t count; /* window and value */
};

/* What one memory access brings. */
struct line {
    _Alignas(64) struct kg_counter_entry entries[IN_LINE];
};

struct kg_counter_table {
    enum kg_period period;
    unsigned shift;     /* of the window's number in a word */
    uint64_t line_mask; /* their number, a power of two, less 1 */
    uint64_t made_up_most;
    struct line *lines;
    int64_t (*clock)(void);
    _Alignas(64) _Atomic uint64_t newest; /* window that any worker has come to */
    _Alignas(64) _Atomic uint64_t taken;  /* the window's number, and how many entries are taken in it */
};

#define TAKEN_BITS 32

struct kg_counters {
    struct kg_siphash_key key;
    _Alignas(64) _Atomic uint64_t refused;
    struct kg_counter_table tables[KG_PERIODS];
};

static size_t table_bytes(const struct kg_counter_table *table)
{
    return (table->line_mask + 1) * sizeof(struct line);
}

static int open_table(struct kg_counter_table *table, enum kg_period period, uint64_t lines,
                      struct kg_error *err)
{
    table->period = period;
    table->shift = 64 - kg_window_bits[period];
    table->line_mask = lines - 1;
    table->made_up_most = lines * IN_LINE / 4 * 3;
    table->clock = kg_clock_wall;
    /* Pages that nobody counts in are never there, so they need not be promised either. */
    void *memory = mmap(NULL, table_bytes(table), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return kg_error_set(err, errno, "no room for the counters of rate limits: %s", strerror(errno));
    table->lines = memory;
    return 0;
}

int kg_counters_new(uint32_t most, struct kg_counters **out, struct kg_error *err)
{
    struct kg_counters *counters = kg_calloc_aligned(_Alignof(struct kg_counters), sizeof(*counters));
    uint64_t lines = 2;
    int rc = 0;

    KG_ASSERT(most >= 2 && most <= 1u << 30);
    while (lines * IN_LINE < most)
        lines *= 2;
    kg_siphash_seed(&counters->key);
    for (int i = 0; rc == 0 && i < KG_PERIODS; i++)
        rc = open_table(&counters->tables[i], (enum kg_period)i, lines, err);
    if (rc < 0) {
        kg_counters_free(counters);
        return rc;
    }
    *out = counters;
    return 0;
}

void kg_counters_free(struct kg_counters *counters)
{
    if (!counters)
        return;
    for (int i = 0; i < KG_PERIODS; i++) {
        if (counters->tables[i].lines)
            munmap(counters->tables[i].lines, table_bytes(&counters->tables[i]));
    }
    free(counters);
}

struct kg_counter_name kg_counters_name(const struct kg_counters *counters, struct kg_slice scope,
                                        struct kg_slice who, bool made_up)
{
    struct kg_counter_name name = { .made_up = made_up };

    kg_siphash(&counters->key, scope, who, name.hash);
    return name;
}

/* ---- windows ---- */

static uint64_t newest(const struct kg_counter_table *table)
{
    return atomic_load_explicit(&table->newest, memory_order_acquire);
}

/*
 * The window to count in: the latest that anybody has come to. A time that lies before it may only be late;
 * the clock, read after `known` was, is not, unless it has been set back.
 */
static uint64_t enter_window(struct kg_counter_table *table, int64_t now)
{
    uint64_t known = newest(table), window = kg_window_of(table->period, now).number;

    while (window != known) {
        if (window < known)
            window = kg_window_of(table->period, table->clock()).number;
        if (window == known)
            break;
        /* Before anything is written into a new window, so that whoever sees that also sees this. */
        if (atomic_compare_exchange_weak_explicit(&table->newest, &known, window, memory_order_acq_rel,
                                                  memory_order_acquire))
            break;
    }
    return window;
}

/* Whether a word was written in a window later than ours, so that ours is over; not in one that was the
 * future before the clock was set back. */
static bool is_over(const struct kg_counter_table *table, uint64_t window, uint64_t word)
{
    return word >> table->shift > window && newest(table) != window;
}

/* ---- finding a place ---- */

struct search {
    struct kg_counter_table *table;
    uint64_t window;
    uint64_t words[WORDS];
    bool takes, made_up;
};

enum place { PLACE_OURS, PLACE_ANOTHERS, PLACE_FREE, PLACE_OVER };

static struct search search_for(struct kg_counter_table *table, const struct kg_counter_name *name,
                                int64_t now, bool takes)
{
    struct search search = { .table = table, .takes = takes, .made_up = name->made_up };
    uint64_t mask = (UINT64_C(1) << table->shift) - 1;

    search.window = enter_window(table, now);
    search.words[0] = search.window << table->shift | (name->hash[0] & mask);
    search.words[1] = search.window << table->shift | (name->hash[1] & mask);
    search.words[2] = search.window << table->shift | (name->hash[0] >> 32);
    return search;
}

/* Those of another window are none. */
static uint64_t taken_in(const struct kg_counter_table *table, uint64_t window)
{
    uint64_t taken = atomic_load_explicit(&table->taken, memory_order_relaxed);

    return taken >> TAKEN_BITS == window ? taken & UINT32_MAX : 0;
}

static void count_taken(struct kg_counter_table *table, uint64_t window)
{
    uint64_t taken = atomic_load_explicit(&table->taken, memory_order_relaxed), next;

    do {
        next = taken >> TAKEN_BITS == window ? taken + 1 : window << TAKEN_BITS | 1;
    } while (!atomic_compare_exchange_weak_explicit(&table->taken, &taken, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

static bool may_take(const struct search *search)
{
    return search->takes &&
           (!search->made_up || taken_in(search->table, search->window) < search->table->made_up_most);
}

static enum place look_at(const struct search *search, struct kg_counter_entry *entry)
{
    const struct kg_counter_table *table = search->table;

    for (size_t i = 0; i < WORDS; i++) {
        uint64_t is = atomic_load_explicit(&entry->name[i], memory_order_acquire);

        while (is >> table->shift != search->window) {
            if (is_over(table, search->window, is))
                return PLACE_OVER;
            if (i == 0 ? !may_take(search) : !search->takes)
                return PLACE_FREE;
            if (!atomic_compare_exchange_weak_explicit(&entry->name[i], &is, search->words[i],
                                                       memory_order_acq_rel, memory_order_acquire))
                continue;
            if (i == 0)
                count_taken(search->table, search->window);
            is = search->words[i];
        }
        if (is != search->words[i])
            return PLACE_ANOTHERS;
    }
    return PLACE_OURS;
}

/* The entry, or where the search ended without one. */
static enum place probe(const struct search *search, const struct kg_counter_name *name,
                        struct kg_counter_entry **entry)
{
    uint64_t at = name->hash[1] >> 32, step = name->hash[0] >> 32 | 1;

    for (size_t i = 0; i < PROBES && i <= search->table->line_mask; i++, at += step) {
        struct line *line = &search->table->lines[at & search->table->line_mask];

        for (size_t j = 0; j < IN_LINE; j++) {
            enum place place = look_at(search, &line->entries[j]);

            *entry = &line->entries[j];
            if (place != PLACE_ANOTHERS)
                return place;
        }
    }
    return PLACE_ANOTHERS;
}

static bool find(struct kg_counters *counters, const struct kg_counter_name *name, enum kg_period period,
                 int64_t now, bool takes, struct kg_counter *counter)
{
    struct kg_counter_table *table = &counters->tables[period];
    struct kg_counter_entry *entry;
    struct search search;
    enum place place;

    do {
        search = search_for(table, name, now, takes);
        place = probe(&search, name, &entry);
    } while (place == PLACE_OVER);
    *counter = (struct kg_counter){ table, place == PLACE_OURS ? entry : NULL, search.window };
    return place == PLACE_OURS;
}

bool kg_counters_get(struct kg_counters *counters, const struct kg_counter_name *name, enum kg_period period,
                     int64_t now, struct kg_counter *counter)
{
    if (find(counters, name, period, now, true, counter))
        return true;
    atomic_fetch_add_explicit(&counters->refused, 1, memory_order_relaxed);
    return false;
}

void kg_counters_peek(struct kg_counters *counters, const struct kg_counter_name *name, enum kg_period period,
                      int64_t now, struct kg_counter *counter)
{
    find(counters, name, period, now, false, counter);
}

/* ---- counting ---- */

static uint64_t value_of(const struct kg_counter *counter, uint64_t word)
{
    unsigned shift = counter->table->shift;

    return word >> shift == counter->window ? word & ((UINT64_C(1) << shift) - 1) : 0;
}

uint64_t kg_counter_value(const struct kg_counter *counter)
{
    if (!counter->entry)
        return 0;
    return value_of(counter, atomic_load_explicit(&counter->entry->count, memory_order_acquire));
}

enum kg_counted kg_counter_add(const struct kg_counter *counter, uint64_t limit, uint64_t *value)
{
    const struct kg_counter_table *table = counter->table;
    uint64_t most = (UINT64_C(1) << table->shift) - 1;
    uint64_t word = atomic_load_explicit(&counter->entry->count, memory_order_relaxed);

    /* The entry has been found to be ours in this window, so a count of an earlier one is of whoever had it
     * before, and ours begins with 0. */
    do {
        if (is_over(table, counter->window, word))
            return KG_ENDED;
        *value = value_of(counter, word);
        if (*value >= limit || *value == most)
            return KG_AT_LIMIT;
    } while (!atomic_compare_exchange_weak_explicit(&counter->entry->count, &word,
                                                    (counter->window << table->shift) + *value + 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
    ++*value;
    return KG_COUNTED;
}

void kg_counter_give_back(const struct kg_counter *counter)
{
    uint64_t word = atomic_load_explicit(&counter->entry->count, memory_order_relaxed);

    do {
        if (value_of(counter, word) == 0)
            return; /* with its window */
    } while (!atomic_compare_exchange_weak_explicit(&counter->entry->count, &word, word - 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
}

uint64_t kg_counters_in_use(const struct kg_counters *counters, int64_t now)
{
    uint64_t sum = 0;

    for (int i = 0; i < KG_PERIODS; i++)
        sum += taken_in(&counters->tables[i], kg_window_of((enum kg_period)i, now).number);
    return sum;
}

uint64_t kg_counters_refused(const struct kg_counters *counters)
{
    return atomic_load_explicit(&counters->refused, memory_order_relaxed);
}
