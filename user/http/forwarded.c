/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/forwarded.h"

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

/* Cuts the last element off *list; false when none is left. */
static bool last_element(struct kg_slice *list, struct kg_slice *element)
{
    size_t end = list->len, start;

    while (end > 0 && is_separator(list->ptr[end - 1]))
        end--;
    for (start = end; start > 0 && !is_separator(list->ptr[start - 1]);)
        start--;
    *element = kg_slice_of(list->ptr + start, end - start);
    list->len = start;
    return element->len > 0;
}

static bool is_port(struct kg_slice text)
{
    uint64_t port;

    return text.len <= 5 && kg_slice_u64(text, &port) == 0 && port <= 65535;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool read_element(struct kg_slice text, struct kg_addr *addr)
{
    size_t colon = kg_slice_find(text, ':'), close = kg_slice_find(text, ']');

    if (text.ptr[0] == '[') {
        struct kg_slice inside = kg_slice_of(text.ptr + 1, close - 1);
        size_t behind = close + 1;

        if (close == text.len || kg_slice_find(inside, ':') == inside.len)
            return false;
        if (behind < text.len &&
            (text.ptr[behind] != ':' || !is_port(kg_slice_of(text.ptr + behind + 1, text.len - behind - 1))))
            return false;
        return kg_addr_parse(inside, addr) == 0;
    }
    if (kg_addr_parse(text, addr) == 0)
        return true;
    if (colon == text.len || !is_port(kg_slice_of(text.ptr + colon + 1, text.len - colon - 1)))
        return false;
    return kg_addr_parse(kg_slice_of(text.ptr, colon), addr) == 0;
}

/* One header's value. True when the walk may go on in the one before. */
static bool walk_value(struct kg_slice list, const struct kg_net_list *trusted, bool recursive,
                       struct kg_addr *addr)
{
    struct kg_slice element;
    struct kg_addr said;

    while (last_element(&list, &element)) {
        if (!read_element(element, &said))
            return false;
        *addr = said;
        if (!recursive || !kg_net_list_has(trusted, addr))
            return false;
    }
    return true;
}

void kg_forwarded_walk(const struct kg_head *head, struct kg_slice name, const struct kg_net_list *trusted,
                       bool recursive, struct kg_addr *addr)
{
    for (size_t i = head->count; i > 0; i--) {
        const struct kg_header *header = &head->headers[i - 1];

        if (!kg_slice_eq_nocase(header->name, name))
            continue;
        if (!walk_value(header->value, trusted, recursive, addr))
            return;
    }
}

struct kg_slice kg_forwarded_value(const struct kg_head *head, struct kg_slice name)
{
    const struct kg_header *header = kg_head_find_name(head, name, 0);

    return header ? header->value : KG_SLICE("");
}
