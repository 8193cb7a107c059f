/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/resolver.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wheel.h"

#include <ares.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_NAMES 65536
/* A burst of lookups must overrun neither the name server, nor its socket's buffer, nor the 16 bits of a
 * query id. */
#define MAX_ASKING 128
#define BUCKETS    4096

#define TTL_MIN_S        1
#define TTL_MAX_S        300
#define RETRY_MS         5000
#define QUERY_TIMEOUT_MS 2000 /* for the first try; c-ares doubles it for the next */
#define QUERY_TRIES      2
#define LONGEST_WAIT_MS  3600000

/*
 * One watched name. In turn: queued (waits for a free place) → asking (c-ares has it) → resting (the timer
 * runs). A forgotten name is out of the table; it is freed at once, or when c-ares or the owner's callback
 * lets go of it.
 */
struct name {
    struct kg_timer timer;
    TAILQ_ENTRY(name) queue;
    struct name *chain;
    struct kg_resolver *resolver;
    uint32_t generation; /* of the set that named it last */
    sa_family_t family;  /* asked for now */
    bool queued, asking, reporting, forgotten;
    bool lost;             /* reported so */
    bool failing;          /* logged so */
    struct kg_addr *addrs; /* owned; sorted, none twice */
    size_t addr_count;     /* 0: it has no address */
    char host[];
};

/* A descriptor of c-ares that the poller watches; freed when c-ares closes it. */
struct link {
    struct link *next;
    struct kg_resolver *resolver;
    int fd;
};

struct kg_resolver {
    struct kg_poller *poller;
    kg_resolver_changed changed;
    void *ctx;
    ares_channel channel;
    struct link *links;
    int timer; /* timerfd: the next timeout of c-ares or the next name that is due */
    uint32_t retry_ms;
    struct kg_wheel wheel;
    TAILQ_HEAD(queue, name) queue;
    struct name *buckets[BUCKETS];
    uint32_t names, asking;
    uint32_t generation, wanted,
        refused;  /* of the set that is told: its number, its size, what went over the limit */
    bool busy;    /* inside c-ares or the queue: what is asked meanwhile waits for the end of it */
    bool closing; /* answers are of no interest any more */
};

static struct name **bucket_of(struct kg_resolver *r, const char *host)
{
    uint32_t hash = 2166136261u; /* FNV-1a; the names come from the administrator, not from strangers */

    for (; *host; host++)
        hash = (hash ^ (unsigned char)*host) * 16777619u;
    return &r->buckets[(hash ^ hash >> 16) % BUCKETS];
}

static void enqueue(struct name *name)
{
    name->queued = true;
    TAILQ_INSERT_TAIL(&name->resolver->queue, name, queue);
}

static void dequeue(struct name *name)
{
    name->queued = false;
    TAILQ_REMOVE(&name->resolver->queue, name, queue);
}

static void rested(struct kg_timer *timer)
{
    struct name *name = (struct name *)(void *)((char *)timer - offsetof(struct name, timer));

    enqueue(name);
}

static void rest(struct name *name, uint64_t ms)
{
    name->family = AF_UNSPEC;
    kg_timer_set(&name->resolver->wheel, &name->timer, kg_clock_ms(), ms, rested);
}

static void free_name(struct name *name)
{
    free(name->addrs);
    free(name);
}

/* The name is out of the table already. */
static void forget(struct name *name)
{
    name->resolver->names--;
    name->forgotten = true;
    kg_timer_stop(&name->timer);
    if (name->queued)
        dequeue(name);
    if (!name->asking && !name->reporting)
        free_name(name);
}

/* Tells the owner; the last thing to do with a name, as the owner may have it forgotten meanwhile. */
static void report(struct name *name)
{
    struct kg_resolver *r = name->resolver;

    name->reporting = true;
    r->changed(r->ctx, name->host, name->addrs, name->addr_count);
    name->reporting = false;
    if (name->forgotten)
        free_name(name);
}

