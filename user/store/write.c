/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes: everything is looked up and written in one transaction, so that a refusal can name its field. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "model/json.h"

#include <errno.h>

/* Steps a query and is done with it: 1 when it has a row (its first column goes to *value), 0 when not, -EIO.
 */
static int has_row(struct kg_store *store, sqlite3_stmt *stmt, int64_t *value, struct kg_error *err)
{
    int step, rc = 0;

    if (!stmt)
        return -EIO;
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW) {
        *value = sqlite3_column_int64(stmt, 0);
        rc = 1;
    } else if (step != SQLITE_DONE) {
        rc = kg_db_error(store, err, "read");
    }
    kg_sql_done(store, stmt);
    return rc;
}

static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    if (stmt)
        sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

static const char *id_of(const json_t *object)
{
    return json_string_value(json_object_get(object, "id"));
}

/* {"name": "x"} that nobody resolved. */
static int refuse_unresolved(const struct kg_field *field, const json_t *value, json_t **problem)
{
    const struct kg_entity *parent = &kg_entities[field->reference];
    const char *key = parent->endpoint_key, *name = json_string_value(json_object_get(value, key));

    *problem = kg_problem_unresolved(parent, field->name, key, name ? name : "");
    return -ENOENT;
}

static int check_id(struct kg_store *store, const struct kg_field *field, const char *id, json_t **problem,
                    struct kg_error *err)
{
    const struct kg_entity *parent = &kg_entities[field->reference];
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int64_t one;
    int rc;

