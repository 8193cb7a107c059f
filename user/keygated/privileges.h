/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving up root once everything that needs it is open. Main thread. */
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

/* Looks a user up by name. 0 also when there is none (found is false); -errno when the question cannot be
 * answered. */
int kg_identity_find(const char *user, struct kg_identity *identity, struct kg_error *err);

/*
 * No program that is run from here on gains rights by its file's bits (PR_SET_NO_NEW_PRIVS). It counts for
 * one thread and those that it starts, so it comes before any other thread.
 */
int kg_privileges_freeze(struct kg_error *err);

/*
 * Becomes that user for good, in all threads, with no supplementary groups but its own and no capabilities. 0
 * or -errno with a sentence: then the process must end, since it may be half way.
 */
int kg_privileges_drop(const char *user, const struct kg_identity *identity, struct kg_error *err);

/*
 * Our memory, which holds keys and what opens them, never becomes a core file, and no other process of our
 * user may look into it. The kernel sets this anew when the user changes (prctl(2), PR_SET_DUMPABLE), so it
 * comes after the drop.
 */
int kg_privileges_hide_memory(struct kg_error *err);

#endif
