/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/uuid.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void random_uuids_are_version_4_and_differ(void **state)
{
    char before[KG_UUID_TEXT] = "";

    for (int i = 0; i < 200; i++) {
        char uuid[KG_UUID_TEXT];
        kg_uuid_random(uuid);
        assert_int_equal(strlen(uuid), 36);
        assert_true(kg_uuid_valid(kg_slice_str(uuid)));
        assert_int_equal(uuid[14], '4');
        assert_non_null(strchr("89ab", uuid[19]));
        for (size_t at = 0; at < 36; at++)
            assert_false(isupper((unsigned char)uuid[at]));
        assert_string_not_equal(uuid, before);
        memcpy(before, uuid, sizeof(before));
    }
}

static void knows_a_uuid_by_its_shape(void **state)
{
    assert_true(kg_uuid_valid(KG_SLICE("FD02801F-0957-4a15-a55a-c8d9606f30b5")));
    assert_false(kg_uuid_valid(KG_SLICE("fd02801f-0957-4a15-a55a-c8d9606f30b")));
    assert_false(kg_uuid_valid(KG_SLICE("fd02801f-0957-4a15-a55a-c8d9606f30b55")));
    assert_false(kg_uuid_valid(KG_SLICE("fd02801f00957-4a15-a55a-c8d9606f30b5")));
    assert_false(kg_uuid_valid(KG_SLICE("fd02801g-0957-4a15-a55a-c8d9606f30b5")));
    assert_false(kg_uuid_valid(KG_SLICE("fd02801-f0957-4a15-a55a-c8d9606f30b5")));
    assert_false(kg_uuid_valid(KG_SLICE("")));
}

static void random_text_is_alphanumeric_and_uses_the_whole_alphabet(void **state)
{
    char text[4001];
    size_t different = 0;

    kg_random_alnum(text, 4000);
    assert_int_equal(strlen(text), 4000);
    for (size_t i = 0; i < 4000; i++)
        assert_true(isalnum((unsigned char)text[i]));
    for (int c = 1; c < 128; c++)
        different += strchr(text, c) != NULL;
    /* That a given one of 62 is missing among 4,000 has a chance of 1 in 10^28. */
    assert_int_equal(different, 62);
}

static void random_bytes_fill_the_whole_buffer(void **state)
{
    uint8_t seen[64] = { 0 };

    for (int round = 0; round < 8; round++) {
        uint8_t bytes[64] = { 0 };
        kg_random(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            seen[i] |= bytes[i];
    }
    /* Eight zeros in a row in one place: 1 in 2^64. */
    for (size_t i = 0; i < sizeof(seen); i++)
        assert_int_not_equal(seen[i], 0);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, 12);
}

static void public_random_bytes_never_come_twice(void **state)
{
    static uint8_t drawn[3000][12];

    for (size_t i = 0; i < 3000; i++)
        kg_random_public(drawn[i], 12);
    qsort(drawn, 3000, 12, by_bytes);
    for (size_t i = 1; i < 3000; i++)
        assert_memory_not_equal(drawn[i - 1], drawn[i], 12);
}

static void a_child_draws_other_ids_than_its_parent(void **state)
{
    char ours[KG_UUID_TEXT], childs[KG_UUID_TEXT];
    int pipes[2], status;

    kg_uuid_random(ours); /* there is something left to draw from */
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        kg_uuid_random(childs);
        _exit(write(pipes[1], childs, sizeof(childs)) == sizeof(childs) ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(pipes[0], childs, sizeof(childs)), sizeof(childs));
    kg_uuid_random(ours);
    assert_string_not_equal(ours, childs);
    close(pipes[0]);
    close(pipes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_uuids_are_version_4_and_differ),
        cmocka_unit_test(knows_a_uuid_by_its_shape),
        cmocka_unit_test(random_text_is_alphanumeric_and_uses_the_whole_alphabet),
        cmocka_unit_test(random_bytes_fill_the_whole_buffer),
        cmocka_unit_test(a_child_draws_other_ids_than_its_parent),
        cmocka_unit_test(public_random_bytes_never_come_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