static void lose(struct name *name)
{
    bool known = name->lost;

    rest(name, name->resolver->retry_ms);
    name->lost = true;
    name->failing = false;
    name->addr_count = 0;
    if (!known)
        report(name);
}

/* The name server's trouble says nothing about the name, so the old addresses stay. */
static void keep(struct name *name, int status)
{
    rest(name, name->resolver->retry_ms);
    if (!name->failing)
        kg_log(KG_LOG_WARN, "cannot look up host name %s: %s; trying again", name->host,
               ares_strerror(status));
    name->failing = true;
}

static int compare_addresses(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct kg_addr));
}

/* The answer's addresses, sorted, none twice: name servers turn the order round in each answer, and of more
 * than there is room for the same ones must be left over each time. Owned by the caller. */
static struct kg_addr *list_addresses(const struct ares_addrinfo *answer, size_t *count)
{
    struct kg_addr *addrs;
    size_t total = 0, kept = 0;

    for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
        total++;
    addrs = kg_calloc(total, sizeof(*addrs));
    total = 0;
    for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
        addrs[total++] = kg_addr_from_sockaddr(node->ai_addr);
    qsort(addrs, total, sizeof(*addrs), compare_addresses);
    for (size_t i = 0; i < total; i++) {
        if (addrs[i].family != 0 && (kept == 0 || !kg_addr_eq(&addrs[i], &addrs[kept - 1])))
            addrs[kept++] = addrs[i];
    }
    *count = kept < KG_RESOLVER_ADDRESSES ? kept : KG_RESOLVER_ADDRESSES;
    return addrs;
}

/* How long the answer holds: as long as the shortest-lived record on the way to it. */
static uint64_t answer_ttl(const struct ares_addrinfo *answer)
{
    int ttl = TTL_MAX_S;

    for (const struct ares_addrinfo_cname *cname = answer->cnames; cname; cname = cname->next)
        ttl = cname->ttl < ttl ? cname->ttl : ttl;
    for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
        ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
    return (uint64_t)(ttl > TTL_MIN_S ? ttl : TTL_MIN_S);
}

static void take(struct name *name, const struct ares_addrinfo *answer)
{
    size_t count;
    struct kg_addr *addrs = list_addresses(answer, &count);

    rest(name, answer_ttl(answer) * 1000);
    name->lost = false;
    name->failing = false;
    if (count == name->addr_count && memcmp(addrs, name->addrs, count * sizeof(*addrs)) == 0) {
        free(addrs);
        return;
    }
    free(name->addrs);
    name->addrs = addrs;
    name->addr_count = count;
    report(name);
}

static bool usable(const struct ares_addrinfo *answer)
{
    return answer && answer->nodes &&
           (answer->nodes->ai_family == AF_INET || answer->nodes->ai_family == AF_INET6);
}

static bool says_absent(int status)
{
    return status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_EBADNAME;
}

static void conclude(struct name *name, int status, const struct ares_addrinfo *answer)
{
    if (status == ARES_SUCCESS && usable(answer)) {
        take(name, answer);
        return;
    }
    if (status != ARES_SUCCESS && !says_absent(status)) {
        keep(name, status);
        return;
    }
    if (name->family == AF_INET) {
        name->family = AF_INET6;
        enqueue(name);
        return;
    }
    lose(name);
}

/* c-ares calls it exactly once for each question, sometimes before ares_getaddrinfo() has returned. */
static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
    struct name *name = arg;

    name->asking = false;
    name->resolver->asking--;
    if (name->forgotten)
        free_name(name);
    else if (!name->resolver->closing)
        conclude(name, status, answer);
    if (answer)
        ares_freeaddrinfo(answer);
}

/*
 * RFC 6761, section 6.3: localhost and what ends in it are the loopback address, whoever says otherwise, and
 * nobody is asked. c-ares 1.18 also says so of localhost where the hosts file does not, but each time it
 * loses the ten bytes of the name.
 */
static bool is_localhost(const char *host)
{
    static const char localhost[] = "localhost";
    size_t len = strlen(host), tail = sizeof(localhost) - 1;

    if (len < tail || strcmp(host + len - tail, localhost) != 0)
        return false;
    return len == tail || host[len - tail - 1] == '.';
}

