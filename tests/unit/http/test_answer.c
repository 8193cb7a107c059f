/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/answer.h"
#include "http_test.h"

#define ID "0123456789abcdef0123456789abcdef"

static char buf[1024];

static void reasons_are_known_for_usual_statuses(void **state)
{
    assert_string_equal(kg_status_reason(100), "Continue");
    assert_string_equal(kg_status_reason(200), "OK");
    assert_string_equal(kg_status_reason(204), "No Content");
    assert_string_equal(kg_status_reason(401), "Unauthorized");
    assert_string_equal(kg_status_reason(414), "URI Too Long");
    assert_string_equal(kg_status_reason(429), "Too Many Requests");
    assert_string_equal(kg_status_reason(431), "Request Header Fields Too Large");
    assert_string_equal(kg_status_reason(502), "Bad Gateway");
    assert_string_equal(kg_status_reason(511), "Network Authentication Required");
}

static void other_statuses_are_unknown(void **state)
{
    assert_string_equal(kg_status_reason(0), "Unknown");
    assert_string_equal(kg_status_reason(299), "Unknown");
    assert_string_equal(kg_status_reason(418), "Unknown");
    assert_string_equal(kg_status_reason(512), "Unknown");
    assert_string_equal(kg_status_reason(~0u), "Unknown");
}

/* Negotiates with one Accept, and another one when it is not NULL. */
static enum kg_media negotiate(const char *accept, const char *second)
{
    static struct kg_head head;

    head.count = 0;
    head.headers[head.count++] = (struct kg_header){ .value = KG_SLICE("text/html"), .id = KG_H_OTHER };
    head.headers[head.count++] = (struct kg_header){ .value = kg_slice_str(accept), .id = KG_H_ACCEPT };
    if (second)
        head.headers[head.count++] = (struct kg_header){ .value = kg_slice_str(second), .id = KG_H_ACCEPT };
    return kg_media_negotiate(&head);
}

static void json_without_an_accept(void **state)
{
    static struct kg_head head;

    assert_int_equal(kg_media_negotiate(&head), KG_MEDIA_JSON);
}

static void each_type_can_be_asked_for(void **state)
{
    assert_int_equal(negotiate("application/json", NULL), KG_MEDIA_JSON);
    assert_int_equal(negotiate("application/*", NULL), KG_MEDIA_JSON);
    assert_int_equal(negotiate("*/*", NULL), KG_MEDIA_JSON);
    assert_int_equal(negotiate("TEXT/Html", NULL), KG_MEDIA_HTML);
    assert_int_equal(negotiate("application/xml;charset=utf-8", NULL), KG_MEDIA_XML);
    assert_int_equal(negotiate("text/plain", NULL), KG_MEDIA_PLAIN);
    assert_int_equal(negotiate("text/*", NULL), KG_MEDIA_PLAIN);
}

static void what_we_do_not_know_gives_json(void **state)
{
    assert_int_equal(negotiate("", NULL), KG_MEDIA_JSON);
    assert_int_equal(negotiate("image/png", NULL), KG_MEDIA_JSON);
    assert_int_equal(negotiate("text", NULL), KG_MEDIA_JSON);
    assert_int_equal(negotiate("image/png, text/html;q=0.1", NULL), KG_MEDIA_HTML);
}

static void the_highest_quality_wins_and_the_first_of_equals(void **state)
{
    assert_int_equal(negotiate("text/html;q=0.5, application/xml;q=0.7", NULL), KG_MEDIA_XML);
    assert_int_equal(negotiate("text/html, application/xml", NULL), KG_MEDIA_HTML);
    assert_int_equal(negotiate("text/html;q=0.9, text/plain ; a=b ; Q=0.901", NULL), KG_MEDIA_PLAIN);
    assert_int_equal(negotiate("text/html;q=0.999,*/*", NULL), KG_MEDIA_JSON);
    assert_int_equal(negotiate("text/plain;q=0.2", "application/xml;q=0.3"), KG_MEDIA_XML);
    assert_int_equal(negotiate("text/plain;q=1.000", "application/xml"), KG_MEDIA_PLAIN);
}

