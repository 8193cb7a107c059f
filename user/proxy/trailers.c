/* SPDX-License-Identifier: BSD-2-Clause */
/* Trailers of a chunked body on their way: collected while they come, re-made when they are whole. */
#include "proxy/internal.h"

#include "base/assert.h"
#include "http/trailer.h"

void kg_trailers_expect(struct kg_worker *worker, struct kg_trailers *trailers)
{
    struct kg_block *block = kg_block_new(&worker->ring.blocks);
    struct kg_writer named = kg_writer_of(block->data, block->size);

    trailers->pass = true;
    kg_trailer_named(&worker->head, &named);
    /* Behind them must be room for the section: the list is a part of a head, for which there is more. */
    KG_ASSERT(!named.overflow && block->size - named.len >= KG_CHUNK_TRAILER_MAX + 2);
    if (named.len == 0) {
        kg_block_release(&worker->ring.blocks, block);
        return;
    }
    block->end = (uint32_t)named.len;
    trailers->named = block->end;
    trailers->block = block;
}

void kg_trailers_drop(struct kg_worker *worker, struct kg_trailers *trailers)
{
    if (trailers->block)
        kg_block_release(&worker->ring.blocks, trailers->block);
    *trailers = (struct kg_trailers){ 0 };
}

/* The last chunk and the trailer section, from what was collected: NULL when nothing of it may pass. */
static bool remake(struct kg_worker *worker, const struct kg_trailers *trailers, bool behind_data,
                   struct kg_block **last)
{
    const struct kg_block *block = trailers->block;
    struct kg_slice named = kg_slice_of(block->data, trailers->named),
                    section = kg_slice_of(block->data + trailers->named, block->end - trailers->named);
    struct kg_block *made = kg_block_new(&worker->ring.blocks);
    struct kg_writer out = kg_writer_of(made->data, made->size);
    const char *why;

    if (behind_data)
        KG_PUT(&out, "\r\n");
    KG_PUT(&out, "0\r\n");
    size_t bare = out.len;
    bool right = kg_trailer_remake(section, named, &worker->config->limits, &worker->head, &out, &why) == 0;
    bool any = right && out.len > bare;
    KG_PUT(&out, "\r\n");
    KG_ASSERT(!out.overflow);
    made->end = (uint32_t)out.len;
    if (any)
        *last = made;
    else
        kg_block_release(&worker->ring.blocks, made);
    return right;
}

bool kg_trailers_take(struct kg_worker *worker, struct kg_trailers *trailers,
                      const struct kg_chunked *chunked, struct kg_slice section, bool behind_data,
                      struct kg_block **last)
{
    bool right = true;

    *last = NULL;
    if (!trailers->pass || section.len == 0)
        return true;
    /* The usual end of a body: no field at all. */
    bool none =
        chunked->done && section.len == 2 && (!trailers->block || trailers->block->end == trailers->named);
    if (!none) {
        if (!trailers->block)
            trailers->block = kg_block_new(&worker->ring.blocks);
        KG_ASSERT(section.len <= kg_block_room(trailers->block));
        memcpy(trailers->block->data + trailers->block->end, section.ptr, section.len);
        trailers->block->end += (uint32_t)section.len;
    }
    if (!chunked->done)
        return true;
    if (!none)
        right = remake(worker, trailers, behind_data, last);
    kg_trailers_drop(worker, trailers);
    return right;
}
