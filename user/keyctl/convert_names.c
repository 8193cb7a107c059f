/* SPDX-License-Identifier: BSD-2-Clause */
/* Entities by their ids, and the names, tags and paths that the output gives them. */
#include "keyctl/convert.h"

#include "base/mem.h"
#include "base/uuid.h"
#include "base/writer.h"
#include "http/uri.h"

#include <stdlib.h>

#define NAME_MOST   200 /* of a name in the output; leaves room for a number behind it */
#define PATH_MOST   4096
#define COPIES_MOST 2000000u

/* ---- items ---- */

/* "anna/credentials/1" is what APISIX calls a credential among the consumers; elsewhere an id is an id. */
static const char *id_of(const struct node *node)
{
    static const char *const spelled[] = { "id", "username", "name", NULL };

    return node_text(node_spelled(node, spelled));
}

/* A person knows it by its name, if it has one. */
static const char *label_of(const struct node *node)
{
    static const char *const spelled[] = { "name", "username", "id", NULL };
    const char *label = node_text(node_spelled(node, spelled));

    return label ? label : "(without a name)";
}

/* What the Admin API lists is wrapped: {"key": "/apisix/routes/1", "value": {…}}. */
static const struct node *unwrap(const struct node *node)
{
    const struct node *value = node_field(node, "value");

    return value && value->kind == NODE_MAP && node_field(node, "key") ? value : node;
}

/* Under its id, and under its name where no id says the same. */
static void index_item(struct convert *c, struct items *items, const struct item *item, size_t at)
{
    const char *id = id_of(item->node), *name = node_text(node_field(item->node, "name"));

    if (id && json_object_get(items->by_id, id))
        leave_out(c, item, NULL, "another %s has the same id; what refers to it gets the first", item->kind);
    else if (id)
        json_object_set_new(items->by_id, id, json_integer((json_int_t)at));
    if (name && !json_object_get(items->by_id, name))
        json_object_set_new(items->by_id, name, json_integer((json_int_t)at));
}

void add_items(struct convert *c, struct items *items, const struct node *all, const char *kind,
               const struct item *parent)
{
    static const char *const wrapped[] = { "list", NULL };
    const struct node *inner = node_spelled(all, wrapped);

    if (inner)
        all = inner;
    if (!all)
        return;
    if (all->kind != NODE_LIST) {
        leave_out(c, NULL, all, "expected a list of %ss", kind);
        return;
    }
    if (!items->by_id)
        items->by_id = json_object();
    items->list = kg_realloc(items->list, items->count + all->count + 1, sizeof(*items->list));
    for (size_t i = 0; i < all->count; i++) {
        const struct node *node = unwrap(all->items[i]);
        struct item *item = &items->list[items->count];

        if (node->kind != NODE_MAP) {
            leave_out(c, NULL, node, "expected a %s, a map of fields", kind);
            continue;
        }
        *item = (struct item){ .node = node, .parent = parent, .kind = kind, .label = label_of(node) };
        index_item(c, items, item, items->count++);
    }
}

struct item *find_item(const struct items *items, const char *id)
{
    const json_t *at = id ? json_object_get(items->by_id, id) : NULL;

    return at ? &items->list[json_integer_value(at)] : NULL;
}

/* ---- names ---- */

static bool is_name_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || (kg_lower((char)c) >= 'a' && kg_lower((char)c) <= 'z') || c == '.' ||
           c == '_' || c == '-';
}

/* An upstream's name is a host name, whose labels are not empty; a number, an address or an id of ours would
 * be taken for one. */
static bool is_plain_name(const char *text, bool host)
{
    size_t len = strlen(text);

    if (len == 0 || strspn(text, "0123456789.") == len || kg_uuid_valid(kg_slice_of(text, len)))
        return false;
    return !host || (text[0] != '.' && text[len - 1] != '.' && !strstr(text, ".."));
}

