/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guard with a real store, real maps and a network namespace of its own: loopback and a veth pair kg0 -
 * kg1. The mount namespace is its own as well, so the BPF file system that the guard mounts is gone with the
 * process. Needs root.
 */
#ifndef KG_TESTS_GUARD_FIXTURE_H
#define KG_TESTS_GUARD_FIXTURE_H

#include "base/clock.h"
#include "base/log.h"
#include "guard/guard.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define UNUSED __attribute__((unused))

struct fixture {
    char state[64], bpf_dir[64];
    struct kg_store *store;
    struct kg_guard *guard;
    struct kg_guard_config config;
    struct kg_error err;
};

/* What the guard told the workers last. */
static struct {
    unsigned calls;
    struct kg_addr source;
    uint64_t until_ms;
} told;

static inline void tell(void *ctx, const struct kg_addr *source, uint64_t until_ms)
{
    told.calls++;
    told.source = *source;
    told.until_ms = until_ms;
}

static inline struct kg_addr addr(const char *text)
{
    struct kg_addr out;

    assert_int_equal(kg_addr_parse(kg_slice_str(text), &out), 0);
    return out;
}

static inline struct kg_net net(const char *text)
{
    struct kg_net out;

    assert_int_equal(kg_net_parse(kg_slice_str(text), &out), 0);
    return out;
}

static inline void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* Once for each process. */
static inline int own_namespaces(void **state)
{
    kg_log_set_level(KG_LOG_ERROR);
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        print_error("these tests need root: %s\n", strerror(errno));
        return -1;
    }
    shell("ip link set lo up && ip link add kg0 type veth peer name kg1 && ip link set kg0 up && ip link set "
          "kg1 up");
    shell("ip addr add 192.0.2.1/24 dev kg0 && ip addr add 2001:db8:77::1/64 dev kg0 nodad");
    return 0;
}

static inline int open_guard(struct fixture *f)
{
    f->err.text[0] = '\0';
    int rc = kg_guard_open(&f->config, f->store, &f->guard, &f->err);
    if (rc)
        f->guard = NULL;
    return rc;
}

static inline void close_guard(struct fixture *f)
{
    kg_guard_close(f->guard);
    f->guard = NULL;
}

static inline void must_open(struct fixture *f)
{
    if (open_guard(f))
        fail_msg("the guard did not open: %s", f->err.text);
}

static inline void restart(struct fixture *f)
{
    close_guard(f);
    must_open(f);
}

/* A store and a config; the guard is not yet open. */
static inline int fixture_new(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    memset(&told, 0, sizeof(told));
    snprintf(f->state, sizeof(f->state), "/tmp/keygate-test-XXXXXX");
    assert_non_null(mkdtemp(f->state));
    snprintf(f->bpf_dir, sizeof(f->bpf_dir), "/sys/fs/bpf/keygate-test-%d", getpid());
    if (kg_store_open(f->state, &f->store, &f->err)) {
        print_error("the store did not open: %s\n", f->err.text);
        return -1;
    }
    f->config = (struct kg_guard_config){
        .bpf_dir = f->bpf_dir,
        .max_bans = 64,
        .max_allow = 8,
        .consumer_slots = 66,
        .threshold = 3,
        .window_s = 60,
        .ban_s = 100,
        .ban_max_s = 500,
        .memory_s = 3600,
        .sources = 64,
        .workers = 2,
    };
    return 0;
}

static inline int fixture_open(void **state)
{
    int rc = fixture_new(state);

    if (rc == 0)
        must_open(*state);
    return rc;
}

static inline int fixture_free(void **state)
{
    struct fixture *f = *state;
    char command[128];

    kg_guard_close(f->guard);
    assert_int_equal(kg_guard_detach(f->bpf_dir, &f->err), 0);
    kg_store_close(f->store);
    snprintf(command, sizeof(command), "rm -rf %s", f->state);
    shell(command);
    free(f);
    return 0;
}

static inline void use_interface(struct fixture *f, const char *name, enum kg_xdp_mode mode)
{
    snprintf(f->config.interfaces[f->config.interface_count++], 16, "%s", name);
    f->config.mode = mode;
}

/* The pinned map as another process sees it. */
static inline int pinned(const struct fixture *f, const char *name)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", f->bpf_dir, name);
    return bpf_obj_get(path);
}

static inline bool in_kernel(const struct fixture *f, const char *source, struct kg_ban *value)
{
    struct kg_addr a = addr(source);
    int fd = pinned(f, a.family == 4 ? "ban_v4" : "ban_v6");

    assert_true(fd >= 0);
    bool found = bpf_map_lookup_elem(fd, a.bytes, value) == 0;
    close(fd);
    return found;
}

static inline bool is_banned(const struct fixture *f, const char *source)
{
    struct kg_ban value;

    return in_kernel(f, source, &value);
}

#endif
