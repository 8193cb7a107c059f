/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one bounds-checked builder of bytes. It fills a caller's buffer; the first piece that does not fit sets
 * `overflow` and is left out, as is all that follows, so a caller checks once at the end. `len <= cap`
 * always. One thread at a time.
 */
#ifndef KG_BASE_WRITER_H
#define KG_BASE_WRITER_H

#include "base/slice.h"

struct kg_writer {
    char *buf;
    size_t len, cap;
    bool overflow;
};

static inline struct kg_writer kg_writer_of(char *buf, size_t cap)
{
    return (struct kg_writer){ .buf = buf, .cap = cap };
}

static inline struct kg_slice kg_writer_slice(const struct kg_writer *w)
{
    return (struct kg_slice){ w->buf, w->len };
}

static inline void kg_put(struct kg_writer *w, struct kg_slice s)
{
    if (__builtin_expect(w->overflow || s.len > w->cap - w->len, 0)) {
        w->overflow = true;
        return;
    }
    if (s.len > 0)
        memcpy(w->buf + w->len, s.ptr, s.len);
    w->len += s.len;
}

/* A string literal. */
#define KG_PUT(w, lit) kg_put((w), KG_SLICE(lit))

static inline void kg_put_char(struct kg_writer *w, char c)
{
    kg_put(w, kg_slice_of(&c, 1));
}

/* Takes back all behind the first `len` bytes; `overflow` stays. */
static inline void kg_writer_cut(struct kg_writer *w, size_t len)
{
    if (len < w->len)
        w->len = len;
}

/* Decimal, no padding. */
void kg_put_u64(struct kg_writer *w, uint64_t value);

/* Lower-case hexadecimal without leading zeros ("0" for 0): a chunk size. */
void kg_put_hex(struct kg_writer *w, uint64_t value);

/* Each byte as two lower-case hex digits. */
void kg_put_hex_bytes(struct kg_writer *w, const uint8_t *bytes, size_t len);

/* The inside of a JSON string (RFC 8259, 7): quotes, backslashes and controls escaped; no surrounding quotes.
 */
void kg_put_json(struct kg_writer *w, struct kg_slice s);

#endif
