/* SPDX-License-Identifier: BSD-2-Clause */
/* One transaction in which the database becomes what the files say. */
#include "store/declare.h"
#include "store/declaring.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/json.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

/* KiB of pages that SQLite keeps for the time of a sync: indexes over random ids are all over the file. */
#define CACHE      "PRAGMA cache_size = -131072"
#define CACHE_BACK "PRAGMA cache_size = -2000"

#define BULK_FROM    1000 /* entities of a kind that was not there: less than this is not worth the trouble */
#define BUDGET_TIMES 4    /* so much more than the text may its values be, aliases followed */

static bool stopped(const struct kg_declaring *d)
{
    return d->rc != 0 || d->result->errors_left_out > 0;
}

void kg_declare_disk(struct kg_declaring *d, const char *doing)
{
    if (d->rc == 0)
        d->rc = kg_db_error(d->store, d->err, doing);
}

/* ---- one entity ---- */

/* What the schema has just made at random: stays what it was before. What names the entity must be given. */
static bool check_generated(struct kg_declaring *d, const struct kg_entity *entity,
                            const struct kg_declare_where *where, const json_t *input, json_t *whole,
                            const json_t *old)
{
    struct kg_declare_where at = *where;

    for (const struct kg_field *field = entity->fields; field->name; field++) {
        if (!field->generated || kg_json_given(input, field->name))
            continue;
        /* Null where only its hash is kept: then that stays. */
        if (kg_json_given(old, field->name) || (old && field->by_hash)) {
            json_object_set(whole, field->name, json_object_get(old, field->name));
            continue;
        }
        if (!entity->endpoint_key || strcmp(entity->endpoint_key, field->name) != 0)
            continue;
        at.field = field->name;
        kg_declare_error(d, &at, "required field missing");
        return false;
    }
    return true;
}

/*
 * The moment it ends: its lifetime counts from its creation, so that a file says the same each time it is
 * read. What is within a second of the stored moment is that moment.
 */
static int64_t end_of(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                      int64_t before)
{
    const struct kg_field *field = kg_table_lifetime(entity);
    json_int_t ttl = field ? json_integer_value(json_object_get(whole, field->name)) : 0, expires;

    if (ttl <= 0)
        return 0;
    if (__builtin_add_overflow(json_integer_value(json_object_get(whole, "created_at")), ttl, &expires))
        expires = INT64_MAX;
    return before > 0 && expires - before >= -1 && expires - before <= 1 ? before : expires;
}

