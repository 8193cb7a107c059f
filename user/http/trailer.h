/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trailer fields (RFC 9110, 6.5): which of them may pass, and a section re-made of those. What decides about
 * framing, routing, identity or who may do what was decided by the head; a field of that kind in a trailer is
 * dropped without a word, so that a server that merges trailers into headers cannot be fooled. Called by
 * workers, both ways. Pure; any thread.
 */
#ifndef KG_HTTP_TRAILER_H
#define KG_HTTP_TRAILER_H

#include "base/writer.h"
#include "http/head.h"

#define KG_TRAILER_NAMES 32 /* names announced; of more the rest is left out */

/* Whether a field of this name may be a trailer; case does not count, nor '_' for '-'. */
bool kg_trailer_may_pass(struct kg_slice name);

/* "Trailer: …" and CRLF of the names that the head's Trailer announces and that may pass; nothing when there
 * are none. */
void kg_trailer_announce(const struct kg_head *head, struct kg_writer *out);

/* The names in the head's Connection that would pass otherwise, as a comma-separated list: they are
 * hop-by-hop (RFC 9110, 7.6.1) wherever they come. */
void kg_trailer_named(const struct kg_head *head, struct kg_writer *out);

/*
 * Writes the fields of a whole section (empty line included) that may pass and that `named` does not hold, a
 * line each, without the empty line. scratch is filled anew. 0, -400 when malformed, -431 for too many; *why.
 */
int kg_trailer_remake(struct kg_slice section, struct kg_slice named, const struct kg_head_limits *limits,
                      struct kg_head *scratch, struct kg_writer *out, const char **why);

#endif
