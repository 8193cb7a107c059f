/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JWT credentials of the model: found by the key that a token names, gone with their consumer. Of each,
 * what checking a signature needs is made once, when the record is; snapshots share the records. A consumer
 * does not know of them, so that those without any take no memory for it. Control thread only, but for
 * kg_jwt_keys_find.
 */
#ifndef KG_MODEL_JWT_KEYS_H
#define KG_MODEL_JWT_KEYS_H

#include "model/records.h"

/* Zeroed memory is none of this: kg_jwt_keys_init comes first. */
struct kg_jwt_keys {
    struct kg_pmap by_id, by_key;
    struct kg_pmap by_owner; /* the first of each consumer's list, by its id */
};

void kg_jwt_keys_init(struct kg_jwt_keys *keys);
void kg_jwt_keys_free(struct kg_jwt_keys *keys);

/* Adds or replaces one from its full JSON. What has the same key already is found by it no more. */
void kg_jwt_keys_put(struct kg_jwt_keys *keys, struct kg_consumer_record *consumer, const json_t *object);
/* Unknown ids are ignored. */
void kg_jwt_keys_remove(struct kg_jwt_keys *keys, const char *id);

/* All of the consumer that has this id; and on to a new version of it, whose id is the same. */
void kg_jwt_keys_remove_owned(struct kg_jwt_keys *keys, const char *consumer_id);
void kg_jwt_keys_move(struct kg_jwt_keys *keys, struct kg_consumer_record *consumer);

/* In a version of by_key. Any thread. */
const struct kg_jwt_key *kg_jwt_keys_find(const struct kg_pmap *map, struct kg_slice key);

#endif
