/* SPDX-License-Identifier: BSD-2-Clause */
/* Bans and allowed networks. */
#include "store_test.h"
#include "store/internal.h"
#include "keygate/abi.h"

static struct kg_addr addr(const char *text)
{
    struct kg_addr parsed;

    assert_int_equal(kg_addr_parse(kg_slice_str(text), &parsed), 0);
    return parsed;
}

static void put_ban(struct fixture *f, const char *source, int64_t since, int64_t expires, uint32_t reason,
                    uint32_t offences, bool active)
{
    struct kg_ban_record record = { addr(source), since, expires, reason, offences, active };
    struct kg_error err = { "" };

    assert_int_equal(kg_store_put_ban(f->store, &record, &err), 0);
}

static void count_ban(void *ctx, const struct kg_ban_record *record)
{
    char text[KG_ADDR_TEXT], *seen = ctx;
    size_t used = strlen(seen);

    snprintf(seen + used, 512 - used, "%s %lld %lld %u %u %d;", kg_addr_text(&record->source, text),
             (long long)record->since, (long long)record->expires, record->reason, record->offences,
             record->active);
}

static void assert_bans(struct fixture *f, const char *expected)
{
    char seen[512] = "";

    assert_int_equal(kg_store_each_ban(f->store, count_ban, seen), 0);
    assert_string_equal(seen, expected);
}

static void bans_survive_and_are_replaced_by_source(void **state)
{
    struct fixture *f = *state;
    struct kg_ban_record record;
    struct kg_addr source = addr("192.0.2.7"), other = addr("192.0.2.8");

    put_ban(f, "192.0.2.7", 100, 200, KG_BAN_WRONG_KEY, 1, true);
    put_ban(f, "2001:db8::", 100, 0, KG_BAN_MANUAL, 1, true);
    put_ban(f, "192.0.2.7", 300, 400, KG_BAN_WRONG_KEY, 2, false);
    reopen(f);
    assert_bans(f, "192.0.2.7 300 400 2 2 0;2001:db8:: 100 0 1 1 1;");
    assert_int_equal(kg_store_get_ban(f->store, &source, &record), 0);
    assert_true(kg_addr_eq(&record.source, &source));
    assert_int_equal(record.offences, 2);
    assert_false(record.active);
    assert_int_equal(kg_store_get_ban(f->store, &other, &record), -ENOENT);
}

static void only_what_was_over_before_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct kg_error err = { "" };

    put_ban(f, "192.0.2.1", 100, 200, KG_BAN_WRONG_KEY, 1, true);
    put_ban(f, "192.0.2.2", 100, 300, KG_BAN_WRONG_KEY, 1, true);
    put_ban(f, "192.0.2.3", 100, 0, KG_BAN_MANUAL, 1, true);
    put_ban(f, "192.0.2.4", 100, 0, KG_BAN_MANUAL, 1, false);
    put_ban(f, "192.0.2.5", 300, 0, KG_BAN_MANUAL, 1, false);
    assert_int_equal(kg_store_forget_bans(f->store, 300, &err), 0);
    assert_bans(f, "192.0.2.2 100 300 2 1 1;192.0.2.3 100 0 1 1 1;192.0.2.5 300 0 1 1 0;");
}

static int64_t synchronous(struct fixture *f)
{
    sqlite3_stmt *stmt;
    int64_t level;

    assert_int_equal(sqlite3_prepare_v2(f->store->db, "PRAGMA synchronous", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    level = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return level;
}

static void a_ban_of_the_guard_leaves_the_store_fully_durable(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(synchronous(f), 2);
    put_ban(f, "192.0.2.1", 100, 200, KG_BAN_MALFORMED, 1, true);
    assert_int_equal(synchronous(f), 2);
    assert_bans(f, "192.0.2.1 100 200 3 1 1;");
}

static void note_allow(void *ctx, const struct kg_allow_record *record)
{
    char text[KG_ADDR_TEXT], *seen = ctx;
    size_t used = strlen(seen);

    snprintf(seen + used, 512 - used, "%s %lld %s;", kg_net_text(&record->net, text),
             (long long)record->created_at, record->comment);
}

static struct kg_net put_allow(struct fixture *f, const char *net, int64_t created_at, const char *comment)
{
    struct kg_allow_record record = { .created_at = created_at };
    struct kg_error err = { "" };

    assert_int_equal(kg_net_parse(kg_slice_str(net), &record.net), 0);
    snprintf(record.comment, sizeof(record.comment), "%s", comment);
    assert_int_equal(kg_store_put_allow(f->store, &record, &err), 0);
    return record.net;
}

static void allowed_networks_survive_and_are_deleted(void **state)
{
    struct fixture *f = *state;
    struct kg_error err = { "" };
    struct kg_net net;
    char seen[512] = "", long_comment[128];

    memset(long_comment, 'x', sizeof(long_comment));
    long_comment[127] = '\0';
    net = put_allow(f, "10.0.0.0/8", 5, "office");
    put_allow(f, "2001:db8::/32", 6, "");
    put_allow(f, "10.0.0.0/16", 7, long_comment);
    put_allow(f, "10.0.0.0/8", 8, "new");
    reopen(f);
    assert_int_equal(kg_store_each_allow(f->store, note_allow, seen), 0);
    assert_true(strncmp(seen, "10.0.0.0/8 8 new;2001:db8::/32 6 ;10.0.0.0/16 7 xxx", 49) == 0);
    assert_non_null(strstr(seen, long_comment));
    assert_int_equal(kg_store_delete_allow(f->store, &net, &err), 0);
    assert_int_equal(kg_store_delete_allow(f->store, &net, &err), 1);
    seen[0] = '\0';
    assert_int_equal(kg_store_each_allow(f->store, note_allow, seen), 0);
    assert_true(strncmp(seen, "2001:db8::/32 6 ;10.0.0.0/16 7 ", 31) == 0);
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_open, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(bans_survive_and_are_replaced_by_source),
        STORE_TEST(only_what_was_over_before_is_forgotten),
        STORE_TEST(a_ban_of_the_guard_leaves_the_store_fully_durable),
        STORE_TEST(allowed_networks_survive_and_are_deleted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
