/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads the XDP program with its maps. Maps pinned by an earlier start are taken over when they have the
 * wanted shape, so what they hold stays in force all the while; otherwise new ones stand beside them until
 * the commit.
 */
#include "guard/internal.h"
#include "guard/skeleton.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VERIFIER_LOG (256 * 1024)

static const char *const map_names[KG_MAPS] = {
    [KG_MAP_BAN4] = "ban_v4",
    [KG_MAP_BAN6] = "ban_v6",
    [KG_MAP_ALLOW4] = "allow_net4",
    [KG_MAP_ALLOW6] = "allow_net6",
    [KG_MAP_CONSUMERS] = "consumer_stats",
    [KG_MAP_XDP] = "xdp_stats",
};

const char *kg_map_name(enum kg_map map)
{
    return map_names[map];
}

static uint32_t map_size(const struct kg_guard_config *config, enum kg_map map)
{
    switch (map) {
    case KG_MAP_BAN4:
    case KG_MAP_BAN6:
        return config->max_bans;
    case KG_MAP_ALLOW4:
    case KG_MAP_ALLOW6:
        return config->max_allow;
    case KG_MAP_CONSUMERS:
        return config->consumer_slots;
    default:
        return KG_XDP_VERDICTS;
    }
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
    return 0;
}

/* Tells the usual reasons apart before the real load, whose error would not. */
static int check_kernel(struct kg_error *err)
{
    int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kg_check", sizeof(__u32), sizeof(__u64), 1, NULL);

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno == EPERM || errno == EACCES)
        return kg_error_set(err, EPERM,
                            "loading the XDP program needs root (or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)");
    if (errno == ENOSYS || errno == EINVAL)
        return kg_error_set(err, ENOSYS, "this kernel was built without BPF (CONFIG_BPF_SYSCALL)");
    return kg_error_set(err, errno, "the kernel refuses to make a BPF map: %s", strerror(errno));
}

/* Whether the pinned map has the type, sizes and flags the program wants. */
static bool has_shape(int fd, const struct bpf_map *map, bool *same_records)
{
    struct bpf_map_info info = { 0 };
    uint32_t len = sizeof(info);

    *same_records = false;
    if (bpf_obj_get_info_by_fd(fd, &info, &len))
        return false;
    *same_records = info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
                    info.value_size == bpf_map__value_size(map);
    return *same_records && info.max_entries == bpf_map__max_entries(map) &&
           info.map_flags == bpf_map__map_flags(map);
}

/* Sets a map's size and gives it the pinned one when that fits. */
static int prepare_map(struct kg_guard *guard, struct bpf_object *object, enum kg_map which,
                       struct kg_error *err)
{
    struct bpf_map *map = bpf_object__find_map_by_name(object, map_names[which]);
    bool same_records;
    char path[512];

    KG_ASSERT(map);
    bpf_map__set_max_entries(map, map_size(&guard->config, which));
    kg_pin_path(guard->dir, "", map_names[which], path);
    int fd = bpf_obj_get(path);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return kg_error_set(err, errno, "the pinned map %s cannot be opened: %s", path, strerror(errno));
    if (has_shape(fd, map, &same_records)) {
        guard->adopted[which] = true;
        int rc = bpf_map__reuse_fd(map, fd);
        close(fd);
        return rc ? kg_error_set(err, -rc, "the pinned map %s cannot be used: %s", path, strerror(-rc)) : 0;
    }
    if (same_records)
        guard->old_map[which] = fd;
    else
        close(fd);
    return 0;
}

/* The verifier's last words, before its statistics. */
static void last_line(const char *log, char *out, size_t size)
{
    struct kg_slice rest = kg_slice_str(log), found = { "", 0 };

    while (rest.len) {
        size_t end = kg_slice_find(rest, '\n');
        struct kg_slice line = kg_slice_of(rest.ptr, end);

        if (line.len && !kg_slice_starts_with(line, KG_SLICE("processed ")))
            found = line;
        if (end < rest.len)
            end++;
        rest = kg_slice_of(rest.ptr + end, rest.len - end);
    }
    snprintf(out, size, "%.*s", (int)found.len, found.ptr);
}

static int load_failed(int rc, const char *log, struct kg_error *err)
{
    char line[300];

    last_line(log, line, sizeof(line));
    if (rc == -EPERM && !line[0])
        return kg_error_set(err, EPERM,
                            "loading the XDP program needs root (or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)");
    return kg_error_set(err, -rc, "the kernel refuses the XDP program: %s%s%s", strerror(-rc),
                        line[0] ? "; the verifier says: " : "", line);
}

/* The descriptors outlive the object, whose memory is not needed after the load. */
static int keep_fd(int from, int *to, struct kg_error *err)
{
    *to = fcntl(from, F_DUPFD_CLOEXEC, 0);
    return *to >= 0 ? 0 : kg_error_set(err, errno, "a BPF descriptor cannot be kept: %s", strerror(errno));
}

