/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has which tag, and lists of those that have some. */
#include "store/internal.h"
#include "store_test.h"

/* The tags of a page, joined, and whose kind each is of. */
static void assert_tags(struct fixture *f, const char *tag, const char *want)
{
    struct kg_slice name = kg_slice_str(tag);
    int64_t after = 0;
    json_t *page = kg_store_list_tags(f->store, tag ? &name : NULL, 100, &after), *item;
    char got[512] = "";
    size_t i;

    json_array_foreach(page, i, item) snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s:%.1s ",
                                               json_string_value(json_object_get(item, "tag")),
                                               json_string_value(json_object_get(item, "entity_name")));
    assert_string_equal(got, want);
    assert_int_equal(after, 0);
    json_decref(page);
}

/* The usernames of one page of those with the tags ("a,b" or "a/b"). */
static void assert_some(struct fixture *f, struct kg_store_filter filter, size_t size, int64_t *after,
                        const char *want)
{
    json_t *page = kg_store_list_some(f->store, KG_CONSUMERS, &filter, size, after), *item;
    char got[256] = "";
    size_t i;

    json_array_foreach(page, i, item) snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ",
                                               json_string_value(json_object_get(item, "username")));
    assert_string_equal(got, want);
    json_decref(page);
}

static void add(struct fixture *f, const char *name, const char *tags)
{
    char text[256];

    snprintf(text, sizeof(text), "{\"username\":\"%s\",\"custom_id\":\"id %s\",\"tags\":%s}", name, name,
             tags);
    assert_int_equal(put(f->store, KG_CONSUMERS, text, NULL), 0);
}

static void tags_follow_their_entity(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(
        put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\",\"tags\":[\"x\",\"y\"]}", NULL),
        0);
    assert_int_equal(
        put(f->store, KG_KEYAUTH_CREDENTIALS, "{\"consumer\":{\"id\":\"" ID_A "\"},\"tags\":[\"x\"]}", NULL),
        0);
    assert_tags(f, NULL, "x:c y:c x:k ");
    assert_tags(f, "x", "x:c x:k ");
    assert_int_equal(
        put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\",\"tags\":[\"z\"]}", NULL), 0);
    assert_tags(f, NULL, "x:k z:c ");
    reopen(f);
    assert_tags(f, NULL, "x:k z:c ");
    assert_int_equal(delete (f->store, KG_CONSUMERS, ID_A, NULL), 0);
    assert_tags(f, NULL, "");
}

static void lists_hold_those_with_all_or_any_of_the_tags(void **state)
{
    struct fixture *f = *state;
    int64_t after = 0;

    add(f, "a", "[\"x\",\"y\"]");
    add(f, "b", "[\"y\"]");
    add(f, "c", "null");
    add(f, "d", "[\"z\",\"x\",\"y\"]");
    assert_some(f, (struct kg_store_filter){ .tags = { KG_SLICE("y") }, .tag_count = 1 }, 9, &after,
                "a b d ");
    assert_some(
        f,
        (struct kg_store_filter){ .tags = { KG_SLICE("y"), KG_SLICE("x"), KG_SLICE("z") }, .tag_count = 3 },
        9, &after, "d ");
    assert_some(
        f,
        (struct kg_store_filter){ .tags = { KG_SLICE("z"), KG_SLICE("y") }, .tag_count = 2, .any_tag = true },
        9, &after, "a b d ");
    assert_some(f, (struct kg_store_filter){ 0 }, 9, &after, "a b c d ");
    assert_some(f, (struct kg_store_filter){ .custom_id = KG_SLICE("id c") }, 9, &after, "c ");
    assert_some(
        f,
        (struct kg_store_filter){ .tags = { KG_SLICE("y") }, .tag_count = 1, .custom_id = KG_SLICE("id c") },
        9, &after, "");
    assert_int_equal(after, 0);
}

static int count_steps(void *ctx)
{
    (*(size_t *)ctx)++;
    return 0;
}

