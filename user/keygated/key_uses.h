/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries what workers tell about the use of keys into the store, in batches of which each is short, so that
 * nobody waits for it. Control thread.
 */
#ifndef KG_KEYGATED_KEY_USES_H
#define KG_KEYGATED_KEY_USES_H

#include "proxy/worker.h"
#include "store/store.h"

/* A batch of what there is, from all workers; how many it wrote. */
size_t kg_key_uses_write(struct kg_store *store, struct kg_worker *const *workers, size_t worker_count);

#endif
