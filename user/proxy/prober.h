/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watches over the peers of the current snapshot: probes those whose upstream asks for active checks, and
 * writes a line to the log when one has become unhealthy or healthy, whoever found it so: workers, who do not
 * log, a probe, or an operator. Control thread, on its poller.
 */
#ifndef KG_PROXY_PROBER_H
#define KG_PROXY_PROBER_H

#include "base/error.h"
#include "io/poller.h"
#include "io/tls.h"
#include "model/balancer.h"

#include <openssl/x509.h>

#define KG_PROBES_MAX 256 /* at a time, of all upstreams */

struct kg_prober;

/* 0 or -errno with a sentence. The poller must outlive it. trusted: by whom probes over https are verified;
 * NULL: by the system's CAs, as services are. */
int kg_prober_new(struct kg_poller *poller, X509_STORE *trusted, struct kg_prober **prober,
                  struct kg_error *err);
/* The poller does not run any more. */
void kg_prober_free(struct kg_prober *prober);

/*
 * Tells which balancers there are: begin, add each, commit. What is not added is forgotten and what belongs
 * to it is touched no more, so this comes before the snapshot that they were in is freed. Peers must stay
 * until the next commit; all else is copied. A balancer without peers may be added too.
 */
void kg_prober_begin(struct kg_prober *prober);
void kg_prober_add(void *prober, const struct kg_balancer *balancer);
void kg_prober_commit(struct kg_prober *prober);

#endif
