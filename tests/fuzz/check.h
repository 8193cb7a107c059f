/* SPDX-License-Identifier: BSD-2-Clause */
/* What the fuzz targets share: what must be true of every head, whoever sent it. */
#ifndef KG_FUZZ_CHECK_H
#define KG_FUZZ_CHECK_H

#include "base/assert.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "http/bytes.h"
#include "http/framing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Prefixes and cuts are quadratic: longer inputs are fed in steps. */
#define CUTS_MAX  128
#define INPUT_MAX 65536

typedef int parse_fn(struct kg_slice input, const struct kg_head_limits *limits, struct kg_head *head,
                     const char **why);

/* The usual limits, and some that inputs of a fuzzer reach. */
static const struct kg_head_limits all_limits[] = {
    { .line = 8192, .bytes = 32768, .headers = 100 },
    { .line = 24, .bytes = 96, .headers = 3 },
};

static inline struct kg_slice input_of(const uint8_t *data, size_t size)
{
    /* libFuzzer hands NULL for its first, empty input. */
    return size > 0 ? kg_slice_of((const char *)data, size) : KG_SLICE("");
}

static inline void check_inside(struct kg_slice part, struct kg_slice whole)
{
    if (part.len == 0)
        return;
    KG_ASSERT(part.ptr >= whole.ptr && part.len <= whole.len);
    KG_ASSERT((size_t)(part.ptr - whole.ptr) <= whole.len - part.len);
}

static inline void check_same_head(const struct kg_head *a, const struct kg_head *b)
{
    KG_ASSERT(kg_slice_eq(a->method_text, b->method_text) && a->method == b->method);
    KG_ASSERT(kg_slice_eq(a->target, b->target) && a->status == b->status);
    KG_ASSERT(kg_slice_eq(a->reason, b->reason) && a->minor == b->minor && a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        KG_ASSERT(kg_slice_eq(a->headers[i].name, b->headers[i].name));
        KG_ASSERT(kg_slice_eq(a->headers[i].value, b->headers[i].value));
        KG_ASSERT(a->headers[i].id == b->headers[i].id);
    }
}

/*
 * A head that comes in pieces: a prefix either asks for more or gives the very result of the whole, and a
 * prefix of a good head asks for more.
 */
static inline void check_prefixes(parse_fn *parse, struct kg_slice input, const struct kg_head_limits *limits,
                                  int result, const char *why)
{
    static struct kg_head head;
    size_t step = input.len / CUTS_MAX + 1;

    for (size_t len = 0; len < input.len; len += step) {
        const char *prefix_why = NULL;
        /* A copy of its own, so that AddressSanitizer sees a read past the end. */
        char *copy = malloc(len > 0 ? len : 1);
        int rc;

        memcpy(copy, input.ptr, len);
        rc = parse(kg_slice_of(copy, len), limits, &head, &prefix_why);
        KG_ASSERT(rc == 0 || rc == result);
        KG_ASSERT(rc >= 0 || prefix_why == why);
        KG_ASSERT(result <= 0 || rc == (len < (size_t)result ? 0 : result));
        free(copy);
    }
}

static inline void check_value(struct kg_slice value)
{
    KG_ASSERT(kg_slice_eq(value, kg_slice_trim(value)));
    for (size_t i = 0; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.ptr[i];

        KG_ASSERT(byte == '\t' || (byte >= ' ' && byte != 0x7f));
    }
}

/* The same question as kg_header_identify's, asked another way: as a CGI server would spell the name. */
static inline bool is_identity_by_spelling(struct kg_slice name)
{
    static const char *const whole[] = { "x-credential-identifier", "x-anonymous-consumer" };
    char spelt[32] = { 0 };
    size_t len = name.len < sizeof(spelt) - 1 ? name.len : sizeof(spelt) - 1;

    for (size_t i = 0; i < len; i++)
        spelt[i] = name.ptr[i] == '_' ? '-' : kg_lower(name.ptr[i]);
    for (size_t i = 0; i < 2; i++) {
        if (name.len == strlen(whole[i]) && strcmp(spelt, whole[i]) == 0)
            return true;
    }
    return strncmp(spelt, "x-consumer-", 11) == 0;
}

static inline void check_header(const struct kg_header *header, struct kg_slice whole)
{
    check_inside(header->name, whole);
    check_inside(header->value, whole);
    KG_ASSERT(kg_is_token(header->name));
    check_value(header->value);
    KG_ASSERT(header->id == kg_header_identify(header->name));
    KG_ASSERT((header->id == KG_H_IDENTITY) == is_identity_by_spelling(header->name));
}

