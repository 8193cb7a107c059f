/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a database is whole, without changing it. It is opened for reading alone and looked at in one read
 * transaction, so a daemon may go on writing beside it. The lock is not taken.
 */
#include "store/internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "model/json.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERRORS_MAX 100 /* of SQLite's own: one torn page can make many thousands */

struct check {
    struct kg_store *store;
    void (*say)(void *ctx, bool fault, const char *line);
    void *ctx;
    size_t faults;
};

static void fault(struct check *check, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fault(struct check *check, const char *fmt, ...)
{
    char line[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    check->faults++;
    check->say(check->ctx, true, line);
}

static const char *text_at(sqlite3_stmt *stmt, int at)
{
    const char *text = (const char *)sqlite3_column_text(stmt, at);

    return text ? text : "";
}

static sqlite3_stmt *prepare(struct check *check, struct kg_sql *sql)
{
    struct kg_error err;
    sqlite3_stmt *stmt = kg_sql_prepare(check->store, sql, &err);

    if (!stmt)
        fault(check, "%s", err.text);
    return stmt;
}

/* True for a row; a failure is a fault. */
static bool next(struct check *check, sqlite3_stmt *stmt)
{
    struct kg_error err;
    int step = stmt ? sqlite3_step(stmt) : SQLITE_DONE;

    if (step != SQLITE_ROW && step != SQLITE_DONE) {
        kg_db_error(check->store, &err, "read");
        fault(check, "%s", err.text);
    }
    return step == SQLITE_ROW;
}

/* ---- SQLite's own ---- */

static void check_pages(struct check *check)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "PRAGMA integrity_check(%d)", ERRORS_MAX);
    stmt = prepare(check, &sql);
    while (next(check, stmt)) {
        if (strcmp(text_at(stmt, 0), "ok") != 0)
            fault(check, "the file is damaged: %s", text_at(stmt, 0));
    }
    sqlite3_finalize(stmt);
}

static void check_references(struct check *check)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "PRAGMA foreign_key_check");
    stmt = prepare(check, &sql);
    while (next(check, stmt))
        fault(check, "%s number %lld refers to %s that are not there", text_at(stmt, 0),
              (long long)sqlite3_column_int64(stmt, 1), text_at(stmt, 2));
    sqlite3_finalize(stmt);
}

/* ---- entity by entity ---- */

/* A set of ids is text to SQLite, which does not look into it. */
static void check_set(struct check *check, const struct kg_entity *entity, const struct kg_field *field,
                      const json_t *object)
{
    const json_t *id;
    size_t i;

    json_array_foreach(json_object_get(object, field->name), i, id)
    {
        json_t *there = kg_store_get(check->store, field->reference, json_string_value(id));

        if (!there)
            fault(check, "%s %s: %s: %s is not there", entity->name,
                  json_string_value(json_object_get(object, "id")), field->name, json_string_value(id));
        json_decref(there);
    }
}

static void check_schema(struct check *check, const struct kg_entity *entity, const json_t *object)
{
    json_t *empty = json_object(), *whole = NULL, *problem = NULL;

    for (const struct kg_field *field = entity->fields; field->name; field++)
        if (field->type == KG_F_FOREIGN_SET)
            check_set(check, entity, field, object);
    /* As a PATCH that changes nothing. */
    if (kg_schema_apply(entity, KG_WRITE_PATCH, empty, object, &whole, &problem))
        fault(check, "%s %s: %s", entity->name, json_string_value(json_object_get(object, "id")),
              json_string_value(json_object_get(problem, "message")));
    json_decref(empty);
    json_decref(whole);
    json_decref(problem);
}

static size_t check_entity(struct check *check, const struct kg_entity *entity)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    size_t count = 0;

    kg_table_select(&sql, entity);
    kg_sql_add(&sql, " ORDER BY seq");
    stmt = prepare(check, &sql);
    while (next(check, stmt)) {
        json_t *object = kg_table_row(check->store, stmt, entity);

        check_schema(check, entity, object);
        json_decref(object);
        count++;
    }
    sqlite3_finalize(stmt);
    return count;
}

/* ---- secrets ---- */

static void check_secret(struct check *check, const struct kg_entity *entity, const struct kg_field *field,
                         sqlite3_stmt *stmt)
{
    struct kg_slice id = kg_slice_str(text_at(stmt, 0));
    size_t len = (size_t)sqlite3_column_bytes(stmt, 1);
    const uint8_t *sealed = sqlite3_column_blob(stmt, 1);
    char *secret = kg_calloc(len + 1, 1);
    uint8_t mac[32];

    if (!kg_vault_unseal(&check->store->vault, id, sealed, len, secret)) {
        fault(check, "%s %s: %s: it does not open", entity->name, id.ptr, field->name);
    } else if (field->by_hash) {
        kg_vault_mac(&check->store->vault, kg_slice_of(secret, len - KG_SEAL_OVERHEAD), mac);
        if (sqlite3_column_bytes(stmt, 2) != sizeof(mac) ||
            CRYPTO_memcmp(sqlite3_column_blob(stmt, 2), mac, sizeof(mac)) != 0)
            fault(check, "%s %s: %s: it is indexed under another hash", entity->name, id.ptr, field->name);
    }
    kg_wipe(secret, len);
    free(secret);
}

