/* SPDX-License-Identifier: BSD-2-Clause */
/* The database and its master key: whether the two belong together, and how the one is changed. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#define CHECK     "check"
#define INDEX_KEY "index_key"

int kg_keys_read(struct kg_store *store, bool database_exists, struct kg_error *err)
{
    uint8_t master[KG_MASTER_LEN] = { 0 };
    int rc = kg_master_read(&store->master, master, err);

    if (rc == -ENOENT && database_exists)
        rc = kg_error_set(err, ENOENT,
                          "%s is missing, and the keys in %s/" KG_DB_FILE " cannot be read without it: "
                          "put it back from your backup",
                          store->master.path, store->dir);
    else if (rc == -ENOENT)
        rc = kg_master_make(&store->master, master, err);
    if (rc == 0)
        kg_vault_derive(&store->vault, master);
    kg_wipe(master, sizeof(master));
    return rc;
}

int kg_keys_match(struct kg_store *store, const struct kg_vault *vault, struct kg_error *err)
{
    uint8_t check[sizeof(vault->check)];
    size_t len = 0;
    int rc = kg_meta_get(store, CHECK, check, sizeof(check), &len, err);

    if (rc && rc != -ENOENT)
        return rc;
    if (rc == 0 && len == sizeof(check) && CRYPTO_memcmp(check, vault->check, sizeof(check)) == 0)
        return 0;
    return kg_error_set(err, EKEYREJECTED, "%s is not the key that %s/" KG_DB_FILE " was made with",
                        store->master.path, store->dir);
}

/* The change was in the database when it was broken off: only the file is left to be done. */
static int end_change(struct kg_store *store, struct kg_error *err)
{
    uint8_t master[KG_MASTER_LEN] = { 0 };
    struct kg_vault next = { 0 };
    struct kg_error why;
    int rc = kg_master_read_next(&store->master, master, &why);

    if (rc == 0) {
        kg_vault_derive(&next, master);
        rc = kg_keys_match(store, &next, &why);
    }
    if (rc == 0)
        rc = kg_master_take_next(&store->master, err);
    else
        rc = -EKEYREJECTED; /* which err says already */
    if (rc == 0) {
        kg_vault_replace(&store->vault, &next);
        kg_log(KG_LOG_INFO, "a change of the master key that was broken off is complete now");
    }
    kg_wipe(master, sizeof(master));
    kg_vault_close(&next);
    return rc;
}

int kg_keys_settle(struct kg_store *store, struct kg_error *err)
{
    int rc = kg_keys_match(store, &store->vault, err);

    if (rc == -EKEYREJECTED)
        return end_change(store, err);
    if (rc == 0)
        kg_master_drop_next(&store->master);
    return rc;
}

int kg_keys_write(struct kg_store *store, const struct kg_vault *vault, struct kg_error *err)
{
    uint8_t sealed[sizeof(vault->index_key) + KG_SEAL_OVERHEAD];
    int rc = kg_meta_put(store, CHECK, vault->check, sizeof(vault->check), err);

    kg_vault_seal(vault, KG_SLICE(INDEX_KEY),
                  kg_slice_of((const char *)vault->index_key, sizeof(vault->index_key)), sealed);
    return rc == 0 ? kg_meta_put(store, INDEX_KEY, sealed, sizeof(sealed), err) : rc;
}

int kg_keys_adopt_index(struct kg_store *store, struct kg_error *err)
{
    uint8_t sealed[sizeof(store->vault.index_key) + KG_SEAL_OVERHEAD];
    size_t len;
    int rc = kg_meta_get(store, INDEX_KEY, sealed, sizeof(sealed), &len, err);

    return rc == -ENOENT ? kg_keys_write(store, &store->vault, err) : rc;
}

int kg_keys_load_index(struct kg_store *store, struct kg_error *err)
{
    uint8_t sealed[sizeof(store->vault.index_key) + KG_SEAL_OVERHEAD];
    size_t len = 0;
    int rc = kg_meta_get(store, INDEX_KEY, sealed, sizeof(sealed), &len, err);

    if (rc && rc != -ENOENT)
        return rc;
    if (rc == 0 && len == sizeof(sealed) &&
        kg_vault_unseal(&store->vault, KG_SLICE(INDEX_KEY), sealed, len, (char *)store->vault.index_key))
        return 0;
    return kg_error_set(err, EIO, "the index key in %s/" KG_DB_FILE " cannot be opened: it was changed",
                        store->dir);
}

