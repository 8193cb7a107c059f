/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/usage.h"
#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

_Static_assert((KG_SIGNALS & (KG_SIGNALS - 1)) == 0, "positions wrap around as uint32_t do");

void kg_usage_table_init(struct kg_usage_table *table, uint32_t slots)
{
    KG_ASSERT(slots > 0);
    table->slots = slots;
    table->usage = kg_calloc(slots, sizeof(*table->usage));
    table->dirty = kg_calloc((slots + 63) / 64, sizeof(*table->dirty));
}

void kg_usage_table_free(struct kg_usage_table *table)
{
    free(table->usage);
    free(table->dirty);
    *table = (struct kg_usage_table){ 0 };
}

/*
 * head and tail count all signals ever pushed and popped. Both sides publish their own position and then look
 * at the other's, sequentially consistent: either the control thread still sees the new signal, or the worker
 * sees an emptied queue and wakes it. With weaker order both could miss, and the signal would wait for the
 * next.
 */
bool kg_signal_push(struct kg_signal_queue *queue, const struct kg_signal *signal)
{
    uint32_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_acquire);

    if (head - tail == KG_SIGNALS) {
        kg_usage_add(&queue->dropped, 1);
        return false;
    }
    queue->items[head % KG_SIGNALS] = *signal;
    atomic_store_explicit(&queue->head, head + 1, memory_order_seq_cst);
    return atomic_load_explicit(&queue->tail, memory_order_seq_cst) == head;
}

bool kg_signal_pop(struct kg_signal_queue *queue, struct kg_signal *signal)
{
    uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&queue->head, memory_order_seq_cst);

    if (head == tail)
        return false;
    *signal = queue->items[tail % KG_SIGNALS];
    atomic_store_explicit(&queue->tail, tail + 1, memory_order_seq_cst);
    return true;
}
