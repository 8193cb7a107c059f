/* SPDX-License-Identifier: BSD-2-Clause */
/* What the gateway is told: its configuration, new for each schedule, and the model, the same for all. */
#ifndef TESTS_FAULT_STAGE_H
#define TESTS_FAULT_STAGE_H

#include <stdbool.h>

struct kg_proxy_config;
struct kg_snapshot;

/* The parts of the configuration that stay, and the model. Once. */
void stage_open(struct kg_proxy_config *config);
void stage_close(struct kg_proxy_config *config);
struct kg_snapshot *stage_snapshot(void);
/* The parts that chance chooses, of the world as well; before that begins. */
void stage_set(struct kg_proxy_config *config, bool rough);
/* The schedule is over: fails when a request or a connection is still counted somewhere. */
void stage_check(struct kg_proxy_config *config, const struct kg_snapshot *snapshot);

#endif
