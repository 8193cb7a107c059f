/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/uri.h"
#include "http_test.h"

static struct kg_target target;
static const char *why;
static char buf[256];

static int parse(enum kg_method method, const char *text, const char *host)
{
    static struct kg_head head;

    head.method = method;
    head.target = kg_slice_str(text);
    why = NULL;
    return kg_target_parse(&head, kg_slice_str(host), &target, &why);
}

static void origin_form_is_split(void **state)
{
    assert_int_equal(parse(KG_METHOD_GET, "/a/b?c=d?e", "x"), 0);
    assert_slice(target.path, "/a/b");
    assert_slice(target.query, "c=d?e");
    assert_true(target.has_query);
    assert_int_equal(target.authority.len, 0);
    assert_int_equal(parse(KG_METHOD_GET, "/a?", "x"), 0);
    assert_true(target.has_query);
    assert_int_equal(target.query.len, 0);
    assert_int_equal(parse(KG_METHOD_GET, "//a", "x"), 0);
    assert_slice(target.path, "//a");
    assert_false(target.has_query);
}

static void rule2_asterisk_is_for_options(void **state)
{
    assert_int_equal(parse(KG_METHOD_OPTIONS, "*", "x"), 0);
    assert_slice(target.path, "*");
    assert_status(parse(KG_METHOD_GET, "*", "x"), 400, why);
    assert_status(parse(KG_METHOD_OPTIONS, "*a", "x"), 400, why);
    assert_status(parse(KG_METHOD_OPTIONS, "*?a", "x"), 400, why);
}

