/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The truth on disk: one SQLite database in WAL mode with synchronous=FULL, so that what was acknowledged
 * survives kill -9 and power loss. One table for each entity, its columns made from the schema. Keys are
 * encrypted with AES-256-GCM under a master key file (made on first start, mode 0600) and found by
 * HMAC-SHA-256; both subkeys are derived from the master key by HKDF. Control thread only.
 */
#ifndef KG_STORE_STORE_H
#define KG_STORE_STORE_H

#include "base/addr.h"
#include "model/key_uses.h"
#include "model/model.h"

#include <sys/types.h>

struct kg_store;

struct kg_store_options {
    const char *dir;
    const char *master_key; /* its file; NULL or empty: DIR/master.key */
    bool must_exist;        /* a database that is not there is not made */
    bool hashed;            /* of API keys nothing but the hash is kept; what was kept more is dropped */
};

/*
 * Opens or creates DIR/keygate.db and its master key; brings an older schema version up to date; ends a
 * change of the master key that was broken off. 0 or a negative errno with a sentence: a newer schema
 * version, a missing master key beside an existing database, wrong modes, a database locked by another daemon
 * (EBUSY).
 */
int kg_store_open_with(const struct kg_store_options *options, struct kg_store **store, struct kg_error *err);
/* The same with nothing but DIR. */
int kg_store_open(const char *dir, struct kg_store **store, struct kg_error *err);
void kg_store_close(struct kg_store *store);

/*
 * Makes a new master key and seals every secret anew under it, in one transaction; *count says how many. The
 * index key stays, and with it all that is found by it. Broken off at any point, the next open finds either
 * all as it was or all of it done. 0 or a negative errno with a sentence.
 */
int kg_store_rotate_master(struct kg_store *store, size_t *count, struct kg_error *err);

/*
 * Whether the database is whole: its pages, every secret and its hash, references, and each entity by the
 * schema. Changes nothing and takes no lock, so a daemon may run on it; its log (-wal) does not shrink
 * meanwhile. `say` gets each fault, and else how much there was; lines live as long as the call. 0 with
 * *faults, or a negative errno with a sentence where it could not be looked at. Policies must be registered.
 */
int kg_store_check(const struct kg_store_options *options,
                   void (*say)(void *ctx, bool fault, const char *line), void *ctx, size_t *faults,
                   struct kg_error *err);

/*
 * Gives the directory and every file in it that is ours to another user, so that all goes on working after
 * the process has become that user. Needs CAP_CHOWN. 0 or a negative errno with a sentence.
 */
int kg_store_chown(struct kg_store *store, uid_t uid, gid_t gid, struct kg_error *err);

/* 32 bytes: the HMAC key for the key index. Workers keep their own copy. */
void kg_store_index_key(const struct kg_store *store, uint8_t out[32]);

/* HMAC-SHA-256 of a key under the index key, as stored. */
void kg_store_mac(const struct kg_store *store, struct kg_slice key, uint8_t mac[32]);

/* The same of a stored one, whose key may not be kept: 0 or -ENOENT. */
int kg_store_stored_mac(struct kg_store *store, enum kg_entity_id entity, const char *id, uint8_t mac[32]);

/* Gives everything to the model: services, routes, consumers, credentials, plugins. Expired credentials are
 * left out. */
int kg_store_load(struct kg_store *store, struct kg_model *model, struct kg_error *err);

/*
 * Writes. Each is one transaction, on disk before it returns. `object` is what kg_schema_apply made; it
 * replaces what has the same id. Expired credentials are deleted on the way.
 *
 * - 0: done
 * - -EEXIST: a unique field is taken: *problem is Kong's error object (HTTP 409)
 * - -ENOENT: a foreign key points nowhere, or still says {"name": …}: *problem (HTTP 400)
 * - -EIO: the disk refused: err has the sentence (HTTP 500)
 */
int kg_store_put(struct kg_store *store, enum kg_entity_id entity, const json_t *object, json_t **problem,
                 struct kg_error *err);
/* 0, 1 when there was nothing to delete, -EBUSY with *problem while children refer to it, -EIO. Cascades by
 * the schema. */
int kg_store_delete(struct kg_store *store, enum kg_entity_id entity, const char *id, json_t **problem,
                    struct kg_error *err);

/* While it is on, kg_store_put and kg_store_delete check all that they check, and change nothing. */
void kg_store_rehearse(struct kg_store *store, bool on);
/* How many entities deleting this one would take with it, by the path of their collection: {"key-auths": 2}.
 * A new reference; NULL when the disk cannot be read. */
json_t *kg_store_count_cascade(struct kg_store *store, enum kg_entity_id entity, const char *id);

