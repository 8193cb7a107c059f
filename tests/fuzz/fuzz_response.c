/* SPDX-License-Identifier: BSD-2-Clause */
/* libFuzzer target for an answer's head and what its framing headers say. */
#include "check.h"

static bool has_no_body(const struct kg_head *head, bool to_head)
{
    return to_head || head->status < 200 || head->status == 204 || head->status == 304;
}

/* RFC 9112, 6.3, told a second time. */
static enum kg_body body_by_the_rfc(const struct kg_head *head, bool to_head, uint64_t length)
{
    if (has_no_body(head, to_head))
        return KG_BODY_NONE;
    if (count_of(head, KG_H_TRANSFER_ENCODING) > 0)
        return KG_BODY_CHUNKED;
    if (count_of(head, KG_H_CONTENT_LENGTH) == 0)
        return KG_BODY_CLOSE;
    return length > 0 ? KG_BODY_LENGTH : KG_BODY_NONE;
}

static uint64_t length_of(const struct kg_head *head)
{
    const struct kg_header *header = kg_head_find(head, KG_H_CONTENT_LENGTH, 0);

    return header ? strtoull(header->value.ptr, NULL, 10) : 0;
}

static void check_response_framing(const struct kg_head *head, bool to_head,
                                   const struct kg_response_framing *framing)
{
    uint64_t length = length_of(head);
    bool persists = !connection_names(head, KG_SLICE("close")) &&
                    (head->minor == 1 || connection_names(head, KG_SLICE("keep-alive")));
    bool may_have_length = head->status >= 200 && head->status != 204;

    check_hops(head);
    check_unambiguous(head, length);
    KG_ASSERT(framing->body == body_by_the_rfc(head, to_head, length));
    KG_ASSERT(framing->length_known == (may_have_length && count_of(head, KG_H_CONTENT_LENGTH) > 0));
    KG_ASSERT(framing->length == (framing->length_known ? length : 0));
    KG_ASSERT(framing->keep_alive == (persists && framing->body != KG_BODY_CLOSE));
    KG_ASSERT((head->status == 101) == (framing->upgrade_to.len > 0));
    KG_ASSERT(head->status != 101 || (head->minor == 1 && connection_names(head, KG_SLICE("upgrade"))));
}

static void check_response(struct kg_slice input, const struct kg_head_limits *limits)
{
    static struct kg_head head;
    struct kg_response_framing framing;
    const char *why = NULL;
    int rc = kg_head_parse_response(input, limits, &head, &why);

    KG_ASSERT(rc >= 0 || (rc == -502 && why != NULL));
    check_prefixes(kg_head_parse_response, input, limits, rc, why);
    if (rc <= 0)
        return;
    check_head(&head, input, limits, rc);
    KG_ASSERT(head.status >= 100 && head.status <= 599 && head.method_text.len == 0 && head.target.len == 0);
    check_rewritten(kg_head_parse_response, &head, limits);
    for (int to_head = 0; to_head <= 1; to_head++) {
        why = NULL;
        rc = kg_framing_response(&head, to_head, &framing, &why);
        KG_ASSERT(rc == 0 || (rc == -502 && why != NULL));
        if (rc == 0)
            check_response_framing(&head, to_head, &framing);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof(all_limits) / sizeof(all_limits[0]); i++)
        check_response(input_of(data, size), &all_limits[i]);
    return 0;
}
