/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads: one entity, a page of them, all of them into the model. What has expired is not there. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>

/* Reading functions have no sentence for their caller: a disk that cannot be read is logged here. */
static sqlite3_stmt *prepare(struct kg_store *store, struct kg_sql *sql)
{
    struct kg_error err;
    sqlite3_stmt *stmt = kg_sql_borrow(store, sql, &err);

    if (stmt)
        return stmt;
    kg_log(KG_LOG_ERROR, "%s", err.text);
    store->unreadable = true;
    return NULL;
}

/* SQLITE_ROW, SQLITE_DONE, or what went wrong. */
static int next_row(struct kg_store *store, sqlite3_stmt *stmt)
{
    struct kg_error err;
    int step = sqlite3_step(stmt);

    if (step != SQLITE_ROW && step != SQLITE_DONE) {
        kg_db_error(store, &err, "read");
        kg_log(KG_LOG_ERROR, "%s", err.text);
        store->unreadable = true;
    }
    return step;
}

/* The parameter is ?9, so that it does not move the numbers of the others. */
void kg_add_alive(struct kg_sql *sql, const struct kg_entity *entity)
{
    if (kg_table_lifetime(entity))
        kg_sql_add(sql, " AND (" KG_EXPIRES_COLUMN " = 0 OR " KG_EXPIRES_COLUMN " > ?9)");
}

static void bind_alive(sqlite3_stmt *stmt, const struct kg_entity *entity)
{
    if (kg_table_lifetime(entity))
        sqlite3_bind_int64(stmt, 9, kg_clock_wall());
}

static json_t *read_one(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_entity *entity)
{
    json_t *object = NULL;

    bind_alive(stmt, entity);
    if (next_row(store, stmt) == SQLITE_ROW)
        object = kg_table_row(store, stmt, entity);
    kg_sql_done(store, stmt);
    return object;
}

static json_t *get_by_id(struct kg_store *store, const struct kg_entity *entity, struct kg_slice id)
{
    char lower[KG_UUID_TEXT];
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    if (!kg_uuid_valid(id))
        return NULL;
    for (size_t i = 0; i < id.len; i++)
        lower[i] = kg_lower(id.ptr[i]);
    kg_table_select(&sql, entity);
    kg_sql_add(&sql, " WHERE id = ?1");
    kg_add_alive(&sql, entity);
    stmt = prepare(store, &sql);
    if (!stmt)
        return NULL;
    sqlite3_bind_text(stmt, 1, lower, (int)id.len, SQLITE_STATIC);
    return read_one(store, stmt, entity);
}

/* By the name of one of its children. */
static void add_child_key(struct kg_sql *sql, const struct kg_entity *entity, const struct kg_entity *child)
{
    kg_sql_add(sql, " WHERE id = (SELECT \"%s\" FROM \"%s\" WHERE \"%s\" = ?1)",
               kg_entity_link(child, entity)->name, child->name, child->endpoint_key);
}

/* The endpoint key as it is stored, to be looked for: a new reference, NULL when it is not UTF-8. */
static json_t *key_of(const struct kg_field *field, struct kg_slice ref)
{
    json_t *given = json_stringn(ref.ptr, ref.len), *normal;

    if (!given || !field->normalize)
        return given;
    normal = field->normalize(given);
    json_decref(given);
    return normal;
}

/* A secret has no stored form (key NULL): it is looked for as it was given. */
static void bind_key(struct kg_store *store, sqlite3_stmt *stmt, struct kg_slice ref, const json_t *key)
{
    uint8_t mac[32];

    if (key) {
        sqlite3_bind_text64(stmt, 1, json_string_value(key), json_string_length(key), SQLITE_STATIC,
                            SQLITE_UTF8);
        return;
    }
    kg_vault_mac(&store->vault, ref, mac);
    sqlite3_bind_blob(stmt, 1, mac, sizeof(mac), SQLITE_TRANSIENT);
}

/* parent_field NULL: of any parent. */
static json_t *get_by_key(struct kg_store *store, const struct kg_entity *entity, struct kg_slice ref,
                          const char *parent_field, const char *parent_id)
{
    const struct kg_field *field = entity->endpoint_key && (parent_field || !entity->nested_key)
                                       ? kg_entity_field(entity, entity->endpoint_key)
                                       : NULL;
    json_t *key = field && !field->by_hash ? key_of(field, ref) : NULL, *object = NULL;
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    if (!field || (!key && !field->by_hash))
        return NULL;
    kg_table_select(&sql, entity);
    if (field->children)
        add_child_key(&sql, entity, &kg_entities[field->reference]);
    else
        kg_sql_add(&sql, " WHERE \"%s%s\" = ?1", field->name, field->by_hash ? "_mac" : "");
    if (parent_field)
        kg_sql_add(&sql, " AND \"%s\" = ?2", parent_field);
    kg_add_alive(&sql, entity);
    stmt = prepare(store, &sql);
    if (stmt) {
        bind_key(store, stmt, ref, key);
        if (parent_field)
            sqlite3_bind_text(stmt, 2, parent_id, -1, SQLITE_STATIC);
        object = read_one(store, stmt, entity);
    }
    json_decref(key);
    return object;
}

