/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one bounds-checked reader of bytes: a position that only moves forward inside [pos, end]. All parsers
 * read through it; none touches the bytes behind `end`. One thread at a time.
 */
#ifndef KG_BASE_CURSOR_H
#define KG_BASE_CURSOR_H

#include "base/slice.h"

#include <endian.h>

struct kg_cursor {
    const char *pos, *end;
};

static inline struct kg_cursor kg_cursor_of(struct kg_slice s)
{
    /* The empty slice may have no bytes to point at, and NULL + 0 is undefined in C. */
    return (struct kg_cursor){ s.ptr, s.len > 0 ? s.ptr + s.len : s.ptr };
}

static inline size_t kg_cursor_left(const struct kg_cursor *c)
{
    return (size_t)(c->end - c->pos);
}

/* The byte at offset `ahead` without moving, or -1 when there is none. */
static inline int kg_cursor_peek(const struct kg_cursor *c, size_t ahead)
{
    return ahead < kg_cursor_left(c) ? (unsigned char)c->pos[ahead] : -1;
}

/* Takes the byte when it is `want`: true and moved, or false and not moved. */
static inline bool kg_cursor_take(struct kg_cursor *c, char want)
{
    if (c->pos == c->end || *c->pos != want)
        return false;
    c->pos++;
    return true;
}

/* Takes as many bytes as `allowed` (a table of 256) permits. */
static inline struct kg_slice kg_cursor_span(struct kg_cursor *c, const uint8_t allowed[256])
{
    const char *start = c->pos;

    while (c->pos < c->end && allowed[(unsigned char)*c->pos])
        c->pos++;
    return kg_slice_of(start, (size_t)(c->pos - start));
}

/* The bits 0x80 of those bytes of a word that are controls or DEL; exact for the lowest one, which is all
 * that is asked. */
static inline uint64_t kg_cursor_controls(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t del = word ^ (ones * 0x7f);

    return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & tops;
}

/* Takes text: HTAB, SP, and every byte but the controls and DEL. Eight bytes at a time, since most of a head
 * is this. */
static inline struct kg_slice kg_cursor_text(struct kg_cursor *c)
{
    const char *start = c->pos;

    for (;;) {
        uint64_t word, hits = 0;

        while (kg_cursor_left(c) >= sizeof(word)) {
            memcpy(&word, c->pos, sizeof(word));
            hits = kg_cursor_controls(le64toh(word));
            if (hits != 0)
                break;
            c->pos += sizeof(word);
        }
        if (hits != 0)
            c->pos += (unsigned)__builtin_ctzll(hits) / 8;
        while (c->pos < c->end && ((unsigned char)*c->pos >= 0x20 && *c->pos != 0x7f))
            c->pos++;
        if (!(c->pos < c->end && *c->pos == '\t'))
            return kg_slice_of(start, (size_t)(c->pos - start));
        c->pos++;
    }
}

/* Takes exactly `len` bytes into *out; false and not moved when fewer are left. */
static inline bool kg_cursor_bytes(struct kg_cursor *c, size_t len, struct kg_slice *out)
{
    if (len > kg_cursor_left(c))
        return false;
    *out = kg_slice_of(c->pos, len);
    c->pos += len;
    return true;
}

#endif
