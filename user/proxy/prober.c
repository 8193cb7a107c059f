/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/prober.h"

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/writer.h"
#include "io/listen.h"
#include "proxy/health.h"
#include "proxy/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#define TICK_MS 50

/* One peer under watch. */
struct watched {
    struct check *check;
    struct kg_peer *peer;
    bool unhealthy;      /* as the log has it */
    uint64_t started_ms; /* the last probe; 0: none yet */
    struct kg_probe_run *run;
    struct sockaddr_storage addr;
    char *name; /* "host (address:port)" for the log */
    char *request;
    char *tls_name;
    struct kg_probe_question question;
};

/* One balancer, as far as its peers need it. */
struct check {
    struct kg_prober *prober;
    uint64_t number;
    char *upstream;
    struct kg_health_rules rules;
    bool https, verify;
    uint32_t timeout_ms, concurrency, healthy_interval_ms, unhealthy_interval_ms;
    uint32_t running;
    size_t turn; /* whose turn it is to be probed */
    size_t count;
    struct watched *watched; /* by the peers' numbers */
};

struct check_list {
    struct check **items;
    size_t count, capacity;
};

struct kg_prober {
    struct kg_poller *poller;
    SSL_CTX *tls;
    struct check_list checks, next; /* next: between begin and commit */
    size_t at;                      /* where in `checks` the last known one was found */
    size_t turn;                    /* which of `checks` probes first */
    uint32_t running;
};

/* ---- probes ---- */

static bool is_unhealthy(const struct watched *watched)
{
    return atomic_load_explicit(&watched->peer->unhealthy, memory_order_relaxed);
}

static void stopped_running(struct watched *watched)
{
    watched->run = NULL;
    watched->check->running--;
    watched->check->prober->running--;
}

static void cancel(struct watched *watched)
{
    if (!watched->run)
        return;
    kg_probe_cancel(watched->run);
    stopped_running(watched);
}

static void probed(void *ctx, enum kg_probe_result result, unsigned status)
{
    struct watched *watched = ctx;
    const struct kg_health_rules *rules = &watched->check->rules;

    stopped_running(watched);
    if (result == KG_PROBE_CONNECTED)
        kg_health_succeeded(rules, watched->peer);
    else if (result == KG_PROBE_ANSWERED)
        kg_health_answered(rules, watched->peer, status);
    else
        kg_health_failed(rules, watched->peer, KG_FAILED_TCP);
}

static void start_probe(struct watched *watched, uint64_t now)
{
    struct check *check = watched->check;
    int rc = kg_probe_start(&watched->question, &watched->run);

    if (rc == -EAGAIN) /* our own want: tried again at the next tick */
        return;
    watched->started_ms = now;
    if (rc < 0) {
        kg_health_failed(&check->rules, watched->peer, KG_FAILED_TCP);
        return;
    }
    check->running++;
    check->prober->running++;
}

static bool is_due(const struct watched *watched, uint64_t now)
{
    const struct check *check = watched->check;
    uint32_t interval = is_unhealthy(watched) ? check->unhealthy_interval_ms : check->healthy_interval_ms;

    return interval > 0 && now >= watched->started_ms + interval;
}

static void end_if_late(struct watched *watched, uint64_t now)
{
    struct check *check = watched->check;

    if (!watched->run || now < watched->started_ms + check->timeout_ms)
        return;
    cancel(watched);
    kg_health_failed(&check->rules, watched->peer, KG_FAILED_TIMEOUT);
}

static bool has_room(const struct check *check)
{
    return check->running < check->concurrency && check->prober->running < KG_PROBES_MAX;
}

/* Who finds no room is the first one the next time: else those that never answer, and are due again as soon
 * as they are given up, would keep all places. False when somebody has to wait. */
static bool start_due(struct check *check, uint64_t now)
{
    size_t turn = check->turn;

    for (size_t i = 0; i < check->count; i++) {
        size_t at = (turn + i) % check->count;
        struct watched *watched = &check->watched[at];

        if (watched->run || !is_due(watched, now))
            continue;
        if (!has_room(check)) {
            check->turn = at;
            return false;
        }
        start_probe(watched, now);
    }
    return true;
}

/* All that are late are given up before anybody begins, and balancers take turns too. */
static void probe_all(struct kg_prober *prober, uint64_t now)
{
    size_t turn = prober->turn, count = prober->checks.count;

    for (size_t i = 0; i < count; i++) {
        struct check *check = prober->checks.items[i];

        for (size_t k = 0; k < check->count; k++)
            end_if_late(&check->watched[k], now);
    }
    for (size_t i = 0; i < count && prober->running < KG_PROBES_MAX; i++) {
        size_t at = (turn + i) % count;

        if (!start_due(prober->checks.items[at], now) && prober->running >= KG_PROBES_MAX)
            prober->turn = at + 1;
    }
}

/* ---- the log ---- */

