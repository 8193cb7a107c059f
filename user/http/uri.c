/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/uri.h"
#include "base/addr.h"
#include "base/cursor.h"
#include "http/bytes.h"

static int refuse(const char **why, int status, const char *text)
{
    *why = text;
    return -status;
}

static struct kg_slice rest_of(const struct kg_cursor *c)
{
    return kg_slice_of(c->pos, kg_cursor_left(c));
}

/* Cuts *text at the first `separator`; what is behind it, or an empty slice, is given back. */
static struct kg_slice cut_behind(struct kg_slice *text, char separator, bool *found)
{
    size_t at = kg_slice_find(*text, separator);
    struct kg_slice behind = { text->ptr, 0 };

    *found = at < text->len;
    if (*found)
        behind = kg_slice_of(text->ptr + at + 1, text->len - at - 1);
    text->len = at;
    return behind;
}

/* Request targets */

/* Without ':' and brackets, which kg_host_split reads itself, and without ',': two hosts joined by it are not
 * one name. */
static const uint8_t host_bytes[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['-'] = 1, ['.'] = 1,  ['_'] = 1,
    ['~'] = 1,         ['!'] = 1,         ['$'] = 1,         ['&'] = 1, ['\''] = 1, ['('] = 1,
    [')'] = 1,         ['*'] = 1,         ['+'] = 1,         [';'] = 1, ['='] = 1,  ['%'] = 1,
};

static const uint8_t address_bytes[256] = {
    ['0' ... '9'] = 1, ['A' ... 'F'] = 1, ['a' ... 'f'] = 1, [':'] = 1, ['.'] = 1,
};

/* An IPv6 address in brackets, which are kept. */
static int take_literal(struct kg_cursor *c, struct kg_slice *name)
{
    const char *start = c->pos;
    struct kg_addr addr;
    struct kg_slice text;

    kg_cursor_take(c, '[');
    text = kg_cursor_span(c, address_bytes);
    if (!kg_cursor_take(c, ']') || kg_slice_find(text, ':') == text.len || kg_addr_parse(text, &addr))
        return -400;
    *name = kg_slice_of(start, (size_t)(c->pos - start));
    return 0;
}

/* A name without its root dot; empty labels are refused, so that one host has one spelling but for case. */
static int take_name(struct kg_cursor *c, struct kg_slice *name)
{
    char before = '.';

    *name = kg_cursor_span(c, host_bytes);
    for (size_t i = 0; i < name->len; i++) {
        if (name->ptr[i] == '.' && before == '.')
            return -400;
        before = name->ptr[i];
    }
    if (name->len > 0 && before == '.')
        name->len--;
    return name->len > 0 ? 0 : -400;
}

int kg_host_split(struct kg_slice host, struct kg_slice *name, uint16_t *port)
{
    struct kg_cursor c = kg_cursor_of(host);
    uint64_t number;

    *port = 0;
    if (kg_cursor_peek(&c, 0) == '[' ? take_literal(&c, name) : take_name(&c, name))
        return -400;
    if (kg_cursor_left(&c) == 0)
        return 0;
    if (!kg_cursor_take(&c, ':'))
        return -400;
    if (kg_cursor_left(&c) == 0)
        return 0; /* RFC 3986, 3.2.3: a port may be empty */
    if (kg_slice_u64(rest_of(&c), &number) || number == 0 || number > UINT16_MAX)
        return -400;
    *port = (uint16_t)number;
    return 0;
}

static bool take_scheme(struct kg_slice *text)
{
    static const struct kg_slice schemes[] = { { "http://", 7 }, { "https://", 8 } };

    for (size_t i = 0; i < 2; i++) {
        struct kg_slice scheme = schemes[i];

        if (text->len >= scheme.len && kg_slice_eq_nocase(kg_slice_of(text->ptr, scheme.len), scheme)) {
            *text = kg_slice_of(text->ptr + scheme.len, text->len - scheme.len);
            return true;
        }
    }
    return false;
}

/* RFC 9112, 3.2.2: of an absolute-form target, what is behind the scheme. */
static int split_absolute(const struct kg_head *head, struct kg_slice text, struct kg_slice host,
                          struct kg_target *target, const char **why)
{
    struct kg_slice name;
    uint16_t port;

