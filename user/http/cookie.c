/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/cookie.h"

/* In "a=1; b=2" (RFC 6265, 4.2.1). */
static bool find_pair(struct kg_slice pairs, struct kg_slice name, struct kg_slice *value)
{
    while (pairs.len > 0) {
        size_t end = kg_slice_find(pairs, ';');
        struct kg_slice pair = kg_slice_trim(kg_slice_of(pairs.ptr, end));
        size_t equals = kg_slice_find(pair, '=');

        if (equals < pair.len && kg_slice_eq(kg_slice_of(pair.ptr, equals), name)) {
            *value = kg_slice_of(pair.ptr + equals + 1, pair.len - equals - 1);
            return true;
        }
        end = end < pairs.len ? end + 1 : end;
        pairs = kg_slice_of(pairs.ptr + end, pairs.len - end);
    }
    return false;
}

bool kg_cookie_find(const struct kg_head *head, struct kg_slice name, struct kg_slice *value)
{
    const struct kg_slice cookie = KG_SLICE("cookie");
    const struct kg_header *header = kg_head_find_name(head, cookie, 0);

    for (; header; header = kg_head_find_name(head, cookie, (size_t)(header - head->headers) + 1)) {
        if (find_pair(header->value, name, value))
            return true;
    }
    return false;
}
