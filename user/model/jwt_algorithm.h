/* SPDX-License-Identifier: BSD-2-Clause */
/* The algorithms that JWTs may be signed by (RFC 7518, 3.1, and RFC 8037). Read-only; any thread. */
#ifndef KG_MODEL_JWT_ALGORITHM_H
#define KG_MODEL_JWT_ALGORITHM_H

#include "base/slice.h"

#include <openssl/types.h>

enum kg_jwt_family {
    KG_JWT_HMAC,  /* with the secret */
    KG_JWT_RSA,   /* RSASSA-PKCS1-v1_5 */
    KG_JWT_PSS,   /* RSASSA-PSS, its salt as long as the hash */
    KG_JWT_ECDSA, /* signatures are the two numbers, one behind the other */
    KG_JWT_EDDSA,
};

/* SHA-2 of so many bits; EdDSA hashes by itself. */
enum kg_jwt_hash {
    KG_JWT_SHA256,
    KG_JWT_SHA384,
    KG_JWT_SHA512,
    KG_JWT_HASHES,
    KG_JWT_NO_HASH = KG_JWT_HASHES
};

struct kg_jwt_algorithm {
    struct kg_slice name; /* NUL-terminated */
    enum kg_jwt_family family;
    enum kg_jwt_hash hash;
    /* ECDSA: the one curve that goes with it, as OpenSSL calls it, and the bytes of each number. */
    const char *curve;
    size_t number;
};

/* By its exact name; NULL for any other, "none" among them. */
const struct kg_jwt_algorithm *kg_jwt_algorithm_find(struct kg_slice name);

/* From PEM; NULL when it cannot be read. The caller frees it. */
EVP_PKEY *kg_jwt_public_key(struct kg_slice pem);

/* Whether signatures of the algorithm can be checked with this public key. */
bool kg_jwt_algorithm_suits(const struct kg_jwt_algorithm *algorithm, const EVP_PKEY *key);

#endif
