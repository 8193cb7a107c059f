/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chunked decoder: a state for each place in the grammar and a handler for each state that takes one
 * framing byte. Data is moved in bulk. A state lives between any two bytes, so it does not matter how input
 * is cut.
 */
#include "http/chunked.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "http/bytes.h"

#include <errno.h>

/* One data byte excuses this many framing bytes; a chunk of one byte has at least five. */
#define EXCUSE 4
/* Framing bytes beyond that are too many: about 64,000 chunks of one byte. */
#define OVERHEAD_MAX 65536
#define DIGITS_MAX   16

enum state {
    SIZE,          /* the first digit of a chunk size */
    SIZE_MORE,     /* more digits, ';' or CR */
    EXTENSION,     /* to the end of the line */
    SIZE_LF,       /* the LF that ends the size line */
    DATA,          /* `left` bytes */
    DATA_CR,       /* the CRLF behind them */
    DATA_LF,       /**/
    TRAILER,       /* the first byte of a trailer line, or the CR of the last line */
    TRAILER_NAME,  /* the rest of a name, and the colon */
    TRAILER_VALUE, /* the value, and the CR */
    TRAILER_LF,    /* the LF that ends a trailer line */
    LAST_LF,       /* the LF that ends the body */
};

static int refuse(const char **why, const char *text)
{
    *why = text;
    return -EPROTO;
}

static int expect(struct kg_chunked *c, bool right, enum state next, const char **why, const char *text)
{
    if (!right)
        return refuse(why, text);
    c->state = (uint8_t)next;
    return 0;
}

static int take_digit(struct kg_chunked *c, unsigned char byte, const char **why)
{
    if (kg_bytes_hex[byte] < 0)
        return refuse(why, "a hex digit expected in a chunk size");
    if (++c->digits > DIGITS_MAX)
        return refuse(why, "a chunk size of more than 16 digits");
    c->left = c->left << 4 | (uint64_t)kg_bytes_hex[byte];
    c->state = SIZE_MORE;
    return 0;
}

static int take_size(struct kg_chunked *c, unsigned char byte, const char **why)
{
    c->left = 0;
    c->digits = 0;
    c->line = 0;
    return take_digit(c, byte, why);
}

static int take_size_more(struct kg_chunked *c, unsigned char byte, const char **why)
{
    if (byte == '\r')
        return expect(c, true, SIZE_LF, why, NULL);
    if (byte == ';')
        return expect(c, true, EXTENSION, why, NULL);
    return take_digit(c, byte, why);
}

static int take_extension(struct kg_chunked *c, unsigned char byte, const char **why)
{
    if (byte == '\r')
        return expect(c, true, SIZE_LF, why, NULL);
    if (++c->line > KG_CHUNK_EXT_MAX)
        return refuse(why, "chunk extensions too long");
    return expect(c, kg_bytes_text[byte], EXTENSION, why, "a byte that may not stand in a chunk extension");
}

static int take_size_lf(struct kg_chunked *c, unsigned char byte, const char **why)
{
    c->line = 0;
    return expect(c, byte == '\n', c->left > 0 ? DATA : TRAILER, why, "a bare CR in a chunk size line");
}

static int take_data_cr(struct kg_chunked *c, unsigned char byte, const char **why)
{
    return expect(c, byte == '\r', DATA_LF, why, "CRLF expected behind the data of a chunk");
}

static int take_data_lf(struct kg_chunked *c, unsigned char byte, const char **why)
{
    return expect(c, byte == '\n', SIZE, why, "CRLF expected behind the data of a chunk");
}

static int take_trailer(struct kg_chunked *c, unsigned char byte, const char **why)
{
    if (byte == '\r')
        return expect(c, true, LAST_LF, why, NULL);
    if (++c->line > KG_CHUNK_TRAILER_MAX)
        return refuse(why, "trailers too long");
    return expect(c, kg_bytes_token[byte], TRAILER_NAME, why, "a trailer name expected");
}

