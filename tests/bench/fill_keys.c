/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills a state folder with consumers u0, u1, … and a key for each, one for each line of standard input: what
 * the Admin API would write, in one transaction. With ROUTES, so many routes /r/0/, /r/1/, … to a service at
 * PORT of 127.0.0.1, and key-auth, as well. Usage: fill_keys FOLDER [ROUTES PORT] <KEYS
 */
#include "policy/policy.h"
#include "store/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_ROOM 256
/* In KiB: the indexes of a million random ids and keys, which are written all over. */
#define CACHE "PRAGMA cache_size = -1000000"

static void fail(const char *why)
{
    fprintf(stderr, "fill_keys: %s\n", why);
    exit(EXIT_FAILURE);
}

static sqlite3_stmt *prepare(struct kg_store *store, enum kg_entity_id entity)
{
    struct kg_error err = { "" };
    struct kg_sql sql;

    kg_table_upsert(&sql, &kg_entities[entity]);
    sqlite3_stmt *stmt = kg_sql_prepare(store, &sql, &err);
    if (!stmt)
        fail(err.text);
    return stmt;
}

/* Takes over input; the id of what was made goes into id. */
static void put(struct kg_store *store, sqlite3_stmt *stmt, enum kg_entity_id entity, json_t *input,
                char id[KG_UUID_TEXT])
{
    const struct kg_entity *table = &kg_entities[entity];
    json_t *object = NULL, *problem = NULL;

    if (!input || kg_schema_apply(table, KG_WRITE_CREATE, input, NULL, &object, &problem) < 0)
        fail("an entity is not as the schema wants it");
    kg_table_bind(store, stmt, table, object, 0);
    if (sqlite3_step(stmt) != SQLITE_DONE)
        fail("the database refused an entity");
    sqlite3_reset(stmt);
    snprintf(id, KG_UUID_TEXT, "%s", json_string_value(json_object_get(object, "id")));
    json_decref(object);
    json_decref(input);
}

static void fill_routes(struct kg_store *store, unsigned long routes, int port)
{
    sqlite3_stmt *services = prepare(store, KG_SERVICES), *plugins = prepare(store, KG_PLUGINS);
    sqlite3_stmt *paths = prepare(store, KG_ROUTES);
    char path[32], service[KG_UUID_TEXT], id[KG_UUID_TEXT];

    kg_policies_register();
    put(store, services, KG_SERVICES, json_pack("{sssssi}", "name", "up", "host", "127.0.0.1", "port", port),
        service);
    put(store, plugins, KG_PLUGINS, json_pack("{ss}", "name", "key-auth"), id);
    for (unsigned long i = 0; i < routes; i++) {
        snprintf(path, sizeof(path), "/r/%lu/", i);
        put(store, paths, KG_ROUTES,
            json_pack("{s{ss}s[s]sb}", "service", "id", service, "paths", path, "strip_path", 0), id);
    }
    sqlite3_finalize(services);
    sqlite3_finalize(plugins);
    sqlite3_finalize(paths);
}

static void fill(struct kg_store *store)
{
    sqlite3_stmt *consumers = prepare(store, KG_CONSUMERS), *keys = prepare(store, KG_KEYAUTH_CREDENTIALS);
    char line[LINE_ROOM], name[32], consumer[KG_UUID_TEXT], key[KG_UUID_TEXT];

    for (unsigned long count = 0; fgets(line, sizeof(line), stdin); count++) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, sizeof(name), "u%lu", count);
        put(store, consumers, KG_CONSUMERS, json_pack("{ss}", "username", name), consumer);
        put(store, keys, KG_KEYAUTH_CREDENTIALS,
            json_pack("{s{ss}ss}", "consumer", "id", consumer, "key", line), key);
    }
    sqlite3_finalize(consumers);
    sqlite3_finalize(keys);
}

int main(int argc, char **argv)
{
    struct kg_error err = { "" };
    struct kg_store *store;

    if (argc != 2 && argc != 4)
        fail("usage: fill_keys FOLDER [ROUTES PORT] <KEYS");
    if (kg_store_open(argv[1], &store, &err) < 0 || kg_db_exec(store, CACHE, &err) < 0 ||
        kg_db_begin(store, &err) < 0)
        fail(err.text);
    if (argc == 4)
        fill_routes(store, strtoul(argv[2], NULL, 10), (int)strtoul(argv[3], NULL, 10));
    fill(store);
    if (kg_db_end(store, 0, &err) < 0)
        fail(err.text);
    kg_store_close(store);
    return EXIT_SUCCESS;
}
