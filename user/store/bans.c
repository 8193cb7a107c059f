/* SPDX-License-Identifier: BSD-2-Clause */
/* Bans and run-time allow-lists. */
#include "store/internal.h"
#include "keygate/abi.h"

#include <errno.h>

#define SOURCE_LEN 17 /* family, 16 bytes of address */
#define NET_LEN    18 /* the same and the prefix length */

static void put_source(uint8_t out[SOURCE_LEN], const struct kg_addr *addr)
{
    out[0] = addr->family;
    memcpy(out + 1, addr->bytes, 16);
}

static bool get_source(sqlite3_stmt *stmt, int at, int len, struct kg_addr *addr)
{
    const uint8_t *bytes = sqlite3_column_blob(stmt, at);

    if (sqlite3_column_bytes(stmt, at) != len)
        return false;
    addr->family = bytes[0];
    memcpy(addr->bytes, bytes + 1, 16);
    return true;
}

static sqlite3_stmt *prepare(struct kg_store *store, const char *text, struct kg_error *err)
{
    struct kg_sql sql;

    kg_sql_start(&sql, "%s", text);
    return kg_sql_prepare(store, &sql, err);
}

static int write_ban(struct kg_store *store, const struct kg_ban_record *record, struct kg_error *err)
{
    uint8_t source[SOURCE_LEN];
    sqlite3_stmt *stmt =
        prepare(store,
                "INSERT INTO bans (source, since, expires, reason, offences, active)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source) DO UPDATE SET since = excluded.since,"
                " expires = excluded.expires, reason = excluded.reason,"
                " offences = excluded.offences, active = excluded.active",
                err);

    if (!stmt)
        return -EIO;
    put_source(source, &record->source);
    sqlite3_bind_blob(stmt, 1, source, sizeof(source), SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, record->since);
    sqlite3_bind_int64(stmt, 3, record->expires);
    sqlite3_bind_int64(stmt, 4, record->reason);
    sqlite3_bind_int64(stmt, 5, record->offences);
    sqlite3_bind_int(stmt, 6, record->active);
    return kg_db_run(store, stmt, err, "write a ban");
}

/*
 * An operator's ban is on disk before this returns. One that the guard made is only in the page cache: it
 * survives kill -9, and a flood of them cannot hold the control thread up with one fsync each. A power
 * failure may lose the last ones; whoever earned them earns them again.
 */
int kg_store_put_ban(struct kg_store *store, const struct kg_ban_record *record, struct kg_error *err)
{
    int rc;

    if (record->reason == KG_BAN_MANUAL)
        return write_ban(store, record, err);
    rc = kg_db_hurry(store, err);
    if (rc == 0)
        rc = write_ban(store, record, err);
    return kg_db_settle(store, rc, err);
}

static bool read_ban(sqlite3_stmt *stmt, struct kg_ban_record *record)
{
    *record = (struct kg_ban_record){
        .since = sqlite3_column_int64(stmt, 1),
        .expires = sqlite3_column_int64(stmt, 2),
        .reason = (uint32_t)sqlite3_column_int64(stmt, 3),
        .offences = (uint32_t)sqlite3_column_int64(stmt, 4),
        .active = sqlite3_column_int(stmt, 5) != 0,
    };
    return get_source(stmt, 0, SOURCE_LEN, &record->source);
}

int kg_store_get_ban(struct kg_store *store, const struct kg_addr *source, struct kg_ban_record *record)
{
    uint8_t bytes[SOURCE_LEN];
    bool found;
    sqlite3_stmt *stmt = prepare(
        store, "SELECT source, since, expires, reason, offences, active FROM bans WHERE source = ?", NULL);

    if (!stmt)
        return -EIO;
    put_source(bytes, source);
    sqlite3_bind_blob(stmt, 1, bytes, sizeof(bytes), SQLITE_STATIC);
    found = sqlite3_step(stmt) == SQLITE_ROW && read_ban(stmt, record);
    sqlite3_finalize(stmt);
    return found ? 0 : -ENOENT;
}