/* What holds of every head that was accepted: `len` bytes of input. */
static inline void check_head(const struct kg_head *head, struct kg_slice input,
                              const struct kg_head_limits *limits, int len)
{
    struct kg_slice whole = kg_slice_of(input.ptr, (size_t)len);

    KG_ASSERT((size_t)len <= input.len && (size_t)len <= limits->bytes && len >= 4);
    KG_ASSERT(memcmp(input.ptr + len - 4, "\r\n\r\n", 4) == 0);
    KG_ASSERT(head->count <= limits->headers && head->minor <= 1);
    check_inside(head->method_text, whole);
    check_inside(head->target, whole);
    check_inside(head->reason, whole);
    for (size_t i = 0; i < head->count; i++)
        check_header(&head->headers[i], whole);
}

/* Writes what was read, as a proxy does, and reads it again: the same must come out. */
static inline void check_rewritten(parse_fn *parse, const struct kg_head *head,
                                   const struct kg_head_limits *limits)
{
    static char text[INPUT_MAX];
    static struct kg_head again;
    struct kg_writer out = kg_writer_of(text, sizeof(text));
    const char *why = NULL;
    int rc;

    if (head->status == 0) {
        kg_put(&out, head->method_text);
        kg_put_char(&out, ' ');
        kg_put(&out, head->target);
        kg_put(&out, head->minor == 0 ? KG_SLICE(" HTTP/1.0\r\n") : KG_SLICE(" HTTP/1.1\r\n"));
    } else {
        kg_put(&out, head->minor == 0 ? KG_SLICE("HTTP/1.0 ") : KG_SLICE("HTTP/1.1 "));
        kg_put_u64(&out, head->status);
        kg_put_char(&out, ' ');
        kg_put(&out, head->reason);
        KG_PUT(&out, "\r\n");
    }
    for (size_t i = 0; i < head->count; i++) {
        kg_put(&out, head->headers[i].name);
        kg_put_char(&out, ':');
        kg_put(&out, head->headers[i].value);
        KG_PUT(&out, "\r\n");
    }
    KG_PUT(&out, "\r\n");
    KG_ASSERT(!out.overflow);
    rc = parse(kg_writer_slice(&out), limits, &again, &why);
    /* An absent reason grows by its space. */
    if (rc < 0 && out.len > limits->bytes)
        return;
    KG_ASSERT(rc == (int)out.len || (rc < 0 && head->status != 0 && head->reason.len == 0));
    if (rc > 0)
        check_same_head(head, &again);
}

/* Whether a header holds this token in its comma-separated list. */
static inline bool lists(const struct kg_header *header, struct kg_slice token)
{
    struct kg_slice value = header->value;
    size_t start = 0;

    for (size_t i = 0; i <= value.len; i++) {
        if (i < value.len && value.ptr[i] != ',')
            continue;
        if (kg_slice_eq_nocase(kg_slice_trim(kg_slice_of(value.ptr + start, i - start)), token))
            return true;
        start = i + 1;
    }
    return false;
}

static inline bool connection_names(const struct kg_head *head, struct kg_slice token)
{
    for (size_t i = 0; i < head->count; i++) {
        if (head->headers[i].id == KG_H_CONNECTION && lists(&head->headers[i], token))
            return true;
    }
    return false;
}

/* Framing and hop-by-hop headers by RFC 9110, 7.6.1, and RFC 9112, by name: never forwarded. */
static inline bool is_hop_by_itself(struct kg_slice name)
{
    static const char *const names[] = { "connection", "keep-alive",     "proxy-connection",  "proxy",  "te",
                                         "trailer",    "content-length", "transfer-encoding", "upgrade" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (kg_slice_eq_nocase(name, kg_slice_str(names[i])))
            return true;
    }
    return false;
}

/* After kg_framing_*: every header is marked that must not go on, and no other. */
static inline void check_hops(const struct kg_head *head)
{
    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];
        bool named = header->id != KG_H_HOST && connection_names(head, header->name);

        KG_ASSERT(header->hop == (is_hop_by_itself(header->name) || named));
    }
}

/* Values of one header, counted. */
static inline size_t count_of(const struct kg_head *head, enum kg_header_id id)
{
    size_t count = 0;

    for (size_t i = 0; i < head->count; i++)
        count += head->headers[i].id == id;
    return count;
}

/* What must be true of framing headers, in either direction, for any body to be believed. */
static inline void check_unambiguous(const struct kg_head *head, uint64_t length)
{
    size_t codings = count_of(head, KG_H_TRANSFER_ENCODING);

    KG_ASSERT(codings <= 1 && (codings == 0 || head->minor == 1));
    KG_ASSERT(codings == 0 || count_of(head, KG_H_CONTENT_LENGTH) == 0);
    for (size_t i = 0; i < head->count; i++) {
        struct kg_slice value = head->headers[i].value;

        if (head->headers[i].id == KG_H_TRANSFER_ENCODING)
            KG_ASSERT(kg_slice_eq_nocase(value, KG_SLICE("chunked")));
        if (head->headers[i].id != KG_H_CONTENT_LENGTH)
            continue;
        KG_ASSERT(value.len > 0 && value.ptr[0] >= '0' && value.ptr[0] <= '9');
        KG_ASSERT(strtoull(value.ptr, NULL, 10) == length && length <= INT64_MAX);
    }
}

#endif
