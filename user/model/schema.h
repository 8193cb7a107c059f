/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entities and their fields, in one table: the Admin API, the store, /schemas and declarative
 * files all come from it. Entities travel as jansson objects in Kong's shape. Control thread only.
 */
#ifndef KG_MODEL_SCHEMA_H
#define KG_MODEL_SCHEMA_H

#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>

struct kg_plugin_type;

enum kg_entity_id {
    KG_SERVICES,
    KG_ROUTES,
    KG_CONSUMERS,
    KG_KEYAUTH_CREDENTIALS,
    KG_PLUGINS,
    KG_CERTIFICATES,
    KG_SNIS,
    KG_CA_CERTIFICATES,
    KG_UPSTREAMS,
    KG_TARGETS,
    KG_JWT_SECRETS,
    KG_ACLS,
    KG_ENTITIES,
};

enum kg_field_type {
    KG_F_UUID,
    KG_F_TIMESTAMP, /* integer seconds since 1970 */
    KG_F_STRING,
    KG_F_INTEGER,
    KG_F_NUMBER,
    KG_F_BOOLEAN,
    KG_F_STRING_SET,  /* array of distinct strings, order kept */
    KG_F_INTEGER_SET, /* array of distinct integers, order kept */
    KG_F_STRING_MAP,  /* object: name → array of distinct strings, at least one */
    KG_F_FOREIGN,     /* {"id": UUID} of another entity */
    KG_F_FOREIGN_SET, /* array of distinct UUIDs of another entity */
    KG_F_RECORD,      /* nested fields; a plugin's config has its type's */
};

struct kg_field;

/* An extra rule for one value: NULL when it holds, else Kong's message for it (static text or written to
 * scratch). */
typedef const char *(*kg_field_check)(const json_t *value, char scratch[256]);

struct kg_field {
    const char *name;
    enum kg_field_type type;
    bool required;  /* may not be null or absent after defaults */
    bool automatic; /* filled in by us when absent: id, created_at, updated_at, a generated key */
    bool generated; /* of an automatic string: 32 random letters and digits */
    bool observed;  /* kept by the daemon as it goes: shown, and whatever a write says of it is passed over */
    bool unique;
    bool nocase;  /* two values that differ in case alone are the same one */
    bool secret;  /* encrypted at rest; never in a log or an error */
    bool by_hash; /* a secret that is found by its keyed hash: only such a one may be unique */
    /*
     * KG_F_STRING_SET: no column of its own, but the endpoint keys of the children in `reference`. Given with
     * their parent they are made or removed in the same transaction; null leaves them alone.
     */
    bool children;
    size_t max_len;  /* of a string, in bytes; 0 = 4096 */
    bool immutable_; /* once there, no write may change it: id */
    /* An integer of seconds from now; stored as the moment it ends, shown as what is left. 0 and null: for
     * ever. */
    bool lifetime;
    const char *default_json;  /* JSON text of the default; NULL = null */
    const char *const *one_of; /* NULL-terminated allowed strings, also for the elements of a set */
    bool bounded;              /* min and max apply: to a number's value, or to each of a set */
    int64_t min, max;
    enum kg_entity_id reference; /* KG_F_FOREIGN, KG_F_FOREIGN_SET, children */
    /* KG_F_FOREIGN: deleting the parent deletes this entity; else it is refused while children are there. */
    bool cascade;
    const struct kg_field *fields; /* KG_F_RECORD: its fields, ended by a NULL name */
    kg_field_check check;          /* on the value, or on each element of a set, or of a map's sets */
    /* The form in which a checked string is stored and looked for: a new reference. May be NULL. */
    json_t *(*normalize)(const json_t *value);
    kg_field_check check_key; /* KG_F_STRING_MAP: on each name */
    kg_field_check check_set; /* KG_F_STRING_MAP: on each set as a whole */
};

struct kg_entity {
    enum kg_entity_id id;
    const char *name;        /* "keyauth_credentials": table name and the name in error texts */
    const char *path;        /* "key-auths": the collection in the Admin API */
    const char *nested_path; /* "key-auth": under its parent, /consumers/{c}/key-auth; else equal to path */
    /* "name", "username", "key", "instance_name": what a path may use besides the id. Of children's names any
     * one does. NULL: only the id. */
    const char *endpoint_key;
    const struct kg_field *fields; /* ended by a NULL name */
    /* Its endpoint key is a name below its parent alone; elsewhere only the id is. */
    bool nested_key;
    bool nested_only; /* of such a one: it has no collection of its own either */
    /* Writes out what the given fields say about others that are not given; what it cannot read goes to
     * violations. May be NULL. */
    void (*expand)(json_t *input, json_t *violations);
    /* Rules over several fields ("at least one of …"): adds to violations. May be NULL. */
    void (*check)(const json_t *entity, json_t *violations);
    const char *rules_json; /* those of them that Kong has words for, for /schemas: a JSON list, or NULL */
    /* NULL-terminated: fields that are unique only as a whole, null being a value. May be NULL. */
    const char *const *unique_together;
};

