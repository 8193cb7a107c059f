/* SPDX-License-Identifier: BSD-2-Clause */
/* Which stored entity a declared one is, and which id it gets when there is none. */
#include "store/declaring.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/json.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- ids ---- */

static int hex(char c)
{
    return c <= '9' ? c - '0' : kg_lower(c) - 'a' + 10;
}

void kg_id_parse(const char *text, uint8_t id[16])
{
    size_t at = 0;

    memset(id, 0, 16);
    for (size_t i = 0; text[i] && at < 32; i++) {
        if (text[i] == '-')
            continue;
        id[at / 2] = (uint8_t)(at % 2 == 0 ? hex(text[i]) << 4 : id[at / 2] | hex(text[i]));
        at++;
    }
}

void kg_id_text(const uint8_t id[16], char text[KG_UUID_TEXT])
{
    struct kg_writer w = kg_writer_of(text, KG_UUID_TEXT - 1);
    static const size_t parts[] = { 4, 2, 2, 2, 6 };
    size_t at = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (i > 0)
            KG_PUT(&w, "-");
        kg_put_hex_bytes(&w, id + at, parts[i]);
        at += parts[i];
    }
    text[w.len] = '\0';
}

/* Its ids are random, or hashes: any of their bytes spread well. */
static size_t slot_of(const struct kg_id_set *set, const uint8_t id[16])
{
    static const uint8_t none[16];
    uint64_t hash;
    size_t at;

    memcpy(&hash, id + 8, sizeof(hash));
    hash *= 0x9e3779b97f4a7c15u;
    for (at = (size_t)(hash >> 32) & (set->cap - 1);; at = (at + 1) & (set->cap - 1))
        if (memcmp(set->ids[at], id, 16) == 0 || memcmp(set->ids[at], none, 16) == 0)
            return at;
}

static void grow(struct kg_id_set *set)
{
    struct kg_id_set bigger = { .cap = set->cap ? set->cap * 2 : 64, .count = set->count };
    static const uint8_t none[16];

    bigger.ids = kg_calloc(bigger.cap, 16);
    for (size_t i = 0; i < set->cap; i++)
        if (memcmp(set->ids[i], none, 16) != 0)
            memcpy(bigger.ids[slot_of(&bigger, set->ids[i])], set->ids[i], 16);
    free(set->ids);
    *set = bigger;
}

bool kg_id_set_has(const struct kg_id_set *set, const uint8_t id[16])
{
    return set->cap > 0 && memcmp(set->ids[slot_of(set, id)], id, 16) == 0;
}

bool kg_id_set_add(struct kg_id_set *set, const uint8_t id[16])
{
    if (set->count * 2 >= set->cap)
        grow(set);
    size_t at = slot_of(set, id);
    if (memcmp(set->ids[at], id, 16) == 0)
        return false;
    memcpy(set->ids[at], id, 16);
    set->count++;
    return true;
}

void kg_id_set_free(struct kg_id_set *set)
{
    free(set->ids);
    *set = (struct kg_id_set){ 0 };
}

/* RFC 9562, 5.5. The digest is looked up once: that takes longer than to use it. */
static void uuid5(struct kg_declaring *d, const uint8_t space[16], struct kg_slice name, uint8_t out[16])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int ok;

    if (!d->sha1) {
        d->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
        d->digest = EVP_MD_CTX_new();
    }
    ok = d->sha1 && d->digest && EVP_DigestInit_ex(d->digest, d->sha1, NULL) == 1 &&
         EVP_DigestUpdate(d->digest, space, 16) == 1 &&
         EVP_DigestUpdate(d->digest, name.ptr, name.len) == 1 &&
         EVP_DigestFinal_ex(d->digest, digest, &len) == 1;
    KG_ASSERT(ok);
    memcpy(out, digest, 16);
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x50);
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}

/* ---- stable ids ---- */

/* Kong's namespace of declarative ids. */
#define NAMESPACE "fd02801f-0957-4a15-a55a-c8d9606f30b5"

/* All that the entity says, but for what differs from one reading to the next. */
static char *content_of(const struct kg_entity *entity, const json_t *whole)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)whole);
    char *text;

    json_object_del(copy, "id");
    json_object_del(copy, "created_at");
    json_object_del(copy, "updated_at");
    json_object_del(copy, "tags");
    for (const struct kg_field *field = entity->fields; field->name; field++)
        if (field->secret)
            json_object_del(copy, field->name);
    text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(copy);
    KG_ASSERT(text != NULL);
    return text;
}

static char *together_of(const struct kg_entity *entity, const json_t *whole)
{
    char buf[1024];
    struct kg_writer w = kg_writer_of(buf, sizeof(buf));

    kg_put(&w, kg_slice_str(entity->name));
    for (size_t i = 0; entity->unique_together[i]; i++) {
        const json_t *value = json_object_get(whole, entity->unique_together[i]);

        KG_PUT(&w, ":");
        kg_put(&w, kg_json_text(json_is_object(value) ? json_object_get(value, "id") : value));
    }
    return kg_strndup(buf, w.len);
}

