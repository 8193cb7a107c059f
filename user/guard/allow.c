/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who can never be banned: the networks of keygate.yaml, those that an operator allowed at run time, and the
 * host itself. The kernel's own copy of the allow-list is looked at only for sources that are banned all the
 * same.
 */
#include "guard/internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>

/* The map, and the key in it, of a network. */
static int net_key(const struct kg_guard *guard, const struct kg_net *net, struct kg_net_key6 *key)
{
    *key = (struct kg_net_key6){ .prefix_len = net->prefix_len };
    memcpy(key->addr, net->addr.bytes, sizeof(key->addr)); /* a struct kg_net_key4 is its first eight bytes */
    return guard->map[net->addr.family == 4 ? KG_MAP_ALLOW4 : KG_MAP_ALLOW6];
}

static bool net_eq(const struct kg_net *a, const struct kg_net *b)
{
    return a->prefix_len == b->prefix_len && kg_addr_eq(&a->addr, &b->addr);
}

/* The first entry of the network from `start` on; SIZE_MAX when there is none. */
static size_t find_net(const struct kg_guard *guard, const struct kg_net *net, size_t start)
{
    for (size_t i = start; i < guard->allow_count; i++) {
        if (net_eq(&guard->allow[i].net, net))
            return i;
    }
    return SIZE_MAX;
}

static int put_in_map(const struct kg_guard *guard, const struct kg_net *net)
{
    struct kg_net_key6 key;
    struct kg_allow value = { 0 };
    int fd = net_key(guard, net, &key);

    return bpf_map_update_elem(fd, &key, &value, BPF_ANY) == 0 ? 0 : -errno;
}

static struct kg_allow_record *append(struct kg_guard *guard, const struct kg_allow_record *record)
{
    guard->allow = kg_realloc(guard->allow, guard->allow_count + 1, sizeof(*guard->allow));
    guard->allow[guard->allow_count] = *record;
    return &guard->allow[guard->allow_count++];
}

static void append_stored(void *ctx, const struct kg_allow_record *record)
{
    append(ctx, record);
}

/* Takes out of an adopted map what is no longer on the list. */
static void drop_strays(const struct kg_guard *guard, enum kg_map map, uint8_t family)
{
    struct kg_net_key6 key, next = { 0 };
    bool more = bpf_map_get_next_key(guard->map[map], NULL, &next) == 0;

    while (more) {
        struct kg_net net = { .addr.family = family, .prefix_len = (uint8_t)next.prefix_len };

        key = next;
        memcpy(net.addr.bytes, key.addr, family == 4 ? 4 : 16);
        more = bpf_map_get_next_key(guard->map[map], &key, &next) == 0;
        if (find_net(guard, &net, 0) == SIZE_MAX)
            bpf_map_delete_elem(guard->map[map], &key);
    }
}

int kg_allow_open(struct kg_guard *guard, const struct kg_net *nets, struct kg_error *err)
{
    char text[KG_ADDR_TEXT];
    int rc;

    for (size_t i = 0; i < guard->config.allow_count; i++)
        append(guard, &(struct kg_allow_record){ .net = nets[i] });
    guard->config_allow = guard->allow_count;
    guard->trusted = kg_calloc(guard->config.trusted_count + 1, sizeof(*guard->trusted));
    for (size_t i = 0; i < guard->config.trusted_count; i++)
        guard->trusted[i] = guard->config.trusted[i];
    guard->config.trusted = NULL;
    rc = kg_store_each_allow(guard->store, append_stored, guard);
    if (rc)
        return kg_error_set(err, -rc, "the stored allow-list cannot be read: %s", strerror(-rc));
    drop_strays(guard, KG_MAP_ALLOW4, 4);
    drop_strays(guard, KG_MAP_ALLOW6, 6);
    for (size_t i = 0; i < guard->allow_count; i++) {
        rc = put_in_map(guard, &guard->allow[i].net);
        if (rc == -ENOSPC || rc == -E2BIG)
            return kg_error_set(err, ENOSPC, "the allow-list has more networks than guard.max_allow (%u)",
                                guard->config.max_allow);
        if (rc)
            return kg_error_set(err, -rc, "the allow-list entry %s does not go into the kernel: %s",
                                kg_net_text(&guard->allow[i].net, text), strerror(-rc));
    }
    kg_own_refresh(guard);
    return 0;
}

void kg_allow_close(struct kg_guard *guard)
{
    free(guard->allow);
    free(guard->trusted);
    free(guard->own);
}

/* On failure the addresses known so far stay. */
bool kg_own_refresh(struct kg_guard *guard)
{
    struct ifaddrs *list = NULL;
    struct kg_addr *own;
    size_t count = 0;

    if (getifaddrs(&list))
        return false;
    for (struct ifaddrs *i = list; i; i = i->ifa_next)
        count += i->ifa_addr != NULL;
    own = kg_calloc(count + 1, sizeof(*own));
    count = 0;
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        struct kg_addr addr = { 0 };

        if (i->ifa_addr)
            addr = kg_addr_from_sockaddr(i->ifa_addr);
        if (addr.family)
            own[count++] = kg_addr_source(&addr);
    }
    freeifaddrs(list);
    bool changed = count != guard->own_count || (count && memcmp(own, guard->own, count * sizeof(*own)) != 0);
    free(guard->own);
    guard->own = own;
    guard->own_count = count;
    return changed;
}