    kg_sql_start(&sql, "SELECT 1 FROM \"%s\" WHERE id = ?", parent->name);
    stmt = kg_sql_borrow(store, &sql, err);
    bind_text(stmt, 1, id);
    rc = has_row(store, stmt, &one, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    *problem = kg_problem_foreign(parent, field->name, id);
    return -ENOENT;
}

static int check_foreign(struct kg_store *store, const struct kg_field *field, const json_t *value,
                         json_t **problem, struct kg_error *err)
{
    const char *id = id_of(value);

    return id ? check_id(store, field, id, problem, err) : refuse_unresolved(field, value, problem);
}

static int check_foreign_set(struct kg_store *store, const struct kg_field *field, const json_t *set,
                             json_t **problem, struct kg_error *err)
{
    const json_t *value;
    size_t i;
    int rc = 0;

    json_array_foreach(set, i, value)
    {
        if (rc == 0)
            rc = check_id(store, field, json_string_value(value), problem, err);
    }
    return rc;
}

static int check_unique(struct kg_store *store, const struct kg_entity *entity, const struct kg_field *field,
                        const json_t *object, json_t **problem, struct kg_error *err)
{
    const json_t *value = json_object_get(object, field->name);
    uint8_t mac[32];
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int64_t one;
    int rc;

    kg_sql_start(&sql, "SELECT 1 FROM \"%s\" WHERE \"%s%s\" = ? AND id <> ?", entity->name, field->name,
                 field->by_hash ? "_mac" : "");
    stmt = kg_sql_borrow(store, &sql, err);
    bind_text(stmt, 2, id_of(object));
    if (stmt && field->by_hash) {
        kg_vault_mac(&store->vault, kg_json_text(value), mac);
        sqlite3_bind_blob(stmt, 1, mac, sizeof(mac), SQLITE_STATIC);
    } else {
        bind_text(stmt, 1, json_string_value(value));
    }
    rc = has_row(store, stmt, &one, err);
    if (rc != 1)
        return rc;
    *problem = kg_problem_unique(entity, field->name, value);
    return -EEXIST;
}

/* The fields that are unique only together, as an object. */
static json_t *together_of(const struct kg_entity *entity, const json_t *object)
{
    json_t *together = json_object();

    for (size_t i = 0; entity->unique_together[i]; i++)
        json_object_set(together, entity->unique_together[i],
                        json_object_get(object, entity->unique_together[i]));
    return together;
}

static int check_together(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                          json_t **problem, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    json_t *together;
    int64_t one;
    int rc, at = 1;

    if (!entity->unique_together)
        return 0;
    kg_sql_start(&sql, "SELECT 1 FROM \"%s\" WHERE id <> ?", entity->name);
    for (size_t i = 0; entity->unique_together[i]; i++)
        kg_sql_add(&sql, " AND ifnull(\"%s\", '') = ?", entity->unique_together[i]);
    stmt = kg_sql_borrow(store, &sql, err);
    bind_text(stmt, at++, id_of(object));
    for (size_t i = 0; entity->unique_together[i]; i++) {
        const json_t *value = json_object_get(object, entity->unique_together[i]);
        const char *text = json_is_object(value) ? id_of(value) : json_string_value(value);

        bind_text(stmt, at++, text ? text : "");
    }
    rc = has_row(store, stmt, &one, err);
    if (rc != 1)
        return rc;
    together = together_of(entity, object);
    *problem = kg_problem_unique(entity, NULL, together);
    json_decref(together);
    return -EEXIST;
}

static int check_fields(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                        json_t **problem, struct kg_error *err)
{
    int rc = 0;

    for (const struct kg_field *field = entity->fields; rc == 0 && field->name; field++) {
        const json_t *value = json_object_get(object, field->name);

        if (!value || json_is_null(value))
            continue;
        if (field->type == KG_F_FOREIGN)
            rc = check_foreign(store, field, value, problem, err);
        if (field->type == KG_F_FOREIGN_SET)
            rc = check_foreign_set(store, field, value, problem, err);
        if (field->unique)
            rc = check_unique(store, entity, field, object, problem, err);
    }
    return rc;
}

/*
 * When the entity ends; 0 = never. A PATCH carries the seconds that were left when it was read: what differs
 * from the stored moment by no more than the second that may have passed since is the same moment.
 */
static int find_expiry(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                       int64_t *expires, struct kg_error *err)
{
    const struct kg_field *field = kg_table_lifetime(entity);
    int64_t ttl = field ? json_integer_value(json_object_get(object, field->name)) : 0, before = 0;
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int rc;

    *expires = 0;
    if (ttl <= 0)
        return 0;
    *expires = kg_clock_wall() + ttl;
    kg_sql_start(&sql, "SELECT " KG_EXPIRES_COLUMN " FROM \"%s\" WHERE id = ?", entity->name);
    stmt = kg_sql_borrow(store, &sql, err);
    bind_text(stmt, 1, id_of(object));
    rc = has_row(store, stmt, &before, err);
    if (rc == 1 && before - *expires >= -1 && before - *expires <= 1)
        *expires = before;
    return rc < 0 ? rc : 0;
}

int kg_write_purge_expired(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    if (!kg_table_lifetime(entity))
        return 0;
    kg_sql_start(&sql, "DELETE FROM \"%s\" WHERE " KG_EXPIRES_COLUMN " > 0 AND " KG_EXPIRES_COLUMN " <= ?",
                 entity->name);
    stmt = kg_sql_borrow(store, &sql, err);
    if (!stmt)
        return -EIO;
    sqlite3_bind_int64(stmt, 1, kg_clock_wall());
    return kg_db_run(store, stmt, err, "delete what has expired");
}

int kg_write_row(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                 int64_t expires, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_table_upsert(&sql, entity);
    stmt = kg_sql_borrow(store, &sql, err);
    if (!stmt)
        return -EIO;
    kg_table_bind(store, stmt, entity, object, expires);
    return kg_db_run(store, stmt, err, "write");
}

int kg_write_entity(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                    json_t **problem, struct kg_error *err)
{
    int64_t expires;
    int rc = kg_write_purge_expired(store, entity, err);

    if (rc == 0)
        rc = check_fields(store, entity, object, problem, err);
    if (rc == 0)
        rc = check_together(store, entity, object, problem, err);
    if (rc == 0)
        rc = find_expiry(store, entity, object, &expires, err);
    if (rc == 0)
        rc = kg_write_row(store, entity, object, expires, err);
    return rc == 0 ? kg_children_replace(store, entity, object, problem, err) : rc;
}

int kg_store_put(struct kg_store *store, enum kg_entity_id entity, const json_t *object, json_t **problem,
                 struct kg_error *err)
{
    int rc = kg_db_begin(store, err);

