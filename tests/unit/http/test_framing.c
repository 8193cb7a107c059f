/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/framing.h"
#include "base/writer.h"
#include "http_test.h"

/* Texts that a head points into live until the next one is made. */
static char text[16384];
static struct kg_head head;
static struct kg_framing req;
static struct kg_response_framing resp;
static const char *why;

static struct kg_slice join(const char *first, const char *headers)
{
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    kg_put(&w, kg_slice_str(first));
    kg_put(&w, kg_slice_str(headers));
    KG_PUT(&w, "\r\n");
    assert_false(w.overflow);
    return kg_writer_slice(&w);
}

static int request_of(const char *first, const char *headers)
{
    assert_true(kg_head_parse_request(join(first, headers), &usual_limits, &head, &why) > 0);
    why = NULL;
    return kg_framing_request(&head, &req, &why);
}

/* HTTP/1.1 with a good Host; headers end with CRLF each. */
static int request(const char *headers)
{
    return request_of("POST / HTTP/1.1\r\nHost: a\r\n", headers);
}

static int request_1_0(const char *headers)
{
    return request_of("POST / HTTP/1.0\r\n", headers);
}

static int response_of(const char *first, const char *headers, bool to_head)
{
    assert_true(kg_head_parse_response(join(first, headers), &usual_limits, &head, &why) > 0);
    why = NULL;
    return kg_framing_response(&head, to_head, &resp, &why);
}

static int response(const char *headers)
{
    return response_of("HTTP/1.1 200 OK\r\n", headers, false);
}

static bool is_hop(const char *name)
{
    for (size_t i = 0; i < head.count; i++) {
        if (kg_slice_eq_nocase(head.headers[i].name, kg_slice_str(name)))
            return head.headers[i].hop;
    }
    fail_msg("no header %s", name);
    return false;
}

static void rule4_exactly_one_host_in_http_1_1(void **state)
{
    assert_int_equal(request(""), 0);
    assert_slice(req.host, "a");
    assert_status(request_of("GET / HTTP/1.1\r\n", ""), 400, why);
    assert_status(request("Host: b\r\n"), 400, why);
    assert_status(request("host: a\r\n"), 400, why);
    assert_status(request_of("GET / HTTP/1.1\r\n", "Host:\r\n"), 400, why);
    assert_status(request_of("GET / HTTP/1.1\r\n", "Host: a b\r\n"), 400, why);
    assert_status(request_of("GET / HTTP/1.1\r\n", "Host: a/b\r\n"), 400, why);
    assert_status(request_of("GET / HTTP/1.1\r\n", "Host: u@a\r\n"), 400, why);
    assert_status(request_of("GET / HTTP/1.1\r\n", "Host: a, b\r\n"), 400, why);
    assert_status(request_of("GET / HTTP/1.1\r\n", "Host: a:99999\r\n"), 400, why);
}

static void http_1_0_does_without_a_host_but_not_with_two(void **state)
{
    assert_int_equal(request_1_0(""), 0);
    assert_int_equal(req.host.len, 0);
    assert_int_equal(request_1_0("Host: a:80\r\n"), 0);
    assert_slice(req.host, "a:80");
    assert_status(request_1_0("Host: a\r\nHost: a\r\n"), 400, why);
}

