/* SPDX-License-Identifier: BSD-2-Clause */
/* The state directory: who may open it, the master key, and that no key is ever in it in clear. */
#include "store_test.h"

#include <sqlite3.h>

static void path_of(struct fixture *f, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", f->dir, name);
}

static int mode_of(struct fixture *f, const char *name)
{
    char path[128];
    struct stat st;

    path_of(f, name, path);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void assert_open_refused(struct fixture *f, int rc, const char *fmt)
{
    struct kg_store *store = NULL;
    struct kg_error err = { "" };
    char expected[512];
    size_t len = 0;

    for (const char *c = fmt; *c; c++) {
        if (*c == '@')
            len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s", f->dir);
        else
            expected[len++] = *c;
    }
    expected[len] = '\0';
    assert_int_equal(kg_store_open(f->dir, &store, &err), -rc);
    assert_null(store);
    assert_string_equal(err.text, expected);
}

static void a_new_directory_and_its_files_are_private(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct stat st;

    rmdir(f->dir);
    umask(0);
    f->store = open_store(f->dir);
    umask(022);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"a\"}", NULL), 0);
    assert_int_equal(stat(f->dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(mode_of(f, "master.key"), 0600);
    assert_int_equal(mode_of(f, "keygate.db"), 0600);
    assert_int_equal(mode_of(f, "keygate.db-wal"), 0600);
    assert_int_equal(mode_of(f, "keygate.db-shm"), 0600);
    assert_int_equal(mode_of(f, "lock"), 0600);
    path_of(f, "master.key", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 32);
    path_of(f, "master.key.new", path);
    assert_int_equal(access(path, F_OK), -1);
}

static void two_directories_have_different_keys(void **state)
{
    struct fixture *f = *state, other = { "/tmp/kg-store-XXXXXX" };
    uint8_t a[32], b[32], again[32];

    assert_non_null(mkdtemp(other.dir));
    other.store = open_store(other.dir);
    kg_store_index_key(f->store, a);
    kg_store_index_key(other.store, b);
    assert_memory_not_equal(a, b, 32);
    kg_store_close(other.store);
    remove_dir(other.dir);
    reopen(f);
    kg_store_index_key(f->store, again);
    assert_memory_equal(a, again, 32);
}

static void the_mac_is_hmac_sha256_under_the_index_key(void **state)
{
    struct fixture *f = *state;
    uint8_t a[32], b[32], c[32];

    kg_store_mac(f->store, KG_SLICE("one"), a);
    kg_store_mac(f->store, KG_SLICE("one"), b);
    kg_store_mac(f->store, KG_SLICE("two"), c);
    assert_memory_equal(a, b, 32);
    assert_memory_not_equal(a, c, 32);
}

static void no_key_is_in_any_file_in_clear(void **state)
{
    static const char given[] = "a-very-secret-key-0123456789";
    struct fixture *f = *state;
    char generated[64], input[256];
    json_t *object, *problem = NULL;
    struct kg_error err;

    assert_int_equal(
        put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"findable-name\"}", NULL), 0);
    snprintf(input, sizeof(input), "{\"id\":\"" ID_B "\",\"consumer\":{\"id\":\"" ID_A "\"},\"key\":\"%s\"}",
             given);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, input, NULL), 0);
    object = entity_of(KG_KEYAUTH_CREDENTIALS, "{\"consumer\":{\"id\":\"" ID_A "\"}}");
    snprintf(generated, sizeof(generated), "%s", json_string_value(json_object_get(object, "key")));
    assert_int_equal(kg_store_put(f->store, KG_KEYAUTH_CREDENTIALS, object, &problem, &err), 0);
    json_decref(object);
    for (int closed = 0; closed < 2; closed++) {
        /* So that the search itself is proved, the name must be there. */
        assert_true(is_on_disk(f, "findable-name", strlen("findable-name")));
        assert_false(is_on_disk(f, given, strlen(given)));
        assert_false(is_on_disk(f, generated, strlen(generated)));
        kg_store_close(f->store);
        f->store = NULL;
    }
}

