/* SPDX-License-Identifier: BSD-2-Clause */
/* The master key, its subkeys, and what is done with them. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE      "master.key"
#define KEY_FILE_NEW  "master.key.new"
#define KEY_LEN       32
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

static void derive_all(const uint8_t master[KEY_LEN], struct kg_vault *vault)
{
    derive(master, "keygate 1 sealing of keys", vault->seal_key);
    derive(master, "keygate 1 index of keys", vault->index_key);
    derive(master, "keygate 1 check value", vault->check);
}

static int read_key(int fd, const char *dir, uint8_t master[KEY_LEN], struct kg_error *err)
{
    struct stat st;
    uint8_t more;

    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return kg_error_set(err, EINVAL, "%s/" KEY_FILE " is not a regular file", dir);
    if (st.st_mode & 077)
        return kg_error_set(err, EPERM, "%s/" KEY_FILE " is open to others (mode %04o): run chmod 600 on it",
                            dir, (unsigned)(st.st_mode & 07777));
    if (read(fd, master, KEY_LEN) != KEY_LEN || read(fd, &more, 1) != 0)
        return kg_error_set(err, EINVAL, "%s/" KEY_FILE " does not hold exactly %d bytes", dir, KEY_LEN);
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t wrote = write(fd, bytes, len);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return -1;
        bytes += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

/*
 * The key appears under its name only when all of it is on disk: a start that is killed half-way leaves a
 * .new that the next one throws away. RENAME_NOREPLACE (Linux 3.15): a key that is there is never lost.
 */
static int make_key(int dir_fd, const char *dir, uint8_t master[KEY_LEN], struct kg_error *err)
{
    int fd, rc = 0;

    unlinkat(dir_fd, KEY_FILE_NEW, 0);
    fd = openat(dir_fd, KEY_FILE_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return kg_error_set(err, errno, "cannot create %s/" KEY_FILE ": %s", dir, strerror(errno));
    kg_random(master, KEY_LEN);
    if (fchmod(fd, 0600) || write_all(fd, master, KEY_LEN) || fsync(fd) ||
        renameat2(dir_fd, KEY_FILE_NEW, dir_fd, KEY_FILE, RENAME_NOREPLACE) || fsync(dir_fd))
        rc = kg_error_set(err, errno ? errno : EIO, "cannot write %s/" KEY_FILE ": %s", dir, strerror(errno));
    close(fd);
    if (rc)
        unlinkat(dir_fd, KEY_FILE_NEW, 0);
    return rc;
}

int kg_vault_open(int dir_fd, const char *dir, bool database_exists, struct kg_vault *vault,
                  struct kg_error *err)
{
    uint8_t master[KEY_LEN] = { 0 };
    int rc, fd = openat(dir_fd, KEY_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0) {
        rc = read_key(fd, dir, master, err);
        close(fd);
    } else if (errno != ENOENT) {
        rc = kg_error_set(err, errno, "cannot open %s/" KEY_FILE ": %s", dir, strerror(errno));
    } else if (database_exists) {
        rc = kg_error_set(err, ENOENT,
                          "%s/" KEY_FILE
                          " is missing, and the keys in %s/keygate.db cannot be read without it: "
                          "put it back from your backup",
                          dir, dir);
    } else {
        rc = make_key(dir_fd, dir, master, err);
    }
    if (rc == 0)
        derive_all(master, vault);
    kg_wipe(master, sizeof(master));
    return rc;
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
