/* SPDX-License-Identifier: BSD-2-Clause */
/* The resolver against a name server of the test's own, run on the same poller. The source is included to
 * reach its statics. */
#include "io/resolver.c" // NOLINT(bugprone-suspicious-include)

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define PATIENCE_MS 10000
#define ZONE        8
#define ANSWER_MAX  4096 /* c-ares takes as much by UDP */

enum kind { NO_SUCH_NAME, DATA, EMPTY, FAILURE, SILENCE, TRUNCATED };

struct reply {
    enum kind kind;
    uint32_t ttl;
    const char *addrs[4];
    unsigned many; /* instead of addrs: so many of 198.51.100.0/24, the order turned round in each answer */
    unsigned asked;
};

struct record {
    const char *name;
    struct reply v4, v6;
};

struct fixture {
    struct kg_poller *poller;
    struct kg_resolver *resolver;
    int udp, tcp, conn;
    unsigned asked, asked_by_tcp;
    struct record zone[ZONE];
    bool answers_many; /* every name below many.test has an address */
    /* What was reported. */
    unsigned reports, most_asking;
    char host[64], addr[1024];       /* addr: all of them with blanks between */
    void (*then)(struct fixture *f); /* run inside the report */
};

static struct fixture fix;

#define WAIT_FOR(cond)                                                                                       \
    do {                                                                                                     \
        uint64_t limit_ = kg_clock_ms() + PATIENCE_MS;                                                       \
        while (!(cond)) {                                                                                    \
            assert_true(kg_clock_ms() < limit_);                                                             \
            kg_poller_step(fix.poller, 20);                                                                  \
        }                                                                                                    \
    } while (0)

/* --- the name server --- */

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* The question's name as dotted text; returns the length of the question section. */
static size_t read_question(const uint8_t *query, size_t len, char *name, size_t size, unsigned *type)
{
    size_t at = 12, out = 0;

    assert_true(len > 17);
    while (query[at]) {
        size_t label = query[at++];

        assert_true(at + label + 5 <= len && out + label + 2 <= size);
        if (out)
            name[out++] = '.';
        memcpy(name + out, query + at, label);
        out += label;
        at += label;
    }
    name[out] = '\0';
    *type = (unsigned)query[at + 1] << 8 | query[at + 2];
    return at + 5 - 12;
}

static struct reply *find_reply(const char *name, unsigned type)
{
    static struct reply nothing;
    static struct reply many = { .kind = DATA, .ttl = 300, .addrs = { "192.0.2.99" } };
    size_t len = strlen(name);

    for (size_t i = 0; i < ZONE; i++) {
        if (fix.zone[i].name && strcmp(fix.zone[i].name, name) == 0)
            return type == 28 ? &fix.zone[i].v6 : &fix.zone[i].v4;
    }
    if (fix.answers_many && type == 1 && len > 9 && strcmp(name + len - 9, "many.test") == 0)
        return &many;
    nothing = (struct reply){ 0 };
    return &nothing;
}

static bool has_address(const struct reply *reply, unsigned i)
{
    return reply->many ? i < reply->many : i < 4 && reply->addrs[i];
}

static void address_text(const struct reply *reply, unsigned i, char *text, size_t size)
{
    if (reply->many)
        snprintf(text, size, "198.51.100.%u", 1 + (i + reply->asked * 7) % reply->many);
    else
        snprintf(text, size, "%s", reply->addrs[i]);
}

/* Writes the answer, 0 for none at all. out has ANSWER_MAX bytes. */
static size_t answer_query(const uint8_t *query, size_t len, bool tcp, uint8_t *out)
{
    static const unsigned flags[] = { 0x8183, 0x8180, 0x8180, 0x8182, 0, 0x8380 };
    char name[256];
    unsigned type, count = 0;
    size_t question = read_question(query, len, name, sizeof(name), &type), at = 12 + question;
    struct reply *reply = find_reply(name, type);
    enum kind kind = reply->kind == TRUNCATED && tcp ? DATA : reply->kind;

    reply->asked++;
    fix.asked++;
    fix.asked_by_tcp += tcp;
    if (kind == SILENCE)
        return 0;
    memset(out, 0, 12);
    memcpy(out, query, 2);
    memcpy(out + 12, query + 12, question);
    put16(out + 2, flags[kind]);
    put16(out + 4, 1);
    for (; kind == DATA && has_address(reply, count); count++) {
        unsigned width = type == 28 ? 16 : 4;
        char text[INET6_ADDRSTRLEN];

        put16(out + at, 0xc00c); /* the question's name */
        put16(out + at + 2, type);
        put16(out + at + 4, 1);
        put16(out + at + 6, reply->ttl >> 16);
        put16(out + at + 8, reply->ttl & 0xffff);
        put16(out + at + 10, width);
        address_text(reply, count, text, sizeof(text));
        assert_int_equal(inet_pton(type == 28 ? AF_INET6 : AF_INET, text, out + at + 12), 1);
        at += 12 + width;
    }
    put16(out + 6, count);
    return at;
}

