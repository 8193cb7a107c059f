/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening, first start, closing, handing over. */
#include "store/internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DB_FILE        KG_DB_FILE
#define LOCK_FILE      "lock"
#define APPLICATION_ID 0x6b677465 /* "kgte": file(1) and we can tell whose database it is */

static int open_dir(struct kg_store *store, struct kg_error *err)
{
    struct stat st;

    if (mkdir(store->dir, 0750) && errno != EEXIST)
        return kg_error_set(err, errno, "cannot create the state directory %s: %s", store->dir,
                            strerror(errno));
    store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0)
        return kg_error_set(err, errno, "cannot open the state directory %s: %s", store->dir,
                            strerror(errno));
    /* A stranger could put another database or master key in the place of ours. */
    if (fstat(store->dir_fd, &st) || (st.st_mode & S_IWOTH))
        return kg_error_set(err, EPERM,
                            "everyone may write to the state directory %s (mode %04o): run chmod o-w on it, "
                            "or choose another",
                            store->dir, (unsigned)(st.st_mode & 07777));
    return 0;
}

/* flock(2) goes with the open file and ends with the process, however that ends. */
static int take_lock(struct kg_store *store, struct kg_error *err)
{
    store->lock_fd = openat(store->dir_fd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return kg_error_set(err, errno, "cannot open %s/" LOCK_FILE ": %s", store->dir, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return kg_error_set(err, EBUSY, "another keygated is using the state directory %s", store->dir);
    return kg_error_set(err, errno, "cannot lock %s/" LOCK_FILE ": %s", store->dir, strerror(errno));
}

/* SQLite gives its -wal and -shm the mode of the database: so that must be 0600 from the start, also when it
 * comes from a backup. */
static int make_db_file(struct kg_store *store, struct kg_error *err)
{
    int rc = 0, fd = openat(store->dir_fd, DB_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return kg_error_set(err, errno, "cannot open %s/" DB_FILE ": %s", store->dir, strerror(errno));
    if (fchmod(fd, 0600))
        rc = kg_error_set(err, errno, "cannot set the mode of %s/" DB_FILE ": %s", store->dir,
                          strerror(errno));
    close(fd);
    return rc;
}

static int open_db(struct kg_store *store, struct kg_error *err)
{
    struct kg_sql path;
    int rc = make_db_file(store, err);

    if (rc)
        return rc;
    path.w = kg_writer_of(path.text, sizeof(path.text) - 1);
    kg_put(&path.w, kg_slice_str(store->dir));
    KG_PUT(&path.w, "/" DB_FILE);
    path.text[path.w.len] = '\0';
    if (path.w.overflow)
        return kg_error_set(err, ENAMETOOLONG, "the state directory's name is too long");
    rc = sqlite3_open_v2(path.text, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return kg_error_set(err, EIO, "cannot open %s: %s", path.text, sqlite3_errstr(rc));
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, KG_STORE_BUSY_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return 0;
}

static int read_integer(struct kg_store *store, const char *query, int64_t *value, struct kg_error *err)
{
    struct kg_sql sql;
    sqlite3_stmt *stmt;
    int rc = 0;

    kg_sql_start(&sql, "%s", query);
    stmt = kg_sql_prepare(store, &sql, err);
    if (!stmt)
        return -EIO;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *value = sqlite3_column_int64(stmt, 0);
    else
        rc = kg_db_error(store, err, "read");
    sqlite3_finalize(stmt);
    return rc;
}

int kg_db_version(struct kg_store *store, int64_t *version, struct kg_error *err)
{
    int64_t objects = 0, application = 0;
    int rc = read_integer(store, "PRAGMA user_version", version, err);

    if (rc == 0)
        rc = read_integer(store, "PRAGMA application_id", &application, err);
    if (rc == 0)
        rc = read_integer(store, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc)
        return rc;
    if (application != APPLICATION_ID && (objects > 0 || *version != 0))
        return kg_error_set(err, EINVAL, "%s/" DB_FILE " is not a database of keygate", store->dir);
    if (*version > KG_STORE_VERSION)
        return kg_error_set(err, ENOTSUP,
                            "%s/" DB_FILE
                            " was written by a newer keygate (schema version %lld, this one knows %d)",
                            store->dir, (long long)*version, KG_STORE_VERSION);
    return 0;
}

static int set_modes(struct kg_store *store, struct kg_error *err)
{
    int rc = kg_db_exec(store,
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                        "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON",
                        err);
    int64_t on = 0, full = 0;

    if (rc == 0)
        rc = read_integer(store, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &on, err);
    if (rc == 0)
        rc = read_integer(store, "PRAGMA synchronous", &full, err);
    if (rc == 0 && (on != 1 || full != 2))
        return kg_error_set(err, EIO, "%s/" DB_FILE " cannot be used in WAL mode on this file system",
                            store->dir);
    return rc;
}

int kg_create_indexes(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err)
{
    struct kg_sql sql;
    int rc = 0;

    for (size_t i = 0; rc == 0 && kg_table_index(&sql, entity, i); i++)
        rc = kg_db_run(store, kg_sql_prepare(store, &sql, err), err, "create an index");
    return rc;
}

static int create_entity(struct kg_store *store, const struct kg_entity *entity, struct kg_error *err)
{
    struct kg_sql sql;
    int rc;

    kg_table_create(&sql, entity);
    rc = kg_db_run(store, kg_sql_prepare(store, &sql, err), err, "create a table");
    return rc == 0 ? kg_create_indexes(store, entity, err) : rc;
}

static int create_all(struct kg_store *store, struct kg_error *err)
{
    struct kg_sql sql;
    int rc = kg_db_exec(
        store,
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;"
        "CREATE TABLE bans (source BLOB PRIMARY KEY, since INTEGER NOT NULL, expires INTEGER NOT NULL,"
        " reason INTEGER NOT NULL, offences INTEGER NOT NULL, active INTEGER NOT NULL) STRICT;"
        "CREATE TABLE allow (net BLOB PRIMARY KEY, created_at INTEGER NOT NULL,"
        " comment TEXT NOT NULL) STRICT",
        err);

    for (size_t i = 0; rc == 0 && i < KG_ENTITIES; i++)
        rc = create_entity(store, &kg_entities[i], err);
    kg_random(store->vault.index_key, sizeof(store->vault.index_key));
    if (rc == 0)
        rc = kg_tags_create(store, err);
    if (rc == 0)
        rc = kg_keys_write(store, &store->vault, err);
    kg_sql_start(&sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID,
                 KG_STORE_VERSION);
    kg_put_char(&sql.w, '\0');
    return rc == 0 ? kg_db_exec(store, sql.text, err) : rc;
}

static int create_schema(struct kg_store *store, struct kg_error *err)
{
    int rc = kg_db_begin(store, err);

    if (rc == 0)
        rc = kg_db_end(store, create_all(store, err), err);
    if (rc == 0 && fsync(store->dir_fd))
        rc = kg_error_set(err, errno, "cannot sync %s: %s", store->dir, strerror(errno));
    return rc;
}

static bool has_table(struct kg_store *store, const struct kg_entity *entity)
{
    return sqlite3_table_column_metadata(store->db, NULL, entity->name, NULL, NULL, NULL, NULL, NULL, NULL) ==
           SQLITE_OK;
}

static int create_missing(struct kg_store *store, struct kg_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < KG_ENTITIES; i++) {
        if (!has_table(store, &kg_entities[i]))
            rc = create_entity(store, &kg_entities[i], err);
    }
    return rc;
}

static bool has_column(struct kg_store *store, const struct kg_entity *entity, const struct kg_field *field)
{
    return sqlite3_table_column_metadata(store->db, NULL, entity->name, field->name, NULL, NULL, NULL, NULL,
                                         NULL) == SQLITE_OK;
}

static int add_columns(struct kg_store *store, struct kg_error *err)
{
    struct kg_sql sql;
    int rc = create_missing(store, err);

    for (size_t i = 0; i < KG_ENTITIES; i++) {
        for (const struct kg_field *field = kg_entities[i].fields; rc == 0 && field->name; field++) {
            if (field->secret || field->lifetime || field->children ||
                has_column(store, &kg_entities[i], field))
                continue;
            kg_table_add_column(&sql, &kg_entities[i], field);
            rc = kg_db_run(store, kg_sql_prepare(store, &sql, err), err, "add a column");
        }
        if (rc == 0)
            rc = kg_create_indexes(store, &kg_entities[i], err);
    }
    if (rc == 0)
        rc = kg_keys_adopt_index(store, err);
    if (rc == 0)
        rc = kg_tags_create(store, err);
    kg_sql_start(&sql, "PRAGMA user_version = %d", KG_STORE_VERSION);
    kg_put_char(&sql.w, '\0');
    return rc == 0 ? kg_db_exec(store, sql.text, err) : rc;
}

/* A database of an older keygate gets the entities and fields that came since. The older one refuses it from
 * then on: it would pass over what those fields say. */
static int upgrade_schema(struct kg_store *store, struct kg_error *err)
{
    int rc = kg_db_begin(store, err);

    return rc == 0 ? kg_db_end(store, add_columns(store, err), err) : rc;
}

/* The master key is settled before the schema is touched: what it does not open, nobody changes. */
static int open_schema(struct kg_store *store, struct kg_error *err)
{
    int64_t version = 0;
    int rc = kg_db_version(store, &version, err);

    if (rc == 0)
        rc = set_modes(store, err);
    if (rc == 0)
        rc = version == 0 ? create_schema(store, err) : kg_keys_settle(store, err);
    if (rc == 0 && version > 0 && version < KG_STORE_VERSION)
        rc = upgrade_schema(store, err);
    if (rc == 0)
        rc = kg_keys_load_index(store, err);
    if (rc == 0)
        rc = kg_at_rest_settle(store, err);
    return rc == 0 ? kg_scrub_run(store, err) : rc;
}

static int open_all(struct kg_store *store, const struct kg_store_options *options, struct kg_error *err)
{
    struct stat st;
    bool exists;
    int rc;

    if (options->must_exist && stat(store->dir, &st))
        return kg_error_set(err, errno, "cannot open the state directory %s: %s", store->dir,
                            strerror(errno));
    rc = open_dir(store, err);
    if (rc == 0)
        rc = take_lock(store, err);
    if (rc)
        return rc;
    exists = fstatat(store->dir_fd, DB_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
    if (options->must_exist && !exists)
        return kg_error_set(err, ENOENT, "there is no database in %s", store->dir);
    rc = kg_master_open(&store->master, store->dir, options->master_key, err);
    if (rc == 0)
        rc = kg_keys_read(store, exists, err);
    if (rc == 0)
        rc = open_db(store, err);
    return rc == 0 ? open_schema(store, err) : rc;
}

int kg_store_open(const char *dir, struct kg_store **store, struct kg_error *err)
{
    return kg_store_open_with(&(struct kg_store_options){ .dir = dir }, store, err);
}

/* Nobody asks SQLite how much memory it has, and to know costs it a lock for each allocation. Too late, and
 * of no harm, when SQLite is in use already. */
static void set_up_sqlite(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int kg_store_open_with(const struct kg_store_options *options, struct kg_store **store, struct kg_error *err)
{
    struct kg_store *opened = kg_calloc(1, sizeof(*opened));
    int rc;

    set_up_sqlite();
    opened->dir = kg_strdup(options->dir);
    opened->hashed = options->hashed;
    opened->dir_fd = opened->lock_fd = opened->master.dir_fd = -1;
    rc = open_all(opened, options, err);
    if (rc) {
        kg_store_close(opened);
        return rc;
    }
    *store = opened;
    return 0;
}

void kg_store_close(struct kg_store *store)
{
    int rc;

    if (!store)
        return;
    kg_statements_free(store);
    rc = sqlite3_close(store->db);
    KG_ASSERT(rc == SQLITE_OK); /* else a statement was not finalized */
    kg_vault_close(&store->vault);
    kg_master_close(&store->master);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    if (store->dir_fd >= 0)
        close(store->dir_fd);
    free(store->dir);
    free(store);
}

/* The directory last: until then a failure leaves it with us. */
int kg_store_chown(struct kg_store *store, uid_t uid, gid_t gid, struct kg_error *err)
{
    static const char *const files[] = { DB_FILE, DB_FILE "-wal", DB_FILE "-shm", LOCK_FILE, "master.key" };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (fchownat(store->dir_fd, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) && errno != ENOENT)
            return kg_error_set(err, errno, "cannot give %s/%s to user %u: %s", store->dir, files[i],
                                (unsigned)uid, strerror(errno));
    if (fchown(store->dir_fd, uid, gid))
        return kg_error_set(err, errno, "cannot give %s to user %u: %s", store->dir, (unsigned)uid,
                            strerror(errno));
    return 0;
}

void kg_store_index_key(const struct kg_store *store, uint8_t out[32])
{
    memcpy(out, store->vault.index_key, 32);
}

void kg_store_mac(const struct kg_store *store, struct kg_slice key, uint8_t mac[32])
{
    kg_vault_mac(&store->vault, key, mac);
}