static void rule2_other_forms_are_refused(void **state)
{
    static const char *const bad[] = { "a",       "a.example:443", "",         "?a", "ftp://x/",
                                       "http:/x", "http:x",        "mailto:x", "\\a" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_status(parse(KG_METHOD_GET, bad[i], "x"), 400, why);
}

static void rule2_connect_and_trace_are_not_served(void **state)
{
    assert_status(parse(KG_METHOD_CONNECT, "x:443", "x:443"), 405, why);
    assert_status(parse(KG_METHOD_TRACE, "/", "x"), 405, why);
}

static void rule2_absolute_form_is_split(void **state)
{
    assert_int_equal(parse(KG_METHOD_GET, "http://a.example:80/p?q", "a.example:80"), 0);
    assert_slice(target.path, "/p");
    assert_slice(target.query, "q");
    assert_slice(target.authority, "a.example:80");
    assert_int_equal(parse(KG_METHOD_GET, "HTTPS://A.example/", "a.EXAMPLE"), 0);
    assert_slice(target.path, "/");
    assert_int_equal(parse(KG_METHOD_GET, "http://[::1]:8080/x", "[::1]:8080"), 0);
    assert_slice(target.path, "/x");
}

static void rule2_absolute_form_without_a_path_means_the_root(void **state)
{
    assert_int_equal(parse(KG_METHOD_GET, "http://a", "a"), 0);
    assert_slice(target.path, "/");
    assert_int_equal(parse(KG_METHOD_GET, "http://a?q=/x", "a"), 0);
    assert_slice(target.path, "/");
    assert_slice(target.query, "q=/x");
    assert_int_equal(parse(KG_METHOD_OPTIONS, "http://a", "a"), 0);
    assert_slice(target.path, "*");
    assert_int_equal(parse(KG_METHOD_OPTIONS, "http://a/", "a"), 0);
    assert_slice(target.path, "/");
}

static void rule2_absolute_form_must_equal_host(void **state)
{
    assert_status(parse(KG_METHOD_GET, "http://b/", "a"), 400, why);
    assert_status(parse(KG_METHOD_GET, "http://a:80/", "a"), 400, why);
    assert_status(parse(KG_METHOD_GET, "http://ab/", "a"), 400, why);
    assert_int_equal(parse(KG_METHOD_GET, "http://b/", ""), 0);
    assert_slice(target.authority, "b");
}

static void rule2_absolute_form_has_a_good_authority(void **state)
{
    assert_status(parse(KG_METHOD_GET, "http:///p", ""), 400, why);
    assert_status(parse(KG_METHOD_GET, "http://", ""), 400, why);
    assert_status(parse(KG_METHOD_GET, "http://u@a/", ""), 400, why);
    assert_status(parse(KG_METHOD_GET, "http://u:p@a/", ""), 400, why);
    assert_status(parse(KG_METHOD_GET, "http://a:x/", ""), 400, why);
    assert_status(parse(KG_METHOD_GET, "http://:80/", ""), 400, why);
}

static void fragments_and_invisible_bytes_are_refused(void **state)
{
    assert_status(parse(KG_METHOD_GET, "/a#b", "x"), 400, why);
    assert_status(parse(KG_METHOD_GET, "/a?b#", "x"), 400, why);
    assert_status(parse(KG_METHOD_GET, "/a b", "x"), 400, why);
    assert_status(parse(KG_METHOD_GET, "/\xc3\xa4", "x"), 400, why);
    assert_status(parse(KG_METHOD_GET, "/a\x7f", "x"), 400, why);
    assert_status(parse(KG_METHOD_GET, "/a\t", "x"), 400, why);
}

static int normalize(const char *raw, size_t room, struct kg_slice *path)
{
    struct kg_writer out = kg_writer_of(buf, room);
    int rc;

    why = NULL;
    rc = kg_path_normalize(kg_slice_str(raw), &out, &why);
    *path = kg_writer_slice(&out);
    return rc;
}

static void normal(const char *raw, const char *want)
{
    struct kg_slice path;

    assert_int_equal(normalize(raw, sizeof(buf), &path), 0);
    assert_slice(path, want);
}

static void paths_lose_dot_segments(void **state)
{
    normal("/", "/");
    normal("/a", "/a");
    normal("/a/", "/a/");
    normal("/a/.", "/a/");
    normal("/a/./b", "/a/b");
    normal("/a/..", "/");
    normal("/a/../b", "/b");
    normal("/a/b/..", "/a/");
    normal("/a/b/../", "/a/");
    normal("/a/b/../../c", "/c");
    normal("/a/...", "/a/...");
    normal("/a/.b/..c/d..", "/a/.b/..c/d..");
    normal("/.", "/");
    normal("/./", "/");
}

static void paths_never_leave_the_root(void **state)
{
    normal("/..", "/");
    normal("/../", "/");
    normal("/../../a", "/a");
    normal("/a/../../../b", "/b");
    normal("/%2e%2E/%2e./a", "/a");
}

static void repeated_slashes_merge(void **state)
{
    normal("//", "/");
    normal("//a///b//", "/a/b/");
    normal("/a//../b", "/b");
    normal("/a/.//b", "/a/b");
}

static void unreserved_triplets_are_decoded(void **state)
{
    normal("/%61%7e%2D%5f%39", "/a~-_9");
    normal("/route%2E/req", "/route./req");
    normal("/a/%2e./b", "/b");
    normal("/%22%3c%5C%7b", "/\"<\\{");
}

static void reserved_triplets_stay_in_upper_case(void **state)
{
    normal("/%21%2a%27%28%29%3b%3a%40%26%3d%2b%24%2c%2f%3f%25%23%5b%5d",
           "/%21%2A%27%28%29%3B%3A%40%26%3D%2B%24%2C%2F%3F%25%23%5B%5D");
    normal("/a%2f..%2fb", "/a%2F..%2Fb");
    normal("/%252e%252E/a", "/%252e%252E/a");
    normal("/a%2fb/../c", "/c");
    normal("/!*'();:@&=+$,[]", "/!*'();:@&=+$,[]");
}

static void triplets_of_other_bytes_stay_in_upper_case(void **state)
{
    normal("/a%20b", "/a%20b");
    normal("/%c3%a4%7f%0a%1f%ff", "/%C3%A4%7F%0A%1F%FF");
}

/* What kong.md 5.3 says, in one path. */
static void kong_path_normalisation(void **state)
{
    normal("/Abc%20123%c3%b8/parent/..//test/%2e/x%2fy%7ez/.", "/Abc%20123%C3%B8/test/x%2Fy~z/");
    normal("/route../req", "/route../req");
}

static void broken_paths_are_refused(void **state)
{
    static const char *const bad[] = { "/%", "/%1", "/%zz", "/%1g", "/a%/b", "/%00", "/a%00b", "/a%2", "",
                                       "a",  "*",   "./a",  "/a?b", "/a#b",  "/a b", "/\x80",  "/\x7f" };
    struct kg_slice path;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = normalize(bad[i], sizeof(buf), &path);

        if (rc != -400 || !why)
            fail_msg("%d for \"%s\"", rc, bad[i]);
    }
}