    KG_ASSERT(id_of(object) != NULL);
    *problem = NULL;
    return rc ? rc
              : kg_db_end(store, kg_write_entity(store, &kg_entities[entity], object, problem, err), err);
}

/* Children that do not go with their parent keep it alive. */
static int check_children(struct kg_store *store, const struct kg_entity *parent, const char *id,
                          json_t **problem, struct kg_error *err)
{
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        for (const struct kg_field *field = kg_entities[i].fields; field->name; field++) {
            struct kg_sql sql;
            sqlite3_stmt *stmt;
            int64_t one;
            int rc;

            if (field->type != KG_F_FOREIGN || field->cascade || field->reference != parent->id)
                continue;
            kg_sql_start(&sql, "SELECT 1 FROM \"%s\" WHERE \"%s\" = ? LIMIT 1", kg_entities[i].name,
                         field->name);
            stmt = kg_sql_borrow(store, &sql, err);
            bind_text(stmt, 1, id);
            rc = has_row(store, stmt, &one, err);
            if (rc == 1)
                *problem = kg_problem_referenced(parent, &kg_entities[i]);
            if (rc != 0)
                return rc == 1 ? -EBUSY : rc;
        }
    }
    return 0;
}

static bool may_hold(const struct kg_field *field, const struct kg_entity *entity)
{
    return field->type == KG_F_FOREIGN_SET && field->reference == entity->id;
}

/* One field whose sets of ids may hold this one. An id in the text of a set is that id: no other text of a
 * set looks like one. */
static int check_set(struct kg_store *store, const struct kg_entity *entity, const char *id,
                     const struct kg_entity *holder, const struct kg_field *field, json_t **problem,
                     struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int step;

    kg_sql_start(&sql, "SELECT id FROM \"%s\" WHERE instr(\"%s\", ?) > 0 ORDER BY seq LIMIT 1", holder->name,
                 field->name);
    stmt = kg_sql_borrow(store, &sql, err);
    if (!stmt)
        return -EIO;
    bind_text(stmt, 1, id);
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW)
        *problem =
            kg_problem_still_referenced(entity, id, holder, (const char *)sqlite3_column_text(stmt, 0));
    else if (step != SQLITE_DONE)
        kg_db_error(store, err, "read");
    kg_sql_done(store, stmt);
    return step == SQLITE_ROW ? -EBUSY : step == SQLITE_DONE ? 0 : -EIO;
}

static int check_sets(struct kg_store *store, const struct kg_entity *entity, const char *id,
                      json_t **problem, struct kg_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < KG_ENTITIES; i++) {
        for (const struct kg_field *field = kg_entities[i].fields; rc == 0 && field->name; field++)
            if (may_hold(field, entity))
                rc = check_set(store, entity, id, &kg_entities[i], field, problem, err);
    }
    return rc;
}

int kg_write_check_delete(struct kg_store *store, const struct kg_entity *entity, const char *id,
                          json_t **problem, struct kg_error *err)
{
    int rc = check_children(store, entity, id, problem, err);

    return rc == 0 ? check_sets(store, entity, id, problem, err) : rc;
}

static int delete_inside(struct kg_store *store, const struct kg_entity *entity, const char *id,
                         bool *deleted, json_t **problem, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int rc = kg_write_check_delete(store, entity, id, problem, err);

    if (rc)
        return rc;
    kg_sql_start(&sql, "DELETE FROM \"%s\" WHERE id = ?", entity->name);
    stmt = kg_sql_borrow(store, &sql, err);
    bind_text(stmt, 1, id);
    rc = kg_db_run(store, stmt, err, "delete");
    *deleted = rc == 0 && sqlite3_changes(store->db) > 0;
    return rc;
}

int kg_store_delete(struct kg_store *store, enum kg_entity_id entity, const char *id, json_t **problem,
                    struct kg_error *err)
{
    bool deleted = false;
    int rc = kg_db_begin(store, err);

    *problem = NULL;
    if (rc == 0)
        rc = kg_db_end(store, delete_inside(store, &kg_entities[entity], id, &deleted, problem, err), err);
    return rc == 0 && !deleted ? 1 : rc;
}
