/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the router and those who explain it share: how a route's host is read, how its paths rank among those
 * that match, and whether one route alone matches a query. Inside the model room. Pure; any thread.
 */
#ifndef KG_MODEL_ROUTE_RANK_H
#define KG_MODEL_ROUTE_RANK_H

#include "model/router.h"

#define KG_HOST_MAX 255 /* RFC 1035, 2.3.4; a longer Host matches only routes without hosts */

enum kg_host_kind { KG_HOST_ANY, KG_HOST_WHOLE, KG_HOST_SUFFIX, KG_HOST_PREFIX };

/* "name", "*.name" or "name.*", each perhaps with ":port". */
struct kg_host_pattern {
    enum kg_host_kind kind;
    uint16_t port;        /* 0 = any */
    struct kg_slice text; /* suffix with its leading dot, prefix with its trailing dot */
};

struct kg_host_pattern kg_host_pattern_of(struct kg_slice text);

/* The rank of a route's plain path of this length (0 for a route without paths), or of its regexes. The
 * greater one wins, the older route a tie. */
uint64_t kg_route_rank_path(const struct kg_route_spec *spec, size_t len);
uint64_t kg_route_rank_regex(const struct kg_route_spec *spec);

/* Which rule makes a rank win against a smaller one: "more kinds of conditions", …; of equals "older". */
const char *kg_route_rank_rule(uint64_t winner, uint64_t loser);

/* What of a route does not fit a query, as bits. */
enum kg_miss {
    KG_MISS_HOST = 1,
    KG_MISS_PATH = 2,
    KG_MISS_METHOD = 4,
    KG_MISS_HEADER = 8,
    KG_MISS_SNI = 16,
    KG_MISS_SERVICE = 32, /* its service is switched off */
};

/* What kg_router_match would say of a router with this route alone: the bits of what does not fit, and when
 * the path fits the rank of the best that does. */
unsigned kg_route_misses(const struct kg_route_spec *spec, const struct kg_route_query *query,
                         uint64_t *rank);

#endif
