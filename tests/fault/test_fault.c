/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole proxy room, one worker, on a simulated kernel and in a simulated world: thousands of schedules
 * that differ in everything chance can choose. After each of them everything is given back.
 *
 *   FAULT_SCHEDULES=n  how many of each kind; FAULT_FIRST=n: from which seed on
 *   FAULT_SEED=n       this one alone, of FAULT_PROFILE; FAULT_TRACE=1 shows what happens
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "stage.h"
#include "world.h"

#include "base/log.h"
#include "proxy/internal.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCHEDULES   1500
#define TIME_MAX_MS (40ull * 60 * 1000)
#define STEPS_MAX   3000000

/* A kind of schedules. Gentle ones hold nothing that a gateway cannot hide from its clients. */
struct profile {
    const char *name;
    bool rough, tls;
    void (*change)(struct sim_faults *faults); /* what was chosen; may be NULL */
};

static struct {
    struct kg_proxy_config config;
    struct kg_snapshot *snapshots[2];
    struct kg_worker *worker;
    sem_t ended;
    uint64_t begun_ns;
    unsigned surprises; /* steps left until the control thread does something; 0: never */
    bool may_end;       /* …which may be the end of it all */
    bool accepted, told_to_end;
} test;

/* ---- what the schedule is ---- */

static unsigned some(unsigned often, unsigned most)
{
    return rnd_chance(&sim.rnd, often) ? rnd_between(&sim.rnd, 1, most) : 0;
}

static void choose_faults(bool rough)
{
    struct sim_faults *faults = &sim.faults;

    *faults = (struct sim_faults){
        .sq_entries = 1u << rnd_between(&sim.rnd, 2, 7),
        .cq_entries = 1u << rnd_between(&sim.rnd, 2, 8),
        .room =
            rnd_chance(&sim.rnd, 40) ? rnd_between(&sim.rnd, 64, 4096) : rnd_between(&sim.rnd, 4096, 65536),
        .eager = rnd_between(&sim.rnd, 25, 100),
        .at_once = rnd_between(&sim.rnd, 0, 100),
        .short_io = some(50, 60),
        .late = some(50, 60),
        .no_buffers = some(40, 30),
        .again = some(40, 50),
        .end_multishot = some(50, 60),
        .late_cancel = some(70, 100),
        .refuse = some(30, 40),
        .stale = some(30, 10),
    };
    if (!rough)
        return;
    faults->no_connect = some(30, 40);
    faults->connect_hangs = some(20, 20);
    faults->no_accept = some(30, 40);
    faults->no_send = some(20, 5);
    faults->no_socket = some(20, 20);
    faults->jump = some(20, 3);
}

/* At least one side of the gateway is TLS when it is to be. */
static void choose_tls(bool tls)
{
    unsigned sides = tls ? rnd_between(&sim.rnd, 1, 3) : 0;

    world.tls_clients = sides & 1;
    world.tls_service = sides & 2;
    plan_rules.cuts_told = world.tls_service;
    if (!world.tls_service || rnd_chance(&sim.rnd, 50))
        return;
    sim.faults.late = sim.faults.refuse = sim.faults.again = 0;
    sim.faults.at_once = 100;
}

/* ---- the control thread, whose part the simulated kernel plays in the worker's own wait ---- */

static void surprise(void)
{
    struct kg_addr source = { .family = 4,
                              .bytes = { 10, 0, 0, (uint8_t)rnd_between(&sim.rnd, 1, WORLD_CLIENTS) } };

    switch (rnd_between(&sim.rnd, test.may_end ? 0 : 2, 11)) {
    case 0:
        sim_trace("drain");
        kg_worker_drain(test.worker);
        return;
    case 1: /* what kg_worker_stop does before it waits for the thread's end */
        sim_trace("stop");
        atomic_store(&test.worker->stop, true);
        kg_ring_wake(test.worker->wake_fd);
        return;
    case 2:
    case 3:
        sim_trace("ban");
        kg_worker_ban(test.worker, &source, sim.now_ns / 1000000 + rnd_below(&sim.rnd, 5000));
        return;
    case 4:
        kg_worker_ban(test.worker, &source, 1);
        return;
    default:
        kg_worker_publish(test.worker, test.snapshots[rnd_below(&sim.rnd, 2)]);
    }
}

