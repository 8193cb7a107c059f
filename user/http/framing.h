/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framing: where a message ends and whether its connection lives on (RFC 9112, 6 and 9). This module alone
 * decides body length. Content-Length, Transfer-Encoding and all other hop-by-hop headers are marked `hop` in
 * the head, so that whoever forwards it writes them anew. What the RFC calls ambiguous is refused. Pure; any
 * thread.
 */
#ifndef KG_HTTP_FRAMING_H
#define KG_HTTP_FRAMING_H

#include "http/head.h"

enum kg_body {
    KG_BODY_NONE,
    KG_BODY_LENGTH,  /* exactly `length` bytes, length > 0 */
    KG_BODY_CHUNKED, /* RFC 9112, 7.1 */
    KG_BODY_CLOSE,   /* until the peer closes; responses only */
    KG_BODY_TUNNEL,  /* after 101: bytes both ways */
};

struct kg_framing {
    enum kg_body body;
    uint64_t length;
    bool has_length;            /* requests: a Content-Length was there (0 is to be written anew too) */
    bool keep_alive;            /* what the sender's version and Connection header allow */
    bool expect_continue;       /* requests: Expect: 100-continue in HTTP/1.1 with a body to come */
    bool te_trailers;           /* requests: TE holds "trailers" */
    bool upgrade;               /* requests: HTTP/1.1, Connection names upgrade and Upgrade is present */
    struct kg_slice upgrade_to; /* value of Upgrade, when upgrade is set */
    struct kg_slice host;       /* requests: value of Host (empty in HTTP/1.0 without one) */
};

/*
 * Judges a parsed request: 0, or the status to answer with, negated, and *why:
 *   -400 Host missing (1.1), repeated or invalid; Content-Length invalid, differing or with
 * Transfer-Encoding; Transfer-Encoding in HTTP/1.0, not last, repeated or not exactly "chunked"; a Connection
 * header that is not a list of tokens -501 a transfer coding that is not "chunked" -417 an expectation other
 * than 100-continue Sets `hop` on every hop-by-hop header (RFC 9110, 7.6.1): those Connection names,
 * Connection, Keep-Alive, Proxy-Connection, Proxy, TE, Trailer, Transfer-Encoding, Content-Length, Upgrade,
 * and Expect is kept. Connection can never name a header away that carries meaning end to end for us: Host.
 */
int kg_framing_request(struct kg_head *head, struct kg_framing *framing, const char **why);

/*
 * Judges a parsed response to a request: 0 or -502 and *why. to_head: the request was HEAD. 1xx (but 101),
 * 204 and 304 and answers to HEAD have no body, whatever their headers say; both Content-Length and
 * Transfer-Encoding, or an invalid one of either, is -502. An answer to HEAD and a 304 keep their
 * Content-Length: body is KG_BODY_NONE and length_known says that `length` is to be written anew. In a 1xx
 * and a 204 it is dropped (RFC 9110, 8.6). 101 has no body here either: the caller, who knows whether an
 * upgrade was asked for, makes it KG_BODY_TUNNEL. One without Upgrade, or one in HTTP/1.0, is -502.
 */
struct kg_response_framing {
    enum kg_body body;
    uint64_t length;
    bool length_known; /* a Content-Length was there (to be written anew also when there is no body) */
    bool keep_alive;
    struct kg_slice upgrade_to; /* value of Upgrade in a 101; else empty */
};
int kg_framing_response(struct kg_head *head, bool to_head, struct kg_response_framing *framing,
                        const char **why);

#endif
