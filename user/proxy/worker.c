/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker's thread: its loop, and what the control thread tells it. */
#include "proxy/internal.h"
#include "policy/jwt_verify.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_WAIT_MS 1000

struct kg_worker *kg_worker_new(const struct kg_proxy_config *config, unsigned index, const int *fds)
{
    struct kg_worker *worker = kg_calloc_aligned(_Alignof(struct kg_worker), sizeof(*worker));

    worker->config = config;
    worker->index = index;
    memcpy(worker->listeners, fds, config->listen_count * sizeof(*fds));
    worker->wake_fd = -1;
    worker->commands = kg_calloc(KG_BAN_COMMANDS, sizeof(*worker->commands));
    kg_usage_table_init(&worker->usage, config->consumer_slots);
    kg_banset_init(&worker->bans);
    return worker;
}

void kg_worker_preload_ban(struct kg_worker *worker, const struct kg_addr *source, uint64_t until_ms)
{
    kg_banset_put(&worker->bans, source, until_ms, kg_clock_ms());
}

static void retry_accept(struct kg_timer *timer)
{
    struct kg_worker *worker = (struct kg_worker *)((char *)timer - offsetof(struct kg_worker, accept_timer));

    for (uint32_t i = 0; i < worker->config->listen_count; i++) {
        if (worker->accept_stopped & 1u << i)
            kg_ring_accept(&worker->ring, worker->listeners[i], i);
    }
    worker->accept_stopped = 0;
}

static void accepted(void *ctx, uint32_t listener, int res, bool more)
{
    struct kg_worker *worker = ctx;

    if (res >= 0)
        kg_client_accept(worker, res, listener);
    if (more || worker->draining)
        return;
    if (res >= 0 || res == -ECONNABORTED) {
        kg_ring_accept(&worker->ring, worker->listeners[listener], listener);
        return;
    }
    /* Out of descriptors or memory: what is kept for later goes first, and trying again at once would only
     * spin. */
    kg_upstream_close_idle(worker);
    worker->accept_stopped |= 1u << listener;
    kg_timer_set(&worker->wheel, &worker->accept_timer, worker->now_ms, KG_ACCEPT_RETRY_MS, retry_accept);
}

/* Whether the connection is this source's alone: made by it, by a PROXY header's word, or a tunnel of its. A
 * trusted proxy's other connections carry many clients. */
static bool is_of(const struct kg_client *client, const struct kg_addr *source)
{
    bool tunnel = client->state == KG_CLIENT_TUNNEL;
    const struct kg_addr *whose = tunnel ? kg_request_address(client) : &client->near;

    if (kg_addr_eq(&client->source, source))
        return true;
    if (kg_addr_eq(whose, &client->peer))
        return false;
    struct kg_addr its = kg_addr_source(whose);
    return kg_addr_eq(&its, source);
}

static void reset_source(struct kg_worker *worker, const struct kg_addr *source)
{
    for (struct kg_client *client = worker->clients, *next; client; client = next) {
        next = client->next;
        if (is_of(client, source))
            kg_client_reset(client);
    }
}

static void take_ban_commands(struct kg_worker *worker)
{
    uint32_t tail = atomic_load_explicit(&worker->command_tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&worker->command_head, memory_order_acquire);

    for (; tail != head; tail++) {
        const struct kg_ban_command *command = &worker->commands[tail % KG_BAN_COMMANDS];

        if (command->until_ms == 1) {
            kg_banset_remove(&worker->bans, &command->source);
            continue;
        }
        kg_banset_put(&worker->bans, &command->source, command->until_ms, worker->now_ms);
        reset_source(worker, &command->source);
    }
    atomic_store_explicit(&worker->command_tail, tail, memory_order_release);
}

static void begin_drain(struct kg_worker *worker)
{
    worker->draining = true;
    kg_timer_stop(&worker->accept_timer);
    for (uint32_t i = 0; i < worker->config->listen_count; i++) {
        kg_ring_cancel_accept(&worker->ring, i);
        /* Away from the group at once, so that the kernel gives new connections to nobody. */
        shutdown(worker->listeners[i], SHUT_RD);
    }
    for (struct kg_client *client = worker->clients, *next; client; client = next) {
        next = client->next;
        kg_client_drain(client);
    }
    kg_upstream_close_idle(worker);
}

static void begin_accepting(struct kg_worker *worker)
{
    worker->accepting = true;
    for (uint32_t i = 0; i < worker->config->listen_count; i++)
        kg_ring_accept(&worker->ring, worker->listeners[i], i);
}

