/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for trailers: the section that the chunked decoder shows is the same however the body is
 * cut; what it lets through the head parser takes; what is re-made of it holds only fields that may pass, and
 * is itself what would be made of it again. Links with user/http and user/base.
 */
#include "base/assert.h"
#include "http/chunked.h"
#include "http/trailer.h"

#include <stdlib.h>

#define ROOM (KG_CHUNK_TRAILER_MAX + 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kg_head_limits limits = { .line = 8192, .bytes = 32768, .headers = 100 };

struct section {
    struct kg_chunked state;
    char text[ROOM];
    size_t len;
    int rc;
};

static void feed(struct section *s, const uint8_t *data, size_t size)
{
    char *piece = malloc(size > 0 ? size : 1);
    size_t got, used;
    const char *why;

    if (size > 0)
        memcpy(piece, data, size);
    if (s->rc == 0)
        s->rc = kg_chunked_decode(&s->state, piece, size, &got, &used, &why);
    if (s->rc == 0) {
        KG_ASSERT(got + s->state.trailer <= used && s->len + s->state.trailer <= KG_CHUNK_TRAILER_MAX + 2);
        memcpy(s->text + s->len, piece + used - s->state.trailer, s->state.trailer);
        s->len += s->state.trailer;
    }
    free(piece);
}

static struct kg_slice remake(struct kg_slice section, struct kg_slice named, struct kg_head *head,
                              char *text)
{
    struct kg_writer out = kg_writer_of(text, ROOM);
    const char *why;
    int rc = kg_trailer_remake(section, named, &limits, head, &out, &why);

    KG_ASSERT(!out.overflow && (rc == 0 || rc == -431));
    return rc == 0 ? kg_writer_slice(&out) : kg_slice_of(text, 0);
}

static void check_remade(struct kg_slice section)
{
    static struct kg_head head;
    static char once[ROOM], twice[ROOM];
    struct kg_slice named = KG_SLICE("x-a, x-b"), made = remake(section, named, &head, once);

    memcpy(once + made.len, "\r\n", 2);
    struct kg_slice again = remake(kg_slice_of(once, made.len + 2), named, &head, twice);
    KG_ASSERT(kg_slice_eq(made, again));
    for (size_t i = 0; i < head.count; i++) {
        struct kg_slice name = head.headers[i].name;

        KG_ASSERT(kg_trailer_may_pass(name) && head.headers[i].id != KG_H_IDENTITY);
        KG_ASSERT(!kg_slice_eq_nocase(name, KG_SLICE("x-a")) && !kg_slice_eq_nocase(name, KG_SLICE("x-b")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct section whole, bytes;

    whole = (struct section){ .rc = 0 };
    bytes = (struct section){ .rc = 0 };
    feed(&whole, data, size);
    for (size_t i = 0; i < size; i++)
        feed(&bytes, data + i, 1);
    KG_ASSERT(whole.rc == bytes.rc);
    if (whole.rc != 0)
        return 0;
    KG_ASSERT(kg_slice_eq(kg_slice_of(whole.text, whole.len), kg_slice_of(bytes.text, bytes.len)));
    if (whole.state.done)
        check_remade(kg_slice_of(whole.text, whole.len));
    return 0;
}
