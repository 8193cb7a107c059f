/* SPDX-License-Identifier: BSD-2-Clause */
#include "http_test.h"

static struct kg_head head;
static const char *why;

static int request(struct kg_slice text, const struct kg_head_limits *limits)
{
    why = NULL;
    return kg_head_parse_request(text, limits, &head, &why);
}

static int response(struct kg_slice text, const struct kg_head_limits *limits)
{
    why = NULL;
    return kg_head_parse_response(text, limits, &head, &why);
}

static void refuses(int status, struct kg_slice text)
{
    int rc = request(text, &usual_limits);

    if (rc != -status || !why)
        fail_msg("%d instead of %d for \"%.*s\"", rc, -status, (int)text.len, text.ptr);
}

static void refuses_response(struct kg_slice text)
{
    int rc = response(text, &usual_limits);

    if (rc != -502 || !why)
        fail_msg("%d instead of -502 for \"%.*s\"", rc, (int)text.len, text.ptr);
}

/* A head around one header line. */
static void refuses_line(struct kg_slice line)
{
    char text[256];
    size_t len = 0;
    struct kg_slice parts[] = { KG_SLICE("GET / HTTP/1.1\r\nHost: a\r\n"), line, KG_SLICE("\r\n\r\n") };

    for (size_t i = 0; i < 3; i++) {
        assert_true(len + parts[i].len <= sizeof(text));
        memcpy(text + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
    }
    refuses(400, kg_slice_of(text, len));
}

static void request_gives_its_parts(void **state)
{
    struct kg_slice text = KG_SLICE("POST /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nX-Empty:\r\n"
                                    "x-spaced:\t  one\ttwo  \t \r\n\r\nbody");

    assert_int_equal(request(text, &usual_limits), text.len - 4);
    assert_slice(head.method_text, "POST");
    assert_int_equal(head.method, KG_METHOD_POST);
    assert_slice(head.target, "/a/b?c=d");
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.status, 0);
    assert_int_equal(head.count, 3);
    assert_slice(head.headers[0].name, "Host");
    assert_slice(head.headers[0].value, "example.com");
    assert_int_equal(head.headers[0].id, KG_H_HOST);
    assert_false(head.headers[0].hop);
    assert_slice(head.headers[1].value, "");
    assert_slice(head.headers[2].name, "x-spaced");
    assert_slice(head.headers[2].value, "one\ttwo");
    assert_int_equal(head.headers[2].id, KG_H_OTHER);
}

static void response_gives_its_parts(void **state)
{
    struct kg_slice text = KG_SLICE("HTTP/1.0 404 Not here\r\nContent-Length: 3\r\n\r\nabc");

    assert_int_equal(response(text, &usual_limits), text.len - 3);
    assert_int_equal(head.status, 404);
    assert_slice(head.reason, "Not here");
    assert_int_equal(head.minor, 0);
    assert_int_equal(head.count, 1);
    assert_int_equal(head.method_text.len, 0);
    assert_int_equal(head.target.len, 0);
    assert_int_equal(head.headers[0].id, KG_H_CONTENT_LENGTH);
}

static void response_reason_may_be_absent(void **state)
{
    assert_int_equal(response(KG_SLICE("HTTP/1.1 200 \r\n\r\n"), &usual_limits), 17);
    assert_slice(head.reason, "");
    assert_int_equal(response(KG_SLICE("HTTP/1.1 200\r\n\r\n"), &usual_limits), 16);
    assert_int_equal(head.status, 200);
}

static void all_methods_are_known_and_others_are_kept(void **state)
{
    static const struct {
        struct kg_slice text;
        enum kg_method method;
    } cases[] = {
        { { "GET / HTTP/1.1\r\n\r\n", 18 }, KG_METHOD_GET },
        { { "HEAD / HTTP/1.1\r\n\r\n", 19 }, KG_METHOD_HEAD },
        { { "POST / HTTP/1.1\r\n\r\n", 19 }, KG_METHOD_POST },
        { { "PUT / HTTP/1.1\r\n\r\n", 18 }, KG_METHOD_PUT },
        { { "DELETE / HTTP/1.1\r\n\r\n", 21 }, KG_METHOD_DELETE },
        { { "PATCH / HTTP/1.1\r\n\r\n", 20 }, KG_METHOD_PATCH },
        { { "OPTIONS / HTTP/1.1\r\n\r\n", 22 }, KG_METHOD_OPTIONS },
        { { "CONNECT / HTTP/1.1\r\n\r\n", 22 }, KG_METHOD_CONNECT },
        { { "TRACE / HTTP/1.1\r\n\r\n", 20 }, KG_METHOD_TRACE },
        { { "get / HTTP/1.1\r\n\r\n", 18 }, KG_METHOD_OTHER },
        { { "PROPFIND / HTTP/1.1\r\n\r\n", 23 }, KG_METHOD_OTHER },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(request(cases[i].text, &usual_limits), cases[i].text.len);
        assert_int_equal(head.method, cases[i].method);
    }
    assert_slice(head.method_text, "PROPFIND");
}