static void serve_udp(void *ctx, uint32_t events)
{
    uint8_t query[512], out[ANSWER_MAX];
    struct sockaddr_in peer;
    socklen_t peer_len = sizeof(peer);
    ssize_t len = recvfrom(fix.udp, query, sizeof(query), 0, (struct sockaddr *)&peer, &peer_len);
    size_t answer;

    assert_true(len > 0);
    answer = answer_query(query, (size_t)len, false, out);
    if (answer > 0)
        assert_true(sendto(fix.udp, out, answer, 0, (struct sockaddr *)&peer, peer_len) == (ssize_t)answer);
}

static void serve_conn(void *ctx, uint32_t events)
{
    uint8_t query[512], out[ANSWER_MAX + 2];
    ssize_t len = recv(fix.conn, query, sizeof(query), 0);
    size_t answer;

    if (len <= 0) {
        kg_poller_remove(fix.poller, fix.conn);
        close(fix.conn);
        fix.conn = -1;
        return;
    }
    /* Loopback delivers these few bytes whole. */
    assert_true(len > 2 && (query[0] << 8 | query[1]) == len - 2);
    answer = answer_query(query + 2, (size_t)len - 2, true, out + 2);
    put16(out, (unsigned)answer);
    assert_true(send(fix.conn, out, answer + 2, MSG_NOSIGNAL) == (ssize_t)answer + 2);
}

static void accept_conn(void *ctx, uint32_t events)
{
    assert_int_equal(fix.conn, -1);
    fix.conn = accept4(fix.tcp, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fix.conn >= 0);
    assert_int_equal(kg_poller_add(fix.poller, fix.conn, EPOLLIN, serve_conn, NULL), 0);
}

