/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/certificates.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/writer.h"
#include "model/json.h"

#include <stdlib.h>

#define NAME_MAX_LEN 255 /* RFC 1035, 2.3.4 */

struct certificate_record {
    struct kg_record record;
    struct kg_tls_identity *identity; /* NULL: what was good when it was written no longer is */
};

struct sni_record {
    struct kg_record record;
    struct kg_slice name;
    char certificate_id[KG_UUID_TEXT];
};

struct authority_record {
    struct kg_record record;
    struct kg_slice pem;
};

static struct kg_slice string_of(const json_t *object, const char *name)
{
    return kg_json_text(json_object_get(object, name));
}

/* ---- records ---- */

static struct kg_tls_identity *parse(const json_t *object, const char *cert, const char *key)
{
    struct kg_error err;
    struct kg_tls_identity *identity =
        kg_tls_identity_new(string_of(object, cert), string_of(object, key), &err);

    if (!identity)
        kg_log(KG_LOG_ERROR, "certificate %s is left out: %s",
               json_string_value(json_object_get(object, "id")), err.text);
    return identity;
}

static struct kg_record *new_certificate(const json_t *object)
{
    struct certificate_record *certificate = kg_calloc(1, sizeof(*certificate));

    certificate->identity = parse(object, "cert", "key");
    if (certificate->identity && json_is_string(json_object_get(object, "cert_alt")))
        certificate->identity->alternative = parse(object, "cert_alt", "key_alt");
    return &certificate->record;
}

static struct kg_record *new_sni(const json_t *object)
{
    struct sni_record *sni = kg_calloc(1, sizeof(*sni));
    struct kg_slice id = string_of(json_object_get(object, "certificate"), "id");

    KG_ASSERT(id.len > 0 && id.len < KG_UUID_TEXT);
    memcpy(sni->certificate_id, id.ptr, id.len);
    sni->name = kg_arena_copy(&sni->record.arena, string_of(object, "name"));
    return &sni->record;
}

static struct kg_record *new_authority(const json_t *object)
{
    struct authority_record *authority = kg_calloc(1, sizeof(*authority));

    authority->pem = kg_arena_copy(&authority->record.arena, string_of(object, "cert"));
    return &authority->record;
}

struct kg_record *kg_certificate_record_new(enum kg_entity_id entity, const json_t *object)
{
    if (entity == KG_CERTIFICATES)
        return new_certificate(object);
    return entity == KG_SNIS ? new_sni(object) : new_authority(object);
}

void kg_certificate_record_clear(struct kg_record *record)
{
    if (record->entity == KG_CERTIFICATES)
        kg_tls_identity_free(((struct certificate_record *)record)->identity);
}

/* ---- maps ---- */

static const void *sni_name(const void *value)
{
    return &((const struct sni_record *)value)->name;
}

static uint64_t hash_name(const void *key)
{
    const struct kg_slice *name = key;

    return kg_pmap_hash(name->ptr, name->len);
}

static bool same_name(const void *key, const void *other)
{
    return kg_slice_eq(*(const struct kg_slice *)key, *(const struct kg_slice *)other);
}

static const struct kg_pmap_type snis_by_name = { sni_name, hash_name, same_name, kg_records_retain,
                                                  kg_records_release };

static struct kg_pmap *map_of(struct kg_certificates *certificates, enum kg_entity_id entity)
{
    if (entity == KG_CERTIFICATES)
        return &certificates->certificates;
    if (entity == KG_SNIS)
        return &certificates->snis;
    KG_ASSERT(entity == KG_CA_CERTIFICATES);
    return &certificates->authorities;
}

/* From the map by name only its own entry: another SNI may have been given the name in the meantime. */
static void remove_sni(struct kg_certificates *certificates, struct sni_record *sni)
{
    if (kg_pmap_find(&certificates->names, &sni->name) == sni)
        kg_pmap_del(&certificates->names, &sni->name);
    kg_pmap_del(&certificates->snis, sni->record.id);
}

