/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/jwt_keys.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/mem.h"
#include "model/json.h"
#include "model/jwt_algorithm.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* next and prev, of its consumer's list, mean something only while the model itself still holds the record.
 */
struct record {
    struct kg_jwt_key pub; /* pub.consumer is the counted pub of a kg_consumer_record */
    struct record *next, *prev;
    uint32_t refs;
    size_t text_size;
    char text[]; /* key, secret, and the latter decoded */
};

/* ---- one of them ---- */

static struct record *new_record(const char *id, struct kg_consumer_record *consumer, struct kg_slice key,
                                 struct kg_slice secret)
{
    /* Decoded it is shorter. */
    size_t text_size = key.len + 2 * secret.len;
    struct record *record = kg_calloc(1, sizeof(*record) + text_size);
    struct kg_writer w = kg_writer_of(record->text, text_size);

    KG_ASSERT(strlen(id) < KG_UUID_TEXT);
    memcpy(record->pub.id, id, strlen(id) + 1);
    record->pub.consumer = &consumer->pub;
    consumer->refs++;
    kg_put(&w, key);
    kg_put(&w, secret);
    record->pub.key = kg_slice_of(record->text, key.len);
    record->pub.secret = kg_slice_of(record->text + key.len, secret.len);
    if (kg_base64_decode(secret, &w))
        record->pub.decoded = kg_slice_of(record->text + key.len + secret.len, w.len - key.len - secret.len);
    record->refs = 1;
    record->text_size = text_size;
    return record;
}

static struct record *record_of(struct kg_consumer_record *consumer, const json_t *object)
{
    struct kg_slice pem = kg_json_text(json_object_get(object, "rsa_public_key"));
    struct record *record = new_record(json_string_value(json_object_get(object, "id")), consumer,
                                       kg_json_text(json_object_get(object, "key")),
                                       kg_json_text(json_object_get(object, "secret")));
    const struct kg_jwt_algorithm *algorithm =
        kg_jwt_algorithm_find(kg_json_text(json_object_get(object, "algorithm")));

    KG_ASSERT(algorithm != NULL);
    record->pub.algorithm = algorithm;
    if (algorithm->family == KG_JWT_HMAC)
        return record;
    record->pub.public_key = kg_jwt_public_key(pem);
    /* It does not pass the schema, but may have been written before the schema asked. */
    if (record->pub.public_key && !kg_jwt_algorithm_suits(algorithm, record->pub.public_key)) {
        EVP_PKEY_free(record->pub.public_key);
        record->pub.public_key = NULL;
    }
    return record;
}

/* The same, of another version of its consumer. */
static struct record *copy_of(const struct record *old, struct kg_consumer_record *consumer)
{
    struct record *record = new_record(old->pub.id, consumer, old->pub.key, old->pub.secret);

    record->pub.algorithm = old->pub.algorithm;
    record->pub.public_key = old->pub.public_key;
    if (record->pub.public_key)
        EVP_PKEY_up_ref(record->pub.public_key);
    return record;
}

static void retain(void *value)
{
    ((struct record *)value)->refs++;
}

static void release(void *value)
{
    struct record *record = value;

    KG_ASSERT(record->refs > 0);
    if (--record->refs > 0)
        return;
    /* As a credential's: the first member of a record, const only to workers. */
    kg_consumer_record_release((struct kg_consumer_record *)(uintptr_t)record->pub.consumer);
    EVP_PKEY_free(record->pub.public_key);
    kg_wipe(record->text, record->text_size);
    free(record);
}

/* ---- the maps ---- */

static const void *id_of(const void *value)
{
    return ((const struct record *)value)->pub.id;
}

static const void *key_of(const void *value)
{
    return &((const struct record *)value)->pub.key;
}

static const void *owner_of(const void *value)
{
    return ((const struct record *)value)->pub.consumer->id;
}

static const struct kg_pmap_type by_id = { id_of, kg_pmap_hash_text, kg_pmap_same_text, retain, release };
static const struct kg_pmap_type by_key = { key_of, kg_pmap_hash_slice, kg_pmap_same_slice, retain, release };
static const struct kg_pmap_type by_owner = { owner_of, kg_pmap_hash_text, kg_pmap_same_text, retain,
                                              release };

void kg_jwt_keys_init(struct kg_jwt_keys *keys)
{
    keys->by_id = kg_pmap_of(&by_id);
    keys->by_key = kg_pmap_of(&by_key);
    keys->by_owner = kg_pmap_of(&by_owner);
}

void kg_jwt_keys_free(struct kg_jwt_keys *keys)
{
    kg_pmap_free(&keys->by_owner);
    kg_pmap_free(&keys->by_key);
    kg_pmap_free(&keys->by_id);
}

/* Takes over the reference. */
static void add(struct kg_jwt_keys *keys, struct record *record)
{
    struct record *first = kg_pmap_find(&keys->by_owner, record->pub.consumer->id);

    record->next = first;
    if (first)
        first->prev = record;
    kg_pmap_set(&keys->by_owner, record);
    kg_pmap_set(&keys->by_key, record);
    kg_pmap_set(&keys->by_id, record);
    release(record);
}

static void remove_record(struct kg_jwt_keys *keys, struct record *record)
{
    if (record->next)
        record->next->prev = record->prev;
    if (record->prev)
        record->prev->next = record->next;
    else if (record->next)
        kg_pmap_set(&keys->by_owner, record->next);
    else
        kg_pmap_del(&keys->by_owner, record->pub.consumer->id);
    /* Only its own entry: within one change another credential may have got the key already. */
    if (kg_pmap_find(&keys->by_key, &record->pub.key) == record)
        kg_pmap_del(&keys->by_key, &record->pub.key);
    kg_pmap_del(&keys->by_id, record->pub.id);
}

void kg_jwt_keys_put(struct kg_jwt_keys *keys, struct kg_consumer_record *consumer, const json_t *object)
{
    struct record *record = record_of(consumer, object);

    kg_jwt_keys_remove(keys, record->pub.id);
    add(keys, record);
}

void kg_jwt_keys_remove(struct kg_jwt_keys *keys, const char *id)
{
    struct record *record = kg_pmap_find(&keys->by_id, id);

    if (record)
        remove_record(keys, record);
}

void kg_jwt_keys_remove_owned(struct kg_jwt_keys *keys, const char *consumer_id)
{
    struct record *record;

    while ((record = kg_pmap_find(&keys->by_owner, consumer_id)))
        remove_record(keys, record);
}

void kg_jwt_keys_move(struct kg_jwt_keys *keys, struct kg_consumer_record *consumer)
{
    struct record *record = kg_pmap_find(&keys->by_owner, consumer->pub.id), *next;

    /* The new ones come to the front of the list that is walked. */
    for (; record; record = next) {
        struct record *copy = copy_of(record, consumer);

        next = record->next;
        remove_record(keys, record);
        add(keys, copy);
    }
}

const struct kg_jwt_key *kg_jwt_keys_find(const struct kg_pmap *map, struct kg_slice key)
{
    const struct record *found = kg_pmap_find(map, &key);

    return found ? &found->pub : NULL;
}