bool kg_store_unreadable(const struct kg_store *store)
{
    return store->unreadable;
}

json_t *kg_store_get(struct kg_store *store, enum kg_entity_id entity, const char *id)
{
    store->unreadable = false;
    return get_by_id(store, &kg_entities[entity], kg_slice_str(id));
}

json_t *kg_store_find(struct kg_store *store, enum kg_entity_id entity, struct kg_slice ref)
{
    return kg_store_find_child(store, entity, ref, NULL, NULL);
}

json_t *kg_store_find_named(struct kg_store *store, enum kg_entity_id entity, struct kg_slice name)
{
    store->unreadable = false;
    return get_by_key(store, &kg_entities[entity], name, NULL, NULL);
}

json_t *kg_store_find_child(struct kg_store *store, enum kg_entity_id entity, struct kg_slice ref,
                            const char *parent_field, const char *parent_id)
{
    json_t *object;

    store->unreadable = false;
    object = get_by_id(store, &kg_entities[entity], ref);
    return object ? object : get_by_key(store, &kg_entities[entity], ref, parent_field, parent_id);
}

/* Which entities, of all that there are. */
struct chosen {
    const char *parent_field, *parent_id;
    const struct kg_store_filter *filter;
};

static void bind_filter(sqlite3_stmt *stmt, const struct kg_store_filter *filter)
{
    if (filter->custom_id.ptr)
        sqlite3_bind_text(stmt, 2, filter->custom_id.ptr, (int)filter->custom_id.len, SQLITE_STATIC);
    for (size_t i = 0; i < filter->tag_count; i++)
        sqlite3_bind_text(stmt, KG_TAG_PARAMETER + (int)i, filter->tags[i].ptr, (int)filter->tags[i].len,
                          SQLITE_STATIC);
}

static sqlite3_stmt *prepare_page(struct kg_store *store, const struct kg_entity *entity,
                                  const struct chosen *chosen, size_t size, int64_t after)
{
    const struct kg_store_filter *filter = chosen->filter;
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    kg_table_select(&sql, entity);
    kg_sql_add(&sql, " WHERE seq > ?1");
    if (chosen->parent_field)
        kg_sql_add(&sql, " AND \"%s\" = ?2", chosen->parent_field);
    if (filter && filter->custom_id.ptr)
        kg_sql_add(&sql, " AND custom_id = ?2");
    if (filter && filter->tag_count > 0)
        kg_tags_add_filter(&sql, entity, filter);
    kg_add_alive(&sql, entity);
    kg_sql_add(&sql, " ORDER BY seq LIMIT ?3");
    stmt = prepare(store, &sql);
    if (!stmt)
        return NULL;
    sqlite3_bind_int64(stmt, 1, after);
    if (chosen->parent_field)
        sqlite3_bind_text(stmt, 2, chosen->parent_id, -1, SQLITE_STATIC);
    if (filter)
        bind_filter(stmt, filter);
    sqlite3_bind_int64(stmt, 3, (int64_t)size + 1); /* one more tells whether there is a next page */
    bind_alive(stmt, entity);
    return stmt;
}

static json_t *read_page(struct kg_store *store, const struct kg_entity *entity, const struct chosen *chosen,
                         size_t size, int64_t *after)
{
    json_t *page = json_array();
    sqlite3_stmt *stmt;
    int64_t last = 0;

    store->unreadable = false;
    stmt = prepare_page(store, entity, chosen, size, *after);
    *after = 0;
    while (stmt && next_row(store, stmt) == SQLITE_ROW) {
        if (json_array_size(page) == size) {
            *after = last;
            break;
        }
        last = sqlite3_column_int64(stmt, 0);
        json_array_append_new(page, kg_table_row(store, stmt, entity));
    }
    kg_sql_done(store, stmt);
    if (!store->unreadable)
        return page;
    json_decref(page);
    return NULL;
}

json_t *kg_store_list(struct kg_store *store, enum kg_entity_id entity, const char *parent_field,
                      const char *parent_id, size_t size, int64_t *after)
{
    const struct chosen chosen = { .parent_field = parent_field, .parent_id = parent_id };

    KG_ASSERT(!parent_field || (parent_id && kg_entity_field(&kg_entities[entity], parent_field)));
    return read_page(store, &kg_entities[entity], &chosen, size, after);
}

json_t *kg_store_list_some(struct kg_store *store, enum kg_entity_id entity,
                           const struct kg_store_filter *filter, size_t size, int64_t *after)
{
    struct kg_store_filter sorted = *filter;
    const struct chosen chosen = { .filter = &sorted };

    KG_ASSERT(!filter->custom_id.ptr || entity == KG_CONSUMERS);
    kg_tags_rarest_first(store, &kg_entities[entity], &sorted);
    return read_page(store, &kg_entities[entity], &chosen, size, after);
}

