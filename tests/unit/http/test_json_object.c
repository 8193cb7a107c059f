/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/json_object.h"
#include "http_test.h"

#include <errno.h>

static struct kg_json_object object;
static struct kg_json_member member;

static bool begin(struct kg_slice text)
{
    return kg_json_object_begin(&object, text);
}

static void comes(const char *name, const char *value, enum kg_json_kind kind)
{
    assert_int_equal(kg_json_object_next(&object, &member), 1);
    assert_slice(member.name, name);
    assert_slice(member.value, value);
    assert_int_equal(member.kind, kind);
}

/* How many members there are, or -EINVAL; on a copy of its own, so that AddressSanitizer sees a read past its
 * end. */
static int count(struct kg_slice text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);
    int rc, members = 0;

    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    rc = begin(kg_slice_of(copy, text.len)) ? 1 : -EINVAL;
    while (rc > 0) {
        rc = kg_json_object_next(&object, &member);
        members += rc > 0;
    }
    free(copy);
    return rc < 0 ? rc : members;
}

static void members_come_as_they_are_written(void **state)
{
    assert_true(begin(KG_SLICE(
        " {\t\"a\" : \"x\\\"y\" ,\n\"b\":[1, {\"c\":[]}],\"\":{ } ,\"d\":-1.5e+3, \"e\":null}\r\n")));
    comes("\"a\"", "\"x\\\"y\"", KG_JSON_STRING);
    comes("\"b\"", "[1, {\"c\":[]}]", KG_JSON_ARRAY);
    comes("\"\"", "{ }", KG_JSON_OBJECT);
    comes("\"d\"", "-1.5e+3", KG_JSON_OTHER);
    comes("\"e\"", "null", KG_JSON_OTHER);
    assert_int_equal(kg_json_object_next(&object, &member), 0);
    assert_int_equal(kg_json_object_next(&object, &member), 0);
}

static void what_is_json_is_read_to_its_end(void **state)
{
    static const struct {
        const char *text;
        int members;
    } texts[] = {
        { "{}", 0 },
        { " { } ", 0 },
        { "{\"a\":true,\"b\":false}", 2 },
        { "{\"a\":0,\"b\":-0,\"c\":10.25,\"d\":1e9,\"e\":1E-9}", 5 },
        { "{\"a\":[[],[1,2],[[3]],{}, {\"x\":{\"y\":[{}]}} ]}", 1 },
        { "{\"\\u0061\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\":\"\"}", 1 },
        { "{\"a\":\"\x7f\xc3\xa4\"}", 1 },
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (count(kg_slice_str(texts[i].text)) != texts[i].members)
            fail_msg("%s: %d", texts[i].text, count(kg_slice_str(texts[i].text)));
    }
}

static const char *const no_json[] = {
    "",
    "[]",
    "\"a\"",
    "null",
    "\xef\xbb\xbf{}",
    "{",
    "{}x",
    "{}{}",
    "{,}",
    "{\"a\":1,}",
    "{\"a\":1 \"b\":2}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{\"a\":1]",
    "{\"a\":[1}",
    "{\"a\":[1,]}",
    "{\"a\":[,1]}",
    "{\"a\":[1 2]}",
    "{\"a\":{\"b\"}}",
    "{\"a\":{\"b\":1,}}",
    "{\"a\":{1:2}}",
    "{\"a\":[\"b\":1]}",
    "{\"a\":01}",
    "{\"a\":+1}",
    "{\"a\":-}",
    "{\"a\":.5}",
    "{\"a\":1.}",
    "{\"a\":1e}",
    "{\"a\":1e+}",
    "{\"a\":0x1}",
    "{\"a\":NaN}",
    "{\"a\":True}",
    "{\"a\":nul}",
    "{\"a\":truex}",
    "{\"a\":\"b}",
    "{\"a\":\"b\n\"}",
    "{\"a\":\"\\x41\"}",
    "{\"a\":\"\\u00g0\"}",
    "{\"a\":\"\\u00\"}",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":\"\\ud800\\u0041\"}",
    "{\"a\":\"\\udc00\"}",
    "{\"a\":\"\\ud800x\"}",
    "{\"a\":\"\\",
    "{\"a\":1}/**/",
    "{\"a\":1,/**/\"b\":2}",
};

