/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/daemon.h"

#include "admin/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/resolver.h"
#include "io/ring.h"
#include "keygate/version.h"
#include "keygated/declarative.h"
#include "keygated/key_uses.h"
#include "keygated/privileges.h"
#include "keygated/snapshots.h"
#include "keygated/tell.h"
#include "keygated/tls.h"
#include "policy/policy.h"
#include "proxy/prober.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS   50
#define HEALTH_MS 1000
#define EXPIRE_MS 600000 /* a walk over all keys: rarely */
/* Signals handled in one go, so that a flood of them leaves room for operators. */
#define SIGNAL_BATCH 65536

struct kg_daemon {
    const struct kg_config *config;
    struct kg_proxy_config proxy;
    struct kg_poller *poller;
    struct kg_store *store;
    struct kg_model *model;
    struct kg_guard *guard;
    struct kg_admin *admin;
    struct kg_events *events;
    struct kg_signal_sample sample;
    struct kg_resolver *resolver;
    struct kg_prober *prober;
    struct kg_worker *workers[KG_WORKERS_MAX];
    struct kg_usage_table *usage[KG_WORKERS_MAX];
    size_t worker_count;
    struct kg_snapshots snapshots;
    int signal_fd, event_fd;
    int *listeners;  /* one row for each worker until the workers have them */
    bool fresh_pins; /* nothing was pinned before this start */
    struct kg_identity identity;
    bool stale; /* an address has changed since the workers were shown a snapshot */
    bool draining;
    uint64_t drain_until, expired_ms, rotated_ms, health_ms;
};

/* ---- what the parts ask of the daemon ---- */

static void watch_host(void *ctx, const char *host)
{
    kg_resolver_watch(ctx, host);
}

static void watch_hosts(struct kg_daemon *daemon)
{
    kg_resolver_begin(daemon->resolver);
    kg_model_each_host(daemon->model, watch_host, daemon->resolver);
    kg_resolver_commit(daemon->resolver);
}

/* A snapshot is on its way to the workers. The prober is told first, as the one before may be freed then. */
static struct kg_snapshot *new_snapshot(struct kg_daemon *daemon)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(daemon->model);

    daemon->stale = false;
    kg_snapshots_add(&daemon->snapshots, snapshot);
    kg_prober_begin(daemon->prober);
    kg_snapshot_each_balancer(snapshot, kg_prober_add, daemon->prober);
    kg_prober_commit(daemon->prober);
    return snapshot;
}

static void show_workers(struct kg_daemon *daemon)
{
    struct kg_snapshot *snapshot = new_snapshot(daemon);

    for (size_t i = 0; i < daemon->worker_count; i++)
        kg_worker_publish(daemon->workers[i], snapshot);
}

/* Names that /etc/hosts knows have their addresses before watch_hosts returns: they are in the snapshot. */
static void publish(void *ctx)
{
    watch_hosts(ctx);
    show_workers(ctx);
}

static void addresses_changed(void *ctx, const char *host, const struct kg_addr *addrs, size_t count)
{
    struct kg_daemon *daemon = ctx;

    kg_tell_addresses(daemon->events, host, count);
    if (count == 0)
        kg_log(KG_LOG_WARN, "the host name %s has no address", host);
    /* Many names may change together, and each snapshot costs as much as there are routes. */
    if (kg_model_set_addresses(daemon->model, host, addrs, count))
        daemon->stale = true;
}

static void ban_changed(void *ctx, const struct kg_addr *source, uint64_t until_ms)
{
    struct kg_daemon *daemon = ctx;

    for (size_t i = 0; i < daemon->worker_count; i++)
        kg_worker_ban(daemon->workers[i], source, until_ms);
}

static void ban_happened(void *ctx, enum kg_ban_event event, const struct kg_ban_info *info)
{
    kg_tell_ban(((struct kg_daemon *)ctx)->events, event, info);
}

static void worker_said(void *ctx, const char *notice)
{
    kg_event(((struct kg_daemon *)ctx)->events, "trouble", json_pack("{s:s}", "message", notice));
}

/* The model is there before the guard is: the guard's slots are asked for through the daemon. */
static uint32_t take_slot(void *ctx, const char *consumer_id, const char *name)
{
    struct kg_slot_source slots = kg_guard_slots(((struct kg_daemon *)ctx)->guard);

    return slots.take(slots.ctx, consumer_id, name);
}

