/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slices: bytes and their length, travelling together. A slice owns nothing; whoever made the bytes keeps
 * them alive. Any thread. Bytes are not NUL-terminated.
 */
#ifndef KG_BASE_SLICE_H
#define KG_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct kg_slice {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal. */
#define KG_SLICE(lit) ((struct kg_slice){ (lit), sizeof(lit) - 1 })

static inline struct kg_slice kg_slice_of(const char *ptr, size_t len)
{
    return (struct kg_slice){ ptr, len };
}

/* A slice of a NUL-terminated string; NULL gives the empty slice. */
static inline struct kg_slice kg_slice_str(const char *str)
{
    return (struct kg_slice){ str, str ? strlen(str) : 0 };
}

static inline bool kg_slice_eq(struct kg_slice a, struct kg_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool kg_slice_starts_with(struct kg_slice s, struct kg_slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* ASCII lower case of one byte; bytes over 0x7f stay. */
static inline char kg_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* ASCII-only case-insensitive comparison (RFC 9110, 5.1: header names). */
bool kg_slice_eq_nocase(struct kg_slice a, struct kg_slice b);

/* Without leading and trailing SP and HTAB (RFC 9110, 5.6.3: OWS). */
struct kg_slice kg_slice_trim(struct kg_slice s);

/* The position of byte c, or s.len when it does not occur. */
size_t kg_slice_find(struct kg_slice s, char c);

/* All of s as decimal digits into *value: 0, or -EINVAL for no digits or anything else, -ERANGE past
 * UINT64_MAX. */
int kg_slice_u64(struct kg_slice s, uint64_t *value);

/*
 * Cuts the next element of a comma-separated list (RFC 9110, 5.6.1) off *list, trimmed; empty elements are
 * skipped. False when none is left.
 */
bool kg_slice_next_element(struct kg_slice *list, struct kg_slice *element);

#endif
