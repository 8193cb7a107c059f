/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/arena.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdalign.h>
#include <stdlib.h>

#define ALIGN       alignof(max_align_t)
#define FIRST_CHUNK 512
#define CHUNK_MAX   65536

struct kg_arena_chunk {
    struct kg_arena_chunk *next;
    size_t size;
    alignas(max_align_t) char bytes[];
};

/* Chunks double, so that a small entity costs little and a large picture few calls. */
static void grow(struct kg_arena *arena, size_t need)
{
    size_t size = arena->chunks ? arena->chunks->size * 2 : FIRST_CHUNK;

    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    if (size < need)
        size = need;
    struct kg_arena_chunk *chunk = kg_calloc(1, sizeof(*chunk) + size);
    chunk->next = arena->chunks;
    chunk->size = size;
    arena->chunks = chunk;
    arena->at = chunk->bytes;
    arena->left = size;
}

void *kg_arena_calloc(struct kg_arena *arena, size_t count, size_t size)
{
    size_t need;

    KG_ASSERT(!__builtin_mul_overflow(count, size, &need) && need <= SIZE_MAX / 2);
    need = need > 0 ? (need + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    if (need > arena->left)
        grow(arena, need);
    void *ptr = arena->at;
    arena->at += need;
    arena->left -= need;
    return ptr;
}

struct kg_slice kg_arena_copy(struct kg_arena *arena, struct kg_slice bytes)
{
    char *copy = kg_arena_calloc(arena, bytes.len + 1, 1);

    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    return kg_slice_of(copy, bytes.len);
}

struct kg_slice kg_arena_lower(struct kg_arena *arena, struct kg_slice bytes)
{
    char *copy = kg_arena_calloc(arena, bytes.len + 1, 1);

    for (size_t i = 0; i < bytes.len; i++)
        copy[i] = kg_lower(bytes.ptr[i]);
    return kg_slice_of(copy, bytes.len);
}

void kg_arena_free(struct kg_arena *arena)
{
    while (arena->chunks) {
        struct kg_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    *arena = (struct kg_arena){ 0 };
}

void kg_arena_wipe(struct kg_arena *arena)
{
    for (struct kg_arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->next)
        kg_wipe(chunk->bytes, chunk->size);
    kg_arena_free(arena);
}
