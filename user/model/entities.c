/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of entities, in Kong's shapes, and of the plugins' types. Only what keygate can
 * honour is in it. */
#include "model/checks.h"
#include "base/assert.h"

#define PLUGINS_MAX 64
#define PEM_MAX     65536 /* a chain of ten certificates of RSA 4096 has half as much */

static const char *const http_protocols[] = { "http", "https", NULL };
static const char *const plugin_protocols[] = { "grpc", "grpcs", "http", "https", NULL };
static const char *const target_unique[] = { "target", "upstream", NULL };
static const char *const acl_unique[] = { "consumer", "group", NULL };
static const char *const plugin_unique[] = { "name", "route", "service", "consumer", NULL };

/* clang-format off */
#define FIELD_ID         { .name = "id", .type = KG_F_UUID, .required = true, .automatic = true, .immutable_ = true }
#define FIELD_CREATED_AT { .name = "created_at", .type = KG_F_TIMESTAMP, .required = true, .automatic = true }
#define FIELD_UPDATED_AT { .name = "updated_at", .type = KG_F_TIMESTAMP, .required = true, .automatic = true }
#define FIELD_TAGS       { .name = "tags", .type = KG_F_STRING_SET, .check = kg_check_tag }
#define FIELD_NAME       { .name = "name", .type = KG_F_STRING, .unique = true, .check = kg_check_name }
#define FIELD_ENABLED    { .name = "enabled", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" }
#define FIELD_TIMEOUT(n) { .name = n, .type = KG_F_INTEGER, .required = true, .default_json = "60000", \
                           .bounded = true, .min = 1, .max = 2147483646 }
#define FIELD_CERT(n, needed) { .name = n, .type = KG_F_STRING, .required = needed, .max_len = PEM_MAX, .check = kg_check_certificate }
#define FIELD_KEY(n, needed) { .name = n, .type = KG_F_STRING, .required = needed, .secret = true, .max_len = PEM_MAX, \
                               .check = kg_check_private_key }
#define FIELD_SCOPE(n, e) { .name = n, .type = KG_F_FOREIGN, .reference = e, .cascade = true }

static const struct kg_field service_fields[] = {
    FIELD_ID,
    FIELD_NAME,
    { .name = "protocol", .type = KG_F_STRING, .required = true, .default_json = "\"http\"", .one_of = http_protocols },
    { .name = "host", .type = KG_F_STRING, .required = true, .check = kg_check_service_host },
    { .name = "port", .type = KG_F_INTEGER, .required = true, .default_json = "80", .bounded = true, .min = 1, .max = 65535 },
    { .name = "path", .type = KG_F_STRING, .check = kg_check_service_path },
    { .name = "retries", .type = KG_F_INTEGER, .required = true, .default_json = "5", .bounded = true, .min = 0, .max = 32767 },
    FIELD_TIMEOUT("connect_timeout"),
    FIELD_TIMEOUT("write_timeout"),
    FIELD_TIMEOUT("read_timeout"),
    FIELD_ENABLED,
    { .name = "tls_verify", .type = KG_F_BOOLEAN },
    { .name = "tls_verify_depth", .type = KG_F_INTEGER, .bounded = true, .min = 0, .max = 64 },
    { .name = "ca_certificates", .type = KG_F_FOREIGN_SET, .reference = KG_CA_CERTIFICATES },
    { .name = "client_certificate", .type = KG_F_FOREIGN, .reference = KG_CERTIFICATES },
    FIELD_TAGS,
    FIELD_CREATED_AT,
    FIELD_UPDATED_AT,
    { 0 },
};

