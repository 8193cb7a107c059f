/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The groups that consumers are in: the entity acls, one for each group of a consumer. What a consumer is in
 * is one immutable list, made anew when it changes; who is in none costs nothing. Control thread only, but
 * for kg_groups_of.
 */
#ifndef KG_MODEL_GROUPS_H
#define KG_MODEL_GROUPS_H

#include "base/pmap.h"
#include "model/snapshot.h"

struct kg_membership;

struct kg_groups {
    struct kg_pmap by_consumer; /* lists, by the consumer's id: shared with snapshots */
    struct kg_pmap by_id;       /* memberships, by the id of the entity */
    struct kg_membership **loading;
    size_t loading_count, loading_room;
};

void kg_groups_init(struct kg_groups *groups);
void kg_groups_free(struct kg_groups *groups);

/* Adds or replaces an entity. */
void kg_groups_put(struct kg_groups *groups, const char *id, const char *consumer_id, struct kg_slice group);
/* Removes one; unknown ids are ignored. */
void kg_groups_remove(struct kg_groups *groups, const char *id);
void kg_groups_remove_consumer(struct kg_groups *groups, const char *consumer_id);

/* At load time, while there are none: all at once, of distinct ids, then load_end. */
void kg_groups_load(struct kg_groups *groups, const char *id, const char *consumer_id, struct kg_slice group);
void kg_groups_load_end(struct kg_groups *groups);

/* In a version of by_consumer: NULL when the consumer is in none. Any thread that can see it. */
const struct kg_consumer_groups *kg_groups_of(const struct kg_pmap *by_consumer, const char *consumer_id);

#endif
