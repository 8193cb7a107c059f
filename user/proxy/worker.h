/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker: one thread with its own ring, listeners, connections, upstream pool and timers. It takes no lock.
 * The control thread makes it, starts it, and talks to it through the functions here; each wakes it when
 * needed.
 */
#ifndef KG_PROXY_WORKER_H
#define KG_PROXY_WORKER_H

#include "base/error.h"
#include "http/head.h"
#include "io/listen.h"
#include "io/tls.h"
#include "model/snapshot.h"
#include "model/key_uses.h"
#include "model/usage.h"
#include "policy/counters.h"
#include "proxy/admission.h"
#include "proxy/error_style.h"

#define KG_LISTENERS_MAX 16

/* What handshakes need. All of it is shared by the workers and stays as it is while they run. */
struct kg_proxy_tls {
    int min_version;                  /* of clients: TLS1_2_VERSION or TLS1_3_VERSION */
    struct kg_tls_identity *identity; /* where no SNI entity fits; NULL without a TLS listener */
    enum kg_tls_verify verify_client;
    X509_STORE *client_ca;   /* NULL: none */
    X509_STORE *upstream_ca; /* for services that name no CA certificates; NULL: the system's */
    struct kg_tls_tickets *tickets;
};

struct kg_proxy_config {
    struct kg_listen_addr listen[KG_LISTENERS_MAX];
    size_t listen_count;
    struct kg_head_limits limits;
    uint32_t header_timeout_ms;            /* from a head's first byte, or from accept, to its last */
    uint32_t keepalive_timeout_ms;         /* an idle client connection */
    uint32_t keepalive_requests;           /* for each client connection; 0 = no limit */
    uint64_t max_body;                     /* bytes of a request's body; 0 = no limit */
    uint32_t search_body;                  /* bytes of the largest body that policies may see; 0: none */
    uint32_t body_timeout_ms;              /* a client that owes body bytes and sends none */
    uint32_t send_timeout_ms;              /* a client that takes nothing of its answer */
    uint32_t min_body_rate, min_read_rate; /* bytes a second; 0 = any */
    uint32_t rate_window_ms;               /* over which they are measured */
    uint32_t max_connections;              /* clients of one worker; more are closed at once and counted */
    struct kg_admission *admission;        /* shared by all workers */
    struct kg_counters *counters;          /* the same: of rate limits */
    struct kg_net_list trusted;            /* proxies that are believed */
    struct kg_slice real_ip_header; /* where they name the client; empty: nowhere but in a PROXY header */
    bool real_ip_recursive;
    uint32_t buffers, buffer_size; /* receive buffers of one worker */
    uint32_t max_idle;             /* idle upstream connections kept for each address */
    uint32_t idle_timeout_ms;
    uint32_t consumer_slots;
    enum kg_error_style error_style;
    struct kg_proxy_tls tls;
    uint8_t index_key[32]; /* for the HMAC of keys */
    int control_fd;        /* eventfd of the control thread: written when a signal waits */
};

/* Figures for /status. Written by the worker alone, relaxed. */
struct kg_worker_stats {
    _Atomic uint64_t accepted, handled, active, reading, writing, refused, requests, malformed,
        upstream_connects, upstream_reuses, upstream_errors, retries, no_peer, starved, banned, slow, tunnels,
        requests_banned, limited, tls_handshakes, tls_resumed, tls_errors;
};

struct kg_worker;

/* Not started yet. fds: one listening socket for each of config->listen, taken over. config outlives the
 * worker. */
struct kg_worker *kg_worker_new(const struct kg_proxy_config *config, unsigned index, const int *fds);
/* Puts a ban into its set before it is started. */
void kg_worker_preload_ban(struct kg_worker *worker, const struct kg_addr *source, uint64_t until_ms);
/* Starts the thread and waits until its ring is set up: 0 or -errno with a sentence. */
int kg_worker_start(struct kg_worker *worker, struct kg_snapshot *snapshot, struct kg_error *err);

/* Lets strangers in: until then it accepts nobody, so that everything that may fail at start, and giving up
 * root, comes before. */
void kg_worker_accept(struct kg_worker *worker);

/* Control thread, after the start: */
void kg_worker_publish(struct kg_worker *worker, struct kg_snapshot *snapshot);
/* The snapshot the worker has adopted last: it begins no request under an older one. */
struct kg_snapshot *kg_worker_adopted(const struct kg_worker *worker);
/* Sets (until_ms, kg_clock_ms() time, 0 = for ever) or lifts (1) a ban and resets open connections of the
 * source. */
void kg_worker_ban(struct kg_worker *worker, const struct kg_addr *source, uint64_t until_ms);
/* Stops accepting, closes idle clients, lets running requests end with Connection: close. */
void kg_worker_drain(struct kg_worker *worker);
/* True when it has drained and its thread is ending. */
bool kg_worker_finished(const struct kg_worker *worker);
/* Ends the thread now, whatever is running, and frees the worker. */
void kg_worker_stop(struct kg_worker *worker);

/* Control thread, at each tick: logs what the worker has to say, if anything, and calls back with it. */
void kg_worker_log(struct kg_worker *worker, void (*tell)(void *ctx, const char *notice), void *ctx);

struct kg_usage_table *kg_worker_usage(struct kg_worker *worker);
struct kg_key_uses *kg_worker_key_uses(struct kg_worker *worker);
struct kg_signal_queue *kg_worker_signals(struct kg_worker *worker);
const struct kg_worker_stats *kg_worker_stats(const struct kg_worker *worker);

#endif
