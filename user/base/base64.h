/* SPDX-License-Identifier: BSD-2-Clause */
/* Base64 (RFC 4648), into and out of a writer. Any thread. */
#ifndef KG_BASE_BASE64_H
#define KG_BASE_BASE64_H

#include "base/writer.h"

/* base64url without padding (RFC 4648, 5). */
void kg_put_base64url(struct kg_writer *w, struct kg_slice bytes);

/*
 * Decodes what kg_put_base64url writes and nothing else: no padding, no blanks, and no bits left over that
 * are not zero, so that there is one text for each value. False for anything else, and when it does not fit.
 */
bool kg_base64url_decode(struct kg_slice text, struct kg_writer *out);

/* The same for what people paste: of either alphabet, with its padding or without. */
bool kg_base64_decode(struct kg_slice text, struct kg_writer *out);

#endif