static void a_sealed_key_opens_only_under_its_own_id(void **state)
{
    struct fixture *f = *state;
    json_t *object;

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS,
                         "{\"id\":\"" ID_B "\",\"consumer\":{\"id\":\"" ID_A "\"},\"key\":\"b\"}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS,
                         "{\"id\":\"" ID_C "\",\"consumer\":{\"id\":\"" ID_A "\"},\"key\":\"c\"}", NULL),
                     0);
    exec(f, "UPDATE keyauth_credentials SET key_sealed = (SELECT key_sealed FROM keyauth_credentials WHERE "
            "id = '" ID_B "') WHERE id = '" ID_C "'");
    object = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_B);
    assert_string_equal(json_string_value(json_object_get(object, "key")), "b");
    json_decref(object);
    object = kg_store_get(f->store, KG_KEYAUTH_CREDENTIALS, ID_C);
    assert_true(json_is_null(json_object_get(object, "key")));
    json_decref(object);
}

static void the_same_key_is_sealed_differently_each_time(void **state)
{
    struct fixture *f = *state;
    static const char input[] = "{\"id\":\"" ID_B "\",\"consumer\":{\"id\":\"" ID_A "\"},\"key\":\"b\"}";

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, input, NULL), 0);
    exec(f, "CREATE TABLE before AS SELECT key_sealed FROM keyauth_credentials");
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, input, NULL), 0);
    exec(f, "CREATE TABLE same (n INTEGER CHECK (n = 0)); INSERT INTO same SELECT count(*) FROM before b JOIN"
            " keyauth_credentials k ON b.key_sealed = k.key_sealed");
}

static void a_missing_master_key_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];

    kg_store_close(f->store);
    f->store = NULL;
    path_of(f, "master.key", path);
    assert_int_equal(unlink(path), 0);
    assert_open_refused(
        f, ENOENT,
        "@/master.key is missing, and the keys in @/keygate.db cannot be read without it: put it "
        "back from your backup");
    assert_int_equal(access(path, F_OK), -1);
}

static void write_file(const char *path, const char *bytes, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void a_wrong_master_key_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];

    kg_store_close(f->store);
    f->store = NULL;
    path_of(f, "master.key", path);
    write_file(path, "0123456789abcdef0123456789abcdef", 32, 0600);
    assert_open_refused(f, EKEYREJECTED, "@/master.key is not the key that @/keygate.db was made with");
    write_file(path, "0123456789abcdef0123456789abcde", 31, 0600);
    assert_open_refused(f, EINVAL, "@/master.key does not hold exactly 32 bytes");
    write_file(path, "0123456789abcdef0123456789abcdef0", 33, 0600);
    assert_open_refused(f, EINVAL, "@/master.key does not hold exactly 32 bytes");
}

static void a_master_key_open_to_others_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];

    kg_store_close(f->store);
    f->store = NULL;
    path_of(f, "master.key", path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_open_refused(f, EPERM, "@/master.key is open to others (mode 0640): run chmod 600 on it");
    assert_int_equal(chmod(path, 0604), 0);
    assert_open_refused(f, EPERM, "@/master.key is open to others (mode 0604): run chmod 600 on it");
    assert_int_equal(chmod(path, 0400), 0);
    f->store = open_store(f->dir);
}

/* Whoever may write there can put another database in its place; /tmp is such a folder. */
static void a_directory_that_everyone_may_write_is_refused_and_left_empty(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(chmod(f->dir, 01777), 0);
    assert_open_refused(f, EPERM,
                        "everyone may write to the state directory @ (mode 1777): run chmod o-w on it, or "
                        "choose another");
    assert_int_equal(rmdir(f->dir), 0);
    assert_int_equal(mkdir(f->dir, 0755), 0);
    f->store = open_store(f->dir);
}

/* As cp(1) from a backup leaves it. */
static void a_database_open_to_others_is_made_private(void **state)
{
    struct fixture *f = *state;
    char path[128];

    path_of(f, "keygate.db", path);
    kg_store_close(f->store);
    assert_int_equal(chmod(path, 0644), 0);
    f->store = open_store(f->dir);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"a\"}", NULL), 0);
    assert_int_equal(mode_of(f, "keygate.db"), 0600);
    assert_int_equal(mode_of(f, "keygate.db-wal"), 0600);
}