static int keep_fds(struct kg_guard *guard, const struct bpf_object *object, struct kg_error *err)
{
    const struct bpf_program *program = bpf_object__find_program_by_name(object, "keygate_xdp");
    int rc = 0;

    KG_ASSERT(program);
    for (enum kg_map map = 0; map < KG_MAPS && rc == 0; map++)
        rc = keep_fd(bpf_object__find_map_fd_by_name(object, map_names[map]), &guard->map[map], err);
    return rc ? rc : keep_fd(bpf_program__fd(program), &guard->prog, err);
}

static int open_and_load(struct kg_guard *guard, char *log, struct kg_error *err)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "keygate", .kernel_log_buf = log,
                .kernel_log_size = VERIFIER_LOG);
    size_t size;
    const void *bytes = keygate_bpf__elf_bytes(&size);
    struct bpf_object *object = bpf_object__open_mem(bytes, size, &opts);
    int rc = 0;

    if (!object)
        return kg_error_set(err, errno, "the XDP program cannot be opened: %s", strerror(errno));
    for (enum kg_map map = 0; map < KG_MAPS && rc == 0; map++)
        rc = prepare_map(guard, object, map, err);
    if (rc == 0) {
        rc = bpf_object__load(object);
        rc = rc ? load_failed(rc, log, err) : keep_fds(guard, object, err);
    }
    bpf_object__close(object);
    return rc;
}

int kg_program_load(struct kg_guard *guard, struct kg_error *err)
{
    int rc;

    libbpf_set_print(quiet);
    rc = check_kernel(err);
    if (rc)
        return rc;
    rc = kg_bpffs_prepare(guard->dir, &guard->made_dir, err);
    if (rc)
        return rc;
    guard->dir_lock = kg_bpffs_lock(guard->dir, err);
    if (guard->dir_lock < 0)
        return guard->dir_lock;
    char *log = kg_calloc(1, VERIFIER_LOG);
    rc = open_and_load(guard, log, err);
    free(log);
    return rc;
}

int kg_program_pin(struct kg_guard *guard, struct kg_error *err)
{
    for (enum kg_map map = 0; map < KG_MAPS; map++) {
        int rc = guard->adopted[map] ? 0 : kg_pin_put(guard->dir, map_names[map], guard->map[map], err);

        if (rc)
            return rc;
    }
    return kg_pin_put(guard->dir, KG_PIN_PROG, guard->prog, err);
}

int kg_program_commit(struct kg_guard *guard, struct kg_error *err)
{
    for (enum kg_map map = 0; map < KG_MAPS; map++) {
        int rc = guard->adopted[map] ? 0 : kg_pin_commit(guard->dir, map_names[map], err);

        if (rc)
            return rc;
    }
    return kg_pin_commit(guard->dir, KG_PIN_PROG, err);
}

void kg_program_rollback(struct kg_guard *guard)
{
    for (enum kg_map map = 0; map < KG_MAPS; map++)
        kg_pin_drop(guard->dir, KG_PIN_NEW, map_names[map]);
    kg_pin_drop(guard->dir, KG_PIN_NEW, KG_PIN_PROG);
    if (guard->made_dir)
        rmdir(guard->dir);
}

void kg_program_close(struct kg_guard *guard)
{
    for (enum kg_map map = 0; map < KG_MAPS; map++) {
        if (guard->map[map] >= 0)
            close(guard->map[map]);
        if (guard->old_map[map] >= 0)
            close(guard->old_map[map]);
        guard->map[map] = guard->old_map[map] = -1;
    }
    if (guard->prog >= 0)
        close(guard->prog);
    if (guard->dir_lock >= 0)
        close(guard->dir_lock);
    guard->prog = guard->dir_lock = -1;
}

void kg_guard_xdp_counts(const struct kg_guard *guard, struct kg_xdp_count *out)
{
    int cpus = libbpf_num_possible_cpus();

    memset(out, 0, KG_XDP_VERDICTS * sizeof(*out));
    if (cpus <= 0)
        return;
    struct kg_xdp_count *each = kg_calloc((size_t)cpus, sizeof(*each));
    for (uint32_t i = 0; i < KG_XDP_VERDICTS; i++) {
        if (bpf_map_lookup_elem(guard->map[KG_MAP_XDP], &i, each))
            continue;
        for (int cpu = 0; cpu < cpus; cpu++) {
            out[i].packets += each[cpu].packets;
            out[i].bytes += each[cpu].bytes;
        }
    }
    free(each);
}

const char *kg_xdp_verdict_name(enum kg_xdp_verdict verdict)
{
    static const char *const names[KG_XDP_VERDICTS] = {
        [KG_XDP_PASS_CLEAN] = "pass_clean",     [KG_XDP_PASS_EXPIRED] = "pass_expired",
        [KG_XDP_PASS_ALLOWED] = "pass_allowed", [KG_XDP_PASS_NOT_IP] = "pass_not_ip",
        [KG_XDP_PASS_ND] = "pass_nd",           [KG_XDP_PASS_BROKEN] = "pass_broken",
        [KG_XDP_DROP_BAN4] = "drop_ban4",       [KG_XDP_DROP_BAN6] = "drop_ban6",
    };

    return (unsigned)verdict < KG_XDP_VERDICTS ? names[verdict] : "unknown";
}
