/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interfaces: one pinned link each, so that the program stays attached without us. A link of an earlier start
 * is found by its device, not by its name, and is given the new program in one atomic step (kernel 5.9).
 */
#include "guard/internal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

int kg_link_read(const char *dir, const char *name, struct kg_pinned_link *link)
{
    struct bpf_link_info info = { 0 };
    uint32_t len = sizeof(info);
    char path[512];

    *link = (struct kg_pinned_link){ 0 };
    snprintf(link->file, sizeof(link->file), "%s", name);
    kg_pin_path(dir, "", name, path);
    link->fd = bpf_obj_get(path);
    if (link->fd < 0)
        return -errno;
    if (bpf_obj_get_info_by_fd(link->fd, &info, &len) || info.type != BPF_LINK_TYPE_XDP) {
        close(link->fd);
        return -EINVAL;
    }
    link->ifindex = info.xdp.ifindex;
    link->prog_id = info.prog_id;
    return 0;
}

static int collect(void *ctx, const char *name)
{
    struct kg_guard *guard = ctx;

    if (!strstr(name, KG_PIN_LINK) || guard->pinned_count == KG_PINNED_LINKS)
        return 0;
    if (kg_link_read(guard->dir, name, &guard->pinned[guard->pinned_count]) == 0)
        guard->pinned_count++;
    return 0;
}

/* Ifindexes repeat in other network namespaces: the device itself must report the link's program. */
static struct kg_pinned_link *our_link(struct kg_guard *guard, uint32_t ifindex, uint32_t prog_id)
{
    for (size_t i = 0; i < guard->pinned_count; i++) {
        struct kg_pinned_link *link = &guard->pinned[i];

        if (!link->used && link->ifindex == ifindex && link->prog_id == prog_id)
            return link;
    }
    return NULL;
}

static int refuse_foreign(const char *interface, uint32_t id, struct kg_error *err)
{
    struct bpf_prog_info info = { 0 };
    uint32_t len = sizeof(info);
    int fd = bpf_prog_get_fd_by_id(id);

    if (fd >= 0) {
        bpf_obj_get_info_by_fd(fd, &info, &len);
        close(fd);
    }
    return kg_error_set(
        err, EBUSY,
        "the interface %s has an XDP program of somebody else, \"%s\" (id %u); keygate does not "
        "replace it",
        interface, info.name[0] ? info.name : "unnamed", id);
}

static uint32_t attached_id(const struct bpf_xdp_query_opts *query)
{
    const uint32_t ids[] = { query->prog_id, query->drv_prog_id, query->hw_prog_id, query->skb_prog_id };

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (ids[i])
            return ids[i];
    }
    return 0;
}

static int check_port(struct kg_guard *guard, size_t i, struct kg_error *err)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    struct kg_port *port = &guard->port[i];
    const char *name = guard->shown[i].name;
    int rc;

    port->ifindex = if_nametoindex(name);
    if (!port->ifindex)
        return kg_error_set(err, ENODEV, "the interface %s does not exist", name);
    for (size_t other = 0; other < i; other++) {
        if (guard->port[other].ifindex == port->ifindex)
            return kg_error_set(err, EINVAL, "the interface %s is listed twice", name);
    }
    rc = bpf_xdp_query((int)port->ifindex, 0, &query);
    if (rc)
        return kg_error_set(err, -rc, "the interface %s cannot be asked for its XDP program: %s", name,
                            strerror(-rc));
    port->attached_id = attached_id(&query);
    if (!port->attached_id)
        return 0;
    port->pinned = our_link(guard, port->ifindex, port->attached_id);
    if (!port->pinned)
        return refuse_foreign(name, port->attached_id, err);
    port->pinned->used = true;
    port->was_native = query.attach_mode == XDP_ATTACHED_DRV;
    return 0;
}

int kg_links_check(struct kg_guard *guard, struct kg_error *err)
{
    int rc = kg_pins_each(guard->dir, collect, guard);

    if (rc)
        return kg_error_set(err, -rc, "the folder %s cannot be read: %s", guard->dir, strerror(-rc));
    for (size_t i = 0; i < guard->config.interface_count && rc == 0; i++)
        rc = check_port(guard, i, err);
    return rc;
}

static int create_link(const struct kg_guard *guard, int prog, uint32_t ifindex, bool native)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
    int fd = bpf_link_create(prog, (int)ifindex, BPF_XDP, &opts);

    return fd >= 0 ? fd : -errno;
}

