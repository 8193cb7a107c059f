/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/checks.h"
#include "base/addr.h"
#include "base/mem.h"
#include "base/writer.h"
#include "http/uri.h"
#include "model/json.h"
#include "model/regex.h"

#include <stdio.h>
#include <stdlib.h>

#define IDENTITY_MAX 512
#define PATH_MAX_LEN 4096
#define HOST_MAX     253 /* RFC 1035, 2.3.4, in text form */
#define KEY_MAX      512
#define HEADER_MAX   4096 /* of a value; longer ones come in no head by default */

const char *kg_check_say(char scratch[256], struct kg_slice before, struct kg_slice value,
                         struct kg_slice after)
{
    struct kg_writer w = kg_writer_of(scratch, 255);
    size_t room = 255 - before.len - after.len;

    if (value.len > room) {
        value.len = room;
        while (value.len > 0 && ((unsigned char)value.ptr[value.len] & 0xc0) == 0x80)
            value.len--;
    }
    kg_put(&w, before);
    kg_put(&w, value);
    kg_put(&w, after);
    scratch[w.len] = '\0';
    return scratch;
}

const char *kg_check_no_host(char scratch[256], struct kg_slice host)
{
    if (kg_slice_find(host, '@') < host.len)
        return "must not have a user or a password";
    return kg_check_say(scratch, KG_SLICE("invalid value: "), host, KG_SLICE(""));
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (kg_lower(c) >= 'a' && kg_lower(c) <= 'z');
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static const char *too_long(struct kg_slice text, size_t max, char scratch[256])
{
    if (text.len <= max)
        return NULL;
    snprintf(scratch, 256, "length must be at most %zu", max);
    return scratch;
}

const char *kg_check_name(const json_t *value, char scratch[256])
{
    struct kg_slice text = kg_json_text(value);

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!is_alnum(c) && !is_one_of(c, ".-_~") && (unsigned char)c < 0x80)
            return kg_check_say(
                scratch, KG_SLICE("invalid value '"), text,
                KG_SLICE("': the only accepted ascii characters are alphanumerics or ., -, _, and ~"));
    }
    return too_long(text, IDENTITY_MAX, scratch);
}

/*
 * What goes upstream in X-Consumer-*: a line break would forge a header, and blanks at the ends are cut by
 * the receiver (RFC 9110, 5.5), so that two consumers could become one.
 */
const char *kg_check_identity(const json_t *value, char scratch[256])
{
    struct kg_slice text = kg_json_text(value);

    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]))
            return "must not contain control characters";
    if (text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ')
        return "must not start or end with a blank";
    return too_long(text, IDENTITY_MAX, scratch);
}

const char *kg_check_tag(const json_t *value, char scratch[256])
{
    struct kg_slice text = kg_json_text(value);

    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]) || is_one_of(text.ptr[i], ",/"))
            return kg_check_say(
                scratch, KG_SLICE("invalid tag '"), text,
                KG_SLICE("': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"));
    return too_long(text, IDENTITY_MAX, scratch);
}

/* The message never repeats the key. */
const char *kg_check_key(const json_t *value, char scratch[256])
{
    struct kg_slice text = kg_json_text(value);

    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]) || (unsigned char)text.ptr[i] > 0x7e)
            return "must consist of printable ascii characters";
    if (text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ')
        return "must not start or end with a blank";
    return too_long(text, KEY_MAX, scratch);
}

/* Labels of letters, digits, '-' and '_' with dots between, as names in /etc/hosts and DNS are. */
bool kg_is_host_name(struct kg_slice host)
{
    if (host.len == 0 || host.len > HOST_MAX || host.ptr[0] == '.' || host.ptr[host.len - 1] == '.')
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == '.' && host.ptr[i - 1] == '.')
            return false;
        if (!is_alnum(host.ptr[i]) && !is_one_of(host.ptr[i], ".-_"))
            return false;
    }
    return true;
}

