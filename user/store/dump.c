/* SPDX-License-Identifier: BSD-2-Clause */
/* What is stored, as a declarative file: children lie in their parents where they have one alone. */
#include "store/declaring.h"
#include "store/yaml_text.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model/json.h"

#include <errno.h>
#include <stdlib.h>

/* The fields of an entity that it may be nested by. */
struct nests {
    const struct kg_field *links[KG_FINDERS_MAX];
    size_t count;
};

struct dump {
    struct kg_declaring d; /* for its statements, and for its tags */
    const struct kg_dump_options *options;
    struct kg_yaml_out out;
    struct kg_id_set alone; /* routes that would change their order in their services */
    sqlite3_stmt *children[KG_ENTITIES][KG_FINDERS_MAX]; /* of an entity below a parent, by the link */
};

static void find_nests(const struct kg_entity *entity, struct nests *nests)
{
    nests->count = 0;
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        const struct kg_field *link = kg_declare_nests(entity, &kg_entities[i]);

        if (link)
            nests->links[nests->count++] = link;
    }
}

static bool must_stand_alone(const struct dump *dump, const struct kg_entity *entity, const json_t *row)
{
    uint8_t id[16];

    if (entity->id != KG_ROUTES || dump->alone.count == 0)
        return false;
    kg_id_parse(json_string_value(json_object_get(row, "id")), id);
    return kg_id_set_has(&dump->alone, id);
}

static bool is_selected(struct dump *dump, const json_t *row)
{
    return kg_rows_selected(&dump->d, json_object_get(row, "tags"));
}

/* The link by which a row lies in another one, or NULL: it stands alone. */
static const struct kg_field *nested_by(struct dump *dump, const struct kg_entity *entity, const json_t *row)
{
    const struct kg_field *found = NULL;
    struct nests nests;
    json_t *parent;

    if (must_stand_alone(dump, entity, row))
        return NULL;
    find_nests(entity, &nests);
    for (size_t i = 0; i < nests.count; i++) {
        if (!kg_json_given(row, nests.links[i]->name))
            continue;
        if (found)
            return NULL;
        found = nests.links[i];
    }
    if (!found || json_array_size(dump->d.tags) == 0)
        return found;
    parent = kg_rows_get(&dump->d, &kg_entities[found->reference],
                         json_string_value(json_object_get(json_object_get(row, found->name), "id")));
    if (!is_selected(dump, parent))
        found = NULL;
    json_decref(parent);
    return found;
}

/* ---- one entity ---- */

static const struct kg_field *name_field(const struct kg_entity *entity)
{
    const struct kg_field *field =
        entity->endpoint_key ? kg_entity_field(entity, entity->endpoint_key) : NULL;

    return field && !field->children ? field : NULL;
}

/* Whether a sync would find it again without its id. */
static bool has_name(const struct dump *dump, const struct kg_entity *entity, const json_t *row)
{
    const struct kg_field *field = name_field(entity);

    for (const struct kg_field *at = entity->fields; at->name; at++)
        if (at->secret && dump->options->without_keys)
            return false;
    return entity->unique_together || (field && field->unique && kg_json_given(row, field->name));
}

/* A reference as people write it: the other's name, or its id. New. */
static json_t *reference_of(struct dump *dump, const struct kg_field *field, const json_t *value)
{
    const struct kg_entity *target = &kg_entities[field->reference];
    const struct kg_field *named = name_field(target);
    json_t *id = json_object_get(value, "id"), *row, *name = NULL;

    if (named && !named->secret) {
        row = kg_rows_get(&dump->d, target, json_string_value(id));
        name = json_incref(json_object_get(row, named->name));
        json_decref(row);
    }
    if (!json_is_string(name)) {
        json_decref(name);
        return json_incref(id);
    }
    /* One that looks like an id would be taken for that. */
    return kg_uuid_valid(kg_json_text(name)) ? json_pack("{s:o}", named->name, name) : name;
}