    target->query = cut_behind(&text, '?', &target->has_query);
    size_t slash = kg_slice_find(text, '/');
    target->authority = kg_slice_of(text.ptr, slash);
    target->path = kg_slice_of(text.ptr + slash, text.len - slash);
    /* Userinfo fails here too: '@' is no part of a host. */
    if (kg_host_split(target->authority, &name, &port))
        return refuse(why, 400, "an invalid authority in the request target");
    if (host.len > 0 && !kg_slice_eq_nocase(target->authority, host))
        return refuse(why, 400, "the authority of the request target is not Host");
    if (target->path.len > 0)
        return 0;
    /* RFC 9112, 3.2.4: OPTIONS for an absolute target without a path means the server as a whole. */
    target->path = head->method == KG_METHOD_OPTIONS && !target->has_query ? KG_SLICE("*") : KG_SLICE("/");
    return 0;
}

static int check_target_bytes(struct kg_slice text, const char **why)
{
    struct kg_cursor c = kg_cursor_of(text);

    if (kg_cursor_span(&c, kg_bytes_visible).len < text.len)
        return refuse(why, 400, "a byte that may not stand in a request target");
    if (kg_slice_find(text, '#') < text.len)
        return refuse(why, 400, "a fragment in the request target");
    return 0;
}

int kg_target_parse(const struct kg_head *head, struct kg_slice host, struct kg_target *target,
                    const char **why)
{
    struct kg_slice text = head->target;

    *target = (struct kg_target){ 0 };
    if (head->method == KG_METHOD_CONNECT || head->method == KG_METHOD_TRACE)
        return refuse(why, 405, "CONNECT and TRACE are not served");
    if (check_target_bytes(text, why))
        return -400;
    if (take_scheme(&text))
        return split_absolute(head, text, host, target, why);
    if (head->method == KG_METHOD_OPTIONS && kg_slice_eq(text, KG_SLICE("*"))) {
        target->path = text;
        return 0;
    }
    if (!kg_slice_starts_with(text, KG_SLICE("/")))
        return refuse(why, 400, "a request target of the wrong form");
    target->query = cut_behind(&text, '?', &target->has_query);
    target->path = text;
    return 0;
}

/* Paths */

/* Reserved (RFC 3986, 2.2) and '%': their triplets mean something else than the bytes, and stay. */
static const uint8_t keeps_triplet[256] = {
    [0x00 ... 0x20] = 1, [0x7f ... 0xff] = 1, ['%'] = 1, [':'] = 1, ['/'] = 1, ['?'] = 1, ['#'] = 1,
    ['['] = 1,           [']'] = 1,           ['@'] = 1, ['!'] = 1, ['$'] = 1, ['&'] = 1, ['\''] = 1,
    ['('] = 1,           [')'] = 1,           ['*'] = 1, ['+'] = 1, [','] = 1, [';'] = 1, ['='] = 1,
};

/* What a segment of a path may hold as it is. */
static const uint8_t segment_bytes[256] = {
    ['!'] = 1, ['"'] = 1, ['$'] = 1, ['&' ... '.'] = 1, ['0' ... '>'] = 1, ['@' ... '~'] = 1,
};

/* VCHARs that no URI holds (RFC 3986, 2): what Kong escapes on the way out. */
static const uint8_t uri_bytes[256] = {
    ['!'] = 1, ['#' ... ';'] = 1, ['='] = 1,         ['?' ... '['] = 1,
    [']'] = 1, ['_'] = 1,         ['a' ... 'z'] = 1, ['~'] = 1,
};

static void put_triplet(struct kg_writer *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    char triplet[3] = { '%', digits[byte >> 4], digits[byte & 15] };

    kg_put(out, kg_slice_of(triplet, 3));
}

/* The byte of a percent triplet at the cursor, which moves behind it; or -1 when it is broken, and the cursor
 * stays. */
static int take_triplet(struct kg_cursor *c)
{
    int high = kg_cursor_peek(c, 1), low = kg_cursor_peek(c, 2);
    struct kg_slice triplet;

    if (kg_cursor_peek(c, 0) != '%' || high < 0 || low < 0 || kg_bytes_hex[high] < 0 || kg_bytes_hex[low] < 0)
        return -1;
    kg_cursor_bytes(c, 3, &triplet);
    return kg_bytes_hex[high] << 4 | kg_bytes_hex[low];
}

static int put_segment(struct kg_cursor *c, struct kg_writer *out, const char **why)
{
    for (;;) {
        int byte, next;

        kg_put(out, kg_cursor_span(c, segment_bytes));
        next = kg_cursor_peek(c, 0);
        if (next < 0 || next == '/')
            return 0;
        if (next != '%')
            return refuse(why, 400, "a byte that may not stand in a path");
        byte = take_triplet(c);
        if (byte < 0)
            return refuse(why, 400, "a broken percent triplet in the path");
        if (byte == 0)
            return refuse(why, 400, "%00 in the path");
        if (keeps_triplet[byte])
            put_triplet(out, (unsigned char)byte);
        else
            kg_put_char(out, (char)byte);
    }
}

