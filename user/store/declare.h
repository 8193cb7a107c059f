/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Declarative files: decK's format, read, compared with what is stored, and made so in one transaction. A dry
 * run does all of it and takes it back, so that it says what the real one will do. Control thread only.
 */
#ifndef KG_STORE_DECLARE_H
#define KG_STORE_DECLARE_H

#include "store/store.h"

#define KG_DECLARE_SHOWN_MAX  10000 /* changes that are told one by one; the rest is only counted */
#define KG_DECLARE_ERRORS_MAX 1000

struct kg_declare_file {
    const char *name; /* for errors */
    struct kg_slice text;
};

struct kg_declare_request {
    const struct kg_declare_file *files; /* they make one state together */
    size_t file_count;
    size_t limit; /* bytes of all files; also what their aliases may amount to */
    /* The value of an environment variable, or NULL. Asked only for names that begin with DECK_. */
    const char *(*env)(void *ctx, const char *name);
    void *env_ctx;
    const json_t *select_tags; /* an array of strings, or NULL; added to those of the files */
    bool dry_run;
    bool flatten; /* errors entity by entity, too */
};

struct kg_change;

struct kg_declare_result {
    size_t created, updated, deleted;
    json_t *changes; /* [{action, entity, name, id, for, fields}]: the first KG_DECLARE_SHOWN_MAX */
    json_t *errors;  /* [{file, line, column, entity, name, field, message}]: what is wrong with the files */
    size_t errors_left_out;
    /* When they are asked for, those of entities, each entity once: [{entity_type, entity_id, entity_name,
     * entity_tags, errors: [{type, field, message}]}]. Else NULL. */
    json_t *flattened;
    json_t *names;          /* of those in changes: the endpoint key, null where that is none or a secret */
    struct kg_change *list; /* what was changed, for the model */
    size_t list_count, list_cap;
};

/*
 * Makes the store what the files say. 0, or with nothing changed: -EINVAL with result->errors, or -EIO with a
 * sentence. The result is to be freed in any case.
 */
int kg_declare(struct kg_store *store, const struct kg_declare_request *request,
               struct kg_declare_result *result, struct kg_error *err);
void kg_declare_free(struct kg_declare_result *result);

/* What kg_declare has changed, to the model; on disk it is already. -EIO: the model lacks some of it. */
int kg_declare_tell(struct kg_store *store, const struct kg_declare_result *result, struct kg_model *model,
                    struct kg_error *err);

/* Calls back for each of result->changes: "created", "updated" or "deleted". name may be NULL. */
void kg_declare_each(const struct kg_declare_result *result,
                     void (*visit)(void *ctx, const char *action, const struct kg_entity *entity,
                                   const char *id, const char *name),
                     void *ctx);

struct kg_dump_options {
    const json_t *select_tags; /* an array of strings, or NULL: only what carries them all */
    bool with_ids;             /* of all; else only where nothing else names an entity */
    bool without_keys;         /* no secret: then what has one is named by its id */
};

/* Everything as a declarative file that changes nothing when it is synced: wipe and free *text; a NUL is
 * behind it. 0 or -EIO. */
int kg_declare_dump(struct kg_store *store, const struct kg_dump_options *options, char **text, size_t *len,
                    struct kg_error *err);

/* "route", "key-auth": what one of an entity is called, as decK calls it. */
void kg_declare_noun(const struct kg_entity *entity, char out[64]);

#endif