static void a_quality_of_zero_or_nonsense_is_not_wanted(void **state)
{
    static const char *const bad[] = { "text/html;q=0",      "text/html;q=0.000", "text/html;q=2",
                                       "text/html;q=1.5",    "text/html;q=",      "text/html;q=a",
                                       "text/html;q=0.1234", "text/html;q=-1",    "text/html;q=.5",
                                       "text/html;q=01" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(negotiate(bad[i], NULL), KG_MEDIA_JSON);
        assert_int_equal(negotiate(bad[i], "text/plain;q=0.001"), KG_MEDIA_PLAIN);
    }
}

static void types_name_their_charset(void **state)
{
    assert_slice(kg_media_type(KG_MEDIA_JSON), "application/json; charset=utf-8");
    assert_slice(kg_media_type(KG_MEDIA_HTML), "text/html; charset=utf-8");
    assert_slice(kg_media_type(KG_MEDIA_XML), "application/xml; charset=utf-8");
    assert_slice(kg_media_type(KG_MEDIA_PLAIN), "text/plain; charset=utf-8");
}

static struct kg_slice body(enum kg_media media, const char *message)
{
    struct kg_writer out = kg_writer_of(buf, sizeof(buf));

    kg_error_body(media, kg_slice_str(message), KG_SLICE(ID), &out);
    assert_false(out.overflow);
    kg_put_char(&out, '\0');
    return kg_slice_of(buf, out.len - 1);
}

static void json_body_is_kongs_and_escaped(void **state)
{
    assert_slice(body(KG_MEDIA_JSON, "Unauthorized"),
                 "{\n  \"message\":\"Unauthorized\",\n  \"request_id\":\"" ID "\"\n}");
    assert_slice(body(KG_MEDIA_JSON, "a \"b\" \\ \n"),
                 "{\n  \"message\":\"a \\\"b\\\" \\\\ \\u000a\",\n  \"request_id\":\"" ID "\"\n}");
}

static void plain_body_is_kongs_and_keeps_to_its_lines(void **state)
{
    assert_slice(body(KG_MEDIA_PLAIN, "Unauthorized"), "Unauthorized\nrequest_id: " ID "\n");
    assert_slice(body(KG_MEDIA_PLAIN, "a\r\nrequest_id: b"), "a??request_id: b\nrequest_id: " ID "\n");
}

static void html_body_ends_the_message_and_escapes_it(void **state)
{
    body(KG_MEDIA_HTML, "<script>'x' & \"y\"</script>");
    assert_non_null(strstr(buf, "<p>&lt;script&gt;&#39;x&#39; &amp; &quot;y&quot;&lt;/script&gt;.</p>"));
    assert_non_null(strstr(buf, ID));
    assert_null(strstr(buf, "<script>"));
}

static void xml_body_is_escaped(void **state)
{
    assert_slice(body(KG_MEDIA_XML, "a < b & \x01"), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n"
                                                     "  <message>a &lt; b &amp; ?</message>\n"
                                                     "  <requestid>" ID "</requestid>\n</error>\n");
}

static void a_body_that_does_not_fit_says_so(void **state)
{
    for (int media = KG_MEDIA_JSON; media <= KG_MEDIA_PLAIN; media++) {
        struct kg_writer out = kg_writer_of(buf, 20);

        kg_error_body((enum kg_media)media, KG_SLICE("Unauthorized"), KG_SLICE(ID), &out);
        assert_true(out.overflow);
        assert_true(out.len <= 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_are_known_for_usual_statuses),
        cmocka_unit_test(other_statuses_are_unknown),
        cmocka_unit_test(json_without_an_accept),
        cmocka_unit_test(each_type_can_be_asked_for),
        cmocka_unit_test(what_we_do_not_know_gives_json),
        cmocka_unit_test(the_highest_quality_wins_and_the_first_of_equals),
        cmocka_unit_test(a_quality_of_zero_or_nonsense_is_not_wanted),
        cmocka_unit_test(types_name_their_charset),
        cmocka_unit_test(json_body_is_kongs_and_escaped),
        cmocka_unit_test(plain_body_is_kongs_and_keeps_to_its_lines),
        cmocka_unit_test(html_body_ends_the_message_and_escapes_it),
        cmocka_unit_test(xml_body_is_escaped),
        cmocka_unit_test(a_body_that_does_not_fit_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
