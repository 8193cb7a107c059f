/* SPDX-License-Identifier: BSD-2-Clause */
/* Upstreams and targets: their fields, in Kong's shapes, and the rules over them. */
#include "model/checks.h"

#include "base/addr.h"
#include "base/writer.h"
#include "http/head.h"
#include "model/json.h"
#include "model/names.h"

#include <stdio.h>

#define TARGET_PORT 8000 /* of a target that names none */

static const char *const algorithms[] = { "consistent-hashing", "least-connections", "round-robin", NULL };
static const char *const hash_inputs[] = { "none",   "consumer", "ip",        "header",
                                           "cookie", "path",     "query_arg", NULL };
static const char *const probe_types[] = { "tcp", "http", "https", NULL };

/* clang-format off */
#define COUNTER(n) { .name = n, .type = KG_F_INTEGER, .required = true, .default_json = "0", .bounded = true, .max = 255 }
#define SECONDS(n, d) { .name = n, .type = KG_F_NUMBER, .required = true, .default_json = d, .bounded = true, .max = 65535 }
#define STATUSES(d) { .name = "http_statuses", .type = KG_F_INTEGER_SET, .required = true, .default_json = d, \
                      .bounded = true, .min = 100, .max = 999 }
#define RECORD(n, f) { .name = n, .type = KG_F_RECORD, .required = true, .default_json = "{}", .fields = f }
#define PROBE_TYPE { .name = "type", .type = KG_F_STRING, .required = true, .default_json = "\"http\"", .one_of = probe_types }