json_t *kg_store_plugin_names(struct kg_store *store)
{
    json_t *names = json_array();
    struct kg_sql sql;
    sqlite3_stmt *stmt;

    store->unreadable = false;
    kg_sql_start(&sql, "SELECT DISTINCT name FROM plugins ORDER BY name");
    stmt = prepare(store, &sql);
    while (stmt && next_row(store, stmt) == SQLITE_ROW)
        json_array_append_new(names, json_string((const char *)sqlite3_column_text(stmt, 0)));
    kg_sql_done(store, stmt);
    if (!store->unreadable)
        return names;
    json_decref(names);
    return NULL;
}

static int end_load(struct kg_store *store, sqlite3_stmt *stmt, int step, struct kg_error *err)
{
    int rc = step == SQLITE_DONE ? 0 : kg_db_error(store, err, "load entities");

    sqlite3_finalize(stmt);
    return rc;
}

/* A plugin that an older or newer keygate had must not vanish silently: what it guarded would stand open. */
static int check_plugin(struct kg_store *store, const json_t *object, struct kg_error *err)
{
    const char *name = json_string_value(json_object_get(object, "name"));

    if (kg_plugin_find(name))
        return 0;
    return kg_error_set(err, EINVAL,
                        "%s/keygate.db holds the plugin '%s' (%s), which this keygate does not have",
                        store->dir, name, json_string_value(json_object_get(object, "id")));
}

static int load_entities(struct kg_store *store, struct kg_model *model, enum kg_entity_id entity,
                         struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int step, rc = 0;

    kg_table_select(&sql, &kg_entities[entity]);
    kg_sql_add(&sql, " ORDER BY seq");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        json_t *object = kg_table_row(store, stmt, &kg_entities[entity]);

        if (entity == KG_PLUGINS)
            rc = check_plugin(store, object, err);
        if (rc == 0)
            kg_model_put(model, entity, object);
        json_decref(object);
    }
    if (rc == 0)
        return end_load(store, stmt, step, err);
    sqlite3_finalize(stmt);
    return rc;
}

static int load_consumers(struct kg_store *store, struct kg_model *model, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int step;

    kg_sql_start(&sql, "SELECT id, username, custom_id FROM consumers ORDER BY seq");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
        kg_model_load_consumer(model, (const char *)sqlite3_column_text(stmt, 0),
                               (const char *)sqlite3_column_text(stmt, 1),
                               (const char *)sqlite3_column_text(stmt, 2));
    return end_load(store, stmt, step, err);
}

static int load_credentials(struct kg_store *store, struct kg_model *model, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int step;

    kg_sql_start(&sql, "SELECT id, consumer, key_mac, " KG_EXPIRES_COLUMN ", name FROM keyauth_credentials"
                       " WHERE " KG_EXPIRES_COLUMN " = 0 OR " KG_EXPIRES_COLUMN " > ? ORDER BY seq");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    sqlite3_bind_int64(stmt, 1, kg_clock_wall());
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(stmt, 2) != 32)
            continue;
        kg_model_load_credential(model, (const char *)sqlite3_column_text(stmt, 0),
                                 (const char *)sqlite3_column_text(stmt, 1), sqlite3_column_blob(stmt, 2),
                                 sqlite3_column_int64(stmt, 3), (const char *)sqlite3_column_text(stmt, 4));
    }
    return end_load(store, stmt, step, err);
}

static int load_groups(struct kg_store *store, struct kg_model *model, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int step;

    kg_sql_start(&sql, "SELECT id, consumer, \"group\" FROM acls");
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
        kg_model_load_group(model, (const char *)sqlite3_column_text(stmt, 0),
                            (const char *)sqlite3_column_text(stmt, 1),
                            (const char *)sqlite3_column_text(stmt, 2));
    return end_load(store, stmt, step, err);
}

int kg_load_keys(struct kg_store *store, struct kg_model *model, struct kg_error *err)
{
    int rc = load_consumers(store, model, err);

    if (rc == 0)
        rc = load_credentials(store, model, err);
    if (rc == 0)
        rc = load_groups(store, model, err);
    kg_model_load_end(model);
    return rc;
}

/* Parents before children. */
int kg_store_load(struct kg_store *store, struct kg_model *model, struct kg_error *err)
{
    static const enum kg_entity_id first[] = { KG_CERTIFICATES, KG_SNIS,     KG_CA_CERTIFICATES, KG_UPSTREAMS,
                                               KG_TARGETS,      KG_SERVICES, KG_ROUTES };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(first) / sizeof(first[0]); i++)
        rc = load_entities(store, model, first[i], err);
    if (rc == 0)
        rc = kg_load_keys(store, model, err);
    if (rc == 0)
        rc = load_entities(store, model, KG_JWT_SECRETS, err);
    return rc == 0 ? load_entities(store, model, KG_PLUGINS, err) : rc;
}
