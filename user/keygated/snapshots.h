/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The snapshots that may still be in use, oldest first; the last one is current. An older one is freed when
 * every worker has adopted one that came after it and no request holds it. Control thread.
 */
#ifndef KG_KEYGATED_SNAPSHOTS_H
#define KG_KEYGATED_SNAPSHOTS_H

#include "proxy/worker.h"

struct kg_snapshots {
    struct kg_snapshot **list;
    size_t count, capacity;
};

/* Takes over a snapshot and makes it the current one. */
void kg_snapshots_add(struct kg_snapshots *snapshots, struct kg_snapshot *snapshot);
/* Frees what no worker can see any more. */
void kg_snapshots_retire(struct kg_snapshots *snapshots, struct kg_worker *const *workers,
                         size_t worker_count);
/* Frees all; no worker runs any more. */
void kg_snapshots_free(struct kg_snapshots *snapshots);

#endif
