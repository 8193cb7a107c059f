/* SPDX-License-Identifier: BSD-2-Clause */
/* What a declarative sync has changed on disk, to the model. */
#include "store/declaring.h"

#include "base/mem.h"

#include <errno.h>

/* A consumer's keys: the model needs no key, only what finds it. */
static sqlite3_stmt *compile_credential(struct kg_store *store, struct kg_error *err)
{
    struct kg_sql sql;

    kg_sql_start(&sql, "SELECT consumer, key_mac, " KG_EXPIRES_COLUMN
                       ", name FROM keyauth_credentials WHERE id = ?");
    return kg_sql_prepare(store, &sql, err);
}

static sqlite3_stmt *compile(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err)
{
    struct kg_sql sql;

    if (entity->id == KG_KEYAUTH_CREDENTIALS)
        return compile_credential(store, err);
    kg_table_select(&sql, entity);
    kg_sql_add(&sql, " WHERE id = ?");
    return kg_sql_prepare(store, &sql, err);
}

static void tell_row(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_entity *entity,
                     const char *id, struct kg_model *model)
{
    json_t *row;

    if (entity->id == KG_KEYAUTH_CREDENTIALS) {
        kg_model_put_credential(model, id, (const char *)sqlite3_column_text(stmt, 0),
                                sqlite3_column_blob(stmt, 1), sqlite3_column_int64(stmt, 2),
                                (const char *)sqlite3_column_text(stmt, 3));
        return;
    }
    row = kg_table_row(store, stmt, entity);
    kg_model_put(model, entity->id, row);
    json_decref(row);
}

static int tell_change(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_change *change,
                       struct kg_model *model, struct kg_error *err)
{
    char id[KG_UUID_TEXT];
    int step, rc = 0;

    kg_id_text(change->id, id);
    sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW)
        tell_row(store, stmt, &kg_entities[change->entity], id, model);
    else if (step != SQLITE_DONE)
        rc = kg_db_error(store, err, "read");
    sqlite3_reset(stmt);
    return rc;
}

static bool is_loaded_at_once(const struct kg_change *change)
{
    return change->entity == KG_CONSUMERS || change->entity == KG_KEYAUTH_CREDENTIALS ||
           change->entity == KG_ACLS;
}

static int tell_puts(struct kg_store *store, const struct kg_declare_result *result, struct kg_model *model,
                     struct kg_error *err)
{
    sqlite3_stmt *stmt = NULL;
    /* Into a model that has none they go as at a start: many at once. */
    bool bare = !kg_model_has_consumers(model);
    int entity = -1, rc = bare ? kg_load_keys(store, model, err) : 0;

    /* They come kind by kind, parents before children. */
    for (size_t i = 0; i < result->list_count && rc == 0; i++) {
        const struct kg_change *change = &result->list[i];

        if (change->action == KG_DELETED || (bare && is_loaded_at_once(change)))
            continue;
        if (change->entity != entity) {
            entity = change->entity;
            sqlite3_finalize(stmt);
            stmt = compile(store, &kg_entities[entity], err);
        }
        rc = stmt ? tell_change(store, stmt, change, model, err) : -EIO;
    }
    sqlite3_finalize(stmt);
    return rc;
}

int kg_declare_tell(struct kg_store *store, const struct kg_declare_result *result, struct kg_model *model,
                    struct kg_error *err)
{
    char id[KG_UUID_TEXT];
    int rc;

    /* First what goes: what only moves away from it comes back with the rest. */
    for (size_t i = 0; i < result->list_count; i++) {
        if (result->list[i].action != KG_DELETED)
            continue;
        kg_id_text(result->list[i].id, id);
        kg_model_remove(model, (enum kg_entity_id)result->list[i].entity, id);
    }
    /* One read transaction for all: to begin one takes longer than to read a row. */
    rc = kg_db_exec(store, "BEGIN", err);
    if (rc)
        return rc;
    rc = tell_puts(store, result, model, err);
    return kg_db_end(store, rc, err);
}
