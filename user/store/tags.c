/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tags by their names. The table `tags` has a row for each tag of each entity, kept by triggers: so it is
 * right whoever writes an entity, and when one goes by cascade too. `place` is the entity's own seq, so that
 * a page of those with a tag is read from an index in their order, however many others there are.
 */
#include "store/internal.h"

#include "base/log.h"

static const char create_table[] =
    "CREATE TABLE IF NOT EXISTS tags (seq INTEGER PRIMARY KEY AUTOINCREMENT, tag TEXT NOT NULL, entity TEXT "
    "NOT NULL,"
    " place INTEGER NOT NULL, id TEXT NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS tags_tag ON tags (tag);"
    "CREATE INDEX IF NOT EXISTS tags_place ON tags (entity, place);"
    "CREATE UNIQUE INDEX IF NOT EXISTS tags_entity ON tags (entity, tag, place)";

static int run(struct kg_store *store, struct kg_sql *sql, struct kg_error *err)
{
    return kg_db_run(store, kg_sql_prepare(store, sql, err), err, "set up tags");
}

/* "INSERT OR IGNORE INTO tags … FROM json_each(tags of `row`)"; row is "new" in a trigger, the table itself
 * elsewhere.
 */
static void add_insert(struct kg_sql *sql, const char *name, const char *row)
{
    kg_sql_add(sql,
               "INSERT OR IGNORE INTO tags (tag, entity, place, id)"
               " SELECT each.value, '%s', \"%s\".seq, \"%s\".id FROM ",
               name, row, row);
}

static void start_trigger(struct kg_sql *sql, const char *name, const char *when, const char *of)
{
    kg_sql_start(sql, "CREATE TRIGGER IF NOT EXISTS \"%s_tags_%s\" AFTER %s%s ON \"%s\" WHEN ", name, when,
                 when, of, name);
}

static void add_delete(struct kg_sql *sql, const char *name)
{
    kg_sql_add(sql, "DELETE FROM tags WHERE entity = '%s' AND place = old.seq; ", name);
}

static int create_triggers(struct kg_store *store, const char *name, struct kg_error *err)
{
    struct kg_sql sql;
    int rc;

    start_trigger(&sql, name, "INSERT", "");
    kg_sql_add(&sql, "new.tags IS NOT NULL BEGIN ");
    add_insert(&sql, name, "new");
    kg_sql_add(&sql, "json_each(new.tags) each; END");
    rc = run(store, &sql, err);
    if (rc)
        return rc;
    start_trigger(&sql, name, "UPDATE", " OF tags");
    kg_sql_add(&sql, "old.tags IS NOT new.tags BEGIN ");
    add_delete(&sql, name);
    add_insert(&sql, name, "new");
    kg_sql_add(&sql, "json_each(new.tags) each; END");
    rc = run(store, &sql, err);
    if (rc)
        return rc;
    start_trigger(&sql, name, "DELETE", "");
    kg_sql_add(&sql, "old.tags IS NOT NULL BEGIN ");
    add_delete(&sql, name);
    kg_sql_add(&sql, "END");
    return run(store, &sql, err);
}

static int drop_triggers(struct kg_store *store, const char *name, struct kg_error *err)
{
    static const char *const when[] = { "INSERT", "UPDATE", "DELETE" };
    struct kg_sql sql;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < 3; i++) {
        kg_sql_start(&sql, "DROP TRIGGER IF EXISTS \"%s_tags_%s\"", name, when[i]);
        rc = run(store, &sql, err);
    }
    return rc;
}

/* What an older database has, or a bulk load; those that have their row already are passed over. */
static int fill(struct kg_store *store, const char *name, struct kg_error *err)
{
    struct kg_sql sql;

    kg_sql_start(&sql, "%s", "");
    add_insert(&sql, name, name);
    kg_sql_add(&sql, "\"%s\", json_each(\"%s\".tags) each WHERE \"%s\".tags IS NOT NULL ORDER BY \"%s\".seq",
               name, name, name, name);
    return run(store, &sql, err);
}

int kg_tags_rest(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err)
{
    return kg_entity_field(entity, "tags") ? drop_triggers(store, entity->name, err) : 0;
}

int kg_tags_resume(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err)
{
    int rc;

    if (!kg_entity_field(entity, "tags"))
        return 0;
    rc = create_triggers(store, entity->name, err);
    return rc == 0 ? fill(store, entity->name, err) : rc;
}

int kg_tags_create(struct kg_store *store, struct kg_error *err)
{
    int rc = kg_db_exec(store, create_table, err);

    for (size_t i = 0; rc == 0 && i < KG_ENTITIES; i++)
        rc = kg_tags_resume(store, &kg_entities[i], err);
    return rc;
}

/* How many entities have the tag, as far as COUNT_MAX: reading an index so far takes less than a millisecond.
 */
