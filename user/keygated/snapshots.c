/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/snapshots.h"
#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

void kg_snapshots_add(struct kg_snapshots *snapshots, struct kg_snapshot *snapshot)
{
    if (snapshots->count == snapshots->capacity) {
        snapshots->capacity = snapshots->capacity ? snapshots->capacity * 2 : 16;
        snapshots->list = kg_realloc(snapshots->list, snapshots->capacity, sizeof(*snapshots->list));
    }
    snapshots->list[snapshots->count++] = snapshot;
}

/* Where in the list the slowest worker is. */
static size_t slowest(const struct kg_snapshots *snapshots, struct kg_worker *const *workers,
                      size_t worker_count)
{
    size_t least = snapshots->count - 1;

    for (size_t i = 0; i < worker_count; i++) {
        const struct kg_snapshot *adopted = kg_worker_adopted(workers[i]);
        size_t at = 0;

        while (snapshots->list[at] != adopted) {
            at++;
            KG_ASSERT(at < snapshots->count);
        }
        least = at < least ? at : least;
    }
    return least;
}

void kg_snapshots_retire(struct kg_snapshots *snapshots, struct kg_worker *const *workers,
                         size_t worker_count)
{
    if (snapshots->count < 2)
        return;
    size_t until = slowest(snapshots, workers, worker_count), kept = 0;

    for (size_t i = 0; i < snapshots->count; i++) {
        if (i < until && kg_snapshot_idle(snapshots->list[i]))
            kg_snapshot_free(snapshots->list[i]);
        else
            snapshots->list[kept++] = snapshots->list[i];
    }
    snapshots->count = kept;
}

void kg_snapshots_free(struct kg_snapshots *snapshots)
{
    for (size_t i = 0; i < snapshots->count; i++)
        kg_snapshot_free(snapshots->list[i]);
    free(snapshots->list);
    *snapshots = (struct kg_snapshots){ 0 };
}
