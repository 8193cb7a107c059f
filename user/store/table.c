/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables from the schema: scalars are columns, sets and records are JSON text, a secret is its MAC and its
 * sealed form. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/json.h"

#include <stdlib.h>

static const char *column_type(const struct kg_field *field)
{
    switch (field->type) {
    case KG_F_TIMESTAMP:
    case KG_F_INTEGER:
    case KG_F_BOOLEAN:
        return "INTEGER";
    case KG_F_NUMBER:
        return "REAL";
    default:
        return "TEXT";
    }
}

static void add_reference(struct kg_sql *sql, const struct kg_field *field)
{
    if (field->type == KG_F_FOREIGN)
        kg_sql_add(sql, " REFERENCES \"%s\"(id) ON DELETE %s", kg_entities[field->reference].name,
                   field->cascade ? "CASCADE" : "RESTRICT");
}

static void create_column(struct kg_sql *sql, const struct kg_field *field)
{
    if (field->children)
        return;
    if (field->by_hash)
        kg_sql_add(sql, ", \"%s_mac\" BLOB NOT NULL UNIQUE", field->name);
    if (field->secret) {
        kg_sql_add(sql, ", \"%s_sealed\" BLOB%s", field->name, field->required ? " NOT NULL" : "");
        return;
    }
    if (field->lifetime) {
        kg_sql_add(sql, ", " KG_EXPIRES_COLUMN " INTEGER NOT NULL");
        return;
    }
    kg_sql_add(sql, ", \"%s\" %s%s%s", field->name, column_type(field), field->required ? " NOT NULL" : "",
               field->unique || field->type == KG_F_UUID ? " UNIQUE" : "");
    if (field->nocase)
        kg_sql_add(sql, " COLLATE NOCASE");
    add_reference(sql, field);
}

/* seq is the order of creation; AUTOINCREMENT, so that the number of a deleted entity never comes back. */
void kg_table_create(struct kg_sql *sql, const struct kg_entity *entity)
{
    kg_sql_start(sql, "CREATE TABLE \"%s\" (seq INTEGER PRIMARY KEY AUTOINCREMENT", entity->name);
    for (const struct kg_field *field = entity->fields; field->name; field++)
        create_column(sql, field);
    kg_sql_add(sql, ") STRICT");
}

/* Only of fields that a later version brought: plain values, sets, maps, and references that may be null. */
void kg_table_add_column(struct kg_sql *sql, const struct kg_entity *entity, const struct kg_field *field)
{
    KG_ASSERT(!field->secret && !field->lifetime && !field->unique && !field->children);
    KG_ASSERT(field->type != KG_F_FOREIGN || !field->required);
    kg_sql_start(sql, "ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s", entity->name, field->name,
                 column_type(field));
    if (field->required)
        kg_sql_add(sql, " NOT NULL DEFAULT '%s'", field->default_json);
    add_reference(sql, field);
}

/* SQLite holds NULLs for distinct; here null is a value like others. */
static void index_together(struct kg_sql *sql, const struct kg_entity *entity)
{
    kg_sql_start(sql, "CREATE UNIQUE INDEX IF NOT EXISTS \"%s_together\" ON \"%s\" (", entity->name,
                 entity->name);
    for (size_t i = 0; entity->unique_together[i]; i++)
        kg_sql_add(sql, "%sifnull(\"%s\", '')", i > 0 ? ", " : "", entity->unique_together[i]);
    kg_sql_add(sql, ")");
}

bool kg_table_index(struct kg_sql *sql, const struct kg_entity *entity, size_t i)
{
    for (const struct kg_field *field = entity->fields; field->name; field++) {
        if (field->type == KG_F_FOREIGN && i-- == 0) {
            kg_sql_start(sql, "CREATE INDEX IF NOT EXISTS \"%s_%s\" ON \"%s\" (\"%s\")", entity->name,
                         field->name, entity->name, field->name);
            return true;
        }
        if (field->lifetime && i-- == 0) {
            kg_sql_start(sql,
                         "CREATE INDEX IF NOT EXISTS \"%s_expires\" ON \"%s\" (" KG_EXPIRES_COLUMN
                         ") WHERE " KG_EXPIRES_COLUMN " > 0",
                         entity->name, entity->name);
            return true;
        }
    }
    if (!entity->unique_together || i > 0)
        return false;
    index_together(sql, entity);
    return true;
}

void kg_table_select(struct kg_sql *sql, const struct kg_entity *entity)
{
    kg_sql_start(sql, "SELECT seq");
    for (const struct kg_field *field = entity->fields; field->name; field++) {
        if (field->lifetime)
            kg_sql_add(sql, ", " KG_EXPIRES_COLUMN);
        else if (!field->children)
            kg_sql_add(sql, ", \"%s%s\"", field->name, field->secret ? "_sealed" : "");
    }
    kg_sql_add(sql, " FROM \"%s\"", entity->name);
}

