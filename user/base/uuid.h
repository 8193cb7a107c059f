/* SPDX-License-Identifier: BSD-2-Clause */
/* Random bytes and UUIDs (RFC 9562) from getrandom(2). Any thread. */
#ifndef KG_BASE_UUID_H
#define KG_BASE_UUID_H

#include "base/slice.h"

#define KG_UUID_TEXT 37 /* 36 characters and a NUL */

/* Fills buf; aborts when the kernel has none (it always has, after boot). */
void kg_random(void *buf, size_t len);

/* Likewise, for what is no secret (ids, nonces): many are drawn at once, so that one costs no system call. */
void kg_random_public(void *buf, size_t len);

/* A random version 4 UUID in lower case. */
void kg_uuid_random(char out[KG_UUID_TEXT]);

/* The same from random bytes of the caller's own; the version is put into them. */
void kg_uuid_text(uint8_t bytes[16], char out[KG_UUID_TEXT]);

/* Whether s looks like a UUID: 8-4-4-4-12 hex digits, either case. */
bool kg_uuid_valid(struct kg_slice s);

/* `len` characters of [A-Za-z0-9], each equally likely, and a NUL. out has len + 1 bytes. */
void kg_random_alnum(char *out, size_t len);

#endif
