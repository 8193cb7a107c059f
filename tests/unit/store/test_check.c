/* SPDX-License-Identifier: BSD-2-Clause */
/* --check-store: what is whole passes, each kind of damage is found and named, nothing is changed. */
#include "store_test.h"
#include "store/internal.h"

#define KEY_INPUT(id, rest) "{\"id\":\"" id "\",\"consumer\":{\"id\":\"" ID_A "\"}," rest "}"

struct report {
    char faults[8192], lines[8192];
};

static void take_line(void *ctx, bool fault, const char *line)
{
    struct report *report = ctx;
    char *into = fault ? report->faults : report->lines;
    size_t used = strlen(into);

    snprintf(into + used, sizeof(report->faults) - used, "%s\n", line);
}

static size_t check(struct fixture *f, struct report *report)
{
    struct kg_store_options options = { .dir = f->dir };
    struct kg_error err = { "" };
    size_t faults = 0;

    *report = (struct report){ "", "" };
    if (kg_store_check(&options, take_line, report, &faults, &err))
        fail_msg("%s", err.text);
    return faults;
}

static void assert_found(struct fixture *f, const char *sql, const char *fault)
{
    struct report report;

    if (sqlite3_exec(f->store->db, "PRAGMA foreign_keys = OFF", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(f->store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(f->store->db));
    assert_true(check(f, &report) > 0);
    if (!strstr(report.faults, fault))
        fail_msg("%s", report.faults);
}

static int set_up_filled(void **state)
{
    int rc = set_up_open(state);
    struct fixture *f = *state;

    if (rc)
        return rc;
    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"host\":\"a\",\"name\":\"s\"}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_ROUTES,
                         "{\"id\":\"" ID_A "\",\"paths\":[\"/\"],\"service\":{\"id\":\"" ID_A "\"}}", NULL),
                     0);
    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_B, "\"key\":\"b\",\"ttl\":60"), NULL),
                     0);
    assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS, KEY_INPUT(ID_C, "\"key\":\"c\""), NULL), 0);
    return 0;
}

static void a_whole_database_passes_beside_its_daemon(void **state)
{
    struct fixture *f = *state;
    struct report report;

    assert_int_equal(check(f, &report), 0);
    assert_string_equal(report.faults, "");
    assert_non_null(strstr(report.lines, "services: 1\nroutes: 1\nconsumers: 1\nkeyauth_credentials: 2\n"));
    assert_non_null(strstr(report.lines, "secrets opened: 2\n"));
    /* The store goes on. */
    assert_int_equal(put(f->store, KG_SERVICES, "{\"host\":\"b\"}", NULL), 0);
    assert_int_equal(check(f, &report), 0);
    kg_store_close(f->store);
    f->store = NULL;
    assert_int_equal(check(f, &report), 0);
}

static void a_secret_that_does_not_open_is_named(void **state)
{
    assert_found(*state, "UPDATE keyauth_credentials SET key_sealed = randomblob(40) WHERE id = '" ID_C "'",
                 "keyauth_credentials " ID_C ": key: it does not open\n");
}

/* The seal holds the id: another row's does not open either. */
static void secrets_that_changed_places_are_named(void **state)
{
    assert_found(*state,
                 "UPDATE keyauth_credentials SET key_sealed ="
                 " (SELECT key_sealed FROM keyauth_credentials WHERE id = '" ID_B "')",
                 "keyauth_credentials " ID_C ": key: it does not open\n");
}

static void a_hash_of_another_key_is_named(void **state)
{
    assert_found(*state, "UPDATE keyauth_credentials SET key_mac = randomblob(32) WHERE id = '" ID_B "'",
                 "keyauth_credentials " ID_B ": key: it is indexed under another hash\n");
}

static void a_reference_to_nothing_is_named(void **state)
{
    assert_found(*state, "DELETE FROM services", "routes number 1 refers to services that are not there\n");
}

static void an_id_of_a_set_that_leads_to_nothing_is_named(void **state)
{
    assert_found(*state, "UPDATE services SET protocol = 'https', ca_certificates = '[\"" ID_D "\"]'",
                 "services " ID_A ": ca_certificates: " ID_D " is not there\n");
}

static void a_value_that_the_schema_refuses_is_named(void **state)
{
    assert_found(*state, "UPDATE services SET port = 70000",
                 "services " ID_A ": schema violation (port: value should be between 1 and 65535)\n");
}

static void a_damaged_page_is_named(void **state)
{
    struct fixture *f = *state;
    struct report report;
    char path[128];
    int fd;

    kg_store_close(f->store);
    f->store = NULL;
    snprintf(path, sizeof(path), "%s/keygate.db", f->dir);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    /* Where the kind of the page stands; the first pages are the schema's. */
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, 19 * 4096), 4);
    close(fd);
    assert_true(check(f, &report) > 0);
    assert_non_null(strstr(report.faults, "the file is damaged: "));
}

static void what_cannot_be_checked_says_why(void **state)
{
    struct fixture *f = *state;
    struct kg_store_options options = { .dir = f->dir };
    struct kg_error err = { "" };
    struct report report;
    size_t faults;
    char path[128];

    kg_store_close(f->store);
    f->store = NULL;
    snprintf(path, sizeof(path), "%s/master.key", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(kg_store_check(&options, take_line, &report, &faults, &err), -ENOENT);
    assert_non_null(strstr(err.text, "master.key is missing"));
    /* Nothing was made in its place. */
    assert_int_equal(access(path, F_OK), -1);
    options.dir = "/tmp/kg-store-none";
    assert_int_equal(kg_store_check(&options, take_line, &report, &faults, &err), -ENOENT);
    assert_string_equal(err.text, "there is no database in /tmp/kg-store-none");
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_filled, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_whole_database_passes_beside_its_daemon),
        STORE_TEST(a_secret_that_does_not_open_is_named),
        STORE_TEST(secrets_that_changed_places_are_named),
        STORE_TEST(a_hash_of_another_key_is_named),
        STORE_TEST(a_reference_to_nothing_is_named),
        STORE_TEST(an_id_of_a_set_that_leads_to_nothing_is_named),
        STORE_TEST(a_value_that_the_schema_refuses_is_named),
        STORE_TEST(a_damaged_page_is_named),
        STORE_TEST(what_cannot_be_checked_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
