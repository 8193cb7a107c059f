/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define ALICE "00000000-0000-4000-8000-00000000000a"
#define BOB   "00000000-0000-4000-8000-00000000000b"

static struct kg_model *model;

static int set_up(void **state)
{
    model = kg_model_new(NULL);
    kg_model_put_consumer(model, ALICE, "alice", NULL);
    kg_model_put_consumer(model, BOB, "bob", NULL);
    return 0;
}

static int tear_down(void **state)
{
    kg_model_free(model);
    return 0;
}

static void id_of(unsigned number, char id[KG_UUID_TEXT])
{
    snprintf(id, KG_UUID_TEXT, "00000000-0000-4000-8000-%012x", 0x100 + number);
}

static void put(unsigned number, const char *consumer, const char *group)
{
    char id[KG_UUID_TEXT];

    id_of(number, id);
    json_t *acl = json_pack("{s:s,s:{s:s},s:s}", "id", id, "consumer", "id", consumer, "group", group);
    kg_model_put(model, KG_ACLS, acl);
    json_decref(acl);
}

static void take_away(unsigned number)
{
    char id[KG_UUID_TEXT];

    id_of(number, id);
    kg_model_remove(model, KG_ACLS, id);
}

/* NULL: it is in none. */
static void assert_groups_in(const struct kg_snapshot *snapshot, const char *username, const char *expected)
{
    const struct kg_consumer *consumer = kg_snapshot_consumer(snapshot, kg_slice_str(username));
    assert_non_null(consumer);
    const struct kg_consumer_groups *groups = kg_snapshot_groups(snapshot, consumer);
    size_t len = 0;

    if (!groups || !expected) {
        assert_true(!groups && !expected);
        return;
    }
    if (!kg_slice_eq(groups->list, kg_slice_str(expected)))
        fail_msg("wanted [%s], seen [%.*s]", expected, (int)groups->list.len, groups->list.ptr);
    for (size_t i = 0; i < groups->count; i++)
        len += groups->names[i].len;
    assert_int_equal(len + 2 * (groups->count - 1), groups->list.len);
}

static void assert_groups(const char *username, const char *expected)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(model);

    assert_groups_in(snapshot, username, expected);
    kg_snapshot_free(snapshot);
}

static void a_consumer_is_in_the_groups_of_its_acls(void **state)
{
    assert_groups("alice", NULL);
    put(1, ALICE, "staff");
    assert_groups("alice", "staff");
    assert_groups("bob", NULL);
    put(2, BOB, "guests");
    assert_groups("bob", "guests");
    assert_groups("alice", "staff");
}

static void groups_stand_in_the_order_of_their_bytes(void **state)
{
    put(1, ALICE, "b");
    put(2, ALICE, "ab");
    put(3, ALICE, "B");
    put(4, ALICE, "a");
    assert_groups("alice", "B, a, ab, b");
}

static void an_acl_can_change_its_group_and_its_consumer(void **state)
{
    put(1, ALICE, "a");
    put(2, ALICE, "b");
    put(1, ALICE, "c");
    assert_groups("alice", "b, c");
    put(1, ALICE, "c");
    assert_groups("alice", "b, c");
    put(1, BOB, "c");
    assert_groups("alice", "b");
    assert_groups("bob", "c");
}

static void the_last_acl_gone_leaves_nothing(void **state)
{
    put(1, ALICE, "a");
    put(2, ALICE, "b");
    take_away(1);
    assert_groups("alice", "b");
    take_away(1);
    take_away(77);
    take_away(2);
    assert_groups("alice", NULL);
    put(2, ALICE, "b");
    assert_groups("alice", "b");
}

static void they_go_with_their_consumer(void **state)
{
    put(1, ALICE, "a");
    put(2, ALICE, "b");
    put(3, BOB, "a");
    kg_model_remove(model, KG_CONSUMERS, ALICE);
    take_away(1);
    kg_model_put_consumer(model, ALICE, "alice", NULL);
    assert_groups("alice", NULL);
    assert_groups("bob", "a");
    put(1, ALICE, "c");
    assert_groups("alice", "c");
}

static void they_stay_when_their_consumer_changes(void **state)
{
    put(1, ALICE, "a");
    kg_model_put_consumer(model, ALICE, "alicia", "42");
    assert_groups("alicia", "a");
}

static void a_snapshot_keeps_the_groups_it_was_made_with(void **state)
{
    put(1, ALICE, "a");
    put(2, BOB, "b");
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    put(3, ALICE, "c");
    kg_model_remove(model, KG_CONSUMERS, BOB);
    assert_groups_in(snapshot, "alice", "a");
    assert_groups_in(snapshot, "bob", "b");
    kg_snapshot_free(snapshot);
    assert_groups("alice", "a, c");
}

static void loading_all_at_once_comes_to_the_same(void **state)
{
    struct kg_model *before = model;
    char id[KG_UUID_TEXT], name[16];

    model = kg_model_new(NULL);
    kg_model_load_consumer(model, ALICE, "alice", NULL);
    kg_model_load_consumer(model, BOB, "bob", NULL);
    for (unsigned i = 0; i < 3000; i++) {
        id_of(i, id);
        snprintf(name, sizeof(name), "g%u", i);
        if (i % 1000 == 7)
            kg_model_load_group(model, id, i % 2 ? ALICE : BOB, name);
    }
    kg_model_load_end(model);
    assert_groups("alice", "g1007, g2007, g7");
    assert_groups("bob", NULL);
    take_away(1007);
    put(7, BOB, "g7");
    assert_groups("alice", "g2007");
    assert_groups("bob", "g7");
    kg_model_free(model);
    model = before;
}

static void what_was_being_loaded_goes_with_the_model(void **state)
{
    struct kg_model *broken = kg_model_new(NULL);

    kg_model_load_consumer(broken, ALICE, "alice", NULL);
    kg_model_load_group(broken, BOB, ALICE, "a");
    kg_model_free(broken);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_consumer_is_in_the_groups_of_its_acls),
        test(groups_stand_in_the_order_of_their_bytes),
        test(an_acl_can_change_its_group_and_its_consumer),
        test(the_last_acl_gone_leaves_nothing),
        test(they_go_with_their_consumer),
        test(they_stay_when_their_consumer_changes),
        test(a_snapshot_keeps_the_groups_it_was_made_with),
        test(loading_all_at_once_comes_to_the_same),
        test(what_was_being_loaded_goes_with_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
