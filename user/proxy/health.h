/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What requests (passive) and probes (active) tell of a peer: counts in a row, and a limit for each that
 * turns it unhealthy or healthy again. Any thread; peer may be NULL, then nobody checks it.
 */
#ifndef KG_PROXY_HEALTH_H
#define KG_PROXY_HEALTH_H

#include "model/balancer.h"

enum kg_failure {
    KG_FAILED_HTTP,    /* answered with an unhealthy status */
    KG_FAILED_TCP,     /* no connection, or it broke, or what came was no HTTP */
    KG_FAILED_TIMEOUT, /* of connecting, writing or reading */
};

/* A whole answer with this status. */
void kg_health_answered(const struct kg_health_rules *rules, struct kg_peer *peer, unsigned status);
void kg_health_succeeded(const struct kg_health_rules *rules, struct kg_peer *peer);
void kg_health_failed(const struct kg_health_rules *rules, struct kg_peer *peer, enum kg_failure failure);

#endif
