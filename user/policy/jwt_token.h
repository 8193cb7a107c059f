/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A JWT in its compact form (RFC 7519, RFC 7515, 7.1), taken apart: what is signed, the signature, and the
 * few values that keygate asks for. Nothing of it is believed yet. Pure, no allocation; worker threads.
 */
#ifndef KG_POLICY_JWT_TOKEN_H
#define KG_POLICY_JWT_TOKEN_H

#include "base/writer.h"

struct kg_jwt_algorithm; /* model/jwt_algorithm.h */

/* A member's value. A number is kept exactly, as far as comparing it with a time goes: as the whole number at
 * or below it and whether there is more. Beyond a thousand million years it is just large. */
struct kg_jwt_value {
    enum { KG_JWT_ABSENT, KG_JWT_TEXT, KG_JWT_NUMBER, KG_JWT_OTHER } kind;
    struct kg_slice text; /* decoded */
    int64_t floor;
    bool more;
};

struct kg_jwt {
    const struct kg_jwt_algorithm *algorithm; /* that the token claims for itself */
    struct kg_jwt_value key;                  /* which credential it is signed with */
    struct kg_jwt_value exp, nbf;
    struct kg_slice signed_part, signature;
};

enum kg_jwt_fault {
    KG_JWT_GOOD,
    KG_JWT_NO_ROOM, /* in scratch; three times the length of the token will do */
    KG_JWT_INVALID_JSON,
    KG_JWT_INVALID_ALG,
    KG_JWT_INVALID_CRIT, /* it asks for what keygate does not know (RFC 7515, 4.1.11) */
    KG_JWT_INVALID_CLAIMS,
    KG_JWT_INVALID_SIGNATURE,
};

/*
 * key_claim: the claim, or else the header parameter, that names the credential. Strict: base64url without
 * padding, JSON by RFC 8259 with up to KG_JWT_MEMBERS members and no name twice. What the result points at
 * lies in the token and in scratch.
 */
#define KG_JWT_MEMBERS 128
enum kg_jwt_fault kg_jwt_parse(struct kg_slice token, struct kg_slice key_claim, struct kg_writer *scratch,
                               struct kg_jwt *jwt);

/* Whether a number is greater than this whole one. */
bool kg_jwt_is_above(const struct kg_jwt_value *number, int64_t limit);

#endif
