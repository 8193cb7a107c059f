/* SPDX-License-Identifier: BSD-2-Clause */
/* SQLite in the few shapes the store uses it in. */
#include "store/internal.h"
#include "base/assert.h"

#include <errno.h>
#include <stdio.h>

static void add_text(struct kg_sql *sql, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

static void add_text(struct kg_sql *sql, const char *fmt, va_list args)
{
    char piece[512];
    int len = vsnprintf(piece, sizeof(piece), fmt, args);

    KG_ASSERT(len >= 0 && (size_t)len < sizeof(piece));
    kg_put(&sql->w, kg_slice_of(piece, (size_t)len));
    KG_ASSERT(!sql->w.overflow);
}

void kg_sql_start(struct kg_sql *sql, const char *fmt, ...)
{
    va_list args;

    sql->w = kg_writer_of(sql->text, sizeof(sql->text));
    va_start(args, fmt);
    add_text(sql, fmt, args);
    va_end(args);
}

void kg_sql_add(struct kg_sql *sql, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add_text(sql, fmt, args);
    va_end(args);
}

sqlite3_stmt *kg_sql_prepare(struct kg_store *store, struct kg_sql *sql, struct kg_error *err)
{
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(store->db, sql->text, (int)sql->w.len, &stmt, NULL) == SQLITE_OK)
        return stmt;
    kg_db_error(store, err, "prepare a statement");
    return NULL;
}

int kg_db_error(struct kg_store *store, struct kg_error *err, const char *doing)
{
    return kg_error_set(err, EIO, "cannot %s in %s/keygate.db: %s", doing, store->dir,
                        sqlite3_errmsg(store->db));
}

int kg_db_exec(struct kg_store *store, const char *sql, struct kg_error *err)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return kg_db_error(store, err, "set up");
}

/* IMMEDIATE: what is read inside cannot be overtaken by another writer before it is written. */
int kg_db_begin(struct kg_store *store, struct kg_error *err)
{
    if (sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return kg_db_error(store, err, "begin a write");
}

int kg_db_end(struct kg_store *store, int rc, struct kg_error *err)
{
    if (rc == 0 && !store->rehearsing && sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    if (rc == 0 && !store->rehearsing)
        rc = kg_db_error(store, err, "commit a write");
    /* Some failures have rolled back already (a full disk): then there is nothing left to roll back. */
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    KG_ASSERT(sqlite3_get_autocommit(store->db));
    return rc;
}

int kg_db_run(struct kg_store *store, sqlite3_stmt *stmt, struct kg_error *err, const char *doing)
{
    int rc = 0;

    if (!stmt)
        return -EIO;
    if (sqlite3_step(stmt) != SQLITE_DONE)
        rc = kg_db_error(store, err, doing);
    kg_sql_done(store, stmt);
    return rc;
}

int kg_db_hurry(struct kg_store *store, struct kg_error *err)
{
    sqlite3_busy_timeout(store->db, 0);
    return kg_db_exec(store, "PRAGMA synchronous = NORMAL", err);
}

int kg_db_settle(struct kg_store *store, int rc, struct kg_error *err)
{
    int back = kg_db_exec(store, "PRAGMA synchronous = FULL", rc ? NULL : err);

    sqlite3_busy_timeout(store->db, KG_STORE_BUSY_MS);
    return rc ? rc : back;
}
