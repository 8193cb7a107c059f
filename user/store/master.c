/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of the master key: 32 bytes that nobody but its owner may read. */
#include "store/internal.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_NAME "/master.key"
#define NEXT         ".new"

static char *append(const char *text, const char *more)
{
    size_t cap = strlen(text) + strlen(more) + 1;
    char *both = kg_calloc(cap, 1);

    snprintf(both, cap, "%s%s", text, more);
    return both;
}

/* A stranger who may write there could put another key in the place of ours. */
static int open_dir(struct kg_master *master, struct kg_error *err)
{
    struct stat st;

    master->dir_fd = open(master->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (master->dir_fd < 0)
        return kg_error_set(err, errno, "cannot open %s, the folder of the master key: %s", master->dir,
                            strerror(errno));
    if (fstat(master->dir_fd, &st) || (st.st_mode & S_IWOTH))
        return kg_error_set(err, EPERM,
                            "everyone may write to %s, the folder of the master key (mode %04o): run chmod "
                            "o-w on it, or choose another",
                            master->dir, (unsigned)(st.st_mode & 07777));
    return 0;
}

int kg_master_open(struct kg_master *master, const char *state_dir, const char *path, struct kg_error *err)
{
    const char *slash;

    master->path = path && path[0] ? kg_strdup(path) : append(state_dir, DEFAULT_NAME);
    slash = strrchr(master->path, '/');
    if (!slash || slash[1] == '\0')
        return kg_error_set(err, EINVAL, "%s is no path of a file for the master key", master->path);
    master->name = slash + 1;
    /* With the slash where the file is right below the root. */
    size_t len = (size_t)(slash - master->path);
    master->dir = kg_strndup(master->path, len > 0 ? len : 1);
    master->next = append(master->name, NEXT);
    return open_dir(master, err);
}

void kg_master_close(struct kg_master *master)
{
    if (master->dir_fd >= 0)
        close(master->dir_fd);
    free(master->dir);
    free(master->path);
    free(master->next);
    *master = (struct kg_master){ .dir_fd = -1 };
}

static int check_and_read(int fd, const char *path, uint8_t key[KG_MASTER_LEN], struct kg_error *err)
{
    struct stat st;
    uint8_t more;

    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return kg_error_set(err, EINVAL, "%s is not a regular file", path);
    if (st.st_mode & 077)
        return kg_error_set(err, EPERM, "%s is open to others (mode %04o): run chmod 600 on it", path,
                            (unsigned)(st.st_mode & 07777));
    if (read(fd, key, KG_MASTER_LEN) != KG_MASTER_LEN || read(fd, &more, 1) != 0)
        return kg_error_set(err, EINVAL, "%s does not hold exactly %d bytes", path, KG_MASTER_LEN);
    return 0;
}

static int read_file(const struct kg_master *master, const char *name, uint8_t key[KG_MASTER_LEN],
                     struct kg_error *err)
{
    int rc, fd = openat(master->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return kg_error_set(err, errno, "cannot open %s: %s", master->path, strerror(errno));
    rc = check_and_read(fd, master->path, key, err);
    close(fd);
    return rc;
}

int kg_master_read(const struct kg_master *master, uint8_t key[KG_MASTER_LEN], struct kg_error *err)
{
    return read_file(master, master->name, key, err);
}

int kg_master_read_next(const struct kg_master *master, uint8_t key[KG_MASTER_LEN], struct kg_error *err)
{
    return read_file(master, master->next, key, err);
}

void kg_master_drop_next(const struct kg_master *master)
{
    unlinkat(master->dir_fd, master->next, 0);
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t wrote = write(fd, bytes, len);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return -1;
        bytes += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

/* The one that it will replace may belong to another user than ours. */
static int same_owner(const struct kg_master *master, int fd)
{
    struct stat st;

    if (fstatat(master->dir_fd, master->name, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : -1;
    return st.st_uid == geteuid() ? 0 : fchown(fd, st.st_uid, st.st_gid);
}

int kg_master_make_next(const struct kg_master *master, uint8_t key[KG_MASTER_LEN], struct kg_error *err)
{
    int fd, rc = 0;

    kg_master_drop_next(master);
    fd = openat(master->dir_fd, master->next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return kg_error_set(err, errno, "cannot create %s: %s", master->path, strerror(errno));
    kg_random(key, KG_MASTER_LEN);
    if (fchmod(fd, 0600) || same_owner(master, fd) || write_all(fd, key, KG_MASTER_LEN) || fsync(fd) ||
        fsync(master->dir_fd))
        rc = kg_error_set(err, errno ? errno : EIO, "cannot write %s: %s", master->path, strerror(errno));
    close(fd);
    if (rc)
        kg_master_drop_next(master);
    return rc;
}

/* The key appears under its name only when all of it is on disk: until then a crash changes nothing. */
static int rename_next(const struct kg_master *master, unsigned flags, struct kg_error *err)
{
    if (renameat2(master->dir_fd, master->next, master->dir_fd, master->name, flags) || fsync(master->dir_fd))
        return kg_error_set(err, errno, "cannot write %s: %s", master->path, strerror(errno));
    return 0;
}

/* RENAME_NOREPLACE (Linux 3.15): a key that is there is never lost. */
int kg_master_make(const struct kg_master *master, uint8_t key[KG_MASTER_LEN], struct kg_error *err)
{
    int rc = kg_master_make_next(master, key, err);

    if (rc == 0)
        rc = rename_next(master, RENAME_NOREPLACE, err);
    if (rc)
        kg_master_drop_next(master);
    return rc;
}

int kg_master_take_next(const struct kg_master *master, struct kg_error *err)
{
    return rename_next(master, 0, err);
}
