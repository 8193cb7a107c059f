/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/error_style.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define ID "1f8a6c1c9d0d1853d9db426588c1ce1c"

static const char *const kong_messages[KG_REASONS] = {
    [KG_REASON_OTHER] = "API rate limit exceeded",
    [KG_REASON_NO_KEY] = "No API key found in request",
    [KG_REASON_SEVERAL_KEYS] = "Duplicate API key found",
    [KG_REASON_WRONG_KEY] = "Unauthorized",
    [KG_REASON_NO_ROUTE] = "no Route matched with those values",
    [KG_REASON_BANNED] = "Address is banned",
};

static const unsigned statuses[KG_REASONS] = {
    [KG_REASON_OTHER] = 429,     [KG_REASON_NO_KEY] = 401,   [KG_REASON_SEVERAL_KEYS] = 401,
    [KG_REASON_WRONG_KEY] = 401, [KG_REASON_NO_ROUTE] = 404, [KG_REASON_BANNED] = 403,
};

/* The whole body for a refusal, as a client sees it. */
static const char *body_of(enum kg_error_style style, enum kg_media media, enum kg_reason reason)
{
    static char text[512];
    struct kg_writer out = kg_writer_of(text, sizeof(text) - 1);
    struct kg_error_words words = {
        .media = media,
        .status = statuses[reason],
        .message =
            kg_error_style_message(style, reason, statuses[reason], kg_slice_str(kong_messages[reason])),
        .request_id = KG_SLICE(ID),
    };

    kg_error_style_body(style, &words, &out);
    assert_false(out.overflow);
    text[out.len] = '\0';
    return text;
}

static const char *type_of(enum kg_error_style style, enum kg_media media)
{
    static char text[64];
    struct kg_slice type = kg_error_style_type(style, media);

    snprintf(text, sizeof(text), "%.*s", (int)type.len, type.ptr);
    return text;
}

/* As long as the Content-Length of Kong 3.11 says: 96, 81 and 92. */
static void kongs_bodies_have_kongs_bytes(void **state)
{
    assert_string_equal(body_of(KG_ERRORS_KONG, KG_MEDIA_JSON, KG_REASON_NO_KEY),
                        "{\n  \"message\":\"No API key found in request\",\n  \"request_id\":\"" ID "\"\n}");
    assert_int_equal(strlen(body_of(KG_ERRORS_KONG, KG_MEDIA_JSON, KG_REASON_NO_KEY)), 96);
    assert_string_equal(body_of(KG_ERRORS_KONG, KG_MEDIA_JSON, KG_REASON_WRONG_KEY),
                        "{\n  \"message\":\"Unauthorized\",\n  \"request_id\":\"" ID "\"\n}");
    assert_int_equal(strlen(body_of(KG_ERRORS_KONG, KG_MEDIA_JSON, KG_REASON_WRONG_KEY)), 81);
    assert_int_equal(strlen(body_of(KG_ERRORS_KONG, KG_MEDIA_JSON, KG_REASON_OTHER)), 92);
    assert_string_equal(type_of(KG_ERRORS_KONG, KG_MEDIA_JSON), "application/json; charset=utf-8");
}

static void kongs_bodies_alone_follow_what_the_client_accepts(void **state)
{
    assert_string_equal(body_of(KG_ERRORS_KONG, KG_MEDIA_PLAIN, KG_REASON_WRONG_KEY),
                        "Unauthorized\nrequest_id: " ID "\n");
    assert_string_equal(type_of(KG_ERRORS_KONG, KG_MEDIA_HTML), "text/html; charset=utf-8");
    for (enum kg_media media = KG_MEDIA_JSON; media <= KG_MEDIA_PLAIN; media++) {
        assert_string_equal(type_of(KG_ERRORS_APISIX, media), "text/plain; charset=utf-8");
        assert_string_equal(type_of(KG_ERRORS_APIM, media), "application/json");
        assert_string_equal(body_of(KG_ERRORS_APISIX, media, KG_REASON_WRONG_KEY),
                            "{\"message\":\"Invalid API key in request\"}\n");
    }
}