/* Finds the SNIs that go with their certificate: those that `keep` does not list, or all. */
struct cascade {
    struct kg_certificates *certificates;
    const char *certificate_id;
    const json_t *keep;
};

static void remove_unlisted(void *ctx, void *value)
{
    const struct cascade *cascade = ctx;
    struct sni_record *sni = value;
    const json_t *name;
    size_t i;

    if (strcmp(sni->certificate_id, cascade->certificate_id) != 0)
        return;
    json_array_foreach(cascade->keep, i, name)
    {
        if (kg_slice_eq(sni->name, kg_json_text(name)))
            return;
    }
    remove_sni(cascade->certificates, sni);
}

static void remove_snis(struct kg_certificates *certificates, const char *certificate_id, const json_t *keep)
{
    struct cascade cascade = { certificates, certificate_id, keep };
    /* The walk goes over a version of its own, so that SNIs can be taken out of the other. */
    struct kg_pmap walked = kg_pmap_share(&certificates->snis);

    kg_pmap_each(&walked, remove_unlisted, &cascade);
    kg_pmap_free(&walked);
}

static void put_sni(struct kg_certificates *certificates, struct sni_record *sni)
{
    struct sni_record *old = kg_pmap_find(&certificates->snis, sni->record.id), *rival;

    if (old)
        remove_sni(certificates, old);
    rival = kg_pmap_find(&certificates->names, &sni->name);
    if (rival)
        remove_sni(certificates, rival);
    kg_pmap_set(&certificates->snis, sni);
    kg_pmap_set(&certificates->names, sni);
}

bool kg_certificates_put(struct kg_certificates *certificates, enum kg_entity_id entity, const json_t *object)
{
    struct kg_record *record = kg_record_new(entity, object, 0);
    const json_t *names = json_object_get(object, "snis");

    if (entity == KG_SNIS)
        put_sni(certificates, (struct sni_record *)record);
    else
        kg_pmap_set(map_of(certificates, entity), record);
    if (entity == KG_CERTIFICATES && json_is_array(names))
        remove_snis(certificates, record->id, names);
    kg_record_release(record);
    return entity != KG_SNIS && certificates->secured.count > 0;
}

bool kg_certificates_remove(struct kg_certificates *certificates, enum kg_entity_id entity, const char *id)
{
    struct kg_record *record = kg_pmap_find(map_of(certificates, entity), id);

    if (!record)
        return false;
    if (entity == KG_SNIS) {
        remove_sni(certificates, (struct sni_record *)record);
        return false;
    }
    if (entity == KG_CERTIFICATES)
        remove_snis(certificates, id, NULL);
    kg_pmap_del(map_of(certificates, entity), id);
    return certificates->secured.count > 0;
}

/* ---- by server name ---- */

static const struct kg_tls_identity *find_name(const struct kg_pmap *certificates,
                                               const struct kg_pmap *names, struct kg_slice name)
{
    const struct sni_record *sni = kg_pmap_find(names, &name);
    const struct certificate_record *certificate =
        sni ? kg_pmap_find(certificates, sni->certificate_id) : NULL;

    return certificate ? certificate->identity : NULL;
}

/* "*.b.c", then "*.c", for "a.b.c". The star stands for at least one byte. */
static const struct kg_tls_identity *find_suffix(const struct kg_pmap *certificates,
                                                 const struct kg_pmap *names, struct kg_slice name)
{
    const struct kg_tls_identity *found = NULL;
    char text[NAME_MAX_LEN + 1];

    for (size_t i = 1; !found && i + 1 < name.len; i++) {
        struct kg_writer w = kg_writer_of(text, sizeof(text));

        if (name.ptr[i] != '.')
            continue;
        kg_put_char(&w, '*');
        kg_put(&w, kg_slice_of(name.ptr + i, name.len - i));
        found = find_name(certificates, names, kg_writer_slice(&w));
    }
    return found;
}

