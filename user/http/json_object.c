/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/json_object.h"

#include "base/assert.h"
#include "http/bytes.h"

#include <errno.h>

static const uint8_t blank_bytes[256] = { [' '] = 1, ['\t'] = 1, ['\n'] = 1, ['\r'] = 1 };
static const uint8_t digit_bytes[256] = { ['0' ... '9'] = 1 };
/* What stands for itself in a string. */
static const uint8_t plain_bytes[256] = { [0x20 ... 0x21] = 1, [0x23 ... 0x5b] = 1, [0x5d ... 0xff] = 1 };

static void skip_blanks(struct kg_cursor *c)
{
    kg_cursor_span(c, blank_bytes);
}

static bool take(struct kg_cursor *c, char want)
{
    skip_blanks(c);
    return kg_cursor_take(c, want);
}

/* ---- strings ---- */

static bool take_hex4(struct kg_cursor *c, uint32_t *unit)
{
    struct kg_slice digits;

    if (!kg_cursor_bytes(c, 4, &digits))
        return false;
    *unit = 0;
    for (size_t i = 0; i < 4; i++) {
        int8_t digit = kg_bytes_hex[(unsigned char)digits.ptr[i]];

        if (digit < 0)
            return false;
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return true;
}

/* Behind "\u". Of two surrogates each needs the other (RFC 8259, 7). */
static bool take_unicode(struct kg_cursor *c, uint32_t *code)
{
    uint32_t low;

    if (!take_hex4(c, code) || (*code >= 0xdc00 && *code <= 0xdfff))
        return false;
    if (*code < 0xd800 || *code > 0xdfff)
        return true;
    if (!kg_cursor_take(c, '\\') || !kg_cursor_take(c, 'u') || !take_hex4(c, &low) || low < 0xdc00 ||
        low > 0xdfff)
        return false;
    *code = 0x10000 + ((*code - 0xd800) << 10 | (low - 0xdc00));
    return true;
}

/* Behind a backslash: the character it stands for. */
static bool take_escape(struct kg_cursor *c, uint32_t *code)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    int name = kg_cursor_peek(c, 0);
    const char *at = name > 0 ? strchr(names, name) : NULL;

    if (name < 0)
        return false;
    kg_cursor_take(c, (char)name);
    if (name == 'u')
        return take_unicode(c, code);
    if (!at)
        return false;
    *code = (unsigned char)meant[at - names];
    return true;
}

static void put_utf8(struct kg_writer *out, uint32_t code)
{
    static const struct {
        uint32_t below;
        unsigned more; /* bytes behind the first */
        uint8_t mark;
    } lengths[] = { { 0x80, 0, 0 }, { 0x800, 1, 0xc0 }, { 0x10000, 2, 0xe0 }, { 0x110000, 3, 0xf0 } };
    size_t i = 0;

    while (code >= lengths[i].below)
        i++;
    unsigned more = lengths[i].more;
    kg_put_char(out, (char)(lengths[i].mark | code >> (6 * more)));
    while (more-- > 0)
        kg_put_char(out, (char)(0x80 | ((code >> (6 * more)) & 0x3f)));
}

/* Behind the first quote, up to and with the last one. Decodes into out when there is one. */
static bool take_string(struct kg_cursor *c, struct kg_writer *out)
{
    for (;;) {
        struct kg_slice plain = kg_cursor_span(c, plain_bytes);
        uint32_t code;

        if (out)
            kg_put(out, plain);
        if (kg_cursor_take(c, '"'))
            return true;
        if (!kg_cursor_take(c, '\\') || !take_escape(c, &code))
            return false;
        if (out)
            put_utf8(out, code);
    }
}

bool kg_json_string_decode(struct kg_slice string, struct kg_writer *out)
{
    struct kg_cursor c = kg_cursor_of(string);
    bool sound = kg_cursor_take(&c, '"') && take_string(&c, out);

    KG_ASSERT(sound && kg_cursor_left(&c) == 0);
    return !out->overflow;
}

bool kg_json_string_is(struct kg_slice string, struct kg_slice want)
{
    char text[256];
    struct kg_writer out = kg_writer_of(text, want.len < sizeof(text) ? want.len : sizeof(text));

    /* The usual name has no escape. A longer one than there is room for has no place in a configuration. */
    if (string.len == want.len + 2 && kg_slice_find(string, '\\') == string.len)
        return memcmp(string.ptr + 1, want.ptr, want.len) == 0;
    return kg_json_string_decode(string, &out) && kg_slice_eq(kg_writer_slice(&out), want);
}

/* ---- other values ---- */

static bool take_digits(struct kg_cursor *c)
{
    return kg_cursor_span(c, digit_bytes).len > 0;
}

