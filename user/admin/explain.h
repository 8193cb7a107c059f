/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of an answer to /explain, each a new reference. Private to the admin room; control thread only.
 */
#ifndef KG_ADMIN_EXPLAIN_H
#define KG_ADMIN_EXPLAIN_H

#include "admin/call.h"
#include "proxy/rehearse.h"

#define KG_EXPLAIN_CANDIDATES     20 /* shown when the request does not say how many */
#define KG_EXPLAIN_CANDIDATES_MAX 1000
#define KG_EXPLAIN_PLUGINS_MAX    1000
#define KG_EXPLAIN_TARGETS_MAX    1000

/* Adds "candidates", at most so many of them, and "candidates_left_out". */
void kg_explain_add_candidates(json_t *answer, const struct kg_model *model,
                               const struct kg_rehearsed *rehearsed, size_t most);
/* Adds "plugins" and "plugins_left_out". */
void kg_explain_add_plugins(json_t *answer, const struct kg_model *model,
                            const struct kg_rehearsed *rehearsed);
/* Header lines that plugins would add to the answer, as pairs. */
json_t *kg_explain_answer_headers(const struct kg_rehearsed *rehearsed);
/* What would be sent, and where to; null when nothing would. */
json_t *kg_explain_upstream(const struct kg_rehearsed *rehearsed);
/* The same without looking at health or requests: where a service's requests may go; null without one. */
json_t *kg_explain_balancer(const struct kg_rehearsed *rehearsed);

/* A text that may hold any bytes: what is not UTF-8 in it becomes '?'. */
json_t *kg_explain_text(struct kg_slice text);
/* {"id", "name"} */
json_t *kg_explain_named(const char *id, struct kg_slice name);

#endif