static const struct kg_field route_fields[] = {
    FIELD_ID,
    FIELD_NAME,
    { .name = "service", .type = KG_F_FOREIGN, .reference = KG_SERVICES },
    { .name = "protocols", .type = KG_F_STRING_SET, .required = true, .default_json = "[\"http\",\"https\"]", .one_of = http_protocols },
    { .name = "methods", .type = KG_F_STRING_SET, .check = kg_check_method },
    { .name = "hosts", .type = KG_F_STRING_SET, .check = kg_check_route_host },
    { .name = "paths", .type = KG_F_STRING_SET, .check = kg_check_route_path },
    { .name = "headers", .type = KG_F_STRING_MAP, .check = kg_check_header_value, .check_key = kg_check_header_name,
      .check_set = kg_check_header_values },
    { .name = "snis", .type = KG_F_STRING_SET, .normalize = kg_name_normal, .check = kg_check_route_sni },
    { .name = "regex_priority", .type = KG_F_INTEGER, .required = true, .default_json = "0", .bounded = true,
      .min = INT32_MIN, .max = INT32_MAX },
    { .name = "https_redirect_status_code", .type = KG_F_INTEGER, .required = true, .default_json = "426",
      .check = kg_check_redirect_status },
    { .name = "strip_path", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" },
    { .name = "preserve_host", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    FIELD_TAGS,
    FIELD_CREATED_AT,
    FIELD_UPDATED_AT,
    { 0 },
};

static const struct kg_field consumer_fields[] = {
    FIELD_ID,
    { .name = "username", .type = KG_F_STRING, .unique = true, .check = kg_check_identity },
    { .name = "custom_id", .type = KG_F_STRING, .unique = true, .check = kg_check_identity },
    FIELD_TAGS,
    FIELD_CREATED_AT,
    FIELD_UPDATED_AT,
    { 0 },
};

static const struct kg_field credential_fields[] = {
    FIELD_ID,
    { .name = "consumer", .type = KG_F_FOREIGN, .required = true, .reference = KG_CONSUMERS, .cascade = true },
    { .name = "key", .type = KG_F_STRING, .required = true, .automatic = true, .generated = true, .unique = true, .secret = true,
      .by_hash = true, .check = kg_check_key },
    { .name = "ttl", .type = KG_F_INTEGER, .lifetime = true, .bounded = true, .min = 0, .max = 100000000 },
    { .name = "name", .type = KG_F_STRING, .check = kg_check_identity },
    { .name = "description", .type = KG_F_STRING, .max_len = 1024 },
    { .name = "last_used_at", .type = KG_F_TIMESTAMP, .observed = true },
    FIELD_TAGS,
    FIELD_CREATED_AT,
    { 0 },
};

static const struct kg_field plugin_fields[] = {
    FIELD_ID,
    { .name = "name", .type = KG_F_STRING, .required = true, .check = kg_check_plugin_name },
    { .name = "instance_name", .type = KG_F_STRING, .unique = true, .check = kg_check_name },
    FIELD_SCOPE("service", KG_SERVICES),
    FIELD_SCOPE("route", KG_ROUTES),
    FIELD_SCOPE("consumer", KG_CONSUMERS),
    { .name = "config", .type = KG_F_RECORD, .required = true, .default_json = "{}" },
    { .name = "protocols", .type = KG_F_STRING_SET, .required = true,
      .default_json = "[\"grpc\",\"grpcs\",\"http\",\"https\"]", .one_of = plugin_protocols },
    FIELD_ENABLED,
    FIELD_TAGS,
    FIELD_CREATED_AT,
    FIELD_UPDATED_AT,
    { 0 },
};

static const struct kg_field certificate_fields[] = {
    FIELD_ID,
    FIELD_CERT("cert", true),
    FIELD_KEY("key", true),
    FIELD_CERT("cert_alt", false),
    FIELD_KEY("key_alt", false),
    { .name = "snis", .type = KG_F_STRING_SET, .children = true, .reference = KG_SNIS, .normalize = kg_name_normal, .check = kg_check_sni },
    FIELD_TAGS,
    FIELD_CREATED_AT,
    FIELD_UPDATED_AT,
    { 0 },
};

static const struct kg_field sni_fields[] = {
    FIELD_ID,
    { .name = "name", .type = KG_F_STRING, .required = true, .unique = true, .normalize = kg_name_normal, .check = kg_check_sni },
    { .name = "certificate", .type = KG_F_FOREIGN, .required = true, .reference = KG_CERTIFICATES, .cascade = true },
    FIELD_TAGS,
    FIELD_CREATED_AT,
    FIELD_UPDATED_AT,
    { 0 },
};

static const struct kg_field ca_certificate_fields[] = {
    FIELD_ID,
    FIELD_CERT("cert", true),
    { .name = "cert_digest", .type = KG_F_STRING, .automatic = true, .unique = true },
    FIELD_TAGS,
    FIELD_CREATED_AT,
    FIELD_UPDATED_AT,
    { 0 },
};
/* clang-format on */

/* Null, an empty string, an empty set and an empty map are all nothing. */
static bool is_empty(const json_t *entity, const char *name)
{
    const json_t *value = json_object_get(entity, name);

    if (json_is_array(value))
        return json_array_size(value) == 0;
    if (json_is_object(value))
        return json_object_size(value) == 0;
    return !value || json_is_null(value);
}

static bool has_protocol(const json_t *protocols, const char *wanted)
{
    const json_t *value;
    size_t i;

    json_array_foreach(protocols, i, value)
    {
        if (strcmp(json_string_value(value), wanted) == 0)
            return true;
    }
    return false;
}

/* Each of these means nothing to a protocol without TLS. */
static void check_service(const json_t *entity, json_t *violations)
{
    static const char *const only_tls[] = { "client_certificate", "tls_verify", "tls_verify_depth",
                                            "ca_certificates" };
    const char *protocol = json_string_value(json_object_get(entity, "protocol"));

    if (!protocol || strcmp(protocol, "https") == 0)
        return;
    for (size_t i = 0; i < sizeof(only_tls) / sizeof(only_tls[0]); i++) {
        if (json_is_null(json_object_get(entity, only_tls[i])))
            continue;
        kg_violate(violations, only_tls[i], "value must be null");
        kg_violate(violations, NULL, "failed conditional validation given value of field 'protocol'");
    }
}

#define ONLY_TLS(field)                                                                                      \
    "{\"conditional\":{\"if_field\":\"protocol\",\"if_match\":{\"not_one_of\":[\"https\"]},"                 \
    "\"then_field\":\"" field "\",\"then_match\":{\"eq\":null}}}"
static const char service_rules[] = "[" ONLY_TLS("client_certificate") "," ONLY_TLS(
    "tls_verify") "," ONLY_TLS("tls_verify_depth") "," ONLY_TLS("ca_certificates") "]";

static const char route_rules[] =
    "[{\"conditional_at_least_one_of\":{\"if_field\":\"protocols\",\"if_match\":{\"contains\":\"https\"},"
    "\"then_at_least_one_of\":[\"methods\",\"hosts\",\"headers\",\"paths\",\"snis\"],"
    "\"else_match\":{\"contains\":\"http\"},"
    "\"else_then_at_least_one_of\":[\"methods\",\"hosts\",\"headers\",\"paths\"]}}]";

static void check_route(const json_t *entity, json_t *violations)
{
    static const char *const matchers[] = { "methods", "hosts", "headers", "paths", "snis" };
    bool https = has_protocol(json_object_get(entity, "protocols"), "https");

    if (json_object_get(violations, "protocols"))
        return;
    if (!https && !is_empty(entity, "snis")) {
        kg_violate(violations, "snis", "length must be 0");
        kg_violate(violations, NULL, "'snis' can only be set when 'protocols' is 'https'");
    }
    for (size_t i = 0; i < sizeof(matchers) / sizeof(matchers[0]); i++)
        if (!is_empty(entity, matchers[i]) || json_object_get(violations, matchers[i]))
            return;
    kg_violate(violations, NULL,
               https ? "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is "
                       "'https'"
                     : "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'");
}

static void check_consumer(const json_t *entity, json_t *violations)
{
    if (json_object_get(violations, "username") || json_object_get(violations, "custom_id"))
        return;
    if (is_empty(entity, "username") && is_empty(entity, "custom_id"))
        kg_violate(violations, NULL,
                   "at least one of these fields must be non-empty: 'custom_id', 'username'");
}

static void check_plugin(const json_t *entity, json_t *violations)
{
    const char *name = json_string_value(json_object_get(entity, "name"));
    const struct kg_plugin_type *type = name ? kg_plugin_find(name) : NULL;
    const json_t *config = json_object_get(entity, "config");

    /* It is null where a field of it has been refused. */
    if (type && type->check && json_is_object(config))
        type->check(config, violations);

    if (type && type->no_consumer && !is_empty(entity, "consumer"))
        kg_violate(violations, "consumer", "value must be null");
    const json_t *protocols = json_object_get(entity, "protocols");
    if (!is_empty(entity, "protocols") && !has_protocol(protocols, "http") &&
        !has_protocol(protocols, "https"))
        kg_violate(violations, "protocols",
                   "must contain 'http' or 'https', the protocols that requests come by");
}

const struct kg_entity kg_entities[KG_ENTITIES] = {
    [KG_SERVICES] = { .id = KG_SERVICES,
                      .name = "services",
                      .path = "services",
                      .nested_path = "services",
                      .endpoint_key = "name",
                      .fields = service_fields,
                      .expand = kg_service_expand,
                      .check = check_service,
                      .rules_json = service_rules },
    [KG_ROUTES] = { .id = KG_ROUTES,
                    .name = "routes",
                    .path = "routes",
                    .nested_path = "routes",
                    .endpoint_key = "name",
                    .fields = route_fields,
                    .check = check_route,
                    .rules_json = route_rules },
    [KG_CONSUMERS] = { .id = KG_CONSUMERS,
                       .name = "consumers",
                       .path = "consumers",
                       .nested_path = "consumers",
                       .endpoint_key = "username",
                       .fields = consumer_fields,
                       .check = check_consumer,
                       .rules_json = "[{\"at_least_one_of\":[\"custom_id\",\"username\"]}]" },
    [KG_KEYAUTH_CREDENTIALS] = { .id = KG_KEYAUTH_CREDENTIALS,
                                 .name = "keyauth_credentials",
                                 .path = "key-auths",
                                 .nested_path = "key-auth",
                                 .endpoint_key = "key",
                                 .fields = credential_fields },
    [KG_PLUGINS] = { .id = KG_PLUGINS,
                     .name = "plugins",
                     .path = "plugins",
                     .nested_path = "plugins",
                     .endpoint_key = "instance_name",
                     .fields = plugin_fields,
                     .check = check_plugin,
                     .unique_together = plugin_unique },
    [KG_CERTIFICATES] = { .id = KG_CERTIFICATES,
                          .name = "certificates",
                          .path = "certificates",
                          .nested_path = "certificates",
                          .endpoint_key = "snis",
                          .fields = certificate_fields,
                          .check = kg_check_certificate_pair,
                          .rules_json = "[{\"mutually_required\":[\"cert_alt\",\"key_alt\"]}]" },
    [KG_SNIS] = { .id = KG_SNIS,
                  .name = "snis",
                  .path = "snis",
                  .nested_path = "snis",
                  .endpoint_key = "name",
                  .fields = sni_fields },
    [KG_CA_CERTIFICATES] = { .id = KG_CA_CERTIFICATES,
                             .name = "ca_certificates",
                             .path = "ca_certificates",
                             .nested_path = "ca_certificates",
                             .fields = ca_certificate_fields,
                             .expand = kg_authority_expand,
                             .check = kg_check_authority },
    [KG_UPSTREAMS] = { .id = KG_UPSTREAMS,
                       .name = "upstreams",
                       .path = "upstreams",
                       .nested_path = "upstreams",
                       .endpoint_key = "name",
                       .fields = kg_upstream_fields,
                       .expand = kg_upstream_expand,
                       .check = kg_upstream_check },
    [KG_TARGETS] = { .id = KG_TARGETS,
                     .name = "targets",
                     .path = "targets",
                     .nested_path = "targets",
                     .endpoint_key = "target",
                     .fields = kg_target_fields,
                     .nested_key = true,
                     .nested_only = true,
                     .unique_together = target_unique },
    [KG_JWT_SECRETS] = { .id = KG_JWT_SECRETS,
                         .name = "jwt_secrets",
                         .path = "jwts",
                         .nested_path = "jwt",
                         .endpoint_key = "key",
                         .fields = kg_jwt_fields,
                         .check = kg_jwt_check },
    [KG_ACLS] = { .id = KG_ACLS,
                  .name = "acls",
                  .path = "acls",
                  .nested_path = "acls",
                  .endpoint_key = "group",
                  .fields = kg_acl_fields,
                  .nested_key = true,
                  .unique_together = acl_unique },
};

const struct kg_entity *kg_entity_by_path(struct kg_slice path)
{
    for (size_t i = 0; i < KG_ENTITIES; i++)
        if (kg_slice_eq(path, kg_slice_str(kg_entities[i].path)))
            return &kg_entities[i];
    return NULL;
}

const struct kg_field *kg_field_find(const struct kg_field *fields, const char *name)
{
    for (; fields && fields->name; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

const struct kg_field *kg_entity_field(const struct kg_entity *entity, const char *name)
{
    return kg_field_find(entity->fields, name);
}

const struct kg_field *kg_entity_children(const struct kg_entity *entity)
{
    for (const struct kg_field *field = entity->fields; field->name; field++)
        if (field->children)
            return field;
    return NULL;
}

const struct kg_field *kg_entity_link(const struct kg_entity *child, const struct kg_entity *parent)
{
    for (const struct kg_field *field = child->fields; field->name; field++)
        if (field->type == KG_F_FOREIGN && field->reference == parent->id)
            return field;
    return NULL;
}

void kg_entity_fields(const struct kg_entity *entity, const char *plugin_name,
                      struct kg_field out[KG_FIELDS_MAX])
{
    const struct kg_plugin_type *type = plugin_name ? kg_plugin_find(plugin_name) : NULL;
    size_t count = 0;

    for (const struct kg_field *field = entity->fields; field->name; field++) {
        KG_ASSERT(count < KG_FIELDS_MAX - 1);
        out[count] = *field;
        if (entity->id == KG_PLUGINS && field->type == KG_F_RECORD)
            out[count].fields = type ? type->config : NULL;
        count++;
    }
    out[count] = (struct kg_field){ 0 };
}

static const struct kg_plugin_type *plugins[PLUGINS_MAX];
static size_t plugin_count;

void kg_plugin_register(const struct kg_plugin_type *type)
{
    KG_ASSERT(plugin_count < PLUGINS_MAX);
    KG_ASSERT(kg_plugin_find(type->name) == NULL);
    plugins[plugin_count++] = type;
}

const struct kg_plugin_type *kg_plugin_find(const char *name)
{
    for (size_t i = 0; i < plugin_count; i++)
        if (strcmp(plugins[i]->name, name) == 0)
            return plugins[i];
    return NULL;
}

const struct kg_plugin_type *kg_plugin_at(size_t i)
{
    return i < plugin_count ? plugins[i] : NULL;
}
