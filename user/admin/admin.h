/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Admin API: HTTP/1.1 and JSON on a UNIX socket, Kong's paths, shapes and status codes. Control thread
 * only; every socket is non-blocking. Only root, the daemon's own user and members of the group `keygate` are
 * answered (SO_PEERCRED); others get 403.
 */
#ifndef KG_ADMIN_ADMIN_H
#define KG_ADMIN_ADMIN_H

#include "admin/events.h"
#include "guard/guard.h"
#include "io/poller.h"
#include "model/model.h"
#include "proxy/worker.h"
#include "store/store.h"

#define KG_ADMIN_CONFIG_MAX (32u << 20)

struct kg_admin_config {
    const char *socket_path;
    const char *group; /* "keygate"; may not exist on this machine: then only root and our own user */
    uint32_t ban_s;    /* guard.ban_time, in seconds: how long a ban asked for without a ttl lasts */
    size_t config_max; /* bytes of declarative files in one request; 0: KG_ADMIN_CONFIG_MAX */
};

/* What the Admin API works on. All outlive it. */
struct kg_admin_parts {
    struct kg_poller *poller;
    struct kg_store *store;
    struct kg_model *model;
    const struct kg_proxy_config *proxy; /* what workers run by; NULL: /explain answers 503 */
    struct kg_events *events;            /* told of what happens to entities; NULL: /events answers 503 */
    struct kg_guard *guard;              /* may be set later; NULL: /bans and /allow answer 503 */
    /* Makes the model's changes visible to the workers; called after each commit, before the answer. */
    void (*publish)(void *ctx);
    /* Adds the daemon's own figures ("workers", "connections", …) to /status; new keys into this object. */
    void (*status)(void *ctx, json_t *into);
    /* Why no requests are served, or NULL when they are; may itself be NULL. */
    const char *(*why_unready)(void *ctx);
    void *ctx;
};

struct kg_admin;

/*
 * Binds the socket (0660, group as configured) in a way that a live daemon's socket is never taken over:
 * -EADDRINUSE with a sentence when somebody answers on it; a stale one is replaced. Creates the folder when
 * it is missing.
 */
int kg_admin_open(const struct kg_admin_config *config, const struct kg_admin_parts *parts,
                  struct kg_admin **admin, struct kg_error *err);
/* Gives it the guard, which the daemon opens last: what a failed start must not leave behind comes after all
 * that can fail. */
void kg_admin_set_guard(struct kg_admin *admin, struct kg_guard *guard);
/* Stops listening, ends connections, removes the socket file. */
void kg_admin_close(struct kg_admin *admin);

#endif