static void say_changes(struct watched *watched)
{
    const struct kg_peer *peer = watched->peer;
    bool unhealthy = is_unhealthy(watched);

    if (unhealthy == watched->unhealthy)
        return;
    watched->unhealthy = unhealthy;
    if (!unhealthy) {
        kg_log(KG_LOG_INFO, "upstream %s: %s is healthy again", watched->check->upstream, watched->name);
        return;
    }
    kg_log(
        KG_LOG_WARN,
        "upstream %s: %s is unhealthy and gets no requests (in a row: %u bad statuses, %u broken or refused "
        "connections, %u timeouts)",
        watched->check->upstream, watched->name,
        atomic_load_explicit(&peer->http_failures, memory_order_relaxed),
        atomic_load_explicit(&peer->tcp_failures, memory_order_relaxed),
        atomic_load_explicit(&peer->timeouts, memory_order_relaxed));
}

static void tick(void *ctx, uint32_t events)
{
    struct kg_prober *prober = ctx;

    probe_all(prober, kg_clock_ms());
    for (size_t i = 0; i < prober->checks.count; i++) {
        struct check *check = prober->checks.items[i];

        for (size_t k = 0; k < check->count; k++)
            say_changes(&check->watched[k]);
    }
}

/* ---- what is watched ---- */

static char *copy_slice(struct kg_slice s)
{
    return kg_strndup(s.len ? s.ptr : "", s.len);
}

static char *make_name(const struct kg_endpoint *endpoint)
{
    struct kg_listen_addr at = {
        .addr = kg_addr_from_sockaddr((const struct sockaddr *)&endpoint->addr),
        /* The port lies in the same place for both families. */
        .port = ntohs(((const struct sockaddr_in *)&endpoint->addr)->sin_port),
    };
    char address[KG_ADDR_TEXT], text[512];
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    kg_put(&w, endpoint->host);
    KG_PUT(&w, " (");
    kg_put(&w, kg_slice_str(kg_listen_text(&at, address)));
    KG_PUT(&w, ")");
    return kg_strndup(text, w.len);
}

static void make_request(struct watched *watched, const struct kg_balancer *balancer,
                         const struct kg_endpoint *endpoint)
{
    const struct kg_probe *probe = &balancer->probe;
    struct kg_slice host = balancer->host_header.len ? balancer->host_header : endpoint->host_header;
    size_t size = probe->path.len + host.len + probe->headers.len + 256;
    struct kg_writer w;

    watched->request = kg_calloc(1, size);
    w = kg_writer_of(watched->request, size);
    KG_PUT(&w, "GET ");
    kg_put(&w, probe->path.len ? probe->path : KG_SLICE("/"));
    KG_PUT(&w, " HTTP/1.1\r\n");
    KG_PUT(&w, "Host: ");
    kg_put(&w, host);
    KG_PUT(&w, "\r\nUser-Agent: keygate\r\nConnection: close\r\n");
    kg_put(&w, probe->headers);
    KG_PUT(&w, "\r\n");
    watched->question.bytes = kg_writer_slice(&w);
}

static void begin_watch(struct watched *watched, struct check *check, const struct kg_balancer *balancer,
                        const struct kg_endpoint *endpoint)
{
    watched->check = check;
    watched->peer = endpoint->peer;
    watched->addr = endpoint->addr;
    watched->name = make_name(endpoint);
    watched->tls_name =
        copy_slice(balancer->probe.sni.len ? balancer->probe.sni : kg_endpoint_name(endpoint));
    watched->question = (struct kg_probe_question){
        .poller = check->prober->poller,
        .addr = (const struct sockaddr *)&watched->addr,
        .addr_len = endpoint->addr_len,
        .tls = check->https ? check->prober->tls : NULL,
        .tls_name = watched->tls_name,
        .tls_verify = check->verify,
        .done = probed,
        .ctx = watched,
    };
    if (!check->rules.tcp_only)
        make_request(watched, balancer, endpoint);
}

/* By the peers' numbers; of one peer the endpoint that comes first. */
static int older_peer_first(const void *left, const void *right)
{
    const struct kg_endpoint *a = *(const struct kg_endpoint *const *)left,
                             *b = *(const struct kg_endpoint *const *)right;

    if (a->peer->number != b->peer->number)
        return a->peer->number < b->peer->number ? -1 : 1;
    return (a > b) - (a < b);
}

/* Two targets may mean one address, which is watched once. */
static void watch_all(struct check *check, const struct kg_balancer *balancer)
{
    const struct kg_endpoint **list = kg_calloc(balancer->endpoint_count, sizeof(*list));
    size_t count = 0;

    for (size_t i = 0; i < balancer->endpoint_count; i++) {
        if (balancer->endpoints[i].peer)
            list[count++] = &balancer->endpoints[i];
    }
    if (count > 0)
        qsort(list, count, sizeof(*list), older_peer_first);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || list[i]->peer != list[i - 1]->peer)
            begin_watch(&check->watched[check->count++], check, balancer, list[i]);
    }
    free(list);
}