static bool step(void)
{
    if (sim.now_ns - test.begun_ns > TIME_MAX_MS * 1000000 || sim.steps > STEPS_MAX) {
        world_dump();
        sim_fail("it does not end: %u clients, %u sockets", test.worker->client_count,
                 test.worker->ring.slots_used);
    }
    if (!test.accepted) {
        test.accepted = true;
        kg_worker_accept(test.worker);
    }
    if (test.surprises > 0 && --test.surprises == 0) {
        surprise();
        test.surprises = rnd_between(&sim.rnd, 20, 500);
    }
    bool moved = world_step();
    if (!test.told_to_end && world_is_over()) {
        test.told_to_end = true;
        kg_worker_drain(test.worker);
        return true;
    }
    return moved;
}

/* ---- what must be true at the end ---- */

static void ring_ends(struct io_uring *uring)
{
    const struct kg_worker *worker = test.worker;
    const struct kg_ring *ring = &worker->ring;

    if (uring != &ring->uring)
        sim_fail("another ring ends");
    if (ring->slots_used != 0 || ring->starved || ring->dead)
        sim_fail("%u slots are still used", ring->slots_used);
    if (ring->blocks.in_use != 0)
        sim_fail("%llu blocks are still used", (unsigned long long)ring->blocks.in_use);
    if (ring->buffers.with_kernel + ring->buffers.returned != ring->buffers.count)
        sim_fail("%u receive buffers are not given back",
                 ring->buffers.count - ring->buffers.with_kernel - ring->buffers.returned);
    if (worker->clients || worker->client_count != 0 || worker->upstream_count != 0)
        sim_fail("%u clients and %u upstream connections are left", worker->client_count,
                 worker->upstream_count);
    for (unsigned i = 0; i < KG_POOL_BUCKETS; i++) {
        if (worker->pool[i])
            sim_fail("the pool still knows an address");
    }
    sem_post(&test.ended);
}

static void end_schedule(void)
{
    for (int i = 0; i < 2; i++) {
        if (!kg_snapshot_idle(test.snapshots[i]))
            sim_fail("a snapshot is still held");
        kg_snapshot_free(test.snapshots[i]);
    }
    world_end();
    wire_end();
    sim_uring_end();
    sim_net_end();
}

static void run_schedule(const struct profile *profile, uint64_t seed)
{
    bool rough = profile->rough;
    struct kg_error err;

    sim.seed = seed;
    sim.profile = profile->name;
    sim.rnd.state = seed * 2 + rough;
    sim.steps = 0;
    wire_begin();
    sim.now_ns = 1000000000000ull + rnd_below(&sim.rnd, 1000000000);
    plan_rules = (struct plan_rules){ 0 };
    choose_faults(rough);
    if (profile->change)
        profile->change(&sim.faults);
    choose_tls(profile->tls);
    stage_set(&test.config, rough);
    test.begun_ns = sim.now_ns;
    test.accepted = test.told_to_end = false;
    test.surprises = rough && rnd_chance(&sim.rnd, 60) ? rnd_between(&sim.rnd, 1, 2000) : 0;
    test.may_end = rnd_chance(&sim.rnd, 50);
    sim_uring_begin();
    sim_net_begin();
    world_begin(rough);
    for (int i = 0; i < 2; i++)
        test.snapshots[i] = stage_snapshot();
    int fd = sim_listen(WORLD_PORT);
    test.worker = kg_worker_new(&test.config, 0, &fd);
    if (kg_worker_start(test.worker, test.snapshots[0], &err))
        sim_fail("%s", err.text);
    sem_wait(&test.ended);
    kg_worker_stop(test.worker);
    stage_check(&test.config, test.snapshots[0]);
    end_schedule();
    sim.profile = NULL;
}

/* ---- the tests ---- */

static unsigned schedules(void)
{
    const char *text = getenv("FAULT_SCHEDULES");

    return text ? (unsigned)strtoul(text, NULL, 10) : SCHEDULES;
}

/* Nothing but a small queue whose entries the kernel often does not take. */
static void refuse_often(struct sim_faults *faults)
{
    faults->sq_entries = 4;
    faults->refuse = 70;
}

/* Sends that fail under bodies that only the connection's end delimits. */
static void fail_sends(struct sim_faults *faults)
{
    plan_rules.old_ways = true;
    faults->no_send = 15;
    faults->no_connect = faults->connect_hangs = faults->no_accept = faults->no_socket = faults->jump = 0;
}

static const struct profile gentle = { "gentle", false, false, NULL }, rough = { "rough", true, false, NULL },
                            refusing = { "refusing", false, false, refuse_often },
                            unsendable = { "unsendable", true, false, fail_sends },
                            secret = { "secret", false, true, NULL },
                            rough_secret = { "rough secret", true, true, NULL };
