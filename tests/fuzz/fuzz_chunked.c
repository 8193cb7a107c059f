/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for the chunked decoder: it takes what a plain second reading of RFC 9112, 7.1, takes and
 * nothing else; wherever the body is cut, the same comes out; and what came out, in chunks again, is the
 * same body.
 */
#include "check.h"
#include "http/chunked.h"

#include <errno.h>

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
static void feed(struct outcome *o, struct kg_slice part)
{
    size_t got = 0, used = 0;
    char *piece;

    if (o->rc != 0 || o->state.done)
        return;
    piece = malloc(part.len > 0 ? part.len : 1);
    memcpy(piece, part.ptr, part.len);
    o->rc = kg_chunked_decode(&o->state, piece, part.len, &got, &used, &o->why);
    KG_ASSERT(got <= used && used <= part.len);
    KG_ASSERT(o->rc == 0 || (o->rc == -EPROTO && o->why != NULL));
    KG_ASSERT(o->rc != 0 || o->state.done || used == part.len);
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

static void check_cuts(struct kg_slice body, const struct outcome *whole)
{
    struct outcome bytes = begin(body.len);
    size_t step = body.len / CUTS_MAX + 1;

    for (size_t at = 0; at <= body.len; at += step) {
        struct outcome cut = begin(body.len);

        feed(&cut, kg_slice_of(body.ptr, at));
        feed(&cut, kg_slice_of(body.ptr + at, body.len - at));
        check_same(whole, &cut);
        free(cut.data);
    }
    for (size_t i = 0; i < body.len; i++)
        feed(&bytes, kg_slice_of(body.ptr + i, 1));
    check_same(whole, &bytes);
    free(bytes.data);
}

/* The line at *at, without its CRLF; false when it does not end there. */
static bool take_line(struct kg_slice body, size_t *at, struct kg_slice *line)
{
    const char *start = body.ptr + *at, *end = memmem(start, body.len - *at, "\r\n", 2);

    if (!end)
        return false;
    *line = kg_slice_of(start, (size_t)(end - start));
    *at += line->len + 2;
    return true;
}

static bool is_text(struct kg_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\t' && ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f))
            return false;
    }
    return true;
}

static bool read_size(struct kg_slice line, uint64_t *size)
{
    struct kg_slice digits = kg_slice_of(line.ptr, kg_slice_find(line, ';'));
    char text[17] = { 0 };

    if (digits.len == 0 || digits.len > 16 || !is_text(line) || line.len - digits.len > KG_CHUNK_EXT_MAX + 1)
        return false;
    memcpy(text, digits.ptr, digits.len);
    if (strspn(text, "0123456789abcdefABCDEF") != digits.len)
        return false;
    *size = strtoull(text, NULL, 16);
    return true;
}

/* Trailers from *at to the empty line. */
static bool read_trailers(struct kg_slice body, size_t *at)
{
    size_t total = 0;
    struct kg_slice line;

    while (take_line(body, at, &line)) {
        size_t colon = kg_slice_find(line, ':');

        if (line.len == 0)
            return true;
        total += line.len + 2;
        if (colon == line.len || !kg_is_token(kg_slice_of(line.ptr, colon)) || !is_text(line) ||
            total > KG_CHUNK_TRAILER_MAX)
            return false;
    }
    return false;
}

/* A second decoder, that sees the whole of a body at once: false when it is not whole or not right. */
static bool read_plainly(struct kg_slice body, struct outcome *o)
{
    struct kg_slice line;

    while (take_line(body, &o->used, &line)) {
        uint64_t size;

        if (!read_size(line, &size))
            return false;
        if (size == 0)
            return read_trailers(body, &o->used);
        if (body.len - o->used < 2 || size > body.len - o->used - 2)
            return false;
        memcpy(o->data + o->len, body.ptr + o->used, (size_t)size);
        o->len += (size_t)size;
        o->used += (size_t)size;
        if (memcmp(body.ptr + o->used, "\r\n", 2) != 0)
            return false;
        o->used += 2;
    }
    return false;
}

static void check_plainly(struct kg_slice body, const struct outcome *whole)
{
    struct outcome plain = begin(body.len);
    bool right = read_plainly(body, &plain);

    /* Only the bound on the overhead tells the two apart, and only in a body long enough. */
    KG_ASSERT(whole->state.done == right || (right && body.len > 60000));
    if (whole->state.done) {
        KG_ASSERT(whole->used == plain.used && whole->len == plain.len);
        KG_ASSERT(memcmp(whole->data, plain.data, plain.len) == 0);
    }
    free(plain.data);
}

/* As a proxy sends it on: the data in new chunks. */
static void check_again(const struct outcome *whole)
{
    size_t cap = whole->len + 64;
    char *text = malloc(cap);
    struct kg_writer out = kg_writer_of(text, cap);
    struct outcome again = begin(cap);

    if (whole->len > 0) {
        kg_put_hex(&out, whole->len);
        KG_PUT(&out, "\r\n");
        kg_put(&out, kg_slice_of(whole->data, whole->len));
        KG_PUT(&out, "\r\n");
    }
    KG_PUT(&out, "0\r\n\r\n");
    KG_ASSERT(!out.overflow);
    feed(&again, kg_writer_slice(&out));
    KG_ASSERT(again.rc == 0 && again.state.done && again.used == out.len && again.len == whole->len);
    KG_ASSERT(memcmp(again.data, whole->data, whole->len) == 0);
    free(again.data);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kg_slice body = input_of(data, size);
    struct outcome whole = begin(size);

    feed(&whole, body);
    check_cuts(body, &whole);
    check_plainly(body, &whole);
    if (whole.state.done)
        check_again(&whole);
    free(whole.data);
    return 0;
}
