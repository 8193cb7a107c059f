/* SPDX-License-Identifier: BSD-2-Clause */
/* What consumers have besides API keys: secrets that sign JWTs, and groups. Their fields, in Kong's shapes.
 */
#include "model/checks.h"

#include "model/json.h"

#include <openssl/err.h>
#include <openssl/pem.h>
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

/* EVP_PKEY_NONE when it cannot be read. */
static int public_key_type(struct kg_slice pem)
{
    BIO *bio = pem.len <= PEM_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    int type = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;

    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return type;
}

static const char *check_public_key(const json_t *value, char scratch[256])
{
    static const char mark[] = " PRIVATE KEY-----";
    struct kg_slice pem = kg_json_text(value);

    /* This field is neither sealed nor kept out of what clients see. */
    if (memmem(pem.ptr, pem.len, mark, sizeof(mark) - 1))
        return "invalid key: it is a private key";
    return public_key_type(pem) == EVP_PKEY_NONE ? "invalid key" : NULL;
}

/* Whether a key of this type can check a signature of this algorithm. */
static bool suits(const char *algorithm, int type)
{
    switch (algorithm[0]) {
    case 'R':
    case 'P':
        return type == EVP_PKEY_RSA || (algorithm[0] == 'P' && type == EVP_PKEY_RSA_PSS);
    default:
        return algorithm[1] == 'S' ? type == EVP_PKEY_EC : type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448;
    }
}

/* What is not signed with the secret can only be checked by a public key, and by one of the right kind. */
void kg_jwt_check(const json_t *entity, json_t *violations)
{
    const char *algorithm = json_string_value(json_object_get(entity, "algorithm"));
    struct kg_slice key = kg_json_text(json_object_get(entity, "rsa_public_key"));
    char text[64];

    if (!algorithm || algorithm[0] == 'H' || json_object_get(violations, "rsa_public_key"))
        return;
    if (key.len == 0) {
        kg_violate(violations, NULL, "failed conditional validation given value of field 'algorithm'");
        kg_violate(violations, "rsa_public_key", "required field missing");
        return;
    }
    if (suits(algorithm, public_key_type(key)))
        return;
    snprintf(text, sizeof(text), "not a key for algorithm '%s'", algorithm);
    kg_violate(violations, "rsa_public_key", text);
}