/* Takes the last segment, which ends the output with a slash, back to the slash before it; the root stays. */
static void drop_segment(struct kg_writer *out, size_t root)
{
    size_t len = out->len;

    if (len <= root + 1)
        return;
    do
        len--;
    while (out->buf[len - 1] != '/');
    kg_writer_cut(out, len);
}

int kg_path_normalize(struct kg_slice raw, struct kg_writer *out, const char **why)
{
    struct kg_cursor c = kg_cursor_of(raw);
    size_t root = out->len;

    if (!kg_cursor_take(&c, '/'))
        return refuse(why, 400, "a path that does not start with a slash");
    kg_put_char(out, '/');
    /* From here the output ends with a slash whenever a segment begins. */
    while (kg_cursor_left(&c) > 0 && !out->overflow) {
        size_t start = out->len;
        struct kg_slice segment;

        if (put_segment(&c, out, why))
            return -400;
        segment = kg_slice_of(out->buf + start, out->len - start);
        if (kg_slice_eq(segment, KG_SLICE(".")) || kg_slice_eq(segment, KG_SLICE(".."))) {
            size_t dots = segment.len;

            kg_writer_cut(out, start);
            if (dots == 2)
                drop_segment(out, root);
            segment.len = 0;
        }
        if (kg_cursor_take(&c, '/') && segment.len > 0)
            kg_put_char(out, '/');
    }
    return out->overflow ? refuse(why, 414, "the path is too long") : 0;
}

void kg_path_put_escaped(struct kg_slice path, struct kg_writer *out)
{
    struct kg_cursor c = kg_cursor_of(path);

    for (;;) {
        int next;

        kg_put(out, kg_cursor_span(&c, uri_bytes));
        next = kg_cursor_peek(&c, 0);
        if (next < 0)
            return;
        put_triplet(out, (unsigned char)next);
        kg_cursor_take(&c, (char)next);
    }
}

/* Queries */

/* The next byte, decoded; -1 at the end. Broken triplets are the bytes they are. */
static int take_decoded(struct kg_cursor *c)
{
    int byte = kg_cursor_peek(c, 0);

    if (byte == '%') {
        int decoded = take_triplet(c);

        if (decoded >= 0)
            return decoded;
    }
    if (byte >= 0)
        kg_cursor_take(c, (char)byte);
    return byte == '+' ? ' ' : byte;
}

static bool decodes_to(struct kg_slice raw, struct kg_slice want)
{
    struct kg_cursor c = kg_cursor_of(raw);

    for (size_t i = 0; i < want.len; i++) {
        if (take_decoded(&c) != (unsigned char)want.ptr[i])
            return false;
    }
    return kg_cursor_left(&c) == 0;
}

bool kg_query_next(struct kg_slice *query, bool *more, struct kg_slice *argument)
{
    if (!*more)
        return false;
    *argument = *query;
    *query = cut_behind(argument, '&', more);
    return true;
}

bool kg_query_is_named(struct kg_slice argument, struct kg_slice name)
{
    return decodes_to(kg_slice_of(argument.ptr, kg_slice_find(argument, '=')), name);
}

int kg_query_find(struct kg_slice query, struct kg_slice name, struct kg_slice *value, bool *bare)
{
    struct kg_slice argument;
    bool more = query.len > 0;
    int count = 0;

    while (count < 2 && kg_query_next(&query, &more, &argument)) {
        bool has_value;
        struct kg_slice behind = cut_behind(&argument, '=', &has_value);

        if (!decodes_to(argument, name))
            continue;
        if (count++ > 0)
            continue;
        *value = behind;
        *bare = !has_value;
    }
    return count;
}

bool kg_query_decode(struct kg_slice raw, struct kg_writer *out)
{
    struct kg_cursor c = kg_cursor_of(raw);

    while (kg_cursor_left(&c) > 0)
        kg_put_char(out, (char)take_decoded(&c));
    return !out->overflow;
}

void kg_query_remove(struct kg_slice query, struct kg_slice name, struct kg_writer *out)
{
    struct kg_slice argument;
    bool more = query.len > 0, first = true;

    while (kg_query_next(&query, &more, &argument)) {
        if (kg_query_is_named(argument, name))
            continue;
        if (!first)
            kg_put_char(out, '&');
        first = false;
        kg_put(out, argument);
    }
}
