/* SPDX-License-Identifier: BSD-2-Clause */
/* The realm in a WWW-Authenticate (RFC 9110, 11.6.1), as all plugins write it that have one. Control thread.
 */
#ifndef KG_POLICY_CHALLENGE_H
#define KG_POLICY_CHALLENGE_H

#include "base/writer.h"

#include <jansson.h>

/* As struct kg_field's `check` wants it. */
const char *kg_check_realm(const json_t *value, char scratch[256]);

/* realm="…", with its quotes and what must be escaped between them: at most twice its length and 8 bytes. */
void kg_put_realm(struct kg_writer *w, struct kg_slice realm);

#endif