static void give_back_slot(void *ctx, uint32_t slot, const char *consumer_id)
{
    struct kg_slot_source slots = kg_guard_slots(((struct kg_daemon *)ctx)->guard);

    slots.give_back(slots.ctx, slot, consumer_id);
}

static const struct {
    const char *name;
    size_t offset;
} figures[] = {
    { "connections_accepted", offsetof(struct kg_worker_stats, accepted) },
    { "connections_handled", offsetof(struct kg_worker_stats, handled) },
    { "connections_active", offsetof(struct kg_worker_stats, active) },
    { "connections_reading", offsetof(struct kg_worker_stats, reading) },
    { "connections_writing", offsetof(struct kg_worker_stats, writing) },
    { "connections_refused", offsetof(struct kg_worker_stats, refused) },
    { "connections_limited", offsetof(struct kg_worker_stats, limited) },
    { "connections_banned", offsetof(struct kg_worker_stats, banned) },
    { "requests_banned", offsetof(struct kg_worker_stats, requests_banned) },
    { "total_requests", offsetof(struct kg_worker_stats, requests) },
    { "clients_too_slow", offsetof(struct kg_worker_stats, slow) },
    { "malformed_requests", offsetof(struct kg_worker_stats, malformed) },
    { "upstream_connects", offsetof(struct kg_worker_stats, upstream_connects) },
    { "upstream_reuses", offsetof(struct kg_worker_stats, upstream_reuses) },
    { "upstream_errors", offsetof(struct kg_worker_stats, upstream_errors) },
    { "tunnels_active", offsetof(struct kg_worker_stats, tunnels) },
    { "upstream_retries", offsetof(struct kg_worker_stats, retries) },
    { "upstream_no_peer", offsetof(struct kg_worker_stats, no_peer) },
    { "tls_handshakes", offsetof(struct kg_worker_stats, tls_handshakes) },
    { "tls_resumed", offsetof(struct kg_worker_stats, tls_resumed) },
    { "tls_errors", offsetof(struct kg_worker_stats, tls_errors) },
    { "buffer_starvations", offsetof(struct kg_worker_stats, starved) },
};

static uint64_t sum_figure(const struct kg_daemon *daemon, size_t offset)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < daemon->worker_count; i++) {
        const char *stats = (const char *)kg_worker_stats(daemon->workers[i]);

        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(stats + offset),
                                    memory_order_relaxed);
    }
    return sum;
}

static uint64_t sum_dropped_signals(const struct kg_daemon *daemon)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < daemon->worker_count; i++)
        sum += atomic_load_explicit(&kg_worker_signals(daemon->workers[i])->dropped, memory_order_relaxed);
    return sum;
}

/* Open, but with nothing of a request. The figures are not of one moment. */
static uint64_t sum_waiting(const struct kg_daemon *daemon)
{
    uint64_t busy = sum_figure(daemon, offsetof(struct kg_worker_stats, reading)) +
                    sum_figure(daemon, offsetof(struct kg_worker_stats, writing)),
             active = sum_figure(daemon, offsetof(struct kg_worker_stats, active));

    return active > busy ? active - busy : 0;
}

static void add_status(void *ctx, json_t *into)
{
    struct kg_daemon *daemon = ctx;

    json_object_set_new(into, "workers", json_integer((json_int_t)daemon->worker_count));
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        json_object_set_new(into, figures[i].name,
                            json_integer((json_int_t)sum_figure(daemon, figures[i].offset)));
    json_object_set_new(into, "connections_waiting", json_integer((json_int_t)sum_waiting(daemon)));
    json_object_set_new(into, "signals_dropped", json_integer((json_int_t)sum_dropped_signals(daemon)));
    json_object_set_new(
        into, "rate_counters_used",
        json_integer((json_int_t)kg_counters_in_use(daemon->proxy.counters, kg_clock_wall())));
    json_object_set_new(into, "rate_counters_full",
                        json_integer((json_int_t)kg_counters_refused(daemon->proxy.counters)));
}

static bool all_finished(const struct kg_daemon *daemon)
{
    for (size_t i = 0; i < daemon->worker_count; i++) {
        if (!kg_worker_finished(daemon->workers[i]))
            return false;
    }
    return true;
}

/* Why no requests are served; NULL when they are. The Admin API itself answers only after the start. */
static const char *why_unready(void *ctx)
{
    const struct kg_daemon *daemon = ctx;

    if (daemon->draining)
        return "stopping";
    return all_finished(daemon) ? "no worker is running" : NULL;
}

