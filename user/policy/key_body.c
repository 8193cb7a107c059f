/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/key_body.h"

#include "http/json_object.h"
#include "http/multipart.h"

struct kg_key_body kg_key_body_of(const struct kg_head *head)
{
    static const struct kg_slice media[] = {
        [KG_KEY_BODY_FORM] = { "application/x-www-form-urlencoded", 33 },
        [KG_KEY_BODY_JSON] = { "application/json", 16 },
        [KG_KEY_BODY_MULTIPART] = { "multipart/form-data", 19 },
    };
    const struct kg_header *type = kg_head_find(head, KG_H_CONTENT_TYPE, 0);
    struct kg_key_body body = { .kind = KG_KEY_BODY_OTHER };

    if (!type || type->hop || kg_head_find(head, KG_H_CONTENT_TYPE, (size_t)(type - head->headers) + 1))
        return body;
    body.type = type->value;
    for (size_t i = KG_KEY_BODY_FORM; i < sizeof(media) / sizeof(media[0]); i++) {
        if (kg_slice_eq_nocase(kg_media_of(type->value), media[i]))
            body.kind = i;
    }
    return body;
}

/* ---- finding ---- */

/* One more of the name: what was found with it. */
static void note(struct kg_key_field *field, enum kg_found found, struct kg_slice value)
{
    field->found = field->found == KG_FOUND_NOTHING ? found : KG_FOUND_SEVERAL;
    field->value = value;
}

static struct kg_key_field find_in_form(struct kg_slice bytes, struct kg_slice name)
{
    struct kg_key_field field = { .coding = KG_KEY_PERCENT };
    bool bare = false;
    int count = kg_query_find(bytes, name, &field.value, &bare);

    if (count == 1)
        field.found = bare ? KG_FOUND_OTHER : KG_FOUND_KEY;
    if (count > 1)
        field.found = KG_FOUND_SEVERAL;
    return field;
}

static enum kg_found member_holds(enum kg_json_kind kind)
{
    switch (kind) {
    case KG_JSON_STRING:
        return KG_FOUND_KEY;
    case KG_JSON_OTHER:
        return KG_FOUND_OTHER;
    default: /* as in Kong, which takes both for a list of keys */
        return KG_FOUND_SEVERAL;
    }
}

static struct kg_key_field find_in_json(struct kg_slice bytes, struct kg_slice name)
{
    struct kg_key_field field = { .coding = KG_KEY_JSON };
    struct kg_json_object object;
    struct kg_json_member member;
    int rc = kg_json_object_begin(&object, bytes) ? 1 : -1;

    while (rc > 0 && (rc = kg_json_object_next(&object, &member)) > 0) {
        if (kg_json_string_is(member.name, name))
            note(&field, member_holds(member.kind), member.value);
    }
    return rc == 0 ? field : (struct kg_key_field){ .found = KG_FOUND_NOTHING };
}

static struct kg_key_field find_in_multipart(struct kg_key_body body, struct kg_slice bytes,
                                             struct kg_slice name)
{
    struct kg_key_field field = { .coding = KG_KEY_PLAIN };
    struct kg_multipart form;
    struct kg_multipart_part part;
    int rc = kg_multipart_begin(&form, body.type, bytes) ? 1 : -1;

    while (rc > 0 && (rc = kg_multipart_next(&form, &part)) > 0) {
        if (kg_slice_eq(part.name, name))
            note(&field, KG_FOUND_KEY, part.content);
    }
    return rc == 0 ? field : (struct kg_key_field){ .found = KG_FOUND_NOTHING };
}

struct kg_key_field kg_key_body_find(struct kg_key_body body, struct kg_slice bytes, struct kg_slice name)
{
    switch (body.kind) {
    case KG_KEY_BODY_FORM:
        return find_in_form(bytes, name);
    case KG_KEY_BODY_JSON:
        return find_in_json(bytes, name);
    case KG_KEY_BODY_MULTIPART:
        return find_in_multipart(body, bytes, name);
    default:
        return (struct kg_key_field){ .found = KG_FOUND_NOTHING };
    }
}

/* ---- taking out ---- */

/*
 * A text whose parts are read from its front on while some of them are cut out behind the reader. Where
 * separators stand between them, the one before a part goes with it; at the front, the one behind it.
 */
struct gaps {
    char *text;
    size_t read, written; /* [read, …) is still to be moved to `written` */
    size_t end;           /* of the last part */
    bool kept;            /* a part before this place stays */
    bool open;            /* there is none, and what is from `from` on goes */
    size_t from;
};

static void cut(struct gaps *gaps, size_t from, size_t to)
{
    memmove(gaps->text + gaps->written, gaps->text + gaps->read, from - gaps->read);
    gaps->written += from - gaps->read;
    gaps->read = to;
}

static void take_part(struct gaps *gaps, struct kg_slice part, bool unwanted)
{
    size_t start = (size_t)(part.ptr - gaps->text), before = gaps->end;

    gaps->end = start + part.len;
    if (!unwanted) {
        if (gaps->open)
            cut(gaps, gaps->from, start);
        gaps->open = false;
        gaps->kept = true;
        return;
    }
    if (gaps->kept)
        cut(gaps, before, gaps->end);
    else if (!gaps->open)
        gaps->from = start;
    gaps->open = !gaps->kept;
}

static void close_gaps(struct gaps *gaps, struct kg_payload *payload)
{
    if (gaps->open)
        cut(gaps, gaps->from, gaps->end);
    cut(gaps, payload->len, payload->len);
    payload->changed = payload->changed || gaps->written < payload->len;
    payload->len = gaps->written;
}

static void remove_from_form(struct kg_slice bytes, struct kg_slice name, struct gaps *gaps)
{
    struct kg_slice argument;
    bool more = bytes.len > 0;

    while (kg_query_next(&bytes, &more, &argument))
        take_part(gaps, argument, kg_query_is_named(argument, name));
}

static void remove_from_json(struct kg_slice bytes, struct kg_slice name, struct gaps *gaps)
{
    struct kg_json_object object;
    struct kg_json_member member;

    if (!kg_json_object_begin(&object, bytes))
        return;
    while (kg_json_object_next(&object, &member) > 0) {
        const char *end = member.value.ptr + member.value.len;

        take_part(gaps, kg_slice_of(member.name.ptr, (size_t)(end - member.name.ptr)),
                  kg_json_string_is(member.name, name));
    }
}

static void remove_from_multipart(struct kg_key_body body, struct kg_slice bytes, struct kg_slice name,
                                  struct gaps *gaps)
{
    struct kg_multipart form;
    struct kg_multipart_part part;

    if (!kg_multipart_begin(&form, body.type, bytes))
        return;
    while (kg_multipart_next(&form, &part) > 0)
        take_part(gaps, part.whole, kg_slice_eq(part.name, name));
}

void kg_key_body_remove(struct kg_key_body body, struct kg_payload *payload, struct kg_slice name)
{
    struct kg_slice bytes = kg_slice_of(payload->ptr, payload->len);
    struct gaps gaps = { .text = payload->ptr };

    if (kg_key_body_find(body, bytes, name).found == KG_FOUND_NOTHING)
        return;
    switch (body.kind) {
    case KG_KEY_BODY_FORM:
        remove_from_form(bytes, name, &gaps);
        break;
    case KG_KEY_BODY_JSON:
        remove_from_json(bytes, name, &gaps);
        break;
    case KG_KEY_BODY_MULTIPART:
        remove_from_multipart(body, bytes, name, &gaps);
        break;
    default:
        return;
    }
    close_gaps(&gaps, payload);
}
