/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/chunked.h"
#include "base/writer.h"
#include "http_test.h"

#include <errno.h>

#define ROOM 16384

struct outcome {
    char data[ROOM], section[ROOM];
    size_t len, used, section_len;
    int rc;
    bool done;
    const char *why;
};

/* Decodes input in pieces of `step` bytes, the first of `first` bytes, until the body ends or is refused. */
static void decode(struct kg_slice input, size_t first, size_t step, struct outcome *o)
{
    struct kg_chunked c = { 0 };
    size_t next = first;

    *o = (struct outcome){ .rc = 0 };
    assert_true(input.len <= ROOM);
    for (size_t at = 0; at < input.len && o->rc == 0 && !c.done; at += next, next = step) {
        size_t size = next < input.len - at ? next : input.len - at, got, used;
        char *piece = malloc(size > 0 ? size : 1);

        assert_non_null(piece);
        memcpy(piece, input.ptr + at, size);
        o->rc = kg_chunked_decode(&c, piece, size, &got, &used, &o->why);
        assert_true(got <= used && used <= size);
        if (o->rc == 0 && !c.done)
            assert_int_equal(used, size);
        memcpy(o->data + o->len, piece, got);
        o->len += got;
        o->used += used;
        assert_true(got + c.trailer <= used);
        memcpy(o->section + o->section_len, piece + used - c.trailer, c.trailer);
        o->section_len += c.trailer;
        free(piece);
    }
    o->done = c.done;
}

static struct outcome one, other;

static void gives(struct kg_slice input, const char *data, size_t rest)
{
    decode(input, input.len, input.len, &one);
    assert_int_equal(one.rc, 0);
    assert_true(one.done);
    assert_slice(kg_slice_of(one.data, one.len), data);
    assert_int_equal(one.used, input.len - rest);
}

static void refuses(struct kg_slice input)
{
    decode(input, input.len, input.len, &one);
    if (one.rc != -EPROTO || !one.why)
        fail_msg("%d for \"%.*s\"", one.rc, (int)input.len, input.ptr);
}

