/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/buffers.h"
#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *map_pages(size_t len)
{
    void *pages = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}

int kg_buffers_init(struct kg_buffers *buffers, struct io_uring *uring, uint32_t count, uint32_t size,
                    struct kg_error *err)
{
    size_t ring_len = (size_t)count * sizeof(struct io_uring_buf);

    *buffers = (struct kg_buffers){ .count = count, .size = size };
    buffers->ring = map_pages(ring_len);
    buffers->memory = map_pages((size_t)count * size);
    buffers->holders = kg_calloc(count, sizeof(*buffers->holders));
    if (!buffers->ring || !buffers->memory) {
        kg_buffers_free(buffers, NULL);
        return kg_error_set(err, ENOMEM, "no memory for %u receive buffers of %u bytes", count, size);
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)buffers->ring,
        .ring_entries = count,
        .bgid = KG_BUFFER_GROUP,
    };
    int rc = io_uring_register_buf_ring(uring, &reg, 0);
    if (rc < 0) {
        kg_buffers_free(buffers, NULL);
        return kg_error_set(err, -rc, "the kernel refuses a provided-buffer ring (needs 5.19): %s",
                            strerror(-rc));
    }
    io_uring_buf_ring_init(buffers->ring);
    for (uint32_t id = 0; id < count; id++) {
        buffers->holders[id] = 1;
        kg_buffers_release(buffers, (uint16_t)id);
    }
    kg_buffers_publish(buffers);
    return 0;
}

void kg_buffers_free(struct kg_buffers *buffers, struct io_uring *uring)
{
    if (uring && buffers->ring)
        io_uring_unregister_buf_ring(uring, KG_BUFFER_GROUP);
    if (buffers->ring)
        munmap(buffers->ring, (size_t)buffers->count * sizeof(struct io_uring_buf));
    if (buffers->memory)
        munmap(buffers->memory, (size_t)buffers->count * buffers->size);
    free(buffers->holders);
    *buffers = (struct kg_buffers){ 0 };
}

void kg_buffers_took(struct kg_buffers *buffers, uint16_t id)
{
    KG_ASSERT(id < buffers->count && buffers->holders[id] == 0);
    buffers->holders[id] = 1;
    buffers->with_kernel--;
}

void kg_buffers_hold(struct kg_buffers *buffers, uint16_t id)
{
    KG_ASSERT(id < buffers->count && buffers->holders[id] > 0);
    buffers->holders[id]++;
}

void kg_buffers_release(struct kg_buffers *buffers, uint16_t id)
{
    KG_ASSERT(id < buffers->count && buffers->holders[id] > 0);
    if (--buffers->holders[id] > 0)
        return;
    io_uring_buf_ring_add(buffers->ring, kg_buffers_at(buffers, id), buffers->size, id,
                          io_uring_buf_ring_mask(buffers->count), (int)buffers->returned);
    buffers->returned++;
}

void kg_buffers_publish(struct kg_buffers *buffers)
{
    if (buffers->returned == 0)
        return;
    io_uring_buf_ring_advance(buffers->ring, (int)buffers->returned);
    buffers->with_kernel += buffers->returned;
    buffers->returned = 0;
}

void kg_blocks_init(struct kg_blocks *pool, uint32_t block_size, uint32_t idle_max)
{
    *pool = (struct kg_blocks){ .block_size = block_size, .idle_max = idle_max };
}

void kg_blocks_free(struct kg_blocks *pool)
{
    while (pool->free) {
        struct kg_block *block = pool->free;

        pool->free = block->next;
        free(block);
    }
    pool->idle = 0;
}

struct kg_block *kg_block_new(struct kg_blocks *pool)
{
    struct kg_block *block = pool->free;

    pool->in_use++;
    if (!block) {
        block = malloc(sizeof(*block) + pool->block_size);
        KG_ASSERT(block != NULL);
        block->size = pool->block_size;
    } else {
        pool->free = block->next;
        pool->idle--;
    }
    block->next = NULL;
    block->start = block->end = 0;
    return block;
}

void kg_block_release(struct kg_blocks *pool, struct kg_block *block)
{
    KG_ASSERT(pool->in_use > 0);
    pool->in_use--;
    if (pool->idle >= pool->idle_max) {
        free(block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->idle++;
}

void kg_chain_add(struct kg_chain *chain, struct kg_block *block)
{
    KG_ASSERT(!block->next);
    if (chain->last)
        chain->last->next = block;
    else
        chain->first = block;
    chain->last = block;
    chain->bytes += kg_block_used(block);
}

struct kg_block *kg_chain_take(struct kg_chain *chain)
{
    struct kg_block *block = chain->first;

    KG_ASSERT(block != NULL);
    chain->first = block->next;
    if (!chain->first)
        chain->last = NULL;
    chain->bytes -= kg_block_used(block);
    block->next = NULL;
    return block;
}

void kg_chain_append(struct kg_chain *chain, struct kg_blocks *pool, const char *ptr, size_t len)
{
    chain->bytes += len;
    while (len > 0) {
        if (!chain->last || kg_block_room(chain->last) == 0)
            kg_chain_add(chain, kg_block_new(pool));
        size_t part = kg_block_room(chain->last) < len ? kg_block_room(chain->last) : len;
        memcpy(chain->last->data + chain->last->end, ptr, part);
        chain->last->end += (uint32_t)part;
        ptr += part;
        len -= part;
    }
}

void kg_chain_consume(struct kg_chain *chain, struct kg_blocks *pool, size_t len)
{
    struct kg_block *block = chain->first;

    if (len == 0)
        return;
    KG_ASSERT(block && len <= kg_block_used(block));
    block->start += (uint32_t)len;
    chain->bytes -= len;
    if (kg_block_used(block) > 0)
        return;
    chain->first = block->next;
    if (!chain->first)
        chain->last = NULL;
    kg_block_release(pool, block);
}

void kg_chain_clear(struct kg_chain *chain, struct kg_blocks *pool)
{
    while (chain->first)
        kg_chain_consume(chain, pool, kg_block_used(chain->first));
}
