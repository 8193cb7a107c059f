/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control side of the model: takes in entities one by one (from the store at start, from the Admin API
 * after each commit) and makes snapshots. Control thread only. What it is given has passed the schema and the
 * store.
 */
#ifndef KG_MODEL_MODEL_H
#define KG_MODEL_MODEL_H

#include "base/addr.h"
#include "model/snapshot.h"

struct kg_model;

/* Hands out and takes back slots of consumer_stats; implemented by the guard. May be NULL in tests: every
 * slot is KG_SLOT_OTHERS. */
struct kg_slot_source {
    void *ctx;
    uint32_t (*take)(void *ctx, const char *consumer_id, const char *name);
    void (*give_back)(void *ctx, uint32_t slot, const char *consumer_id);
};

struct kg_model *kg_model_new(const struct kg_slot_source *slots);
void kg_model_free(struct kg_model *model);

/*
 * Adds or replaces one entity other than a credential from its full JSON (the model takes what it needs,
 * keeps no reference). What it refers to must be there. Of a certificate that shows its snis those that it no
 * longer shows are removed, those that it shows anew are put by themselves.
 */
void kg_model_put(struct kg_model *model, enum kg_entity_id entity, const json_t *object);

/* Credentials come without their key: only its MAC. expires_wall 0 = never; name may be NULL. */
void kg_model_put_credential(struct kg_model *model, const char *id, const char *consumer_id,
                             const uint8_t mac[32], int64_t expires_wall, const char *name);
/* The same for consumers, without JSON; username or custom_id may be NULL. */
void kg_model_put_consumer(struct kg_model *model, const char *id, const char *username,
                           const char *custom_id);

/*
 * At load time, or after a large import, into a model that has none: all consumers, then all credentials, of
 * distinct ids and MACs; then load_end, and until then nothing else that asks for consumers or credentials.
 */
void kg_model_load_consumer(struct kg_model *model, const char *id, const char *username,
                            const char *custom_id);
void kg_model_load_credential(struct kg_model *model, const char *id, const char *consumer_id,
                              const uint8_t mac[32], int64_t expires_wall, const char *name);
/* That a consumer is in a group, by an entity of this id: whenever between the first consumer and the end. */
void kg_model_load_group(struct kg_model *model, const char *id, const char *consumer_id, const char *group);
void kg_model_load_end(struct kg_model *model);
bool kg_model_has_consumers(const struct kg_model *model);

/* Removes one entity and what cascades from it (a consumer's credentials and plugins, a service's plugins,
 * …). Unknown ids are ignored. */
void kg_model_remove(struct kg_model *model, enum kg_entity_id entity, const char *id);

/*
 * Forgets the credentials that were over at this wall-clock second; how many. It needs no new snapshot:
 * workers look at the expiry themselves.
 */
size_t kg_model_expire(struct kg_model *model, int64_t now_wall);

/* Every host name (not numeric) that services and targets name, so that the resolver can look them up: calls
 * back for each distinct one, and forgets those that nobody names any more. An upstream's name is none. */
void kg_model_each_host(struct kg_model *model, void (*visit)(void *ctx, const char *host), void *ctx);

/* The addresses a host name has now, none twice, in the order in which they are to be used (count 0: it has
 * none). True when that changes anything. Numeric hosts need no call. */
bool kg_model_set_addresses(struct kg_model *model, const char *host, const struct kg_addr *addrs,
                            size_t count);

/* Whether upstreams are verified whose service's tls_verify is null: true until this is called. */
void kg_model_set_default_verify(struct kg_model *model, bool verify);

/* One address of a target, as it is now. */
struct kg_target_address {
    struct kg_addr addr;
    uint16_t port;
    uint32_t weight;
    bool unhealthy;
};

/* Up to `max` addresses of a target; how many it has. 0 also when there is no such target. */
size_t kg_model_target_addresses(struct kg_model *model, const char *target_id, struct kg_target_address *out,
                                 size_t max);

/* Says of a target's addresses, or of one of them alone (`only`; port 0: any), that they are healthy or not,
 * and begins all counts anew. How many it was said of. */
size_t kg_model_set_health(struct kg_model *model, const char *target_id, const struct kg_addr *only,
                           uint16_t port, bool healthy);

/* Whether anything looks at the health of an upstream's targets; false also when there is no such upstream.
 */
bool kg_model_is_checked(const struct kg_model *model, const char *upstream_id);

/* The picture as it is now. The caller frees it when it is idle and no longer current. */
struct kg_snapshot *kg_model_snapshot(struct kg_model *model);

#endif
