/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening TCP sockets. Control thread, at start, while it may still bind low ports. */
#ifndef KG_IO_LISTEN_H
#define KG_IO_LISTEN_H

#include "base/addr.h"
#include "base/error.h"

struct kg_listen_addr {
    struct kg_addr addr;
    uint16_t port;
    bool tls;            /* "ssl": connections begin with a TLS handshake */
    bool proxy_protocol; /* …or, before that, with a PROXY protocol header */
};

/* Writes "192.0.2.1:80" or "[2001:db8::1]:80" and returns out. */
const char *kg_listen_text(const struct kg_listen_addr *at, char out[KG_ADDR_TEXT]);

/*
 * Opens `count` sockets that share one address by SO_REUSEPORT, one for each worker. An address that anybody
 * else listens on is refused (-EADDRINUSE), also when SO_REUSEPORT would let us share it silently: two
 * daemons that take turns at answering is never what an operator meant. All or nothing; 0 or -errno with a
 * sentence.
 */
int kg_listen_open(const struct kg_listen_addr *at, unsigned count, int *fds, struct kg_error *err);

#endif
