/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header lines that policies add to the answer: decided before the request goes upstream, needed when its
 * answer comes. Kept in pieces of one size that a worker hands out again, so that nothing is allocated for a
 * request once as many as run at the same time have been there.
 */
#include "proxy/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

void kg_notes_keep(struct kg_client *client, struct kg_slice lines)
{
    struct kg_worker *worker = client->worker;
    struct kg_notes *notes = worker->spare_notes;

    KG_ASSERT(!client->request.notes && lines.len <= KG_NOTES_MAX);
    if (lines.len == 0)
        return;
    if (notes)
        worker->spare_notes = notes->next;
    else
        notes = kg_calloc(1, sizeof(*notes));
    memcpy(notes->text, lines.ptr, lines.len);
    notes->len = (uint32_t)lines.len;
    client->request.notes = notes;
}

bool kg_lines_have(struct kg_slice lines, struct kg_slice name)
{
    while (lines.len > 0) {
        size_t end = kg_slice_find(lines, '\n') + 1;

        if (kg_slice_eq_nocase(kg_slice_of(lines.ptr, kg_slice_find(lines, ':')), name))
            return true;
        lines = kg_slice_of(lines.ptr + end, lines.len - end);
    }
    return false;
}

void kg_notes_drop(struct kg_client *client)
{
    struct kg_notes *notes = client->request.notes;

    if (!notes)
        return;
    notes->next = client->worker->spare_notes;
    client->worker->spare_notes = notes;
    client->request.notes = NULL;
}

void kg_notes_free_spare(struct kg_worker *worker)
{
    while (worker->spare_notes) {
        struct kg_notes *notes = worker->spare_notes;

        worker->spare_notes = notes->next;
        free(notes);
    }
}
