/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One probe of one address: connect, and unless that is all, ask by HTTP, over TLS or not, and read the
 * status. Control thread, on its poller; it never blocks. Whoever starts one sees to its time being over.
 */
#ifndef KG_PROXY_PROBE_H
#define KG_PROXY_PROBE_H

#include "base/slice.h"
#include "io/poller.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

enum kg_probe_result {
    KG_PROBE_CONNECTED, /* and nothing was asked */
    KG_PROBE_ANSWERED,  /* with the status given */
    KG_PROBE_FAILED,    /* no connection, or it broke, or what came was no HTTP */
};

/* All of it stays the caller's, and must stay there until the probe is over. */
struct kg_probe_question {
    struct kg_poller *poller;
    const struct sockaddr *addr;
    socklen_t addr_len;
    struct kg_slice bytes; /* the whole request; empty: connecting is all */
    SSL_CTX *tls;          /* NULL: plain */
    const char *tls_name;  /* for SNI, unless it is an address, and to verify by */
    bool tls_verify;
    void (*done)(void *ctx, enum kg_probe_result result, unsigned status);
    void *ctx;
};

struct kg_probe_run;

/*
 * Begins. 0: done() will be called once, from the poller, when the probe is gone. -EAGAIN: this machine
 * cannot (no descriptor, no port), which says nothing of the address. Another negative errno: it failed at
 * once.
 */
int kg_probe_start(const struct kg_probe_question *question, struct kg_probe_run **run);
/* Ends it without a word. */
void kg_probe_cancel(struct kg_probe_run *run);

/* Whether two questions are the same one, asked of one address: they may differ in who is told. */
bool kg_probe_same(const struct kg_probe_question *a, const struct kg_probe_question *b);
/* Goes on for another asker of the same question. */
void kg_probe_hand_over(struct kg_probe_run *run, const struct kg_probe_question *question);

#endif
