/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Admin API's own small HTTP server: at most 64 connections, each one request at a time, none ever waited
 * for. Private to the admin room; control thread only.
 */
#ifndef KG_ADMIN_SERVER_H
#define KG_ADMIN_SERVER_H

#include "admin/admin.h"
#include "http/chunked.h"
#include "http/framing.h"
#include "http/uri.h"

#include <sys/types.h>

#define KG_ADMIN_CONNECTIONS 64
#define KG_ADMIN_REFUSED     8           /* connections at a time that wait to be told 403 */
#define KG_ADMIN_BODIES_MAX  (64u << 20) /* bytes of request bodies held at a time, over all connections */

/* More than the files of a POST /config: the parts around them, and what they take from the environment. */
#define KG_ADMIN_CONFIG_MORE (256u << 10)

#define KG_ADMIN_IDLE_MS   30000 /* between requests */
#define KG_ADMIN_HEAD_MS   10000 /* from the first byte of a head to its last */
#define KG_ADMIN_BODY_MS   60000 /* for a whole body */
#define KG_ADMIN_WRITE_MS  30000 /* without progress */
#define KG_ADMIN_LINGER_MS 2000  /* after the last answer, for the peer to read it and close */
#define KG_ADMIN_REFUSE_MS 1000  /* for a stranger's request, before 403 */

#define KG_ADMIN_HEAD_MAX  16384
#define KG_ADMIN_INPUT_MAX 32768

/*
 * HEAD → BODY → WRITE → HEAD …, or → LINGER after an answer that ends the connection. Idle is HEAD with
 * nothing received. In WRITE nothing is read: a client that pipelines waits. STREAM, instead of WRITE, lasts
 * until the client goes; what it sends is thrown away.
 */
enum kg_conn_state { KG_CONN_HEAD, KG_CONN_BODY, KG_CONN_WRITE, KG_CONN_STREAM, KG_CONN_LINGER };

struct kg_conn {
    struct kg_admin *admin;
    int fd;
    size_t slot;
    enum kg_conn_state state;
    bool refused; /* its peer may not use the Admin API: 403 whatever it asks */
    bool keep_alive;
    uint64_t deadline; /* kg_clock_ms() */
    uint64_t started;  /* when the head was complete */
    char input[KG_ADMIN_INPUT_MAX];
    size_t used;     /* bytes in input */
    size_t head_len; /* of these, the head's: its slices point there while the request lives */
    struct kg_head head;
    struct kg_framing framing;
    struct kg_target target;
    struct kg_chunked chunked;
    uint64_t body_left;
    char *body; /* owned */
    size_t body_len, body_cap;
    char *out; /* owned */
    size_t out_len, out_sent;
    struct kg_event_listener *listener; /* in STREAM; owned */
};

struct kg_admin {
    struct kg_admin_parts parts;
    uint32_t ban_s;
    size_t config_max;
    char *path;
    dev_t dev; /* of the socket file, so that only our own is ever removed */
    ino_t ino;
    uid_t opener; /* our effective user when the socket was opened */
    gid_t group;
    bool has_group;
    int listen_fd, timer_fd;
    bool paused;   /* not accepting until the next tick: out of descriptors */
    size_t bodies; /* sum of body_cap */
    size_t refused;
    struct kg_conn *conns[KG_ADMIN_CONNECTIONS];
};

/* connection.c */
void kg_conn_open(struct kg_admin *admin, size_t slot, int fd, bool refused);
void kg_conn_close(struct kg_conn *conn);
bool kg_conn_idle(const struct kg_conn *conn);
void kg_conn_tick(struct kg_conn *conn, uint64_t now_ms);

/* socket.c: the listening socket's file. */
int kg_admin_listen(struct kg_admin *admin, const char *group, struct kg_error *err);
void kg_admin_unlink(struct kg_admin *admin);
/* Whether the peer of this connection may use the Admin API. */
bool kg_admin_may(const struct kg_admin *admin, int fd);

#endif
