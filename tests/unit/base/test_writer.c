/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define assert_written(w, text) assert_true(kg_slice_eq(kg_writer_slice(w), KG_SLICE(text)))

static void writes_nothing_more_once_something_did_not_fit(void **state)
{
    char buf[6] = "......";
    struct kg_writer w = kg_writer_of(buf, 5);

    KG_PUT(&w, "abc");
    assert_false(w.overflow);
    KG_PUT(&w, "def");
    assert_true(w.overflow);
    assert_written(&w, "abc");
    /* It would fit, but what follows a hole is no continuation. */
    KG_PUT(&w, "de");
    kg_put_char(&w, 'f');
    assert_written(&w, "abc");
    assert_true(w.overflow);
    assert_int_equal(buf[5], '.');
}

static void an_empty_writer_takes_only_nothing(void **state)
{
    struct kg_writer w = kg_writer_of(NULL, 0);

    KG_PUT(&w, "");
    kg_put(&w, kg_slice_of(NULL, 0));
    assert_false(w.overflow);
    kg_put_char(&w, 'a');
    assert_true(w.overflow);
    assert_int_equal(w.len, 0);
}

static void writes_numbers(void **state)
{
    char buf[128];
    struct kg_writer w = kg_writer_of(buf, sizeof(buf));

    kg_put_u64(&w, 0);
    kg_put_char(&w, ' ');
    kg_put_u64(&w, UINT64_MAX);
    kg_put_char(&w, ' ');
    kg_put_hex(&w, 0);
    kg_put_char(&w, ' ');
    kg_put_hex(&w, 0x1a0f);
    kg_put_char(&w, ' ');
    kg_put_hex(&w, UINT64_MAX);
    assert_written(&w, "0 18446744073709551615 0 1a0f ffffffffffffffff");
}

static void writes_bytes_as_hex(void **state)
{
    static const uint8_t bytes[] = { 0x00, 0x0f, 0xf0, 0xff };
    char buf[8];
    struct kg_writer w = kg_writer_of(buf, sizeof(buf));

    kg_put_hex_bytes(&w, bytes, sizeof(bytes));
    assert_written(&w, "000ff0ff");
    assert_false(w.overflow);
}

static void escapes_json(void **state)
{
    char buf[128];
    struct kg_writer w = kg_writer_of(buf, sizeof(buf));

    kg_put_json(&w, KG_SLICE("a\"b\\c/\n\x1f\x7f\xc3\xa4\0z"));
    assert_written(&w, "a\\\"b\\\\c/\\u000a\\u001f\\u007f\xc3\xa4\\u0000z");
}

static void takes_back_what_was_written_last(void **state)
{
    char buf[8];
    struct kg_writer w = kg_writer_of(buf, sizeof(buf));

    KG_PUT(&w, "abcdef");
    kg_writer_cut(&w, 2);
    assert_written(&w, "ab");
    kg_writer_cut(&w, 5);
    assert_written(&w, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_nothing_more_once_something_did_not_fit),
        cmocka_unit_test(an_empty_writer_takes_only_nothing),
        cmocka_unit_test(writes_numbers),
        cmocka_unit_test(writes_bytes_as_hex),
        cmocka_unit_test(escapes_json),
        cmocka_unit_test(takes_back_what_was_written_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