/* The columns that kg_table_bind fills, in its order. */
static size_t list_columns(const struct kg_entity *entity, char (*names)[64], size_t max)
{
    size_t count = 0;

    for (const struct kg_field *field = entity->fields; field->name; field++) {
        struct kg_writer w;

        KG_ASSERT(count + 2 <= max);
        if (field->children)
            continue;
        if (field->by_hash) {
            w = kg_writer_of(names[count++], 63);
            kg_put(&w, kg_slice_str(field->name));
            KG_PUT(&w, "_mac");
            w.buf[w.len] = '\0';
        }
        w = kg_writer_of(names[count++], 63);
        kg_put(&w, field->lifetime ? KG_SLICE(KG_EXPIRES_COLUMN) : kg_slice_str(field->name));
        if (field->secret)
            KG_PUT(&w, "_sealed");
        w.buf[w.len] = '\0';
    }
    return count;
}

static void start_insert(struct kg_sql *sql, const struct kg_entity *entity, char (*names)[64], size_t count)
{
    kg_sql_start(sql, "INSERT INTO \"%s\" (", entity->name);
    for (size_t i = 0; i < count; i++)
        kg_sql_add(sql, "%s\"%s\"", i > 0 ? ", " : "", names[i]);
    kg_sql_add(sql, ") VALUES (");
    for (size_t i = 0; i < count; i++)
        kg_sql_add(sql, "%s?", i > 0 ? ", " : "");
    kg_sql_add(sql, ")");
}

void kg_table_insert(struct kg_sql *sql, const struct kg_entity *entity)
{
    char names[32][64];

    start_insert(sql, entity, names, list_columns(entity, names, 32));
}

void kg_table_upsert(struct kg_sql *sql, const struct kg_entity *entity)
{
    char names[32][64];
    size_t count = list_columns(entity, names, 32);

    start_insert(sql, entity, names, count);
    kg_sql_add(sql, " ON CONFLICT (id) DO UPDATE SET ");
    for (size_t i = 0; i < count; i++)
        kg_sql_add(sql, "%s\"%s\" = excluded.\"%s\"", i > 0 ? ", " : "", names[i], names[i]);
}

static void bind_json(sqlite3_stmt *stmt, int at, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

    KG_ASSERT(text != NULL);
    sqlite3_bind_text(stmt, at, text, -1, free);
}

static void bind_string(sqlite3_stmt *stmt, int at, const json_t *value)
{
    sqlite3_bind_text(stmt, at, json_string_value(value), (int)json_string_length(value), SQLITE_STATIC);
}

static void bind_value(sqlite3_stmt *stmt, int at, const struct kg_field *field, const json_t *value)
{
    if (!value || json_is_null(value))
        return; /* an unbound parameter is NULL */
    switch (field->type) {
    case KG_F_UUID:
    case KG_F_STRING:
        bind_string(stmt, at, value);
        return;
    case KG_F_TIMESTAMP:
    case KG_F_INTEGER:
        sqlite3_bind_int64(stmt, at, json_integer_value(value));
        return;
    case KG_F_BOOLEAN:
        sqlite3_bind_int(stmt, at, json_is_true(value));
        return;
    case KG_F_NUMBER:
        sqlite3_bind_double(stmt, at, json_number_value(value));
        return;
    case KG_F_FOREIGN:
        bind_string(stmt, at, json_object_get(value, "id"));
        return;
    case KG_F_STRING_SET:
    case KG_F_FOREIGN_SET:
    case KG_F_INTEGER_SET:
    case KG_F_STRING_MAP:
    case KG_F_RECORD:
        bind_json(stmt, at, value);
        return;
    }
}

/* The sealed form, and before it the MAC of one that is found by it. Returns how many columns. */
static int bind_secret(struct kg_store *store, sqlite3_stmt *stmt, int at, const struct kg_entity *entity,
                       const struct kg_field *field, struct kg_slice id, const json_t *value)
{
    struct kg_slice secret = kg_json_text(value);
    size_t len = secret.len + KG_SEAL_OVERHEAD;
    uint8_t mac[32], *sealed;

    if (!json_is_string(value) && field->by_hash)
        kg_at_rest_keep(store, stmt, at, entity, field, id);
    if (!json_is_string(value))
        return field->by_hash ? 2 : 1;
    if (field->by_hash) {
        kg_vault_mac(&store->vault, secret, mac);
        sqlite3_bind_blob(stmt, at++, mac, sizeof(mac), SQLITE_TRANSIENT);
    }
    if (field->by_hash && store->hashed) {
        sqlite3_bind_zeroblob(stmt, at, 0);
        return 2;
    }
    sealed = kg_calloc(len, 1);
    kg_vault_seal(&store->vault, id, secret, sealed);
    sqlite3_bind_blob(stmt, at, sealed, (int)len, free);
    return field->by_hash ? 2 : 1;
}