/* A key is in its id as its keyed hash: ids are shown to services, and must not help to guess keys. */
static char *hash_of(struct kg_declaring *d, const json_t *key)
{
    uint8_t mac[32];
    char text[64];
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    kg_vault_mac(&d->store->vault, kg_json_text(key), mac);
    kg_put_hex_bytes(&w, mac, sizeof(mac));
    return kg_strndup(text, w.len);
}

static const struct kg_field *endpoint_of(const struct kg_entity *entity, const json_t *whole)
{
    const struct kg_field *field =
        entity->endpoint_key ? kg_entity_field(entity, entity->endpoint_key) : NULL;

    return field && field->unique && kg_json_given(whole, field->name) ? field : NULL;
}

static bool taken(struct kg_declaring *d, const struct kg_entity *entity, const uint8_t id[16])
{
    char text[KG_UUID_TEXT];

    if (kg_id_set_has(&d->seen[entity->id], id) || kg_id_set_has(&d->reserved[entity->id], id))
        return true;
    kg_id_text(id, text);
    return !d->fresh[entity->id] && kg_rows_has(d, entity, text);
}

static int stable_id(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                     char id[KG_UUID_TEXT])
{
    const struct kg_field *endpoint = endpoint_of(entity, whole);
    bool content = !endpoint && !entity->unique_together;
    char *name = endpoint && endpoint->by_hash ? hash_of(d, json_object_get(whole, endpoint->name))
                 : endpoint ? kg_strdup(json_string_value(json_object_get(whole, endpoint->name)))
                 : content  ? content_of(entity, whole)
                            : together_of(entity, whole);
    uint8_t root[16], space[16], made[16];

    kg_id_parse(NAMESPACE, root);
    uuid5(d, root, kg_slice_str(entity->name), space);
    uuid5(d, space, kg_slice_str(name), made);
    free(name);
    /* One that has been renamed may have this id still. Its content, though, is all that an id by content is.
     */
    while (!content && taken(d, entity, made))
        uuid5(d, made, kg_slice_str(entity->name), made);
    kg_id_text(made, id);
    return content && kg_id_set_has(&d->seen[entity->id], made) ? -EEXIST : 0;
}

/* ---- matching ---- */

/* The stored one by what names it: its endpoint key, or all that is unique only together, or any other unique
 * field. */
static bool find_stored(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                        char id[KG_UUID_TEXT], const char **key)
{
    const struct kg_field *endpoint = endpoint_of(entity, whole);

    *key = endpoint ? endpoint->name : NULL;
    /* What the files say twice shows when it is written. */
    if (d->fresh[entity->id])
        return false;
    if (endpoint)
        return kg_rows_find(d, entity, endpoint, whole, id);
    if (entity->unique_together)
        return kg_rows_find(d, entity, NULL, whole, id);
    for (const struct kg_field *field = entity->fields; field->name; field++) {
        *key = field->name;
        if (field->unique && kg_json_given(whole, field->name) && kg_rows_find(d, entity, field, whole, id))
            return true;
    }
    *key = NULL;
    return false;
}

int kg_declare_match(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                     bool id_given, char id[KG_UUID_TEXT], const char **key)
{
    uint8_t bytes[16];

    *key = "id";
    if (id_given) {
        snprintf(id, KG_UUID_TEXT, "%s", json_string_value(json_object_get(whole, "id")));
        kg_id_parse(id, bytes);
        return kg_id_set_has(&d->seen[entity->id], bytes) ? -EEXIST : 0;
    }
    if (find_stored(d, entity, whole, id, key)) {
        kg_id_parse(id, bytes);
        if (kg_id_set_has(&d->seen[entity->id], bytes))
            return -EEXIST;
        /* An id that the files give to another entity is that one's. */
        if (!kg_id_set_has(&d->reserved[entity->id], bytes))
            return 0;
    }
    return stable_id(d, entity, whole, id);
}

bool kg_declare_rival(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                      char id[KG_UUID_TEXT], const struct kg_field **field)
{
    const char *own = json_string_value(json_object_get(whole, "id"));

    for (*field = entity->fields; (*field)->name; (*field)++) {
        if ((*field)->unique && kg_json_given(whole, (*field)->name) &&
            kg_rows_find(d, entity, *field, whole, id) && strcmp(own, id) != 0)
            return true;
    }
    *field = NULL;
    return entity->unique_together && kg_rows_find(d, entity, NULL, whole, id) && strcmp(own, id) != 0;
}

bool kg_declare_stays(struct kg_declaring *d, const struct kg_entity *entity, const char *id)
{
    uint8_t bytes[16];
    json_t *row;
    bool stays;

    kg_id_parse(id, bytes);
    if (kg_id_set_has(&d->seen[entity->id], bytes))
        return true;
    if (json_array_size(d->tags) == 0)
        return false;
    row = kg_rows_get(d, entity, id);
    stays = row && !kg_rows_selected(d, json_object_get(row, "tags"));
    json_decref(row);
    return stays;
}
