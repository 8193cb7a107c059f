/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules for single values, and how violations are noted: for schemas, those of plugins' configs too.
 * Control thread only. */
#ifndef KG_MODEL_CHECKS_H
#define KG_MODEL_CHECKS_H

#include "model/schema.h"

/* Rules for one value, as struct kg_field's `check` wants them. The value is a string of at least one byte,
 * or, for kg_check_redirect_status, an integer.
 */
const char *kg_check_name(const json_t *value, char scratch[256]);
const char *kg_check_identity(const json_t *value, char scratch[256]);
const char *kg_check_tag(const json_t *value, char scratch[256]);
const char *kg_check_key(const json_t *value, char scratch[256]);
const char *kg_check_service_host(const json_t *value, char scratch[256]);
const char *kg_check_service_path(const json_t *value, char scratch[256]);
const char *kg_check_route_host(const json_t *value, char scratch[256]);
const char *kg_check_route_path(const json_t *value, char scratch[256]);
const char *kg_check_header_name(const json_t *value, char scratch[256]);
const char *kg_check_header_value(const json_t *value, char scratch[256]);
/* Text that is shown as it is, on one line. */
const char *kg_check_line(const json_t *value, char scratch[256]);
/* All values of one header. */
const char *kg_check_header_values(const json_t *values, char scratch[256]);
const char *kg_check_redirect_status(const json_t *value, char scratch[256]);
const char *kg_check_method(const json_t *value, char scratch[256]);
/* The name of an SNI: "a.com", "*.a.com", "a.*" or "*"; and that of a route, whole. */
const char *kg_check_sni(const json_t *value, char scratch[256]);
const char *kg_check_route_sni(const json_t *value, char scratch[256]);
/* In lower case: names that are compared without regard to it. */
json_t *kg_name_normal(const json_t *value);
const char *kg_check_plugin_name(const json_t *value, char scratch[256]);

/* pem.c */
const char *kg_check_certificate(const json_t *value, char scratch[256]);
const char *kg_check_private_key(const json_t *value, char scratch[256]);

/* upstream_fields.c: of upstreams and targets. */
const char *kg_check_upstream_name(const json_t *value, char scratch[256]);
const char *kg_check_host_header(const json_t *value, char scratch[256]);
const char *kg_check_host_name(const json_t *value, char scratch[256]);
const char *kg_check_cookie_name(const json_t *value, char scratch[256]);
const char *kg_check_hash_header(const json_t *value, char scratch[256]);
const char *kg_check_probe_header(const json_t *value, char scratch[256]);
const char *kg_check_target(const json_t *value, char scratch[256]);
/* host[:port] of a good target as it is stored: lower case, IPv6 in brackets, always with its port. */
json_t *kg_target_normal(const json_t *value);

/* Host names and addresses as services, routes and targets name them. */
bool kg_is_host_name(struct kg_slice host);
bool kg_is_bracketed_ipv6(struct kg_slice host);
/* Whether the host ends in ":" and digits; *name is what stands before. A number too large for any port stays
 * too large. */
bool kg_host_has_port(struct kg_slice host, struct kg_slice *name, uint64_t *port);
/* Puts before + value + after into scratch; a long value is cut at a character, so that the result stays
 * UTF-8. */
const char *kg_check_say(char scratch[256], struct kg_slice before, struct kg_slice value,
                         struct kg_slice after);
/* What is said of something that is no host. A password before an '@' is not repeated. */
const char *kg_check_no_host(char scratch[256], struct kg_slice host);

/* upstream_fields.c */
extern const struct kg_field kg_upstream_fields[], kg_target_fields[];
void kg_upstream_expand(json_t *input, json_t *violations);
void kg_upstream_check(const json_t *entity, json_t *violations);

/* credential_fields.c */
extern const struct kg_field kg_jwt_fields[], kg_acl_fields[];
void kg_jwt_check(const json_t *entity, json_t *violations);

/* Notes a message for a field, or, with field NULL, for the entity as a whole. The first one for a field
 * stays. */
void kg_violate(json_t *violations, const char *field, const char *message);
/* The same for a plugin's config: its field, or with NULL the config as a whole. */
void kg_violate_config(json_t *violations, const char *field, const char *message);

/* The message as a JSON string, whatever its bytes are. */
json_t *kg_message_json(const char *message);

/* The fields of an entity with a plugin's config filled in from the plugin's type; ended by a NULL name. */
#define KG_FIELDS_MAX 24
void kg_entity_fields(const struct kg_entity *entity, const char *plugin_name,
                      struct kg_field out[KG_FIELDS_MAX]);

/* The field of this name in an array of fields, or NULL; fields may be NULL. */
const struct kg_field *kg_field_find(const struct kg_field *fields, const char *name);

/* pem.c: the rules over all fields of a certificate and of a CA certificate, and the latter's digest from its
 * cert. */
void kg_check_certificate_pair(const json_t *entity, json_t *violations);
void kg_check_authority(const json_t *entity, json_t *violations);
void kg_authority_expand(json_t *input, json_t *violations);

/* Service `url`: into protocol, host, port and path. */
void kg_service_expand(json_t *input, json_t *violations);

#endif