void kg_table_bind(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_entity *entity,
                   const json_t *object, int64_t expires)
{
    struct kg_slice id = kg_slice_str(json_string_value(json_object_get(object, "id")));
    int at = 1;

    for (const struct kg_field *field = entity->fields; field->name; field++) {
        const json_t *value = json_object_get(object, field->name);

        if (field->children)
            continue;
        if (field->secret) {
            at += bind_secret(store, stmt, at, entity, field, id, value);
            continue;
        }
        if (field->lifetime)
            sqlite3_bind_int64(stmt, at, expires);
        else
            bind_value(stmt, at, field, value);
        at++;
    }
}

static json_t *text_at(sqlite3_stmt *stmt, int at)
{
    const char *text = (const char *)sqlite3_column_text(stmt, at);

    return text ? json_stringn(text, (size_t)sqlite3_column_bytes(stmt, at)) : json_null();
}

static json_t *json_at(sqlite3_stmt *stmt, int at)
{
    const char *text = (const char *)sqlite3_column_text(stmt, at);
    json_t *value =
        text ? json_loadb(text, (size_t)sqlite3_column_bytes(stmt, at), JSON_DECODE_ANY, NULL) : json_null();

    return value ? value : json_null();
}

static json_t *reference_at(sqlite3_stmt *stmt, int at)
{
    json_t *reference;

    if (sqlite3_column_type(stmt, at) == SQLITE_NULL)
        return json_null();
    reference = json_object();
    json_object_set_new(reference, "id", text_at(stmt, at));
    return reference;
}

/* Null when only its hash is kept, and when it does not open: somebody else's bytes stand where ours were. */
static json_t *secret_at(struct kg_store *store, sqlite3_stmt *stmt, int at, const char *id)
{
    const uint8_t *sealed = sqlite3_column_blob(stmt, at);
    size_t len = (size_t)sqlite3_column_bytes(stmt, at);
    char *secret;
    json_t *value = json_null();

    if (len == 0)
        return value;
    secret = kg_calloc(len + 1, 1);
    if (kg_vault_unseal(&store->vault, kg_slice_str(id), sealed, len, secret))
        value = json_stringn(secret, len - KG_SEAL_OVERHEAD);
    else
        kg_log(KG_LOG_ERROR, "the sealed key of %s in %s/keygate.db cannot be opened: it was changed", id,
               store->dir);
    kg_wipe(secret, len);
    free(secret);
    return value;
}

static json_t *remaining_at(sqlite3_stmt *stmt, int at)
{
    int64_t expires = sqlite3_column_int64(stmt, at), left = expires - kg_clock_wall();

    if (expires == 0)
        return json_null();
    /* Never 0: merged into a PATCH, that would mean for ever. */
    return json_integer(left > 0 ? left : 1);
}

static json_t *value_at(sqlite3_stmt *stmt, int at, const struct kg_field *field)
{
    if (sqlite3_column_type(stmt, at) == SQLITE_NULL)
        return json_null();
    switch (field->type) {
    case KG_F_TIMESTAMP:
    case KG_F_INTEGER:
        return json_integer(sqlite3_column_int64(stmt, at));
    case KG_F_BOOLEAN:
        return json_boolean(sqlite3_column_int(stmt, at));
    case KG_F_NUMBER:
        return json_real(sqlite3_column_double(stmt, at));
    case KG_F_FOREIGN:
        return reference_at(stmt, at);
    case KG_F_STRING_SET:
    case KG_F_FOREIGN_SET:
    case KG_F_INTEGER_SET:
    case KG_F_STRING_MAP:
    case KG_F_RECORD:
        return json_at(stmt, at);
    default:
        return text_at(stmt, at);
    }
}

json_t *kg_table_row(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_entity *entity)
{
    json_t *object = json_object();
    int at = 1; /* behind seq */

    for (const struct kg_field *field = entity->fields; field->name; field++) {
        const char *id = json_string_value(json_object_get(object, "id"));
        json_t *value;

        if (field->children)
            value = kg_children_list(store, entity, id);
        else if (field->secret)
            value = secret_at(store, stmt, at++, id);
        else if (field->lifetime)
            value = remaining_at(stmt, at++);
        else
            value = value_at(stmt, at++, field);
        json_object_set_new(object, field->name, value ? value : json_null());
    }
    return object;
}

const struct kg_field *kg_table_lifetime(const struct kg_entity *entity)
{
    for (const struct kg_field *field = entity->fields; field->name; field++)
        if (field->lifetime)
            return field;
    return NULL;
}