/* ---- events of the control thread ---- */

static void take_signals(void *ctx, uint32_t events)
{
    struct kg_daemon *daemon = ctx;
    struct kg_signal signal;
    uint64_t count;
    size_t budget = SIGNAL_BATCH;

    if (events && read(daemon->event_fd, &count, sizeof(count)) < 0)
        return;
    for (size_t i = 0; i < daemon->worker_count; i++) {
        struct kg_signal_queue *queue = kg_worker_signals(daemon->workers[i]);

        for (; budget > 0 && kg_signal_pop(queue, &signal); budget--) {
            kg_tell_signal(daemon->events, &daemon->sample, &signal);
            kg_guard_signal(daemon->guard, &signal);
        }
    }
}

static void tick(void *ctx, uint32_t events)
{
    struct kg_daemon *daemon = ctx;
    uint64_t now = kg_clock_ms();

    /* A wake-up is only sent for an empty queue: what a full batch left behind is taken here. */
    take_signals(daemon, 0);
    if (daemon->stale)
        show_workers(daemon);
    for (size_t i = 0; i < daemon->worker_count; i++)
        kg_worker_log(daemon->workers[i], worker_said, daemon);
    kg_guard_tick(daemon->guard, daemon->usage, daemon->worker_count, now);
    kg_snapshots_retire(&daemon->snapshots, daemon->workers, daemon->worker_count);
    kg_key_uses_write(daemon->store, daemon->workers, daemon->worker_count);
    if (now >= daemon->expired_ms + EXPIRE_MS) {
        daemon->expired_ms = now;
        kg_model_expire(daemon->model, kg_clock_wall());
    }
    if (now >= daemon->rotated_ms + daemon->config->tls.ticket_rotation) {
        daemon->rotated_ms = now;
        kg_tls_tickets_rotate(daemon->proxy.tls.tickets);
    }
    if (now >= daemon->health_ms + HEALTH_MS) {
        daemon->health_ms = now;
        kg_tell_health(daemon->events, daemon->snapshots.list[daemon->snapshots.count - 1]);
    }
    if (daemon->draining && (all_finished(daemon) || now >= daemon->drain_until))
        kg_poller_stop(daemon->poller);
}

static void reload(struct kg_daemon *daemon)
{
    struct kg_declare_result result;

    if (kg_declarative_reload(daemon->config, daemon->store, daemon->model, &result)) {
        publish(daemon);
        kg_event_sync(daemon->events, &result);
    }
    kg_declare_free(&result);
    kg_log(KG_LOG_WARN, "SIGHUP: the settings are read at start only; restart the daemon to apply them");
    kg_event(daemon->events, "reload", json_pack("{s:s}", "message", "the settings are read at start only"));
}

static void signalled(void *ctx, uint32_t events)
{
    struct kg_daemon *daemon = ctx;
    struct signalfd_siginfo info;

    if (read(daemon->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP) {
        reload(daemon);
        return;
    }
    if (daemon->draining) {
        kg_poller_stop(daemon->poller);
        return;
    }
    daemon->draining = true;
    daemon->drain_until = kg_clock_ms() + daemon->config->drain_timeout;
    kg_log(KG_LOG_INFO, "stopping: no new connections, running requests have %u ms to end",
           daemon->config->drain_timeout);
    for (size_t i = 0; i < daemon->worker_count; i++)
        kg_worker_drain(daemon->workers[i]);
}

/* ---- start, in the order of what may fail ---- */

static int check_system(struct kg_daemon *daemon, struct kg_error *err)
{
    struct rlimit files;

    if (geteuid() != 0)
        return kg_error_set(
            err, EPERM,
            "must be started as root: it loads BPF programs and opens ports before it becomes the user '%s'",
            daemon->config->user);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int rc = kg_privileges_freeze(err);
    return rc < 0 ? rc : kg_ring_probe(err);
}

static int open_events(struct kg_daemon *daemon, struct kg_error *err)
{
    sigset_t caught;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&caught);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGHUP);
    sigprocmask(SIG_BLOCK, &caught, NULL);
    daemon->signal_fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    daemon->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (daemon->signal_fd < 0 || daemon->event_fd < 0)
        return kg_error_set(err, errno, "cannot make event descriptors: %s", strerror(errno));
    int rc = kg_poller_new(&daemon->poller, err);
    if (rc < 0)
        return rc;
    rc = kg_poller_add(daemon->poller, daemon->signal_fd, EPOLLIN, signalled, daemon);
    if (rc == 0)
        rc = kg_poller_add(daemon->poller, daemon->event_fd, EPOLLIN, take_signals, daemon);
    if (rc == 0)
        rc = kg_poller_every(daemon->poller, TICK_MS, tick, daemon);
    return rc < 0 ? kg_error_set(err, -rc, "cannot watch event descriptors: %s", strerror(-rc)) : 0;
}

