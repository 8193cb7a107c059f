/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the model keeps of each entity: no JSON, strings packed behind their struct, counted references.
 * Consumers and credentials come by the million and are what snapshots share; services, routes and plugins
 * are few and are what a routing (model/routing.h) is made from. Control thread only, but for what lies
 * inside `pub`.
 */
#ifndef KG_MODEL_RECORDS_H
#define KG_MODEL_RECORDS_H

#include "base/pmap.h"
#include "model/arena.h"
#include "model/balancers.h"
#include "model/router.h"

struct kg_credential_record;

struct kg_consumer_record {
    struct kg_consumer pub;
    uint32_t refs;
    struct kg_credential_record
        *credentials; /* those of the newest version of this consumer only; not counted */
    char text[];      /* username and custom_id */
};

/* next and prev mean something only while the model itself still holds the record. */
struct kg_credential_record {
    struct kg_credential pub; /* pub.consumer is the counted pub of a kg_consumer_record */
    struct kg_credential_record *next, *prev;
    uint32_t refs;
    _Atomic uint32_t used_minute; /* in which its use was last told: model/key_uses.h. Any worker */
    char text[];                  /* its name */
};

/* Maps of them: by id, and credentials by MAC as well. Keys are NUL-terminated ids or 32 bytes of MAC. */
extern const struct kg_pmap_type kg_consumers_by_id;
extern const struct kg_pmap_type kg_consumers_by_username; /* the key is a struct kg_slice */
extern const struct kg_pmap_type kg_credentials_by_id;
extern const struct kg_pmap_type kg_credentials_by_mac;

/* New records with one reference, the caller's. Names may be NULL. */
struct kg_consumer_record *kg_consumer_record_new(const char *id, const char *username, const char *custom_id,
                                                  uint32_t slot);
struct kg_credential_record *kg_credential_record_new(const char *id, struct kg_consumer_record *consumer,
                                                      const uint8_t mac[32], int64_t expires_wall,
                                                      const char *name);
struct kg_consumer_record *kg_credential_record_consumer(const struct kg_credential_record *credential);
void kg_consumer_record_release(struct kg_consumer_record *consumer);
void kg_credential_record_release(struct kg_credential_record *credential);

/* What services, routes, plugins, upstreams and targets have in common; first in each of them. */
struct kg_record {
    enum kg_entity_id entity;
    uint32_t refs;
    uint64_t order; /* rises with each entity that the model had not seen before */
    char id[KG_UUID_TEXT];
    struct kg_arena arena; /* the record's strings */
};

struct kg_plugin_record {
    struct kg_record record;
    const struct kg_plugin_type *type;
    bool enabled, not_http, not_https;
    char service_id[KG_UUID_TEXT], route_id[KG_UUID_TEXT],
        consumer_id[KG_UUID_TEXT];      /* empty = not scoped to one */
    void *config;                       /* compiled */
    struct kg_plugin_record *next_same; /* while a routing is built: the next one with the same scope */
};

struct kg_service_record {
    struct kg_record record;
    bool enabled, https;
    struct kg_slice name, host, path; /* host is NUL-terminated */
    struct kg_slice lower_host;       /* NUL-terminated */
    uint16_t port;
    int tls_verify;       /* -1: as the settings say */
    int tls_verify_depth; /* -1: OpenSSL's own */
    char client_certificate_id[KG_UUID_TEXT];
    struct kg_slice *ca_ids; /* NUL-terminated */
    size_t ca_count;
    uint32_t connect_timeout_ms, write_timeout_ms, read_timeout_ms, retries;
    /* The balancer of its own host, or NULL, and the version of the host's name it was made from. */
    struct kg_balancer_record *own;
    uint64_t own_version;
    /* While a routing is built: */
    const struct kg_service *built; /* NULL when disabled */
    struct kg_plugin_record *plugins;
};

struct kg_route_record {
    struct kg_record record;
    char service_id[KG_UUID_TEXT]; /* empty: none */
    struct kg_slice name;
    struct kg_slice *hosts, *paths, *methods, *snis;
    struct kg_route_header *headers;
    size_t host_count, path_count, method_count, sni_count, header_count;
    const struct kg_regex **regex_paths; /* NULL: one that does not compile */
    size_t regex_path_count;
    int32_t regex_priority;
    struct kg_regex **regexes; /* all that the record owns */
    size_t regex_count;
    bool strip_path, preserve_host, https_only;
    unsigned https_redirect_status;
    struct kg_plugin_record *plugins; /* while a routing is built */
};

struct kg_target_record {
    struct kg_record record;
    char upstream_id[KG_UUID_TEXT];
    struct kg_slice host; /* lower case, IPv6 in brackets; NUL-terminated */
    uint16_t port;
    uint32_t weight; /* 0: takes no requests */
};

struct kg_upstream_record {
    struct kg_record record;
    struct kg_slice lower_name; /* NUL-terminated */
    struct kg_balancer rules;   /* all of it but number, endpoints and ring; texts are the record's */
    size_t slots;
    struct kg_pool *pool; /* pools.c */
};

/* All records of a map as an array, in the order in which the model first saw them; the caller frees items.
 */
struct kg_records {
    struct kg_record **items;
    size_t count;
};
struct kg_records kg_records_in_order(const struct kg_pmap *map);

/* By id, for all of them; and what a map of some of them by another key does with each. */
extern const struct kg_pmap_type kg_records_by_id;
void kg_records_retain(void *record);
void kg_records_release(void *record);

/* A new record with one reference from the full JSON of any of the above, or of what model/certificates.h
 * holds. */
struct kg_record *kg_record_new(enum kg_entity_id entity, const json_t *object, uint64_t order);
void kg_record_release(struct kg_record *record);

/* upstream_records.c: for kg_record_new. */
struct kg_record *kg_upstream_record_new(const json_t *object);
struct kg_record *kg_target_record_new(const json_t *object);

#endif
