/* SPDX-License-Identifier: BSD-2-Clause */
/* Statements that stay compiled. */
#include "store/internal.h"
#include "store_test.h"

static sqlite3_stmt *borrow(struct fixture *f, const char *text)
{
    struct kg_error err = { "" };
    struct kg_sql sql;

    kg_sql_start(&sql, "%s", text);
    return kg_sql_borrow(f->store, &sql, &err);
}

static void a_statement_that_is_given_back_comes_again_with_nothing_bound(void **state)
{
    struct fixture *f = *state;
    sqlite3_stmt *first = borrow(f, "SELECT ?"), *again;

    sqlite3_bind_int(first, 1, 7);
    assert_int_equal(sqlite3_step(first), SQLITE_ROW);
    kg_sql_done(f->store, first);
    again = borrow(f, "SELECT ?");
    assert_ptr_equal(again, first);
    assert_int_equal(sqlite3_step(again), SQLITE_ROW);
    assert_int_equal(sqlite3_column_type(again, 0), SQLITE_NULL);
    kg_sql_done(f->store, again);
}

static void a_statement_is_lent_to_one_at_a_time(void **state)
{
    struct fixture *f = *state;
    sqlite3_stmt *one = borrow(f, "SELECT 1"), *two = borrow(f, "SELECT 1");

    assert_ptr_not_equal(one, two);
    assert_int_equal(sqlite3_step(one), SQLITE_ROW);
    assert_int_equal(sqlite3_step(two), SQLITE_ROW);
    kg_sql_done(f->store, one);
    kg_sql_done(f->store, two);
}

static void more_statements_than_are_kept_are_compiled_each_time(void **state)
{
    struct fixture *f = *state;
    char text[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "SELECT %d", i);
        sqlite3_stmt *stmt = borrow(f, text);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(stmt, 0), i);
        kg_sql_done(f->store, stmt);
    }
}

static void what_sqlite_refuses_is_not_kept(void **state)
{
    struct fixture *f = *state;

    assert_null(borrow(f, "SELECT nonsense"));
    assert_null(borrow(f, "SELECT nonsense"));
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_open, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_statement_that_is_given_back_comes_again_with_nothing_bound),
        STORE_TEST(a_statement_is_lent_to_one_at_a_time),
        STORE_TEST(more_statements_than_are_kept_are_compiled_each_time),
        STORE_TEST(what_sqlite_refuses_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