static const struct kg_field active_healthy[] = {
    SECONDS("interval", "0"), COUNTER("successes"), STATUSES("[200,302]"), { 0 },
};
static const struct kg_field active_unhealthy[] = {
    SECONDS("interval", "0"), STATUSES("[429,404,500,501,502,503,504,505]"),
    COUNTER("tcp_failures"), COUNTER("timeouts"), COUNTER("http_failures"), { 0 },
};
static const struct kg_field active[] = {
    PROBE_TYPE,
    SECONDS("timeout", "1"),
    { .name = "concurrency", .type = KG_F_INTEGER, .required = true, .default_json = "10", .bounded = true, .min = 1, .max = 65535 },
    { .name = "http_path", .type = KG_F_STRING, .required = true, .default_json = "\"/\"", .check = kg_check_service_path },
    { .name = "https_sni", .type = KG_F_STRING, .check = kg_check_host_name },
    { .name = "https_verify_certificate", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" },
    { .name = "headers", .type = KG_F_STRING_MAP, .check = kg_check_header_value, .check_key = kg_check_probe_header },
    RECORD("healthy", active_healthy),
    RECORD("unhealthy", active_unhealthy),
    { 0 },
};
static const struct kg_field passive_healthy[] = {
    COUNTER("successes"),
    STATUSES("[200,201,202,203,204,205,206,207,208,226,300,301,302,303,304,305,306,307,308]"), { 0 },
};
static const struct kg_field passive_unhealthy[] = {
    STATUSES("[429,500,503]"), COUNTER("tcp_failures"), COUNTER("timeouts"), COUNTER("http_failures"), { 0 },
};
static const struct kg_field passive[] = {
    PROBE_TYPE, RECORD("healthy", passive_healthy), RECORD("unhealthy", passive_unhealthy), { 0 },
};
static const struct kg_field healthchecks[] = {
    { .name = "threshold", .type = KG_F_NUMBER, .required = true, .default_json = "0", .bounded = true, .max = 100 },
    RECORD("active", active),
    RECORD("passive", passive),
    { 0 },
};

const struct kg_field kg_upstream_fields[] = {
    { .name = "id", .type = KG_F_UUID, .required = true, .automatic = true, .immutable_ = true },
    { .name = "name", .type = KG_F_STRING, .required = true, .unique = true, .nocase = true, .check = kg_check_upstream_name },
    { .name = "algorithm", .type = KG_F_STRING, .required = true, .default_json = "\"round-robin\"", .one_of = algorithms },
    { .name = "hash_on", .type = KG_F_STRING, .required = true, .default_json = "\"none\"", .one_of = hash_inputs },
    { .name = "hash_fallback", .type = KG_F_STRING, .required = true, .default_json = "\"none\"", .one_of = hash_inputs },
    { .name = "hash_on_header", .type = KG_F_STRING, .check = kg_check_hash_header },
    { .name = "hash_fallback_header", .type = KG_F_STRING, .check = kg_check_hash_header },
    { .name = "hash_on_cookie", .type = KG_F_STRING, .check = kg_check_cookie_name },
    { .name = "hash_on_cookie_path", .type = KG_F_STRING, .required = true, .default_json = "\"/\"", .check = kg_check_service_path },
    { .name = "hash_on_query_arg", .type = KG_F_STRING, .check = kg_check_identity },
    { .name = "hash_fallback_query_arg", .type = KG_F_STRING, .check = kg_check_identity },
    { .name = "slots", .type = KG_F_INTEGER, .required = true, .default_json = "10000", .bounded = true, .min = 10, .max = 65536 },
    { .name = "host_header", .type = KG_F_STRING, .check = kg_check_host_header },
    { .name = "use_srv_name", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    RECORD("healthchecks", healthchecks),
    { .name = "tags", .type = KG_F_STRING_SET, .check = kg_check_tag },
    { .name = "created_at", .type = KG_F_TIMESTAMP, .required = true, .automatic = true },
    { .name = "updated_at", .type = KG_F_TIMESTAMP, .required = true, .automatic = true },
    { 0 },
};

const struct kg_field kg_target_fields[] = {
    { .name = "id", .type = KG_F_UUID, .required = true, .automatic = true, .immutable_ = true },
    { .name = "upstream", .type = KG_F_FOREIGN, .required = true, .reference = KG_UPSTREAMS, .cascade = true },
    { .name = "target", .type = KG_F_STRING, .required = true, .check = kg_check_target, .normalize = kg_target_normal },
    { .name = "weight", .type = KG_F_INTEGER, .required = true, .default_json = "100", .bounded = true, .max = 65535 },
    { .name = "tags", .type = KG_F_STRING_SET, .check = kg_check_tag },
    { .name = "created_at", .type = KG_F_TIMESTAMP, .required = true, .automatic = true },
    { .name = "updated_at", .type = KG_F_TIMESTAMP, .required = true, .automatic = true },
    { 0 },
};
/* clang-format on */

/* ---- single values ---- */

static bool is_address(struct kg_slice host)
{
    struct kg_addr addr;

    return kg_addr_parse(host, &addr) == 0 || kg_is_bracketed_ipv6(host);
}

const char *kg_check_upstream_name(const json_t *value, char scratch[256])
{
    struct kg_slice name = kg_json_text(value), host;
    uint64_t port;

    if (is_address(name))
        return "Invalid name; no ip addresses allowed";
    if (kg_is_host_name(name))
        return NULL;
    if (kg_host_has_port(name, &host, &port) && (kg_is_host_name(host) || is_address(host)))
        return "Invalid name; no port allowed";
    return "Invalid name; must be a valid hostname";
}

const char *kg_check_host_name(const json_t *value, char scratch[256])
{
    struct kg_slice host = kg_json_text(value);

    if (kg_is_host_name(host) && !is_address(host))
        return NULL;
    return kg_check_no_host(scratch, host);
}

/* What goes out as it is in Host: a name or an address, perhaps with a port (RFC 9110, 7.2). */
const char *kg_check_host_header(const json_t *value, char scratch[256])
{
    struct kg_slice host = kg_json_text(value), name = host;
    uint64_t port = 1;

    if (kg_host_has_port(host, &name, &port) && (port < 1 || port > 65535))
        return "invalid port number";
    if (kg_is_host_name(name) || kg_is_bracketed_ipv6(name))
        return NULL;
    return kg_check_no_host(scratch, host);
}

static const char *check_token(struct kg_slice name, struct kg_slice what, char scratch[256])
{
    if (!kg_is_token(name))
        return kg_check_say(scratch, KG_SLICE("'"), name, what);
    return name.len > 512 ? "length must be at most 512" : NULL;
}

/* RFC 6265, 4.1.1: a cookie's name is a token. */
const char *kg_check_cookie_name(const json_t *value, char scratch[256])
{
    return check_token(kg_json_text(value), KG_SLICE("' is not a valid cookie name"), scratch);
}

const char *kg_check_hash_header(const json_t *value, char scratch[256])
{
    return check_token(kg_json_text(value), KG_SLICE("' is not a valid header name"), scratch);
}

/* A probe writes its own framing and Host: a second one could make two requests of it. */
const char *kg_check_probe_header(const json_t *value, char scratch[256])
{
    static const char *const own[] = { "host",    "connection", "content-length", "transfer-encoding",
                                       "upgrade", "te",         "trailer" };
    struct kg_slice name = kg_json_text(value);

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (kg_slice_eq_nocase(name, kg_slice_str(own[i])))
            return kg_check_say(scratch, KG_SLICE("a probe sends its own '"), name, KG_SLICE("' header"));
    }
    return check_token(name, KG_SLICE("' is not a valid header name"), scratch);
}

/* ---- targets ---- */

/* host[:port] taken apart; an IPv6 address stands in brackets, or alone without a port. */
static bool split_target(struct kg_slice text, struct kg_slice *host, uint64_t *port)
{
    struct kg_addr addr;

    *host = text;
    *port = TARGET_PORT;
    if (kg_addr_parse(text, &addr) == 0)
        return true;
    kg_host_has_port(text, host, port);
    if (*port < 1 || *port > 65535)
        return false;
    return kg_is_bracketed_ipv6(*host) || kg_is_host_name(*host);
}

const char *kg_check_target(const json_t *value, char scratch[256])
{
    struct kg_slice host;
    uint64_t port;

    if (split_target(kg_json_text(value), &host, &port))
        return NULL;
    return kg_check_say(scratch, KG_SLICE("Invalid target ('"), kg_json_text(value),
                        KG_SLICE("'); not a valid hostname or ip address"));
}

static void put_host(struct kg_writer *w, struct kg_slice host)
{
    char text[KG_ADDR_TEXT];
    struct kg_addr addr;

    if (!kg_host_numeric(host, &addr)) {
        for (size_t i = 0; i < host.len; i++)
            kg_put_char(w, kg_lower(host.ptr[i]));
        return;
    }
    kg_put(w, addr.family == 6 ? KG_SLICE("[") : KG_SLICE(""));
    kg_put(w, kg_slice_str(kg_addr_text(&addr, text)));
    kg_put(w, addr.family == 6 ? KG_SLICE("]") : KG_SLICE(""));
}

json_t *kg_target_normal(const json_t *value)
{
    char buf[512];
    struct kg_writer w = kg_writer_of(buf, sizeof(buf));
    struct kg_slice host;
    uint64_t port;

    if (!split_target(kg_json_text(value), &host, &port))
        return json_deep_copy(value);
    put_host(&w, host);
    kg_put_char(&w, ':');
    kg_put_u64(&w, port);
    return json_stringn(w.buf, w.len);
}

/* ---- rules over several fields ---- */

static bool is(const json_t *object, const char *name, const char *text)
{
    const char *value = json_string_value(json_object_get(object, name));

    return value && strcmp(value, text) == 0;
}

static void set_unless_given(json_t *input, const char *name, const char *text)
{
    if (!kg_json_given(input, name))
        json_object_set_new(input, name, json_string(text));
}

/* As in Kong: to hash on something is to hash, and an algorithm that does not hash drops what was hashed on.
 */
void kg_upstream_expand(json_t *input, json_t *violations)
{
    if (is(input, "hash_on", "none")) {
        set_unless_given(input, "algorithm", "round-robin");
        set_unless_given(input, "hash_fallback", "none");
        return;
    }
    if (kg_json_given(input, "hash_on")) {
        json_object_set_new(input, "algorithm", json_string("consistent-hashing"));
        return;
    }
    if (is(input, "algorithm", "least-connections") || is(input, "algorithm", "round-robin")) {
        json_object_set_new(input, "hash_on", json_string("none"));
        set_unless_given(input, "hash_fallback", "none");
    }
}

/* Kong's words for a rule that another field's value brings into force. */
static void violate_given(json_t *violations, const char *given, const char *field, const char *message)
{
    char text[128];

    if (json_object_get(violations, field))
        return;
    snprintf(text, sizeof(text), "failed conditional validation given value of field '%s'", given);
    kg_violate(violations, NULL, text);
    kg_violate(violations, field, message);
}

/* What is hashed by name needs the name. */
static void check_hash_names(const json_t *entity, json_t *violations)
{
    static const struct {
        const char *field, *value, *name;
    } needs[] = {
        { "hash_on", "header", "hash_on_header" },
        { "hash_on", "cookie", "hash_on_cookie" },
        { "hash_on", "query_arg", "hash_on_query_arg" },
        { "hash_fallback", "header", "hash_fallback_header" },
        { "hash_fallback", "cookie", "hash_on_cookie" },
        { "hash_fallback", "query_arg", "hash_fallback_query_arg" },
    };

    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (is(entity, needs[i].field, needs[i].value) && !kg_json_given(entity, needs[i].name))
            violate_given(violations, needs[i].field, needs[i].name, "required field missing");
    }
}