static int open_admin(struct kg_daemon *daemon, struct kg_error *err)
{
    struct kg_admin_config config = {
        .socket_path = daemon->config->admin.socket,
        .group = daemon->config->admin.group,
        .ban_s = daemon->config->guard.ban_time / 1000,
        .config_max = daemon->config->admin.config_max_size,
    };
    struct kg_admin_parts parts = {
        .poller = daemon->poller,
        .store = daemon->store,
        .model = daemon->model,
        .proxy = &daemon->proxy,
        .events = daemon->events,
        .guard = daemon->guard,
        .publish = publish,
        .status = add_status,
        .why_unready = why_unready,
        .ctx = daemon,
    };

    return kg_admin_open(&config, &parts, &daemon->admin, err);
}

static int open_listeners(struct kg_daemon *daemon, struct kg_error *err)
{
    size_t count = daemon->proxy.listen_count, workers = daemon->config->workers;
    int column[KG_WORKERS_MAX];

    daemon->listeners = kg_calloc(workers * KG_LISTENERS_MAX, sizeof(int));
    for (size_t i = 0; i < workers * KG_LISTENERS_MAX; i++)
        daemon->listeners[i] = -1;
    for (size_t i = 0; i < count; i++) {
        const struct kg_listen_addr *at = &daemon->proxy.listen[i];

        int rc = kg_listen_open(at, (unsigned)workers, column, err);
        if (rc < 0)
            return rc;
        for (size_t w = 0; w < workers; w++)
            daemon->listeners[w * KG_LISTENERS_MAX + i] = column[w];
    }
    return 0;
}

static int open_guard(struct kg_daemon *daemon, struct kg_error *err)
{
    struct kg_guard_config config;

    kg_config_guard(daemon->config, &config);
    config.workers = daemon->config->workers;
    daemon->fresh_pins = !kg_guard_pinned(config.bpf_dir);
    int rc = kg_guard_open(&config, daemon->store, &daemon->guard, err);
    if (rc < 0)
        return rc;
    kg_guard_on_ban(daemon->guard, ban_changed, daemon);
    kg_guard_on_ban_event(daemon->guard, ban_happened, daemon);
    kg_admin_set_guard(daemon->admin, daemon->guard);
    return 0;
}

static int give_up_root(struct kg_daemon *daemon, struct kg_error *err)
{
    const char *user = daemon->config->user;
    int rc = kg_identity_find(user, &daemon->identity, err);

    if (rc == 0 && daemon->identity.found && daemon->identity.uid != 0) {
        rc = kg_store_chown(daemon->store, daemon->identity.uid, daemon->identity.gid, err);
        rc = rc < 0 ? rc : kg_privileges_drop(user, &daemon->identity, err);
    }
    return rc < 0 ? rc : kg_privileges_hide_memory(err);
}

static int load_model(struct kg_daemon *daemon, struct kg_error *err)
{
    kg_mem_load_begin();
    int rc = kg_store_load(daemon->store, daemon->model, err);
    kg_mem_load_end();
    if (rc < 0)
        return rc;
    rc = kg_resolver_new(daemon->poller, addresses_changed, daemon, &daemon->resolver, err);
    if (rc < 0)
        return rc;
    rc = kg_prober_new(daemon->poller, daemon->proxy.tls.upstream_ca, &daemon->prober, err);
    if (rc < 0)
        return rc;
    watch_hosts(daemon);
    new_snapshot(daemon);
    return 0;
}

static void preload_ban(void *ctx, const struct kg_ban_info *info)
{
    int64_t left = info->expires - kg_clock_wall();

    if (info->expires == 0)
        kg_worker_preload_ban(ctx, &info->source, 0);
    else if (left > 0)
        kg_worker_preload_ban(ctx, &info->source, kg_clock_ms() + (uint64_t)left * 1000);
}

