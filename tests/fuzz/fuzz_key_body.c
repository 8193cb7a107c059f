/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for keys in bodies. The first byte says what the body is taken for, the rest is the body.
 * A field that is cut out is gone, all others are there as they were, and what is left reads as well as
 * before. What is JSON, and what its strings stand for, is asked of jansson too.
 */
#include "http/json_object.h"
#include "http/multipart.h"
#include "policy/key_body.h"

#include "base/assert.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kg_slice name = { "key", 3 };

static bool is_inside(struct kg_slice part, struct kg_slice whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

/* ---- what stays ---- */

/* All fields but those of the name, each behind its length. False when malformed. */
static bool list_json(struct kg_slice bytes, struct kg_writer *out)
{
    struct kg_json_object object;
    struct kg_json_member member;
    int rc = kg_json_object_begin(&object, bytes) ? 1 : -1;

    while (rc > 0 && (rc = kg_json_object_next(&object, &member)) > 0) {
        const char *end = member.value.ptr + member.value.len;
        struct kg_slice whole = kg_slice_of(member.name.ptr, (size_t)(end - member.name.ptr));

        KG_ASSERT(is_inside(whole, bytes));
        if (kg_json_string_is(member.name, name))
            continue;
        kg_put_u64(out, whole.len);
        kg_put(out, whole);
    }
    return rc == 0;
}

static bool list_multipart(struct kg_key_body body, struct kg_slice bytes, struct kg_writer *out)
{
    static struct kg_multipart form;
    static struct kg_multipart_part part;
    int rc = kg_multipart_begin(&form, body.type, bytes) ? 1 : -1;

    while (rc > 0 && (rc = kg_multipart_next(&form, &part)) > 0) {
        KG_ASSERT(is_inside(part.whole, bytes) && is_inside(part.content, part.whole));
        if (kg_slice_eq(part.name, name))
            continue;
        kg_put_u64(out, part.whole.len);
        kg_put(out, part.whole);
    }
    return rc == 0;
}

static bool list_form(struct kg_slice bytes, struct kg_writer *out)
{
    kg_query_remove(bytes, name, out);
    return true;
}

static bool list(struct kg_key_body body, struct kg_slice bytes, struct kg_writer *out)
{
    switch (body.kind) {
    case KG_KEY_BODY_FORM:
        return list_form(bytes, out);
    case KG_KEY_BODY_JSON:
        return list_json(bytes, out);
    default:
        return list_multipart(body, bytes, out);
    }
}

static void check_removed(struct kg_key_body body, struct kg_slice bytes, enum kg_found found)
{
    /* Each length has more digits than its field only when that is empty. */
    size_t room = 24 * bytes.len + 64;
    struct kg_writer before = kg_writer_of(malloc(room), room), after = kg_writer_of(malloc(room), room);
    char *copy = malloc(bytes.len + 1);
    struct kg_payload payload = { .ptr = copy, .len = bytes.len };
    bool sound = list(body, bytes, &before);

    memcpy(copy, bytes.ptr, bytes.len);
    kg_key_body_remove(body, &payload, name);
    struct kg_slice left = kg_slice_of(payload.ptr, payload.len);
    KG_ASSERT(sound || found == KG_FOUND_NOTHING);
    KG_ASSERT(payload.changed == (found != KG_FOUND_NOTHING) && payload.changed == (left.len < bytes.len));
    KG_ASSERT(payload.changed || kg_slice_eq(left, bytes));
    KG_ASSERT(kg_key_body_find(body, left, name).found == KG_FOUND_NOTHING);
    KG_ASSERT(!sound ||
              (list(body, left, &after) && kg_slice_eq(kg_writer_slice(&before), kg_writer_slice(&after))));
    KG_ASSERT(!before.overflow && !after.overflow);
    free(before.buf);
    free(after.buf);
    free(copy);
}

/* ---- what jansson says ---- */

/* Where it has limits, or rules about strings, that are not asked for here. */
static bool is_excused(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_invalid_utf8:
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
        return true;
    default:
        return false;
    }
}

static size_t depth_of(struct kg_slice bytes)
{
    size_t brackets = 0;

    for (size_t i = 0; i < bytes.len; i++)
        brackets += bytes.ptr[i] == '[' || bytes.ptr[i] == '{';
    return brackets;
}

static void check_value(const json_t *value, struct kg_key_field field, size_t room)
{
    struct kg_writer decoded = kg_writer_of(malloc(room), room);

    KG_ASSERT(kg_json_string_decode(field.value, &decoded));
    KG_ASSERT(json_string_length(value) == decoded.len);
    KG_ASSERT(memcmp(json_string_value(value), decoded.buf, decoded.len) == 0);
    free(decoded.buf);
}

static void check_json(struct kg_slice bytes, struct kg_key_field field)
{
    json_error_t error;
    json_t *root = json_loadb(bytes.ptr, bytes.len, JSON_ALLOW_NUL, &error);
    struct kg_writer nothing = kg_writer_of(NULL, 0);
    bool sound = list_json(bytes, &nothing);
    const json_t *value = json_object_get(root, "key");

    KG_ASSERT(!sound || root || is_excused(&error));
    KG_ASSERT(!json_is_object(root) || sound || depth_of(bytes) > KG_JSON_DEPTH);
    if (root && sound) {
        KG_ASSERT((value != NULL) == (field.found != KG_FOUND_NOTHING));
        if (field.found == KG_FOUND_KEY)
            check_value(value, field, bytes.len + 1);
    }
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct kg_key_body bodies[] = {
        { .kind = KG_KEY_BODY_FORM },
        { .kind = KG_KEY_BODY_JSON },
        { .kind = KG_KEY_BODY_MULTIPART, .type = { "multipart/form-data; boundary=b", 31 } },
    };

    if (size < 1)
        return 0;
    struct kg_key_body body = bodies[data[0] % 3];
    char *copy = malloc(size);
    struct kg_slice bytes = kg_slice_of(copy, size - 1);
    memcpy(copy, data + 1, size - 1);
    struct kg_key_field field = kg_key_body_find(body, bytes, name);
    KG_ASSERT(field.found != KG_FOUND_KEY || is_inside(field.value, bytes));
    check_removed(body, bytes, field.found);
    if (body.kind == KG_KEY_BODY_JSON)
        check_json(bytes, field);
    free(copy);
    return 0;
}