bool kg_is_bracketed_ipv6(struct kg_slice host)
{
    struct kg_addr addr;

    if (host.len < 4 || host.ptr[0] != '[' || host.ptr[host.len - 1] != ']')
        return false;
    return kg_addr_parse(kg_slice_of(host.ptr + 1, host.len - 2), &addr) == 0 &&
           kg_slice_find(host, ':') < host.len;
}

bool kg_host_has_port(struct kg_slice host, struct kg_slice *name, uint64_t *port)
{
    size_t at = host.len;

    while (at > 0 && host.ptr[at - 1] >= '0' && host.ptr[at - 1] <= '9')
        at--;
    if (at < 2 || at == host.len || host.ptr[at - 1] != ':')
        return false;
    *name = kg_slice_of(host.ptr, at - 1);
    if (kg_slice_u64(kg_slice_of(host.ptr + at, host.len - at), port))
        *port = UINT64_MAX;
    return true;
}

const char *kg_check_service_host(const json_t *value, char scratch[256])
{
    struct kg_slice host = kg_json_text(value), name;
    uint64_t port;

    if (kg_is_host_name(host) || kg_is_bracketed_ipv6(host))
        return NULL;
    if (kg_host_has_port(host, &name, &port) && (kg_is_host_name(name) || kg_is_bracketed_ipv6(name)))
        return "must not have a port";
    return kg_check_no_host(scratch, host);
}

static const char *check_wildcard(struct kg_slice name, struct kg_slice whole, char scratch[256])
{
    size_t star = kg_slice_find(name, '*');
    struct kg_slice rest = { name.ptr + star + 1, name.len - star - 1 };

    if (kg_slice_find(rest, '*') < rest.len)
        return "invalid wildcard: must have at most one wildcard";
    if (star == 0 && rest.len > 1 && rest.ptr[0] == '.')
        rest = kg_slice_of(name.ptr + 2, name.len - 2);
    else if (star == name.len - 1 && star > 1 && name.ptr[star - 1] == '.')
        rest = kg_slice_of(name.ptr, star - 1);
    else
        return "invalid wildcard: must be placed at leftmost or rightmost label";
    return kg_is_host_name(rest) ? NULL : kg_check_no_host(scratch, whole);
}

const char *kg_check_route_host(const json_t *value, char scratch[256])
{
    struct kg_slice host = kg_json_text(value), name = host;
    uint64_t port = 1;

    if (kg_slice_find(host, '*') == host.len)
        return kg_check_host_header(value, scratch);
    if (kg_host_has_port(host, &name, &port) && (port < 1 || port > 65535))
        return "invalid port number";
    return check_wildcard(name, host, scratch);
}

static const char *check_server_name(struct kg_slice name, char scratch[256])
{
    struct kg_slice host;
    struct kg_addr addr;
    uint64_t port;

    if (kg_is_bracketed_ipv6(name) || kg_addr_parse(name, &addr) == 0)
        return "must not be an IP";
    if (kg_host_has_port(name, &host, &port))
        return "must not have a port";
    return kg_is_host_name(name) ? NULL : kg_check_no_host(scratch, name);
}

const char *kg_check_sni(const json_t *value, char scratch[256])
{
    struct kg_slice name = kg_json_text(value), host;
    uint64_t port;

    if (kg_slice_eq(name, KG_SLICE("*")))
        return NULL;
    if (kg_slice_find(name, '*') == name.len)
        return check_server_name(name, scratch);
    return kg_host_has_port(name, &host, &port) ? "must not have a port"
                                                : check_wildcard(name, name, scratch);
}

const char *kg_check_route_sni(const json_t *value, char scratch[256])
{
    return check_server_name(kg_json_text(value), scratch);
}

json_t *kg_name_normal(const json_t *value)
{
    struct kg_slice name = kg_json_text(value);
    char *lower = kg_strndup(name.ptr, name.len);
    json_t *normal;

    for (size_t i = 0; i < name.len; i++)
        lower[i] = kg_lower(lower[i]);
    normal = json_stringn(lower, name.len);
    free(lower);
    return normal;
}

static bool is_hex(int c)
{
    return (c >= '0' && c <= '9') || (kg_lower((char)c) >= 'a' && kg_lower((char)c) <= 'f');
}

