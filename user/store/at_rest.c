/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Secrets of which only the hash is kept: their seal is empty. What is not found by its hash (a private key)
 * must be read again and stays sealed.
 */
#include "store/internal.h"

#include <errno.h>

/* The MAC and the seal of a stored secret, bound as they are: true when the row is there. */
static bool bind_stored(sqlite3_stmt *stmt, int at, sqlite3_stmt *row)
{
    if (!row || sqlite3_step(row) != SQLITE_ROW)
        return false;
    sqlite3_bind_value(stmt, at, sqlite3_column_value(row, 0));
    sqlite3_bind_value(stmt, at + 1, sqlite3_column_value(row, 1));
    return true;
}

static sqlite3_stmt *find_row(struct kg_store *store, const struct kg_entity *entity,
                              const struct kg_field *field, struct kg_slice id)
{
    struct kg_sql sql;
    struct kg_error err;
    sqlite3_stmt *row;

    kg_sql_start(&sql, "SELECT \"%s_mac\", \"%s_sealed\" FROM \"%s\" WHERE id = ?", field->name, field->name,
                 entity->name);
    row = kg_sql_prepare(store, &sql, &err);
    if (row)
        sqlite3_bind_text(row, 1, id.ptr, (int)id.len, SQLITE_STATIC);
    return row;
}

void kg_at_rest_keep(struct kg_store *store, sqlite3_stmt *stmt, int at, const struct kg_entity *entity,
                     const struct kg_field *field, struct kg_slice id)
{
    sqlite3_stmt *row = find_row(store, entity, field, id);

    /* Where there is none, the columns stay NULL, which the table refuses. */
    bind_stored(stmt, at, row);
    sqlite3_finalize(row);
}

int kg_store_stored_mac(struct kg_store *store, enum kg_entity_id entity, const char *id, uint8_t mac[32])
{
    const struct kg_entity *table = &kg_entities[entity];
    const struct kg_field *field = table->fields;
    sqlite3_stmt *row;
    int rc = -ENOENT;

    while (field->name && !field->by_hash)
        field++;
    row = field->name ? find_row(store, table, field, kg_slice_str(id)) : NULL;
    if (row && sqlite3_step(row) == SQLITE_ROW && sqlite3_column_bytes(row, 0) == 32) {
        memcpy(mac, sqlite3_column_blob(row, 0), 32);
        rc = 0;
    }
    sqlite3_finalize(row);
    return rc;
}

/* ---- from encrypted to hashed ---- */

static int drop_seals(struct kg_store *store, bool *dropped, struct kg_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < KG_ENTITIES; i++) {
        for (const struct kg_field *field = kg_entities[i].fields; rc == 0 && field->name; field++) {
            struct kg_sql sql;

            if (!field->by_hash)
                continue;
            kg_sql_start(&sql, "UPDATE \"%s\" SET \"%s_sealed\" = x'' WHERE length(\"%s_sealed\") > 0",
                         kg_entities[i].name, field->name, field->name);
            rc = kg_db_run(store, kg_sql_prepare(store, &sql, err), err, "drop encrypted keys");
            *dropped |= rc == 0 && sqlite3_changes(store->db) > 0;
        }
    }
    return rc == 0 && *dropped ? kg_scrub_mark(store, err) : rc;
}

int kg_at_rest_settle(struct kg_store *store, struct kg_error *err)
{
    bool dropped = false;
    int rc;

    if (!store->hashed)
        return 0;
    rc = kg_db_begin(store, err);
    return rc == 0 ? kg_db_end(store, drop_seals(store, &dropped, err), err) : rc;
}
