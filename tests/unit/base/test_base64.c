/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* RFC 4648, 10, without the padding, and bytes that tell the alphabets apart. */
static const struct {
    struct kg_slice plain, encoded;
} pairs[] = {
    { { "", 0 }, { "", 0 } },
    { { "f", 1 }, { "Zg", 2 } },
    { { "fo", 2 }, { "Zm8", 3 } },
    { { "foo", 3 }, { "Zm9v", 4 } },
    { { "foob", 4 }, { "Zm9vYg", 6 } },
    { { "fooba", 5 }, { "Zm9vYmE", 7 } },
    { { "foobar", 6 }, { "Zm9vYmFy", 8 } },
    { { "\0\0\0", 3 }, { "AAAA", 4 } },
    { { "\xfb\xff\xfe", 3 }, { "-__-", 4 } },
    { { "\xff\xff", 2 }, { "__8", 3 } },
};
#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

static void writes_what_it_reads(void **state)
{
    for (size_t i = 0; i < PAIRS; i++) {
        char buf[16];
        struct kg_writer w = kg_writer_of(buf, pairs[i].encoded.len);

        kg_put_base64url(&w, pairs[i].plain);
        assert_false(w.overflow);
        assert_true(kg_slice_eq(kg_writer_slice(&w), pairs[i].encoded));
        w = kg_writer_of(buf, pairs[i].plain.len);
        assert_true(kg_base64url_decode(pairs[i].encoded, &w));
        assert_true(kg_slice_eq(kg_writer_slice(&w), pairs[i].plain));
    }
}

/* Every byte in every place of a group. */
static void comes_back_whole_for_every_byte(void **state)
{
    for (size_t len = 1; len <= 4; len++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char bytes[4] = { (char)(byte + 1), (char)(byte ^ 0x55), (char)~byte, (char)byte };
            char text[8], back[4];
            struct kg_writer w = kg_writer_of(text, sizeof(text)), out = kg_writer_of(back, sizeof(back));

            kg_put_base64url(&w, kg_slice_of(bytes + 4 - len, len));
            assert_true(kg_base64url_decode(kg_writer_slice(&w), &out));
            assert_int_equal(out.len, len);
            assert_memory_equal(back, bytes + 4 - len, len);
        }
    }
}

static bool decodes(bool (*decode)(struct kg_slice, struct kg_writer *), const char *text, size_t room)
{
    char buf[64];
    struct kg_writer w = kg_writer_of(buf, room);

    return decode(kg_slice_str(text), &w);
}

static void what_is_not_its_own_writing_is_refused(void **state)
{
    static const char *const bad[] = { "Z",     "Zm9vY", "Zg==", "Zm8=", "Zm9v=", "Zm9v\n",
                                       " Zm9v", "Zm 9v", "Zm+v", "Zm/v", "Zm.v",  "Zm9\xc3",
                                       "Zh",    "Zn",    "Zm9",  "Zm-",  "Zm9vYh" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (decodes(kg_base64url_decode, bad[i], 64))
            fail_msg("[%s] was decoded", bad[i]);
    }
    assert_true(decodes(kg_base64url_decode, "Zm9vYg", 4));
    assert_false(decodes(kg_base64url_decode, "Zm9vYg", 3));
}

static void people_may_paste_either_alphabet_and_padding(void **state)
{
    static const char *const good[] = { "Zg", "Zg==", "Zm8", "Zm8=", "Zm9v", "+/+/", "-_-_", "+_-/", "" };
    static const char *const bad[] = { "Zg=", "Zg===", "Zm8==", "Zm9v=", "====",
                                       "=",   "Z",     "Z===",  "Zm8 ",  "Zm\n9v" };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!decodes(kg_base64_decode, good[i], 64))
            fail_msg("[%s] was refused", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (decodes(kg_base64_decode, bad[i], 64))
            fail_msg("[%s] was decoded", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(comes_back_whole_for_every_byte),
        cmocka_unit_test(what_is_not_its_own_writing_is_refused),
        cmocka_unit_test(people_may_paste_either_alphabet_and_padding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