int kg_store_each_ban(struct kg_store *store, void (*visit)(void *ctx, const struct kg_ban_record *record),
                      void *ctx)
{
    sqlite3_stmt *stmt = prepare(
        store, "SELECT source, since, expires, reason, offences, active FROM bans ORDER BY rowid", NULL);
    struct kg_ban_record record;
    int step;

    if (!stmt)
        return -EIO;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
        if (read_ban(stmt, &record))
            visit(ctx, &record);
    sqlite3_finalize(stmt);
    return step == SQLITE_DONE ? 0 : -EIO;
}

/* A lifted ban that had no end counts from when it was made. */
int kg_store_forget_bans(struct kg_store *store, int64_t before, struct kg_error *err)
{
    sqlite3_stmt *stmt = prepare(store,
                                 "DELETE FROM bans WHERE (expires > 0 AND expires < ?1)"
                                 " OR (active = 0 AND expires = 0 AND since < ?1)",
                                 err);

    if (!stmt)
        return -EIO;
    sqlite3_bind_int64(stmt, 1, before);
    return kg_db_run(store, stmt, err, "forget bans");
}

static void put_net(uint8_t out[NET_LEN], const struct kg_net *net)
{
    put_source(out, &net->addr);
    out[SOURCE_LEN] = net->prefix_len;
}

int kg_store_put_allow(struct kg_store *store, const struct kg_allow_record *record, struct kg_error *err)
{
    uint8_t net[NET_LEN];
    sqlite3_stmt *stmt =
        prepare(store,
                "INSERT INTO allow (net, created_at, comment) VALUES (?, ?, ?) ON CONFLICT (net)"
                " DO UPDATE SET created_at = excluded.created_at, comment = excluded.comment",
                err);

    if (!stmt)
        return -EIO;
    put_net(net, &record->net);
    sqlite3_bind_blob(stmt, 1, net, sizeof(net), SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, record->created_at);
    sqlite3_bind_text(stmt, 3, record->comment, (int)strnlen(record->comment, sizeof(record->comment)),
                      SQLITE_STATIC);
    return kg_db_run(store, stmt, err, "write an allowed network");
}

int kg_store_delete_allow(struct kg_store *store, const struct kg_net *net, struct kg_error *err)
{
    uint8_t bytes[NET_LEN];
    sqlite3_stmt *stmt = prepare(store, "DELETE FROM allow WHERE net = ?", err);
    int rc;

    if (!stmt)
        return -EIO;
    put_net(bytes, net);
    sqlite3_bind_blob(stmt, 1, bytes, sizeof(bytes), SQLITE_STATIC);
    rc = kg_db_run(store, stmt, err, "delete an allowed network");
    return rc == 0 && sqlite3_changes(store->db) == 0 ? 1 : rc;
}

int kg_store_each_allow(struct kg_store *store,
                        void (*visit)(void *ctx, const struct kg_allow_record *record), void *ctx)
{
    sqlite3_stmt *stmt = prepare(store, "SELECT net, created_at, comment FROM allow ORDER BY rowid", NULL);
    int step;

    if (!stmt)
        return -EIO;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct kg_allow_record record = { .created_at = sqlite3_column_int64(stmt, 1) };
        struct kg_writer w = kg_writer_of(record.comment, sizeof(record.comment) - 1);

        if (!get_source(stmt, 0, NET_LEN, &record.net.addr))
            continue;
        record.net.prefix_len = ((const uint8_t *)sqlite3_column_blob(stmt, 0))[SOURCE_LEN];
        kg_put(&w, kg_slice_of((const char *)sqlite3_column_text(stmt, 2),
                               (size_t)sqlite3_column_bytes(stmt, 2)));
        visit(ctx, &record);
    }
    sqlite3_finalize(stmt);
    return step == SQLITE_DONE ? 0 : -EIO;
}