static void check_distinct(const json_t *entity, const char *a, const char *b, json_t *violations)
{
    char text[128];
    struct kg_slice left = kg_json_text(json_object_get(entity, a)),
                    right = kg_json_text(json_object_get(entity, b));

    if (left.len == 0 || !kg_slice_eq_nocase(left, right))
        return;
    snprintf(text, sizeof(text), "values of these fields must be distinct: '%s', '%s'", a, b);
    kg_violate(violations, NULL, text);
}

/* A fallback is for requests that lack what is hashed on; a cookie is never lacking, for it is set then. */
static void check_fallback(const json_t *entity, json_t *violations)
{
    const char *on = json_string_value(json_object_get(entity, "hash_on"));
    const char *fallback = json_string_value(json_object_get(entity, "hash_fallback"));

    if (!on || !fallback || strcmp(fallback, "none") == 0)
        return;
    if (strcmp(on, "none") == 0 || strcmp(on, "cookie") == 0)
        violate_given(violations, "hash_on", "hash_fallback", "expected one of: none");
    else if (strcmp(on, fallback) == 0 && strcmp(on, "header") != 0 && strcmp(on, "query_arg") != 0)
        violate_given(violations, "hash_on", "hash_fallback", "must not be equal to hash_on");
}

void kg_upstream_check(const json_t *entity, json_t *violations)
{
    check_hash_names(entity, violations);
    check_fallback(entity, violations);
    check_distinct(entity, "hash_on_header", "hash_fallback_header", violations);
    check_distinct(entity, "hash_on_query_arg", "hash_fallback_query_arg", violations);
    if (json_is_true(json_object_get(entity, "use_srv_name")))
        kg_violate(violations, "use_srv_name", "value must be false: SRV records are not looked up");
}