static const struct profile *const profiles[] = { &gentle,     &rough,  &refusing,
                                                  &unsendable, &secret, &rough_secret };

static unsigned first_seed(void)
{
    const char *text = getenv("FAULT_FIRST");

    return text ? (unsigned)strtoul(text, NULL, 10) : 1;
}

static void run_schedules(const struct profile *profile, unsigned count)
{
    unsigned first = first_seed();

    world.whole = world.own = world.cuts = world.retries = world.elsewhere = world.tunnels = world.too_large =
        world.continued = world.trailers = 0;
    for (unsigned seed = first; seed - first < count; seed++)
        run_schedule(profile, seed);
}

static void what_can_be_hidden_from_clients_is_hidden(void **state)
{
    run_schedules(&gentle, schedules());
    assert_true(world.whole > schedules());
    assert_int_equal(world.cuts, 0);
    assert_true(world.elsewhere > 0 && world.tunnels > 0 && world.too_large > 0);
    assert_true(world.continued > 0 && world.trailers > 0);
}

static void whatever_happens_nothing_is_left_mixed_up_or_told_twice(void **state)
{
    run_schedules(&rough, schedules());
    assert_true(world.whole > schedules() / 2);
    assert_true(world.own > 0 && world.cuts > 0);
    assert_true(world.retries > 0 && world.tunnels > 0 && world.too_large > 0);
}

static void submissions_that_are_refused_are_made_again(void **state)
{
    run_schedules(&refusing, schedules() / 10);
    assert_int_equal(world.cuts, 0);
}

static void an_answer_that_cannot_be_sent_on_is_cut_visibly(void **state)
{
    run_schedules(&unsendable, schedules() / 5);
    assert_true(world.cuts > 0);
}

static void over_tls_the_same_is_hidden(void **state)
{
    run_schedules(&secret, schedules() / 5);
    assert_true(world.whole > schedules() / 5);
    assert_int_equal(world.cuts, 0);
}

static void over_tls_nothing_is_left_mixed_up_or_told_twice(void **state)
{
    run_schedules(&rough_secret, schedules() / 3);
    assert_true(world.whole > schedules() / 6);
    assert_true(world.own > 0 && world.cuts > 0);
}

static void the_schedule_asked_for_ends_well(void **state)
{
    const char *name = getenv("FAULT_PROFILE");

    for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
        if (!name || strcmp(profiles[i]->name, name) == 0) {
            run_schedule(profiles[i], strtoull(getenv("FAULT_SEED"), NULL, 10));
            return;
        }
    }
    fail_msg("there is no profile %s", name);
}

/* A broken assertion, or a sanitizer's finding: which schedule was it? */
static void on_abort(int signal)
{
    if (sim.profile)
        fprintf(stderr, "FAULT_PROFILE=%s FAULT_SEED=%llu, step %u: aborted\n", sim.profile,
                (unsigned long long)sim.seed, sim.steps);
}

static int set_up(void **state)
{
    signal(SIGABRT, on_abort);
    signal(SIGPIPE, SIG_IGN);
    sem_init(&test.ended, 0, 0);
    sim.world_step = step;
    sim.world_wake_ns = world_wake_ns;
    sim.world_connected = world_connected;
    sim.world_refuses = world_refuses;
    sim.ring_ends = ring_ends;
    sim.trace = getenv("FAULT_TRACE") != NULL;
    kg_log_set_level(KG_LOG_ERROR);
    wire_set_up();
    stage_open(&test.config);
    return 0;
}

static int tear_down(void **state)
{
    stage_close(&test.config);
    wire_tear_down();
    close(test.config.control_fd);
    sem_destroy(&test.ended);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_hidden_from_clients_is_hidden),
        cmocka_unit_test(whatever_happens_nothing_is_left_mixed_up_or_told_twice),
        cmocka_unit_test(submissions_that_are_refused_are_made_again),
        cmocka_unit_test(an_answer_that_cannot_be_sent_on_is_cut_visibly),
        cmocka_unit_test(over_tls_the_same_is_hidden),
        cmocka_unit_test(over_tls_nothing_is_left_mixed_up_or_told_twice),
    };
    const struct CMUnitTest one[] = { cmocka_unit_test(the_schedule_asked_for_ends_well) };

    if (getenv("FAULT_SEED"))
        return cmocka_run_group_tests(one, set_up, tear_down);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
