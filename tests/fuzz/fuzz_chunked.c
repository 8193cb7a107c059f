/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for the chunked decoder: a body decoded whole and decoded in pieces gives the same. The
 * first two bytes of the input say where it is cut. Links with user/http and user/base.
 */
#include "base/assert.h"
#include "http/chunked.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct kg_chunked state;
    char *data; /* room for all of the input */
    size_t len, used;
    int rc;
    const char *why;
};

static struct outcome begin(size_t size)
{
    return (struct outcome){ .data = malloc(size > 0 ? size : 1) };
}

/* Feeds one piece from a buffer of exactly its size, so that AddressSanitizer sees every step outside. */
static void feed(struct outcome *o, const uint8_t *data, size_t size)
{
    size_t got = 0, used = 0;
    char *piece;

    if (o->rc != 0 || o->state.done)
        return;
    piece = malloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(piece, data, size);
    o->rc = kg_chunked_decode(&o->state, piece, size, &got, &used, &o->why);
    KG_ASSERT(got <= used && used <= size);
    KG_ASSERT(o->rc == 0 || (o->rc == -EPROTO && o->why != NULL));
    KG_ASSERT(o->rc != 0 || o->state.done || used == size);
    memcpy(o->data + o->len, piece, got);
    o->len += got;
    o->used += used;
    free(piece);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    KG_ASSERT(a->rc == b->rc && a->why == b->why);
    KG_ASSERT(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
    KG_ASSERT(a->used == b->used && a->state.done == b->state.done);
    KG_ASSERT(a->state.state == b->state.state && a->state.left == b->state.left);
    KG_ASSERT(a->state.overhead == b->state.overhead);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, cut, bytes;
    size_t at;

    if (size < 2)
        return 0;
    at = (size_t)data[0] << 8 | data[1];
    data += 2;
    size -= 2;
    at = size > 0 ? at % size : 0;
    whole = begin(size);
    cut = begin(size);
    bytes = begin(size);
    feed(&whole, data, size);
    feed(&cut, data, at);
    feed(&cut, data + at, size - at);
    for (size_t i = 0; i < size; i++)
        feed(&bytes, data + i, 1);
    check_same(&whole, &cut);
    check_same(&whole, &bytes);
    free(whole.data);
    free(cut.data);
    free(bytes.data);
    return 0;
}
