/* SPDX-License-Identifier: BSD-2-Clause */
/* What the store's tests share: a state directory of their own, entities by one line, and a model that only
 * takes notes. */
#ifndef KG_TESTS_STORE_TEST_H
#define KG_TESTS_STORE_TEST_H

#include "base/mem.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define ID_A "11111111-1111-4111-8111-111111111111"
#define ID_B "22222222-2222-4222-8222-222222222222"
#define ID_C "33333333-3333-4333-8333-333333333333"
#define ID_D "44444444-4444-4444-8444-444444444444"

/* The notes: one line a call, in the order of the calls. */
struct kg_model {
    char notes[8192];
    uint8_t mac[32];
    size_t credentials, consumers;
};

static inline void note(struct kg_model *model, const char *fmt, ...)
{
    size_t used = strlen(model->notes);
    va_list args;

    va_start(args, fmt);
    vsnprintf(model->notes + used, sizeof(model->notes) - used, fmt, args);
    va_end(args);
}

void kg_model_put(struct kg_model *model, enum kg_entity_id entity, const json_t *object)
{
    note(model, "%s %.8s\n", kg_entities[entity].name, json_string_value(json_object_get(object, "id")));
}

void kg_model_load_credential(struct kg_model *model, const char *id, const char *consumer_id,
                              const uint8_t mac[32], int64_t expires_wall, const char *name)
{
    model->credentials++;
    memcpy(model->mac, mac, 32);
    note(model, "credential %.8s of %.8s %s\n", id, consumer_id, expires_wall ? "expires" : "stays");
}

void kg_model_load_consumer(struct kg_model *model, const char *id, const char *username,
                            const char *custom_id)
{
    model->consumers++;
    note(model, "consumer %.8s %s %s\n", id, username ? username : "-", custom_id ? custom_id : "-");
}

void kg_model_load_group(struct kg_model *model, const char *id, const char *consumer_id, const char *group)
{
    note(model, "group %.8s of %.8s %s\n", id, consumer_id, group);
}

void kg_model_load_end(struct kg_model *model)
{
    note(model, "loaded\n");
}

struct fixture {
    char dir[64];
    struct kg_store *store;
};

static inline struct kg_store *open_store(const char *dir)
{
    struct kg_store *store = NULL;
    struct kg_error err = { "" };
    int rc = kg_store_open(dir, &store, &err);

    if (rc)
        fail_msg("%s", err.text);
    return store;
}

static inline int set_up(void **state)
{
    struct fixture *fixture = kg_calloc(1, sizeof(*fixture));

    snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/kg-store-XXXXXX");
    if (!mkdtemp(fixture->dir))
        return -1;
    *state = fixture;
    return 0;
}

static inline int set_up_open(void **state)
{
    int rc = set_up(state);
    struct fixture *fixture = *state;

    if (rc == 0)
        fixture->store = open_store(fixture->dir);
    return rc;
}

static inline void remove_dir(const char *dir)
{
    DIR *entries = opendir(dir);
    struct dirent *entry;

    while (entries && (entry = readdir(entries)) != NULL)
        unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
    rmdir(dir);
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;

    kg_store_close(fixture->store);
    remove_dir(fixture->dir);
    free(fixture);
    return 0;
}

static inline void reopen(struct fixture *fixture)
{
    kg_store_close(fixture->store);
    fixture->store = open_store(fixture->dir);
}

/* SQL past the store, by a connection of its own. */
static inline void exec(struct fixture *f, const char *sql)
{
    char path[128], *message = NULL;
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/keygate.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_close(db);
}

/* Whether these bytes are in any file of the state directory. */
static inline bool is_on_disk(struct fixture *f, const void *needle, size_t len)
{
    static char content[8 << 20];
    DIR *entries = opendir(f->dir);
    struct dirent *entry;
    bool found = false;

    assert_non_null(entries);
    while ((entry = readdir(entries)) != NULL) {
        int fd = openat(dirfd(entries), entry->d_name, O_RDONLY);
        ssize_t got = read(fd, content, sizeof(content));

        close(fd);
        assert_true(got < (ssize_t)sizeof(content));
        found |= got > 0 && memmem(content, (size_t)got, needle, len) != NULL;
    }
    closedir(entries);
    return found;
}

/* The whole entity that the schema makes of this input; takes the input over. */
static inline json_t *entity_of_json(enum kg_entity_id entity, json_t *input)
{
    json_t *result = NULL, *problem = NULL;

    assert_non_null(input);
    if (kg_schema_apply(&kg_entities[entity], KG_WRITE_CREATE, input, NULL, &result, &problem))
        fail_msg("%s", json_string_value(json_object_get(problem, "message")));
    json_decref(input);
    return result;
}

static inline json_t *entity_of(enum kg_entity_id entity, const char *input)
{
    return entity_of_json(entity, json_loads(input, 0, NULL));
}

/* Puts it and says how that went; *problem may be NULL when the caller expects none. Takes the input over. */
static inline int put_json(struct kg_store *store, enum kg_entity_id entity, json_t *input, json_t **problem)
{
    json_t *object = entity_of_json(entity, input), *found = NULL;
    struct kg_error err = { "" };
    int rc = kg_store_put(store, entity, object, &found, &err);

    if (rc == -EIO)
        fail_msg("%s", err.text);
    if (problem)
        *problem = found;
    else
        json_decref(found);
    json_decref(object);
    return rc;
}

static inline int put(struct kg_store *store, enum kg_entity_id entity, const char *input, json_t **problem)
{
    return put_json(store, entity, json_loads(input, 0, NULL), problem);
}

static inline void assert_message(json_t *problem, int code, const char *message)
{
    assert_non_null(problem);
    assert_string_equal(json_string_value(json_object_get(problem, "message")), message);
    assert_int_equal(json_integer_value(json_object_get(problem, "code")), code);
    json_decref(problem);
}

static inline int delete (struct kg_store *store, enum kg_entity_id entity, const char *id, json_t **problem)
{
    struct kg_error err = { "" };
    json_t *found = NULL;
    int rc = kg_store_delete(store, entity, id, &found, &err);

    if (rc == -EIO)
        fail_msg("%s", err.text);
    if (problem)
        *problem = found;
    else
        json_decref(found);
    return rc;
}

static inline bool is_there(struct kg_store *store, enum kg_entity_id entity, const char *id)
{
    json_t *object = kg_store_get(store, entity, id);

    json_decref(object);
    return object != NULL;
}

#endif