/* How many were opened. Those of which only the hash is kept (an empty seal) have nothing to open. */
static size_t check_secrets(struct check *check, const struct kg_entity *entity, const struct kg_field *field)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    size_t count = 0;

    kg_sql_start(&sql, "SELECT id, \"%s_sealed\"", field->name);
    if (field->by_hash)
        kg_sql_add(&sql, ", \"%s_mac\"", field->name);
    kg_sql_add(&sql, " FROM \"%s\" WHERE length(\"%s_sealed\") > 0", entity->name, field->name);
    stmt = prepare(check, &sql);
    for (; next(check, stmt); count++)
        check_secret(check, entity, field, stmt);
    sqlite3_finalize(stmt);
    return count;
}

static void check_hashes(struct check *check, const struct kg_entity *entity, const struct kg_field *field)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "SELECT id FROM \"%s\" WHERE length(\"%s_mac\") <> 32", entity->name, field->name);
    stmt = prepare(check, &sql);
    while (next(check, stmt))
        fault(check, "%s %s: %s: its hash has not 32 bytes", entity->name, text_at(stmt, 0), field->name);
    sqlite3_finalize(stmt);
}

static void check_all(struct check *check)
{
    char line[256];
    size_t secrets = 0;

    for (size_t i = 0; i < KG_ENTITIES; i++) {
        const struct kg_entity *entity = &kg_entities[i];

        for (const struct kg_field *field = entity->fields; field->name; field++) {
            if (field->secret)
                secrets += check_secrets(check, entity, field);
            if (field->by_hash)
                check_hashes(check, entity, field);
        }
        snprintf(line, sizeof(line), "%s: %zu", entity->name, check_entity(check, entity));
        check->say(check->ctx, false, line);
    }
    snprintf(line, sizeof(line), "secrets opened: %zu", secrets);
    check->say(check->ctx, false, line);
}

/* ---- opening ---- */

static int open_readonly(struct kg_store *store, struct kg_error *err)
{
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/" KG_DB_FILE, store->dir);
    int rc;

    if (len < 0 || (size_t)len >= sizeof(path))
        return kg_error_set(err, ENAMETOOLONG, "the state directory's name is too long");
    if (access(path, F_OK))
        return kg_error_set(err, ENOENT, "there is no database in %s", store->dir);
    rc = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return kg_error_set(err, EIO, "cannot open %s: %s", path, sqlite3_errstr(rc));
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, KG_STORE_BUSY_MS);
    return kg_db_exec(store, "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; BEGIN", err);
}

/* The key that is there, or that which is about to take its place: the change is left as it is. */
static int read_keys(struct kg_store *store, struct kg_error *err)
{
    uint8_t master[KG_MASTER_LEN] = { 0 };
    struct kg_error why;
    int rc = kg_keys_read(store, true, err);

    if (rc == 0)
        rc = kg_keys_match(store, &store->vault, err);
    if (rc == -EKEYREJECTED && kg_master_read_next(&store->master, master, &why) == 0) {
        kg_vault_close(&store->vault);
        kg_vault_derive(&store->vault, master);
        rc = kg_keys_match(store, &store->vault, err);
    }
    kg_wipe(master, sizeof(master));
    return rc == 0 ? kg_keys_load_index(store, err) : rc;
}

static int run(struct check *check, const struct kg_store_options *options, struct kg_error *err)
{
    struct kg_store *store = check->store;
    int64_t version = 0;
    int rc = open_readonly(store, err);

    if (rc == 0)
        rc = kg_db_version(store, &version, err);
    if (rc)
        return rc;
    check_pages(check);
    check_references(check);
    if (version < KG_STORE_VERSION) {
        check->say(check->ctx, false,
                   "an older keygate's: its entities can be checked once this one has been started on it");
        return 0;
    }
    rc = kg_master_open(&store->master, store->dir, options->master_key, err);
    if (rc == 0)
        rc = read_keys(store, err);
    if (rc == 0)
        check_all(check);
    return rc;
}

int kg_store_check(const struct kg_store_options *options,
                   void (*say)(void *ctx, bool fault, const char *line), void *ctx, size_t *faults,
                   struct kg_error *err)
{
    struct kg_store *store = kg_calloc(1, sizeof(*store));
    struct check check = { .store = store, .say = say, .ctx = ctx };
    int rc;

    store->dir = kg_strdup(options->dir);
    store->dir_fd = store->lock_fd = store->master.dir_fd = -1;
    rc = run(&check, options, err);
    *faults = check.faults;
    kg_store_close(store);
    return rc;
}
