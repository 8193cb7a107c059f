/* SPDX-License-Identifier: BSD-2-Clause */
/* Consumers and credentials as the model keeps them, and the maps that find them. */
#include "model/records.h"

#include "base/assert.h"
#include "base/mem.h"

#include <openssl/crypto.h>
#include <stdlib.h>

static void copy_id(char out[KG_UUID_TEXT], const char *id)
{
    size_t len = strlen(id);

    KG_ASSERT(len < KG_UUID_TEXT);
    memcpy(out, id, len + 1);
}

/* Copies to *at, moves it on. */
static struct kg_slice pack(char **at, struct kg_slice text)
{
    struct kg_slice packed = { *at, text.len };

    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return packed;
}

struct kg_consumer_record *kg_consumer_record_new(const char *id, const char *username, const char *custom_id,
                                                  uint32_t slot)
{
    struct kg_slice name = kg_slice_str(username), custom = kg_slice_str(custom_id);
    struct kg_consumer_record *consumer = kg_calloc(1, sizeof(*consumer) + name.len + custom.len);
    char *at = consumer->text;

    copy_id(consumer->pub.id, id);
    consumer->pub.username = pack(&at, name);
    consumer->pub.custom_id = pack(&at, custom);
    consumer->pub.slot = slot;
    consumer->refs = 1;
    return consumer;
}

void kg_consumer_record_release(struct kg_consumer_record *consumer)
{
    KG_ASSERT(consumer->refs > 0);
    if (--consumer->refs == 0)
        free(consumer);
}

struct kg_credential_record *kg_credential_record_new(const char *id, struct kg_consumer_record *consumer,
                                                      const uint8_t mac[32], int64_t expires_wall,
                                                      const char *name)
{
    struct kg_slice given = kg_slice_str(name);
    struct kg_credential_record *credential = kg_calloc(1, sizeof(*credential) + given.len);
    char *at = credential->text;

    copy_id(credential->pub.id, id);
    memcpy(credential->pub.mac, mac, sizeof(credential->pub.mac));
    credential->pub.expires_wall = expires_wall;
    credential->pub.name = pack(&at, given);
    credential->pub.consumer = &consumer->pub;
    consumer->refs++;
    credential->refs = 1;
    return credential;
}

struct kg_consumer_record *kg_credential_record_consumer(const struct kg_credential_record *credential)
{
    /* Every consumer that a credential points at is the first member of a record; only workers see it as
     * const. */
    _Static_assert(offsetof(struct kg_consumer_record, pub) == 0, "a consumer begins its record");
    return (struct kg_consumer_record *)(uintptr_t)credential->pub.consumer;
}

void kg_credential_record_release(struct kg_credential_record *credential)
{
    KG_ASSERT(credential->refs > 0);
    if (--credential->refs > 0)
        return;
    kg_consumer_record_release(kg_credential_record_consumer(credential));
    free(credential);
}

/* A MAC is as good a hash as there is, and without the index key nobody can choose one. */
static uint64_t hash_mac(const void *key)
{
    uint64_t hash;

    memcpy(&hash, key, sizeof(hash));
    return hash;
}

static bool same_mac(const void *key, const void *other)
{
    return CRYPTO_memcmp(key, other, 32) == 0;
}

static const void *consumer_id(const void *value)
{
    return ((const struct kg_consumer_record *)value)->pub.id;
}

static const void *consumer_username(const void *value)
{
    return &((const struct kg_consumer_record *)value)->pub.username;
}

static void retain_consumer(void *value)
{
    ((struct kg_consumer_record *)value)->refs++;
}

static void release_consumer(void *value)
{
    kg_consumer_record_release(value);
}

static const void *credential_id(const void *value)
{
    return ((const struct kg_credential_record *)value)->pub.id;
}

static const void *credential_mac(const void *value)
{
    return ((const struct kg_credential_record *)value)->pub.mac;
}

static void retain_credential(void *value)
{
    ((struct kg_credential_record *)value)->refs++;
}

static void release_credential(void *value)
{
    kg_credential_record_release(value);
}

const struct kg_pmap_type kg_consumers_by_id = { consumer_id, kg_pmap_hash_text, kg_pmap_same_text,
                                                 retain_consumer, release_consumer };
const struct kg_pmap_type kg_consumers_by_username = { consumer_username, kg_pmap_hash_slice,
                                                       kg_pmap_same_slice, retain_consumer,
                                                       release_consumer };
const struct kg_pmap_type kg_credentials_by_id = { credential_id, kg_pmap_hash_text, kg_pmap_same_text,
                                                   retain_credential, release_credential };
const struct kg_pmap_type kg_credentials_by_mac = { credential_mac, hash_mac, same_mac, retain_credential,
                                                    release_credential };
