/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/jwt_algorithm.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

/* clang-format off */
static const struct kg_jwt_algorithm algorithms[] = {
    { { "HS256", 5 }, KG_JWT_HMAC,  KG_JWT_SHA256,  NULL, 0 },
    { { "HS384", 5 }, KG_JWT_HMAC,  KG_JWT_SHA384,  NULL, 0 },
    { { "HS512", 5 }, KG_JWT_HMAC,  KG_JWT_SHA512,  NULL, 0 },
    { { "RS256", 5 }, KG_JWT_RSA,   KG_JWT_SHA256,  NULL, 0 },
    { { "RS384", 5 }, KG_JWT_RSA,   KG_JWT_SHA384,  NULL, 0 },
    { { "RS512", 5 }, KG_JWT_RSA,   KG_JWT_SHA512,  NULL, 0 },
    { { "PS256", 5 }, KG_JWT_PSS,   KG_JWT_SHA256,  NULL, 0 },
    { { "PS384", 5 }, KG_JWT_PSS,   KG_JWT_SHA384,  NULL, 0 },
    { { "PS512", 5 }, KG_JWT_PSS,   KG_JWT_SHA512,  NULL, 0 },
    { { "ES256", 5 }, KG_JWT_ECDSA, KG_JWT_SHA256,  "prime256v1", 32 },
    { { "ES384", 5 }, KG_JWT_ECDSA, KG_JWT_SHA384,  "secp384r1", 48 },
    { { "ES512", 5 }, KG_JWT_ECDSA, KG_JWT_SHA512,  "secp521r1", 66 },
    { { "EdDSA", 5 }, KG_JWT_EDDSA, KG_JWT_NO_HASH, NULL, 0 },
};
/* clang-format on */

const struct kg_jwt_algorithm *kg_jwt_algorithm_find(struct kg_slice name)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        if (kg_slice_eq(algorithms[i].name, name))
            return &algorithms[i];
    }
    return NULL;
}

/* The daemon asks nobody at its terminal, and waits for nobody. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    return -1;
}

EVP_PKEY *kg_jwt_public_key(struct kg_slice pem)
{
    BIO *bio = pem.len > 0 && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    ERR_clear_error();
    return key;
}

/* RFC 7518, 3.4: each hash has its curve. */
static bool is_on_curve(const EVP_PKEY *key, const char *curve)
{
    char name[64];
    size_t len;

    return EVP_PKEY_get_group_name(key, name, sizeof(name), &len) == 1 && strcmp(name, curve) == 0;
}

bool kg_jwt_algorithm_suits(const struct kg_jwt_algorithm *algorithm, const EVP_PKEY *key)
{
    int type = EVP_PKEY_get_base_id(key);

    switch (algorithm->family) {
    case KG_JWT_RSA:
        return type == EVP_PKEY_RSA;
    case KG_JWT_PSS:
        return type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS;
    case KG_JWT_ECDSA:
        return type == EVP_PKEY_EC && is_on_curve(key, algorithm->curve);
    case KG_JWT_EDDSA:
        return type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448;
    default:
        return false;
    }
}
