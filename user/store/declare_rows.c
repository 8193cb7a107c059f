/* SPDX-License-Identifier: BSD-2-Clause */
/* The statements of a declarative sync, each compiled once: it may run some of them a million times. */
#include "store/declaring.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void write_query(struct kg_sql *sql, const struct kg_entity *entity, enum kg_row_query query)
{
    switch (query) {
    case KG_ROW_GET:
        kg_table_select(sql, entity);
        kg_sql_add(sql, " WHERE id = ?");
        return;
    case KG_ROW_HAS:
        kg_sql_start(sql, "SELECT 1 FROM \"%s\" WHERE id = ?", entity->name);
        return;
    case KG_ROW_INSERT:
        kg_table_insert(sql, entity);
        return;
    case KG_ROW_PUT:
        kg_table_upsert(sql, entity);
        return;
    case KG_ROW_DELETE:
        kg_sql_start(sql, "DELETE FROM \"%s\" WHERE id = ?", entity->name);
        return;
    default:
        kg_sql_start(sql, "SELECT " KG_EXPIRES_COLUMN " FROM \"%s\" WHERE id = ?", entity->name);
        return;
    }
}

static sqlite3_stmt *compile(struct kg_declaring *d, struct kg_sql *sql)
{
    sqlite3_stmt *stmt = kg_sql_prepare(d->store, sql, d->err);

    if (!stmt)
        d->rc = -EIO;
    return stmt;
}

/* Ready to be bound; NULL after a failure. */
static sqlite3_stmt *statement(struct kg_declaring *d, const struct kg_entity *entity,
                               enum kg_row_query query)
{
    sqlite3_stmt **stmt = &d->rows[entity->id][query];
    struct kg_sql sql;

    if (!*stmt) {
        write_query(&sql, entity, query);
        *stmt = compile(d, &sql);
    }
    return *stmt;
}

/* Steps to the first row: whether there is one. What is not ours to expect is noted. */
static bool step(struct kg_declaring *d, sqlite3_stmt *stmt)
{
    int rc = stmt ? sqlite3_step(stmt) : SQLITE_DONE;

    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        kg_declare_disk(d, "read");
    return rc == SQLITE_ROW;
}

static void rest(sqlite3_stmt *stmt)
{
    if (!stmt)
        return;
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
}

static sqlite3_stmt *by_id(struct kg_declaring *d, const struct kg_entity *entity, enum kg_row_query query,
                           const char *id)
{
    sqlite3_stmt *stmt = statement(d, entity, query);

    if (stmt)
        sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    return stmt;
}

json_t *kg_rows_get(struct kg_declaring *d, const struct kg_entity *entity, const char *id)
{
    sqlite3_stmt *stmt = by_id(d, entity, KG_ROW_GET, id);
    json_t *row = step(d, stmt) ? kg_table_row(d->store, stmt, entity) : NULL;

    rest(stmt);
    return row;
}

bool kg_rows_has(struct kg_declaring *d, const struct kg_entity *entity, const char *id)
{
    sqlite3_stmt *stmt = by_id(d, entity, KG_ROW_HAS, id);
    bool there = step(d, stmt);

    rest(stmt);
    return there;
}

bool kg_rows_any(struct kg_declaring *d, const struct kg_entity *entity)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    bool any;

    kg_sql_start(&sql, "SELECT 1 FROM \"%s\" LIMIT 1", entity->name);
    stmt = compile(d, &sql);
    any = step(d, stmt);
    sqlite3_finalize(stmt);
    return any;
}

int64_t kg_rows_expiry(struct kg_declaring *d, const struct kg_entity *entity, const char *id)
{
    sqlite3_stmt *stmt = by_id(d, entity, KG_ROW_EXPIRY, id);
    int64_t expires = step(d, stmt) ? sqlite3_column_int64(stmt, 0) : 0;

    rest(stmt);
    return expires;
}

static int write_row(struct kg_declaring *d, const struct kg_entity *entity, enum kg_row_query query,
                     const json_t *whole, int64_t expires)
{
    sqlite3_stmt *stmt = statement(d, entity, query);
    int rc;

    if (!stmt)
        return SQLITE_ERROR;
    kg_table_bind(d->store, stmt, entity, whole, expires);
    rc = sqlite3_step(stmt) & 0xff;
    rest(stmt);
    return rc == SQLITE_DONE ? 0 : rc;
}

int kg_rows_put(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole, int64_t expires)
{
    return write_row(d, entity, KG_ROW_PUT, whole, expires);
}

int kg_rows_insert(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                   int64_t expires)
{
    return write_row(d, entity, KG_ROW_INSERT, whole, expires);
}

int kg_rows_delete(struct kg_declaring *d, const struct kg_entity *entity, const char *id)
{
    sqlite3_stmt *stmt = by_id(d, entity, KG_ROW_DELETE, id);
    int rc = stmt ? sqlite3_step(stmt) & 0xff : SQLITE_ERROR;

    rest(stmt);
    return rc == SQLITE_DONE ? 0 : rc;
}

