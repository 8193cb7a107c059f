/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/trailer.h"
#include "http_test.h"

static const struct kg_head_limits limits = { .line = 8192, .bytes = 32768, .headers = 4 };
static struct kg_head head;
static char text[16384];
static struct kg_writer out;

static int remake(struct kg_slice section, const char *named)
{
    const char *why = "";
    int rc;

    out = kg_writer_of(text, sizeof(text));
    rc = kg_trailer_remake(section, kg_slice_str(named), &limits, &head, &out, &why);
    assert_false(out.overflow);
    if (rc != 0)
        assert_true(why[0] != '\0');
    return rc;
}

static void gives(struct kg_slice section, const char *named, const char *want)
{
    assert_int_equal(remake(section, named), 0);
    assert_slice(kg_writer_slice(&out), want);
}

/* Reads headers in front of the empty line as those of an answer. */
static void read_head(const char *headers)
{
    static char bytes[65536];
    struct kg_writer w = kg_writer_of(bytes, sizeof(bytes));
    const struct kg_head_limits wide = { .line = 8192, .bytes = sizeof(bytes), .headers = KG_HEADERS_MAX };
    const char *why;

    KG_PUT(&w, "HTTP/1.1 200 OK\r\n");
    kg_put(&w, kg_slice_str(headers));
    KG_PUT(&w, "\r\n");
    assert_false(w.overflow);
    assert_true(kg_head_parse_response(kg_writer_slice(&w), &wide, &head, &why) > 0);
}

static void fields_are_made_anew(void **state)
{
    gives(KG_SLICE("X-Sum:\t 12 3 \r\nEmpty:\r\nx-sum:4\r\n\r\n"), "",
          "X-Sum: 12 3\r\nEmpty: \r\nx-sum: 4\r\n");
    gives(KG_SLICE("\r\n"), "", "");
}

static void what_the_head_decides_is_dropped(void **state)
{
    gives(KG_SLICE("Content-Length: 3\r\nX-A: b\r\nX-Consumer-Id: 1\r\n\r\n"), "", "X-A: b\r\n");
    gives(KG_SLICE("Host: a\r\n\r\n"), "", "");
}

static void what_connection_names_is_dropped(void **state)
{
    gives(KG_SLICE("X-A: 1\r\nX-B: 2\r\nX-C: 3\r\n\r\n"), "x-b, X-C", "X-A: 1\r\n");
}

static void a_broken_section_is_refused(void **state)
{
    assert_int_equal(remake(KG_SLICE("X-A : b\r\n\r\n"), ""), -400);
    assert_int_equal(remake(KG_SLICE("X-A: b\r\n c\r\n\r\n"), ""), -400);
    assert_int_equal(remake(KG_SLICE("X-A: b\n\r\n"), ""), -400);
    assert_int_equal(remake(KG_SLICE("X-A: b\r\n"), ""), -400);
    assert_int_equal(remake(KG_SLICE(""), ""), -400);
    assert_int_equal(remake(KG_SLICE("X-A: b\r\n\r\nX-B: c\r\n\r\n"), ""), -400);
}

static void there_are_no_more_fields_than_a_head_may_have(void **state)
{
    gives(KG_SLICE("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n"), "", "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n");
    assert_int_equal(remake(KG_SLICE("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n"), ""), -431);
    /* Also when they would be dropped. */
    assert_int_equal(remake(KG_SLICE("TE: 1\r\nTE: 2\r\nTE: 3\r\nTE: 4\r\nTE: 5\r\n\r\n"), ""), -431);
}

static void names_that_may_never_be_trailers(void **state)
{
    static const char *const names[] = {
        "Transfer-Encoding",
        "transfer_encoding",
        "Content-Length",
        "CONTENT_LENGTH",
        "Content-Type",
        "Trailer",
        "TE",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "Host",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "x_forwarded_host",
        "X-Forwarded-Anything",
        "X-Real-IP",
        "X_Real_IP",
        "X-Request-ID",
        "X-Keygate-Proxy-Latency",
        "X-Consumer-ID",
        "x_consumer-username",
        "X-Credential-Identifier",
        "X_Credential_Identifier",
        "X-Anonymous-Consumer",
        "x-anonymous_consumer",
        "Authorization",
        "Proxy-Authorization",
        "WWW-Authenticate",
        "Proxy",
        "Proxy-Connection",
        "Cookie",
        "Set-Cookie",
        "set_cookie",
        "Expect",
        "Range",
        "If-Match",
        "If-Modified-Since",
        "if_range",
        "Cache-Control",
        "Pragma",
        "Max-Forwards",
        "Age",
        "Date",
        "Expires",
        "Location",
        "Retry-After",
        "Vary",
        "Warning",
        "content_digest",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (kg_trailer_may_pass(kg_slice_str(names[i])))
            fail_msg("%s may pass", names[i]);
    }
}

static void names_that_may(void **state)
{
    static const char *const names[] = { "X-Checksum",  "Server-Timing", "ETag",  "Content-Digest",
                                         "Repr-Digest", "grpc-status",   "Hosts", "X-Consumer",
                                         "Ranges",      "Viaduct",       "T",     "" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!kg_trailer_may_pass(kg_slice_str(names[i])))
            fail_msg("%s may not pass", names[i]);
    }
}

static void announced(const char *headers, const char *want)
{
    read_head(headers);
    out = kg_writer_of(text, sizeof(text));
    kg_trailer_announce(&head, &out);
    assert_slice(kg_writer_slice(&out), want);
}

static void the_announcement_is_made_anew(void **state)
{
    announced("Trailer: X-A,Cookie , x-b\r\nOther: c\r\nTRAILER: X-C, not a token\r\n",
              "Trailer: X-A, x-b, X-C\r\n");
    announced("Trailer: Set-Cookie\r\nTrailer:\r\n", "");
    announced("Other: c\r\n", "");
}

static void the_announcement_is_bounded(void **state)
{
    struct kg_slice list;
    size_t count = 0;

    read_head(
        "Trailer: A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A,A\r\nTrailer: B,B,B,B,B\r\n");
    out = kg_writer_of(text, sizeof(text));
    kg_trailer_announce(&head, &out);
    list = kg_writer_slice(&out);
    for (struct kg_slice element; kg_slice_next_element(&list, &element);)
        count++;
    assert_int_equal(count, KG_TRAILER_NAMES);
}

static void the_names_in_connection_are_listed(void **state)
{
    read_head("Connection: close, X-A\r\nConnection: keep-alive, TE, x-b, Upgrade\r\n");
    out = kg_writer_of(text, sizeof(text));
    kg_trailer_named(&head, &out);
    assert_slice(kg_writer_slice(&out), "X-A, x-b");
    read_head("Connection: close, TE\r\n");
    out = kg_writer_of(text, sizeof(text));
    kg_trailer_named(&head, &out);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_made_anew),
        cmocka_unit_test(what_the_head_decides_is_dropped),
        cmocka_unit_test(what_connection_names_is_dropped),
        cmocka_unit_test(a_broken_section_is_refused),
        cmocka_unit_test(there_are_no_more_fields_than_a_head_may_have),
        cmocka_unit_test(names_that_may_never_be_trailers),
        cmocka_unit_test(names_that_may),
        cmocka_unit_test(the_announcement_is_made_anew),
        cmocka_unit_test(the_announcement_is_bounded),
        cmocka_unit_test(the_names_in_connection_are_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