static const char *why_not_native(int errnum)
{
    switch (errnum) {
    case EOPNOTSUPP:
        return "the driver has no native XDP, or an offload (LRO, GRO_HW) forbids it";
    case ERANGE:
    case EINVAL:
        return "the driver refuses it at this MTU or with these queues";
    default:
        return strerror(errnum);
    }
}

/* Native first; generic where that is allowed and native is not to be had. */
static int attach_new(struct kg_guard *guard, size_t i, struct kg_error *err)
{
    struct kg_guard_interface *shown = &guard->shown[i];
    struct kg_port *port = &guard->port[i];
    int fd = -1;

    if (guard->config.mode != KG_XDP_GENERIC) {
        fd = create_link(guard, guard->prog, port->ifindex, true);
        shown->native = fd >= 0;
        if (fd < 0)
            snprintf(shown->note, sizeof(shown->note), "not native: %s", why_not_native(-fd));
    }
    if (fd < 0 && guard->config.mode == KG_XDP_NATIVE)
        return kg_error_set(err, -fd, "XDP cannot be attached to %s natively: %s", shown->name,
                            why_not_native(-fd));
    if (fd < 0)
        fd = create_link(guard, guard->prog, port->ifindex, false);
    if (fd < 0)
        return kg_error_set(err, -fd, "XDP cannot be attached to %s: %s", shown->name, strerror(-fd));
    port->link = fd;
    return 0;
}

static bool mode_suits(enum kg_xdp_mode mode, bool native)
{
    return mode == KG_XDP_AUTO || native == (mode == KG_XDP_NATIVE);
}

static int attach_port(struct kg_guard *guard, size_t i, struct kg_error *err)
{
    struct kg_guard_interface *shown = &guard->shown[i];
    struct kg_port *port = &guard->port[i];
    int rc;

    if (!port->pinned) {
        rc = attach_new(guard, i, err);
        port->state = rc ? KG_PORT_IDLE : KG_PORT_CREATED;
        return rc;
    }
    port->old_prog = bpf_prog_get_fd_by_id(port->attached_id);
    if (!mode_suits(guard->config.mode, port->was_native)) {
        /* The kernel refuses generic beside native, so this one change leaves a short gap. */
        port->state = KG_PORT_MOVED;
        bpf_link_detach(port->pinned->fd);
        return attach_new(guard, i, err);
    }
    rc = bpf_link_update(port->pinned->fd, guard->prog, NULL);
    if (rc)
        return kg_error_set(err, -rc, "the XDP program on %s cannot be replaced: %s", shown->name,
                            strerror(-rc));
    port->state = KG_PORT_UPDATED;
    port->link = port->pinned->fd;
    shown->native = port->was_native;
    if (!shown->native && guard->config.mode == KG_XDP_AUTO)
        snprintf(shown->note, sizeof(shown->note), "generic since an earlier start");
    return 0;
}

static void link_name(const struct kg_guard *guard, size_t i, char out[static KG_PIN_NAME])
{
    snprintf(out, KG_PIN_NAME, KG_PIN_LINK "%.15s", guard->shown[i].name);
    for (char *c = out; *c; c++) {
        if (*c == '.')
            *c = ':';
    }
}

int kg_links_attach(struct kg_guard *guard, struct kg_error *err)
{
    char name[KG_PIN_NAME];
    int rc = 0;

    for (size_t i = 0; i < guard->config.interface_count && rc == 0; i++) {
        rc = attach_port(guard, i, err);
        if (rc || guard->port[i].state == KG_PORT_UPDATED)
            continue;
        link_name(guard, i, name);
        rc = kg_pin_put(guard->dir, name, guard->port[i].link, err);
    }
    return rc;
}

/* The link pinned before may have another name: its device was renamed, or a start was killed before its
 * commit. */
static int commit_port(struct kg_guard *guard, size_t i, struct kg_error *err)
{
    struct kg_port *port = &guard->port[i];
    char name[KG_PIN_NAME], from[512], to[512];

    link_name(guard, i, name);
    if (port->state != KG_PORT_UPDATED) {
        int rc = kg_pin_commit(guard->dir, name, err);

        if (rc == 0 && port->pinned && strcmp(port->pinned->file, name) != 0)
            kg_pin_drop(guard->dir, "", port->pinned->file);
        return rc;
    }
    if (strcmp(port->pinned->file, name) == 0)
        return 0;
    kg_pin_path(guard->dir, "", port->pinned->file, from);
    kg_pin_path(guard->dir, "", name, to);
    if (rename(from, to) == 0)
        return 0;
    return kg_error_set(err, errno, "%s cannot be pinned: %s", to, strerror(errno));
}

