/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of a body of type multipart/form-data (RFC 7578), one after the other. Pure; any thread. */
#ifndef KG_HTTP_MULTIPART_H
#define KG_HTTP_MULTIPART_H

#include "base/writer.h"

#define KG_MULTIPART_BOUNDARY 70 /* RFC 2046, 5.1.1 */
#define KG_MULTIPART_NAME     1024

struct kg_multipart {
    struct kg_slice rest; /* behind the last boundary that was read */
    size_t mark_len;
    char mark[4 + KG_MULTIPART_BOUNDARY]; /* CRLF "--" boundary */
};

struct kg_multipart_part {
    struct kg_slice name, filename; /* in the part; a filename may be empty */
    struct kg_slice content;        /* in the body */
    struct kg_slice whole;          /* …from the two dashes before it up to those behind it */
    char name_buf[KG_MULTIPART_NAME], filename_buf[KG_MULTIPART_NAME];
};

/* type: the whole Content-Type. False without a boundary, or when the body has none of it. The body outlives
 * the form. */
bool kg_multipart_begin(struct kg_multipart *form, struct kg_slice type, struct kg_slice body);
/* 1: a part; 0: that was the last one; -EINVAL: malformed, or a name is too long. Bytes before the end of a
 * part that was given are not looked at again. */
int kg_multipart_next(struct kg_multipart *form, struct kg_multipart_part *part);

#endif
