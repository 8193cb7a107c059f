/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the store room: a declarative file on its way into the database. Control thread only. */
#ifndef KG_STORE_DECLARING_H
#define KG_STORE_DECLARING_H

#include "base/uuid.h"
#include "store/declare.h"
#include "store/internal.h"
#include "store/yaml_tree.h"

enum kg_action { KG_CREATED, KG_UPDATED, KG_DELETED };

struct kg_change {
    uint8_t action, entity;
    uint8_t id[16];
};

/* One entity of a file. A nested one has a parent: an element of the list of its kind. */
struct kg_declared {
    const struct kg_yaml *node;
    uint32_t parent;
    uint16_t file;
    uint8_t parent_entity; /* KG_ENTITIES: it stands alone */
    bool broken;           /* it has errors: nothing that hangs from it can be written */
    uint8_t id[16];        /* once it has been looked at */
};

struct kg_declared_list {
    struct kg_declared *items;
    size_t count, cap;
};

struct kg_declared_file {
    struct kg_yaml_tree tree;
    json_t *defaults;   /* {"service": {…}}, or NULL */
    bool guess_regexes; /* format 1.1 and 2.1: a path that is no plain one is a regex */
};

/* Ids that are in the files. */
struct kg_id_set {
    uint8_t (*ids)[16]; /* all zero bytes: free */
    size_t count, cap;  /* cap is a power of two */
};

#define KG_FINDERS_MAX 32 /* by a field's place in its entity; the last is for unique_together */

enum kg_row_query {
    KG_ROW_GET,
    KG_ROW_HAS,
    KG_ROW_INSERT,
    KG_ROW_PUT,
    KG_ROW_DELETE,
    KG_ROW_EXPIRY,
    KG_ROW_QUERIES
};

struct kg_declaring {
    struct kg_store *store;
    const struct kg_declare_request *request;
    struct kg_declare_result *result;
    struct kg_error *err;
    struct kg_declared_file *files;
    struct kg_declared_list lists[KG_ENTITIES];
    struct kg_id_set seen[KG_ENTITIES];
    bool fresh[KG_ENTITIES];                /* nothing was stored before: what is not seen is not there */
    struct kg_id_set reserved[KG_ENTITIES]; /* ids that the files give themselves */
    json_t *configs;                        /* _plugin_configs: name → config */
    json_t *tags;                           /* select tags, without double ones */
    size_t budget;                          /* what is left of request->limit for values, aliases followed */
    size_t values;                          /* of the entity that is being read, so far */
    const struct kg_yaml **flattened;       /* whose errors result->flattened has, in its order */
    json_t *failed;                         /* {"services": {"name": true}}: declared, but with errors */
    json_t *evicted; /* {id: {field: value}}: what stood there before it was pushed away */
    sqlite3_stmt *rows[KG_ENTITIES][KG_ROW_QUERIES];
    sqlite3_stmt *finders[KG_ENTITIES][KG_FINDERS_MAX];
    struct evp_md_st *sha1; /* of stable ids; NULL until the first */
    struct evp_md_ctx_st *digest;
    int64_t now;
    int rc; /* -EIO: the disk failed, d->err says how */
};

/* ---- declare_errors.c ---- */

