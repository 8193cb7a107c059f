/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HMAC-SHA-256 of keys. The algorithm is fetched and the key schedule made once; each MAC starts from that
 * state again, so that a worker takes none of OpenSSL's locks for a request. (OpenSSL 3.0 copies the two
 * inner states, which costs two small heap blocks that live only inside the call.)
 */
#include "policy/policy.h"

#include "base/assert.h"
#include "base/mem.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#define INDEX_KEY 32
#define MAC       32

struct kg_key_hasher {
    EVP_MAC_CTX *ctx;
};

struct kg_key_hasher *kg_key_hasher_new(const uint8_t index_key[32])
{
    struct kg_key_hasher *hasher = kg_calloc(1, sizeof(*hasher));
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                            OSSL_PARAM_construct_end() };

    KG_ASSERT(hmac != NULL);
    hasher->ctx = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    KG_ASSERT(hasher->ctx != NULL);
    KG_ASSERT(EVP_MAC_init(hasher->ctx, index_key, INDEX_KEY, params) == 1);
    return hasher;
}

void kg_key_hasher_free(struct kg_key_hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MAC_CTX_free(hasher->ctx);
    free(hasher);
}

void kg_key_hasher_mac(struct kg_key_hasher *hasher, struct kg_slice key, uint8_t mac[32])
{
    size_t len = 0;

    /* No key and no parameters: back to the state after the first init, with the same key (OpenSSL 3.0). */
    KG_ASSERT(EVP_MAC_init(hasher->ctx, NULL, 0, NULL) == 1);
    KG_ASSERT(EVP_MAC_update(hasher->ctx, (const unsigned char *)key.ptr, key.len) == 1);
    KG_ASSERT(EVP_MAC_final(hasher->ctx, mac, &len, MAC) == 1 && len == MAC);
}
