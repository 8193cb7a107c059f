/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failures of each source within a sliding window. The window is cut into eighths that are counted apart; the
 * oldest falls out as a new one begins. So a failure counts for at least seven eighths of the window and
 * never for longer than the window: nobody is banned for failures further apart than that.
 *
 * The table has a fixed size. When it is full, the source that has not failed for longest makes room, those
 * that are half-way to the threshold last of all: pushing such a one out costs as many failures, half the
 * threshold, for each place in the table. Control thread only.
 */
#ifndef KG_GUARD_SCORES_H
#define KG_GUARD_SCORES_H

#include "base/addr.h"

struct kg_scores;

struct kg_scores *kg_scores_new(uint32_t sources, uint32_t threshold, uint64_t window_ms);
void kg_scores_free(struct kg_scores *scores);

/* Counts one failure. True when the source has reached the threshold; it then starts again from nothing. */
bool kg_scores_add(struct kg_scores *scores, const struct kg_addr *source, uint64_t now_ms);

/* Failures of a source that count now. */
uint32_t kg_scores_get(const struct kg_scores *scores, const struct kg_addr *source, uint64_t now_ms);
uint32_t kg_scores_count(const struct kg_scores *scores);

#endif
