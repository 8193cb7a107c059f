/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why a route wins a request and the others do not, and which plugin instances it has: for whoever explains
 * what the router and a routing have decided. Control thread only.
 */
#ifndef KG_MODEL_CANDIDATES_H
#define KG_MODEL_CANDIDATES_H

#include "base/pmap.h"
#include "model/route_rank.h"

struct kg_model;

/* One route held against a query. Slices are the model's. */
struct kg_candidate {
    const char *id;
    struct kg_slice name;
    unsigned misses; /* enum kg_miss; 0: it matches */
    uint64_t rank;   /* when its path fits: the greater wins, of equals the smaller order */
    uint64_t order;
};

/* Calls back for every route there is, in no order; regexes are tried as for one request. */
void kg_candidates_each(const struct kg_pmap *services, const struct kg_pmap *routes,
                        const struct kg_route_query *query,
                        void (*visit)(void *ctx, const struct kg_candidate *candidate), void *ctx);
/* The same of a model. */
void kg_model_each_candidate(const struct kg_model *model, const struct kg_route_query *query,
                             void (*visit)(void *ctx, const struct kg_candidate *candidate), void *ctx);

/* A plugin instance whose scope takes in a route's requests, of all or of one consumer. */
struct kg_plugin_instance {
    const char *id;
    const struct kg_plugin_type *type;
    bool enabled;
    bool by_route, by_service, by_consumer; /* its scope; none: global */
    int priority;                           /* as struct kg_plugin_use has them */
    unsigned rank;
};

/* By id. */
struct kg_plugin_scope {
    const char *route, *service, *consumer;
};

/* Calls back for every instance that is for nothing but these (empty: there is none), in no order. */
void kg_plugins_each(const struct kg_pmap *plugins, const struct kg_plugin_scope *scope,
                     void (*visit)(void *ctx, const struct kg_plugin_instance *instance), void *ctx);
/* The same of a model. */
void kg_model_each_plugin(const struct kg_model *model, const struct kg_plugin_scope *scope,
                          void (*visit)(void *ctx, const struct kg_plugin_instance *instance), void *ctx);

#endif