static bool is_shown(struct dump *dump, const struct kg_entity *entity, const struct kg_field *field,
                     const json_t *row, const struct kg_field *link)
{
    if (field == link || field->children || field->observed || !kg_json_given(row, field->name))
        return false;
    if (strcmp(field->name, "id") == 0)
        return dump->options->with_ids || !has_name(dump, entity, row);
    /* A lifetime counts from the creation. */
    if (strcmp(field->name, "created_at") == 0)
        return kg_table_lifetime(entity) && kg_json_given(row, kg_table_lifetime(entity)->name);
    if (strcmp(field->name, "updated_at") == 0)
        return false;
    return field->secret ? !dump->options->without_keys : !field->automatic || field->generated;
}

static void put_field(struct dump *dump, const struct kg_entity *entity, const struct kg_field *field,
                      const json_t *row, size_t depth, bool first)
{
    json_t *value = json_object_get(row, field->name);

    kg_yaml_put_name(&dump->out, depth, first, field->name);
    if (field->type != KG_F_FOREIGN) {
        kg_yaml_put_value(&dump->out, depth, value);
        return;
    }
    value = reference_of(dump, field, value);
    kg_yaml_put_value(&dump->out, depth, value);
    json_decref(value);
}

/*
 * The whole lifetime instead of what is left of it, so that the file says the same tomorrow. Where that
 * passes what a file may say, the creation is moved, so that the end is the same.
 */
static void whole_lifetime(struct dump *dump, const struct kg_entity *entity, json_t *row)
{
    const struct kg_field *field = kg_table_lifetime(entity);
    int64_t expires, whole, made = json_integer_value(json_object_get(row, "created_at"));

    if (!field || !kg_json_given(row, field->name))
        return;
    expires = kg_rows_expiry(&dump->d, entity, json_string_value(json_object_get(row, "id")));
    whole = expires - made;
    if (whole < 1 || whole > field->max) {
        whole = whole < 1 ? 1 : field->max;
        json_object_set_new(row, "created_at", json_integer(expires - whole));
    }
    json_object_set_new(row, field->name, json_integer(whole));
}

static void put_children(struct dump *dump, const struct kg_entity *parent, const json_t *row, size_t depth);

static void put_entity(struct dump *dump, const struct kg_entity *entity, json_t *row,
                       const struct kg_field *link, size_t depth)
{
    bool first = true;

    whole_lifetime(dump, entity, row);
    for (const struct kg_field *field = entity->fields; field->name; field++) {
        if (!is_shown(dump, entity, field, row, link))
            continue;
        put_field(dump, entity, field, row, depth, first);
        first = false;
    }
    put_children(dump, entity, row, depth);
}

/* ---- lists ---- */

static sqlite3_stmt *compile(struct dump *dump, struct kg_sql *sql)
{
    sqlite3_stmt *stmt = kg_sql_prepare(dump->d.store, sql, dump->d.err);

    if (!stmt)
        dump->d.rc = -EIO;
    return stmt;
}

static bool has_ended(struct dump *dump, const struct kg_entity *entity, const json_t *row)
{
    int64_t expires = kg_table_lifetime(entity)
                          ? kg_rows_expiry(&dump->d, entity, json_string_value(json_object_get(row, "id")))
                          : 0;

    return expires > 0 && expires <= dump->d.now;
}

/* All rows of a statement that belong here: those that lie in another one by `link`, or NULL. */
static void put_rows(struct dump *dump, sqlite3_stmt *stmt, const struct kg_entity *entity,
                     const struct kg_field *link, size_t depth)
{
    bool first = true;
    int step = SQLITE_DONE;

    while (dump->d.rc == 0 && stmt && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        json_t *row = kg_table_row(dump->d.store, stmt, entity);

        if (is_selected(dump, row) && !has_ended(dump, entity, row) && nested_by(dump, entity, row) == link) {
            if (first) {
                kg_yaml_put_name(&dump->out, depth, false, entity->name);
                kg_yaml_put_line(&dump->out, "");
            }
            first = false;
            put_entity(dump, entity, row, link, depth + 1);
        }
        json_decref(row);
    }
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        kg_declare_disk(&dump->d, "read");
}