/* Links of interfaces that are no longer configured, or whose device is gone. */
static void drop_unused(struct kg_guard *guard)
{
    char name[KG_PIN_NAME];

    for (size_t i = 0; i < guard->pinned_count; i++) {
        struct kg_pinned_link *link = &guard->pinned[i];
        bool name_taken = false;

        if (link->used)
            continue;
        if (link->ifindex) {
            bpf_link_detach(link->fd);
            kg_log(KG_LOG_INFO, "XDP detached from an interface no longer configured (%s)", link->file);
        }
        for (size_t p = 0; p < guard->config.interface_count; p++) {
            link_name(guard, p, name);
            name_taken |= strcmp(name, link->file) == 0;
        }
        if (!name_taken)
            kg_pin_drop(guard->dir, "", link->file);
        close(link->fd);
        link->fd = -1;
    }
}

int kg_links_commit(struct kg_guard *guard, struct kg_error *err)
{
    int rc;

    for (size_t i = 0; i < guard->config.interface_count; i++) {
        rc = commit_port(guard, i, err);
        if (rc)
            return rc;
    }
    drop_unused(guard);
    for (size_t i = 0; i < guard->config.interface_count; i++) {
        struct kg_port *port = &guard->port[i];

        guard->shown[i].attached = true;
        if (port->old_prog >= 0)
            close(port->old_prog);
        port->old_prog = -1;
        if (port->state == KG_PORT_MOVED)
            close(port->pinned->fd);
        port->pinned = NULL;
    }
    guard->pinned_count = 0;
    return 0;
}

/* Puts back the program that was there; a link once detached cannot be revived, so it takes a new one. */
static void restore(struct kg_guard *guard, struct kg_port *port)
{
    char path[512];
    int fd;

    if (port->old_prog < 0)
        return;
    if (port->state == KG_PORT_UPDATED) {
        bpf_link_update(port->link, port->old_prog, NULL);
        return;
    }
    if (port->link >= 0)
        bpf_link_detach(port->link);
    fd = create_link(guard, port->old_prog, port->ifindex, port->was_native);
    if (fd < 0)
        return;
    kg_pin_path(guard->dir, "", port->pinned->file, path);
    unlink(path);
    bpf_obj_pin(fd, path);
    close(fd);
}

void kg_links_rollback(struct kg_guard *guard)
{
    char name[KG_PIN_NAME];

    for (size_t i = 0; i < guard->config.interface_count; i++) {
        struct kg_port *port = &guard->port[i];

        if (port->state == KG_PORT_IDLE)
            continue;
        link_name(guard, i, name);
        if (port->state == KG_PORT_CREATED)
            bpf_link_detach(port->link);
        else
            restore(guard, port);
        if (port->state != KG_PORT_UPDATED)
            kg_pin_drop(guard->dir, KG_PIN_NEW, name);
    }
}

void kg_links_close(struct kg_guard *guard)
{
    for (size_t i = 0; i < guard->config.interface_count; i++) {
        struct kg_port *port = &guard->port[i];

        /* An updated link is the pinned one; before the commit the list below still owns it. */
        if (port->link >= 0 && !(port->pinned && port->link == port->pinned->fd))
            close(port->link);
        if (port->old_prog >= 0)
            close(port->old_prog);
        port->link = port->old_prog = -1;
    }
    for (size_t i = 0; i < guard->pinned_count; i++) {
        if (guard->pinned[i].fd >= 0)
            close(guard->pinned[i].fd);
    }
    guard->pinned_count = 0;
}

/* A device that is removed takes its link along; the link then reports no device. */
void kg_links_refresh(struct kg_guard *guard)
{
    for (size_t i = 0; i < guard->config.interface_count; i++) {
        struct kg_guard_interface *shown = &guard->shown[i];
        struct bpf_link_info info = { 0 };
        uint32_t len = sizeof(info);

        if (!shown->attached || bpf_obj_get_info_by_fd(guard->port[i].link, &info, &len) || info.xdp.ifindex)
            continue;
        shown->attached = false;
        snprintf(shown->note, sizeof(shown->note),
                 "detached: the interface is gone, or somebody detached it");
        kg_log(KG_LOG_WARN, "XDP is no longer attached to %s: bans are enforced in user space only there",
               shown->name);
    }
}
