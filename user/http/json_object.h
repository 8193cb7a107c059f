/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The members of a JSON object (RFC 8259), one after the other, where they lie: nothing is copied, nothing
 * allocated, and what is around a member stays byte for byte when it is cut out. Strict, and all of the text
 * is checked while it is passed over, but that strings are UTF-8. Pure; any thread.
 */
#ifndef KG_HTTP_JSON_OBJECT_H
#define KG_HTTP_JSON_OBJECT_H

#include "base/cursor.h"
#include "base/writer.h"

#define KG_JSON_DEPTH 512 /* of objects and arrays within each other, the outermost one included */

enum kg_json_kind { KG_JSON_STRING, KG_JSON_ARRAY, KG_JSON_OBJECT, KG_JSON_OTHER };

struct kg_json_member {
    struct kg_slice name;  /* as it is written, with its quotes; its first byte is the member's first */
    struct kg_slice value; /* as it is written; its last byte is the member's last */
    enum kg_json_kind kind;
};

struct kg_json_object {
    struct kg_cursor c;
    bool begun, ended;
};

/* False when the text is no object. It outlives the object. */
bool kg_json_object_begin(struct kg_json_object *object, struct kg_slice text);
/* 1: a member; 0: that was the last one, and nothing comes behind the object; -EINVAL: malformed, or nested
 * too deeply. Bytes before the end of a member that was given are not looked at again. */
int kg_json_object_next(struct kg_json_object *object, struct kg_json_member *member);

/* Of a string as it is written, quotes included, that was found by kg_json_object_next: */
bool kg_json_string_is(struct kg_slice string, struct kg_slice want);
/* What it stands for, as UTF-8; false when that does not fit. */
bool kg_json_string_decode(struct kg_slice string, struct kg_writer *out);

#endif
