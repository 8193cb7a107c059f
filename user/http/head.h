/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.1 message heads, as a pure function over bytes: no I/O, no allocation, no state between calls.
 * Strict by construction (RFC 9112): CRLF only, one SP between the parts, token names, no obs-fold. Slices
 * point into the caller's buffer and live as long as it does. Called by workers for clients and upstreams,
 * and by the Admin API for its own clients. Any thread.
 */
#ifndef KG_HTTP_HEAD_H
#define KG_HTTP_HEAD_H

#include "base/slice.h"

#define KG_HEADERS_MAX 128 /* no head has more, whatever the limits say */

/* Headers that keygate itself acts on; all others are KG_H_OTHER. */
enum kg_header_id {
    KG_H_OTHER,
    KG_H_HOST,
    KG_H_CONTENT_LENGTH,
    KG_H_TRANSFER_ENCODING,
    KG_H_CONNECTION,
    KG_H_KEEP_ALIVE,
    KG_H_PROXY_CONNECTION,
    KG_H_PROXY,
    KG_H_TE,
    KG_H_TRAILER,
    KG_H_UPGRADE,
    KG_H_EXPECT,
    KG_H_ACCEPT,
    KG_H_CONTENT_TYPE,
    KG_H_DATE,
    KG_H_SERVER,
    KG_H_VIA,
    KG_H_X_REQUEST_ID,
    KG_H_X_REAL_IP,
    KG_H_X_FORWARDED_FOR,
    KG_H_X_FORWARDED, /* -Proto, -Host, -Port, -Path, -Prefix */
    /* X-Consumer-*, X-Credential-Identifier, X-Anonymous-Consumer, with '-' or '_' anywhere; and twins of the
     * forwarding headers above, with '_' somewhere. */
    KG_H_IDENTITY,
};

struct kg_header {
    struct kg_slice name;  /* as received; compare ignoring case */
    struct kg_slice value; /* without surrounding OWS */
    enum kg_header_id id;
    bool hop; /* named in Connection, or hop-by-hop by itself: set by kg_framing_*, never forwarded */
};

enum kg_method {
    KG_METHOD_OTHER,
    KG_METHOD_GET,
    KG_METHOD_HEAD,
    KG_METHOD_POST,
    KG_METHOD_PUT,
    KG_METHOD_DELETE,
    KG_METHOD_PATCH,
    KG_METHOD_OPTIONS,
    KG_METHOD_CONNECT,
    KG_METHOD_TRACE,
};

struct kg_head {
    /* Request line; empty in a response. */
    struct kg_slice method_text, target;
    enum kg_method method;
    /* Status line; zero in a request. */
    unsigned status;
    struct kg_slice reason;
    /* Both. */
    unsigned minor; /* HTTP/1.minor, 0 or 1 */
    size_t count;
    struct kg_header headers[KG_HEADERS_MAX];
};

/* What a head may cost. Bytes count everything up to and including the empty line. */
struct kg_head_limits {
    size_t line;    /* request or status line without CRLF */
    size_t bytes;   /* whole head */
    size_t headers; /* how many; at most KG_HEADERS_MAX */
};

/*
 * Results of parsing. A positive number is the length of the head in bytes, empty line included. 0 asks for
 * more bytes: call again with the same bytes and what has come since. A negative one is the HTTP status to
 * answer with, negated; the connection cannot go on. requests:  -400 malformed, -414 request line too long,
 * -431 too many headers or bytes, -505 a version other than 1.0 and 1.1 responses: -502 for all of these
 * Limits are found while the head is still incomplete, so a stranger cannot make the caller collect more than
 * that. *why (never NULL afterwards on error) is a short fixed text for logs and tests, without any byte of
 * the input.
 */
int kg_head_parse_request(struct kg_slice input, const struct kg_head_limits *limits, struct kg_head *head,
                          const char **why);
int kg_head_parse_response(struct kg_slice input, const struct kg_head_limits *limits, struct kg_head *head,
                           const char **why);

/* A whole trailer section, fields and empty line (RFC 9112, 7.1.2), by the rules of headers: sets count and
 * headers. */
int kg_head_parse_trailers(struct kg_slice section, const struct kg_head_limits *limits, struct kg_head *head,
                           const char **why);

/* The first header with this id at or after index `from`, or NULL. */
const struct kg_header *kg_head_find(const struct kg_head *head, enum kg_header_id id, size_t from);

/* The first header of this name (any case) at or after index `from`, or NULL. */
const struct kg_header *kg_head_find_name(const struct kg_head *head, struct kg_slice name, size_t from);

/* Whether name begins with want (lower case) as upstreams see names that went through CGI or WSGI: case does
 * not count, and '_' is '-'. */
bool kg_header_starts(struct kg_slice name, struct kg_slice want);

/* The id for a header name; case-insensitive. */
enum kg_header_id kg_header_identify(struct kg_slice name);

/* The media type in the value of a Content-Type, without its parameters. */
struct kg_slice kg_media_of(struct kg_slice content_type);

/* Whether s is a non-empty token (RFC 9110, 5.6.2). */
bool kg_is_token(struct kg_slice s);

#endif