/* UDP and TCP on one free port; the port. */
static unsigned open_server(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(addr);

    fix.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fix.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fix.tcp >= 0 && fix.udp >= 0);
    assert_int_equal(bind(fix.tcp, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fix.tcp, 8), 0);
    assert_int_equal(getsockname(fix.tcp, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(bind(fix.udp, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(kg_poller_add(fix.poller, fix.udp, EPOLLIN, serve_udp, NULL), 0);
    assert_int_equal(kg_poller_add(fix.poller, fix.tcp, EPOLLIN, accept_conn, NULL), 0);
    return ntohs(addr.sin_port);
}

/* --- the fixture --- */

static void note_change(void *ctx, const char *host, const struct kg_addr *addrs, size_t count)
{
    struct fixture *f = ctx;
    void (*then)(struct fixture *) = f->then;
    char text[KG_ADDR_TEXT];

    f->reports++;
    snprintf(f->host, sizeof(f->host), "%s", host);
    snprintf(f->addr, sizeof(f->addr), "%s", count > 0 ? "" : "lost");
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(f->addr);

        snprintf(f->addr + len, sizeof(f->addr) - len, "%s%s", i > 0 ? " " : "",
                 kg_addr_text(&addrs[i], text));
    }
    if (f->resolver->asking > f->most_asking)
        f->most_asking = f->resolver->asking;
    f->then = NULL;
    if (then)
        then(f);
}

static int set_up(void **state)
{
    char server[32];

    fix = (struct fixture){ .conn = -1 };
    kg_log_set_level(KG_LOG_ERROR);
    assert_int_equal(kg_poller_new(&fix.poller, NULL), 0);
    assert_int_equal(kg_resolver_new(fix.poller, note_change, &fix, &fix.resolver, NULL), 0);
    /* The same channel with a test's patience: 100 ms, then 200 ms for the second try. */
    ares_destroy(fix.resolver->channel);
    assert_int_equal(open_channel(fix.resolver, 100, NULL), 0);
    fix.resolver->retry_ms = 50;
    snprintf(server, sizeof(server), "127.0.0.1:%u", open_server());
    assert_int_equal(ares_set_servers_ports_csv(fix.resolver->channel, server), ARES_SUCCESS);
    return 0;
}

static int tear_down(void **state)
{
    kg_resolver_free(fix.resolver);
    if (fix.conn >= 0)
        close(fix.conn);
    close(fix.tcp);
    close(fix.udp);
    kg_poller_free(fix.poller);
    return 0;
}

static void watch_only(const char *host)
{
    kg_resolver_begin(fix.resolver);
    if (host)
        kg_resolver_watch(fix.resolver, host);
    kg_resolver_commit(fix.resolver);
}

static struct record *serve(size_t i, const char *name, struct reply v4, struct reply v6)
{
    fix.zone[i] = (struct record){ .name = name, .v4 = v4, .v6 = v6 };
    return &fix.zone[i];
}

#define REPLY(...) ((struct reply){ __VA_ARGS__ })

static void assert_reported(unsigned reports, const char *host, const char *addr)
{
    assert_int_equal(fix.reports, reports);
    assert_string_equal(fix.host, host);
    assert_string_equal(fix.addr, addr);
}

/* After two more questions the outcome of the first of them has been worked in. */
static void let_answers_pass(const struct reply *reply)
{
    unsigned asked = reply->asked;

    WAIT_FOR(reply->asked >= asked + 2);
}

/* --- the tests --- */

static void localhost_and_what_ends_in_it_are_the_loopback_address(void **state)
{
    watch_only("localhost");
    assert_reported(1, "localhost", "127.0.0.1");
    watch_only("app.localhost");
    assert_reported(2, "app.localhost", "127.0.0.1");
    assert_int_equal(fix.asked, 0);
}

static void a_name_that_only_looks_like_localhost_is_asked_for(void **state)
{
    serve(0, "notlocalhost", REPLY(DATA, 300, { "192.0.2.1" }), REPLY(EMPTY));
    watch_only("notlocalhost");
    WAIT_FOR(fix.reports > 0);
    assert_reported(1, "notlocalhost", "192.0.2.1");
}

static void a_literal_is_its_own_address(void **state)
{
    watch_only("192.0.2.200");
    WAIT_FOR(fix.reports > 0);
    assert_reported(1, "192.0.2.200", "192.0.2.200");
    watch_only("2001:db8::5");
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "2001:db8::5", "2001:db8::5");
    assert_int_equal(fix.asked, 0);
}

static void a_name_that_does_not_exist_is_reported_lost_once(void **state)
{
    struct record *gone = serve(0, "nowhere.invalid", REPLY(NO_SUCH_NAME), REPLY(NO_SUCH_NAME));

    watch_only("nowhere.invalid");
    WAIT_FOR(fix.reports > 0);
    assert_reported(1, "nowhere.invalid", "lost");
    let_answers_pass(&gone->v6);
    assert_int_equal(fix.reports, 1);
}

static void a_name_that_no_query_can_hold_is_reported_lost(void **state)
{
    char label[80] = { 0 };

    memset(label, 'x', 70); /* a label has 63 bytes at most */
    watch_only(label);
    WAIT_FOR(fix.reports > 0);
    assert_int_equal(fix.reports, 1);
    assert_string_equal(fix.addr, "lost");
    assert_int_equal(fix.asked, 0);
}

static void a_new_address_is_seen_when_the_ttl_ends(void **state)
{
    struct record *moving = serve(0, "moving.test", REPLY(DATA, 1, { "192.0.2.1" }), REPLY(EMPTY));
    uint64_t start;

    watch_only("moving.test");
    WAIT_FOR(fix.reports > 0);
    start = kg_clock_ms();
    assert_reported(1, "moving.test", "192.0.2.1");
    moving->v4.addrs[0] = "192.0.2.2";
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "moving.test", "192.0.2.2");
    assert_true(kg_clock_ms() - start >= 990); /* not before its time */
    assert_int_equal(moving->v4.asked, 2);
}

