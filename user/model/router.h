/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The router: which route a request's method, host and path belong to, by Kong's traditional_compatible rules
 * with two deliberate differences: hosts ignore case, and ties go to the oldest route. A route that sets more
 * of hosts, methods, headers, snis and paths wins; then one whose hosts have no wildcard; then the one with
 * more headers; then one whose matching path is a regex, by its regex_priority; then the longer path. Built
 * on the control thread from all routes at once, immutable afterwards, read by any worker. Matching allocates
 * nothing, and its cost depends on the length of host and path, not on how many routes there are.
 *
 * Inside: a hash table of hosts (whole names, "*.suffix" by its suffix, "prefix.*" by its prefix, and one
 * entry for routes without hosts), and behind each host a radix trie of path prefixes. What is best for each
 * method among the routes at a node and all its ancestors is worked out when the trie is built, so that one
 * walk down to the deepest node is enough. Routes that demand headers have hosts and tries of their own for
 * each set of demands (demands.h), looked into only when the request meets it.
 * Regexes hang behind their host too, the best first. They are tried after all else, each only while nothing
 * better than it is known.
 */
#ifndef KG_MODEL_ROUTER_H
#define KG_MODEL_ROUTER_H

#include "model/regex.h"
#include "model/snapshot.h"

/* One header that a route wants. */
struct kg_route_header {
    struct kg_slice name;
    const struct kg_slice *values; /* any of them, ignoring case */
    size_t value_count;
    const struct kg_regex
        *regex; /* instead of the values, which are none then; NULL for neither: matches nothing */
};

/* One route as the router sees it. Slices need to live only while kg_router_new runs, `route` and regexes as
 * long as the router. */
struct kg_route_spec {
    const struct kg_route *route;
    const struct kg_slice *hosts;          /* "a.com", "*.a.com", "a.*", each perhaps with ":port" */
    const struct kg_slice *paths;          /* plain prefixes */
    const struct kg_slice *methods;        /* upper case */
    const struct kg_slice *snis;           /* whole names, lower case */
    const struct kg_route_header *headers; /* all of them are needed; names differ by more than case */
    const struct kg_regex *const *regexes; /* paths too; NULL among them matches nothing */
    size_t host_count, path_count, method_count, sni_count, header_count, regex_count;
    int32_t regex_priority;
};

struct kg_router;

/* Oldest route first. Aborts on no memory. */
struct kg_router *kg_router_new(const struct kg_route_spec *specs, size_t count);
void kg_router_free(struct kg_router *router);

/*
 * The winning route or false. A route's snis are a condition only for requests that come over TLS (also by a
 * query with an sni that does not say tls): over plain HTTP such a route matches by the rest of it, so that
 * it can send the client to https. A host with a port matches only when query->host_port is that port: who
 * wants Kong's reading of a Host without a port gives the port it listens on.
 */
bool kg_router_match(const struct kg_router *router, const struct kg_route_query *query,
                     struct kg_match *match);

#endif
