/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the store room: what its files share. Control thread only. */
#ifndef KG_STORE_INTERNAL_H
#define KG_STORE_INTERNAL_H

#include "base/writer.h"
#include "store/store.h"

#include <sqlite3.h>

#define KG_STORE_VERSION 7
#define KG_SQL_MAX       4096

#define KG_STORE_BUSY_MS 2000 /* a backup by sqlite3(1) may hold the write lock for a moment */

#define KG_DB_FILE    "keygate.db"
#define KG_MASTER_LEN 32

/*
 * What keys are sealed and found with; the master key itself is not kept. The index key outlives master keys,
 * since a hash of a key cannot be made anew without the key: it lies in the database, sealed like a secret.
 */
struct kg_vault {
    uint8_t seal_key[32];  /* AES-256-GCM of keys at rest; from the master key */
    uint8_t index_key[32]; /* HMAC-SHA-256 that finds them */
    uint8_t check[32];     /* kept in the database: tells a wrong master key at once; from the master key */
    struct kg_vault_tools *tools; /* made by kg_vault_derive; one user at a time */
};

/* The file of the master key. */
struct kg_master {
    char *dir, *path; /* path: as it was given, for messages */
    const char *name; /* the last part of path */
    char *next;       /* the name of the one that will take its place */
    int dir_fd;
};

struct kg_store {
    char *dir; /* as given, for messages */
    int dir_fd, lock_fd;
    sqlite3 *db;
    struct kg_master master;
    struct kg_vault vault;
    bool hashed;     /* of secrets that are found by their hash, nothing but that is kept */
    bool unreadable; /* the last read failed */
    struct kg_statements *statements;
    bool rehearsing; /* no write is committed */
};

/* Every subkey that a master key yields; its index key is that of databases before version 6. Into a vault
 * that holds nothing; to be closed. */
void kg_vault_derive(struct kg_vault *vault, const uint8_t master[KG_MASTER_LEN]);
/* Afterwards it holds nothing. One of all zeros does so already. */
void kg_vault_close(struct kg_vault *vault);
/* Closes the vault and puts what is in the other one into its place. */
void kg_vault_replace(struct kg_vault *vault, struct kg_vault *with);

/* master.c. path NULL: master.key in the state directory. 0 or a negative errno with a sentence; to be closed
 * also then. */
int kg_master_open(struct kg_master *master, const char *state_dir, const char *path, struct kg_error *err);
void kg_master_close(struct kg_master *master);
/* The key that is there: -ENOENT when none is. */
int kg_master_read(const struct kg_master *master, uint8_t key[KG_MASTER_LEN], struct kg_error *err);
/* A new one where none is, on disk before it returns. */
int kg_master_make(const struct kg_master *master, uint8_t key[KG_MASTER_LEN], struct kg_error *err);
/*
 * A change of the key, so that it can be broken off anywhere: the next one is made beside the one that is
 * there, and takes its place once the database is sealed under it. read_next is -ENOENT when no change is
 * under way.
 */
int kg_master_make_next(const struct kg_master *master, uint8_t key[KG_MASTER_LEN], struct kg_error *err);
int kg_master_read_next(const struct kg_master *master, uint8_t key[KG_MASTER_LEN], struct kg_error *err);
int kg_master_take_next(const struct kg_master *master, struct kg_error *err);
void kg_master_drop_next(const struct kg_master *master);

/* keys.c: reads the master key, or makes it when there is no database yet, into store->vault. */
int kg_keys_read(struct kg_store *store, bool database_exists, struct kg_error *err);
/* Whether the database is sealed under this vault: 0, -EKEYREJECTED or -EIO, with a sentence. */
int kg_keys_match(struct kg_store *store, const struct kg_vault *vault, struct kg_error *err);
/* The same of store->vault; where a change of the master key has been broken off, ends it or takes it back.
 */
int kg_keys_settle(struct kg_store *store, struct kg_error *err);
/* Inside a transaction: what tells the master key, and the index key sealed under it, into the database. */
int kg_keys_write(struct kg_store *store, const struct kg_vault *vault, struct kg_error *err);
/* Inside a transaction: the index key of a database before version 6, which came from the master key, becomes
 * a secret of its own. */
