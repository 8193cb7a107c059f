/* SPDX-License-Identifier: BSD-2-Clause */
/* What consumers have besides API keys: secrets that sign JWTs, and groups. Their fields, in Kong's shapes.
 */
#include "model/checks.h"

#include "model/json.h"
#include "model/jwt_algorithm.h"

#include <openssl/evp.h>
#include <stdio.h>

#define PEM_MAX 65536

static const char *const algorithms[] = { "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256",
                                          "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA", NULL };

static const char *check_public_key(const json_t *value, char scratch[256]);

/* clang-format off */
const struct kg_field kg_jwt_fields[] = {
    { .name = "id", .type = KG_F_UUID, .required = true, .automatic = true, .immutable_ = true },
    { .name = "consumer", .type = KG_F_FOREIGN, .required = true, .reference = KG_CONSUMERS, .cascade = true },
    { .name = "key", .type = KG_F_STRING, .required = true, .automatic = true, .generated = true, .unique = true, .check = kg_check_identity },
    { .name = "secret", .type = KG_F_STRING, .required = true, .automatic = true, .generated = true, .secret = true },
    { .name = "rsa_public_key", .type = KG_F_STRING, .max_len = PEM_MAX, .check = check_public_key },
    { .name = "algorithm", .type = KG_F_STRING, .required = true, .default_json = "\"HS256\"", .one_of = algorithms },
    { .name = "tags", .type = KG_F_STRING_SET, .check = kg_check_tag },
    { .name = "created_at", .type = KG_F_TIMESTAMP, .required = true, .automatic = true },
    { 0 },
};

const struct kg_field kg_acl_fields[] = {
    { .name = "id", .type = KG_F_UUID, .required = true, .automatic = true, .immutable_ = true },
    { .name = "consumer", .type = KG_F_FOREIGN, .required = true, .reference = KG_CONSUMERS, .cascade = true },
    { .name = "group", .type = KG_F_STRING, .required = true, .check = kg_check_identity },
    { .name = "tags", .type = KG_F_STRING_SET, .check = kg_check_tag },
    { .name = "created_at", .type = KG_F_TIMESTAMP, .required = true, .automatic = true },
    { 0 },
};
/* clang-format on */

static const char *check_public_key(const json_t *value, char scratch[256])
{
    static const char mark[] = " PRIVATE KEY-----";
    struct kg_slice pem = kg_json_text(value);
    EVP_PKEY *key;

    /* This field is neither sealed nor kept out of what clients see. */
    if (memmem(pem.ptr, pem.len, mark, sizeof(mark) - 1))
        return "invalid key: it is a private key";
    key = kg_jwt_public_key(pem);
    EVP_PKEY_free(key);
    return key ? NULL : "invalid key";
}

/* What is not signed with the secret can only be checked by a public key, and by one of the right kind. */
void kg_jwt_check(const json_t *entity, json_t *violations)
{
    const struct kg_jwt_algorithm *algorithm =
        kg_jwt_algorithm_find(kg_json_text(json_object_get(entity, "algorithm")));
    struct kg_slice pem = kg_json_text(json_object_get(entity, "rsa_public_key"));
    char text[64];

    if (!algorithm || algorithm->family == KG_JWT_HMAC || json_object_get(violations, "rsa_public_key"))
        return;
    if (pem.len == 0) {
        kg_violate(violations, NULL, "failed conditional validation given value of field 'algorithm'");
        kg_violate(violations, "rsa_public_key", "required field missing");
        return;
    }
    EVP_PKEY *key = kg_jwt_public_key(pem);
    bool suits = key && kg_jwt_algorithm_suits(algorithm, key);
    EVP_PKEY_free(key);
    if (suits)
        return;
    snprintf(text, sizeof(text), "not a key for algorithm '%s'", algorithm->name.ptr);
    kg_violate(violations, "rsa_public_key", text);
}