static void a_start_killed_half_way_can_be_repeated(void **state)
{
    struct fixture *f = *state;
    char path[128];

    path_of(f, "master.key.new", path);
    write_file(path, "half", 4, 0600);
    path_of(f, "keygate.db", path);
    write_file(path, "", 0, 0600);
    f->store = open_store(f->dir);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"a\"}", NULL), 0);
}

static void a_second_opener_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_open_refused(f, EBUSY, "another keygated is using the state directory @");
    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"a\"}", NULL), 0);
    reopen(f);
}

static void a_newer_database_is_refused(void **state)
{
    struct fixture *f = *state;

    kg_store_close(f->store);
    f->store = NULL;
    exec(f, "PRAGMA user_version = 8");
    assert_open_refused(f, ENOTSUP,
                        "@/keygate.db was written by a newer keygate (schema version 8, this one knows 7)");
    exec(f, "PRAGMA user_version = 7");
    f->store = open_store(f->dir);
}

static void an_older_database_gets_the_fields_that_came_since(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_ROUTES, "{\"paths\":[\"/a\"]}", NULL), 0);
    kg_store_close(f->store);
    f->store = NULL;
    exec(f, "ALTER TABLE routes DROP COLUMN headers");
    exec(f, "PRAGMA user_version = 1");
    f->store = open_store(f->dir);
    assert_int_equal(put(f->store, KG_ROUTES, "{\"headers\":{\"a\":[\"b\"]}}", NULL), 0);
    reopen(f);
}

static void an_older_database_gets_the_entities_that_came_since(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"a\",\"name\":\"s\"}", NULL), 0);
    kg_store_close(f->store);
    f->store = NULL;
    exec(f, "ALTER TABLE services DROP COLUMN retries");
    exec(f, "DROP TABLE targets");
    exec(f, "DROP TABLE upstreams; DROP TABLE jwt_secrets; DROP TABLE acls");
    exec(f, "PRAGMA user_version = 3");
    f->store = open_store(f->dir);
    json_t *service = kg_store_find(f->store, KG_SERVICES, KG_SLICE("s"));
    assert_int_equal(json_integer_value(json_object_get(service, "retries")), 5);
    json_decref(service);
    assert_int_equal(put(f->store, KG_UPSTREAMS, "{\"name\":\"u\"}", NULL), 0);
    reopen(f);
}

/* All that the first version lacked, taken away at once. */
static void a_database_of_the_first_version_gets_all_that_came_since(void **state)
{
    struct fixture *f = *state;
    json_t *object;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"a\",\"name\":\"s\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_ROUTES, "{\"paths\":[\"/a\"],\"name\":\"r\"}", NULL), 0);
    kg_store_close(f->store);
    f->store = NULL;
    exec(f, "DROP INDEX services_client_certificate; ALTER TABLE services DROP COLUMN client_certificate;"
            "ALTER TABLE services DROP COLUMN ca_certificates; ALTER TABLE services DROP COLUMN tls_verify;"
            "ALTER TABLE services DROP COLUMN tls_verify_depth; ALTER TABLE services DROP COLUMN retries");
    exec(f, "ALTER TABLE routes DROP COLUMN headers; ALTER TABLE routes DROP COLUMN snis;"
            "ALTER TABLE routes DROP COLUMN regex_priority;"
            "ALTER TABLE routes DROP COLUMN https_redirect_status_code");
    exec(f, "ALTER TABLE keyauth_credentials DROP COLUMN name;"
            "ALTER TABLE keyauth_credentials DROP COLUMN description;"
            "ALTER TABLE keyauth_credentials DROP COLUMN last_used_at");
    exec(f, "DROP TABLE snis; DROP TABLE certificates; DROP TABLE ca_certificates; DROP TABLE targets;"
            "DROP TABLE upstreams; PRAGMA user_version = 1");
    f->store = open_store(f->dir);
    object = kg_store_find(f->store, KG_SERVICES, KG_SLICE("s"));
    assert_int_equal(json_integer_value(json_object_get(object, "retries")), 5);
    assert_true(json_is_null(json_object_get(object, "client_certificate")));
    json_decref(object);
    object = kg_store_find(f->store, KG_ROUTES, KG_SLICE("r"));
    assert_int_equal(json_integer_value(json_object_get(object, "regex_priority")), 0);
    assert_int_equal(json_integer_value(json_object_get(object, "https_redirect_status_code")), 426);
    assert_true(json_is_null(json_object_get(object, "snis")));
    json_decref(object);
    for (int entity = 0; entity < KG_ENTITIES; entity++) {
        int64_t after = 0;
        json_t *page = kg_store_list(f->store, (enum kg_entity_id)entity, NULL, NULL, 10, &after);

        assert_non_null(page);
        json_decref(page);
    }
    reopen(f);
}

