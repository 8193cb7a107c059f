/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Byte classes of HTTP/1.1, as tables for kg_cursor_span: non-zero where the byte belongs to the class. Used
 * inside this room. Read-only; any thread.
 */
#ifndef KG_HTTP_BYTES_H
#define KG_HTTP_BYTES_H

#include "base/slice.h"

extern const uint8_t kg_bytes_token[256];   /* tchar (RFC 9110, 5.6.2) */
extern const uint8_t kg_bytes_text[256];    /* HTAB, SP, VCHAR and obs-text: what a field value may hold */
extern const uint8_t kg_bytes_blank[256];   /* SP and HTAB: OWS (RFC 9110, 5.6.3) */
extern const uint8_t kg_bytes_visible[256]; /* VCHAR, 0x21 to 0x7e */
extern const int8_t kg_bytes_hex[256];      /* the value of a hex digit, -1 for every other byte */

#endif