/*
 * IPv4 first, IPv6 only when there is none: most upstreams are reached by IPv4. Two questions in turn instead
 * of one for both, because c-ares 1.18 reports only the outcome of the one that ends last: a server that
 * fails on A and has no AAAA would look like a name that is gone. A colon can only be an IPv6 literal.
 */
static void ask(struct name *name)
{
    struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM };

    dequeue(name);
    if (name->family == AF_UNSPEC)
        name->family = strchr(name->host, ':') ? AF_INET6 : AF_INET;
    hints.ai_family = name->family;
    name->asking = true;
    name->resolver->asking++;
    ares_getaddrinfo(name->resolver->channel, is_localhost(name->host) ? "127.0.0.1" : name->host, NULL,
                     &hints, answered, name);
}

/* Sets the timer to what comes first: a name that is due or a timeout inside c-ares. */
static void arm(struct kg_resolver *r)
{
    uint64_t wait = kg_wheel_next(&r->wheel, kg_clock_ms(), LONGEST_WAIT_MS);
    struct itimerspec when = { 0 };
    struct timeval tv;

    if (r->asking > 0 && ares_timeout(r->channel, NULL, &tv)) {
        uint64_t timeout = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1;

        wait = timeout < wait ? timeout : wait;
    }
    if (wait == 0)
        wait = 1; /* zero would disarm it */
    when.it_value.tv_sec = (time_t)(wait / 1000);
    when.it_value.tv_nsec = (long)(wait % 1000) * 1000000;
    KG_ASSERT(timerfd_settime(r->timer, 0, &when, NULL) == 0);
}

/* Asks for what waits, as far as there is room, then sleeps until something is due. Ends every entry into
 * this file. */
static void settle(struct kg_resolver *r)
{
    if (r->busy)
        return;
    r->busy = true;
    while (r->asking < MAX_ASKING && !TAILQ_EMPTY(&r->queue))
        ask(TAILQ_FIRST(&r->queue));
    r->busy = false;
    arm(r);
}

static void socket_ready(void *ctx, uint32_t events)
{
    struct link *link = ctx; /* gone when c-ares closes the descriptor in there */
    struct kg_resolver *r = link->resolver;
    bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & (EPOLLOUT | EPOLLERR | EPOLLHUP);

    r->busy = true;
    ares_process_fd(r->channel, in ? link->fd : ARES_SOCKET_BAD, out ? link->fd : ARES_SOCKET_BAD);
    r->busy = false;
    settle(r);
}

static void time_over(void *ctx, uint32_t events)
{
    struct kg_resolver *r = ctx;
    uint64_t expirations;

    if (read(r->timer, &expirations, sizeof(expirations)) < 0)
        return; /* EAGAIN: it was set anew after epoll had seen it */
    r->busy = true;
    kg_wheel_advance(&r->wheel, kg_clock_ms());
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    r->busy = false;
    settle(r);
}

/* c-ares says what it wants to know about a descriptor; nothing means that it is about to close it. */
static void socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct kg_resolver *r = arg;
    uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);
    struct link **at = &r->links, *link;
    int rc;

    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    link = *at;
    if (!events) {
        if (!link)
            return;
        kg_poller_remove(r->poller, fd);
        *at = link->next;
        free(link);
        return;
    }
    if (link) {
        rc = kg_poller_modify(r->poller, fd, events);
    } else {
        *at = link = kg_calloc(1, sizeof(*link));
        *link = (struct link){ .resolver = r, .fd = fd };
        rc = kg_poller_add(r->poller, fd, events, socket_ready, link);
    }
    if (rc) /* the questions on it will time out and be asked again */
        kg_log(KG_LOG_WARN, "cannot watch a name server's socket: %s", strerror(-rc));
}

