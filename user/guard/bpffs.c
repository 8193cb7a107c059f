/* SPDX-License-Identifier: BSD-2-Clause */
/* The folder of pins on the BPF file system. What is pinned there outlives the daemon. */
#include "guard/internal.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BPF_FS_MAGIC 0xcafe4a11
#define BPF_FS_ROOT  "/sys/fs/bpf"

static bool is_bpffs(const char *path)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 && (uint32_t)fs.f_type == BPF_FS_MAGIC;
}

static int mount_bpffs(const char *dir, struct kg_error *err)
{
    if (strncmp(dir, BPF_FS_ROOT "/", sizeof(BPF_FS_ROOT)) != 0 || is_bpffs(BPF_FS_ROOT))
        return 0;
    /* The options that systemd uses. */
    if (mount("bpf", BPF_FS_ROOT, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") == 0)
        return 0;
    return kg_error_set(err, errno, "the BPF file system cannot be mounted on " BPF_FS_ROOT ": %s",
                        strerror(errno));
}

int kg_bpffs_prepare(const char *dir, bool *made, struct kg_error *err)
{
    int rc = mount_bpffs(dir, err);

    *made = false;
    if (rc)
        return rc;
    if (mkdir(dir, 0755) == 0)
        *made = true;
    else if (errno != EEXIST)
        return kg_error_set(err, errno, "the folder %s cannot be made: %s", dir, strerror(errno));
    if (is_bpffs(dir))
        return 0;
    if (*made)
        rmdir(dir);
    *made = false;
    return kg_error_set(err, EINVAL, "%s is not on a BPF file system (as " BPF_FS_ROOT " is)", dir);
}

bool kg_guard_pinned(const char *bpf_dir)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/" KG_PIN_PROG, bpf_dir);

    return len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0;
}

/* flock(2) goes with the open folder and ends with the process, however that ends. */
int kg_bpffs_lock(const char *dir, struct kg_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return kg_error_set(err, errno, "the folder %s cannot be opened: %s", dir, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (errno == EWOULDBLOCK)
        rc = kg_error_set(err, EBUSY, "another keygated is using the BPF folder %s", dir);
    else
        rc = kg_error_set(err, errno, "the folder %s cannot be locked: %s", dir, strerror(errno));
    close(fd);
    return rc;
}

/* bpffs refuses names with dots, which interfaces have ("eth0.100"); a colon is in no interface name. */
void kg_pin_path(const char *dir, const char *prefix, const char *name, char out[static 512])
{
    int len = snprintf(out, 512, "%s/", dir);

    KG_ASSERT(len > 0 && len < 512);
    snprintf(out + len, 512 - (size_t)len, "%s%s", prefix, name);
    for (char *c = out + len; *c; c++) {
        if (*c == '.')
            *c = ':';
    }
}

int kg_pin_put(const char *dir, const char *name, int fd, struct kg_error *err)
{
    char path[512];

    kg_pin_path(dir, KG_PIN_NEW, name, path);
    unlink(path); /* left by a start that was killed */
    if (bpf_obj_pin(fd, path) == 0)
        return 0;
    return kg_error_set(err, errno, "%s cannot be pinned: %s", path, strerror(errno));
}

int kg_pin_commit(const char *dir, const char *name, struct kg_error *err)
{
    char from[512], to[512];

    kg_pin_path(dir, KG_PIN_NEW, name, from);
    kg_pin_path(dir, "", name, to);
    if (rename(from, to) == 0)
        return 0;
    return kg_error_set(err, errno, "%s cannot be pinned: %s", to, strerror(errno));
}

void kg_pin_drop(const char *dir, const char *prefix, const char *name)
{
    char path[512];

    kg_pin_path(dir, prefix, name, path);
    unlink(path);
}

static bool is_ours(const char *name)
{
    if (strncmp(name, KG_PIN_NEW, strlen(KG_PIN_NEW)) == 0)
        name += strlen(KG_PIN_NEW);
    if (strncmp(name, KG_PIN_LINK, strlen(KG_PIN_LINK)) == 0 || strcmp(name, KG_PIN_PROG) == 0)
        return true;
    for (enum kg_map map = 0; map < KG_MAPS; map++) {
        if (strcmp(name, kg_map_name(map)) == 0)
            return true;
    }
    return false;
}

int kg_pins_each(const char *dir, int (*visit)(void *ctx, const char *name), void *ctx)
{
    DIR *list = opendir(dir);
    struct dirent *item;
    int rc = 0;

    if (!list)
        return -errno;
    while (rc == 0 && (item = readdir(list)) != NULL) {
        if (strlen(item->d_name) < KG_PIN_NAME && is_ours(item->d_name))
            rc = visit(ctx, item->d_name);
    }
    closedir(list);
    return rc;
}

/* Taking the pin away is not enough while a daemon holds the link open: it is detached first. */
static int remove_pin(void *ctx, const char *name)
{
    const char *dir = *(const char **)ctx;
    struct kg_pinned_link link;
    char path[512];

    if (strstr(name, KG_PIN_LINK) && kg_link_read(dir, name, &link) == 0) {
        int rc = link.ifindex ? bpf_link_detach(link.fd) : 0;

        close(link.fd);
        if (rc)
            return rc;
    }
    kg_pin_path(dir, "", name, path);
    return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

int kg_guard_detach(const char *bpf_dir, struct kg_error *err)
{
    struct stat st;

    if (stat(bpf_dir, &st) != 0 && errno == ENOENT)
        return 0;
    if (geteuid() != 0 && access(bpf_dir, R_OK | W_OK | X_OK) != 0)
        return kg_error_set(err, EPERM, "removing what is pinned in %s needs root", bpf_dir);
    if (!is_bpffs(bpf_dir))
        return kg_error_set(err, EINVAL, "%s is not on a BPF file system", bpf_dir);
    int rc = kg_pins_each(bpf_dir, remove_pin, &bpf_dir);
    if (rc)
        return kg_error_set(err, -rc, "what is pinned in %s cannot be removed: %s", bpf_dir, strerror(-rc));
    if (rmdir(bpf_dir) == 0 || errno == ENOENT)
        return 0;
    if (errno == ENOTEMPTY)
        return kg_error_set(err, ENOTEMPTY, "%s holds files that are not keygate's; it is left in place",
                            bpf_dir);
    return kg_error_set(err, errno, "the folder %s cannot be removed: %s", bpf_dir, strerror(errno));
}