static void put_children(struct dump *dump, const struct kg_entity *parent, const json_t *row, size_t depth)
{
    const char *id = json_string_value(json_object_get(row, "id"));

    for (size_t i = 0; i < KG_ENTITIES; i++) {
        const struct kg_entity *child = &kg_entities[i];
        const struct kg_field *link = kg_declare_nests(child, parent);
        sqlite3_stmt **stmt = link ? &dump->children[i][link - child->fields] : NULL;
        struct kg_sql sql;

        if (!link)
            continue;
        if (!*stmt) {
            kg_table_select(&sql, child);
            kg_sql_add(&sql, " WHERE \"%s\" = ? ORDER BY seq", link->name);
            *stmt = compile(dump, &sql);
        }
        if (!*stmt)
            return;
        sqlite3_bind_text(*stmt, 1, id, -1, SQLITE_TRANSIENT);
        put_rows(dump, *stmt, child, link, depth);
        sqlite3_reset(*stmt);
    }
}

/* Those that lie in nothing. What always lies in one other is looked for only when that may be left out. */
static void put_alone(struct dump *dump, const struct kg_entity *entity)
{
    bool all = json_array_size(dump->d.tags) > 0 || (entity->id == KG_ROUTES && dump->alone.count > 0);
    struct nests nests;
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    find_nests(entity, &nests);
    kg_table_select(&sql, entity);
    for (size_t i = 0; i < nests.count && !all; i++)
        kg_sql_add(&sql, "%s(\"%s\" IS NOT NULL)", i > 0 ? " + " : " WHERE ", nests.links[i]->name);
    if (nests.count > 0 && !all)
        kg_sql_add(&sql, " <> 1");
    kg_sql_add(&sql, " ORDER BY seq");
    stmt = compile(dump, &sql);
    put_rows(dump, stmt, entity, NULL, 0);
    sqlite3_finalize(stmt);
}

static void put_head(struct dump *dump)
{
    kg_yaml_put_line(&dump->out, "_format_version: \"3.0\"");
    if (json_array_size(dump->d.tags) == 0)
        return;
    kg_yaml_put_line(&dump->out, "_info:");
    kg_yaml_put_name(&dump->out, 1, false, "select_tags");
    kg_yaml_put_value(&dump->out, 1, dump->d.tags);
}

static void close_all(struct dump *dump)
{
    kg_rows_close(&dump->d);
    kg_id_set_free(&dump->alone);
    for (size_t i = 0; i < KG_ENTITIES; i++)
        for (size_t j = 0; j < KG_FINDERS_MAX; j++)
            sqlite3_finalize(dump->children[i][j]);
}

int kg_declare_dump(struct kg_store *store, const struct kg_dump_options *options, char **text, size_t *len,
                    struct kg_error *err)
{
    struct dump *dump = kg_calloc(1, sizeof(*dump));
    enum kg_entity_id order[KG_ENTITIES];
    int rc;

    dump->options = options;
    dump->d.store = store;
    dump->d.err = err;
    dump->d.now = kg_clock_wall();
    dump->d.tags = options->select_tags ? json_copy((json_t *)(uintptr_t)options->select_tags) : json_array();
    kg_declare_order(order);
    kg_dump_order(&dump->d, &dump->alone);
    put_head(dump);
    for (size_t i = 0; i < KG_ENTITIES && dump->d.rc == 0; i++)
        put_alone(dump, &kg_entities[order[i]]);
    close_all(dump);
    kg_yaml_end(&dump->out);
    *text = dump->out.buf;
    *len = dump->out.len;
    rc = dump->d.rc;
    json_decref(dump->d.tags);
    free(dump);
    return rc;
}