/* How long the old key of a credential stays good, and the id of the credential that it is until then. */
struct kg_key_grace {
    int64_t seconds; /* 0: not at all */
    char id[KG_UUID_TEXT];
};
/*
 * Gives a stored key-auth credential the key that `object` (the whole credential) names; the old one becomes
 * a credential of its own. One transaction; as kg_store_put.
 */
int kg_store_rotate_key(struct kg_store *store, const json_t *object, const struct kg_key_grace *grace,
                        json_t **problem, struct kg_error *err);

/* Notes when keys were last used, unless something later is noted already; ids that are not there are passed
 * over. Survives kill -9, not power loss. */
int kg_store_note_uses(struct kg_store *store, const struct kg_key_use *uses, size_t count,
                       struct kg_error *err);

/* Whether the last kg_store_get, _find or _list gave NULL because the disk could not be read. */
bool kg_store_unreadable(const struct kg_store *store);

/* New reference to the whole entity, or NULL. Credentials are shown with their key in clear (null
 * where only its hash is kept) and with remaining ttl. */
json_t *kg_store_get(struct kg_store *store, enum kg_entity_id entity, const char *id);
/* By id when `ref` looks like a UUID and one is there, else by the endpoint key, unless that is a name below
 * a parent alone. */
json_t *kg_store_find(struct kg_store *store, enum kg_entity_id entity, struct kg_slice ref);
/* By the endpoint key alone, whatever that looks like. */
json_t *kg_store_find_named(struct kg_store *store, enum kg_entity_id entity, struct kg_slice name);
/* As kg_store_find, but an endpoint key names only what hangs below this parent. An id names it wherever it
 * hangs. */
json_t *kg_store_find_child(struct kg_store *store, enum kg_entity_id entity, struct kg_slice ref,
                            const char *parent_field, const char *parent_id);

/*
 * One page in creation order: at most `size` entities after *after (0 from the start) whose foreign field
 * `parent_field` is parent_id (both NULL: all). Returns a JSON array (new reference), or NULL when the disk
 * cannot be read; *after becomes the position to go on from, or 0 at the end.
 */
json_t *kg_store_list(struct kg_store *store, enum kg_entity_id entity, const char *parent_field,
                      const char *parent_id, size_t size, int64_t *after);

/*
 * The same of those with these tags, all of them or any one (tag_count 0: whatever their tags), and with this
 * custom_id (ptr NULL: whatever it is; only of consumers).
 */
#define KG_STORE_FILTER_TAGS 5
struct kg_store_filter {
    struct kg_slice tags[KG_STORE_FILTER_TAGS];
    size_t tag_count;
    bool any_tag;
    struct kg_slice custom_id;
};
json_t *kg_store_list_some(struct kg_store *store, enum kg_entity_id entity,
                           const struct kg_store_filter *filter, size_t size, int64_t *after);

/* One page of who has which tag: {tag, entity_name, entity_id}, in the order in which they were given. tag
 * NULL: of all tags. Otherwise as kg_store_list. */
json_t *kg_store_list_tags(struct kg_store *store, const struct kg_slice *tag, size_t size, int64_t *after);

/* The names of the plugins that are there, none twice: a new array, or NULL when the disk cannot be read. */
json_t *kg_store_plugin_names(struct kg_store *store);

/* Bans, so that they survive a reboot and a repeat offender is known. Times are wall-clock seconds. expires 0
 * = never. */
struct kg_ban_record {
    struct kg_addr source; /* kg_addr_source() form */
    int64_t since, expires;
    uint32_t reason;   /* enum kg_ban_reason */
    uint32_t offences; /* how many bans this source has had, this one included */
    bool active;       /* false: lifted or over; kept only for the count */
};
/* On disk before it returns when an operator made it (KG_BAN_MANUAL); else it survives kill -9, not power
 * loss. */
int kg_store_put_ban(struct kg_store *store, const struct kg_ban_record *record, struct kg_error *err);
/* 0 and *record, or -ENOENT. */
int kg_store_get_ban(struct kg_store *store, const struct kg_addr *source, struct kg_ban_record *record);
int kg_store_each_ban(struct kg_store *store, void (*visit)(void *ctx, const struct kg_ban_record *record),
                      void *ctx);
/* Forgets records that were over before this wall-clock second. */
int kg_store_forget_bans(struct kg_store *store, int64_t before, struct kg_error *err);

/* Networks that an operator allow-listed at run time (those of keygate.yaml are not stored). */
struct kg_allow_record {
    struct kg_net net;
    int64_t created_at;
    char comment[128];
};
int kg_store_put_allow(struct kg_store *store, const struct kg_allow_record *record, struct kg_error *err);
/* 0, or 1 when it was not there. */
int kg_store_delete_allow(struct kg_store *store, const struct kg_net *net, struct kg_error *err);
int kg_store_each_allow(struct kg_store *store,
                        void (*visit)(void *ctx, const struct kg_allow_record *record), void *ctx);

#endif