static void a_file_of_somebody_else_is_refused_and_kept(void **state)
{
    struct fixture *f = *state;
    char path[128];

    f->store = open_store(f->dir);
    kg_store_close(f->store);
    f->store = NULL;
    path_of(f, "keygate.db", path);
    assert_int_equal(unlink(path), 0);
    exec(f, "CREATE TABLE theirs (x)");
    assert_open_refused(f, EINVAL, "@/keygate.db is not a database of keygate");
    exec(f, "INSERT INTO theirs VALUES (1)");
    write_file(path, "this is no database, but it is long enough to be read as one, is it not?", 72, 0600);
    assert_open_refused(f, EIO, "cannot read in @/keygate.db: file is not a database");
}

static void a_directory_that_cannot_be_made_is_named(void **state)
{
    struct fixture *f = *state;
    struct kg_store *store;
    struct kg_error err;
    char path[128], expected[256];

    path_of(f, "no/such", path);
    assert_int_equal(kg_store_open(path, &store, &err), -ENOENT);
    snprintf(expected, sizeof(expected), "cannot create the state directory %s: No such file or directory",
             path);
    assert_string_equal(err.text, expected);
}

static void everything_can_be_given_to_another_user(void **state)
{
    static const char *const names[] = { ".",    "keygate.db", "keygate.db-wal", "keygate.db-shm",
                                         "lock", "master.key" };
    struct fixture *f = *state;
    struct kg_error err = { "" };
    char path[128];
    struct stat st;

    if (geteuid() != 0)
        skip();
    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"a\"}", NULL), 0);
    assert_int_equal(kg_store_chown(f->store, 65534, 65533, &err), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path_of(f, names[i], path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, 65534);
        assert_int_equal(st.st_gid, 65533);
    }
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"b\"}", NULL), 0);
    reopen(f);
    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"c\"}", NULL), 0);
    assert_int_equal(seteuid(0), 0);
    reopen(f);
}

#define OPEN_TEST(f)   cmocka_unit_test_setup_teardown(f, set_up_open, tear_down)
#define CLOSED_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOSED_TEST(a_new_directory_and_its_files_are_private),
        OPEN_TEST(two_directories_have_different_keys),
        OPEN_TEST(the_mac_is_hmac_sha256_under_the_index_key),
        OPEN_TEST(no_key_is_in_any_file_in_clear),
        OPEN_TEST(a_sealed_key_opens_only_under_its_own_id),
        OPEN_TEST(the_same_key_is_sealed_differently_each_time),
        OPEN_TEST(a_missing_master_key_is_refused),
        OPEN_TEST(a_wrong_master_key_is_refused),
        OPEN_TEST(a_master_key_open_to_others_is_refused),
        CLOSED_TEST(a_directory_that_everyone_may_write_is_refused_and_left_empty),
        OPEN_TEST(a_database_open_to_others_is_made_private),
        CLOSED_TEST(a_start_killed_half_way_can_be_repeated),
        OPEN_TEST(a_second_opener_is_refused),
        OPEN_TEST(a_newer_database_is_refused),
        OPEN_TEST(an_older_database_gets_the_fields_that_came_since),
        OPEN_TEST(an_older_database_gets_the_entities_that_came_since),
        OPEN_TEST(a_database_of_the_first_version_gets_all_that_came_since),
        CLOSED_TEST(a_file_of_somebody_else_is_refused_and_kept),
        CLOSED_TEST(a_directory_that_cannot_be_made_is_named),
        OPEN_TEST(everything_can_be_given_to_another_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