/* A source is an address or, for IPv6, a /64: either may lie inside the other. */
bool kg_net_overlaps(const struct kg_net *net, const struct kg_addr *source)
{
    struct kg_addr inside = kg_addr_source(&net->addr);

    if (source->family == 6 && net->prefix_len > 64)
        return kg_addr_eq(&inside, source);
    return kg_net_contains(net, source);
}

/* No host's address: 0.0.0.0/8 and multicast. (:: and ::1 share the /64 of loopback.) */
static bool is_nobody(const struct kg_addr *source)
{
    if (source->family == 4)
        return source->bytes[0] == 0 || source->bytes[0] >> 4 == 14;
    return source->bytes[0] == 0xff;
}

static bool is_own(const struct kg_guard *guard, const struct kg_addr *source)
{
    static const struct kg_addr loopback6 = { .family = 6 }; /* the /64 of ::1 */

    if (kg_addr_is_loopback(source) || kg_addr_eq(source, &loopback6))
        return true;
    for (size_t i = 0; i < guard->own_count; i++) {
        if (kg_addr_eq(&guard->own[i], source))
            return true;
    }
    return false;
}

int kg_ban_permitted(const struct kg_guard *guard, const struct kg_addr *source, struct kg_error *err)
{
    char text[KG_ADDR_TEXT], net[KG_ADDR_TEXT];

    kg_addr_text(source, text);
    if (is_nobody(source))
        return kg_error_set(err, EPERM, "%s is no client's address", text);
    if (is_own(guard, source))
        return kg_error_set(err, EPERM, "%s is this host's own%s and cannot be banned", text,
                            source->family == 4 ? " address" : " network");
    for (size_t i = 0; i < guard->config.trusted_count; i++) {
        if (kg_net_overlaps(&guard->trusted[i], source))
            return kg_error_set(err, EPERM, "%s cannot be banned: %s is in http.trusted_proxies", text,
                                kg_net_text(&guard->trusted[i], net));
    }
    for (size_t i = 0; i < guard->allow_count; i++) {
        if (kg_net_overlaps(&guard->allow[i].net, source))
            return kg_error_set(err, EPERM, "%s cannot be banned: %s is on the allow-list", text,
                                kg_net_text(&guard->allow[i].net, net));
    }
    return 0;
}

int kg_guard_may_ban(const struct kg_guard *guard, const struct kg_addr *address, struct kg_error *err)
{
    struct kg_addr source = kg_addr_source(address);

    return kg_ban_permitted(guard, &source, err);
}

static bool is_full(const struct kg_guard *guard, uint8_t family)
{
    uint32_t count = 0;

    for (size_t i = 0; i < guard->allow_count; i++) {
        const struct kg_net *net = &guard->allow[i].net;

        /* A network both in keygate.yaml and in the store takes one place in the map. */
        count += net->addr.family == family && find_net(guard, net, 0) == i;
    }
    return count >= guard->config.max_allow;
}

int kg_guard_allow(struct kg_guard *guard, const struct kg_net *net, const char *comment,
                   struct kg_error *err)
{
    struct kg_allow_record record = { .net = *net, .created_at = kg_clock_wall() };
    size_t at = find_net(guard, net, guard->config_allow);
    char text[KG_ADDR_TEXT];
    int rc;

    if (find_net(guard, net, 0) == SIZE_MAX && is_full(guard, net->addr.family))
        return kg_error_set(err, ENOSPC, "the allow-list is full (guard.max_allow is %u)",
                            guard->config.max_allow);
    if (comment)
        memcpy(record.comment, comment, strnlen(comment, sizeof(record.comment) - 1));
    if (at != SIZE_MAX)
        record.created_at = guard->allow[at].created_at;
    rc = kg_store_put_allow(guard->store, &record, err);
    if (rc)
        return rc;
    rc = put_in_map(guard, net);
    if (rc && at == SIZE_MAX) {
        kg_store_delete_allow(guard->store, net, NULL);
        return kg_error_set(err, -rc, "%s does not go into the kernel: %s", kg_net_text(net, text),
                            strerror(-rc));
    }
    if (at == SIZE_MAX)
        append(guard, &record);
    else
        guard->allow[at] = record;
    kg_bans_review(guard, net);
    return 0;
}

int kg_guard_disallow(struct kg_guard *guard, const struct kg_net *net, struct kg_error *err)
{
    size_t at = find_net(guard, net, guard->config_allow);
    struct kg_net_key6 key;
    char text[KG_ADDR_TEXT];
    int rc;

    kg_net_text(net, text);
    if (at == SIZE_MAX && find_net(guard, net, 0) != SIZE_MAX)
        return kg_error_set(err, EPERM,
                            "%s is on the allow-list of keygate.yaml and can be taken off there only", text);
    if (at == SIZE_MAX)
        return kg_error_set(err, ENOENT, "%s is not on the allow-list", text);
    rc = kg_store_delete_allow(guard->store, net, err);
    if (rc < 0)
        return rc;
    guard->allow_count--;
    memmove(&guard->allow[at], &guard->allow[at + 1], (guard->allow_count - at) * sizeof(*guard->allow));
    if (find_net(guard, net, 0) == SIZE_MAX)
        bpf_map_delete_elem(net_key(guard, net, &key), &key);
    return 0;
}

void kg_guard_each_allow(struct kg_guard *guard,
                         void (*visit)(void *ctx, const struct kg_allow_record *record, bool from_config),
                         void *ctx)
{
    for (size_t i = 0; i < guard->allow_count; i++)
        visit(ctx, &guard->allow[i], i < guard->config_allow);
}
