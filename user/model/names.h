/* SPDX-License-Identifier: BSD-2-Clause */
/* The host names that services and targets name, and the addresses each has now. Names ignore case. Control
 * thread only. */
#ifndef KG_MODEL_NAMES_H
#define KG_MODEL_NAMES_H

#include "base/addr.h"
#include "base/pmap.h"

#include <netinet/in.h>

enum kg_name_user { KG_NAMED_BY_SERVICE, KG_NAMED_BY_TARGET, KG_NAME_USERS };

struct kg_host_name {
    uint32_t refs;
    size_t users[KG_NAME_USERS]; /* how many name it */
    uint64_t version;            /* another one with each change of its addresses; 0: it never had any */
    struct kg_addr *addrs;       /* owned */
    size_t addr_count;
    char text[]; /* lower case */
};

extern const struct kg_pmap_type kg_names_by_text;

/* Whether host is an address, with or without brackets. */
bool kg_host_numeric(struct kg_slice host, struct kg_addr *addr);

/*
 * One more names this host, or one less. Numeric ones are left out. A name that nobody names any more keeps
 * its addresses until kg_model_each_host: within one change it may pass from one to the next, and whoever
 * looks names up, and has gone on with it, would not tell them again.
 */
void kg_names_use(struct kg_pmap *names, struct kg_slice host, enum kg_name_user user);
void kg_names_drop(struct kg_pmap *names, struct kg_slice host, enum kg_name_user user);
bool kg_name_is_used(const struct kg_host_name *name);
struct kg_host_name *kg_names_find(const struct kg_pmap *names, struct kg_slice host);

/* Replaces the addresses; false when they are the same ones. */
bool kg_name_set(struct kg_host_name *name, const struct kg_addr *addrs, size_t count, uint64_t version);

/* The addresses of a host that is an address itself (kept in *numeric) or a name: NULL with *count 0 when
 * there is none now. They live as long as the name is not set anew. */
const struct kg_addr *kg_names_addresses(const struct kg_pmap *names, struct kg_slice host,
                                         struct kg_addr *numeric, size_t *count);

#endif