static void the_same_addresses_are_not_reported_again(void **state)
{
    struct record *steady =
        serve(0, "steady.test", REPLY(DATA, 1, { "192.0.2.1", "192.0.2.2" }), REPLY(EMPTY));

    watch_only("steady.test");
    WAIT_FOR(fix.reports > 0);
    assert_reported(1, "steady.test", "192.0.2.1 192.0.2.2");
    /* Nor in another order, nor one of them twice. */
    steady->v4.addrs[0] = "192.0.2.2";
    steady->v4.addrs[1] = "192.0.2.1";
    steady->v4.addrs[2] = "192.0.2.2";
    let_answers_pass(&steady->v4);
    assert_int_equal(fix.reports, 1);
    /* One that is gone from the answer is gone. */
    steady->v4.addrs[1] = NULL;
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "steady.test", "192.0.2.2");
    steady->v4.addrs[1] = "192.0.2.3";
    WAIT_FOR(fix.reports > 2);
    assert_reported(3, "steady.test", "192.0.2.2 192.0.2.3");
}

/* Also when each answer begins with others: else each would look like a change. */
static void of_many_addresses_the_same_few_are_taken(void **state)
{
    struct record *crowd = serve(0, "crowd.test", REPLY(DATA, 1, .many = 40), REPLY(EMPTY));
    unsigned blanks = 0;

    watch_only("crowd.test");
    WAIT_FOR(fix.reports > 0);
    for (const char *c = fix.addr; *c; c++)
        blanks += *c == ' ';
    assert_int_equal(blanks + 1, KG_RESOLVER_ADDRESSES);
    let_answers_pass(&crowd->v4);
    assert_int_equal(fix.reports, 1);
}

static void ipv4_goes_before_ipv6(void **state)
{
    struct record *both =
        serve(0, "both.test", REPLY(DATA, 1, { "192.0.2.1" }), REPLY(DATA, 1, { "2001:db8::1" }));

    watch_only("both.test");
    WAIT_FOR(fix.reports > 0);
    assert_reported(1, "both.test", "192.0.2.1");
    assert_int_equal(both->v6.asked, 0);
}

static void a_name_with_ipv6_alone_gives_ipv6(void **state)
{
    struct record *six = serve(0, "six.test", REPLY(EMPTY), REPLY(DATA, 1, { "2001:db8::6" }));

    watch_only("six.test");
    WAIT_FOR(fix.reports > 0);
    assert_reported(1, "six.test", "2001:db8::6");
    let_answers_pass(&six->v6);
    assert_int_equal(fix.reports, 1);
    six->v4 = REPLY(DATA, 1, { "192.0.2.6" });
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "six.test", "192.0.2.6");
}

static void the_address_outlives_a_silent_name_server(void **state)
{
    struct record *mute = serve(0, "mute.test", REPLY(DATA, 1, { "192.0.2.1" }), REPLY(EMPTY));

    watch_only("mute.test");
    WAIT_FOR(fix.reports > 0);
    mute->v4 = REPLY(SILENCE);
    WAIT_FOR(mute->v4.asked > QUERY_TRIES); /* given up once and begun anew */
    assert_reported(1, "mute.test", "192.0.2.1");
    mute->v4 = REPLY(DATA, 1, { "192.0.2.2" });
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "mute.test", "192.0.2.2");
}

/* The trap of asking for both families at once: the last answer, an honest "no AAAA", hides the failure of A.
 */
static void the_address_outlives_a_failing_name_server(void **state)
{
    struct record *sick = serve(0, "sick.test", REPLY(DATA, 1, { "192.0.2.1" }), REPLY(EMPTY));

    watch_only("sick.test");
    WAIT_FOR(fix.reports > 0);
    sick->v4 = REPLY(FAILURE);
    WAIT_FOR(sick->v4.asked > 2 * QUERY_TRIES);
    assert_reported(1, "sick.test", "192.0.2.1");
}

static void a_lost_name_is_found_and_lost_again(void **state)
{
    struct record *back = serve(0, "back.test", REPLY(DATA, 1, { "192.0.2.1" }), REPLY(NO_SUCH_NAME));

    watch_only("back.test");
    WAIT_FOR(fix.reports > 0);
    back->v4 = REPLY(NO_SUCH_NAME);
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "back.test", "lost");
    back->v4 = REPLY(DATA, 1, { "192.0.2.1" });
    WAIT_FOR(fix.reports > 2);
    assert_reported(3, "back.test", "192.0.2.1");
    back->v4 = REPLY(NO_SUCH_NAME);
    WAIT_FOR(fix.reports > 3);
    assert_reported(4, "back.test", "lost");
}

