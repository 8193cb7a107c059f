/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/key_uses.h"
#include "base/clock.h"
#include "base/log.h"

#define BATCH    256   /* a few milliseconds */
#define QUIET_MS 60000 /* between two complaints: there is something to write at each tick */

/* Once in a while. Control thread only. */
static void complain(const struct kg_error *err)
{
    static uint64_t said_ms;
    uint64_t now = kg_clock_ms();

    if (said_ms && now - said_ms < QUIET_MS)
        return;
    said_ms = now;
    kg_log(KG_LOG_ERROR, "%s", err->text);
}

size_t kg_key_uses_write(struct kg_store *store, struct kg_worker *const *workers, size_t worker_count)
{
    struct kg_key_use batch[BATCH];
    struct kg_error err = { "" };
    size_t count = 0;

    for (size_t i = 0; i < worker_count; i++) {
        while (count < BATCH && kg_key_uses_take(kg_worker_key_uses(workers[i]), &batch[count]))
            count++;
    }
    if (count > 0 && kg_store_note_uses(store, batch, count, &err) < 0)
        complain(&err);
    return count;
}