int kg_keys_adopt_index(struct kg_store *store, struct kg_error *err);
/* The index key out of the database. */
int kg_keys_load_index(struct kg_store *store, struct kg_error *err);

/* at_rest.c: where nothing but hashes is to be kept, drops the seals of before. */
int kg_at_rest_settle(struct kg_store *store, struct kg_error *err);
/* Binds the stored MAC and seal of the entity with this id at `at` and behind it: for a write that does not
 * name the secret. */
void kg_at_rest_keep(struct kg_store *store, sqlite3_stmt *stmt, int at, const struct kg_entity *entity,
                     const struct kg_field *field, struct kg_slice id);

/* scrub.c: what was written over or deleted leaves no bytes behind, even when it is broken off: mark inside
 * the transaction that leaves something, run after it. A start runs what was marked and not done. */
int kg_scrub_mark(struct kg_store *store, struct kg_error *err);
int kg_scrub_run(struct kg_store *store, struct kg_error *err);

/* meta.c: named values of the database as a whole. */
int kg_meta_put(struct kg_store *store, const char *name, const void *value, size_t len,
                struct kg_error *err);
/* 0 and up to cap bytes in value, -ENOENT, -EIO with a sentence. */
int kg_meta_get(struct kg_store *store, const char *name, void *value, size_t cap, size_t *len,
                struct kg_error *err);
int kg_meta_drop(struct kg_store *store, const char *name, struct kg_error *err);

/* A sealed secret: version (1), nonce (12), ciphertext, tag (16). It opens only under the id it was sealed
 * for. */
#define KG_SEAL_OVERHEAD 29
void kg_vault_seal(const struct kg_vault *vault, struct kg_slice id, struct kg_slice secret, uint8_t *out);
/* Into out, which has room for sealed_len - KG_SEAL_OVERHEAD bytes. False when it was changed or sealed
 * otherwise. */
bool kg_vault_unseal(const struct kg_vault *vault, struct kg_slice id, const uint8_t *sealed,
                     size_t sealed_len, char *out);
void kg_vault_mac(const struct kg_vault *vault, struct kg_slice secret, uint8_t mac[32]);

