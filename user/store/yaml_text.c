/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/yaml_text.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define INDENT 2

/* Old copies are wiped, so no realloc. */
static void put(struct kg_yaml_out *out, const char *text, size_t len)
{
    if (out->cap - out->len < len) {
        size_t cap = out->cap * 2 + len + 4096;
        char *bigger = kg_calloc(1, cap);

        if (out->len > 0) {
            memcpy(bigger, out->buf, out->len);
            kg_wipe(out->buf, out->len);
        }
        free(out->buf);
        out->buf = bigger;
        out->cap = cap;
    }
    memcpy(out->buf + out->len, text, len);
    out->len += len;
}

void kg_yaml_end(struct kg_yaml_out *out)
{
    put(out, "", 1);
    out->len--;
}

static void put_text(struct kg_yaml_out *out, const char *text)
{
    put(out, text, strlen(text));
}

static void indent(struct kg_yaml_out *out, size_t depth)
{
    for (size_t i = 0; i < depth * INDENT; i++)
        put(out, " ", 1);
}

/* Whether a text, written plain, is read back as itself: also where YAML 1.1 has more words than 1.2. */
static bool is_plain(struct kg_slice text)
{
    static const char *const words[] = { "null", "true", "false", "yes", "no", "on", "off", "y", "n" };
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/";
    static const char more[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/0123456789_.-";

    if (text.len == 0 || !strchr(first, text.ptr[0]) || strspn(text.ptr, more) != text.len)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text.ptr, words[i]) == 0)
            return false;
    return true;
}

/* Bytes at the start of text that YAML takes only escaped (YAML 1.2, 5.1), and the character they are. */
static size_t hidden(struct kg_slice text, unsigned *character)
{
    const unsigned char *c = (const unsigned char *)text.ptr;

    *character = c[0];
    if (c[0] < 0x20 || c[0] == 0x7f || c[0] == '"' || c[0] == '\\')
        return 1;
    if (text.len > 1 && c[0] == 0xc2 && c[1] < 0xa0) {
        *character = c[1];
        return 2;
    }
    if (text.len < 3 || (c[0] & 0xf0) != 0xe0)
        return 0;
    *character = (unsigned)(c[0] & 0x0f) << 12 | (unsigned)(c[1] & 0x3f) << 6 | (c[2] & 0x3f);
    if (*character == 0x2028 || *character == 0x2029 || *character == 0xfeff || *character >= 0xfffe)
        return 3;
    return 0;
}

static void put_quoted(struct kg_yaml_out *out, struct kg_slice text)
{
    /* Else it would be filled in when it is read. The tag says: a text, just as it stands. */
    if (memmem(text.ptr, text.len, "${{", 3))
        put_text(out, "! ");
    put_text(out, "\"");
    for (size_t i = 0; i < text.len; i++) {
        unsigned character;
        size_t len = hidden(kg_slice_of(text.ptr + i, text.len - i), &character);
        char escaped[8];

        if (len == 0) {
            put(out, text.ptr + i, 1);
            continue;
        }
        snprintf(escaped, sizeof(escaped), "\\u%04x", character);
        put_text(out, escaped);
        i += len - 1;
    }
    put_text(out, "\"");
}

/* Lines such as PEM has: nothing that a block would lose. */
static bool is_block(struct kg_slice text)
{
    const char *start = text.ptr;

    if (text.len < 2 || text.ptr[text.len - 1] != '\n' || text.ptr[text.len - 2] == '\n')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c != '\n' && (c < 0x20 || c == 0x7f))
            return false;
        if (text.ptr + i == start && c == ' ')
            return false;
        if (c == '\n')
            start = text.ptr + i + 1;
    }
    return !memmem(text.ptr, text.len, "${{", 3);
}

static void put_block(struct kg_yaml_out *out, size_t depth, struct kg_slice text)
{
    put_text(out, "|\n");
    while (text.len > 0) {
        size_t len = kg_slice_find(text, '\n') + 1;

        if (len > 1)
            indent(out, depth + 1);
        put(out, text.ptr, len);
        text = kg_slice_of(text.ptr + len, text.len - len);
    }
}

static void put_scalar(struct kg_yaml_out *out, const json_t *value)
{
    char *text;

    if (json_is_string(value)) {
        if (is_plain(kg_json_text(value)))
            put(out, json_string_value(value), json_string_length(value));
        else
            put_quoted(out, kg_json_text(value));
        return;
    }
    text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    KG_ASSERT(text != NULL);
    put_text(out, text);
    free(text);
}

static void put_key(struct kg_yaml_out *out, const char *name)
{
    if (is_plain(kg_slice_str(name)) || name[0] == '_')
        put_text(out, name);
    else
        put_quoted(out, kg_slice_str(name));
    put_text(out, ":");
}

/* In one line. */
static void put_flow(struct kg_yaml_out *out, const json_t *value)
{
    const char *name, *between = "";
    json_t *below;
    size_t i;

    if (!json_is_array(value) && !json_is_object(value)) {
        put_scalar(out, value);
        return;
    }
    put_text(out, json_is_array(value) ? "[" : "{");
    json_array_foreach(value, i, below)
    {
        put_text(out, between);
        put_flow(out, below);
        between = ", ";
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, below)
    {
        put_text(out, between);
        put_key(out, name);
        put_text(out, " ");
        put_flow(out, below);
        between = ", ";
    }
    put_text(out, json_is_array(value) ? "]" : "}");
}

static void put_list(struct kg_yaml_out *out, size_t depth, const json_t *list)
{
    json_t *item;
    size_t i;

    put_text(out, "\n");
    json_array_foreach(list, i, item)
    {
        /* Lists of lists or of maps are rare. */
        indent(out, depth);
        put_text(out, "- ");
        put_flow(out, item);
        put_text(out, "\n");
    }
}

void kg_yaml_put_name(struct kg_yaml_out *out, size_t depth, bool item, const char *name)
{
    indent(out, item ? depth - 1 : depth);
    if (item)
        put_text(out, "- ");
    put_key(out, name);
}

void kg_yaml_put_value(struct kg_yaml_out *out, size_t depth, const json_t *value)
{
    const char *name;
    json_t *below;

    if (json_is_array(value) && json_array_size(value) > 0) {
        put_list(out, depth, value);
        return;
    }
    if (json_is_object(value) && json_object_size(value) > 0) {
        put_text(out, "\n");
        json_object_foreach((json_t *)(uintptr_t)value, name, below)
        {
            kg_yaml_put_name(out, depth + 1, false, name);
            kg_yaml_put_value(out, depth + 1, below);
        }
        return;
    }
    put_text(out, " ");
    if (json_is_string(value) && is_block(kg_json_text(value))) {
        put_block(out, depth, kg_json_text(value));
        return;
    }
    put_scalar(out, value);
    put_text(out, "\n");
}

void kg_yaml_put_line(struct kg_yaml_out *out, const char *line)
{
    put_text(out, line);
    put_text(out, "\n");
}
