/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/distance.h"

#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned kg_distance(const char *a, const char *b)
{
    unsigned row[KG_DISTANCE_MAX + 1];
    size_t b_len = strlen(b);

    if (strlen(a) > KG_DISTANCE_MAX || b_len > KG_DISTANCE_MAX)
        return KG_DISTANCE_MAX;
    for (unsigned j = 0; j <= b_len; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}
