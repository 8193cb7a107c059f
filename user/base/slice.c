/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/slice.h"

#include <errno.h>

bool kg_slice_eq_nocase(struct kg_slice a, struct kg_slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (kg_lower(a.ptr[i]) != kg_lower(b.ptr[i]))
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct kg_slice kg_slice_trim(struct kg_slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

size_t kg_slice_find(struct kg_slice s, char c)
{
    const char *hit = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;

    return hit ? (size_t)(hit - s.ptr) : s.len;
}

int kg_slice_u64(struct kg_slice s, uint64_t *value)
{
    uint64_t sum = 0;

    if (s.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';

        if (digit > 9)
            return -EINVAL;
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, digit, &sum))
            return -ERANGE;
    }
    *value = sum;
    return 0;
}

bool kg_slice_next_element(struct kg_slice *list, struct kg_slice *element)
{
    while (list->len > 0) {
        size_t comma = kg_slice_find(*list, ',');

        *element = kg_slice_trim(kg_slice_of(list->ptr, comma));
        size_t cut = comma < list->len ? comma + 1 : comma;
        list->ptr += cut;
        list->len -= cut;
        if (element->len > 0)
            return true;
    }
    return false;
}
