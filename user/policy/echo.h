/* SPDX-License-Identifier: BSD-2-Clause */
/* A request as JSON, for the client that sent it: what the gateway has made of it so far. Worker threads. */
#ifndef KG_POLICY_ECHO_H
#define KG_POLICY_ECHO_H

#include "policy/policy.h"

/*
 * {"message", "request": {scheme, host, port, method, path, headers, query}, "matched_route",
 * "matched_service"}. Headers that a policy has taken away are not in it, nor more than 100 query arguments.
 * A byte that is not UTF-8 is shown as '?'. `out` (which may be request->scratch) overflows when it gets more
 * than half full.
 */
void kg_echo_put(const struct kg_policy_request *request, struct kg_slice message, struct kg_writer *out);

#endif