static void a_truncated_answer_is_asked_for_by_tcp(void **state)
{
    serve(0, "long.test", REPLY(TRUNCATED, 300, { "192.0.2.1", "192.0.2.2" }), REPLY(EMPTY));
    watch_only("long.test");
    WAIT_FOR(fix.reports > 0);
    assert_reported(1, "long.test", "192.0.2.1 192.0.2.2");
    assert_int_equal(fix.asked_by_tcp, 1);
}

static void forgotten_names_are_not_asked_again(void **state)
{
    struct record *old = serve(0, "old.test", REPLY(DATA, 1, { "192.0.2.1" }), REPLY(EMPTY));
    struct record *new = serve(1, "new.test", REPLY(DATA, 1, { "192.0.2.2" }), REPLY(EMPTY));

    watch_only("old.test");
    WAIT_FOR(fix.reports > 0);
    watch_only("new.test");
    WAIT_FOR(fix.reports > 1);
    assert_int_equal(fix.resolver->names, 1);
    let_answers_pass(&new->v4); /* its TTL is the same, so the old one's has ended too */
    assert_int_equal(old->v4.asked, 1);
    assert_int_equal(fix.reports, 2);
}

static void a_name_forgotten_while_asked_is_not_reported(void **state)
{
    struct record *late = serve(0, "late.test", REPLY(DATA, 1, { "192.0.2.1" }), REPLY(EMPTY));

    serve(1, "other.test", REPLY(DATA, 300, { "192.0.2.2" }), REPLY(EMPTY));
    watch_only("late.test");
    assert_int_equal(fix.resolver->asking, 1);
    watch_only("other.test");
    WAIT_FOR(late->v4.asked == 1 && fix.resolver->asking == 0);
    assert_reported(1, "other.test", "192.0.2.2");
}

static void a_name_watched_again_after_it_was_forgotten_is_reported_once(void **state)
{
    serve(0, "again.test", REPLY(DATA, 300, { "192.0.2.1" }), REPLY(EMPTY));
    watch_only("again.test");
    watch_only(NULL);
    watch_only("again.test");
    assert_int_equal(fix.resolver->asking, 2);
    WAIT_FOR(fix.resolver->asking == 0);
    assert_reported(1, "again.test", "192.0.2.1");
}

static void known_names_keep_their_address_and_their_timer(void **state)
{
    struct record *known = serve(0, "known.test", REPLY(DATA, 300, { "192.0.2.1" }), REPLY(EMPTY));

    serve(1, "added.test", REPLY(DATA, 300, { "192.0.2.2" }), REPLY(EMPTY));
    watch_only("known.test");
    WAIT_FOR(fix.reports > 0);
    kg_resolver_begin(fix.resolver);
    kg_resolver_watch(fix.resolver, "known.test");
    kg_resolver_watch(fix.resolver, "added.test");
    kg_resolver_watch(fix.resolver, "known.test");
    kg_resolver_commit(fix.resolver);
    assert_int_equal(fix.resolver->names, 2);
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "added.test", "192.0.2.2");
    assert_int_equal(known->v4.asked, 1);
}

static void swap_for_second(struct fixture *f)
{
    watch_only("second.test");
    /* Still readable, though forgotten. */
    assert_string_equal(f->host, "first.test");
}

static void a_report_may_tell_the_set_anew(void **state)
{
    serve(0, "first.test", REPLY(DATA, 1, { "192.0.2.1" }), REPLY(EMPTY));
    serve(1, "second.test", REPLY(DATA, 300, { "192.0.2.2" }), REPLY(EMPTY));
    fix.then = swap_for_second;
    watch_only("first.test");
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "second.test", "192.0.2.2");
    assert_int_equal(fix.resolver->names, 1);
    assert_int_equal(fix.zone[0].v4.asked, 1);
}

static void swap_for_localhost(struct fixture *f)
{
    watch_only("localhost");
}

static void a_report_from_within_a_commit_may_tell_the_set_anew(void **state)
{
    fix.then = swap_for_localhost;
    watch_only("192.0.2.200"); /* a literal: reported at once */
    WAIT_FOR(fix.reports > 1);
    assert_reported(2, "localhost", "127.0.0.1");
    assert_int_equal(fix.resolver->names, 1);
}

