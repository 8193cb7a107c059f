/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoder for chunked bodies (RFC 9112, 7.1), incremental and in place. Strict: sizes are 1 to 16 hex digits
 * with no sign, no 0x, no blank; CRLF only; extensions are bounded, checked and dropped; so is the trailer
 * section, which the caller is shown. The overhead a sender may add is bounded, so that one-byte chunks
 * cannot be used to burn CPU. Pure; any thread.
 */
#ifndef KG_HTTP_CHUNKED_H
#define KG_HTTP_CHUNKED_H

#include "base/slice.h"

#define KG_CHUNK_EXT_MAX     1024 /* bytes of one chunk's extensions */
#define KG_CHUNK_TRAILER_MAX 8192 /* bytes of the trailer section */

struct kg_chunked {
    uint64_t left;     /* data bytes left in the current chunk */
    uint64_t overhead; /* framing bytes so far, beyond what the data excuses */
    uint32_t line;     /* bytes of the current extension or trailer section */
    uint32_t trailer;  /* bytes of the trailer section that the last call took */
    uint8_t state;     /* private to chunked.c; 0 = start */
    uint8_t digits;
    bool done; /* the final CRLF has been taken */
};

/*
 * Decodes buf[0..*len) in place: on return the first *data bytes of buf are body data and *used says how many
 * input bytes were taken (all of them, unless the body ended earlier: then done is set, and what follows
 * belongs to the next message). The last c->trailer of the bytes taken are of the trailer section, as they
 * came: over all calls its fields, at most KG_CHUNK_TRAILER_MAX bytes, and the empty line. 0, or -EPROTO for
 * a malformed body and *why (fixed text).
 */
int kg_chunked_decode(struct kg_chunked *c, char *buf, size_t len, size_t *data, size_t *used,
                      const char **why);

#endif
