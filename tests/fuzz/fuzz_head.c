/* SPDX-License-Identifier: BSD-2-Clause */
/* libFuzzer target for a request's head and what its framing headers say. */
#include "check.h"

static void check_request_framing(const struct kg_head *head, const struct kg_framing *framing)
{
    size_t hosts = count_of(head, KG_H_HOST);
    bool chunked = count_of(head, KG_H_TRANSFER_ENCODING) > 0;

    KG_ASSERT(hosts == 1 || (hosts == 0 && head->minor == 0 && framing->host.len == 0));
    check_hops(head);
    check_unambiguous(head, framing->length);
    KG_ASSERT(framing->body <= KG_BODY_CHUNKED && (framing->body == KG_BODY_CHUNKED) == chunked);
    KG_ASSERT((framing->body == KG_BODY_LENGTH) == (framing->length > 0));
    KG_ASSERT(framing->has_length == (count_of(head, KG_H_CONTENT_LENGTH) > 0));
    KG_ASSERT(framing->keep_alive == (!connection_names(head, KG_SLICE("close")) &&
                                      (head->minor == 1 || connection_names(head, KG_SLICE("keep-alive")))));
    KG_ASSERT(framing->upgrade == (framing->upgrade_to.len > 0));
    KG_ASSERT(!framing->upgrade || (head->minor == 1 && connection_names(head, KG_SLICE("upgrade"))));
    KG_ASSERT(!framing->expect_continue || (head->minor == 1 && framing->body != KG_BODY_NONE));
}

static void check_request(struct kg_slice input, const struct kg_head_limits *limits)
{
    static struct kg_head head;
    struct kg_framing framing;
    const char *why = NULL;
    int rc = kg_head_parse_request(input, limits, &head, &why);

    KG_ASSERT(rc >= 0 || why != NULL);
    KG_ASSERT(rc >= 0 || rc == -400 || rc == -414 || rc == -431 || rc == -505);
    check_prefixes(kg_head_parse_request, input, limits, rc, why);
    if (rc <= 0)
        return;
    check_head(&head, input, limits, rc);
    KG_ASSERT(kg_is_token(head.method_text) && head.target.len > 0 && head.status == 0);
    check_rewritten(kg_head_parse_request, &head, limits);
    why = NULL;
    rc = kg_framing_request(&head, &framing, &why);
    if (rc != 0) {
        KG_ASSERT((rc == -400 || rc == -417 || rc == -501) && why != NULL);
        return;
    }
    check_request_framing(&head, &framing);
}

/* Text is found by words; byte by byte must give the same. */
static void check_text(struct kg_slice input)
{
    struct kg_cursor words = kg_cursor_of(input), bytes = words;

    while (kg_cursor_left(&words) > 0) {
        struct kg_slice text = kg_cursor_text(&words), same = kg_cursor_span(&bytes, kg_bytes_text), skipped;

        KG_ASSERT(text.ptr == same.ptr && text.len == same.len);
        kg_cursor_bytes(&words, kg_cursor_left(&words) > 0, &skipped);
        kg_cursor_bytes(&bytes, kg_cursor_left(&bytes) > 0, &skipped);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kg_slice input = input_of(data, size);

    for (size_t i = 0; i < sizeof(all_limits) / sizeof(all_limits[0]); i++)
        check_request(input, &all_limits[i]);
    check_text(input);
    return 0;
}