/* A plain path: '/' and segments of RFC 3986 3.3 characters, none of them empty but the last. */
static const char *check_path(struct kg_slice path, char scratch[256])
{
    if (path.ptr[0] != '/')
        return "should start with: /";
    if (memmem(path.ptr, path.len, "//", 2))
        return "must not have empty segments";
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];

        if (c == '%' && (path.len - i < 3 || !is_hex(path.ptr[i + 1]) || !is_hex(path.ptr[i + 2])))
            return kg_check_say(scratch, KG_SLICE("invalid url-encoded value: '"),
                                kg_slice_of(path.ptr + i, path.len - i < 3 ? path.len - i : 3),
                                KG_SLICE("'"));
        if (!is_alnum(c) && !is_one_of(c, "/%-._~!$&'()*+,;=:@"))
            return kg_check_say(scratch, KG_SLICE("invalid path: '"), path,
                                KG_SLICE("' (characters outside of the reserved list of RFC 3986 found)"));
    }
    return too_long(path, PATH_MAX_LEN, scratch);
}

const char *kg_check_service_path(const json_t *value, char scratch[256])
{
    return check_path(kg_json_text(value), scratch);
}

/* NULL, or why the pattern is none. */
static const char *check_regex(enum kg_regex_kind kind, struct kg_slice pattern, char scratch[256])
{
    struct kg_error err;
    struct kg_regex *regex = kg_regex_new(kind, pattern, &err);

    if (!regex)
        return kg_check_say(scratch, kg_slice_str(err.text), KG_SLICE(""), KG_SLICE(""));
    kg_regex_free(regex);
    return NULL;
}

const char *kg_check_route_path(const json_t *value, char scratch[256])
{
    struct kg_slice path = kg_json_text(value);
    char normal[PATH_MAX_LEN];
    struct kg_writer w = kg_writer_of(normal, sizeof(normal));
    const char *wrong, *why = "not a valid path";

    if (path.len > 1 && path.ptr[0] == '~' && path.ptr[1] == '/')
        return check_regex(KG_REGEX_PATH, kg_slice_of(path.ptr + 1, path.len - 1), scratch);
    if (path.ptr[0] != '/')
        return "should start with: / (fixed path) or ~/ (regex path)";
    wrong = check_path(path, scratch);
    if (wrong)
        return wrong;
    if (kg_path_normalize(path, &w, &why))
        return why;
    if (kg_slice_eq(kg_writer_slice(&w), path))
        return NULL;
    return kg_check_say(scratch, KG_SLICE("non-normalized path, consider use '"), kg_writer_slice(&w),
                        KG_SLICE("' instead"));
}

const char *kg_check_header_name(const json_t *value, char scratch[256])
{
    struct kg_slice name = kg_json_text(value);

    if (kg_slice_eq_nocase(name, KG_SLICE("host")))
        return "cannot contain 'host' header, which must be specified in the 'hosts' attribute";
    return kg_check_hash_header(value, scratch);
}

/* A value with blanks at its ends or a control character in it comes with no request (RFC 9110, 5.5). */
const char *kg_check_header_value(const json_t *value, char scratch[256])
{
    struct kg_slice text = kg_json_text(value);

    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]) && text.ptr[i] != '\t')
            return "must not contain control characters";
    if (kg_slice_trim(text).len != text.len)
        return "must not start or end with a blank";
    return too_long(text, HEADER_MAX, scratch);
}

const char *kg_check_line(const json_t *value, char scratch[256])
{
    struct kg_slice text = kg_json_text(value);

    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]))
            return "must not contain control characters";
    return NULL;
}

const char *kg_check_header_values(const json_t *values, char scratch[256])
{
    struct kg_slice first = kg_json_text(json_array_get(values, 0));

    if (json_array_size(values) != 1 || !kg_slice_starts_with(first, KG_SLICE("~*")))
        return NULL;
    return check_regex(KG_REGEX_HEADER, kg_slice_of(first.ptr + 2, first.len - 2), scratch);
}

