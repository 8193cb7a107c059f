/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/send_queue.h"
#include "base/assert.h"
#include "io/ring.h"

#include <stdlib.h>
#include <string.h>

void kg_send_queues_init(struct kg_send_queues *pool, uint32_t idle_max)
{
    *pool = (struct kg_send_queues){ .idle_max = idle_max };
}

void kg_send_queues_free(struct kg_send_queues *pool)
{
    while (pool->free) {
        struct kg_send_queue *queue = pool->free;

        pool->free = queue->next;
        free(queue);
    }
    pool->idle = 0;
}

struct kg_send_queue *kg_send_queue_new(struct kg_send_queues *pool)
{
    struct kg_send_queue *queue = pool->free;

    pool->in_use++;
    if (!queue) {
        queue = malloc(sizeof(*queue));
        KG_ASSERT(queue != NULL);
    } else {
        pool->free = queue->next;
        pool->idle--;
    }
    queue->next = NULL;
    queue->head = queue->count = 0;
    queue->offset = 0;
    return queue;
}

void kg_send_queue_release(struct kg_send_queues *pool, struct kg_send_queue *queue)
{
    KG_ASSERT(pool->in_use > 0 && queue->count == 0);
    pool->in_use--;
    if (pool->idle >= pool->idle_max) {
        free(queue);
        return;
    }
    queue->next = pool->free;
    pool->free = queue;
    pool->idle++;
}

struct kg_segment *kg_send_queue_add(struct kg_send_queue *queue, uint8_t kind, const char *ptr, size_t len)
{
    KG_ASSERT(queue->count < KG_SEGMENTS && len <= UINT32_MAX);
    struct kg_segment *segment = kg_send_queue_at(queue, queue->count++);

    segment->kind = kind;
    segment->ptr = ptr;
    segment->len = (uint32_t)len;
    return segment;
}

struct iovec kg_send_queue_bytes(struct kg_send_queue *queue, unsigned i)
{
    const struct kg_segment *segment = kg_send_queue_at(queue, i);
    size_t cut = i == 0 ? queue->offset : 0;

    return (struct iovec){ .iov_base = (void *)(uintptr_t)(segment->ptr + cut),
                           .iov_len = segment->len - cut };
}

static void release_segment(struct kg_ring *ring, struct kg_segment *segment)
{
    if (segment->kind == KG_SEG_BUFFER)
        kg_buffers_release(&ring->buffers, segment->buffer);
    if (segment->kind == KG_SEG_BLOCK)
        kg_block_release(&ring->blocks, segment->block);
    segment->kind = KG_SEG_STATIC;
}

static void drop_first(struct kg_send_queue *queue, struct kg_ring *ring)
{
    release_segment(ring, kg_send_queue_at(queue, 0));
    queue->head = (queue->head + 1) % KG_SEGMENTS;
    queue->count--;
}

void kg_send_queue_consume(struct kg_send_queue *queue, struct kg_ring *ring, uint32_t len)
{
    len += queue->offset;
    while (queue->count > 0 && len >= kg_send_queue_at(queue, 0)->len) {
        len -= kg_send_queue_at(queue, 0)->len;
        drop_first(queue, ring);
    }
    queue->offset = len;
}

void kg_send_queue_clear(struct kg_send_queue *queue, struct kg_ring *ring)
{
    while (queue->count > 0)
        drop_first(queue, ring);
    queue->offset = 0;
}

void kg_send_queue_spill(struct kg_send_queue *queue, struct kg_ring *ring)
{
    for (unsigned i = 0; i < queue->count; i++) {
        struct kg_segment *segment = kg_send_queue_at(queue, i);

        if (segment->kind != KG_SEG_BUFFER)
            continue;
        struct kg_block *block = kg_block_new(&ring->blocks);
        KG_ASSERT(segment->len <= block->size);
        memcpy(block->data, segment->ptr, segment->len);
        block->end = segment->len;
        release_segment(ring, segment);
        segment->kind = KG_SEG_BLOCK;
        segment->block = block;
        segment->ptr = block->data;
    }
}
