/* SPDX-License-Identifier: BSD-2-Clause */
/* A credential gets a new key, and the old one stays good for a while as a credential of its own. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "model/json.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

/* What is stored of the old key. */
struct old_key {
    uint8_t mac[32], *sealed; /* sealed: owned, under the credential's id; NULL where only the hash is kept */
    size_t sealed_len;
    int64_t expires;
};

static const char *id_of(const json_t *object)
{
    return json_string_value(json_object_get(object, "id"));
}

static int read_old(struct kg_store *store, const char *id, struct old_key *old, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int rc = -EIO;

    kg_sql_start(&sql,
                 "SELECT key_mac, key_sealed, " KG_EXPIRES_COLUMN " FROM keyauth_credentials WHERE id = ?");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    if (sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == sizeof(old->mac)) {
        memcpy(old->mac, sqlite3_column_blob(stmt, 0), sizeof(old->mac));
        old->sealed_len = (size_t)sqlite3_column_bytes(stmt, 1);
        if (old->sealed_len > 0)
            old->sealed =
                memcpy(kg_calloc(old->sealed_len, 1), sqlite3_column_blob(stmt, 1), old->sealed_len);
        old->expires = sqlite3_column_int64(stmt, 2);
        rc = 0;
    } else {
        kg_db_error(store, err, "read a key");
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* A seal holds the id that it was made for. */
static int seal_for(struct kg_store *store, struct old_key *old, const char *id, const char *new_id,
                    struct kg_error *err)
{
    char *secret;
    bool opened;

    if (old->sealed_len == 0)
        return 0;
    secret = kg_calloc(old->sealed_len + 1, 1);
    opened = kg_vault_unseal(&store->vault, kg_slice_str(id), old->sealed, old->sealed_len, secret);
    if (opened)
        kg_vault_seal(&store->vault, kg_slice_str(new_id),
                      kg_slice_of(secret, old->sealed_len - KG_SEAL_OVERHEAD), old->sealed);
    kg_wipe(secret, old->sealed_len);
    free(secret);
    if (opened)
        return 0;
    return kg_error_set(err, EIO,
                        "the sealed key of %s in %s/" KG_DB_FILE " cannot be opened: it was changed", id,
                        store->dir);
}

/* The credential as it is now, but for its id, its key and its end. */
static void copy_text(struct kg_sql *sql, const struct kg_entity *entity)
{
    const char *const own[] = { "id", "key_mac", "key_sealed", KG_EXPIRES_COLUMN };

    kg_sql_start(sql, "INSERT INTO keyauth_credentials (");
    for (size_t i = 0; i < 4; i++)
        kg_sql_add(sql, "%s%s", i > 0 ? ", " : "", own[i]);
    for (const struct kg_field *field = entity->fields; field->name; field++)
        if (field->type != KG_F_UUID && !field->secret && !field->lifetime)
            kg_sql_add(sql, ", \"%s\"", field->name);
    kg_sql_add(sql, ") SELECT ?1, ?2, ?3, ?4");
    for (const struct kg_field *field = entity->fields; field->name; field++)
        if (field->type != KG_F_UUID && !field->secret && !field->lifetime)
            kg_sql_add(sql, ", \"%s\"", field->name);
    kg_sql_add(sql, " FROM keyauth_credentials WHERE id = ?5");
}

static int keep_old(struct kg_store *store, const struct kg_entity *entity, const char *id,
                    const struct kg_key_grace *grace, struct old_key *old, struct kg_error *err)
{
    int64_t end = kg_clock_wall() + grace->seconds;
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int rc = seal_for(store, old, id, grace->id, err);

    if (rc)
        return rc;
    if (old->expires > 0 && old->expires < end)
        end = old->expires;
    copy_text(&sql, entity);
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    sqlite3_bind_text(stmt, 1, grace->id, -1, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 2, old->mac, sizeof(old->mac), SQLITE_STATIC);
    if (old->sealed_len > 0)
        sqlite3_bind_blob(stmt, 3, old->sealed, (int)old->sealed_len, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(stmt, 3, 0);
    sqlite3_bind_int64(stmt, 4, end);
    sqlite3_bind_text(stmt, 5, id, -1, SQLITE_STATIC);
    return kg_db_run(store, stmt, err, "keep the old key");
}

static int rotate_inside(struct kg_store *store, const json_t *object, const struct kg_key_grace *grace,
                         json_t **problem, struct kg_error *err)
{
    const struct kg_entity *entity = &kg_entities[KG_KEYAUTH_CREDENTIALS];
    struct old_key old = { .sealed = NULL };
    uint8_t mac[32];
    int rc = read_old(store, id_of(object), &old, err);

    kg_vault_mac(&store->vault, kg_json_text(json_object_get(object, "key")), mac);
    if (rc == 0 && CRYPTO_memcmp(mac, old.mac, sizeof(mac)) == 0) {
        *problem = kg_problem_unique(entity, "key", json_object_get(object, "key"));
        rc = -EEXIST;
    }
    if (rc == 0)
        rc = kg_write_entity(store, entity, object, problem, err);
    if (rc == 0 && grace->seconds > 0)
        rc = keep_old(store, entity, id_of(object), grace, &old, err);
    free(old.sealed);
    return rc;
}

int kg_store_rotate_key(struct kg_store *store, const json_t *object, const struct kg_key_grace *grace,
                        json_t **problem, struct kg_error *err)
{
    int rc = kg_db_begin(store, err);

    KG_ASSERT(json_is_string(json_object_get(object, "key")));
    *problem = NULL;
    return rc ? rc : kg_db_end(store, rotate_inside(store, object, grace, problem, err), err);
}