static struct watched *find_watched(const struct check *check, const struct kg_peer *peer)
{
    size_t low = 0, high = check->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (check->watched[middle].peer->number < peer->number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < check->count && check->watched[low].peer == peer ? &check->watched[low] : NULL;
}

static struct check *check_new(struct kg_prober *prober, const struct kg_balancer *balancer)
{
    const struct kg_probe *probe = &balancer->probe;
    struct check *check = kg_calloc(1, sizeof(*check));

    *check = (struct check){
        .prober = prober,
        .number = balancer->number,
        .upstream = copy_slice(balancer->name),
        .rules = balancer->active,
        .https = probe->https,
        .verify = probe->https_verify,
        .timeout_ms = probe->timeout_ms,
        .concurrency = probe->concurrency > 0 ? probe->concurrency : 1,
        .healthy_interval_ms = probe->healthy_interval_ms,
        .unhealthy_interval_ms = probe->unhealthy_interval_ms,
        .watched = kg_calloc(balancer->endpoint_count, sizeof(struct watched)),
    };
    watch_all(check, balancer);
    return check;
}

static void check_free(struct check *check)
{
    for (size_t i = 0; i < check->count; i++) {
        struct watched *watched = &check->watched[i];

        cancel(watched);
        free(watched->name);
        free(watched->request);
        free(watched->tls_name);
    }
    free(check->watched);
    free(check->upstream);
    free(check);
}

static void list_put(struct check_list *list, struct check *check)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->items = kg_realloc(list->items, list->capacity, sizeof(struct check *));
    }
    list->items[list->count++] = check;
}

/* A known balancer's check, taken out of the list. Balancers come in the same order each time, so it is
 * looked for behind the last one found first. */
static struct check *take_known(struct kg_prober *prober, uint64_t number)
{
    struct check_list *list = &prober->checks;

    for (size_t i = 0; i < list->count; i++) {
        size_t at = (prober->at + i) % list->count;
        struct check *check = list->items[at];

        if (!check || check->number != number)
            continue;
        list->items[at] = NULL;
        prober->at = at + 1;
        return check;
    }
    return NULL;
}

void kg_prober_begin(struct kg_prober *prober)
{
    prober->at = 0;
}

void kg_prober_add(void *ctx, const struct kg_balancer *balancer)
{
    struct kg_prober *prober = ctx;
    struct check *check = take_known(prober, balancer->number);

    list_put(&prober->next, check ? check : check_new(prober, balancer));
}

/* A probe that runs goes on: else an upstream that changes more often than its probes take would never learn
 * that somebody is silent. */
static void take_over_run(struct watched *from, struct watched *to)
{
    if (!from->run || !kg_probe_same(&from->question, &to->question))
        return;
    to->run = from->run;
    kg_probe_hand_over(to->run, &to->question);
    from->run = NULL;
    from->check->running--;
    to->check->running++;
}

/* What is known of a peer stays known when its upstream gets other rules or other neighbours. */
static void inherit(struct kg_prober *prober, struct watched *from)
{
    for (size_t i = 0; i < prober->next.count; i++) {
        struct watched *to = find_watched(prober->next.items[i], from->peer);

        if (!to)
            continue;
        to->unhealthy = from->unhealthy;
        to->started_ms = from->started_ms;
        if (from == &from->check->watched[from->check->turn])
            to->check->turn = (size_t)(to - to->check->watched);
        take_over_run(from, to);
        return;
    }
}

void kg_prober_commit(struct kg_prober *prober)
{
    struct check_list old = prober->checks;

    for (size_t i = 0; i < old.count; i++) {
        if (!old.items[i])
            continue;
        for (size_t k = 0; k < old.items[i]->count; k++)
            inherit(prober, &old.items[i]->watched[k]);
        check_free(old.items[i]);
    }
    prober->checks = prober->next;
    prober->next = (struct check_list){ 0 };
    free(old.items);
}

int kg_prober_new(struct kg_poller *poller, X509_STORE *trusted, struct kg_prober **out, struct kg_error *err)
{
    struct kg_prober *prober = kg_calloc(1, sizeof(*prober));

    prober->poller = poller;
    prober->tls = kg_tls_client_new(TLS1_2_VERSION, err);
    if (!prober->tls) {
        kg_prober_free(prober);
        return -ENOMEM;
    }
    if (trusted)
        SSL_CTX_set1_cert_store(prober->tls, trusted);
    int rc = kg_poller_every(poller, TICK_MS, tick, prober);
    if (rc < 0) {
        kg_prober_free(prober);
        return kg_error_set(err, -rc, "cannot make a timer for health checks: %s", strerror(-rc));
    }
    *out = prober;
    return 0;
}

void kg_prober_free(struct kg_prober *prober)
{
    for (size_t i = 0; i < prober->checks.count; i++)
        check_free(prober->checks.items[i]);
    free(prober->checks.items);
    SSL_CTX_free(prober->tls);
    free(prober);
}