/* "a.b.*", then "a.*". */
static const struct kg_tls_identity *find_prefix(const struct kg_pmap *certificates,
                                                 const struct kg_pmap *names, struct kg_slice name)
{
    const struct kg_tls_identity *found = NULL;
    char text[NAME_MAX_LEN + 1];

    for (size_t i = name.len - 1; !found && i-- > 1;) {
        struct kg_writer w = kg_writer_of(text, sizeof(text));

        if (name.ptr[i] != '.')
            continue;
        kg_put(&w, kg_slice_of(name.ptr, i + 1));
        kg_put_char(&w, '*');
        found = find_name(certificates, names, kg_writer_slice(&w));
    }
    return found;
}

const struct kg_tls_identity *kg_certificates_find(const struct kg_pmap *certificates,
                                                   const struct kg_pmap *names, struct kg_slice name)
{
    const struct kg_tls_identity *found = NULL;

    if (names->count == 0)
        return NULL;
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len > 0 && name.len <= NAME_MAX_LEN) {
        found = find_name(certificates, names, name);
        if (!found)
            found = find_suffix(certificates, names, name);
        if (!found)
            found = find_prefix(certificates, names, name);
    }
    return found ? found : find_name(certificates, names, KG_SLICE("*"));
}

/* ---- how services' connections are secured ---- */

/* Equal when all but `pub` and `refs` are: only what a routing holds has those. Records are counted. */
struct secured {
    struct kg_service_tls pub;
    uint32_t refs;
    bool verify, own_cas;
    int verify_depth;
    struct certificate_record *certificate;
    struct authority_record **authorities;
    size_t count;
};

static const void *whole(const void *value)
{
    return value;
}

static uint64_t hash_secured(const void *key)
{
    const struct secured *secured = key;
    uintptr_t words[5] = {
        secured->verify, secured->own_cas, (uintptr_t)secured->verify_depth, (uintptr_t)secured->certificate,
        kg_pmap_hash(secured->authorities, secured->count * sizeof(*secured->authorities))
    };

    return kg_pmap_hash(words, sizeof(words));
}

static bool same_secured(const void *key, const void *other)
{
    const struct secured *a = key, *b = other;

    if (a->verify != b->verify || a->own_cas != b->own_cas || a->verify_depth != b->verify_depth ||
        a->certificate != b->certificate || a->count != b->count)
        return false;
    return a->count == 0 || memcmp(a->authorities, b->authorities, a->count * sizeof(*a->authorities)) == 0;
}

static void retain_secured(void *value)
{
    ((struct secured *)value)->refs++;
}

static void release_secured(void *value)
{
    struct secured *secured = value;

    KG_ASSERT(secured->refs > 0);
    if (--secured->refs > 0)
        return;
    X509_STORE_free(secured->pub.store);
    if (secured->certificate)
        kg_record_release(&secured->certificate->record);
    for (size_t i = 0; i < secured->count; i++)
        kg_record_release(&secured->authorities[i]->record);
    free(secured->authorities);
    free(secured);
}

static const struct kg_pmap_type secured_by_content = { whole, hash_secured, same_secured, retain_secured,
                                                        release_secured };

/* A service that names its CAs must never fall back to others: without a good one the store is empty. */
static X509_STORE *make_store(const struct secured *secured)
{
    struct kg_error err = { "" };
    size_t cap = 0;
    struct kg_writer w;
    X509_STORE *store;

    for (size_t i = 0; i < secured->count; i++)
        cap += secured->authorities[i]->pem.len + 1;
    w = kg_writer_of(kg_calloc(cap + 1, 1), cap);
    for (size_t i = 0; i < secured->count; i++) {
        kg_put(&w, secured->authorities[i]->pem);
        kg_put_char(&w, '\n');
    }
    KG_ASSERT(!w.overflow);
    store = kg_tls_store_new(kg_writer_slice(&w), &err);
    free(w.buf);
    if (store)
        return store;
    kg_log(KG_LOG_ERROR, "no upstream can be verified by these CA certificates: %s", err.text);
    store = X509_STORE_new();
    KG_ASSERT(store != NULL);
    return store;
}