static void clean_name(char out[NAME_MOST + 32], const struct item *item, bool host)
{
    char text[NAME_MOST + 1];
    size_t len = 0;

    for (const char *p = item->label; *p && len < NAME_MOST; p++) {
        char next = is_name_byte((unsigned char)*p) ? *p : '-';

        text[len++] = host ? kg_lower(next) : next;
    }
    text[len] = '\0';
    if (strcmp(item->label, "(without a name)") == 0)
        snprintf(out, NAME_MOST + 32, "%s", item->kind);
    else if (is_plain_name(text, host))
        snprintf(out, NAME_MOST + 32, "%s", text);
    else {
        for (size_t i = 0; host && i < len; i++)
            text[i] = text[i] == '.' ? '-' : text[i];
        snprintf(out, NAME_MOST + 32, "%s-%s", item->kind, text);
    }
}

/* Names given away are kept in lower case with the number that comes next. */
static bool take_name(json_t *used, const char *name, json_int_t *next)
{
    char lower[NAME_MOST + 64];
    size_t len = strlen(name);
    json_t *have;

    for (size_t i = 0; i <= len; i++)
        lower[i] = kg_lower(name[i]);
    have = json_object_get(used, lower);
    if (!have) {
        json_object_set_new(used, lower, json_integer(2));
        return true;
    }
    *next = json_integer_value(have);
    json_integer_set(have, *next + 1);
    return false;
}

json_t *give_name(struct convert *c, enum part part, const struct item *item)
{
    json_t **used = &c->used[part];
    char base[NAME_MOST + 32], name[NAME_MOST + 64];
    json_int_t next = 0, ignored;

    if (!*used)
        *used = json_object();
    clean_name(base, item, part == PART_UPSTREAMS);
    snprintf(name, sizeof(name), "%s", base);
    while (!take_name(*used, name, name[strlen(base)] ? &ignored : &next)) {
        if (name[strlen(base)])
            take_name(*used, base, &next);
        snprintf(name, sizeof(name), "%s-%lld", base, (long long)next);
    }
    return json_string(name);
}

/* ---- tags ---- */

static bool put_tag(json_t *tags, const char *name, const struct node *value)
{
    const char *text = node_text(value);
    char tag[512];
    int len;

    if (!text)
        return false;
    len = snprintf(tag, sizeof(tag), "%s:%s", name, text);
    if (len < 0 || (size_t)len >= sizeof(tag) || strpbrk(tag, ",/"))
        return false;
    for (int i = 0; i < len; i++) {
        if ((unsigned char)tag[i] < 0x20 || tag[i] == 0x7f)
            return false;
    }
    return json_array_append_new(tags, json_string(tag)) == 0;
}

/* In ADC's files a label may have several values. */
static bool put_label(json_t *tags, const char *name, const struct node *value)
{
    bool all = true;

    if (value->kind != NODE_LIST)
        return put_tag(tags, name, value);
    for (size_t i = 0; i < value->count; i++)
        all &= put_tag(tags, name, value->items[i]);
    return all;
}

void put_tags(struct convert *c, const struct item *item, json_t *entity)
{
    const struct node *labels = node_field(item->node, "labels");
    bool consumer = strcmp(item->kind, "consumer") == 0;
    json_t *tags = json_array();

    for (size_t i = 0; labels && labels->kind == NODE_MAP && i + 1 < labels->count; i += 2) {
        const struct node *key = labels->items[i];

        /* It goes upstream in X-Consumer-Custom-ID. */
        if (consumer && strcmp(key->text, "custom_id") == 0 && node_text(labels->items[i + 1]))
            json_object_set_new(entity, "custom_id", json_string(node_text(labels->items[i + 1])));
        else if (!put_label(tags, key->text, labels->items[i + 1]))
            leave_out(c, item, key, "label \"%s\": it cannot be a tag, which is short text without , and /",
                      key->text);
    }
    if (json_array_size(tags) > 0)
        json_object_set(entity, "tags", tags);
    json_decref(tags);
}

