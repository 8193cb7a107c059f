/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket file: taking the place of a dead daemon's, never of a live one's; and who may talk to it. */
#include "admin/server.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG     64
#define LOOKUP_SIZE 16384 /* for getpwuid_r and getgrnam_r */
#define GROUPS_MAX  1024
#define LOCK_TRIES  100

static int make_address(const char *path, struct sockaddr_un *address, struct kg_error *err)
{
    size_t len = strlen(path);

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (len == 0 || len >= sizeof(address->sun_path))
        return kg_error_set(err, ENAMETOOLONG,
                            "admin.socket: a path of 1 to %zu bytes is needed, this one has %zu",
                            sizeof(address->sun_path) - 1, len);
    memcpy(address->sun_path, path, len);
    return 0;
}

/*
 * Opens the folder, made when missing, and locks it, so that two daemons that start at once look one after
 * the other. The lock is only a courtesy: whoever may read the folder could hold it, so it is not waited for
 * longer than a second.
 */
static int open_folder(const char *path, struct kg_error *err)
{
    const struct timespec pause = { .tv_nsec = 10000000 };
    char *copy = kg_strdup(path);
    const char *folder = dirname(copy);
    int fd = -1;

    if (mkdir(folder, 0755) == 0 && chmod(folder, 0755) < 0)
        kg_error_set(err, errno, "cannot set the mode of %s: %s", folder, strerror(errno));
    else
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fd = kg_error_set(err, errno, "cannot open the folder %s of the admin socket: %s", folder,
                          strerror(errno));
    free(copy);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
        nanosleep(&pause, NULL);
    return fd;
}

/* What connecting to the old socket says: 0 nobody is there, or the errno. A full backlog (EAGAIN) means a
 * live daemon. */
static int knock(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return errno;
    rc = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : EADDRINUSE;
    close(fd);
    if (rc == ECONNREFUSED)
        return 0;
    return rc == EAGAIN ? EADDRINUSE : rc;
}

static int clear_place(const struct sockaddr_un *address, struct kg_error *err)
{
    const char *path = address->sun_path;
    struct stat st;
    int rc;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : kg_error_set(err, errno, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return kg_error_set(
            err, EEXIST, "%s is there and is not a socket; remove it or choose another admin.socket", path);
    rc = knock(address);
    if (rc == EADDRINUSE)
        return kg_error_set(err, rc, "another daemon answers on %s", path);
    if (rc != 0)
        return kg_error_set(err, rc, "cannot tell whether a daemon lives behind %s: %s", path, strerror(rc));
    if (unlink(path) < 0 && errno != ENOENT)
        return kg_error_set(err, errno, "cannot remove the stale socket %s: %s", path, strerror(errno));
    return 0;
}

static void find_group(struct kg_admin *admin, const char *name)
{
    char buf[LOOKUP_SIZE];
    struct group group, *found = NULL;

    if (name && getgrnam_r(name, &group, buf, sizeof(buf), &found) == 0 && found) {
        admin->group = found->gr_gid;
        admin->has_group = true;
        return;
    }
    kg_log(KG_LOG_WARN,
           "admin: there is no group \"%s\": only root and the daemon's own user may use the Admin API",
           name ? name : "");
}

static int open_up(struct kg_admin *admin, struct kg_error *err)
{
    struct stat st;

    if (admin->has_group && lchown(admin->path, (uid_t)-1, admin->group) < 0)
        return kg_error_set(err, errno, "cannot give %s to its group: %s", admin->path, strerror(errno));
    if (chmod(admin->path, 0660) < 0 || lstat(admin->path, &st) < 0)
        return kg_error_set(err, errno, "cannot set the mode of %s: %s", admin->path, strerror(errno));
    admin->dev = st.st_dev;
    admin->ino = st.st_ino;
    return 0;
}

static int bind_there(struct kg_admin *admin, const struct sockaddr_un *address, struct kg_error *err)
{
    int rc = clear_place(address, err);

    if (rc < 0)
        return rc;
    admin->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (admin->listen_fd < 0)
        return kg_error_set(err, errno, "cannot make the admin socket: %s", strerror(errno));
    /* Linux makes the file with the socket's own mode: nobody gets in before the group is right. */
    if (fchmod(admin->listen_fd, 0600) < 0 ||
        bind(admin->listen_fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return kg_error_set(err, errno, "cannot bind %s: %s", admin->path, strerror(errno));
    rc = open_up(admin, err);
    if (rc == 0 && listen(admin->listen_fd, BACKLOG) < 0)
        rc = kg_error_set(err, errno, "cannot listen on %s: %s", admin->path, strerror(errno));
    if (rc < 0)
        unlink(admin->path);
    return rc;
}

int kg_admin_listen(struct kg_admin *admin, const char *group, struct kg_error *err)
{
    struct sockaddr_un address;
    int rc = make_address(admin->path, &address, err);
    int folder;

    if (rc < 0)
        return rc;
    admin->opener = geteuid();
    find_group(admin, group);
    folder = open_folder(admin->path, err);
    if (folder < 0)
        return folder;
    rc = bind_there(admin, &address, err);
    close(folder); /* and with it the lock */
    return rc;
}

/* By then the daemon may be another user who cannot write to the folder: the next start finds the file stale.
 */
void kg_admin_unlink(struct kg_admin *admin)
{
    struct stat st;

    if (admin->ino == 0 || lstat(admin->path, &st) < 0 || st.st_dev != admin->dev || st.st_ino != admin->ino)
        return;
    if (unlink(admin->path) < 0)
        kg_log(KG_LOG_DEBUG, "admin: %s stays behind: %s", admin->path, strerror(errno));
}

/* The groups the peer's process had when it connected (SO_PEERGROUPS, kernel 4.13). */
static bool process_in_group(int fd, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t len = sizeof(groups);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return false;
    for (size_t i = 0; i < len / sizeof(gid_t); i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

/* The groups its user has by now: whoever was just added need not log in anew. */
static bool user_in_group(uid_t uid, gid_t group)
{
    char buf[LOOKUP_SIZE];
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    struct passwd user, *found = NULL;

    if (getpwuid_r(uid, &user, buf, sizeof(buf), &found) != 0 || !found)
        return false;
    if (getgrouplist(found->pw_name, found->pw_gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

bool kg_admin_may(const struct kg_admin *admin, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == admin->opener || peer.uid == geteuid())
        return true;
    if (!admin->has_group)
        return false;
    return peer.gid == admin->group || process_in_group(fd, admin->group) ||
           user_in_group(peer.uid, admin->group);
}