extern const struct kg_entity kg_entities[KG_ENTITIES];

/* By collection path ("services") or NULL. */
const struct kg_entity *kg_entity_by_path(struct kg_slice path);
const struct kg_field *kg_entity_field(const struct kg_entity *entity, const char *name);
/* The field that holds the names of an entity's children, or NULL; and the child's field that leads back. */
const struct kg_field *kg_entity_children(const struct kg_entity *entity);
const struct kg_field *kg_entity_link(const struct kg_entity *child, const struct kg_entity *parent);

enum kg_write { KG_WRITE_CREATE, KG_WRITE_REPLACE, KG_WRITE_PATCH };

/*
 * Turns what a client sent into a whole entity: shorthand (service `url`) expanded, types checked, unknown
 * fields refused, defaults and automatic fields filled, records merged for KG_WRITE_PATCH. 0 or
 * -EINVAL.
 *
 * - old: the stored entity for REPLACE and PATCH (NULL for a REPLACE that creates)
 * - result: on success a new reference to the full entity, every field present, unset ones null
 * - problem: on failure a new reference to Kong's error object {code, name, message, fields}, code 2
 *
 * Foreign keys are only checked for shape here ({"id":…}, or {"name":…}/{"username":…} which stay for the
 * caller to resolve before); that they exist is the store's to say.
 */
int kg_schema_apply(const struct kg_entity *entity, enum kg_write write, const json_t *input,
                    const json_t *old, json_t **result, json_t **problem);

/*
 * For form bodies (application/x-www-form-urlencoded): decoded name/value pairs such as "config.key_names[]"
 * = "x" become the JSON that kg_schema_apply takes: "a.b" nests, repeated names and [] make arrays, values
 * convert by the schema ("true", "80"), the empty string is null. New reference, or NULL with err set.
 */
json_t *kg_schema_from_form(const struct kg_entity *entity, struct kg_slice body, struct kg_error *err);

/* As Kong's /schemas shows them: {fields: [{name: {type, …}}, …], entity_checks: […]}. New references. An
 * entity, a plugin in its scopes, and its config alone. */
json_t *kg_schema_json(const struct kg_entity *entity);
json_t *kg_plugin_schema_json(const struct kg_plugin_type *type);
json_t *kg_plugin_config_json(const struct kg_plugin_type *type);

/* Kong's error objects; new references. */
/* Code 5, HTTP 409. A secret's value is left out. field NULL: for unique_together, value is the object of
 * those fields. */
json_t *kg_problem_unique(const struct kg_entity *entity, const char *field, const json_t *value);
/* Code 4, HTTP 400: a foreign key that points nowhere. */
json_t *kg_problem_foreign(const struct kg_entity *parent, const char *field, const char *id);
/* Code 4, HTTP 400: a delete that children stand against. */
json_t *kg_problem_referenced(const struct kg_entity *parent, const struct kg_entity *child);
/* Code 19, HTTP 400: the same of one that stands in a set of ids. */
json_t *kg_problem_still_referenced(const struct kg_entity *entity, const char *id,
                                    const struct kg_entity *holder, const char *holder_id);
/* Code 3, HTTP 400: a create with an id that is there. kg_store_put replaces, so the caller looks first. */
json_t *kg_problem_primary_key(const char *id);
/* Code 13, HTTP 400: {"name": "x"} in a foreign field names nothing; key is the parent's endpoint key. */
json_t *kg_problem_unresolved(const struct kg_entity *parent, const char *field, const char *key,
                              const char *value);
/* Code 2, HTTP 400, from a tree of violations that mirrors the input; takes over the reference. */
json_t *kg_problem_schema(json_t *violations);

/*
 * Plugins bring their own schema. The table is given once at start, before any entity is looked at, by the
 * policy room through kg_plugin_register(); model never includes policy.
 */
struct kg_plugin_type {
    const char *name;
    int priority;                  /* Kong's; the higher runs first */
    int unscoped_priority;         /* of an instance that is for no consumer alone; 0: the same */
    const struct kg_field *config; /* ended by a NULL name */
    bool no_consumer;              /* may not be scoped to a consumer */
    /* Rules over several fields of a config that is whole: adds to the violations of the plugin, or of its
     * config (kg_violate_config). May be NULL. */
    void (*check)(const json_t *config, json_t *violations);
    const char *rules_json; /* as an entity's */
    /* A checked config into what the policy reads per request. Called on the control thread; aborts on no
     * memory. */
    void *(*compile)(const json_t *config);
    /* Tells what was compiled of which route and service the instance is; empty: of none. May be NULL. */
    void (*place)(void *compiled, const char *route_id, const char *service_id);
    void (*release)(void *compiled);
};
void kg_plugin_register(const struct kg_plugin_type *type);
const struct kg_plugin_type *kg_plugin_find(const char *name);
/* The i-th registered, or NULL past the end. */
const struct kg_plugin_type *kg_plugin_at(size_t i);

#endif