static void write_finder(struct kg_sql *sql, const struct kg_entity *entity, const struct kg_field *field)
{
    kg_sql_start(sql, "SELECT id FROM \"%s\" WHERE ", entity->name);
    if (field) {
        kg_sql_add(sql, "\"%s%s\" = ?", field->name, field->by_hash ? "_mac" : "");
        return;
    }
    for (size_t i = 0; entity->unique_together[i]; i++)
        kg_sql_add(sql, "%sifnull(\"%s\", '') = ?", i > 0 ? " AND " : "", entity->unique_together[i]);
}

static sqlite3_stmt *finder(struct kg_declaring *d, const struct kg_entity *entity,
                            const struct kg_field *field)
{
    size_t at = field ? (size_t)(field - entity->fields) : KG_FINDERS_MAX - 1;
    struct kg_sql sql;

    KG_ASSERT(at < KG_FINDERS_MAX);
    if (!d->finders[entity->id][at]) {
        write_finder(&sql, entity, field);
        d->finders[entity->id][at] = compile(d, &sql);
    }
    return d->finders[entity->id][at];
}

static void bind_text(sqlite3_stmt *stmt, int at, const json_t *value)
{
    struct kg_slice text = kg_json_text(json_is_object(value) ? json_object_get(value, "id") : value);

    sqlite3_bind_text(stmt, at, text.len > 0 ? text.ptr : "", (int)text.len, SQLITE_STATIC);
}

static void bind_finder(struct kg_declaring *d, sqlite3_stmt *stmt, const struct kg_entity *entity,
                        const struct kg_field *field, const json_t *whole)
{
    uint8_t mac[32];

    if (field && field->by_hash) {
        kg_vault_mac(&d->store->vault, kg_json_text(json_object_get(whole, field->name)), mac);
        sqlite3_bind_blob(stmt, 1, mac, sizeof(mac), SQLITE_TRANSIENT);
        return;
    }
    if (field)
        bind_text(stmt, 1, json_object_get(whole, field->name));
    for (int i = 0; !field && entity->unique_together[i]; i++)
        bind_text(stmt, i + 1, json_object_get(whole, entity->unique_together[i]));
}

bool kg_rows_find(struct kg_declaring *d, const struct kg_entity *entity, const struct kg_field *field,
                  const json_t *whole, char id[KG_UUID_TEXT])
{
    sqlite3_stmt *stmt = finder(d, entity, field);
    bool found;

    if (!stmt)
        return false;
    bind_finder(d, stmt, entity, field, whole);
    found = step(d, stmt);
    if (found)
        snprintf(id, KG_UUID_TEXT, "%s", (const char *)sqlite3_column_text(stmt, 0));
    rest(stmt);
    return found;
}

/* Rare: a name or key that moves from one entity to another within one sync. */
int kg_rows_vacate(struct kg_declaring *d, const struct kg_entity *entity, const char *column, const char *id)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "UPDATE \"%s\" SET \"%s\" = %s WHERE id = ?", entity->name, column,
                 kg_entity_field(entity, column) ? "char(1) || id" : "randomblob(32)");
    stmt = compile(d, &sql);
    if (!stmt)
        return -EIO;
    sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    d->rc = kg_db_run(d->store, stmt, d->err, "move a name");
    return d->rc;
}

bool kg_rows_selected(const struct kg_declaring *d, const json_t *tags)
{
    const json_t *tag;
    size_t i;

    json_array_foreach(d->tags, i, tag)
    {
        if (!kg_json_contains(tags, tag))
            return false;
    }
    return true;
}

size_t kg_rows_list(struct kg_declaring *d, const struct kg_entity *entity, uint8_t (**ids)[16])
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    size_t count = 0, cap = 0;

    kg_sql_start(&sql, "SELECT id, tags FROM \"%s\" ORDER BY seq", entity->name);
    stmt = compile(d, &sql);
    *ids = NULL;
    while (step(d, stmt)) {
        const char *text = (const char *)sqlite3_column_text(stmt, 1);
        json_t *tags = text && json_array_size(d->tags) > 0 ? json_loads(text, 0, NULL) : NULL;

        if (kg_rows_selected(d, tags)) {
            if (count == cap) {
                cap = cap ? cap * 2 : 64;
                *ids = kg_realloc(*ids, cap, sizeof(**ids));
            }
            kg_id_parse((const char *)sqlite3_column_text(stmt, 0), (*ids)[count++]);
        }
        json_decref(tags);
    }
    sqlite3_finalize(stmt);
    return count;
}

size_t kg_rows_children(struct kg_declaring *d, const struct kg_entity *child, const struct kg_field *link,
                        const char *id, uint8_t (**ids)[16])
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    size_t count = 0;

    kg_sql_start(&sql, "SELECT id FROM \"%s\" WHERE \"%s\" = ? ORDER BY seq", child->name, link->name);
    stmt = compile(d, &sql);
    *ids = NULL;
    if (stmt)
        sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    while (step(d, stmt)) {
        *ids = kg_realloc(*ids, count + 1, sizeof(**ids));
        kg_id_parse((const char *)sqlite3_column_text(stmt, 0), (*ids)[count++]);
    }
    sqlite3_finalize(stmt);
    return count;
}

void kg_rows_close(struct kg_declaring *d)
{
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        for (size_t j = 0; j < KG_ROW_QUERIES; j++)
            sqlite3_finalize(d->rows[i][j]);
        for (size_t j = 0; j < KG_FINDERS_MAX; j++)
            sqlite3_finalize(d->finders[i][j]);
    }
}