static void paths_that_do_not_fit_are_too_long(void **state)
{
    struct kg_slice path;

    assert_int_equal(normalize("/abc", 4, &path), 0);
    assert_status(normalize("/abcd", 4, &path), 414, why);
    assert_status(normalize("/abc%20", 6, &path), 414, why);
    assert_status(normalize("/abc/", 4, &path), 414, why);
    assert_status(normalize("/", 0, &path), 414, why);
}

static void normalising_goes_behind_what_is_there(void **state)
{
    struct kg_writer out = kg_writer_of(buf, sizeof(buf));

    KG_PUT(&out, "/srv");
    assert_int_equal(kg_path_normalize(KG_SLICE("/../a/.."), &out, &why), 0);
    assert_slice(kg_writer_slice(&out), "/srv/");
}

static void escaping_spares_what_a_uri_holds(void **state)
{
    struct kg_writer out = kg_writer_of(buf, sizeof(buf));

    kg_path_put_escaped(KG_SLICE("/a%20b!$&'()*+,-.:;=@[]_~/\"<>\\^`{|}"), &out);
    assert_slice(kg_writer_slice(&out), "/a%20b!$&'()*+,-.:;=@[]_~/%22%3C%3E%5C%5E%60%7B%7C%7D");
}

static void host(const char *text, const char *name, uint16_t port)
{
    struct kg_slice got;
    uint16_t got_port = 1;

    assert_int_equal(kg_host_split(kg_slice_str(text), &got, &got_port), 0);
    assert_slice(got, name);
    assert_int_equal(got_port, port);
}

static void hosts_are_split(void **state)
{
    host("a.example", "a.example", 0);
    host("A.example:8080", "A.example", 8080);
    host("a.example.", "a.example", 0);
    host("a.example.:80", "a.example", 80);
    host("a:", "a", 0);
    host("a:65535", "a", 65535);
    host("127.0.0.1:1", "127.0.0.1", 1);
    host("[::1]", "[::1]", 0);
    host("[2001:db8::1]:443", "[2001:db8::1]", 443);
    host("[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.1]", 443);
    host("under_score-x", "under_score-x", 0);
}

static void broken_hosts_are_refused(void **state)
{
    static const char *const bad[] = {
        "",          ".",          ":80",
        "a:0",       "a:65536",    "a:-1",
        "a:8x",      "a:80:80",    "::1",
        "[::1",      "[::1]x",     "[1.2.3.4]",
        "[]",        "[::1%25lo]", "a b",
        "a/b",       "a,b",        "u@a",
        "a\xc3\xa4", "a..b",       "a..",
        ".a",        "[::g]",      "a\"",
        "<a>",       "a?b",        "a:18446744073709551696",
    };
    struct kg_slice name;
    uint16_t port;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (kg_host_split(kg_slice_str(bad[i]), &name, &port) != -400)
            fail_msg("\"%s\"", bad[i]);
    }
}

static void found(const char *query, const char *name, int count, const char *value, bool bare)
{
    struct kg_slice got = { 0 };
    bool got_bare = !bare;

    assert_int_equal(kg_query_find(kg_slice_str(query), kg_slice_str(name), &got, &got_bare), count);
    if (count == 0)
        return;
    assert_slice(got, value);
    assert_int_equal(got_bare, bare);
}