static void woken(void *ctx)
{
    struct kg_worker *worker = ctx;

    take_ban_commands(worker);
    if (atomic_load_explicit(&worker->accept, memory_order_acquire) && !worker->accepting)
        begin_accepting(worker);
    if (atomic_load_explicit(&worker->drain, memory_order_acquire) && !worker->draining)
        begin_drain(worker);
    worker->stopping = atomic_load_explicit(&worker->stop, memory_order_acquire);
}

/* Before a turn's completions: the time they are handled at, and the newest snapshot. */
static void refresh(void *ctx)
{
    struct kg_worker *worker = ctx;
    struct kg_snapshot *published = atomic_load_explicit(&worker->published, memory_order_acquire);
    int64_t wall = kg_clock_wall();

    worker->now_ms = kg_clock_ms();
    if (wall != worker->now_wall) {
        worker->now_wall = wall;
        kg_clock_http_date(wall, worker->date);
    }
    if (published != worker->snapshot) {
        worker->snapshot = published;
        /* From here on no request begins under the old one; release pairs with the control thread's acquire.
         */
        atomic_store_explicit(&worker->adopted, published, memory_order_release);
    }
}

/* Any head, what we add to it, and one receive buffer behind it. */
uint32_t kg_worker_block_size(const struct kg_proxy_config *config)
{
    return (uint32_t)config->limits.bytes + config->buffer_size + 8192;
}

void kg_worker_ready(struct kg_worker *worker)
{
    kg_prng_seed(&worker->prng);
    worker->hasher = kg_key_hasher_new(worker->config->index_key);
    worker->verifier = kg_jwt_verifier_new();
    worker->regex = kg_regex_scratch_new();
    kg_rotations_init(&worker->rotations, worker->index);
    worker->path = kg_calloc(1, KG_PATH_SCRATCH);
    worker->scratch = kg_calloc(1, KG_QUERY_SCRATCH + worker->config->search_body);
    worker->body = kg_calloc(1, worker->config->search_body + 1);
    worker->to_upstream = kg_calloc(1, KG_NOTES_UP);
    worker->to_client = kg_calloc(1, KG_NOTES_MAX);
}

void kg_worker_forget(struct kg_worker *worker)
{
    kg_key_hasher_free(worker->hasher);
    kg_jwt_verifier_free(worker->verifier);
    kg_regex_scratch_free(worker->regex);
    kg_rotations_free(&worker->rotations);
    free(worker->path);
    free(worker->scratch);
    free(worker->body);
    free(worker->to_upstream);
    free(worker->to_client);
    kg_notes_free_spare(worker);
}

static int set_up(struct kg_worker *worker)
{
    const struct kg_proxy_config *config = worker->config;
    struct kg_ring_config ring = {
        /* Each client may have an upstream connection, and some more idle in the pool. */
        .max_sockets = config->max_connections * 2 + 4096,
        .buffers = config->buffers,
        .buffer_size = config->buffer_size,
        .block_size = kg_worker_block_size(config),
        .wake_fd = worker->wake_fd,
    };
    int rc = kg_ring_init(&worker->ring, &ring, &worker->start_error);

    if (rc < 0)
        return rc;
    worker->ring.accepted = accepted;
    worker->ring.woken = woken;
    worker->ring.ctx = worker;
    rc = kg_worker_tls_open(worker, &worker->start_error);
    if (rc < 0)
        return rc;
    kg_wheel_init(&worker->wheel, kg_clock_ms());
    kg_worker_ready(worker);
    return 0;
}

/* Everything that can still be in flight gets its completion before the memory goes. */
static void tear_down(struct kg_worker *worker)
{
    worker->draining = true;
    for (struct kg_client *client = worker->clients, *next; client; client = next) {
        next = client->next;
        kg_client_abort(client);
    }
    kg_upstream_close_idle(worker);
    while (worker->ring.slots_used > 0)
        kg_ring_turn(&worker->ring, 100, refresh);
    kg_pool_forget_sessions(worker);
    kg_ring_free(&worker->ring);
    kg_worker_tls_close(worker);
    kg_worker_forget(worker);
}

static bool done(const struct kg_worker *worker)
{
    return worker->stopping || (worker->draining && worker->client_count == 0);
}

/*
 * Wakes the control thread for the first signal at once, in a flood of them once a millisecond: waking it in
 * every turn costs more than the requests that are refused.
 */