/* How many hundreds of steps SQLite takes to list those that have both. */
static size_t steps_for(struct fixture *f, const char *one, const char *other)
{
    const struct kg_store_filter filter = { .tags = { kg_slice_str(one), kg_slice_str(other) },
                                            .tag_count = 2 };
    int64_t after = 0;
    size_t steps = 0;

    sqlite3_progress_handler(f->store->db, 100, count_steps, &steps);
    assert_some(f, filter, 9, &after, "rare ");
    sqlite3_progress_handler(f->store->db, 0, NULL, NULL);
    return steps;
}

static void a_common_tag_before_a_rare_one_costs_no_more_than_behind_it(void **state)
{
    struct fixture *f = *state;
    size_t well, badly;

    exec(f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
            " INSERT INTO consumers (id, username, tags, created_at, updated_at)"
            " SELECT printf('00000000-0000-4000-8000-%012d', i), 'u' || i, '[\"common\"]', 1, 1 FROM n");
    add(f, "rare", "[\"common\",\"seldom\"]");
    well = steps_for(f, "seldom", "common");
    badly = steps_for(f, "common", "seldom");
    assert_in_range(badly, 0, 2 * well);
    assert_in_range(well, 0, 500);
}

static void pages_of_a_filtered_list_go_on_where_they_ended(void **state)
{
    const struct kg_store_filter any = { .tags = { KG_SLICE("x"), KG_SLICE("y") },
                                         .tag_count = 2,
                                         .any_tag = true };
    struct fixture *f = *state;
    int64_t after = 0;

    add(f, "a", "[\"x\",\"y\"]");
    add(f, "b", "[\"z\"]");
    add(f, "c", "[\"y\"]");
    add(f, "d", "[\"x\"]");
    assert_some(f, any, 2, &after, "a c ");
    assert_true(after > 0);
    assert_some(f, any, 2, &after, "d ");
    assert_int_equal(after, 0);
}

/* An expired one must not take the place of one that would be there. */
static void what_has_expired_takes_no_place_in_a_page(void **state)
{
    const struct kg_store_filter filter = { .tags = { KG_SLICE("x") }, .tag_count = 1 };
    struct fixture *f = *state;
    int64_t after = 0;
    json_t *page;

    assert_int_equal(put(f->store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(put(f->store, KG_KEYAUTH_CREDENTIALS,
                             "{\"consumer\":{\"id\":\"" ID_A "\"},\"tags\":[\"x\"],\"ttl\":1000}", NULL),
                         0);
    kg_store_close(f->store);
    exec(f, "UPDATE keyauth_credentials SET expires_at = 1 WHERE seq <= 2");
    f->store = open_store(f->dir);
    page = kg_store_list_some(f->store, KG_KEYAUTH_CREDENTIALS, &filter, 1, &after);
    assert_int_equal(json_array_size(page), 1);
    assert_int_equal(after, 3);
    json_decref(page);
}

static void an_older_database_gets_its_tags_listed(void **state)
{
    struct fixture *f = *state;

    add(f, "a", "[\"x\",\"y\"]");
    kg_store_close(f->store);
    exec(f, "DROP TABLE tags; DROP TRIGGER consumers_tags_INSERT; DROP TRIGGER consumers_tags_UPDATE;"
            "DROP TRIGGER consumers_tags_DELETE; PRAGMA user_version = 4");
    f->store = open_store(f->dir);
    add(f, "b", "[\"y\"]");
    assert_tags(f, NULL, "x:c y:c y:c ");
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_open, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(tags_follow_their_entity),
        STORE_TEST(lists_hold_those_with_all_or_any_of_the_tags),
        STORE_TEST(pages_of_a_filtered_list_go_on_where_they_ended),
        STORE_TEST(what_has_expired_takes_no_place_in_a_page),
        STORE_TEST(a_common_tag_before_a_rare_one_costs_no_more_than_behind_it),
        STORE_TEST(an_older_database_gets_its_tags_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