static bool take_number(struct kg_cursor *c)
{
    kg_cursor_take(c, '-');
    if (!kg_cursor_take(c, '0') && !take_digits(c))
        return false;
    if (kg_cursor_take(c, '.') && !take_digits(c))
        return false;
    if (!kg_cursor_take(c, 'e') && !kg_cursor_take(c, 'E'))
        return true;
    if (!kg_cursor_take(c, '+'))
        kg_cursor_take(c, '-');
    return take_digits(c);
}

static bool take_word(struct kg_cursor *c)
{
    static const struct kg_slice words[] = { { "true", 4 }, { "false", 5 }, { "null", 4 } };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!kg_slice_starts_with(kg_slice_of(c->pos, kg_cursor_left(c)), words[i]))
            continue;
        c->pos += words[i].len;
        return true;
    }
    return false;
}

static bool take_scalar(struct kg_cursor *c)
{
    if (kg_cursor_take(c, '"'))
        return take_string(c, NULL);
    int byte = kg_cursor_peek(c, 0);
    return byte == '-' || (byte >= '0' && byte <= '9') ? take_number(c) : take_word(c);
}

/* "name": of a member of some object within. */
static bool take_name(struct kg_cursor *c)
{
    return take(c, '"') && take_string(c, NULL) && take(c, ':');
}

/* The objects and arrays that a place is in, below the outermost object: one bit each, set for an object. */
struct nest {
    size_t depth;
    uint8_t objects[KG_JSON_DEPTH / 8];
};

static bool is_in_object(const struct nest *nest)
{
    size_t top = nest->depth - 1;

    return nest->objects[top / 8] >> (top % 8) & 1;
}

static bool enter(struct nest *nest, bool object)
{
    size_t top = nest->depth;
    uint8_t bit = (uint8_t)(1u << (top % 8));

    if (top + 1 >= KG_JSON_DEPTH)
        return false;
    nest->depth++;
    if (object)
        nest->objects[top / 8] |= bit;
    else
        nest->objects[top / 8] &= (uint8_t)~bit;
    return true;
}

/* A scalar, or the beginning of an object or array, or an empty one whole; *whole: it is over with it. */
static bool take_front(struct kg_cursor *c, struct nest *nest, bool *whole)
{
    bool object = take(c, '{');

    *whole = true;
    if (!object && !kg_cursor_take(c, '['))
        return take_scalar(c);
    if (!enter(nest, object))
        return false;
    *whole = take(c, object ? '}' : ']');
    if (*whole)
        nest->depth--;
    return *whole || !object || take_name(c);
}

/* Behind a value: leaves what ends there. False when it is malformed; *more: another value comes. */
static bool take_ends(struct kg_cursor *c, struct nest *nest, bool *more)
{
    *more = false;
    while (nest->depth > 0) {
        bool object = is_in_object(nest);

        if (take(c, ',')) {
            *more = true;
            return !object || take_name(c);
        }
        if (!kg_cursor_take(c, object ? '}' : ']'))
            return false;
        nest->depth--;
    }
    return true;
}

static bool take_value(struct kg_cursor *c)
{
    struct nest nest = { .depth = 0 };
    bool whole, more = true;

    while (more) {
        if (!take_front(c, &nest, &whole))
            return false;
        if (whole && !take_ends(c, &nest, &more))
            return false;
    }
    return true;
}

/* ---- the object ---- */

static enum kg_json_kind kind_of(char first)
{
    switch (first) {
    case '"':
        return KG_JSON_STRING;
    case '[':
        return KG_JSON_ARRAY;
    case '{':
        return KG_JSON_OBJECT;
    default:
        return KG_JSON_OTHER;
    }
}

bool kg_json_object_begin(struct kg_json_object *object, struct kg_slice text)
{
    *object = (struct kg_json_object){ .c = kg_cursor_of(text) };
    return take(&object->c, '{');
}

/* Behind the last member: 0 at the text's end. */
static int end(struct kg_json_object *object)
{
    object->ended = true;
    skip_blanks(&object->c);
    return kg_cursor_left(&object->c) == 0 ? 0 : -EINVAL;
}

static struct kg_slice since(const char *start, const struct kg_cursor *c)
{
    return kg_slice_of(start, (size_t)(c->pos - start));
}

int kg_json_object_next(struct kg_json_object *object, struct kg_json_member *member)
{
    struct kg_cursor *c = &object->c;

    if (object->ended)
        return end(object);
    if (take(c, '}'))
        return end(object);
    if (object->begun && !kg_cursor_take(c, ','))
        return -EINVAL;
    object->begun = true;
    skip_blanks(c);
    const char *start = c->pos;
    if (!kg_cursor_take(c, '"') || !take_string(c, NULL))
        return -EINVAL;
    member->name = since(start, c);
    if (!take(c, ':'))
        return -EINVAL;
    skip_blanks(c);
    start = c->pos;
    if (!take_value(c))
        return -EINVAL;
    member->value = since(start, c);
    member->kind = kind_of(*start);
    return 1;
}