static void tell_control(struct kg_worker *worker)
{
    uint64_t one = 1;

    if (!worker->untold || worker->told_ms == worker->now_ms)
        return;
    worker->untold = false;
    worker->told_ms = worker->now_ms;
    if (write(worker->config->control_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it is being woken already */
}

static void run(struct kg_worker *worker)
{
    while (!done(worker)) {
        uint64_t wait = kg_wheel_next(&worker->wheel, kg_clock_ms(), worker->untold ? 1 : MAX_WAIT_MS);

        kg_ring_turn(&worker->ring, wait, refresh);
        kg_wheel_advance(&worker->wheel, worker->now_ms);
        tell_control(worker);
        atomic_store_explicit(&worker->stats.starved, worker->ring.stats.starved, memory_order_relaxed);
    }
}

static void *thread_main(void *arg)
{
    struct kg_worker *worker = arg;
    int rc = set_up(worker);

    atomic_store_explicit(&worker->started, rc < 0 ? rc : 1, memory_order_release);
    if (rc < 0)
        return NULL;
    run(worker);
    tear_down(worker);
    atomic_store_explicit(&worker->finished, true, memory_order_release);
    return NULL;
}

int kg_worker_start(struct kg_worker *worker, struct kg_snapshot *snapshot, struct kg_error *err)
{
    char name[16];

    atomic_store(&worker->published, snapshot);
    atomic_store(&worker->adopted, snapshot);
    worker->snapshot = snapshot;
    worker->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (worker->wake_fd < 0)
        return kg_error_set(err, errno, "cannot make an eventfd: %s", strerror(errno));
    int rc = pthread_create(&worker->thread, NULL, thread_main, worker);
    if (rc != 0)
        return kg_error_set(err, rc, "cannot start a worker thread: %s", strerror(rc));
    snprintf(name, sizeof(name), "kg-worker-%u", worker->index % 1000);
    pthread_setname_np(worker->thread, name);
    while ((rc = atomic_load_explicit(&worker->started, memory_order_acquire)) == 0)
        sched_yield();
    if (rc > 0)
        return 0;
    pthread_join(worker->thread, NULL);
    *err = worker->start_error;
    return rc;
}

void kg_worker_publish(struct kg_worker *worker, struct kg_snapshot *snapshot)
{
    atomic_store_explicit(&worker->published, snapshot, memory_order_release);
    kg_ring_wake(worker->wake_fd);
}

struct kg_snapshot *kg_worker_adopted(const struct kg_worker *worker)
{
    return atomic_load_explicit(&worker->adopted, memory_order_acquire);
}

void kg_worker_ban(struct kg_worker *worker, const struct kg_addr *source, uint64_t until_ms)
{
    uint32_t head = atomic_load_explicit(&worker->command_head, memory_order_relaxed);

    /* A lost command would leave somebody banned, or not: a burst waits for the worker, which never waits for
     * us. */
    while (head - atomic_load_explicit(&worker->command_tail, memory_order_acquire) >= KG_BAN_COMMANDS) {
        if (kg_worker_finished(worker))
            return;
        sched_yield();
    }
    worker->commands[head % KG_BAN_COMMANDS] =
        (struct kg_ban_command){ .source = *source, .until_ms = until_ms };
    atomic_store_explicit(&worker->command_head, head + 1, memory_order_release);
    kg_ring_wake(worker->wake_fd);
}

void kg_worker_accept(struct kg_worker *worker)
{
    atomic_store_explicit(&worker->accept, true, memory_order_release);
    kg_ring_wake(worker->wake_fd);
}

void kg_worker_drain(struct kg_worker *worker)
{
    atomic_store_explicit(&worker->drain, true, memory_order_release);
    kg_ring_wake(worker->wake_fd);
}

bool kg_worker_finished(const struct kg_worker *worker)
{
    return atomic_load_explicit(&worker->finished, memory_order_acquire);
}

void kg_worker_stop(struct kg_worker *worker)
{
    if (atomic_load(&worker->started) > 0) {
        atomic_store_explicit(&worker->stop, true, memory_order_release);
        kg_ring_wake(worker->wake_fd);
        pthread_join(worker->thread, NULL);
    }
    for (size_t i = 0; i < worker->config->listen_count; i++)
        close(worker->listeners[i]);
    if (worker->wake_fd >= 0)
        close(worker->wake_fd);
    kg_usage_table_free(&worker->usage);
    kg_banset_free(&worker->bans);
    free(worker->commands);
    free(worker);
}

void kg_worker_log(struct kg_worker *worker, void (*tell)(void *ctx, const char *notice), void *ctx)
{
    if (!atomic_load_explicit(&worker->notice_waits, memory_order_acquire))
        return;
    kg_log(KG_LOG_WARN, "%s", worker->notice);
    tell(ctx, worker->notice);
    atomic_store_explicit(&worker->notice_waits, false, memory_order_release);
}

struct kg_usage_table *kg_worker_usage(struct kg_worker *worker)
{
    return &worker->usage;
}

struct kg_key_uses *kg_worker_key_uses(struct kg_worker *worker)
{
    return &worker->key_uses;
}

struct kg_signal_queue *kg_worker_signals(struct kg_worker *worker)
{
    return &worker->signals;
}

const struct kg_worker_stats *kg_worker_stats(const struct kg_worker *worker)
{
    return &worker->stats;
}
