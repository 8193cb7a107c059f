/* SPDX-License-Identifier: BSD-2-Clause */
/* The subkeys of the master key, and what is done with them. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdlib.h>

#define KEY_LEN       KG_MASTER_LEN
#define NONCE_LEN     12 /* NIST SP 800-38D, 8.2.2: random, one for each sealing */
#define TAG_LEN       16
#define SEALED_FORMAT 1

_Static_assert(KG_SEAL_OVERHEAD == 1 + NONCE_LEN + TAG_LEN, "the sealed form changed");

/* RFC 5869. The master key is uniformly random, so no salt is needed (3.1); `info` keeps the subkeys apart.
 */
static void derive(const uint8_t master[KEY_LEN], const char *info, uint8_t out[32])
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)master, KEY_LEN),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, strlen(info)),
        OSSL_PARAM_construct_end(),
    };
    int ok = ctx != NULL && EVP_KDF_derive(ctx, out, 32, params) == 1;

    KG_ASSERT(ok);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

/* What a key that has been looked up and scheduled costs to use again is a fraction of doing it anew. */
struct kg_vault_tools {
    EVP_MAC_CTX *mac;
    uint8_t mac_key[KEY_LEN]; /* which `mac` has; the index key comes later than the rest of a vault */
    EVP_CIPHER_CTX *seal, *unseal;
};

void kg_vault_derive(struct kg_vault *vault, const uint8_t master[KEY_LEN])
{
    derive(master, "keygate 1 sealing of keys", vault->seal_key);
    derive(master, "keygate 1 index of keys", vault->index_key);
    derive(master, "keygate 1 check value", vault->check);
    vault->tools = kg_calloc(1, sizeof(*vault->tools));
}

void kg_vault_close(struct kg_vault *vault)
{
    struct kg_vault_tools *tools = vault->tools;

    if (tools) {
        EVP_MAC_CTX_free(tools->mac);
        EVP_CIPHER_CTX_free(tools->seal);
        EVP_CIPHER_CTX_free(tools->unseal);
        kg_wipe(tools, sizeof(*tools));
        free(tools);
    }
    kg_wipe(vault, sizeof(*vault));
}

void kg_vault_replace(struct kg_vault *vault, struct kg_vault *with)
{
    kg_vault_close(vault);
    *vault = *with;
    kg_wipe(with, sizeof(*with));
}

static EVP_CIPHER_CTX *new_cipher(const struct kg_vault *vault, int encrypt)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    KG_ASSERT(ctx != NULL);
    KG_ASSERT(EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, vault->seal_key, NULL, encrypt) == 1);
    return ctx;
}

void kg_vault_seal(const struct kg_vault *vault, struct kg_slice id, struct kg_slice secret, uint8_t *out)
{
    uint8_t *nonce = out + 1, *text = nonce + NONCE_LEN;
    EVP_CIPHER_CTX *ctx;
    int len = 0, ok;

    if (!vault->tools->seal)
        vault->tools->seal = new_cipher(vault, 1);
    ctx = vault->tools->seal;
    out[0] = SEALED_FORMAT;
    kg_random_public(nonce, NONCE_LEN);
    ok = EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &len, (const uint8_t *)id.ptr, (int)id.len) == 1 &&
         EVP_EncryptUpdate(ctx, text, &len, (const uint8_t *)secret.ptr, (int)secret.len) == 1 &&
         EVP_EncryptFinal_ex(ctx, text + secret.len, &len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, text + secret.len) == 1;
    KG_ASSERT(ok);
}

bool kg_vault_unseal(const struct kg_vault *vault, struct kg_slice id, const uint8_t *sealed,
                     size_t sealed_len, char *out)
{
    const uint8_t *nonce = sealed + 1, *text = nonce + NONCE_LEN;
    EVP_CIPHER_CTX *ctx;
    uint8_t tag[TAG_LEN];
    size_t text_len;
    int len = 0, ok;

    if (sealed_len < KG_SEAL_OVERHEAD || sealed[0] != SEALED_FORMAT)
        return false;
    text_len = sealed_len - KG_SEAL_OVERHEAD;
    memcpy(tag, text + text_len, TAG_LEN);
    if (!vault->tools->unseal)
        vault->tools->unseal = new_cipher(vault, 0);
    ctx = vault->tools->unseal;
    ok = EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)id.ptr, (int)id.len) == 1 &&
         EVP_DecryptUpdate(ctx, (uint8_t *)out, &len, text, (int)text_len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
         EVP_DecryptFinal_ex(ctx, (uint8_t *)out + text_len, &len) == 1;
    if (!ok)
        kg_wipe(out, text_len);
    return ok;
}

static EVP_MAC_CTX *new_mac(const uint8_t key[KEY_LEN])
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    KG_ASSERT(ctx != NULL);
    KG_ASSERT(EVP_MAC_init(ctx, key, KEY_LEN, params) == 1);
    EVP_MAC_free(hmac);
    return ctx;
}

void kg_vault_mac(const struct kg_vault *vault, struct kg_slice secret, uint8_t mac[32])
{
    struct kg_vault_tools *tools = vault->tools;
    size_t len = 0;
    int ok;

    if (!tools->mac || CRYPTO_memcmp(tools->mac_key, vault->index_key, KEY_LEN) != 0) {
        EVP_MAC_CTX_free(tools->mac);
        tools->mac = new_mac(vault->index_key);
        memcpy(tools->mac_key, vault->index_key, KEY_LEN);
    }
    ok = EVP_MAC_init(tools->mac, NULL, 0, NULL) == 1 &&
         EVP_MAC_update(tools->mac, (const uint8_t *)secret.ptr, secret.len) == 1 &&
         EVP_MAC_final(tools->mac, mac, &len, 32) == 1;
    KG_ASSERT(ok && len == 32);
}
