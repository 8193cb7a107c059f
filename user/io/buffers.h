/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for bytes in transit, one set for each worker thread.
 *
 * Receive buffers are shared by all connections of a worker through a provided-buffer ring (kernel 5.19): the
 * kernel picks one when data is there, so that idle connections hold none. A buffer is given back within the
 * same loop turn or as soon as a non-blocking send has taken its bytes: what must wait for a slow peer is
 * copied into blocks first, so that strangers who do not read cannot drain the ring.
 *
 * Blocks are private memory of one connection: heads being collected or built, bytes waiting for a slow peer.
 */
#ifndef KG_IO_BUFFERS_H
#define KG_IO_BUFFERS_H

#include "base/error.h"

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

struct kg_buffers {
    struct io_uring_buf_ring *ring;
    char *memory;
    uint16_t *holders; /* for each buffer: who still needs its bytes; 0 = the kernel has it */
    uint32_t count, size;
    uint32_t with_kernel;
    uint32_t returned; /* added to the ring since the last publish */
};

#define KG_BUFFER_GROUP 1

/* Registers `count` (a power of two) buffers of `size` bytes with the ring. 0 or -errno with a sentence. */
int kg_buffers_init(struct kg_buffers *buffers, struct io_uring *uring, uint32_t count, uint32_t size,
                    struct kg_error *err);
void kg_buffers_free(struct kg_buffers *buffers, struct io_uring *uring);

static inline char *kg_buffers_at(const struct kg_buffers *buffers, uint16_t id)
{
    return buffers->memory + (size_t)id * buffers->size;
}

/* The kernel has filled this buffer: its first holder is the caller. */
void kg_buffers_took(struct kg_buffers *buffers, uint16_t id);
void kg_buffers_hold(struct kg_buffers *buffers, uint16_t id);
/* The last holder's release gives it back; visible to the kernel at the next publish. */
void kg_buffers_release(struct kg_buffers *buffers, uint16_t id);
void kg_buffers_publish(struct kg_buffers *buffers);

/* A block: `start..end` of data[size] holds bytes. States: free (in the pool) or owned by one connection. */
struct kg_block {
    struct kg_block *next;
    uint32_t start, end, size;
    char data[];
};

static inline uint32_t kg_block_used(const struct kg_block *block)
{
    return block->end - block->start;
}

static inline uint32_t kg_block_room(const struct kg_block *block)
{
    return block->size - block->end;
}

struct kg_blocks {
    struct kg_block *free;
    uint32_t block_size;
    uint32_t idle, idle_max; /* blocks kept for reuse; more are given back to the allocator */
    uint64_t in_use;
};

void kg_blocks_init(struct kg_blocks *pool, uint32_t block_size, uint32_t idle_max);
void kg_blocks_free(struct kg_blocks *pool);
/* An empty block; never NULL (the number of connections bounds how many there are). */
struct kg_block *kg_block_new(struct kg_blocks *pool);
void kg_block_release(struct kg_blocks *pool, struct kg_block *block);

/* A list of blocks, oldest first: bytes received that nobody could take yet. Zeroed memory is the empty
 * chain. */
struct kg_chain {
    struct kg_block *first, *last;
    size_t bytes;
};

void kg_chain_append(struct kg_chain *chain, struct kg_blocks *pool, const char *ptr, size_t len);
/* Takes `len` bytes, at most what the first block holds, off the front. */
void kg_chain_consume(struct kg_chain *chain, struct kg_blocks *pool, size_t len);
/* Adds a block, which may be empty, at the end. */
void kg_chain_add(struct kg_chain *chain, struct kg_block *block);
/* Takes the first block off, bytes and all. */
struct kg_block *kg_chain_take(struct kg_chain *chain);
void kg_chain_clear(struct kg_chain *chain, struct kg_blocks *pool);

#endif