static bool same_value(const struct kg_field *field, const json_t *a, const json_t *b)
{
    if (field->type == KG_F_NUMBER && json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

/* Of a secret that is stored as its hash alone, which shows as null. */
static bool same_hash(struct kg_declaring *d, const struct kg_entity *entity, const struct kg_field *field,
                      const json_t *whole)
{
    char id[KG_UUID_TEXT];

    if (!kg_json_given(whole, field->name))
        return true;
    return kg_rows_find(d, entity, field, whole, id) &&
           strcmp(id, json_string_value(json_object_get(whole, "id"))) == 0;
}

static bool is_same(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                    const json_t *old)
{
    for (const struct kg_field *field = entity->fields; field->name; field++) {
        if (field->children || field->lifetime || strcmp(field->name, "updated_at") == 0)
            continue;
        if (field->by_hash && !kg_json_given(old, field->name)) {
            if (!same_hash(d, entity, field, whole))
                return false;
            continue;
        }
        if (!same_value(field, json_object_get(whole, field->name), json_object_get(old, field->name)))
            return false;
    }
    return true;
}

/* Of what is unique only together: the one that may be anything for a while. A reference must lead somewhere.
 */
static const char *movable(const struct kg_entity *entity)
{
    size_t i = 0;

    while (kg_entity_field(entity, entity->unique_together[i])->type == KG_F_FOREIGN)
        i++;
    return entity->unique_together[i];
}

/* Takes a value away from a stored entity that will get another one later in this sync, or will be gone. */
static bool evict(struct kg_declaring *d, const struct kg_entity *entity, const struct kg_field *field,
                  const char *id)
{
    const char *name = field ? field->name : movable(entity);
    json_t *row = kg_rows_get(d, entity, id), *values = json_object_get(d->evicted, id);
    char column[80];

    if (!values) {
        values = json_object();
        json_object_set_new(d->evicted, id, values);
    }
    if (!json_object_get(values, name))
        json_object_set(values, name, json_object_get(row, name));
    json_decref(row);
    snprintf(column, sizeof(column), "%s%s", name, field && field->by_hash ? "_mac" : "");
    return kg_rows_vacate(d, entity, column, id) == 0;
}

/* The stored entity; NULL when there is none. What was taken from it in this sync is put back into the
 * picture. */
static json_t *stored(struct kg_declaring *d, const struct kg_entity *entity, const char *id)
{
    uint8_t bytes[16];
    json_t *row;

    kg_id_parse(id, bytes);
    if (d->fresh[entity->id] && !kg_id_set_has(&d->seen[entity->id], bytes))
        return NULL;
    row = kg_rows_get(d, entity, id);
    if (row)
        json_object_update(row, json_object_get(d->evicted, id));
    return row;
}

static void refuse_double(struct kg_declaring *d, const struct kg_declare_where *where,
                          const struct kg_entity *entity, const char *key, const json_t *whole)
{
    const struct kg_field *field = key ? kg_entity_field(entity, key) : NULL;
    struct kg_declare_where at = *where;

    at.field = key;
    if (!field)
        kg_declare_error(d, &at, "uniqueness violation: the same '%s' entity is already declared",
                         entity->name);
    else if (field->secret)
        kg_declare_error(d, &at, "uniqueness violation: '%s' entity with this %s already declared",
                         entity->name, key);
    else
        kg_declare_error(d, &at, "uniqueness violation: '%s' entity with %s set to '%s' already declared",
                         entity->name, strcmp(key, "id") == 0 ? "primary key" : key,
                         json_string_value(json_object_get(whole, key)));
}

/* Something has a value that must be unique. True: it has given it up. */
static bool make_room(struct kg_declaring *d, const struct kg_declare_where *where,
                      const struct kg_entity *entity, const json_t *whole)
{
    struct kg_declare_where at = *where;
    const struct kg_field *field;
    char id[KG_UUID_TEXT];
    uint8_t bytes[16];

    if (!kg_declare_rival(d, entity, whole, id, &field)) {
        kg_declare_disk(d, "write");
        return false;
    }
    kg_id_parse(id, bytes);
    if (kg_id_set_has(&d->seen[entity->id], bytes)) {
        refuse_double(d, where, entity, field ? field->name : NULL, whole);
        return false;
    }
    if (!kg_declare_stays(d, entity, id))
        return evict(d, entity, field, id);
    at.field = field ? field->name : NULL;
    kg_declare_error(d, &at, "is what an entity has that does not carry the selected tags (%s)", id);
    return false;
}

static bool write_whole(struct kg_declaring *d, const struct kg_declare_where *where,
                        const struct kg_entity *entity, const json_t *whole, int64_t expires, bool new)
{
    int rc = new ? kg_rows_insert(d, entity, whole, expires) : kg_rows_put(d, entity, whole, expires);

    /* Each time round, something has given up one of the few values that must be unique. */
    while (rc == SQLITE_CONSTRAINT && make_room(d, where, entity, whole))
        rc = kg_rows_put(d, entity, whole, expires);
    if (rc != 0 && rc != SQLITE_CONSTRAINT)
        kg_declare_disk(d, "write");
    return rc == 0;
}

/* What the daemon notes as it goes is no file's to say. */
static void keep_observed(const struct kg_entity *entity, json_t *whole, const json_t *old)
{
    for (const struct kg_field *field = entity->fields; field->name; field++)
        if (field->observed && old)
            json_object_set(whole, field->name, json_object_get(old, field->name));
}

static void show_lifetime(struct kg_declaring *d, const struct kg_entity *entity, json_t *old, int64_t before)
{
    const struct kg_field *field = kg_table_lifetime(entity);
    json_int_t created = json_integer_value(json_object_get(old, "created_at"));

    if (field && before > 0)
        json_object_set_new(old, field->name, json_integer(before - created));
}

/* Compares with what is stored, and writes what differs. */
static bool put(struct kg_declaring *d, const struct kg_declare_where *where, const struct kg_entity *entity,
                const json_t *input, json_t *whole)
{
    const char *id = json_string_value(json_object_get(whole, "id"));
    json_t *old = stored(d, entity, id);
    bool lives = kg_table_lifetime(entity) != NULL, good = true;
    int64_t before = old && lives ? kg_rows_expiry(d, entity, id) : 0, expires;

    if (old && !kg_rows_selected(d, json_object_get(old, "tags"))) {
        kg_declare_error(d, where, "is there already, but without the selected tags");
        good = false;
    }
    if (old && !kg_json_given(input, "created_at"))
        json_object_set(whole, "created_at", json_object_get(old, "created_at"));
    keep_observed(entity, whole, old);
    good = good && check_generated(d, entity, where, input, whole, old);
    expires = end_of(d, entity, whole, before);
    /* What has ended is not there. */
    if (good && (expires == 0 || expires > d->now)) {
        uint8_t bytes[16];

        kg_id_parse(id, bytes);
        kg_id_set_add(&d->seen[entity->id], bytes);
        if (!old || before != expires || !is_same(d, entity, whole, old)) {
            good = write_whole(d, where, entity, whole, expires, !old);
            if (old)
                show_lifetime(d, entity, old, before);
            if (good)
                kg_declare_changed(d, old ? KG_UPDATED : KG_CREATED, entity, whole, old);
        }
    }
    json_decref(old);
    return good;
}

/* By which others may refer to it. */
static void note_failed(struct kg_declaring *d, const struct kg_entity *entity,
                        const struct kg_declare_where *where)
{
    const struct kg_yaml *map = kg_yaml_real(where->node);
    const char *const keys[] = { "id", entity->endpoint_key };
    json_t *names = json_object_get(d->failed, entity->name);

    if (!names) {
        names = json_object();
        json_object_set_new(d->failed, entity->name, names);
    }
    for (size_t i = 0; i < 2 && map->kind == KG_YAML_MAP; i++) {
        const struct kg_yaml *key = keys[i] ? kg_yaml_find(map, kg_slice_str(keys[i])) : NULL;
        const struct kg_yaml *value = key ? kg_yaml_real(key->next) : NULL;

        if (value && value->kind == KG_YAML_SCALAR)
            json_object_set_new(names, value->text, json_true());
    }
}

/* For errors: its endpoint key, or the name of a plugin. */
static const char *name_in_file(const struct kg_entity *entity, const struct kg_yaml *node)
{
    const char *field = entity->id == KG_PLUGINS ? "name" : entity->endpoint_key;
    const struct kg_yaml *key, *value;

    node = kg_yaml_real(node);
    if (node->kind != KG_YAML_MAP || !field || kg_entity_field(entity, field)->secret)
        return NULL;
    key = kg_yaml_find(node, kg_slice_str(field));
    value = key ? kg_yaml_real(key->next) : NULL;
    return value && value->kind == KG_YAML_SCALAR ? value->text : NULL;
}

static bool check_whole(struct kg_declaring *d, const struct kg_declare_where *where,
                        const struct kg_entity *entity, json_t *input, json_t **whole)
{
    json_t *problem = NULL;

    if (kg_schema_apply(entity, KG_WRITE_CREATE, input, NULL, whole, &problem) == 0)
        return true;
    kg_declare_violations(d, where, json_object_get(problem, "fields"));
    json_decref(problem);
    return false;
}

static bool identify(struct kg_declaring *d, const struct kg_declare_where *where,
                     const struct kg_entity *entity, const json_t *input, json_t *whole,
                     struct kg_declared *declared)
{
    char id[KG_UUID_TEXT];
    const char *key;

    if (kg_declare_match(d, entity, whole, kg_json_given(input, "id"), id, &key) == -EEXIST) {
        refuse_double(d, where, entity, key, whole);
        return false;
    }
    json_object_set_new(whole, "id", json_string(id));
    kg_id_parse(id, declared->id);
    return true;
}

static void take(struct kg_declaring *d, const struct kg_entity *entity, struct kg_declared *declared)
{
    const struct kg_declare_where where = { .file = declared->file,
                                            .node = declared->node,
                                            .entity = entity,
                                            .name = name_in_file(entity, declared->node),
                                            .whole = declared->node };
    json_t *input = kg_declare_input(d, entity, declared, &where), *whole = NULL;
    bool good = input && check_whole(d, &where, entity, input, &whole);

    /* What hangs from something broken has been looked at, but cannot be written. */
    if (good && !declared->broken)
        good = identify(d, &where, entity, input, whole, declared) && put(d, &where, entity, input, whole);
    declared->broken = declared->broken || !good;
    if (declared->broken)
        note_failed(d, entity, &where);
    json_decref(input);
    json_decref(whole);
}

/* ---- what is not in the files ---- */

static void refuse_delete(struct kg_declaring *d, const struct kg_entity *entity, const char *id,
                          json_t *problem)
{
    const struct kg_declare_where where = { .file = 0, .entity = entity, .name = id };

    if (problem)
        kg_declare_error(d, &where, "cannot be deleted: %s",
                         json_string_value(json_object_get(problem, "message")));
    json_decref(problem);
}

static void tell_children(struct kg_declaring *d, const struct kg_entity *child, const struct kg_field *link,
                          const char *parent)
{
    uint8_t(*ids)[16];
    size_t count = kg_rows_children(d, child, link, parent, &ids);

    for (size_t i = 0; i < count && !stopped(d); i++) {
        char id[KG_UUID_TEXT];
        json_t *row;

        kg_id_text(ids[i], id);
        row = stored(d, child, id);
        if (row)
            kg_declare_changed(d, KG_DELETED, child, row, NULL);
        json_decref(row);
    }
    free(ids);
}

/* What goes with it though it does not carry the selected tags: whoever asks for the difference shall see it.
 * Nothing that goes with its parent has children of its own. */
static void tell_cascade(struct kg_declaring *d, const struct kg_entity *entity, const char *id)
{
    for (size_t i = 0; json_array_size(d->tags) > 0 && i < KG_ENTITIES; i++) {
        for (const struct kg_field *field = kg_entities[i].fields; field->name; field++)
            if (field->type == KG_F_FOREIGN && field->cascade && field->reference == entity->id)
                tell_children(d, &kg_entities[i], field, id);
    }
}

static void remove_one(struct kg_declaring *d, const struct kg_entity *entity, const uint8_t bytes[16])
{
    char id[KG_UUID_TEXT];
    json_t *row, *problem = NULL;
    int rc;

    kg_id_text(bytes, id);
    row = stored(d, entity, id);
    /* It may have gone with its parent. */
    if (!row)
        return;
    tell_cascade(d, entity, id);
    kg_declare_changed(d, KG_DELETED, entity, row, NULL);
    json_decref(row);
    rc = kg_write_check_delete(d->store, entity, id, &problem, d->err);
    if (rc == -EIO)
        d->rc = rc;
    if (rc != 0)
        refuse_delete(d, entity, id, problem);
    else if (kg_rows_delete(d, entity, id) != 0)
        kg_declare_disk(d, "delete");
}

static void remove_rest(struct kg_declaring *d, const struct kg_entity *entity)
{
    uint8_t(*ids)[16];
    size_t count;

    if (d->fresh[entity->id])
        return;
    count = kg_rows_list(d, entity, &ids);
    for (size_t i = 0; i < count && !stopped(d); i++)
        if (!kg_id_set_has(&d->seen[entity->id], ids[i]))
            remove_one(d, entity, ids[i]);
    free(ids);
}

/* ---- all of it ---- */

static void note_rc(struct kg_declaring *d, int rc)
{
    if (d->rc == 0)
        d->rc = rc;
}

static void sync_kind(struct kg_declaring *d, const struct kg_entity *entity)
{
    struct kg_declared_list *list = &d->lists[entity->id];
    bool bulk;

    if (d->rc == 0)
        note_rc(d, kg_write_purge_expired(d->store, entity, d->err));
    d->fresh[entity->id] = list->count > 0 && !kg_rows_any(d, entity);
    bulk = d->fresh[entity->id] && list->count >= BULK_FROM;
    if (bulk && d->rc == 0)
        note_rc(d, kg_bulk_begin(d->store, entity, d->err));
    for (size_t at = 0; at < list->count && !stopped(d); at++)
        take(d, entity, &list->items[at]);
    /* After errors all of it is taken back anyway. */
    if (bulk && d->rc == 0 && !kg_declare_failed(d))
        note_rc(d, kg_bulk_end(d->store, entity, d->err));
}

static void sync_all(struct kg_declaring *d)
{
    enum kg_entity_id order[KG_ENTITIES];

    kg_declare_order(order);
    for (size_t i = 0; i < KG_ENTITIES; i++)
        sync_kind(d, &kg_entities[order[i]]);
    /* A file with errors says nothing about what is not in it. */
    for (size_t i = KG_ENTITIES; i-- > 0 && !stopped(d) && !kg_declare_failed(d);)
        remove_rest(d, &kg_entities[order[i]]);
}

/* All in one transaction, which has been begun. */
static int run_inside(struct kg_declaring *d)
{
    int rc;

    sync_all(d);
    kg_rows_close(d);
    rc = d->rc;
    if (rc == 0 && (kg_declare_failed(d) || d->request->dry_run))
        rc = -ECANCELED; /* rolls back */
    rc = kg_db_end(d->store, rc, d->err);
    if (rc == -ECANCELED)
        rc = kg_declare_failed(d) ? -EINVAL : 0;
    return rc;
}

static int run(struct kg_declaring *d)
{
    int rc = kg_db_exec(d->store, CACHE, d->err);

    if (rc == 0)
        rc = kg_db_begin(d->store, d->err);
    if (rc == 0)
        rc = run_inside(d);
    kg_db_exec(d->store, CACHE_BACK, NULL);
    sqlite3_db_release_memory(d->store->db);
    return rc;
}

static void clean_up(struct kg_declaring *d)
{
    for (size_t i = 0; i < d->request->file_count; i++) {
        kg_yaml_free(&d->files[i].tree);
        json_decref(d->files[i].defaults);
    }
    for (size_t i = 0; i < KG_ENTITIES; i++) {
        free(d->lists[i].items);
        kg_id_set_free(&d->seen[i]);
        kg_id_set_free(&d->reserved[i]);
    }
    free(d->files);
    free(d->flattened);
    json_decref(d->configs);
    json_decref(d->tags);
    json_decref(d->failed);
    json_decref(d->evicted);
    EVP_MD_CTX_free(d->digest);
    EVP_MD_free(d->sha1);
    free(d);
}

int kg_declare(struct kg_store *store, const struct kg_declare_request *request,
               struct kg_declare_result *result, struct kg_error *err)
{
    struct kg_declaring *d = kg_calloc(1, sizeof(*d));
    int rc;

    KG_ASSERT(request->file_count > 0 && request->file_count <= UINT16_MAX);
    *result =
        (struct kg_declare_result){ .changes = json_array(), .errors = json_array(), .names = json_array() };
    result->flattened = request->flatten ? json_array() : NULL;
    d->store = store;
    d->request = request;
    d->result = result;
    d->err = err;
    d->files = kg_calloc(request->file_count, sizeof(*d->files));
    d->configs = json_object();
    d->tags = request->select_tags ? json_copy((json_t *)(uintptr_t)request->select_tags) : json_array();
    d->failed = json_object();
    d->evicted = json_object();
    d->budget = request->limit * BUDGET_TIMES;
    d->now = kg_clock_wall();
    kg_declare_read(d);
    rc = run(d);
    kg_declare_sort_errors(d);
    clean_up(d);
    return rc;
}