static int start_workers(struct kg_daemon *daemon, struct kg_error *err)
{
    struct kg_snapshot *snapshot = daemon->snapshots.list[daemon->snapshots.count - 1];

    for (unsigned i = 0; i < daemon->config->workers; i++) {
        struct kg_worker *worker = kg_worker_new(&daemon->proxy, i, daemon->listeners + i * KG_LISTENERS_MAX);

        /* They are the worker's now. */
        for (size_t l = 0; l < KG_LISTENERS_MAX; l++)
            daemon->listeners[i * KG_LISTENERS_MAX + l] = -1;
        daemon->workers[i] = worker;
        daemon->usage[i] = kg_worker_usage(worker);
        daemon->worker_count++;
        kg_guard_each_ban(daemon->guard, preload_ban, worker);
        int rc = kg_worker_start(worker, snapshot, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void say_interfaces(const struct kg_daemon *daemon)
{
    const struct kg_guard_interface *list;
    size_t count = kg_guard_interfaces(daemon->guard, &list);

    for (size_t i = 0; i < count; i++) {
        if (list[i].native)
            kg_log(KG_LOG_INFO, "XDP on %s: native", list[i].name);
        else
            kg_log(KG_LOG_WARN, "XDP on %s: generic, slower than native (%s)", list[i].name,
                   list[i].note[0] ? list[i].note : "as configured");
    }
    if (count == 0)
        kg_log(KG_LOG_WARN,
               "missing: xdp.interfaces names no interface, so bans are enforced in user space only");
}

static void say_hello(const struct kg_daemon *daemon)
{
    const struct kg_config *config = daemon->config;
    char text[KG_ADDR_TEXT];

    kg_log(KG_LOG_INFO, "keygated %s: %u worker%s", KG_VERSION, config->workers,
           config->workers == 1 ? "" : "s");
    for (size_t i = 0; i < config->listen_count; i++)
        kg_log(KG_LOG_INFO, "listening on %s", kg_listen_text(&config->listen[i], text));
    kg_log(KG_LOG_INFO, "Admin API on %s", config->admin.socket);
    say_interfaces(daemon);
    if (!daemon->identity.found)
        kg_log(KG_LOG_WARN, "missing: there is no user '%s', so the daemon stays root", config->user);
    kg_log(KG_LOG_INFO, "ready");
}

static void fill_proxy(struct kg_daemon *daemon)
{
    const struct kg_config *config = daemon->config;

    daemon->proxy = (struct kg_proxy_config){
        .listen_count = config->listen_count,
        .limits = { .line = config->http.max_request_line,
                    .bytes = config->http.max_head,
                    .headers = config->http.max_headers },
        .header_timeout_ms = config->http.header_timeout,
        .keepalive_timeout_ms = config->http.keepalive_timeout,
        .keepalive_requests = config->http.keepalive_requests,
        .max_body = config->http.client_max_body_size,
        .search_body = config->key_auth.max_body,
        .body_timeout_ms = config->http.client_body_timeout,
        .send_timeout_ms = config->http.send_timeout,
        .min_body_rate = config->http.min_body_rate,
        .min_read_rate = config->http.min_read_rate,
        .rate_window_ms = config->http.rate_window,
        .max_connections = config->http.max_connections,
        .admission =
            kg_admission_new(config->http.max_connections_total, config->http.max_connections_per_source),
        .trusted = { config->http.trusted_proxies, config->http.trusted_count },
        .real_ip_recursive = config->http.real_ip_recursive,
        .buffers = config->http.buffers,
        .buffer_size = config->http.buffer_size,
        .max_idle = config->upstream.max_idle,
        .idle_timeout_ms = config->upstream.idle_timeout,
        .consumer_slots = config->guard.consumer_slots,
        .error_style = config->errors.style,
        .control_fd = daemon->event_fd,
    };
    if (strcmp(config->http.real_ip_header, "proxy_protocol") != 0)
        daemon->proxy.real_ip_header = kg_slice_str(config->http.real_ip_header);
    memcpy(daemon->proxy.listen, config->listen, config->listen_count * sizeof(config->listen[0]));
    kg_store_index_key(daemon->store, daemon->proxy.index_key);
}

static int start(struct kg_daemon *daemon, struct kg_error *err)
{
    const struct kg_config *config = daemon->config;
    struct kg_slot_source slots = { .ctx = daemon, .take = take_slot, .give_back = give_back_slot };
    int rc = check_system(daemon, err);

    if (rc == 0)
        rc = open_events(daemon, err);
    if (rc == 0)
        rc = kg_store_open_with(&(struct kg_store_options){ .dir = config->state_dir,
                                                            .master_key = config->keys.master_key,
                                                            .hashed = config->keys.at_rest == 1 },
                                &daemon->store, err);
    if (rc < 0)
        return rc;
    kg_policies_register();
    daemon->model = kg_model_new(&slots);
    kg_model_set_default_verify(daemon->model, config->upstream.tls_verify);
    fill_proxy(daemon);
    rc = kg_counters_new(config->rate_limiting.max_counters, &daemon->proxy.counters, err);
    if (rc == 0)
        rc = kg_tls_settings_read(config, &daemon->proxy.tls, err);
    if (rc == 0)
        rc = open_listeners(daemon, err);
    if (rc == 0)
        rc = open_admin(daemon, err);
    if (rc == 0)
        rc = kg_declarative_load(config, daemon->store, err);
    /* The first thing that outlives us, so it comes after all that is likely to fail. */
    if (rc == 0)
        rc = open_guard(daemon, err);
    if (rc == 0)
        rc = load_model(daemon, err);
    if (rc == 0)
        rc = start_workers(daemon, err);
    /* Nothing is left that can fail, so root is not needed to undo it; and no stranger has been let in yet.
     */
    if (rc == 0)
        rc = give_up_root(daemon, err);
    for (size_t i = 0; rc == 0 && i < daemon->worker_count; i++)
        kg_worker_accept(daemon->workers[i]);
    return rc;
}

int kg_daemon_start(const struct kg_config *config, struct kg_daemon **out, struct kg_error *err)
{
    struct kg_daemon *daemon = kg_calloc(1, sizeof(*daemon));

    daemon->config = config;
    daemon->signal_fd = daemon->event_fd = -1;
    daemon->rotated_ms = kg_clock_ms();
    daemon->events = kg_events_new();
    int rc = start(daemon, err);
    if (rc < 0) {
        bool undo = daemon->guard && daemon->fresh_pins;
        kg_daemon_free(daemon);
        if (undo)
            kg_guard_detach(config->xdp.bpf_dir, NULL);
        return rc;
    }
    say_hello(daemon);
    *out = daemon;
    return 0;
}

void kg_daemon_run(struct kg_daemon *daemon)
{
    kg_poller_run(daemon->poller);
    kg_log(KG_LOG_INFO, "%s; bans stay in force in the kernel",
           all_finished(daemon) ? "stopped: every request ended" : "stopped: requests were still running");
}

static void close_listeners(struct kg_daemon *daemon)
{
    for (size_t i = 0; daemon->listeners && i < daemon->config->workers * KG_LISTENERS_MAX; i++) {
        if (daemon->listeners[i] >= 0)
            close(daemon->listeners[i]);
    }
    free(daemon->listeners);
}

void kg_daemon_free(struct kg_daemon *daemon)
{
    if (daemon->admin)
        kg_admin_close(daemon->admin);
    /* The last figures, while the workers' tables are there. */
    if (daemon->guard && daemon->worker_count > 0)
        kg_guard_tick(daemon->guard, daemon->usage, daemon->worker_count, kg_clock_ms() + 1000);
    while (kg_key_uses_write(daemon->store, daemon->workers, daemon->worker_count) > 0)
        ;
    for (size_t i = 0; i < daemon->worker_count; i++)
        kg_worker_stop(daemon->workers[i]);
    close_listeners(daemon);
    if (daemon->prober)
        kg_prober_free(daemon->prober);
    kg_snapshots_free(&daemon->snapshots);
    if (daemon->resolver)
        kg_resolver_free(daemon->resolver);
    if (daemon->model)
        kg_model_free(daemon->model);
    if (daemon->guard)
        kg_guard_close(daemon->guard);
    kg_events_free(daemon->events);
    if (daemon->store)
        kg_store_close(daemon->store);
    if (daemon->poller)
        kg_poller_free(daemon->poller);
    if (daemon->signal_fd >= 0)
        close(daemon->signal_fd);
    if (daemon->event_fd >= 0)
        close(daemon->event_fd);
    if (daemon->proxy.admission)
        kg_admission_free(daemon->proxy.admission);
    kg_counters_free(daemon->proxy.counters);
    kg_tls_settings_free(&daemon->proxy.tls);
    kg_wipe(daemon->proxy.index_key, sizeof(daemon->proxy.index_key));
    free(daemon);
}
