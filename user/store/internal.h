/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the store room: what its files share. Control thread only. */
#ifndef KG_STORE_INTERNAL_H
#define KG_STORE_INTERNAL_H

#include "base/writer.h"
#include "store/store.h"

#include <sqlite3.h>

#define KG_STORE_VERSION 5
#define KG_SQL_MAX       4096

/* The subkeys that the master key yields; the master key itself is not kept. */
struct kg_vault {
    uint8_t seal_key[32];  /* AES-256-GCM of keys at rest */
    uint8_t index_key[32]; /* HMAC-SHA-256 that finds them */
    uint8_t check[32];     /* kept in the database: tells a wrong master key at once */
};

struct kg_store {
    char *dir; /* as given, for messages */
    int dir_fd, lock_fd;
    sqlite3 *db;
    struct kg_vault vault;
    bool unreadable; /* the last read failed */
};

/*
 * Reads DIR/master.key, or makes it when there is no database yet, and derives the subkeys. 0 or a negative
 * errno with a sentence.
 */
int kg_vault_open(int dir_fd, const char *dir, bool database_exists, struct kg_vault *vault,
                  struct kg_error *err);
void kg_vault_close(struct kg_vault *vault);

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

/* -EIO, with what SQLite says about the last failure. */
int kg_db_error(struct kg_store *store, struct kg_error *err, const char *doing);
int kg_db_exec(struct kg_store *store, const char *sql, struct kg_error *err);
int kg_db_begin(struct kg_store *store, struct kg_error *err);
/* Commits when rc is 0, else rolls back and returns rc. */
int kg_db_end(struct kg_store *store, int rc, struct kg_error *err);
/* Steps a statement that returns no rows, and finalizes it. */
int kg_db_run(struct kg_store *store, sqlite3_stmt *stmt, struct kg_error *err, const char *doing);

/* The columns of an entity's table, made from its schema. */
void kg_table_create(struct kg_sql *sql, const struct kg_entity *entity);
/* Adds a column that an older database lacks; its rows get the field's default. Indexes are made anew by
 * kg_table_index, which passes over those that are there. */
void kg_table_add_column(struct kg_sql *sql, const struct kg_entity *entity, const struct kg_field *field);
/* One index for each foreign field, lifetime and unique_together: the i-th statement, or false past the last.
 */
bool kg_table_index(struct kg_sql *sql, const struct kg_entity *entity, size_t i);
/* "seq", "a", "b", …: what kg_table_row reads. */
void kg_table_select(struct kg_sql *sql, const struct kg_entity *entity);
/* INSERT … ON CONFLICT(id) DO UPDATE with one parameter for each column. */
void kg_table_upsert(struct kg_sql *sql, const struct kg_entity *entity);
/* Binds an entity to kg_table_upsert's parameters. expires: the moment for the lifetime field, 0 = never. */
void kg_table_bind(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_entity *entity,
                   const json_t *object, int64_t expires);
/* The entity in the current row: a new reference. */
json_t *kg_table_row(struct kg_store *store, sqlite3_stmt *stmt, const struct kg_entity *entity);
/* children.c: the names of an entity's children as a new array, oldest first; NULL when they cannot be read.
 */
json_t *kg_children_list(struct kg_store *store, const struct kg_entity *entity, const char *id);
/* Makes the children those that the object names, if it names them: inside the transaction that wrote it. 0,
 * -EEXIST with *problem when one belongs to another parent, -EIO. */
int kg_children_replace(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                        json_t **problem, struct kg_error *err);
/* write.c: writes one row, without looking. */
int kg_write_row(struct kg_store *store, const struct kg_entity *entity, const json_t *object,
                 int64_t expires, struct kg_error *err);
/* The field with a lifetime, or NULL. */
const struct kg_field *kg_table_lifetime(const struct kg_entity *entity);

#define KG_EXPIRES_COLUMN "expires_at"

#endif
