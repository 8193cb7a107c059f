/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int kg_identity_find(const char *user, struct kg_identity *identity, struct kg_error *err)
{
    char text[4096];
    struct passwd entry, *found;
    int rc = getpwnam_r(user, &entry, text, sizeof(text), &found);

    *identity = (struct kg_identity){ 0 };
    if (rc != 0)
        return kg_error_set(err, rc, "cannot look up the user '%s': %s", user, strerror(rc));
    if (found)
        *identity = (struct kg_identity){ .found = true, .uid = entry.pw_uid, .gid = entry.pw_gid };
    return 0;
}

int kg_privileges_freeze(struct kg_error *err)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
               ? 0
               : kg_error_set(err, errno, "cannot set no_new_privs: %s", strerror(errno));
}

int kg_privileges_hide_memory(struct kg_error *err)
{
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
               ? 0
               : kg_error_set(err, errno, "cannot keep the memory out of core files: %s", strerror(errno));
}

int kg_privileges_drop(const char *user, const struct kg_identity *identity, struct kg_error *err)
{
    uid_t uid = identity->uid;
    gid_t gid = identity->gid;

    /* Groups first: afterwards there is no right to change them. Capabilities go with the last uid 0. */
    if (initgroups(user, gid) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
        return kg_error_set(err, errno, "cannot become the user '%s': %s", user, strerror(errno));
    if (uid != 0 && setuid(0) == 0)
        return kg_error_set(err, EPERM, "root could be had back after becoming the user '%s'", user);
    return 0;
}