/* ---- changing the master key ---- */

/* One secret: out of its column under the old seal, back into it under the new one. */
static int reseal(struct kg_store *store, const struct kg_vault *next, sqlite3_stmt *from, sqlite3_stmt *to,
                  struct kg_error *err)
{
    struct kg_slice id = { (const char *)sqlite3_column_text(from, 1),
                           (size_t)sqlite3_column_bytes(from, 1) };
    const uint8_t *old = sqlite3_column_blob(from, 2);
    size_t len = (size_t)sqlite3_column_bytes(from, 2);
    char *secret = kg_calloc(len + 1, 1);
    uint8_t *sealed = kg_calloc(len, 1);
    int rc = 0;

    if (!kg_vault_unseal(&store->vault, id, old, len, secret))
        rc = kg_error_set(err, EIO,
                          "the sealed key of %.*s in %s/" KG_DB_FILE " cannot be opened: it was changed",
                          (int)id.len, id.ptr, store->dir);
    if (rc == 0) {
        kg_vault_seal(next, id, kg_slice_of(secret, len - KG_SEAL_OVERHEAD), sealed);
        sqlite3_bind_blob(to, 1, sealed, (int)len, SQLITE_STATIC);
        sqlite3_bind_int64(to, 2, sqlite3_column_int64(from, 0));
        if (sqlite3_step(to) != SQLITE_DONE)
            rc = kg_db_error(store, err, "seal a key anew");
        sqlite3_reset(to);
        sqlite3_clear_bindings(to);
    }
    kg_wipe(secret, len);
    free(secret);
    free(sealed);
    return rc;
}

static int reseal_rows(struct kg_store *store, const struct kg_vault *next, sqlite3_stmt *from,
                       sqlite3_stmt *to, size_t *count, struct kg_error *err)
{
    int step = SQLITE_DONE, rc = 0;

    if (!from || !to)
        return -EIO;
    while (rc == 0 && (step = sqlite3_step(from)) == SQLITE_ROW) {
        rc = reseal(store, next, from, to, err);
        ++*count;
    }
    return rc == 0 && step != SQLITE_DONE ? kg_db_error(store, err, "read") : rc;
}

static int reseal_field(struct kg_store *store, const struct kg_vault *next, const struct kg_entity *entity,
                        const struct kg_field *field, size_t *count, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *from, *to;
    int rc;

    kg_sql_start(&sql,
                 "SELECT seq, id, \"%s_sealed\" FROM \"%s\" WHERE length(\"%s_sealed\") > 0 ORDER BY seq",
                 field->name, entity->name, field->name);
    from = kg_sql_prepare(store, &sql, err);
    kg_sql_start(&sql, "UPDATE \"%s\" SET \"%s_sealed\" = ? WHERE seq = ?", entity->name, field->name);
    to = kg_sql_prepare(store, &sql, err);
    rc = reseal_rows(store, next, from, to, count, err);
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    return rc;
}

static int reseal_all(struct kg_store *store, const struct kg_vault *next, size_t *count,
                      struct kg_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < KG_ENTITIES; i++) {
        for (const struct kg_field *field = kg_entities[i].fields; rc == 0 && field->name; field++)
            if (field->secret)
                rc = reseal_field(store, next, &kg_entities[i], field, count, err);
    }
    if (rc == 0)
        rc = kg_keys_write(store, next, err);
    return rc == 0 ? kg_scrub_mark(store, err) : rc;
}

int kg_store_rotate_master(struct kg_store *store, size_t *count, struct kg_error *err)
{
    uint8_t master[KG_MASTER_LEN] = { 0 };
    struct kg_vault next;
    int rc = kg_master_make_next(&store->master, master, err);

    *count = 0;
    if (rc)
        return rc;
    kg_vault_derive(&next, master);
    kg_wipe(master, sizeof(master));
    memcpy(next.index_key, store->vault.index_key, sizeof(next.index_key));
    rc = kg_db_begin(store, err);
    if (rc == 0)
        rc = kg_db_end(store, reseal_all(store, &next, count, err), err);
    /* The next key stays beside the other until an open has seen which of them the database is sealed under:
     * a commit that failed may have reached the disk all the same. */
    if (rc == 0) {
        kg_vault_replace(&store->vault, &next);
        rc = kg_master_take_next(&store->master, err);
    }
    kg_vault_close(&next);
    return rc == 0 ? kg_scrub_run(store, err) : rc;
}
