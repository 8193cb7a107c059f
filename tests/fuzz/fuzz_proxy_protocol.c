/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for the PROXY protocol, versions 1 and 2: a header that comes in pieces reads as in one,
 * what is behind it does not matter, and the addresses that were read, written again in either version, are
 * read again.
 */
#include "check.h"
#include "http/proxy_protocol.h"

#include <errno.h>

static void check_same(const struct kg_proxy_header *a, const struct kg_proxy_header *b)
{
    KG_ASSERT(kg_addr_eq(&a->source, &b->source) && kg_addr_eq(&a->destination, &b->destination));
    KG_ASSERT(a->source_port == b->source_port && a->destination_port == b->destination_port);
}

/* From a buffer of exactly its size, so that AddressSanitizer sees every step outside. */
static int parse(struct kg_slice input, struct kg_proxy_header *header, const char **why)
{
    char *copy = malloc(input.len > 0 ? input.len : 1);
    int rc;

    memcpy(copy, input.ptr, input.len);
    rc = kg_proxy_header_parse(kg_slice_of(copy, input.len), header, why);
    free(copy);
    return rc;
}

static void check_pieces(struct kg_slice input, const struct kg_proxy_header *header, int result)
{
    size_t step = input.len / CUTS_MAX + 1;

    for (size_t len = 0; len < input.len; len += step) {
        struct kg_proxy_header part;
        const char *why = NULL;
        int rc = parse(kg_slice_of(input.ptr, len), &part, &why);

        KG_ASSERT(rc == 0 || rc == result);
        KG_ASSERT(result <= 0 || rc == (len < (size_t)result ? 0 : result));
        if (rc > 0)
            check_same(&part, header);
    }
}

static void check_written(struct kg_writer *out, const struct kg_proxy_header *header)
{
    struct kg_proxy_header again;
    const char *why = NULL;

    KG_ASSERT(!out->overflow);
    KG_ASSERT(parse(kg_writer_slice(out), &again, &why) == (int)out->len);
    check_same(&again, header);
}

static void write_line(const struct kg_proxy_header *header)
{
    char buf[128], text[KG_ADDR_TEXT];
    struct kg_writer out = kg_writer_of(buf, sizeof(buf));

    kg_put(&out, header->source.family == 6 ? KG_SLICE("PROXY TCP6 ") : KG_SLICE("PROXY TCP4 "));
    kg_put(&out, kg_slice_str(kg_addr_text(&header->source, text)));
    kg_put_char(&out, ' ');
    kg_put(&out, kg_slice_str(kg_addr_text(&header->destination, text)));
    kg_put_char(&out, ' ');
    kg_put_u64(&out, header->source_port);
    kg_put_char(&out, ' ');
    kg_put_u64(&out, header->destination_port);
    KG_PUT(&out, "\r\n");
    check_written(&out, header);
}

static void put_port(struct kg_writer *out, uint16_t port)
{
    kg_put_char(out, (char)(port >> 8));
    kg_put_char(out, (char)(port & 0xff));
}

static void write_binary(const struct kg_proxy_header *header)
{
    bool is_v6 = header->source.family == 6;
    size_t len = is_v6 ? 16 : 4;
    char buf[64];
    struct kg_writer out = kg_writer_of(buf, sizeof(buf));

    KG_PUT(&out, "\r\n\r\n\0\r\nQUIT\n\x21");
    kg_put_char(&out, is_v6 ? 0x21 : 0x11);
    put_port(&out, (uint16_t)(2 * len + 4));
    kg_put(&out, kg_slice_of((const char *)header->source.bytes, len));
    kg_put(&out, kg_slice_of((const char *)header->destination.bytes, len));
    put_port(&out, header->source_port);
    put_port(&out, header->destination_port);
    check_written(&out, header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kg_slice input = input_of(data, size);
    struct kg_proxy_header header;
    const char *why = NULL;
    int rc = parse(input, &header, &why);

    KG_ASSERT(rc >= 0 || (rc == -EINVAL && why != NULL));
    KG_ASSERT(rc <= (int)size && rc <= KG_PROXY_HEADER_MAX);
    /* Whoever sends more than that without an end is told so. */
    KG_ASSERT(rc != 0 || size < KG_PROXY_HEADER_MAX);
    check_pieces(input, &header, rc);
    if (rc <= 0)
        return 0;
    KG_ASSERT((header.source.family == 0) == (header.destination.family == 0));
    KG_ASSERT(header.source.family != 0 || (header.source_port == 0 && header.destination_port == 0));
    /* Of two IPv6 addresses one may have been a mapped IPv4 one, which no header can say again. */
    if (header.source.family == 0 || header.source.family != header.destination.family)
        return 0;
    write_line(&header);
    write_binary(&header);
    return 0;
}
