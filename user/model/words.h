/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The distinct words that routes use, numbered: methods, server names. Found in logarithmic time. Inside the
 * model room. Built on the control thread, read by any worker.
 */
#ifndef KG_MODEL_WORDS_H
#define KG_MODEL_WORDS_H

#include "model/arena.h"

#define KG_NO_WORD UINT32_MAX

struct kg_words {
    struct kg_slice *items; /* sorted by bytes; a word's number is its place */
    size_t count;
};

/* From `count` words, in an array of the arena's that it takes over; the words themselves are copied. */
void kg_words_build(struct kg_words *words, struct kg_arena *arena, struct kg_slice *all, size_t count);

/* The number of a word, or KG_NO_WORD. */
uint32_t kg_words_find(const struct kg_words *words, struct kg_slice word);

#endif