/* ---- paths ---- */

/* As keygate sees the path that APISIX sees decoded: what http/uri.h says stays encoded. */
static void put_path_byte(struct kg_writer *w, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";

    if (c > 0x20 && c < 0x7f && !strchr("%?#[]", c)) {
        kg_put_char(w, (char)c);
        return;
    }
    kg_put_char(w, '%');
    kg_put_char(w, hex[c >> 4]);
    kg_put_char(w, hex[c & 15]);
}

static bool is_plain_path(struct kg_slice path)
{
    char normal[PATH_MOST];
    struct kg_writer w = kg_writer_of(normal, sizeof(normal));
    const char *why;

    for (size_t i = 0; i < path.len; i++) {
        if (strchr("\"<>\\^`{|}", path.ptr[i]))
            return false;
    }
    return kg_path_normalize(path, &w, &why) == 0 && kg_slice_eq(kg_writer_slice(&w), path);
}

/* A regex that is this text: every mark is escaped, whether PCRE2 gives it a meaning or not. */
static void put_quoted(struct kg_writer *w, struct kg_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];

        if (byte == '.' || (!is_name_byte((unsigned char)byte) && byte != '/' && byte != '%'))
            kg_put_char(w, '\\');
        kg_put_char(w, byte);
    }
}

json_t *make_path(const char *uri, bool *inner)
{
    char path[PATH_MOST], regex[2 * PATH_MOST];
    struct kg_writer piece = kg_writer_of(path, sizeof(path)), whole = kg_writer_of(regex, sizeof(regex));
    size_t len = strlen(uri);
    bool prefix = len > 0 && uri[len - 1] == '*';
    size_t star = strcspn(uri, "*");

    *inner = star + 1 < len;
    if (strcmp(uri, "*") == 0)
        return json_string("/");
    if (uri[0] != '/')
        return NULL;
    KG_PUT(&whole, "~");
    for (size_t i = 0; i < len; i++) {
        if (uri[i] != '*') {
            put_path_byte(&piece, (unsigned char)uri[i]);
            continue;
        }
        put_quoted(&whole, kg_writer_slice(&piece));
        if (i + 1 < len) {
            KG_PUT(&whole, ".*");
            kg_writer_cut(&piece, 0);
        }
    }
    if (prefix && !*inner && is_plain_path(kg_writer_slice(&piece)) && !piece.overflow)
        return json_stringn(path, piece.len);
    if (!prefix) {
        put_quoted(&whole, kg_writer_slice(&piece));
        KG_PUT(&whole, "$");
    }
    return piece.overflow || whole.overflow ? NULL : json_stringn(regex, whole.len);
}

/* ---- headers and lists ---- */

bool header_of(const char *variable, char out[HEADER_CAP])
{
    size_t len = 0;

    if (!variable || strncmp(variable, "http_", 5) != 0)
        return false;
    variable += 5;
    while (len < HEADER_CAP - 1 && variable[len]) {
        out[len] = variable[len] == '_' ? '-' : kg_lower(variable[len]);
        len++;
    }
    out[len] = '\0';
    return len > 0 && !variable[len];
}

json_t *make_texts(const struct node *node)
{
    json_t *texts;

    if (node_text(node))
        return json_pack("[s]", node_text(node));
    if (!node || node->kind != NODE_LIST)
        return NULL;
    texts = json_array();
    for (size_t i = 0; i < node->count; i++) {
        if (!node_text(node->items[i])) {
            json_decref(texts);
            return NULL;
        }
        json_array_append_new(texts, json_string(node_text(node->items[i])));
    }
    return texts;
}

bool may_copy(struct convert *c, const struct item *item, size_t values)
{
    c->copied += values;
    if (c->copied <= COPIES_MOST)
        return true;
    if (c->copied - values <= COPIES_MOST)
        leave_out(c, item, NULL,
                  "what it shares with others makes the output too large; it and what follows "
                  "are left out");
    return false;
}
