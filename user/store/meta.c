/* SPDX-License-Identifier: BSD-2-Clause */
/* Named values of the database as a whole. */
#include "store/internal.h"
#include "base/assert.h"

#include <errno.h>

int kg_meta_put(struct kg_store *store, const char *name, const void *value, size_t len, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "INSERT INTO meta (name, value) VALUES (?1, ?2)"
                       " ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 2, value, (int)len, SQLITE_STATIC);
    return kg_db_run(store, stmt, err, "write a value");
}

int kg_meta_get(struct kg_store *store, const char *name, void *value, size_t cap, size_t *len,
                struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int step, rc = -ENOENT;

    kg_sql_start(&sql, "SELECT value FROM meta WHERE name = ?1");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW && (size_t)sqlite3_column_bytes(stmt, 0) <= cap) {
        *len = (size_t)sqlite3_column_bytes(stmt, 0);
        if (*len > 0)
            memcpy(value, sqlite3_column_blob(stmt, 0), *len);
        rc = 0;
    } else if (step != SQLITE_ROW && step != SQLITE_DONE) {
        rc = kg_db_error(store, err, "read a value");
    }
    sqlite3_finalize(stmt);
    return rc;
}

int kg_meta_drop(struct kg_store *store, const char *name, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "DELETE FROM meta WHERE name = ?1");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    return kg_db_run(store, stmt, err, "delete a value");
}
