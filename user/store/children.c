/* SPDX-License-Identifier: BSD-2-Clause */
/* Entities that are written together with their parent and shown in it by their names: the SNIs of a
 * certificate. */
#include "store/internal.h"

#include "base/log.h"
#include "model/json.h"

#include <errno.h>
#include <stdio.h>

/* "SELECT columns FROM children WHERE their parent = ?", the parent's id bound to it. */
static sqlite3_stmt *select_children(struct kg_store *store, const struct kg_entity *parent,
                                     const struct kg_entity *child, const char *id, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "SELECT \"%s\" FROM \"%s\" WHERE \"%s\" = ? ORDER BY seq", child->endpoint_key,
                 child->name, kg_entity_link(child, parent)->name);
    stmt = kg_sql_borrow(store, &sql, err);
    if (stmt)
        sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    return stmt;
}

static json_t *read_names(struct kg_store *store, const struct kg_entity *parent,
                          const struct kg_entity *child, const char *id, struct kg_error *err)
{
    sqlite3_stmt *stmt = select_children(store, parent, child, id, err);
    json_t *names = json_array();
    int step = SQLITE_ERROR;

    while (stmt && (step = sqlite3_step(stmt)) == SQLITE_ROW)
        json_array_append_new(names, json_string((const char *)sqlite3_column_text(stmt, 0)));
    if (stmt && step != SQLITE_DONE)
        kg_db_error(store, err, "read");
    kg_sql_done(store, stmt);
    if (step == SQLITE_DONE)
        return names;
    json_decref(names);
    return NULL;
}

json_t *kg_children_list(struct kg_store *store, const struct kg_entity *entity, const char *id)
{
    const struct kg_entity *child = &kg_entities[kg_entity_children(entity)->reference];
    struct kg_error err;
    json_t *names = read_names(store, entity, child, id, &err);

    if (names)
        return names;
    kg_log(KG_LOG_ERROR, "%s", err.text);
    store->unreadable = true;
    return NULL;
}

static int remove_child(struct kg_store *store, const struct kg_entity *child, const char *name,
                        struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_sql_start(&sql, "DELETE FROM \"%s\" WHERE \"%s\" = ?", child->name, child->endpoint_key);
    stmt = kg_sql_borrow(store, &sql, err);
    if (stmt)
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    return kg_db_run(store, stmt, err, "delete");
}

/* Whose it is already, if anybody's: 1 with owner, 0, -EIO. */
static int find_owner(struct kg_store *store, const struct kg_entity *child, const struct kg_field *link,
                      const char *name, char owner[KG_UUID_TEXT], struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int step;

    kg_sql_start(&sql, "SELECT \"%s\" FROM \"%s\" WHERE \"%s\" = ?", link->name, child->name,
                 child->endpoint_key);
    stmt = kg_sql_borrow(store, &sql, err);
    if (!stmt)
        return -EIO;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW)
        snprintf(owner, KG_UUID_TEXT, "%s", (const char *)sqlite3_column_text(stmt, 0));
    else if (step != SQLITE_DONE)
        kg_db_error(store, err, "read");
    kg_sql_done(store, stmt);
    return step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -EIO;
}

/* Kong's words for an SNI that another certificate has. */
static int refuse_owned(const struct kg_field *field, const char *name, const char *owner, json_t **problem)
{
    json_t *violations = json_object();

    json_object_set_new(violations, field->name,
                        json_sprintf("%s already associated with existing certificate '%s'", name, owner));
    *problem = kg_problem_schema(violations);
    return -EEXIST;
}

static int add_child(struct kg_store *store, const struct kg_entity *entity, const struct kg_field *field,
                     const json_t *parent, const json_t *name, json_t **problem, struct kg_error *err)
{
    const struct kg_entity *child = &kg_entities[field->reference];
    const struct kg_field *link = kg_entity_link(child, entity);
    char owner[KG_UUID_TEXT] = "";
    json_t *input, *object = NULL;
    int rc = find_owner(store, child, link, json_string_value(name), owner, err);

    if (rc != 0)
        return rc < 0 ? rc : refuse_owned(field, json_string_value(name), owner, problem);
    input = json_pack("{s:O,s:{s:O}}", child->endpoint_key, name, link->name, "id",
                      json_object_get(parent, "id"));
    rc = kg_schema_apply(child, KG_WRITE_CREATE, input, NULL, &object, problem);
    json_decref(input);
    if (rc == 0)
        rc = kg_write_row(store, child, object, 0, err);
    json_decref(object);
    return rc;
}

int kg_children_replace(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                        json_t **problem, struct kg_error *err)
{
    const struct kg_field *field = kg_entity_children(entity);
    const json_t *wanted = field ? json_object_get(object, field->name) : NULL, *name;
    const struct kg_entity *child = field ? &kg_entities[field->reference] : NULL;
    json_t *had;
    size_t i;
    int rc = 0;

    if (!json_is_array(wanted))
        return 0;
    had = read_names(store, entity, child, json_string_value(json_object_get(object, "id")), err);
    if (!had)
        return -EIO;
    json_array_foreach(had, i, name)
    {
        if (rc == 0 && !kg_json_contains(wanted, name))
            rc = remove_child(store, child, json_string_value(name), err);
    }
    json_array_foreach(wanted, i, name)
    {
        if (rc == 0 && !kg_json_contains(had, name))
            rc = add_child(store, entity, field, object, name, problem, err);
    }
    json_decref(had);
    return rc;
}
