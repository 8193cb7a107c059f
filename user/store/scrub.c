/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes that must not be found on disk any more. `secure_delete` zeroes what is deleted or written over from
 * now on; pages that an older keygate freed, and the write-ahead log, still hold what was there before:
 * VACUUM writes the database anew, and a checkpoint that truncates empties the log.
 */
#include "store/internal.h"
#include "base/log.h"

#include <errno.h>

#define MARK "scrub"

int kg_scrub_mark(struct kg_store *store, struct kg_error *err)
{
    return kg_meta_put(store, MARK, "1", 1, err);
}

static int scrub(struct kg_store *store, struct kg_error *err)
{
    /* VACUUM needs room for a second copy: too much for memory. */
    int rc = kg_db_exec(store, "PRAGMA temp_store = FILE; VACUUM; PRAGMA temp_store = MEMORY", err);

    if (rc == 0 &&
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
        rc = kg_db_error(store, err, "empty the log");
    return rc == 0 ? kg_meta_drop(store, MARK, err) : rc;
}

int kg_scrub_run(struct kg_store *store, struct kg_error *err)
{
    uint8_t mark[8];
    size_t len;
    int rc = kg_meta_get(store, MARK, mark, sizeof(mark), &len, err);

    if (rc)
        return rc == -ENOENT ? 0 : rc;
    rc = scrub(store, err);
    if (rc == 0 || (sqlite3_errcode(store->db) & 0xff) != SQLITE_BUSY)
        return rc;
    /* Somebody reads it, a backup perhaps. The mark is there: the next start tries again. */
    kg_log(KG_LOG_WARN,
           "%s/" KG_DB_FILE " is in use by another program: what was deleted from it stays on disk until the "
           "next start",
           store->dir);
    return 0;
}
