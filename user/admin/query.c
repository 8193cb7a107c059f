/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/call.h"

#include "base/base64.h"
#include "http/uri.h"

#include <errno.h>
#include <stdio.h>

/*
 * An offset is the store's position in base64url without padding (RFC 4648, 5), so that it needs no escaping
 * in `next` and nobody is tempted to count with it. At most 19 digits, hence 26 characters.
 */
#define OFFSET_MAX 32

static void encode_offset(int64_t after, char out[OFFSET_MAX])
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)after);
    struct kg_writer w = kg_writer_of(out, OFFSET_MAX - 1);

    kg_put_base64url(&w, kg_slice_of(digits, (size_t)len));
    out[w.len] = '\0';
}

/* False for what encode_offset cannot have made. */
static bool decode_offset(struct kg_slice text, int64_t *after)
{
    char digits[24];
    struct kg_writer w = kg_writer_of(digits, sizeof(digits));
    uint64_t value;

    if (!kg_base64url_decode(text, &w) || kg_slice_u64(kg_writer_slice(&w), &value) < 0 || value > INT64_MAX)
        return false;
    *after = (int64_t)value;
    return true;
}

void kg_admin_put_escaped(struct kg_writer *w, struct kg_slice text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        char lower = kg_lower(text.ptr[i]);

        if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c))) {
            kg_put_char(w, (char)c);
            continue;
        }
        kg_put_char(w, '%');
        kg_put_char(w, hex[c >> 4]);
        kg_put_char(w, hex[c & 15]);
    }
}

bool kg_admin_query_arg(struct kg_call *call, struct kg_slice name, char *buf, size_t cap,
                        struct kg_slice *value)
{
    struct kg_writer w = kg_writer_of(buf, cap);
    struct kg_slice raw = { 0 };
    bool bare = false;

    if (kg_query_find(call->query, name, &raw, &bare) == 0)
        return false;
    *value = kg_query_decode(raw, &w) ? kg_writer_slice(&w) : KG_SLICE("");
    return true;
}

static bool read_size(struct kg_call *call, struct kg_page *page)
{
    char buf[32];
    struct kg_slice text;
    uint64_t size = 0;
    int rc;

    page->size = KG_ADMIN_PAGE;
    page->has_size = kg_admin_query_arg(call, KG_SLICE("size"), buf, sizeof(buf), &text);
    if (!page->has_size)
        return true;
    rc = kg_slice_u64(text, &size);
    if (rc == -EINVAL && !(text.len > 1 && text.ptr[0] == '-')) {
        kg_reply_problem(call, kg_problem_new(9, "invalid size", "size must be a number"));
        return false;
    }
    if (rc < 0 || size < 1 || size > KG_ADMIN_PAGE_MAX) {
        kg_reply_problem(call, kg_problem_new(9, "invalid size", "size must be an integer between 1 and %d",
                                              KG_ADMIN_PAGE_MAX));
        return false;
    }
    page->size = (size_t)size;
    return true;
}

bool kg_admin_page(struct kg_call *call, struct kg_page *page)
{
    char buf[128];
    struct kg_slice text;

    *page = (struct kg_page){ 0 };
    if (!read_size(call, page))
        return false;
    if (!kg_admin_query_arg(call, KG_SLICE("offset"), buf, sizeof(buf), &text))
        return true;
    if (decode_offset(text, &page->after))
        return true;
    kg_reply_problem(call,
                     kg_problem_new(7, "invalid offset", "'%.*s' is not a valid offset: bad base64 encoding",
                                    (int)text.len, text.ptr));
    return false;
}

json_t *kg_admin_page_json(const struct kg_page *page, json_t *list, int64_t after, const char *base,
                           bool repeat_size)
{
    json_t *result = json_pack("{s:o}", "data", list);
    char offset[OFFSET_MAX], size[32] = "";

    if (after == 0) {
        json_object_set_new(result, "next", json_null());
        return result;
    }
    encode_offset(after, offset);
    if (repeat_size && page->has_size)
        snprintf(size, sizeof(size), "&size=%zu", page->size);
    json_object_set_new(
        result, "next",
        json_sprintf("%s?offset=%s%s%s", base, offset, repeat_size && page->more ? page->more : "", size));
    json_object_set_new(result, "offset", json_string(offset));
    return result;
}
