/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's life: opens everything that can fail before anything is visible from outside, gives up root,
 * serves until told to stop, drains. Main thread, which becomes the control thread.
 */
#ifndef KG_KEYGATED_DAEMON_H
#define KG_KEYGATED_DAEMON_H

#include "keygated/config.h"

struct kg_daemon;

/* 0 or -errno with one sentence; on error nothing is left behind that was not there before, but for a state
 * folder that was still empty: its database and master key are ready for the next start. */
int kg_daemon_start(const struct kg_config *config, struct kg_daemon **daemon, struct kg_error *err);

/* Serves until SIGTERM or SIGINT, then drains: at most config->drain_timeout. A second signal ends the wait.
 */
void kg_daemon_run(struct kg_daemon *daemon);

/* Ends all threads and frees everything. Bans and the XDP program stay in force. */
void kg_daemon_free(struct kg_daemon *daemon);

#endif