/* A service's wishes as the key that the maps compare by; authorities must have room for all of them. */
static struct secured wishes(const struct kg_certificates *certificates,
                             const struct kg_service_record *service, struct authority_record **authorities)
{
    struct secured key = {
        .verify = service->tls_verify >= 0 ? service->tls_verify != 0 : certificates->verify,
        .own_cas = service->ca_count > 0,
        .verify_depth = service->tls_verify_depth,
        .certificate = kg_pmap_find(&certificates->certificates, service->client_certificate_id),
        .authorities = authorities,
    };

    for (size_t i = 0; i < service->ca_count; i++) {
        struct authority_record *found = kg_pmap_find(&certificates->authorities, service->ca_ids[i].ptr);
        if (found)
            authorities[key.count++] = found;
    }
    return key;
}

static struct secured *new_secured(struct kg_certificates *certificates, const struct secured *key)
{
    struct secured *secured = kg_calloc(1, sizeof(*secured));

    *secured = *key;
    secured->refs = 1;
    secured->authorities = kg_calloc(key->count, sizeof(struct authority_record *));
    for (size_t i = 0; i < key->count; i++) {
        secured->authorities[i] = key->authorities[i];
        secured->authorities[i]->record.refs++;
    }
    if (key->certificate)
        key->certificate->record.refs++;
    secured->pub = (struct kg_service_tls){
        .verify = key->verify,
        .verify_depth = key->verify_depth,
        .store = key->own_cas ? make_store(secured) : NULL,
        .identity = key->certificate ? key->certificate->identity : NULL,
        .number = ++certificates->next_number,
    };
    return secured;
}

void kg_certificates_begin(struct kg_certificates *certificates)
{
    kg_pmap_free(&certificates->before);
    certificates->before = certificates->secured;
    certificates->secured = kg_pmap_of(&secured_by_content);
}

/* Into the map of those that are in use, from the one before or made anew. */
static void give_out(struct kg_certificates *certificates, const struct secured *key)
{
    struct secured *secured = kg_pmap_find(&certificates->before, key);

    if (secured)
        secured->refs++;
    else
        secured = new_secured(certificates, key);
    kg_pmap_set(&certificates->secured, secured);
    release_secured(secured);
}

const struct kg_service_tls *kg_certificates_secure(struct kg_certificates *certificates,
                                                    const struct kg_service_record *service)
{
    struct authority_record **authorities = kg_calloc(service->ca_count, sizeof(*authorities));
    struct secured key = wishes(certificates, service, authorities);
    const struct secured *secured = kg_pmap_find(&certificates->secured, &key);

    if (!secured) {
        give_out(certificates, &key);
        secured = kg_pmap_find(&certificates->secured, &key);
    }
    free(authorities);
    KG_ASSERT(secured != NULL);
    return &secured->pub;
}

struct kg_pmap kg_certificates_end(struct kg_certificates *certificates)
{
    kg_pmap_free(&certificates->before);
    return kg_pmap_share(&certificates->secured);
}

/* ---- all of them ---- */

void kg_certificates_init(struct kg_certificates *certificates)
{
    *certificates = (struct kg_certificates){
        .certificates = kg_pmap_of(&kg_records_by_id),
        .snis = kg_pmap_of(&kg_records_by_id),
        .authorities = kg_pmap_of(&kg_records_by_id),
        .names = kg_pmap_of(&snis_by_name),
        .secured = kg_pmap_of(&secured_by_content),
        .before = kg_pmap_of(&secured_by_content),
        .verify = true,
    };
}

void kg_certificates_free(struct kg_certificates *certificates)
{
    kg_pmap_free(&certificates->before);
    kg_pmap_free(&certificates->secured);
    kg_pmap_free(&certificates->names);
    kg_pmap_free(&certificates->authorities);
    kg_pmap_free(&certificates->snis);
    kg_pmap_free(&certificates->certificates);
}