static int open_channel(struct kg_resolver *r, int timeout_ms, struct kg_error *err)
{
    struct ares_options options = {
        .timeout = timeout_ms, .tries = QUERY_TRIES, .sock_state_cb = socket_state, .sock_state_cb_data = r
    };
    int status = ares_init_options(&r->channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);

    if (status != ARES_SUCCESS)
        return kg_error_set(err, status == ARES_ENOMEM ? ENOMEM : EIO,
                            "cannot start the host name resolver: %s", ares_strerror(status));
    return 0;
}

static int open_timer(struct kg_resolver *r, struct kg_error *err)
{
    int rc;

    r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (r->timer < 0)
        return kg_error_set(err, errno, "cannot make a timer for the host name resolver: %s",
                            strerror(errno));
    rc = kg_poller_add(r->poller, r->timer, EPOLLIN, time_over, r);
    if (!rc)
        return 0;
    close(r->timer);
    return kg_error_set(err, -rc, "cannot watch the host name resolver's timer: %s", strerror(-rc));
}

int kg_resolver_new(struct kg_poller *poller, kg_resolver_changed changed, void *ctx,
                    struct kg_resolver **resolver, struct kg_error *err)
{
    struct kg_resolver *r;
    int rc = ares_library_init(ARES_LIB_INIT_ALL);

    if (rc != ARES_SUCCESS)
        return kg_error_set(err, EIO, "cannot start the host name resolver: %s", ares_strerror(rc));
    r = kg_calloc(1, sizeof(*r));
    r->poller = poller;
    r->changed = changed;
    r->ctx = ctx;
    r->retry_ms = RETRY_MS;
    kg_wheel_init(&r->wheel, kg_clock_ms());
    TAILQ_INIT(&r->queue);
    rc = open_channel(r, QUERY_TIMEOUT_MS, err);
    if (rc)
        goto fail;
    rc = open_timer(r, err);
    if (rc)
        goto fail_channel;
    *resolver = r;
    return 0;

fail_channel:
    ares_destroy(r->channel);
fail:
    ares_library_cleanup();
    free(r);
    return rc;
}

/* Forgets the names that the present generation does not hold. */
static void sweep(struct kg_resolver *r)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct name **at = &r->buckets[i];

        while (*at) {
            struct name *name = *at;

            if (name->generation == r->generation) {
                at = &name->chain;
                continue;
            }
            *at = name->chain;
            forget(name);
        }
    }
}

void kg_resolver_free(struct kg_resolver *resolver)
{
    if (!resolver)
        return;
    KG_ASSERT(!resolver->busy);
    resolver->closing = true;
    resolver->generation++;
    sweep(resolver);
    ares_destroy(resolver->channel); /* answers the open questions, which frees their names */
    KG_ASSERT(resolver->names == 0 && resolver->asking == 0 && !resolver->links);
    kg_poller_remove(resolver->poller, resolver->timer);
    close(resolver->timer);
    ares_library_cleanup();
    free(resolver);
}

void kg_resolver_begin(struct kg_resolver *resolver)
{
    resolver->generation++;
    resolver->wanted = resolver->refused = 0;
}

void kg_resolver_watch(struct kg_resolver *resolver, const char *host)
{
    struct name **bucket = bucket_of(resolver, host), *name = *bucket;
    size_t len = strlen(host);

    while (name && strcmp(name->host, host) != 0)
        name = name->chain;
    if (name && name->generation == resolver->generation)
        return;
    if (resolver->wanted >= MAX_NAMES) {
        resolver->refused++;
        return;
    }
    resolver->wanted++;
    if (name) {
        name->generation = resolver->generation;
        return;
    }
    name = kg_calloc(1, sizeof(*name) + len + 1);
    memcpy(name->host, host, len + 1);
    name->resolver = resolver;
    name->generation = resolver->generation;
    name->chain = *bucket;
    *bucket = name;
    resolver->names++;
    enqueue(name);
}

void kg_resolver_commit(struct kg_resolver *resolver)
{
    sweep(resolver);
    if (resolver->refused > 0)
        kg_log(KG_LOG_WARN, "%u host names are not looked up: only %d can be", resolver->refused, MAX_NAMES);
    settle(resolver);
}
