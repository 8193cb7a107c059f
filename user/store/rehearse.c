/* SPDX-License-Identifier: BSD-2-Clause */
/* What a write would do, without doing it. */
#include "store/internal.h"

void kg_store_rehearse(struct kg_store *store, bool on)
{
    store->rehearsing = on;
}

/* -1 when the disk cannot be read. */
static int64_t count_children(struct kg_store *store, const struct kg_entity *child,
                              const struct kg_field *field, const char *id)
{
    struct kg_error err;
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int64_t count = -1;

    kg_sql_start(&sql, "SELECT count(*) FROM \"%s\" WHERE \"%s\" = ?", child->name, field->name);
    stmt = kg_sql_prepare(store, &sql, &err);
    if (!stmt)
        return -1;
    sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        count = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return count;
}

/* Nothing that goes with its parent has children of its own: one step is all. */
json_t *kg_store_count_cascade(struct kg_store *store, enum kg_entity_id entity, const char *id)
{
    json_t *counts = json_object();

    for (size_t i = 0; i < KG_ENTITIES; i++) {
        for (const struct kg_field *field = kg_entities[i].fields; field->name; field++) {
            int64_t count;

            if (field->type != KG_F_FOREIGN || !field->cascade || field->reference != entity)
                continue;
            count = count_children(store, &kg_entities[i], field, id);
            if (count < 0) {
                json_decref(counts);
                return NULL;
            }
            if (count > 0)
                json_object_set_new(counts, kg_entities[i].path, json_integer(count));
        }
    }
    return counts;
}