static void rule5_content_length_is_digits(void **state)
{
    static const char *const bad[] = {
        "Content-Length: +5\r\n",  "Content-Length: -5\r\n",    "Content-Length: 5a\r\n",
        "Content-Length: 0x5\r\n", "Content-Length:\r\n",       "Content-Length: 5 5\r\n",
        "Content-Length: 5,\r\n",  "Content-Length: ,5\r\n",    "Content-Length: 5,,5\r\n",
        "Content-Length: 5.0\r\n", "Content-Length: \"5\"\r\n", "Content-Length: 1_0\r\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_status(request(bad[i]), 400, why);
    assert_int_equal(request("Content-Length: 5\r\n"), 0);
    assert_int_equal(req.body, KG_BODY_LENGTH);
    assert_int_equal(req.length, 5);
    assert_int_equal(request("Content-Length: 0005\r\n"), 0);
    assert_int_equal(req.length, 5);
    assert_int_equal(request("Content-Length: 0\r\n"), 0);
    assert_int_equal(req.body, KG_BODY_NONE);
}

static void rule5_content_length_does_not_overflow(void **state)
{
    assert_int_equal(request("Content-Length: 9223372036854775807\r\n"), 0);
    assert_true(req.length == INT64_MAX);
    assert_status(request("Content-Length: 9223372036854775808\r\n"), 400, why);
    assert_status(request("Content-Length: 18446744073709551616\r\n"), 400, why);
    assert_status(request("Content-Length: 18446744073709551621\r\n"), 400, why);
    assert_status(request("Content-Length: 99999999999999999999999999\r\n"), 400, why);
}

static void rule5_equal_lengths_are_one_and_differing_are_refused(void **state)
{
    assert_int_equal(request("Content-Length: 5\r\nContent-Length: 5\r\n"), 0);
    assert_int_equal(req.length, 5);
    assert_int_equal(request("Content-Length: 5, 5 ,5\r\n"), 0);
    assert_int_equal(req.length, 5);
    assert_status(request("Content-Length: 5\r\nContent-Length: 6\r\n"), 400, why);
    assert_status(request("Content-Length: 5, 6\r\n"), 400, why);
    assert_status(request("Content-Length: 0\r\nContent-Length: 5\r\n"), 400, why);
}

static void rule6_transfer_encoding_is_chunked_once_and_last(void **state)
{
    static const char *const bad[] = {
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked chunked\r\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_status(request(bad[i]), 400, why);
    assert_int_equal(request("Transfer-Encoding: chunked\r\n"), 0);
    assert_int_equal(req.body, KG_BODY_CHUNKED);
    assert_int_equal(request("transfer-encoding:\tCHUNKED \r\n"), 0);
    assert_int_equal(req.body, KG_BODY_CHUNKED);
}

static void rule6_other_codings_are_not_implemented(void **state)
{
    assert_status(request("Transfer-Encoding: gzip\r\n"), 501, why);
    assert_status(request("Transfer-Encoding: gzip, chunked\r\n"), 501, why);
    assert_status(request("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 501, why);
    assert_status(request("Transfer-Encoding: identity\r\n"), 501, why);
    assert_status(request("Transfer-Encoding: xchunked\r\n"), 501, why);
}

static void rule6_no_transfer_encoding_in_http_1_0(void **state)
{
    assert_status(request_1_0("Transfer-Encoding: chunked\r\n"), 400, why);
    assert_status(request_1_0("Transfer-Encoding: gzip\r\n"), 400, why);
}

static void rule7_length_and_transfer_encoding_together_are_refused(void **state)
{
    assert_status(request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400, why);
    assert_status(request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400, why);
    assert_status(request("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 400, why);
    assert_status(request("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"), 400, why);
}

static void rule9_hop_by_hop_headers_are_marked(void **state)
{
    assert_int_equal(
        request("Connection: close\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy: x\r\n"
                "TE: trailers\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\nUpgrade: h2c\r\n"
                "Expect: 100-continue\r\nAccept: */*\r\nX-Other: 1\r\n"),
        0);
    assert_true(is_hop("Connection"));
    assert_true(is_hop("Keep-Alive"));
    assert_true(is_hop("Proxy-Connection"));
    assert_true(is_hop("Proxy"));
    assert_true(is_hop("TE"));
    assert_true(is_hop("Trailer"));
    assert_true(is_hop("Transfer-Encoding"));
    assert_true(is_hop("Upgrade"));
    assert_false(is_hop("Host"));
    assert_false(is_hop("Expect"));
    assert_false(is_hop("Accept"));
    assert_false(is_hop("X-Other"));
    assert_int_equal(request("Content-Length: 5\r\n"), 0);
    assert_true(is_hop("Content-Length"));
}

static void rule9_what_connection_names_is_marked(void **state)
{
    assert_int_equal(
        request("X-Before: 1\r\nConnection: x-before, X-AFTER\r\nconnection: x-third, , x-absent\r\n"
                "X-After: 2\r\nX-Third: 3\r\nX-Fourth: 4\r\nx-after: 5\r\n"),
        0);
    assert_true(is_hop("X-Before"));
    assert_true(is_hop("X-Third"));
    assert_false(is_hop("X-Fourth"));
    for (size_t i = 0; i < head.count; i++) {
        if (kg_slice_eq_nocase(head.headers[i].name, KG_SLICE("x-after")))
            assert_true(head.headers[i].hop);
    }
}

static void rule9_connection_cannot_name_host(void **state)
{
    assert_int_equal(request("Connection: Host\r\n"), 0);
    assert_false(is_hop("Host"));
    assert_slice(req.host, "a");
}

static void rule9_connection_is_a_list_of_tokens(void **state)
{
    assert_status(request("Connection: close; x\r\n"), 400, why);
    assert_status(request("Connection: a b\r\n"), 400, why);
    assert_status(request("Connection: \"close\"\r\n"), 400, why);
    assert_int_equal(request("Connection: , ,close,\r\n"), 0);
    assert_false(req.keep_alive);
}

static void connection_options_are_bounded(void **state)
{
    char headers[512];
    struct kg_writer w = kg_writer_of(headers, sizeof(headers));

    KG_PUT(&w, "Connection: a");
    for (size_t i = 1; i < 64; i++)
        KG_PUT(&w, ",a");
    KG_PUT(&w, "\r\n\0");
    assert_int_equal(request(headers), 0);
    w.len -= 3;
    KG_PUT(&w, ",a\r\n\0");
    assert_false(w.overflow);
    assert_status(request(headers), 400, why);
}

static void keep_alive_follows_version_and_connection(void **state)
{
    assert_int_equal(request(""), 0);
    assert_true(req.keep_alive);
    assert_int_equal(request("Connection: Close\r\n"), 0);
    assert_false(req.keep_alive);
    assert_int_equal(request("Connection: keep-alive\r\nConnection: close\r\n"), 0);
    assert_false(req.keep_alive);
    assert_int_equal(request_1_0(""), 0);
    assert_false(req.keep_alive);
    assert_int_equal(request_1_0("Connection: Keep-Alive\r\n"), 0);
    assert_true(req.keep_alive);
    assert_int_equal(request_1_0("Connection: keep-alive, close\r\n"), 0);
    assert_false(req.keep_alive);
}

static void expectations_are_100_continue_or_refused(void **state)
{
    assert_int_equal(request("Expect: 100-Continue\r\nContent-Length: 5\r\n"), 0);
    assert_true(req.expect_continue);
    assert_int_equal(request("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"), 0);
    assert_true(req.expect_continue);
    assert_int_equal(request("Expect: 100-continue\r\n"), 0);
    assert_false(req.expect_continue);
    assert_int_equal(request_1_0("Expect: 100-continue\r\nContent-Length: 5\r\n"), 0);
    assert_false(req.expect_continue);
    assert_status(request("Expect: 200-ok\r\n"), 417, why);
    assert_status(request("Expect: 100-continue, other\r\n"), 417, why);
}

static void te_trailers_is_seen(void **state)
{
    assert_int_equal(request("TE: gzip, Trailers\r\n"), 0);
    assert_true(req.te_trailers);
    assert_int_equal(request("TE: gzip;q=1, deflate\r\n"), 0);
    assert_false(req.te_trailers);
}

static void rule11_upgrade_needs_connection_and_http_1_1(void **state)
{
    assert_int_equal(request("Connection: Upgrade\r\nUpgrade: websocket\r\n"), 0);
    assert_true(req.upgrade);
    assert_slice(req.upgrade_to, "websocket");
    assert_true(is_hop("Upgrade"));
    assert_int_equal(request("Upgrade: websocket\r\n"), 0);
    assert_false(req.upgrade);
    assert_int_equal(req.upgrade_to.len, 0);
    assert_int_equal(request("Connection: upgrade\r\n"), 0);
    assert_false(req.upgrade);
    assert_int_equal(request_1_0("Connection: Upgrade\r\nUpgrade: websocket\r\n"), 0);
    assert_false(req.upgrade);
}

static void rule10_length_chunked_or_close_delimit_a_response(void **state)
{
    assert_int_equal(response("Content-Length: 7\r\n"), 0);
    assert_int_equal(resp.body, KG_BODY_LENGTH);
    assert_int_equal(resp.length, 7);
    assert_true(resp.length_known);
    assert_true(resp.keep_alive);
    assert_int_equal(response("Content-Length: 0\r\n"), 0);
    assert_int_equal(resp.body, KG_BODY_NONE);
    assert_true(resp.length_known);
    assert_int_equal(response("Transfer-Encoding: chunked\r\nConnection: close\r\n"), 0);
    assert_int_equal(resp.body, KG_BODY_CHUNKED);
    assert_false(resp.length_known);
    assert_false(resp.keep_alive);
    assert_int_equal(response("Connection: keep-alive\r\n"), 0);
    assert_int_equal(resp.body, KG_BODY_CLOSE);
    assert_false(resp.keep_alive);
    assert_int_equal(response_of("HTTP/1.0 200 OK\r\n", "Content-Length: 3\r\n", false), 0);
    assert_int_equal(resp.body, KG_BODY_LENGTH);
    assert_false(resp.keep_alive);
    assert_int_equal(
        response_of("HTTP/1.0 200 OK\r\n", "Content-Length: 3\r\nConnection: keep-alive\r\n", false), 0);
    assert_true(resp.keep_alive);
}

static void rule10_ambiguous_responses_are_bad_gateways(void **state)
{
    static const char *const bad[] = {
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: x\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding:\r\n",
        "Connection: a b\r\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_status(response(bad[i]), 502, why);
        assert_status(response_of("HTTP/1.1 304 Not Modified\r\n", bad[i], false), 502, why);
        assert_status(response_of("HTTP/1.1 200 OK\r\n", bad[i], true), 502, why);
    }
    assert_status(response_of("HTTP/1.0 200 OK\r\n", "Transfer-Encoding: chunked\r\n", false), 502, why);
}

static void rule10_some_responses_have_no_body_whatever_they_say(void **state)
{
    static const char *const none[] = {
        "HTTP/1.1 100 Continue\r\n",
        "HTTP/1.1 103 Early Hints\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304 Not Modified\r\n",
    };

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_int_equal(response_of(none[i], "Content-Length: 9\r\n", false), 0);
        assert_int_equal(resp.body, KG_BODY_NONE);
        assert_true(resp.keep_alive);
        assert_int_equal(response_of(none[i], "Transfer-Encoding: chunked\r\n", false), 0);
        assert_int_equal(resp.body, KG_BODY_NONE);
        assert_int_equal(response_of(none[i], "", false), 0);
        assert_int_equal(resp.body, KG_BODY_NONE);
        assert_true(resp.keep_alive);
    }
    assert_int_equal(response_of("HTTP/1.1 200 OK\r\n", "", true), 0);
    assert_int_equal(resp.body, KG_BODY_NONE);
    assert_true(resp.keep_alive);
}

static void rule10_head_and_304_keep_their_length_and_204_does_not(void **state)
{
    assert_int_equal(response_of("HTTP/1.1 200 OK\r\n", "Content-Length: 9\r\n", true), 0);
    assert_true(resp.length_known);
    assert_int_equal(resp.length, 9);
    assert_int_equal(response_of("HTTP/1.1 304 Not Modified\r\n", "Content-Length: 9\r\n", false), 0);
    assert_true(resp.length_known);
    assert_int_equal(resp.length, 9);
    assert_int_equal(response_of("HTTP/1.1 204 No Content\r\n", "Content-Length: 0\r\n", false), 0);
    assert_false(resp.length_known);
}

static void rule11_a_101_names_what_it_upgrades_to(void **state)
{
    assert_int_equal(
        response_of("HTTP/1.1 101 Switching\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n", false), 0);
    assert_slice(resp.upgrade_to, "websocket");
    assert_int_equal(resp.body, KG_BODY_NONE);
    assert_int_equal(response("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"), 0);
    assert_int_equal(resp.upgrade_to.len, 0);
    assert_status(response_of("HTTP/1.1 101 Switching\r\n", "", false), 502, why);
    assert_status(response_of("HTTP/1.1 101 Switching\r\n", "Upgrade: websocket\r\n", false), 502, why);
    assert_status(response_of("HTTP/1.0 101 Switching\r\n", "Connection: upgrade\r\nUpgrade: x\r\n", false),
                  502, why);
}

static void rule9_response_headers_are_marked_too(void **state)
{
    assert_int_equal(
        response("Connection: X-Secret\r\nX-Secret: 1\r\nContent-Length: 1\r\nKeep-Alive: 5\r\nVia: x\r\n"),
        0);
    assert_true(is_hop("Connection"));
    assert_true(is_hop("X-Secret"));
    assert_true(is_hop("Content-Length"));
    assert_true(is_hop("Keep-Alive"));
    assert_false(is_hop("Via"));
}

static void headers_of_requests_mean_nothing_in_a_response(void **state)
{
    assert_int_equal(response("Host: a b\r\nHost: c\r\nExpect: something\r\nContent-Length: 1\r\n"), 0);
    assert_int_equal(resp.body, KG_BODY_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule4_exactly_one_host_in_http_1_1),
        cmocka_unit_test(http_1_0_does_without_a_host_but_not_with_two),
        cmocka_unit_test(rule5_content_length_is_digits),
        cmocka_unit_test(rule5_content_length_does_not_overflow),
        cmocka_unit_test(rule5_equal_lengths_are_one_and_differing_are_refused),
        cmocka_unit_test(rule6_transfer_encoding_is_chunked_once_and_last),
        cmocka_unit_test(rule6_other_codings_are_not_implemented),
        cmocka_unit_test(rule6_no_transfer_encoding_in_http_1_0),
        cmocka_unit_test(rule7_length_and_transfer_encoding_together_are_refused),
        cmocka_unit_test(rule9_hop_by_hop_headers_are_marked),
        cmocka_unit_test(rule9_what_connection_names_is_marked),
        cmocka_unit_test(rule9_connection_cannot_name_host),
        cmocka_unit_test(rule9_connection_is_a_list_of_tokens),
        cmocka_unit_test(connection_options_are_bounded),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(expectations_are_100_continue_or_refused),
        cmocka_unit_test(te_trailers_is_seen),
        cmocka_unit_test(rule11_upgrade_needs_connection_and_http_1_1),
        cmocka_unit_test(rule10_length_chunked_or_close_delimit_a_response),
        cmocka_unit_test(rule10_ambiguous_responses_are_bad_gateways),
        cmocka_unit_test(rule10_some_responses_have_no_body_whatever_they_say),
        cmocka_unit_test(rule10_head_and_304_keep_their_length_and_204_does_not),
        cmocka_unit_test(rule11_a_101_names_what_it_upgrades_to),
        cmocka_unit_test(rule9_response_headers_are_marked_too),
        cmocka_unit_test(headers_of_requests_mean_nothing_in_a_response),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
