/* SPDX-License-Identifier: BSD-2-Clause */
/* When keys were last used: many at once, and not worth waiting for the disk. */
#include "store/internal.h"

#include <errno.h>

static int write_all(struct kg_store *store, const struct kg_key_use *uses, size_t count,
                     struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int rc = 0;

    kg_sql_start(&sql, "UPDATE keyauth_credentials SET last_used_at = ?1"
                       " WHERE id = ?2 AND ifnull(last_used_at, 0) < ?1");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        sqlite3_bind_int64(stmt, 1, uses[i].at);
        sqlite3_bind_text(stmt, 2, uses[i].id, -1, SQLITE_STATIC);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            rc = kg_db_error(store, err, "note that a key was used");
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
    return rc;
}

int kg_store_note_uses(struct kg_store *store, const struct kg_key_use *uses, size_t count,
                       struct kg_error *err)
{
    int rc = kg_db_hurry(store, err);

    if (rc == 0)
        rc = kg_db_begin(store, err);
    if (rc == 0)
        rc = kg_db_end(store, write_all(store, uses, count, err), err);
    return kg_db_settle(store, rc, err);
}
