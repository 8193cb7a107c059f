/* SPDX-License-Identifier: BSD-2-Clause */
/* The subkeys of the master key, and what is done with them. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

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

void kg_vault_derive(struct kg_vault *vault, const uint8_t master[KEY_LEN])
{
    derive(master, "keygate 1 sealing of keys", vault->seal_key);
    derive(master, "keygate 1 index of keys", vault->index_key);
    derive(master, "keygate 1 check value", vault->check);
}

void kg_vault_close(struct kg_vault *vault)
{
    kg_wipe(vault, sizeof(*vault));
}

void kg_vault_seal(const struct kg_vault *vault, struct kg_slice id, struct kg_slice secret, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t *nonce = out + 1, *text = nonce + NONCE_LEN;
    int len = 0, ok;

    KG_ASSERT(ctx != NULL);
    out[0] = SEALED_FORMAT;
    kg_random(nonce, NONCE_LEN);
    ok = EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, vault->seal_key, nonce) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &len, (const uint8_t *)id.ptr, (int)id.len) == 1 &&
         EVP_EncryptUpdate(ctx, text, &len, (const uint8_t *)secret.ptr, (int)secret.len) == 1 &&
         EVP_EncryptFinal_ex(ctx, text + secret.len, &len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, text + secret.len) == 1;
    KG_ASSERT(ok);
    EVP_CIPHER_CTX_free(ctx);
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
    ctx = EVP_CIPHER_CTX_new();
    KG_ASSERT(ctx != NULL);
    ok = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, vault->seal_key, nonce) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)id.ptr, (int)id.len) == 1 &&
         EVP_DecryptUpdate(ctx, (uint8_t *)out, &len, text, (int)text_len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
         EVP_DecryptFinal_ex(ctx, (uint8_t *)out + text_len, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok)
        kg_wipe(out, text_len);
    return ok;
}

void kg_vault_mac(const struct kg_vault *vault, struct kg_slice secret, uint8_t mac[32])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    size_t len = 0;
    const uint8_t *made =
        EVP_Q_mac(NULL, "HMAC", NULL, NULL, params, vault->index_key, sizeof(vault->index_key),
                  (const uint8_t *)secret.ptr, secret.len, mac, 32, &len);

    KG_ASSERT(made != NULL && len == 32);
}