static int take_trailer_name(struct kg_chunked *c, unsigned char byte, const char **why)
{
    if (++c->line > KG_CHUNK_TRAILER_MAX)
        return refuse(why, "trailers too long");
    if (byte == ':')
        return expect(c, true, TRAILER_VALUE, why, NULL);
    return expect(c, kg_bytes_token[byte], TRAILER_NAME, why,
                  "a colon expected right after the trailer name");
}

static int take_trailer_value(struct kg_chunked *c, unsigned char byte, const char **why)
{
    if (++c->line > KG_CHUNK_TRAILER_MAX)
        return refuse(why, "trailers too long");
    if (byte == '\r')
        return expect(c, true, TRAILER_LF, why, NULL);
    return expect(c, kg_bytes_text[byte], TRAILER_VALUE, why, "a byte that may not stand in a trailer");
}

static int take_trailer_lf(struct kg_chunked *c, unsigned char byte, const char **why)
{
    if (++c->line > KG_CHUNK_TRAILER_MAX)
        return refuse(why, "trailers too long");
    return expect(c, byte == '\n', TRAILER, why, "a bare CR in a trailer");
}

static int take_last_lf(struct kg_chunked *c, unsigned char byte, const char **why)
{
    c->done = byte == '\n';
    return expect(c, c->done, LAST_LF, why, "a bare CR at the end of the body");
}

static int (*const handlers[])(struct kg_chunked *c, unsigned char byte, const char **why) = {
    [SIZE] = take_size,
    [SIZE_MORE] = take_size_more,
    [EXTENSION] = take_extension,
    [SIZE_LF] = take_size_lf,
    [DATA_CR] = take_data_cr,
    [DATA_LF] = take_data_lf,
    [TRAILER] = take_trailer,
    [TRAILER_NAME] = take_trailer_name,
    [TRAILER_VALUE] = take_trailer_value,
    [TRAILER_LF] = take_trailer_lf,
    [LAST_LF] = take_last_lf,
};

/* Takes what there is of the current chunk's data to `to`, which lies at or before it in the same buffer. */
static size_t take_data(struct kg_chunked *c, struct kg_cursor *in, char *to)
{
    size_t len = kg_cursor_left(in) < c->left ? kg_cursor_left(in) : (size_t)c->left;
    uint64_t excused = len > OVERHEAD_MAX ? OVERHEAD_MAX : len * EXCUSE;
    struct kg_slice data;
    bool taken = kg_cursor_bytes(in, len, &data);

    KG_ASSERT(taken);
    if (data.ptr != to)
        memmove(to, data.ptr, len);
    c->left -= len;
    c->overhead -= excused < c->overhead ? excused : c->overhead;
    if (c->left == 0)
        c->state = DATA_CR;
    return len;
}

static int take_framing(struct kg_chunked *c, struct kg_cursor *in, const char **why)
{
    unsigned char byte = (unsigned char)kg_cursor_peek(in, 0);
    int rc;

    KG_ASSERT(c->state < sizeof(handlers) / sizeof(handlers[0]) && handlers[c->state]);
    if (++c->overhead > OVERHEAD_MAX)
        return refuse(why, "far more chunk framing than data");
    rc = handlers[c->state](c, byte, why);
    if (rc == 0)
        kg_cursor_take(in, (char)byte);
    return rc;
}

int kg_chunked_decode(struct kg_chunked *c, char *buf, size_t len, size_t *data, size_t *used,
                      const char **why)
{
    struct kg_cursor in = kg_cursor_of(kg_slice_of(buf, len));
    const char *section = buf; /* where the trailer section begins */
    int rc = 0;

    *data = 0;
    while (rc == 0 && !c->done && kg_cursor_left(&in) > 0) {
        bool before = c->state < TRAILER;

        if (c->state == DATA)
            *data += take_data(c, &in, buf + *data);
        else
            rc = take_framing(c, &in, why);
        if (before)
            section = in.pos;
    }
    c->trailer = (uint32_t)(in.pos - section);
    *used = len - kg_cursor_left(&in);
    return rc;
}