static void query_arguments_are_found(void **state)
{
    found("apikey=abc", "apikey", 1, "abc", false);
    found("a=1&apikey=abc=d&b", "apikey", 1, "abc=d", false);
    found("apikey=", "apikey", 1, "", false);
    found("apikey", "apikey", 1, "", true);
    found("api%6Bey=%20x+y", "apikey", 1, "%20x+y", false);
    found("my+key=1", "my key", 1, "1", false);
    found("my%20key=1", "my key", 1, "1", false);
    found("my%2Bkey=1", "my+key", 1, "1", false);
    found("100%=1", "100%", 1, "1", false);
    found("x=apikey", "apikey", 0, "", false);
    found("apikeys=1&apike=2&Apikey=3&api%key=4", "apikey", 0, "", false);
    found("", "apikey", 0, "", false);
    found("&&a", "apikey", 0, "", false);
}

static void repeated_arguments_are_counted_to_two(void **state)
{
    found("apikey=1&apikey=2", "apikey", 2, "1", false);
    found("apikey&x&apikey=2&apikey=3", "apikey", 2, "", true);
}

static void query_values_are_decoded(void **state)
{
    struct kg_writer out = kg_writer_of(buf, sizeof(buf)), small = kg_writer_of(buf, 2);

    assert_true(kg_query_decode(KG_SLICE("a+b%20c%2B%zz%1%"), &out));
    assert_slice(kg_writer_slice(&out), "a b c+%zz%1%");
    assert_true(kg_query_decode(KG_SLICE("%41%42"), &small));
    assert_false(kg_query_decode(KG_SLICE("c"), &small));
}

static void removed(const char *query, const char *want)
{
    struct kg_writer out = kg_writer_of(buf, sizeof(buf));

    kg_query_remove(kg_slice_str(query), KG_SLICE("apikey"), &out);
    assert_slice(kg_writer_slice(&out), want);
}

static void arguments_are_removed_and_the_rest_stays(void **state)
{
    removed("apikey=x", "");
    removed("apikey", "");
    removed("a=1&apikey=x&b=2", "a=1&b=2");
    removed("apikey=x&a=%7e+&b", "a=%7e+&b");
    removed("a=1&api%6bey=x", "a=1");
    removed("apikey=1&a&apikey=2", "a");
    removed("a=1&&b=2&", "a=1&&b=2&");
    removed("a=apikey&apikeys=1", "a=apikey&apikeys=1");
    removed("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origin_form_is_split),
        cmocka_unit_test(rule2_asterisk_is_for_options),
        cmocka_unit_test(rule2_other_forms_are_refused),
        cmocka_unit_test(rule2_connect_and_trace_are_not_served),
        cmocka_unit_test(rule2_absolute_form_is_split),
        cmocka_unit_test(rule2_absolute_form_without_a_path_means_the_root),
        cmocka_unit_test(rule2_absolute_form_must_equal_host),
        cmocka_unit_test(rule2_absolute_form_has_a_good_authority),
        cmocka_unit_test(fragments_and_invisible_bytes_are_refused),
        cmocka_unit_test(paths_lose_dot_segments),
        cmocka_unit_test(paths_never_leave_the_root),
        cmocka_unit_test(repeated_slashes_merge),
        cmocka_unit_test(unreserved_triplets_are_decoded),
        cmocka_unit_test(reserved_triplets_stay_in_upper_case),
        cmocka_unit_test(triplets_of_other_bytes_stay_in_upper_case),
        cmocka_unit_test(kong_path_normalisation),
        cmocka_unit_test(broken_paths_are_refused),
        cmocka_unit_test(paths_that_do_not_fit_are_too_long),
        cmocka_unit_test(normalising_goes_behind_what_is_there),
        cmocka_unit_test(escaping_spares_what_a_uri_holds),
        cmocka_unit_test(hosts_are_split),
        cmocka_unit_test(broken_hosts_are_refused),
        cmocka_unit_test(query_arguments_are_found),
        cmocka_unit_test(repeated_arguments_are_counted_to_two),
        cmocka_unit_test(query_values_are_decoded),
        cmocka_unit_test(arguments_are_removed_and_the_rest_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