static void apisix_has_words_of_its_own_in_one_line(void **state)
{
    static const char *const bodies[KG_REASONS] = {
        [KG_REASON_OTHER] = "{\"error_msg\":\"API rate limit exceeded\"}\n",
        [KG_REASON_NO_KEY] = "{\"message\":\"Missing API key found in request\"}\n",
        [KG_REASON_SEVERAL_KEYS] = "{\"message\":\"Invalid API key in request\"}\n",
        [KG_REASON_WRONG_KEY] = "{\"message\":\"Invalid API key in request\"}\n",
        [KG_REASON_NO_ROUTE] = "{\"error_msg\":\"404 Route Not Found\"}\n",
        [KG_REASON_BANNED] = "{\"message\":\"Your IP address is not allowed\"}\n",
    };

    for (enum kg_reason reason = 0; reason < KG_REASONS; reason++)
        assert_string_equal(body_of(KG_ERRORS_APISIX, KG_MEDIA_JSON, reason), bodies[reason]);
}

static void apim_says_the_status_and_the_same_to_all_who_are_not_let_in(void **state)
{
    static const char refused[] =
        "{\n\"message\": \"Invalid authentication credentials\",\n\"status\": 401\n}";

    assert_string_equal(body_of(KG_ERRORS_APIM, KG_MEDIA_JSON, KG_REASON_NO_KEY), refused);
    assert_string_equal(body_of(KG_ERRORS_APIM, KG_MEDIA_JSON, KG_REASON_SEVERAL_KEYS), refused);
    assert_string_equal(body_of(KG_ERRORS_APIM, KG_MEDIA_JSON, KG_REASON_WRONG_KEY), refused);
    assert_string_equal(body_of(KG_ERRORS_APIM, KG_MEDIA_JSON, KG_REASON_OTHER),
                        "{\n\"message\": \"API rate limit exceeded\",\n\"status\": 429\n}");
    assert_string_equal(body_of(KG_ERRORS_APIM, KG_MEDIA_JSON, KG_REASON_NO_ROUTE),
                        "{\n\"message\": \"no Route matched with those values\",\n\"status\": 404\n}");
}

static void no_message_can_break_out_of_its_string(void **state)
{
    static const struct kg_slice hostile = { "a\"b\\c\n", 6 };
    char text[256];

    for (enum kg_error_style style = KG_ERRORS_KONG; style <= KG_ERRORS_APIM; style++) {
        struct kg_writer out = kg_writer_of(text, sizeof(text) - 1);
        struct kg_error_words words = { .status = 403, .message = hostile, .request_id = KG_SLICE(ID) };

        kg_error_style_body(style, &words, &out);
        text[out.len] = '\0';
        assert_non_null(strstr(text, "\"a\\\"b\\\\c\\u000a\""));
    }
}

static void expect_challenge(enum kg_error_style style, enum kg_reason reason, const char *challenge,
                             size_t room, const char *expected)
{
    char text[64];
    struct kg_writer scratch = kg_writer_of(text, room);
    struct kg_slice got = kg_error_style_challenge(style, reason, kg_slice_str(challenge), &scratch);

    if (!kg_slice_eq(got, kg_slice_str(expected)))
        fail_msg("%s became %.*s", challenge, (int)got.len, got.ptr);
}

static void apisix_asks_for_an_apikey_in_a_realm(void **state)
{
    expect_challenge(KG_ERRORS_APISIX, KG_REASON_NO_KEY, "Key", 64, "apikey realm=\"key\"");
    expect_challenge(KG_ERRORS_APISIX, KG_REASON_SEVERAL_KEYS, "Key", 64, "apikey realm=\"key\"");
    expect_challenge(KG_ERRORS_APISIX, KG_REASON_WRONG_KEY, "Key realm=\"a \\\"b\"", 64,
                     "apikey realm=\"a \\\"b\"");
    expect_challenge(KG_ERRORS_APISIX, KG_REASON_OTHER, "Bearer", 64, "Bearer");
    expect_challenge(KG_ERRORS_KONG, KG_REASON_WRONG_KEY, "Key realm=\"a\"", 64, "Key realm=\"a\"");
    expect_challenge(KG_ERRORS_APIM, KG_REASON_WRONG_KEY, "Key", 64, "Key");
    /* No room: as it was, and whole. */
    expect_challenge(KG_ERRORS_APISIX, KG_REASON_NO_KEY, "Key", 20, "Key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kongs_bodies_have_kongs_bytes),
        cmocka_unit_test(kongs_bodies_alone_follow_what_the_client_accepts),
        cmocka_unit_test(apisix_has_words_of_its_own_in_one_line),
        cmocka_unit_test(apim_says_the_status_and_the_same_to_all_who_are_not_let_in),
        cmocka_unit_test(no_message_can_break_out_of_its_string),
        cmocka_unit_test(apisix_asks_for_an_apikey_in_a_realm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
