/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many connections there are, in all and from each source, over all workers. Asked when a connection
 * comes and told when it has gone, never for a request: so workers may share it, the total by an atomic
 * count, the sources behind locks that are held for a few instructions. Any thread.
 */
#ifndef KG_PROXY_ADMISSION_H
#define KG_PROXY_ADMISSION_H

#include "base/addr.h"

struct kg_admission;

/* 0 = no limit. Never NULL. */
struct kg_admission *kg_admission_new(uint32_t total, uint32_t per_source);
void kg_admission_free(struct kg_admission *admission);

/* One more connection: false when there are too many, and then it is not counted. */
bool kg_admission_enter(struct kg_admission *admission);
void kg_admission_leave(struct kg_admission *admission);
/* The same for a source (kg_addr_source form). */
bool kg_admission_enter_source(struct kg_admission *admission, const struct kg_addr *source);
void kg_admission_leave_source(struct kg_admission *admission, const struct kg_addr *source);

#endif