#define COUNT_MAX 1000

static int64_t count_tag(struct kg_store *store, const struct kg_entity *entity, struct kg_slice tag)
{
    struct kg_error err;
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int64_t count = COUNT_MAX;

    kg_sql_start(&sql, "SELECT count(*) FROM (SELECT 1 FROM tags WHERE entity = '%s' AND tag = ?1 LIMIT %d)",
                 entity->name, COUNT_MAX);
    stmt = kg_sql_borrow(store, &sql, &err);
    if (!stmt)
        return count;
    sqlite3_bind_text(stmt, 1, tag.ptr, (int)tag.len, SQLITE_STATIC);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        count = sqlite3_column_int64(stmt, 0);
    kg_sql_done(store, stmt);
    return count;
}

void kg_tags_rarest_first(struct kg_store *store, const struct kg_entity *entity,
                          struct kg_store_filter *filter)
{
    int64_t least = INT64_MAX;
    size_t rarest = 0;

    if (filter->any_tag || filter->tag_count < 2)
        return;
    for (size_t i = 0; i < filter->tag_count; i++) {
        int64_t count = count_tag(store, entity, filter->tags[i]);

        if (count < least) {
            least = count;
            rarest = i;
        }
    }
    struct kg_slice first = filter->tags[rarest];
    filter->tags[rarest] = filter->tags[0];
    filter->tags[0] = first;
}

/* The places of at most ?3 entities behind ?1 that have the first of `count` tags, and the rest of them too.
 */
static void add_places(struct kg_sql *sql, const struct kg_entity *entity, size_t first, size_t count)
{
    kg_sql_add(sql,
               "SELECT place FROM (SELECT t.place FROM tags t CROSS JOIN \"%s\" e ON e.seq = t.place"
               " WHERE t.entity = '%s' AND t.tag = ?%zu AND t.place > ?1",
               entity->name, entity->name, KG_TAG_PARAMETER + first);
    kg_add_alive(sql, entity);
    for (size_t i = first + 1; i < first + count; i++)
        kg_sql_add(sql,
                   " AND EXISTS (SELECT 1 FROM tags o WHERE o.entity = '%s' AND o.tag = ?%zu"
                   " AND o.place = t.place)",
                   entity->name, KG_TAG_PARAMETER + i);
    kg_sql_add(sql, " ORDER BY t.place LIMIT ?3)");
}

void kg_tags_add_filter(struct kg_sql *sql, const struct kg_entity *entity,
                        const struct kg_store_filter *filter)
{
    kg_sql_add(sql, " AND seq IN (");
    if (!filter->any_tag)
        add_places(sql, entity, 0, filter->tag_count);
    for (size_t i = 0; filter->any_tag && i < filter->tag_count; i++) {
        if (i > 0)
            kg_sql_add(sql, " UNION ");
        add_places(sql, entity, i, 1);
    }
    kg_sql_add(sql, ")");
}

static json_t *tag_json(sqlite3_stmt *stmt)
{
    return json_pack("{s:s#,s:s,s:s}", "tag", (const char *)sqlite3_column_text(stmt, 1),
                     sqlite3_column_bytes(stmt, 1), "entity_name", (const char *)sqlite3_column_text(stmt, 2),
                     "entity_id", (const char *)sqlite3_column_text(stmt, 3));
}

static sqlite3_stmt *select_tags(struct kg_store *store, const struct kg_slice *tag, size_t size,
                                 int64_t after, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "SELECT seq, tag, entity, id FROM tags WHERE seq > ?1%s ORDER BY seq LIMIT ?3",
                 tag ? " AND tag = ?2" : "");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return NULL;
    sqlite3_bind_int64(stmt, 1, after);
    if (tag)
        sqlite3_bind_text(stmt, 2, tag->ptr, (int)tag->len, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 3, (int64_t)size + 1);
    return stmt;
}

json_t *kg_store_list_tags(struct kg_store *store, const struct kg_slice *tag, size_t size, int64_t *after)
{
    json_t *page = json_array();
    struct kg_error err;
    sqlite3_stmt *stmt = select_tags(store, tag, size, *after, &err);
    int64_t last = 0;
    int step = SQLITE_ERROR;

    *after = 0;
    while (stmt && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (json_array_size(page) == size) {
            *after = last;
            step = SQLITE_DONE;
            break;
        }
        last = sqlite3_column_int64(stmt, 0);
        json_array_append_new(page, tag_json(stmt));
    }
    if (stmt && step != SQLITE_DONE)
        kg_db_error(store, &err, "read");
    sqlite3_finalize(stmt);
    if (step == SQLITE_DONE)
        return page;
    kg_log(KG_LOG_ERROR, "%s", err.text);
    json_decref(page);
    return NULL;
}
