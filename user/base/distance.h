/* SPDX-License-Identifier: BSD-2-Clause */
/* How far two words are apart, for "did you mean": of settings, nouns, flags. Any thread. */
#ifndef KG_BASE_DISTANCE_H
#define KG_BASE_DISTANCE_H

#define KG_DISTANCE_MAX 64 /* longer words are no typing mistakes of each other */

/* Levenshtein's distance in bytes; KG_DISTANCE_MAX when either word is longer than that. */
unsigned kg_distance(const char *a, const char *b);

#endif
