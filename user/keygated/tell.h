/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon's parts report, as events for whoever listens (admin/events.h). Control thread. */
#ifndef KG_KEYGATED_TELL_H
#define KG_KEYGATED_TELL_H

#include "admin/events.h"
#include "guard/guard.h"

void kg_tell_ban(struct kg_events *events, enum kg_ban_event event, const struct kg_ban_info *info);

/* Signals may come by the hundred thousand: one is told each 100 ms, and how many were not. Zeroed to begin.
 */
struct kg_signal_sample {
    uint64_t told_ms, untold;
};
void kg_tell_signal(struct kg_events *events, struct kg_signal_sample *sample,
                    const struct kg_signal *signal);

/* Targets' addresses whose health has changed since they were last looked at. */
void kg_tell_health(struct kg_events *events, const struct kg_snapshot *snapshot);

/* A host name's addresses have changed; count 0: it has none. */
void kg_tell_addresses(struct kg_events *events, const char *host, size_t count);

#endif
