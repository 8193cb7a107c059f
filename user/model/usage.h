/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What workers tell the control thread: counters for each consumer slot, and signals of abuse. Each worker
 * owns one of each and is their only writer; the control thread only reads. All fields are relaxed atomics: a
 * plain store on every machine we run on.
 */
#ifndef KG_MODEL_USAGE_H
#define KG_MODEL_USAGE_H

#include "base/addr.h"

#include <stdatomic.h>

struct kg_usage {
    _Atomic uint64_t requests, status_2xx, status_3xx, status_4xx, status_5xx, denied, rate_limited, bytes_in,
        bytes_out, last_seen;
};

/* One worker's counters, one for each slot of consumer_stats, and a bitmap of the slots touched since the
 * last flush. */
struct kg_usage_table {
    uint32_t slots;
    struct kg_usage *usage;
    _Atomic uint64_t *dirty; /* bit = slot; set by the worker, exchanged with 0 by the control thread */
};

void kg_usage_table_init(struct kg_usage_table *table, uint32_t slots);
void kg_usage_table_free(struct kg_usage_table *table);

static inline void kg_usage_add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

/* Marks a slot as touched: after its counters were changed. */
static inline void kg_usage_touch(struct kg_usage_table *table, uint32_t slot)
{
    _Atomic uint64_t *word = &table->dirty[slot / 64];
    uint64_t bit = 1ull << (slot % 64);

    if (!(atomic_load_explicit(word, memory_order_relaxed) & bit))
        atomic_fetch_or_explicit(word, bit, memory_order_release);
}

enum kg_signal_kind {
    KG_SIGNAL_WRONG_KEY,
    KG_SIGNAL_MISSING_KEY,
    KG_SIGNAL_MALFORMED,
};

struct kg_signal {
    struct kg_addr source;
    enum kg_signal_kind kind;
};

/* Bounded single-producer single-consumer queue of signals. A full one drops and counts. */
#define KG_SIGNALS 4096

struct kg_signal_queue {
    _Alignas(64) _Atomic uint32_t head; /* written by the worker */
    _Alignas(64) _Atomic uint32_t tail; /* written by the control thread */
    _Atomic uint64_t dropped;
    struct kg_signal items[KG_SIGNALS];
};

/* Worker: true when the queue was empty before, so that the control thread must be woken. */
bool kg_signal_push(struct kg_signal_queue *queue, const struct kg_signal *signal);
/* Control thread: false when there is none. */
bool kg_signal_pop(struct kg_signal_queue *queue, struct kg_signal *signal);

#endif
