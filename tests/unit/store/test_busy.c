/* SPDX-License-Identifier: BSD-2-Clause */
/* Another program holds the database's write lock: what waits for it, what does not, and what is left behind.
 */
#include "store_test.h"

#include "base/clock.h"
#include "keygate/abi.h"
#include "store/declare.h"
#include "store/internal.h"

/* Less than the store waits for an operator's write. */
#define SHORT_MS 1000

static sqlite3 *hold_lock(struct fixture *f)
{
    char path[128];
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/keygate.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static int64_t pragma(struct kg_store *store, const char *text)
{
    sqlite3_stmt *stmt;
    int64_t value;

    assert_int_equal(sqlite3_prepare_v2(store->db, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

/* The control thread bans and answers: what nobody asked for must not hold it up. */
static void what_the_daemon_notes_by_itself_waits_for_nobody(void **state)
{
    struct fixture *f = *state;
    const struct kg_ban_record ban = { .source = { .family = 4, .bytes = { 192, 0, 2, 1 } },
                                       .reason = KG_BAN_WRONG_KEY };
    const struct kg_key_use use = { .id = ID_A, .at = 1 };
    struct kg_error err = { "" };
    sqlite3 *lock = hold_lock(f);
    uint64_t start = kg_clock_ms();

    assert_int_equal(kg_store_note_uses(f->store, &use, 1, &err), -EIO);
    assert_int_equal(kg_store_put_ban(f->store, &ban, &err), -EIO);
    assert_true(kg_clock_ms() - start < SHORT_MS);
    sqlite3_close(lock);
    assert_int_equal(pragma(f->store, "PRAGMA synchronous"), 2);
    assert_int_equal(kg_store_put_ban(f->store, &ban, &err), 0);
}

static void an_operators_write_waits_for_a_backup(void **state)
{
    struct fixture *f = *state;
    const struct kg_ban_record ban = { .source = { .family = 4, .bytes = { 192, 0, 2, 1 } },
                                       .reason = KG_BAN_MANUAL };
    const struct kg_key_use use = { .id = ID_A, .at = 1 };
    struct kg_error err = { "" };
    sqlite3 *lock = hold_lock(f);
    uint64_t start = kg_clock_ms();

    /* Also behind something that does not. */
    kg_store_note_uses(f->store, &use, 1, &err);
    assert_int_equal(kg_store_put_ban(f->store, &ban, &err), -EIO);
    assert_true(kg_clock_ms() - start >= SHORT_MS);
    sqlite3_close(lock);
    assert_int_equal(kg_store_put_ban(f->store, &ban, &err), 0);
}

static void a_sync_that_cannot_begin_gives_its_memory_back(void **state)
{
    struct fixture *f = *state;
    const struct kg_declare_file file = { "x", KG_SLICE("_format_version: \"3.0\"\n") };
    const struct kg_declare_request request = { .files = &file, .file_count = 1, .limit = 65536 };
    struct kg_declare_result result;
    struct kg_error err = { "" };
    int64_t before = pragma(f->store, "PRAGMA cache_size");
    sqlite3 *lock = hold_lock(f);

    assert_int_equal(kg_declare(f->store, &request, &result, &err), -EIO);
    kg_declare_free(&result);
    sqlite3_close(lock);
    assert_int_equal(pragma(f->store, "PRAGMA cache_size"), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_daemon_notes_by_itself_waits_for_nobody, set_up_open,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_operators_write_waits_for_a_backup, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(a_sync_that_cannot_begin_gives_its_memory_back, set_up_open,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