/* A token (RFC 9110, 9.1) without lower-case letters, so that "get" is not taken for GET. */
const char *kg_check_method(const json_t *value, char scratch[256])
{
    struct kg_slice text = kg_json_text(value);

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if ((!is_alnum(c) || (c >= 'a' && c <= 'z')) && !is_one_of(c, "!#$%&'*+-.^_`|~"))
            return kg_check_say(scratch, KG_SLICE("invalid value: "), text, KG_SLICE(""));
    }
    return too_long(text, 64, scratch);
}

const char *kg_check_redirect_status(const json_t *value, char scratch[256])
{
    static const int allowed[] = { 426, 301, 302, 307, 308 };

    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        if (json_integer_value(value) == allowed[i])
            return NULL;
    }
    return "expected one of: 426, 301, 302, 307, 308";
}

const char *kg_check_plugin_name(const json_t *value, char scratch[256])
{
    if (kg_plugin_find(json_string_value(value)))
        return NULL;
    return kg_check_say(scratch, KG_SLICE("plugin '"), kg_json_text(value),
                        KG_SLICE("' not enabled; add it to the 'plugins' configuration property"));
}

/* Cuts "http" or "https" and "://" off *rest into *scheme (left empty when there is none): false for another
 * scheme. */
static bool take_scheme(struct kg_slice *rest, struct kg_slice *scheme)
{
    const char *mark = memmem(rest->ptr, rest->len, "://", 3);

    *scheme = kg_slice_of(rest->ptr, 0);
    if (!mark)
        return true;
    scheme->len = (size_t)(mark - rest->ptr);
    *rest = kg_slice_of(mark + 3, rest->len - scheme->len - 3);
    return scheme->len > 0 && kg_slice_find(*scheme, '/') == scheme->len;
}

static void set_url_parts(json_t *input, struct kg_slice scheme, struct kg_slice host, uint64_t port,
                          struct kg_slice path)
{
    bool https = kg_slice_eq_nocase(scheme, KG_SLICE("https")) || (scheme.len == 0 && port == 443);

    if (https)
        scheme = KG_SLICE("https");
    else if (scheme.len == 0 || kg_slice_eq_nocase(scheme, KG_SLICE("http")))
        scheme = KG_SLICE("http");
    if (port == 0)
        port = https ? 443 : 80;
    json_object_set_new(input, "protocol", json_stringn(scheme.ptr, scheme.len));
    json_object_set_new(input, "host", json_stringn(host.ptr, host.len));
    json_object_set_new(input, "port", json_integer((json_int_t)port));
    json_object_set_new(input, "path", path.len > 0 ? json_stringn(path.ptr, path.len) : json_null());
}

/* NULL, or what is wrong with it. */
static const char *expand_url(json_t *input, const json_t *url)
{
    struct kg_slice rest, scheme, host, path;
    uint64_t port = 0;
    size_t slash;

    if (!json_is_string(url))
        return json_is_null(url) ? "missing host in url" : "expected a string";
    rest = kg_slice_trim(kg_json_text(url));
    for (size_t i = 0; i < rest.len; i++)
        if (is_control(rest.ptr[i]) || is_one_of(rest.ptr[i], " ?#@\\"))
            return "must consist of scheme, host, port and path only";
    if (!take_scheme(&rest, &scheme))
        return "could not parse url";
    slash = kg_slice_find(rest, '/');
    host = kg_slice_of(rest.ptr, slash);
    path = kg_slice_of(rest.ptr + slash, rest.len - slash);
    if (kg_host_has_port(host, &host, &port) && (port < 1 || port > 65535))
        return "value of port should be between 1 and 65535";
    if (host.len == 0)
        return "missing host in url";
    set_url_parts(input, scheme, host, port, path);
    json_object_del(input, "url");
    return NULL;
}

void kg_service_expand(json_t *input, json_t *violations)
{
    const json_t *url = json_object_get(input, "url");
    const char *wrong = url ? expand_url(input, url) : NULL;

    if (wrong)
        kg_violate(violations, "url", wrong);
}
