/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's settings: defaults, then keygate.yaml, then `--set PATH=VALUE`. Nothing is ever ignored: a
 * setting that is unknown, repeated, of the wrong kind or out of range is refused with file, line, field and
 * what was expected. Read once at start by the main thread; constant from then on, so any thread may read it.
 */
#ifndef KG_KEYGATED_CONFIG_H
#define KG_KEYGATED_CONFIG_H

#include "base/addr.h"
#include "base/error.h"
#include "base/log.h"
#include "guard/guard.h"
#include "io/listen.h"
#include "io/tls.h"
#include "proxy/error_style.h"

#define KG_CONFIG_FILE       "/etc/keygate/keygate.yaml"
#define KG_CONFIG_LISTEN_MAX 16

/* Durations are milliseconds, sizes bytes. Names and paths are never empty, paths absolute. */
struct kg_config {
    struct kg_listen_addr listen[KG_CONFIG_LISTEN_MAX];
    size_t listen_count; /* at least 1, no two the same */
    uint32_t workers;    /* 1 to KG_WORKERS_MAX: the file's 0 has become the number of CPUs we may run on */
    char user[33];
    char state_dir[256];
    enum kg_log_level log_level;
    uint32_t drain_timeout;
    struct {
        uint32_t at_rest;     /* 0: encrypted, 1: hashed */
        char master_key[256]; /* empty: state_dir/master.key */
    } keys;
    struct {
        char socket[108]; /* fits sun_path of unix(7) */
        char group[33];
        uint32_t config_max_size;
    } admin;
    char declarative_config[256];
    struct {
        uint32_t max_request_line;
        uint32_t max_head; /* at least max_request_line */
        uint32_t max_headers;
        uint32_t header_timeout;
        uint32_t keepalive_timeout;
        uint32_t keepalive_requests;   /* 0 = no limit */
        uint32_t client_max_body_size; /* 0 = no limit */
        uint32_t client_body_timeout;
        uint32_t send_timeout;
        uint32_t min_body_rate; /* bytes a second; 0 = any */
        uint32_t min_read_rate;
        uint32_t rate_window;
        uint32_t max_connections;            /* for each worker */
        uint32_t max_connections_total;      /* 0 = no limit */
        uint32_t max_connections_per_source; /* the same */
        uint32_t buffer_size;
        uint32_t buffers;               /* a power of two, as the kernel's buffer rings want it */
        struct kg_net *trusted_proxies; /* owned; NULL when there is none */
        size_t trusted_count;
        char real_ip_header[65];    /* a header's name, or "proxy_protocol" */
        uint32_t real_ip_recursive; /* 0 or 1 */
    } http;
    struct {
        uint32_t max_idle;
        uint32_t idle_timeout;
        uint32_t tls_verify;            /* 0 or 1 */
        char trusted_certificates[256]; /* empty: the system's */
    } upstream;
    struct {
        enum kg_error_style style;
    } errors;
    struct {
        uint32_t max_counters;
    } rate_limiting;
    /* Paths may be empty: none. */
    struct {
        char certificate[256], certificate_key[256];
        uint32_t min_version; /* 0: TLS 1.2, 1: TLS 1.3 */
        uint32_t ticket_rotation;
        enum kg_tls_verify verify_client;
        char client_ca[256];
    } tls;
    struct {
        uint32_t max_body; /* 0 = none is looked into */
    } key_auth;
    struct {
        char interfaces[KG_INTERFACES_MAX][16];
        size_t interface_count;
        enum kg_xdp_mode mode;
        char bpf_dir[256];
    } xdp;
    /* All durations are whole seconds (but in milliseconds, as everywhere here). */
    struct {
        uint32_t threshold;
        uint32_t window;
        uint32_t ban_time; /* at most ban_time_max */
        uint32_t ban_time_max;
        uint32_t ban_memory;
        uint32_t sources;
        uint32_t max_bans;
        uint32_t max_allow;
        uint32_t consumer_slots;
        struct kg_net *allow; /* owned; NULL when there is none */
        size_t allow_count;   /* at most max_allow, no two the same */
    } guard;
};

/*
 * Fills *config: the defaults, over them `file` (NULL: none; else it must be readable), over it each of
 * `sets`, a text "path=value" whose value is YAML; of two sets for one path the later counts. 0, or a
 * negative errno, a sentence in err and an empty *config.
 */
int kg_config_load(const char *file, const char *const *sets, size_t set_count, struct kg_config *config,
                   struct kg_error *err);

/* Frees what the settings own. */
void kg_config_free(struct kg_config *config);

/* The guard's part in the guard's own form. It borrows from *config, which must outlive it. */
void kg_config_guard(const struct kg_config *config, struct kg_guard_config *guard);

#endif
