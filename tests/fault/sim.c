/* SPDX-License-Identifier: BSD-2-Clause */
/* Chance, time, and what a failure says. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

struct sim sim;

uint64_t rnd_next(struct rnd *rnd)
{
    uint64_t z = rnd->state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint32_t rnd_below(struct rnd *rnd, uint32_t below)
{
    return (uint32_t)((rnd_next(rnd) >> 32) * below >> 32);
}

uint32_t rnd_between(struct rnd *rnd, uint32_t from, uint32_t to)
{
    return from + rnd_below(rnd, to - from + 1);
}

bool rnd_chance(struct rnd *rnd, unsigned percent)
{
    return rnd_below(rnd, 100) < percent;
}

void sim_fail(const char *format, ...)
{
    va_list args;

    /* Standard output holds the test results, and cmocka's line of this test is not there yet. */
    fprintf(stderr, "FAULT_PROFILE=%s FAULT_SEED=%llu, step %u, %llu ms: ", sim.profile,
            (unsigned long long)sim.seed, sim.steps, (unsigned long long)(sim.now_ns / 1000000));
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    sim.profile = NULL;
    abort();
}

void sim_trace(const char *format, ...)
{
    va_list args;

    if (!sim.trace)
        return;
    fprintf(stderr, "%6u %8.3f  ", sim.steps, (double)(sim.now_ns % 1000000000000ull) / 1e6);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void sim_ms_pass(uint64_t ms)
{
    sim.now_ns += ms * 1000000;
}

/* ---- system calls of user/ ---- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
ssize_t __wrap_getrandom(void *buffer, size_t len, unsigned flags);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    uint64_t now = sim.now_ns + (clock == CLOCK_REALTIME ? 1700000000ull * 1000000000 : 0);

    *out = (struct timespec){ .tv_sec = (time_t)(now / 1000000000), .tv_nsec = (long)(now % 1000000000) };
    return 0;
}

ssize_t __wrap_getrandom(void *buffer, size_t len, unsigned flags)
{
    /* The same in each run, and none of the schedule's own numbers. */
    memset(buffer, 0x5a, len);
    return (ssize_t)len;
}