/* SQL text of at most KG_SQL_MAX bytes; what is in it comes from the schema, values are bound. */
struct kg_sql {
    char text[KG_SQL_MAX];
    struct kg_writer w;
};
/* Starts an SQL text, goes on with it. */
void kg_sql_start(struct kg_sql *sql, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void kg_sql_add(struct kg_sql *sql, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The compiled statement; the caller finalizes it. NULL with *err set when SQLite refuses. */
sqlite3_stmt *kg_sql_prepare(struct kg_store *store, struct kg_sql *sql, struct kg_error *err);

/*
 * statements.c: the same, but kept compiled for the next time. To be given back by kg_sql_done, never
 * finalized; what is bound stays alive until then.
 */
sqlite3_stmt *kg_sql_borrow(struct kg_store *store, struct kg_sql *sql, struct kg_error *err);
/* Gives back a borrowed statement; finalizes one that was prepared. */
void kg_sql_done(struct kg_store *store, sqlite3_stmt *stmt);
void kg_statements_free(struct kg_store *store);

/* -EIO, with what SQLite says about the last failure. */
int kg_db_error(struct kg_store *store, struct kg_error *err, const char *doing);
int kg_db_exec(struct kg_store *store, const char *sql, struct kg_error *err);
/* Before anything is changed: is it ours, and do we understand it? *version 0 = empty, to be filled. */
int kg_db_version(struct kg_store *store, int64_t *version, struct kg_error *err);
int kg_db_begin(struct kg_store *store, struct kg_error *err);
/* Commits when rc is 0, else rolls back and returns rc. */
int kg_db_end(struct kg_store *store, int rc, struct kg_error *err);
/*
 * For what the daemon notes by itself: between the two, a commit is in the page cache alone (it survives
 * kill -9, not power loss), and a lock that another program holds is not waited for. rc is what was done in
 * between; a failure of the second takes its place when that was none.
 */
int kg_db_hurry(struct kg_store *store, struct kg_error *err);
int kg_db_settle(struct kg_store *store, int rc, struct kg_error *err);
/* Steps a statement that returns no rows, and is done with it. */
int kg_db_run(struct kg_store *store, sqlite3_stmt *stmt, struct kg_error *err, const char *doing);

/* The columns of an entity's table, made from its schema. */
void kg_table_create(struct kg_sql *sql, const struct kg_entity *entity);
/* Adds a column that an older database lacks; its rows get the field's default. Indexes are made anew by
 * kg_table_index, which passes over those that are there. */
void kg_table_add_column(struct kg_sql *sql, const struct kg_entity *entity, const struct kg_field *field);
/* One index for each foreign field, lifetime and unique_together: the i-th statement, or false past the last.
 */
bool kg_table_index(struct kg_sql *sql, const struct kg_entity *entity, size_t i);
/*
 * bulk.c: what many rows make slow is taken away from a table that is empty, and put back when it is full:
 * indexes that are no constraint, which are made faster at once than row by row, and triggers, for which
 * SQLite copies each page before it changes it. Both inside the transaction that fills it.
 */
int kg_bulk_begin(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err);
int kg_bulk_end(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err);
/* store.c: all that kg_table_index lists and is not there. */
int kg_create_indexes(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err);
/* "seq", "a", "b", …: what kg_table_row reads. */
void kg_table_select(struct kg_sql *sql, const struct kg_entity *entity);
/* INSERT with one parameter for each column. */
void kg_table_insert(struct kg_sql *sql, const struct kg_entity *entity);
/* INSERT … ON CONFLICT(id) DO UPDATE with one parameter for each column. */
void kg_table_upsert(struct kg_sql *sql, const struct kg_entity *entity);
/* Binds an entity to the parameters of these two. expires: the moment for the lifetime field, 0 = never. */
void kg_table_bind(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_entity *entity,
                   const json_t *object, int64_t expires);
/* The entity in the current row: a new reference. */
json_t *kg_table_row(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_entity *entity);
/* read.c: " AND …" that leaves out what has expired; the moment is parameter 9. */
void kg_add_alive(struct kg_sql *sql, const struct kg_entity *entity);
/* read.c: all consumers and their keys, into a model that has none. */
int kg_load_keys(struct kg_store *store, struct kg_model *model, struct kg_error *err);

/* tags.c: the table of tags, filled from the entities' tables, which must be there. */
int kg_tags_create(struct kg_store *store, struct kg_error *err);
/* Of a filter for all of its tags: puts the one first by whose entities the others are looked for. */
void kg_tags_rarest_first(struct kg_store *store, const struct kg_entity *entity,
                          struct kg_store_filter *filter);
/* The triggers that keep the tags of an entity's table: out of the way while it is filled, and in their place
 * again, with what they have missed. Inside one transaction. */
int kg_tags_rest(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err);
int kg_tags_resume(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err);
/* " AND …" of kg_store_list_some, whose parameters 1 and 3 are the place behind which and how many; the tags
 * are the parameters from KG_TAG_PARAMETER on. */
#define KG_TAG_PARAMETER 11
void kg_tags_add_filter(struct kg_sql *sql, const struct kg_entity *entity,
                        const struct kg_store_filter *filter);

/* children.c: the names of an entity's children as a new array, oldest first; NULL when they cannot be read.
 */
json_t *kg_children_list(struct kg_store *store, const struct kg_entity *entity, const char *id);
/* Makes the children those that the object names, if it names them: inside the transaction that wrote it. 0,
 * -EEXIST with *problem when one belongs to another parent, -EIO. */
int kg_children_replace(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                        json_t **problem, struct kg_error *err);
/* write.c: what kg_store_put does, inside a transaction. */
int kg_write_entity(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                    json_t **problem, struct kg_error *err);
/* Writes one row, without looking. */
int kg_write_row(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                 int64_t expires, struct kg_error *err);
/* write.c: an expired key must not stand in the way of a new entity with the same key. */
int kg_write_purge_expired(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err);
/* write.c: 0, -EBUSY with *problem when something refers to it, -EIO. */
int kg_write_check_delete(struct kg_store *store, const struct kg_entity *entity, const char *id,
                          json_t **problem, struct kg_error *err);
/* The field with a lifetime, or NULL. */
const struct kg_field *kg_table_lifetime(const struct kg_entity *entity);

#define KG_EXPIRES_COLUMN "expires_at"

#endif