static void bodies_are_decoded(void **state)
{
    gives(KG_SLICE("0\r\n\r\n"), "", 0);
    gives(KG_SLICE("5\r\nhello\r\n0\r\n\r\n"), "hello", 0);
    gives(KG_SLICE("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), "hello world", 0);
    gives(KG_SLICE("A\r\n0123456789\r\na\r\nabcdefghij\r\n00\r\n\r\n"), "0123456789abcdefghij", 0);
    gives(KG_SLICE("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n"), "x", 0);
    gives(KG_SLICE("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n", 0);
}

static void bytes_behind_the_body_are_left(void **state)
{
    gives(KG_SLICE("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), "a", 16);
}

static void a_body_that_is_done_takes_no_more(void **state)
{
    struct kg_chunked c = { .done = true };
    char more[] = "1\r\na\r\n";
    size_t data, used;
    const char *why;

    assert_int_equal(kg_chunked_decode(&c, more, 6, &data, &used, &why), 0);
    assert_int_equal(data, 0);
    assert_int_equal(used, 0);
}

static void an_incomplete_body_is_not_done(void **state)
{
    struct kg_slice whole = KG_SLICE("5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n");

    for (size_t len = 0; len < whole.len; len++) {
        decode(kg_slice_of(whole.ptr, len), len, len, &one);
        assert_int_equal(one.rc, 0);
        assert_false(one.done);
        assert_int_equal(one.used, len);
    }
}

static void rule8_sizes_are_bare_hex(void **state)
{
    refuses(KG_SLICE("0x5\r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("+5\r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("-5\r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE(" 5\r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("5 \r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("5\t\r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("5 ;a\r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("\r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE(";a\r\n"));
    refuses(KG_SLICE("g\r\n"));
    refuses(KG_SLICE("5_0\r\n"));
    refuses(KG_SLICE("\r\n"));
}

static void rule8_sizes_have_at_most_16_digits(void **state)
{
    refuses(KG_SLICE("00000000000000001\r\n"));
    refuses(KG_SLICE("10000000000000000\r\n"));
    decode(KG_SLICE("ffffffffffffffff\r\nabc"), 100, 100, &one);
    assert_int_equal(one.rc, 0);
    assert_int_equal(one.len, 3);
}

static void rule1_and_8_only_crlf_ends_a_line(void **state)
{
    refuses(KG_SLICE("5\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("5\rhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("5\r\nhello\n0\r\n\r\n"));
    refuses(KG_SLICE("5\r\nhello\r0\r\n\r\n"));
    refuses(KG_SLICE("5\r\nhello\r\n0\n\r\n"));
    refuses(KG_SLICE("5\r\nhello\r\n0\r\n\n"));
    refuses(KG_SLICE("5\r\nhello\r\n0\r\n\rx"));
    refuses(KG_SLICE("5;a\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("0\r\nA: b\n\r\n"));
    refuses(KG_SLICE("0\r\nA: b\r\r\n"));
}

static void rule8_crlf_follows_the_data(void **state)
{
    refuses(KG_SLICE("5\r\nhello!\r\n0\r\n\r\n"));
    refuses(KG_SLICE("5\r\nhello0\r\n\r\n"));
    refuses(KG_SLICE("5\r\nhell\r\n0\r\n\r\n"));
}

static void rule8_extensions_are_dropped_and_checked(void **state)
{
    gives(KG_SLICE("5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n\r\n"), "hello", 0);
    refuses(KG_SLICE("5;a\0b\r\nhello\r\n0\r\n\r\n"));
    refuses(KG_SLICE("5;a\x7f\r\nhello\r\n0\r\n\r\n"));
}

static void rule8_extensions_are_bounded_in_each_chunk(void **state)
{
    char text[4096];
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    for (size_t chunk = 0; chunk < 2; chunk++) {
        KG_PUT(&w, "1;");
        for (size_t i = 0; i < KG_CHUNK_EXT_MAX; i++)
            KG_PUT(&w, "e");
        KG_PUT(&w, "\r\nx\r\n");
    }
    KG_PUT(&w, "0\r\n\r\n");
    assert_false(w.overflow);
    gives(kg_writer_slice(&w), "xx", 0);
    w.len = 0;
    KG_PUT(&w, "1;");
    for (size_t i = 0; i < KG_CHUNK_EXT_MAX + 1; i++)
        KG_PUT(&w, "e");
    refuses(kg_writer_slice(&w));
}

static void the_trailer_section_is_shown_as_it_came(void **state)
{
    gives(KG_SLICE("1\r\nx\r\n0;a=b\r\nX-Sum:  12 \r\nEmpty:\r\n\r\nnext"), "x", 4);
    assert_slice(kg_slice_of(one.section, one.section_len), "X-Sum:  12 \r\nEmpty:\r\n\r\n");
    gives(KG_SLICE("0\r\n\r\nnext"), "", 4);
    assert_slice(kg_slice_of(one.section, one.section_len), "\r\n");
    decode(KG_SLICE("5\r\nhello\r\n0\r\n"), 100, 100, &one);
    assert_int_equal(one.section_len, 0);
    decode(KG_SLICE("5\r\nhello\r\n0\r\nA: b"), 100, 100, &one);
    assert_slice(kg_slice_of(one.section, one.section_len), "A: b");
}

static void a_body_that_is_done_shows_no_more_of_a_section(void **state)
{
    struct kg_chunked c = { .done = true, .trailer = 2 };
    char more[] = "1\r\n";
    size_t data, used;
    const char *why;

    assert_int_equal(kg_chunked_decode(&c, more, 3, &data, &used, &why), 0);
    assert_int_equal(c.trailer, 0);
}

static void rule8_trailers_are_checked(void **state)
{
    gives(KG_SLICE("1\r\nx\r\n0\r\nX-Sum: 12\xc3\xa4\r\nEmpty:\r\n\r\nnext"), "x", 4);
    refuses(KG_SLICE("0\r\nno colon\r\n\r\n"));
    refuses(KG_SLICE("0\r\nA : b\r\n\r\n"));
    refuses(KG_SLICE("0\r\n: b\r\n\r\n"));
    refuses(KG_SLICE("0\r\nA: b\r\n folded\r\n\r\n"));
    refuses(KG_SLICE("0\r\nA: \x01\r\n\r\n"));
    refuses(KG_SLICE("0\r\nA\r\n\r\n"));
}

static void rule8_trailers_are_bounded(void **state)
{
    static char text[KG_CHUNK_TRAILER_MAX + 64];
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    KG_PUT(&w, "0;an-extension\r\n");
    for (size_t i = 0; i < KG_CHUNK_TRAILER_MAX / 8; i++)
        KG_PUT(&w, "A: bcd\r\n");
    KG_PUT(&w, "\r\n");
    assert_false(w.overflow);
    gives(kg_writer_slice(&w), "", 0);
    w.len -= 2;
    KG_PUT(&w, "A");
    refuses(kg_writer_slice(&w));
}

/* Feeds the same chunk again and again; the number of chunks taken before refusal, or max. */
static size_t chunks_taken(struct kg_slice chunk, size_t max)
{
    struct kg_chunked c = { 0 };
    char buf[64];
    size_t data, used;
    const char *why;

    for (size_t i = 0; i < max; i++) {
        memcpy(buf, chunk.ptr, chunk.len);
        if (kg_chunked_decode(&c, buf, chunk.len, &data, &used, &why) != 0)
            return i;
    }
    return max;
}

static void rule8_overhead_is_bounded_by_the_data(void **state)
{
    size_t tiny = chunks_taken(KG_SLICE("1\r\nx\r\n"), 1000000);
    size_t padded = chunks_taken(KG_SLICE("1;eeeeeeeeeeeeeeeeeeee\r\nx\r\n"), 1000000);

    /* Enough for anything honest, an end for the rest. */
    assert_in_range(tiny, 10000, 100000);
    assert_in_range(padded, 1000, tiny / 4);
    assert_int_equal(chunks_taken(KG_SLICE("4\r\nabcd\r\n"), 1000000), 1000000);
}

static void any_cut_gives_the_same(void **state)
{
    static const struct kg_slice inputs[] = {
        KG_SLICE("5\r\nhello\r\n0\r\n\r\n"),
        KG_SLICE("5;a=b\r\nhello\r\n1A;x\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nA: b\r\nC:\r\n\r\nGET /"),
        KG_SLICE("5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n"),
        KG_SLICE("5\r\nhello0\r\n\r\n"),
        KG_SLICE("00000000000000000\r\n"),
        KG_SLICE("5\r\nhello\r\n0\r\n\rx"),
    };

    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        decode(inputs[i], inputs[i].len, inputs[i].len, &one);
        for (size_t cut = 1; cut <= inputs[i].len; cut++) {
            decode(inputs[i], cut, cut % 2 ? inputs[i].len : 1, &other);
            assert_int_equal(one.rc, other.rc);
            assert_int_equal(one.done, other.done);
            assert_int_equal(one.used, other.used);
            assert_int_equal(one.len, other.len);
            assert_memory_equal(one.data, other.data, one.len);
            assert_int_equal(one.section_len, other.section_len);
            assert_memory_equal(one.section, other.section, one.section_len);
            assert_ptr_equal(one.why, other.why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_decoded),
        cmocka_unit_test(bytes_behind_the_body_are_left),
        cmocka_unit_test(a_body_that_is_done_takes_no_more),
        cmocka_unit_test(an_incomplete_body_is_not_done),
        cmocka_unit_test(rule8_sizes_are_bare_hex),
        cmocka_unit_test(rule8_sizes_have_at_most_16_digits),
        cmocka_unit_test(rule1_and_8_only_crlf_ends_a_line),
        cmocka_unit_test(rule8_crlf_follows_the_data),
        cmocka_unit_test(rule8_extensions_are_dropped_and_checked),
        cmocka_unit_test(rule8_extensions_are_bounded_in_each_chunk),
        cmocka_unit_test(the_trailer_section_is_shown_as_it_came),
        cmocka_unit_test(a_body_that_is_done_shows_no_more_of_a_section),
        cmocka_unit_test(rule8_trailers_are_checked),
        cmocka_unit_test(rule8_trailers_are_bounded),
        cmocka_unit_test(rule8_overhead_is_bounded_by_the_data),
        cmocka_unit_test(any_cut_gives_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