struct kg_declare_where {
    size_t file;
    const struct kg_yaml *node; /* NULL: the file as a whole */
    const struct kg_entity *entity;
    const char *name;            /* of the entity; may be NULL */
    const char *field;           /* "paths.1"; may be NULL */
    const struct kg_yaml *whole; /* the entity itself; NULL: it is about none of the files' */
};
void kg_declare_error(struct kg_declaring *d, const struct kg_declare_where *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* declare_flatten.c: the same error, among those of its entity. */
void kg_declare_flatten(struct kg_declaring *d, const struct kg_declare_where *where, const char *message);
/* Each leaf of a tree of violations, at the place of the value that it is about. */
void kg_declare_violations(struct kg_declaring *d, const struct kg_declare_where *where,
                           const json_t *violations);
bool kg_declare_failed(const struct kg_declaring *d);
/* Puts them in the order in which they stand in the files. */
void kg_declare_sort_errors(struct kg_declaring *d);

/* ---- declare_value.c ---- */

/* A value as JSON, templates expanded; NULL after an error. where->node is the value. field may be NULL. */
json_t *kg_declare_value(struct kg_declaring *d, const struct kg_declare_where *where,
                         const struct kg_field *field);
/* Takes so much of the budget; false, with an error the first time, when there is not so much left. */
bool kg_declare_pay(struct kg_declaring *d, const struct kg_declare_where *where, size_t bytes);
/* Adds what `beneath` has and `object` has not; records in each other too. */
void kg_declare_underlay(json_t *object, const json_t *beneath);

/* ---- declare_file.c ---- */

/* Parses all files and lists their entities; errors are noted. */
void kg_declare_read(struct kg_declaring *d);
/* The child's key in a parent of the file, if it may be nested there. */
const struct kg_field *kg_declare_nests(const struct kg_entity *child, const struct kg_entity *parent);
/* Parents before children. */
void kg_declare_order(enum kg_entity_id order[KG_ENTITIES]);

/* ---- declare_entity.c ---- */

/* What is given for one entity, its references resolved, defaults in; NULL after errors. declared becomes
 * broken when what it refers to is. */
json_t *kg_declare_input(struct kg_declaring *d, const struct kg_entity *entity, struct kg_declared *declared,
                         const struct kg_declare_where *where);

/* ---- declare_match.c ---- */

/* The id of the entity that this one is: the stored one, or a stable new one. -EEXIST: declared already;
 * *key is what both have. */
int kg_declare_match(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                     bool id_given, char id[KG_UUID_TEXT], const char **key);
/* Another entity's id that has one of whole's unique values, and the field (NULL: unique_together). */
bool kg_declare_rival(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                      char id[KG_UUID_TEXT], const struct kg_field **field);
void kg_id_set_free(struct kg_id_set *set);
bool kg_id_set_add(struct kg_id_set *set, const uint8_t id[16]); /* false: it was there */
bool kg_id_set_has(const struct kg_id_set *set, const uint8_t id[16]);
void kg_id_parse(const char *text, uint8_t id[16]);
void kg_id_text(const uint8_t id[16], char text[KG_UUID_TEXT]);
/* Whether an id is that of an entity which will be there in the end; false, too, when it is not stored. */
bool kg_declare_stays(struct kg_declaring *d, const struct kg_entity *entity, const char *id);

/* ---- declare_rows.c: each statement is compiled once ---- */

json_t *kg_rows_get(struct kg_declaring *d, const struct kg_entity *entity, const char *id);
bool kg_rows_has(struct kg_declaring *d, const struct kg_entity *entity, const char *id);
/* The id of the row whose unique field has this value. With unique_together (field NULL) whole is asked. */
bool kg_rows_find(struct kg_declaring *d, const struct kg_entity *entity, const struct kg_field *field,
                  const json_t *whole, char id[KG_UUID_TEXT]);
/* The moment a stored one ends, 0 = never or not there. */
int64_t kg_rows_expiry(struct kg_declaring *d, const struct kg_entity *entity, const char *id);
/* 0, or a SQLite result code; SQLITE_CONSTRAINT for all of that kind. */
int kg_rows_put(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole, int64_t expires);
/* The same of one whose id no row has. */
int kg_rows_insert(struct kg_declaring *d, const struct kg_entity *entity, const json_t *whole,
                   int64_t expires);
int kg_rows_delete(struct kg_declaring *d, const struct kg_entity *entity, const char *id);
/* Sets what must be unique to something that nothing else has. */
int kg_rows_vacate(struct kg_declaring *d, const struct kg_entity *entity, const char *column,
                   const char *id);
/* Whether there is any row. */
bool kg_rows_any(struct kg_declaring *d, const struct kg_entity *entity);
void kg_rows_close(struct kg_declaring *d);
/* Ids of all rows, or with select tags of those that carry them all: count of them in *ids (owned). */
size_t kg_rows_list(struct kg_declaring *d, const struct kg_entity *entity, uint8_t (**ids)[16]);
/* The same of those that hang from one by this field. */
size_t kg_rows_children(struct kg_declaring *d, const struct kg_entity *child, const struct kg_field *link,
                        const char *id, uint8_t (**ids)[16]);
/* Whether the row's tags are all those selected. */
bool kg_rows_selected(const struct kg_declaring *d, const json_t *tags);

/* ---- dump_order.c ---- */

/* The routes that a dump must not write into their services, lest routes that tie change their order. */
void kg_dump_order(struct kg_declaring *d, struct kg_id_set *alone);

/* ---- declare.c ---- */

/* Notes what the disk said, unless it has said something before; then all that is left to do is an end. */
void kg_declare_disk(struct kg_declaring *d, const char *doing);

/* ---- declare_report.c ---- */

void kg_declare_changed(struct kg_declaring *d, enum kg_action action, const struct kg_entity *entity,
                        const json_t *whole, const json_t *old);

#endif
