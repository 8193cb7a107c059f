/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PROXY protocol (HAProxy's proxy-protocol.txt), versions 1 and 2: what a proxy that does not speak HTTP
 * sends in front of a connection to say whose it is. A pure function over bytes. Any thread.
 */
#ifndef KG_HTTP_PROXY_PROTOCOL_H
#define KG_HTTP_PROXY_PROTOCOL_H

#include "base/addr.h"

#define KG_PROXY_HEADER_MAX 4096 /* bytes; version 2 with the longest list of extensions that is read */

struct kg_proxy_header {
    /* Of family 0 when the sender speaks for itself (LOCAL), does not know (UNKNOWN, UNSPEC), or carries what
     * has no address for us (UNIX, datagrams): then the connection's own addresses count. */
    struct kg_addr source, destination;
    uint16_t source_port, destination_port;
};

/*
 * A positive number is the length of the header at the front of `input`; 0 asks for more bytes: call again
 * with the same bytes and what has come since. -EINVAL and *why (a short fixed text): it is none, or a
 * malformed one, or longer than KG_PROXY_HEADER_MAX; found as early as the bytes allow.
 */
int kg_proxy_header_parse(struct kg_slice input, struct kg_proxy_header *header, const char **why);

#endif
