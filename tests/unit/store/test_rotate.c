/* SPDX-License-Identifier: BSD-2-Clause */
/* A new master key: everything opens under it, nothing under the old one, whenever it is broken off. */
#include "store_test.h"
#include "store/internal.h"

#include <signal.h>
#include <sys/wait.h>

#define KEY_INPUT(id, rest) "{\"id\":\"" id "\",\"consumer\":{\"id\":\"" ID_A "\"}," rest "}"

static void read_master(struct fixture *f, const char *name, uint8_t key[32])
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, key, 32), 32);
    close(fd);
}

static void write_master(struct fixture *f, const char *name, const uint8_t key[32])
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, key, 32), 32);
    close(fd);
}

static bool is_file(struct fixture *f, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return access(path, F_OK) == 0;
}

static void close_fixture(struct fixture *f)
{
    kg_store_close(f->store);
    f->store = NULL;
}

static void fill(struct kg_store *store)
{
    assert_int_equal(put(store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_B, "\"key\":\"the first key\""), NULL),
                     0);
    assert_int_equal(put(store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_C, "\"key\":\"the second key\""), NULL),
                     0);
}

static void assert_keys(struct kg_store *store)
{
    json_t *found = kg_store_find(store, KG_KEYAUTH_CREDENTIALS, KG_SLICE("the first key"));

    assert_string_equal(json_string_value(json_object_get(found, "id")), ID_B);
    assert_string_equal(json_string_value(json_object_get(found, "key")), "the first key");
    json_decref(found);
    found = kg_store_get(store, KG_KEYAUTH_CREDENTIALS, ID_C);
    assert_string_equal(json_string_value(json_object_get(found, "key")), "the second key");
    json_decref(found);
}

static void rotate(struct kg_store *store, size_t want)
{
    struct kg_error err = { "" };
    size_t count = 0;

    if (kg_store_rotate_master(store, &count, &err))
        fail_msg("%s", err.text);
    assert_int_equal(count, want);
}

static void every_secret_opens_under_the_new_key_and_is_found_as_before(void **state)
{
    struct fixture *f = *state;
    uint8_t before[32], after[32], index_before[32], index_after[32];

    fill(f->store);
    kg_store_index_key(f->store, index_before);
    read_master(f, "master.key", before);
    rotate(f->store, 2);
    assert_keys(f->store);
    read_master(f, "master.key", after);
    assert_memory_not_equal(before, after, 32);
    assert_false(is_file(f, "master.key.new"));
    reopen(f);
    assert_keys(f->store);
    kg_store_index_key(f->store, index_after);
    assert_memory_equal(index_before, index_after, 32);
}

static void the_old_key_opens_nothing_any_more(void **state)
{
    struct fixture *f = *state;
    struct kg_store *store = NULL;
    struct kg_error err = { "" };
    uint8_t before[32];

    fill(f->store);
    read_master(f, "master.key", before);
    rotate(f->store, 2);
    close_fixture(f);
    write_master(f, "master.key", before);
    assert_int_equal(kg_store_open(f->dir, &store, &err), -EKEYREJECTED);
}

