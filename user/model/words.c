/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/words.h"

#include <stdlib.h>

static int compare(const void *left, const void *right)
{
    const struct kg_slice *a = left, *b = right;
    size_t shorter = a->len < b->len ? a->len : b->len;
    int order = shorter > 0 ? memcmp(a->ptr, b->ptr, shorter) : 0;

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

void kg_words_build(struct kg_words *words, struct kg_arena *arena, struct kg_slice *all, size_t count)
{
    size_t kept = 0;

    if (count > 0)
        qsort(all, count, sizeof(*all), compare);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !kg_slice_eq(all[kept - 1], all[i]))
            all[kept++] = all[i];
    }
    for (size_t i = 0; i < kept; i++)
        all[i] = kg_arena_copy(arena, all[i]);
    *words = (struct kg_words){ all, kept };
}

uint32_t kg_words_find(const struct kg_words *words, struct kg_slice word)
{
    size_t low = 0, high = words->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(&words->items[middle], &word);
        if (order == 0)
            return (uint32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return KG_NO_WORD;
}
