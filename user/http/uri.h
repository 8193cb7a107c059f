/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request targets (RFC 9112, 3.2), path normalisation as Kong does it (percent-decoding of what need not be
 * encoded, dot segments, repeated slashes), and query arguments. Pure; any thread.
 */
#ifndef KG_HTTP_URI_H
#define KG_HTTP_URI_H

#include "base/writer.h"
#include "http/head.h"

struct kg_target {
    struct kg_slice path;      /* raw, starts with '/'; "*" for OPTIONS * */
    struct kg_slice query;     /* raw, without '?'; empty when none */
    bool has_query;            /* a '?' was there, also with nothing behind it */
    struct kg_slice authority; /* of an absolute-form target (RFC 9112, 3.2.2); else empty */
};

/*
 * Splits a target and checks its form against the method: 0, or -400 and *why. "*" only with OPTIONS;
 * absolute form only http:// or https://, without userinfo, and its authority must equal `host`
 * (case-insensitive) when host is not empty; anything else must start with '/'. CONNECT and TRACE are -405.
 * Fragments ('#') and bytes outside visible ASCII are -400.
 */
int kg_target_parse(const struct kg_head *head, struct kg_slice host, struct kg_target *target,
                    const char **why);

/*
 * The path that routes are matched against and that goes upstream. Percent triplets of characters that are
 * not reserved (RFC 3986, 2.2) and not '%' are decoded, except those that decode to a control byte, SP, or a
 * byte over 0x7e; the others stay with upper-case hex; "." and ".." segments are resolved (never above the
 * root); repeated slashes merge. A broken triplet ("%zz", "%1") and %00 are refused. Writes to `out`: 0,
 * -400, or -414 when it does not fit.
 */
int kg_path_normalize(struct kg_slice raw, struct kg_writer *out, const char **why);

/*
 * Writes a normalised path as it goes upstream: the visible characters that no URI holds as they are
 * ("<>\^`{|}) become triplets again. Normalising what was written gives the same path.
 */
void kg_path_put_escaped(struct kg_slice path, struct kg_writer *out);

/* Host header value into name (without port, without trailing dot, brackets kept for IPv6) and port (0 =
 * none): 0 or -400. */
int kg_host_split(struct kg_slice host, struct kg_slice *name, uint16_t *port);

/*
 * Looks for query arguments with this name (percent-decoded comparison, '+' is SP). Returns how many there
 * are; the first one's raw value goes to *value, and *bare says whether it had no '='. Stops counting at 2.
 */
int kg_query_find(struct kg_slice query, struct kg_slice name, struct kg_slice *value, bool *bare);

/* Cuts the next argument, which may be empty, off *query; false when there is none left. *more begins as
 * whether the query has any bytes. */
bool kg_query_next(struct kg_slice *query, bool *more, struct kg_slice *argument);
/* Whether that is an argument of this name, compared as above. */
bool kg_query_is_named(struct kg_slice argument, struct kg_slice name);

/* Percent-decodes a query value ('+' is SP) into out; false when it does not fit. Broken triplets stay as
 * they are. */
bool kg_query_decode(struct kg_slice raw, struct kg_writer *out);

/* Copies the query without any argument of this name; the rest stays byte for byte. */
void kg_query_remove(struct kg_slice query, struct kg_slice name, struct kg_writer *out);

#endif