static void read_sealed(struct fixture *f, uint8_t sealed[32])
{
    sqlite3_stmt *stmt;

    assert_int_equal(sqlite3_prepare_v2(f->store->db,
                                        "SELECT key_sealed FROM keyauth_credentials WHERE id = '" ID_B "'",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    memcpy(sealed, sqlite3_column_blob(stmt, 0), 32);
    sqlite3_finalize(stmt);
}

static void what_the_old_key_opened_is_gone_from_the_files(void **state)
{
    struct fixture *f = *state;
    uint8_t sealed[32];

    fill(f->store);
    read_sealed(f, sealed);
    assert_true(is_on_disk(f, sealed, sizeof(sealed)));
    rotate(f->store, 2);
    assert_false(is_on_disk(f, sealed, sizeof(sealed)));
}

/* Broken off before the commit: the next key is there, the database is under the old one. */
static void a_change_broken_off_before_the_commit_is_taken_back(void **state)
{
    struct fixture *f = *state;
    uint8_t other[32] = "0123456789abcdef0123456789abcde";

    fill(f->store);
    close_fixture(f);
    write_master(f, "master.key.new", other);
    f->store = open_store(f->dir);
    assert_keys(f->store);
    assert_false(is_file(f, "master.key.new"));
}

/* Broken off after the commit: the database is under the next key, which has not yet its name. */
static void a_change_broken_off_after_the_commit_is_ended(void **state)
{
    struct fixture *f = *state;
    uint8_t before[32], after[32], now[32];

    fill(f->store);
    read_master(f, "master.key", before);
    rotate(f->store, 2);
    close_fixture(f);
    read_master(f, "master.key", after);
    write_master(f, "master.key.new", after);
    write_master(f, "master.key", before);
    f->store = open_store(f->dir);
    assert_keys(f->store);
    read_master(f, "master.key", now);
    assert_memory_equal(now, after, 32);
    assert_false(is_file(f, "master.key.new"));
}

static void a_secret_that_does_not_open_stops_the_change(void **state)
{
    struct fixture *f = *state;
    struct kg_error err = { "" };
    size_t count;

    fill(f->store);
    assert_int_equal(
        sqlite3_exec(f->store->db,
                     "UPDATE keyauth_credentials SET key_sealed = randomblob(40) WHERE id = '" ID_C "'", NULL,
                     NULL, NULL),
        SQLITE_OK);
    assert_int_equal(kg_store_rotate_master(f->store, &count, &err), -EIO);
    assert_non_null(strstr(err.text, "the sealed key of " ID_C));
    reopen(f);
    json_t *found = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_B);
    assert_string_equal(json_string_value(json_object_get(found, "key")), "the first key");
    json_decref(found);
}

static void rotate_for_ever(const char *dir, int pipe_fd)
{
    struct kg_store *store = NULL;
    struct kg_error err;
    size_t count;

    if (kg_store_open(dir, &store, &err) || write(pipe_fd, "o", 1) != 1)
        _exit(1);
    while (kg_store_rotate_master(store, &count, &err) == 0 && count == 2)
        ;
    _exit(2);
}

/* Killed at a moment of its own in each round: some 0 to 20 ms after the store was open. */
static void kill_9_during_changes_loses_no_key(void **state)
{
    struct fixture *f = *state;

    fill(f->store);
    close_fixture(f);
    for (unsigned round = 0; round < 40; round++) {
        int fds[2], status;
        char byte;
        pid_t child;

        assert_int_equal(pipe(fds), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
            rotate_for_ever(f->dir, fds[1]);
        close(fds[1]);
        assert_int_equal(read(fds[0], &byte, 1), 1);
        usleep(round * 499);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        close(fds[0]);
        f->store = open_store(f->dir);
        assert_keys(f->store);
        assert_false(is_file(f, "master.key.new"));
        close_fixture(f);
    }
}

/* Before version 6 the index key came from the master key. */
static void keys_of_an_older_database_are_found_after_a_change(void **state)
{
    struct fixture *f = *state;
    uint8_t master[32], mac[32];
    struct kg_vault old;
    sqlite3_stmt *stmt;

    fill(f->store);
    read_master(f, "master.key", master);
    kg_vault_derive(&old, master);
    kg_vault_mac(&old, KG_SLICE("the first key"), mac);
    kg_vault_close(&old);
    assert_int_equal(sqlite3_prepare_v2(f->store->db,
                                        "UPDATE keyauth_credentials SET key_mac = ? WHERE id = '" ID_B "'",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    sqlite3_bind_blob(stmt, 1, mac, 32, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_exec(f->store->db,
                                  "DELETE FROM meta WHERE name = 'index_key'; PRAGMA user_version = 1", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
    reopen(f);
    assert_keys(f->store);
    rotate(f->store, 2);
    reopen(f);
    assert_keys(f->store);
}

static void the_master_key_may_lie_elsewhere(void **state)
{
    struct fixture *f = *state, keys = { "/tmp/kg-store-XXXXXX" };
    char path[128];
    struct kg_store_options options = { .dir = f->dir, .master_key = path };
    struct kg_error err = { "" };
    struct stat st;

    assert_non_null(mkdtemp(keys.dir));
    snprintf(path, sizeof(path), "%s/gate.key", keys.dir);
    assert_int_equal(kg_store_open_with(&options, &f->store, &err), 0);
    fill(f->store);
    rotate(f->store, 2);
    close_fixture(f);
    assert_false(is_file(f, "master.key"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(kg_store_open_with(&options, &f->store, &err), 0);
    assert_keys(f->store);
    close_fixture(f);
    assert_int_equal(chmod(keys.dir, 0777), 0);
    assert_int_equal(kg_store_open_with(&options, &f->store, &err), -EPERM);
    assert_non_null(strstr(err.text, "everyone may write to"));
    remove_dir(keys.dir);
    assert_int_equal(kg_store_open_with(&options, &f->store, &err), -ENOENT);
    assert_non_null(strstr(err.text, "the folder of the master key"));
}

static void a_stolen_database_opens_nothing_under_another_key(void **state)
{
    struct fixture *f = *state, thief = { "/tmp/kg-store-XXXXXX" };
    struct kg_store *store = NULL;
    struct kg_error err = { "" };
    char copy[256];

    fill(f->store);
    close_fixture(f);
    assert_non_null(mkdtemp(thief.dir));
    assert_int_equal(chmod(thief.dir, 0700), 0);
    snprintf(copy, sizeof(copy), "cp %s/keygate.db %s/", f->dir, thief.dir);
    assert_int_equal(system(copy), 0);
    assert_int_equal(kg_store_open(thief.dir, &store, &err), -ENOENT);
    assert_non_null(strstr(err.text, "is missing"));
    write_master(&thief, "master.key", (const uint8_t *)"0123456789abcdef0123456789abcde");
    assert_int_equal(kg_store_open(thief.dir, &store, &err), -EKEYREJECTED);
    assert_null(store);
    remove_dir(thief.dir);
}

#define OPEN_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_open, tear_down)
#define DIR_TEST(f)  cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN_TEST(every_secret_opens_under_the_new_key_and_is_found_as_before),
        OPEN_TEST(the_old_key_opens_nothing_any_more),
        OPEN_TEST(what_the_old_key_opened_is_gone_from_the_files),
        OPEN_TEST(a_change_broken_off_before_the_commit_is_taken_back),
        OPEN_TEST(a_change_broken_off_after_the_commit_is_ended),
        OPEN_TEST(a_secret_that_does_not_open_stops_the_change),
        OPEN_TEST(kill_9_during_changes_loses_no_key),
        OPEN_TEST(keys_of_an_older_database_are_found_after_a_change),
        DIR_TEST(the_master_key_may_lie_elsewhere),
        OPEN_TEST(a_stolen_database_opens_nothing_under_another_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
