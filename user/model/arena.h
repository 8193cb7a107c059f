/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that is given back all at once: what one picture of the routes, or one stored entity, is made of.
 * Aborts on no memory, like base/mem.h. Control thread only; what lies in it may be read by any thread.
 */
#ifndef KG_MODEL_ARENA_H
#define KG_MODEL_ARENA_H

#include "base/slice.h"

struct kg_arena_chunk;

/* Zeroed memory is an empty arena. */
struct kg_arena {
    struct kg_arena_chunk *chunks;
    char *at;
    size_t left;
};

/* Zeroed, aligned for any type, never NULL. count * size is checked for overflow. */
void *kg_arena_calloc(struct kg_arena *arena, size_t count, size_t size);

/* A copy of the bytes, with a NUL behind them. */
struct kg_slice kg_arena_copy(struct kg_arena *arena, struct kg_slice bytes);
/* The same in lower case. */
struct kg_slice kg_arena_lower(struct kg_arena *arena, struct kg_slice bytes);

void kg_arena_free(struct kg_arena *arena);
/* Zeroes it first: for what may hold secrets. */
void kg_arena_wipe(struct kg_arena *arena);

#endif
