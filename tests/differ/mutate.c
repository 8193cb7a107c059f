/* SPDX-License-Identifier: BSD-2-Clause */
#include "mutate.h"

struct message {
    char *text;
    size_t len, room;
    struct kg_slice other;
};

static const char *const words[] = {
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    " :",
    ",",
    ";",
    "\r\n ",
    "\r\n\t",
    "\r\n\r\n",
    "0",
    "5",
    "+",
    "-",
    "0x",
    "\v",
    "\x7f",
    "\xff",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length:6\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding:chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "chunked",
    ", chunked",
    "identity",
    "Connection: close\r\n",
    "Connection: upgrade\r\nUpgrade: b\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "Trailer: X\r\n",
    "X: y\r\n",
    ": y\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/2.0",
    "http://a",
    "*",
    "/",
    "GET ",
    "HEAD ",
    "PATCH ",
    "CONNECT ",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    ";a=b",
    ";a=\"b\"",
    "18446744073709551616",
    "9223372036854775807",
    "ffffffffffffffff",
    "00000000",
    " 200 ",
    " 204 ",
    " 304 ",
    " 100 ",
};

static size_t below(struct kg_prng *prng, size_t bound)
{
    return bound > 0 ? (size_t)(kg_prng_next(prng) % bound) : 0;
}

static void replace(struct message *m, size_t at, size_t gone, struct kg_slice with)
{
    if (m->len - gone + with.len > m->room)
        return;
    memmove(m->text + at + with.len, m->text + at + gone, m->len - at - gone);
    memcpy(m->text + at, with.ptr, with.len);
    m->len += with.len - gone;
}

/* A whole line of the text, chosen at random: where it starts and ends, behind its LF. */
static struct kg_slice any_line(struct kg_prng *prng, struct kg_slice text)
{
    size_t start = below(prng, text.len), end = start;

    while (start > 0 && text.ptr[start - 1] != '\n')
        start--;
    while (end < text.len && text.ptr[end++] != '\n')
        ;
    return kg_slice_of(text.ptr + start, end - start);
}

static void change_byte(struct kg_prng *prng, struct message *m)
{
    static const char bytes[] = "\r\n\t \0:,;/*5a\x7f\xff\x01\"(";

    m->text[below(prng, m->len)] = bytes[below(prng, sizeof(bytes) - 1)];
}

static void flip_bit(struct kg_prng *prng, struct message *m)
{
    m->text[below(prng, m->len)] ^= (char)(1u << below(prng, 8));
}

static void insert_word(struct kg_prng *prng, struct message *m)
{
    const char *word = words[below(prng, sizeof(words) / sizeof(words[0]))];

    replace(m, below(prng, m->len + 1), 0, kg_slice_str(word));
}

/* Where headers stand: a word at the start of a line. */
static void insert_line(struct kg_prng *prng, struct message *m)
{
    const char *word = words[below(prng, sizeof(words) / sizeof(words[0]))];
    struct kg_slice line = any_line(prng, kg_slice_of(m->text, m->len));

    replace(m, (size_t)(line.ptr - m->text) + line.len, 0, kg_slice_str(word));
}

static void remove_part(struct kg_prng *prng, struct message *m)
{
    size_t at = below(prng, m->len), part = 1 + below(prng, 8);

    replace(m, at, part < m->len - at ? part : m->len - at, KG_SLICE(""));
}

static void copy_line(struct kg_prng *prng, struct message *m)
{
    char copy[512];
    struct kg_slice line = any_line(prng, below(prng, 2) ? m->other : kg_slice_of(m->text, m->len)), to;

    if (line.len > sizeof(copy))
        return;
    memcpy(copy, line.ptr, line.len);
    to = any_line(prng, kg_slice_of(m->text, m->len));
    replace(m, (size_t)(to.ptr - m->text), below(prng, 2) ? to.len : 0, kg_slice_of(copy, line.len));
}

static void cut_end(struct kg_prng *prng, struct message *m)
{
    m->len -= below(prng, m->len);
}

static void splice(struct kg_prng *prng, struct message *m)
{
    size_t at = below(prng, m->len), from = below(prng, m->other.len);

    replace(m, at, m->len - at, kg_slice_of(m->other.ptr + from, m->other.len - from));
}

static void (*const changes[])(struct kg_prng *prng, struct message *m) = {
    change_byte, flip_bit,  insert_word, insert_word, insert_line, insert_line,
    remove_part, copy_line, copy_line,   cut_end,     splice,
};

size_t mutate(struct kg_prng *prng, char *text, size_t len, size_t room, struct kg_slice other)
{
    struct message m = { text, len, room, other };

    for (size_t left = 1 + below(prng, 3); left > 0 && m.len > 0; left--)
        changes[below(prng, sizeof(changes) / sizeof(changes[0]))](prng, &m);
    return m.len;
}