static void what_is_no_json_is_refused(void **state)
{
    for (size_t i = 0; i < sizeof(no_json) / sizeof(no_json[0]); i++) {
        if (count(kg_slice_str(no_json[i])) != -EINVAL)
            fail_msg("%s: %d", no_json[i], count(kg_slice_str(no_json[i])));
    }
    assert_int_equal(count(KG_SLICE("{\"a\":\"\0\"}")), -EINVAL);
    assert_int_equal(count(KG_SLICE("{}\0")), -EINVAL);
}

static void each_prefix_of_json_is_none(void **state)
{
    static const char text[] = "{\"a\":\"\\ud83d\\ude00\",\"b\":[1,{\"c\":null}],\"d\":-1.5e3}";

    for (size_t len = 0; len < sizeof(text) - 1; len++)
        assert_int_equal(count(kg_slice_of(text, len)), -EINVAL);
    assert_int_equal(count(KG_SLICE(text)), 3);
}

/* An object with arrays, or with objects, within each other. */
static int count_nested(size_t depth, struct kg_slice opening, struct kg_slice closing)
{
    static char text[8 * KG_JSON_DEPTH];
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    KG_PUT(&w, "{\"\":");
    for (size_t i = 1; i < depth; i++)
        kg_put(&w, opening);
    KG_PUT(&w, "0");
    for (size_t i = 1; i < depth; i++)
        kg_put(&w, closing);
    KG_PUT(&w, "}");
    assert_false(w.overflow);
    return count(kg_writer_slice(&w));
}

static void nesting_has_a_limit(void **state)
{
    assert_int_equal(count_nested(KG_JSON_DEPTH, KG_SLICE("["), KG_SLICE("]")), 1);
    assert_int_equal(count_nested(KG_JSON_DEPTH + 1, KG_SLICE("["), KG_SLICE("]")), -EINVAL);
    assert_int_equal(count_nested(KG_JSON_DEPTH, KG_SLICE("{\"\":"), KG_SLICE("}")), 1);
    assert_int_equal(count_nested(KG_JSON_DEPTH + 1, KG_SLICE("{\"\":"), KG_SLICE("}")), -EINVAL);
    assert_int_equal(count_nested(KG_JSON_DEPTH, KG_SLICE("["), KG_SLICE("}")), -EINVAL);
}

static void a_string_is_compared_by_what_it_stands_for(void **state)
{
    assert_true(kg_json_string_is(KG_SLICE("\"apikey\""), KG_SLICE("apikey")));
    assert_true(kg_json_string_is(KG_SLICE("\"ap\\u0069key\""), KG_SLICE("apikey")));
    assert_true(
        kg_json_string_is(KG_SLICE("\"\\u0061\\u0070\\u0069\\u006B\\u0065\\u0079\""), KG_SLICE("apikey")));
    assert_false(kg_json_string_is(KG_SLICE("\"Apikey\""), KG_SLICE("apikey")));
    assert_false(kg_json_string_is(KG_SLICE("\"apikeys\""), KG_SLICE("apikey")));
    assert_false(kg_json_string_is(KG_SLICE("\"apike\""), KG_SLICE("apikey")));
    assert_false(kg_json_string_is(KG_SLICE("\"apikey\\u0000\""), KG_SLICE("apikey")));
    assert_false(kg_json_string_is(KG_SLICE("\"api\\\"y\""), KG_SLICE("apikey")));
    assert_false(kg_json_string_is(KG_SLICE("\"\""), KG_SLICE("apikey")));
}

static void a_string_becomes_utf8(void **state)
{
    char text[64];
    struct kg_writer out = kg_writer_of(text, sizeof(text)), small = kg_writer_of(text, 3);

    assert_true(kg_json_string_decode(
        KG_SLICE("\"a\\n\\\"\\\\\\/"
                 "\\u0041\\u007f\\u0080\\u07FF\\u0800\\uffff\\ud800\\udc00\\udbff\\udfff\xc3\xa4\""),
        &out));
    assert_slice(kg_writer_slice(&out),
                 "a\n\"\\/A\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80"
                 "\xf4\x8f\xbf\xbf\xc3\xa4");
    assert_true(kg_json_string_decode(KG_SLICE("\"abc\""), &small));
    small.len = 0;
    assert_false(kg_json_string_decode(KG_SLICE("\"abcd\""), &small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_as_they_are_written),
        cmocka_unit_test(what_is_json_is_read_to_its_end),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(each_prefix_of_json_is_none),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(a_string_is_compared_by_what_it_stands_for),
        cmocka_unit_test(a_string_becomes_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