static void many_names_are_asked_for_a_few_at_a_time(void **state)
{
    char host[32];

    fix.answers_many = true;
    kg_resolver_begin(fix.resolver);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(host, sizeof(host), "h%u.many.test", i);
        kg_resolver_watch(fix.resolver, host);
    }
    kg_resolver_commit(fix.resolver);
    assert_int_equal(fix.resolver->asking, MAX_ASKING);
    WAIT_FOR(fix.reports == 1000);
    assert_int_equal(fix.resolver->asking, 0);
    assert_true(fix.most_asking < MAX_ASKING);
}

static void the_number_of_names_is_bounded(void **state)
{
    char host[32];

    for (unsigned turn = 0; turn < 2; turn++) {
        kg_resolver_begin(fix.resolver);
        for (unsigned i = 0; i < MAX_NAMES + 3; i++) {
            snprintf(host, sizeof(host), "h%u.turn%u.test", i, turn);
            kg_resolver_watch(fix.resolver, host);
        }
        assert_int_equal(fix.resolver->wanted, MAX_NAMES);
        assert_int_equal(fix.resolver->refused, 3);
        sweep(fix.resolver); /* a whole new set of the full size fits */
        assert_int_equal(fix.resolver->names, MAX_NAMES);
    }
    watch_only(NULL);
    assert_int_equal(fix.resolver->names, 0);
    assert_int_equal(fix.asked, 0);
}

static void freeing_it_drops_open_questions_unreported(void **state)
{
    serve(0, "mute.test", REPLY(SILENCE), REPLY(SILENCE));
    fix.answers_many = true;
    kg_resolver_begin(fix.resolver);
    kg_resolver_watch(fix.resolver, "mute.test");
    kg_resolver_watch(fix.resolver, "localhost");
    kg_resolver_commit(fix.resolver);
    assert_int_equal(fix.reports, 1);
    kg_resolver_free(fix.resolver);
    fix.resolver = NULL;
    WAIT_FOR(fix.zone[0].v4.asked == 1); /* the poller lives on */
    assert_reported(1, "localhost", "127.0.0.1");
}

static void the_shortest_ttl_counts_within_its_bounds(void **state)
{
    struct ares_addrinfo_cname cname = { .ttl = 40 };
    struct ares_addrinfo_node nodes[2] = { { .ai_ttl = 60, .ai_next = &nodes[1] }, { .ai_ttl = 50 } };
    struct ares_addrinfo answer = { .nodes = nodes };

    assert_int_equal(answer_ttl(&answer), 50);
    answer.cnames = &cname;
    assert_int_equal(answer_ttl(&answer), 40);
    nodes[1].ai_ttl = 0;
    assert_int_equal(answer_ttl(&answer), 1);
    nodes[1].ai_ttl = -5;
    assert_int_equal(answer_ttl(&answer), 1);
    nodes[0].ai_ttl = nodes[1].ai_ttl = cname.ttl = INT32_MAX;
    assert_int_equal(answer_ttl(&answer), 300);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(localhost_and_what_ends_in_it_are_the_loopback_address),
        TEST(a_name_that_only_looks_like_localhost_is_asked_for),
        TEST(a_literal_is_its_own_address),
        TEST(a_name_that_does_not_exist_is_reported_lost_once),
        TEST(a_name_that_no_query_can_hold_is_reported_lost),
        TEST(a_new_address_is_seen_when_the_ttl_ends),
        TEST(the_same_addresses_are_not_reported_again),
        TEST(of_many_addresses_the_same_few_are_taken),
        TEST(ipv4_goes_before_ipv6),
        TEST(a_name_with_ipv6_alone_gives_ipv6),
        TEST(the_address_outlives_a_silent_name_server),
        TEST(the_address_outlives_a_failing_name_server),
        TEST(a_lost_name_is_found_and_lost_again),
        TEST(a_truncated_answer_is_asked_for_by_tcp),
        TEST(forgotten_names_are_not_asked_again),
        TEST(a_name_forgotten_while_asked_is_not_reported),
        TEST(a_name_watched_again_after_it_was_forgotten_is_reported_once),
        TEST(known_names_keep_their_address_and_their_timer),
        TEST(a_report_may_tell_the_set_anew),
        TEST(a_report_from_within_a_commit_may_tell_the_set_anew),
        TEST(many_names_are_asked_for_a_few_at_a_time),
        TEST(the_number_of_names_is_bounded),
        TEST(freeing_it_drops_open_questions_unreported),
        cmocka_unit_test(the_shortest_ttl_counts_within_its_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
