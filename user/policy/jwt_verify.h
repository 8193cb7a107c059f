/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checking the signatures of JWTs. What OpenSSL lets be made once is: the contexts for HMAC, the hashes. (A
 * public key's own context it makes and frees with each signature, small beside the arithmetic.)
 */
#ifndef KG_POLICY_JWT_VERIFY_H
#define KG_POLICY_JWT_VERIFY_H

#include "base/slice.h"

#include <openssl/types.h>

struct kg_jwt_algorithm; /* model/jwt_algorithm.h */

/* One for each worker. */
struct kg_jwt_verifier;
struct kg_jwt_verifier *kg_jwt_verifier_new(void);
void kg_jwt_verifier_free(struct kg_jwt_verifier *verifier);

/* HMAC; the secret is not empty. Compared in constant time. */
bool kg_jwt_verify_secret(struct kg_jwt_verifier *verifier, const struct kg_jwt_algorithm *algorithm,
                          struct kg_slice secret, struct kg_slice signed_part, struct kg_slice signature);

/* All others; the key suits the algorithm. */
bool kg_jwt_verify_public(struct kg_jwt_verifier *verifier, const struct kg_jwt_algorithm *algorithm,
                          EVP_PKEY *key, struct kg_slice signed_part, struct kg_slice signature);

#endif