static void one_empty_line_before_a_request_is_forgiven(void **state)
{
    assert_int_equal(request(KG_SLICE("\r\nGET / HTTP/1.0\r\n\r\n"), &usual_limits), 20);
    refuses(400, KG_SLICE("\r\n\r\nGET / HTTP/1.0\r\n\r\n"));
    refuses(400, KG_SLICE("\nGET / HTTP/1.0\r\n\r\n"));
    refuses(400, KG_SLICE("\r\r\nGET / HTTP/1.0\r\n\r\n"));
    refuses_response(KG_SLICE("\r\nHTTP/1.0 200 OK\r\n\r\n"));
}

static void rule1_only_crlf_ends_a_line(void **state)
{
    refuses(400, KG_SLICE("GET / HTTP/1.1\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("GET / HTTP/1.1\r\nHost: a\n\r\n"));
    refuses(400, KG_SLICE("GET / HTTP/1.1\r\nHost: a\r\n\n"));
    refuses(400, KG_SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\r"));
    refuses(400, KG_SLICE("GET / HTTP/1.1\rHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 200 OK\nA: b\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 200 OK\rA: b\r\n\r\n"));
}

static void rule1_no_control_stands_anywhere(void **state)
{
    static const struct kg_slice templates[] = {
        { "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 27 },       { "GET /@x HTTP/1.1\r\nHost: a\r\n\r\n", 29 },
        { "GET / HTTP/1.1\r\nHo@t: a\r\n\r\n", 27 },       { "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 29 },
        { "GET / HTTP/1.1\r\nA: 0123456@89\r\n\r\n", 33 },
    };

    for (size_t t = 0; t < sizeof(templates) / sizeof(templates[0]); t++) {
        for (int byte = 0; byte <= 0x7f; byte = byte == 0x1f ? 0x7f : byte + 1) {
            char text[64];
            bool may_stand = byte == '\t' && t >= 3;

            memcpy(text, templates[t].ptr, templates[t].len);
            *(char *)memchr(text, '@', templates[t].len) = (char)byte;
            if (!may_stand)
                refuses(400, kg_slice_of(text, templates[t].len));
        }
    }
}

static void high_bytes_stand_in_values_alone(void **state)
{
    assert_int_equal(
        request(KG_SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xc3\xa4\xff\r\n\r\n"), &usual_limits), 36);
    assert_slice(head.headers[1].value, "\x80\xc3\xa4\xff");
    assert_int_equal(response(KG_SLICE("HTTP/1.1 200 s\xc3\xbc\x80\r\n\r\n"), &usual_limits), 21);
    refuses(400, KG_SLICE("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("G\xc3T / HTTP/1.1\r\nHost: a\r\n\r\n"));
    refuses_line(KG_SLICE("X\xc3: a"));
}

static void rule2_one_space_between_the_parts(void **state)
{
    refuses(400, KG_SLICE("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("GET / a HTTP/1.1\r\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("GET\r\nHost: a\r\n\r\n"));
    refuses(400, KG_SLICE("GET /\r\n\r\n"));
    refuses(400, KG_SLICE("G(T / HTTP/1.1\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1  200 OK\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1\t200 OK\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 200\tOK\r\n\r\n"));
}

static void rule2_only_versions_1_0_and_1_1(void **state)
{
    refuses(505, KG_SLICE("GET / HTTP/2.0\r\n\r\n"));
    refuses(505, KG_SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    refuses(505, KG_SLICE("GET / HTTP/0.9\r\n\r\n"));
    refuses(505, KG_SLICE("GET / HTTP/1.2\r\n\r\n"));
    refuses(505, KG_SLICE("GET / HTTP/1.9\r\n\r\n"));
    refuses(400, KG_SLICE("GET / HTTP/1.10\r\n\r\n"));
    refuses(400, KG_SLICE("GET / HTTP/11\r\n\r\n"));
    refuses(400, KG_SLICE("GET / HTTP/1,1\r\n\r\n"));
    refuses(400, KG_SLICE("GET / http/1.1\r\n\r\n"));
    refuses(400, KG_SLICE("GET / HTTPS/1.1\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/2.0 200 OK\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/0.9 200 OK\r\n\r\n"));
    refuses_response(KG_SLICE("ICY 200 OK\r\n\r\n"));
    assert_int_equal(request(KG_SLICE("GET / HTTP/1.0\r\n\r\n"), &usual_limits), 18);
    assert_int_equal(head.minor, 0);
    assert_int_equal(request(KG_SLICE("GET / HTTP/1.1\r\n\r\n"), &usual_limits), 18);
    assert_int_equal(head.minor, 1);
}

static void status_has_three_digits_from_100_to_599(void **state)
{
    refuses_response(KG_SLICE("HTTP/1.1 99 x\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 099 x\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 600 x\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 2000 x\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 2x0 x\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 +20 x\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1  x\r\n\r\n"));
    assert_int_equal(response(KG_SLICE("HTTP/1.1 100 x\r\n\r\n"), &usual_limits), 18);
    assert_int_equal(response(KG_SLICE("HTTP/1.1 599 x\r\n\r\n"), &usual_limits), 18);
    assert_int_equal(head.status, 599);
}

static void rule3_names_are_tokens_up_to_the_colon(void **state)
{
    refuses_line(KG_SLICE("X : a"));
    refuses_line(KG_SLICE("X\t: a"));
    refuses_line(KG_SLICE(": a"));
    refuses_line(KG_SLICE("X"));
    refuses_line(KG_SLICE("X y: a"));
    refuses_line(KG_SLICE("X@y: a"));
    refuses_line(KG_SLICE("(X): a"));
    refuses_line(KG_SLICE("X\"y\": a"));
    assert_int_equal(request(KG_SLICE("GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09aZ: a\r\n\r\n"), &usual_limits),
                     42);
}

static void rule3_folded_lines_are_refused(void **state)
{
    refuses_line(KG_SLICE(" folded: a"));
    refuses_line(KG_SLICE("X: a\r\n b"));
    refuses_line(KG_SLICE("X: a\r\n\tb"));
    refuses_line(KG_SLICE("X: a\r\n "));
    refuses(400, KG_SLICE("GET / HTTP/1.1\r\n Host: a\r\n\r\n"));
    refuses_response(KG_SLICE("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"));
}

static void rule3_request_line_limit_holds_also_while_incomplete(void **state)
{
    struct kg_head_limits limits = { .line = 16, .bytes = 1000, .headers = 10 };

    assert_int_equal(request(KG_SLICE("GET /12 HTTP/1.1\r\n\r\n"), &limits), 20);
    assert_int_equal(request(KG_SLICE("\r\nGET /12 HTTP/1.1\r\n\r\n"), &limits), 22);
    assert_status(request(KG_SLICE("GET /123 HTTP/1.1\r\n\r\n"), &limits), 414, why);
    assert_int_equal(request(KG_SLICE("GET /90123456789"), &limits), 0);
    assert_status(request(KG_SLICE("GET /901234567890"), &limits), 414, why);
    assert_status(request(KG_SLICE("LONGLONGLONGLONGL"), &limits), 414, why);
    assert_status(response(KG_SLICE("HTTP/1.1 200 too long a reason"), &limits), 502, why);
}

static void rule3_head_limit_holds_also_while_incomplete(void **state)
{
    struct kg_head_limits limits = { .line = 100, .bytes = 30, .headers = 10 };

    assert_int_equal(request(KG_SLICE("GET / HTTP/1.1\r\nHost: 890\r\n\r\n"), &limits), 29);
    assert_int_equal(request(KG_SLICE("GET / HTTP/1.1\r\nHost: 8901\r\n\r\n"), &limits), 30);
    assert_int_equal(request(KG_SLICE("GET / HTTP/1.1\r\nHost: 8901\r\n\r\nmore than that"), &limits), 30);
    assert_status(request(KG_SLICE("GET / HTTP/1.1\r\nHost: 89012\r\n\r\n"), &limits), 431, why);
    assert_int_equal(request(KG_SLICE("GET / HTTP/1.1\r\nHost: 8901234"), &limits), 0);
    assert_status(request(KG_SLICE("GET / HTTP/1.1\r\nHost: 89012345"), &limits), 431, why);
    assert_status(response(KG_SLICE("HTTP/1.1 200 OK\r\nHost: 89012345"), &limits), 502, why);
}

static void rule3_header_count_limit_holds_also_while_incomplete(void **state)
{
    struct kg_head_limits limits = { .line = 100, .bytes = 1000, .headers = 2 };

    assert_int_equal(request(KG_SLICE("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n"), &limits), 30);
    assert_status(request(KG_SLICE("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC"), &limits), 431, why);
    limits.headers = 0;
    assert_int_equal(request(KG_SLICE("GET / HTTP/1.1\r\n\r\n"), &limits), 18);
    assert_status(request(KG_SLICE("GET / HTTP/1.1\r\nA"), &limits), 431, why);
}

static void no_limit_allows_more_headers_than_there_is_room_for(void **state)
{
    struct kg_head_limits limits = { .line = 100, .bytes = 10000, .headers = SIZE_MAX };
    char text[2048] = "GET / HTTP/1.1\r\n";
    size_t len = strlen(text);

    for (size_t i = 0; i < KG_HEADERS_MAX; i++) {
        memcpy(text + len, "A: b\r\n", 6);
        len += 6;
    }
    memcpy(text + len, "\r\n", 2);
    assert_int_equal(request(kg_slice_of(text, len + 2), &limits), len + 2);
    assert_int_equal(head.count, KG_HEADERS_MAX);
    memcpy(text + len, "A: b\r\n\r\n", 8);
    assert_status(request(kg_slice_of(text, len + 8), &limits), 431, why);
}

/* Parses a copy of exactly that size, so that the sanitizer sees a look past the end. */
static int parse_copy(struct kg_slice text, size_t len, bool is_request)
{
    char *copy = malloc(len > 0 ? len : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, text.ptr, len);
    rc = is_request ? request(kg_slice_of(copy, len), &usual_limits)
                    : response(kg_slice_of(copy, len), &usual_limits);
    free(copy);
    return rc;
}

static void every_prefix_of_a_valid_head_asks_for_more(void **state)
{
    static const struct kg_slice requests[] = {
        KG_SLICE(
            "\r\nGET /v1/orders?a=b HTTP/1.1\r\nHost: api.example.com\r\nX-Empty:\r\nX-Tab: a\tb \r\n\r\n"),
        KG_SLICE("OPTIONS * HTTP/1.0\r\n\r\n"),
        KG_SLICE("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a long value to be read by words\r\n\r\n"),
    };
    static const struct kg_slice responses[] = {
        KG_SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: something, somewhere\r\n\r\n"),
        KG_SLICE("HTTP/1.0 404\r\n\r\n"),
    };

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        for (size_t len = 0; len < requests[i].len; len++)
            assert_int_equal(parse_copy(requests[i], len, true), 0);
        assert_int_equal(parse_copy(requests[i], requests[i].len, true), requests[i].len);
    }
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        for (size_t len = 0; len < responses[i].len; len++)
            assert_int_equal(parse_copy(responses[i], len, false), 0);
        assert_int_equal(parse_copy(responses[i], responses[i].len, false), responses[i].len);
    }
}

static void headers_are_known_in_any_case(void **state)
{
    static const struct {
        const char *name;
        enum kg_header_id id;
    } cases[] = {
        { "Host", KG_H_HOST },
        { "CONTENT-LENGTH", KG_H_CONTENT_LENGTH },
        { "transfer-encoding", KG_H_TRANSFER_ENCODING },
        { "Connection", KG_H_CONNECTION },
        { "Keep-Alive", KG_H_KEEP_ALIVE },
        { "Proxy-Connection", KG_H_PROXY_CONNECTION },
        { "Proxy", KG_H_PROXY },
        { "TE", KG_H_TE },
        { "te", KG_H_TE },
        { "Trailer", KG_H_TRAILER },
        { "Upgrade", KG_H_UPGRADE },
        { "Expect", KG_H_EXPECT },
        { "Accept", KG_H_ACCEPT },
        { "Content-Type", KG_H_CONTENT_TYPE },
        { "Date", KG_H_DATE },
        { "Server", KG_H_SERVER },
        { "Via", KG_H_VIA },
        { "X-Request-Id", KG_H_X_REQUEST_ID },
        { "X-Real-IP", KG_H_X_REAL_IP },
        { "X-Forwarded-For", KG_H_X_FORWARDED_FOR },
        { "X-Forwarded-Proto", KG_H_X_FORWARDED },
        { "X-Forwarded-Host", KG_H_X_FORWARDED },
        { "X-Forwarded-Port", KG_H_X_FORWARDED },
        { "X-Forwarded-Path", KG_H_X_FORWARDED },
        { "x-forwarded-prefix", KG_H_X_FORWARDED },
        { "X-Forwarded", KG_H_OTHER },
        { "Content_Length", KG_H_OTHER },
        { "Hos", KG_H_OTHER },
        { "Hosts", KG_H_OTHER },
        { "Content\rLength", KG_H_OTHER },
        { "", KG_H_OTHER },
        { "A-Name-Longer-Than-All-Others", KG_H_OTHER },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (kg_header_identify(kg_slice_str(cases[i].name)) != cases[i].id)
            fail_msg("%s", cases[i].name);
    }
}

static void identity_headers_are_known_with_dashes_and_underscores(void **state)
{
    static const char *const identity[] = {
        "X-Consumer-ID",
        "X-Consumer-Custom-ID",
        "X-Consumer-Username",
        "x-consumer-anything",
        "X-Consumer-",
        "X_Consumer_ID",
        "X-Consumer_ID",
        "x_CONSUMER-custom_id",
        "X-Credential-Identifier",
        "X_Credential_Identifier",
        "x-credential_identifier",
        "X-Anonymous-Consumer",
        "X_ANONYMOUS_CONSUMER",
        "x-anonymous_Consumer",
        "X_Forwarded_For",
        "X-Forwarded_Proto",
        "x_forwarded-HOST",
        "X_Forwarded_Port",
        "X_FORWARDED_PATH",
        "X_Forwarded_Prefix",
        "X_Real_IP",
        "x-real_ip",
        "X_Request_ID",
    };
    static const char *const other[] = {
        "X-Consumer",       "XConsumer-ID",          "X-Consumers-ID", "X-Credential-Identifier-2",
        "X-Credential",     "X-Anonymous-Consumers", "Y-Consumer-ID",  "X-Consume-r",
        "X-Anonymous-User", "X--Consumer-ID",        "X_Forwarded_By", "X_Real_I",
    };

    for (size_t i = 0; i < sizeof(identity) / sizeof(identity[0]); i++) {
        if (kg_header_identify(kg_slice_str(identity[i])) != KG_H_IDENTITY)
            fail_msg("%s", identity[i]);
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        if (kg_header_identify(kg_slice_str(other[i])) != KG_H_OTHER)
            fail_msg("%s", other[i]);
    }
}

static void find_goes_on_from_an_index(void **state)
{
    const struct kg_header *via;

    assert_true(request(KG_SLICE("GET / HTTP/1.1\r\nVia: 1\r\nHost: a\r\nvia: 2\r\n\r\n"), &usual_limits) >
                0);
    via = kg_head_find(&head, KG_H_VIA, 0);
    assert_ptr_equal(via, &head.headers[0]);
    via = kg_head_find(&head, KG_H_VIA, 1);
    assert_ptr_equal(via, &head.headers[2]);
    assert_null(kg_head_find(&head, KG_H_VIA, 3));
    assert_null(kg_head_find(&head, KG_H_SERVER, 0));
}

static void tokens_are_told_from_other_text(void **state)
{
    assert_true(kg_is_token(KG_SLICE("keep-alive")));
    assert_true(kg_is_token(KG_SLICE("a")));
    assert_false(kg_is_token(KG_SLICE("")));
    assert_false(kg_is_token(KG_SLICE("a b")));
    assert_false(kg_is_token(KG_SLICE("a,b")));
    assert_false(kg_is_token(KG_SLICE("\xc3\xa4")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_gives_its_parts),
        cmocka_unit_test(response_gives_its_parts),
        cmocka_unit_test(response_reason_may_be_absent),
        cmocka_unit_test(all_methods_are_known_and_others_are_kept),
        cmocka_unit_test(one_empty_line_before_a_request_is_forgiven),
        cmocka_unit_test(rule1_only_crlf_ends_a_line),
        cmocka_unit_test(rule1_no_control_stands_anywhere),
        cmocka_unit_test(high_bytes_stand_in_values_alone),
        cmocka_unit_test(rule2_one_space_between_the_parts),
        cmocka_unit_test(rule2_only_versions_1_0_and_1_1),
        cmocka_unit_test(status_has_three_digits_from_100_to_599),
        cmocka_unit_test(rule3_names_are_tokens_up_to_the_colon),
        cmocka_unit_test(rule3_folded_lines_are_refused),
        cmocka_unit_test(rule3_request_line_limit_holds_also_while_incomplete),
        cmocka_unit_test(rule3_head_limit_holds_also_while_incomplete),
        cmocka_unit_test(rule3_header_count_limit_holds_also_while_incomplete),
        cmocka_unit_test(no_limit_allows_more_headers_than_there_is_room_for),
        cmocka_unit_test(every_prefix_of_a_valid_head_asks_for_more),
        cmocka_unit_test(headers_are_known_in_any_case),
        cmocka_unit_test(identity_headers_are_known_with_dashes_and_underscores),
        cmocka_unit_test(find_goes_on_from_an_index),
        cmocka_unit_test(tokens_are_told_from_other_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
