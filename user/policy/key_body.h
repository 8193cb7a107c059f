/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys in bodies: the field of a form, the member of a JSON object or the part of a multipart form with a
 * key's name; what it holds, and how to take it out with all else left as it is. Used by key-auth. Pure;
 * worker threads.
 */
#ifndef KG_POLICY_KEY_BODY_H
#define KG_POLICY_KEY_BODY_H

#include "policy/policy.h"

enum kg_found {
    KG_FOUND_NOTHING,
    KG_FOUND_OTHER, /* the name, with what can be no key */
    KG_FOUND_KEY,   /* maybe an empty one */
    KG_FOUND_SEVERAL,
};

/* How a key is written where it was found. */
enum kg_key_coding { KG_KEY_PLAIN, KG_KEY_PERCENT, KG_KEY_JSON };

struct kg_key_field {
    enum kg_found found;
    struct kg_slice value; /* when it is KG_FOUND_KEY */
    enum kg_key_coding coding;
};

/* What a request's body is, by its Content-Type. */
struct kg_key_body {
    enum { KG_KEY_BODY_OTHER, KG_KEY_BODY_FORM, KG_KEY_BODY_JSON, KG_KEY_BODY_MULTIPART } kind;
    struct kg_slice type; /* the Content-Type, whole */
};

/* Nothing but KG_KEY_BODY_OTHER without exactly one Content-Type. */
struct kg_key_body kg_key_body_of(const struct kg_head *head);

/* Nothing is found in what is malformed. */
struct kg_key_field kg_key_body_find(struct kg_key_body body, struct kg_slice bytes, struct kg_slice name);

/* Takes out all fields of this name; nothing out of what is malformed. */
void kg_key_body_remove(struct kg_key_body body, struct kg_payload *payload, struct kg_slice name);

#endif
