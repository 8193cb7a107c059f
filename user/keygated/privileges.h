/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving up root once everything that needs it is open. Main thread, before any other thread is started. */
#ifndef KG_KEYGATED_PRIVILEGES_H
#define KG_KEYGATED_PRIVILEGES_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct kg_identity {
    bool found; /* false: no such user on this machine */
    uid_t uid;
    gid_t gid;
};

/* Looks a user up by name. 0 also when there is none (found is false); -errno when the question cannot be answered. */
int kg_identity_find(const char *user, struct kg_identity *identity, struct kg_error *err);

/*
 * Becomes that user for good, with no supplementary groups but its own and no capabilities, and sets no_new_privs.
 * 0 or -errno with a sentence: then the process must end, since it may be half way.
 */
int kg_privileges_drop(const char *user, const struct kg_identity *identity, struct kg_error *err);

#endif
