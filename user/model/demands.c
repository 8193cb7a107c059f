/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/demands.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

/* A value that brings a request to a demand. */
struct kg_demand_key {
    struct kg_slice name, value;
    const struct kg_demand *demand;
    const struct kg_route_header *header;
};

static int compare_nocase(struct kg_slice a, struct kg_slice b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int order = (unsigned char)kg_lower(a.ptr[i]) - (unsigned char)kg_lower(b.ptr[i]);
        if (order != 0)
            return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* ---- building ---- */

static int by_name(const void *left, const void *right)
{
    const struct kg_route_header *a = left, *b = right;

    return compare_nocase(a->name, b->name);
}

static int compare_headers(const struct kg_route_header *a, const struct kg_route_header *b)
{
    int order = compare_nocase(a->name, b->name);

    if (order != 0)
        return order;
    if (a->value_count != b->value_count)
        return a->value_count < b->value_count ? -1 : 1;
    for (size_t i = 0; order == 0 && i < a->value_count; i++)
        order = compare_nocase(a->values[i], b->values[i]);
    if (order != 0)
        return order;
    return ((uintptr_t)a->regex > (uintptr_t)b->regex) - ((uintptr_t)a->regex < (uintptr_t)b->regex);
}

/* One route's demand, before those that are the same become one. */
struct draft {
    struct kg_route_header *headers;
    size_t count, spec;
};

static int compare_drafts(const void *left, const void *right)
{
    const struct draft *a = left, *b = right;
    int order = (a->count > b->count) - (a->count < b->count);

    for (size_t i = 0; order == 0 && i < a->count; i++)
        order = compare_headers(&a->headers[i], &b->headers[i]);
    return order;
}

static void copy_headers(struct kg_arena *arena, const struct kg_route_spec *spec, struct draft *draft)
{
    draft->count = spec->header_count;
    draft->headers = kg_arena_calloc(arena, draft->count, sizeof(*draft->headers));
    for (size_t i = 0; i < draft->count; i++) {
        const struct kg_route_header *from = &spec->headers[i];
        struct kg_slice *values = kg_arena_calloc(arena, from->value_count, sizeof(*values));

        for (size_t v = 0; v < from->value_count; v++)
            values[v] = kg_arena_copy(arena, from->values[v]);
        draft->headers[i] = (struct kg_route_header){ kg_arena_copy(arena, from->name), values,
                                                      from->value_count, from->regex };
    }
    qsort(draft->headers, draft->count, sizeof(*draft->headers), by_name);
}

static int compare_keys(const void *left, const void *right)
{
    const struct kg_demand_key *a = left, *b = right;
    int order = compare_nocase(a->name, b->name);

    return order != 0 ? order : compare_nocase(a->value, b->value);
}

/* The first key that is not below this one. */
static size_t key_index(const struct kg_demands *demands, const struct kg_demand_key *wanted)
{
    size_t low = 0, high = demands->key_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(&demands->keys[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void list_keys(struct kg_demands *demands, struct kg_arena *arena)
{
    size_t total = 0;

    for (size_t d = 0; d < demands->count; d++) {
        for (size_t h = 0; h < demands->items[d].count; h++)
            total += demands->items[d].headers[h].value_count;
    }
    demands->keys = kg_arena_calloc(arena, total, sizeof(*demands->keys));
    for (size_t d = 0; d < demands->count; d++) {
        const struct kg_demand *demand = &demands->items[d];
        for (size_t h = 0; h < demand->count; h++) {
            const struct kg_route_header *header = &demand->headers[h];
            for (size_t v = 0; v < header->value_count; v++)
                demands->keys[demands->key_count++] =
                    (struct kg_demand_key){ header->name, header->values[v], demand, header };
        }
    }
    qsort(demands->keys, total, sizeof(*demands->keys), compare_keys);
}

/* How many demands the header's values lead to, others' included. */
static size_t crowd(const struct kg_demands *demands, const struct kg_route_header *header,
                    const size_t *run_lengths)
{
    size_t sum = 0;

    for (size_t v = 0; v < header->value_count; v++) {
        struct kg_demand_key key = { .name = header->name, .value = header->values[v] };
        sum += run_lengths[key_index(demands, &key)];
    }
    return sum;
}

/* By its rarest header alone is a demand looked for, so that one value that all routes share leads to none.
 */
static void keep_rarest(struct kg_demands *demands, const struct kg_route_header **chosen)
{
    size_t *run_lengths = kg_calloc(demands->key_count, sizeof(*run_lengths)), kept = 0, start = 0;

    for (size_t i = 0; i < demands->key_count; i++) {
        if (compare_keys(&demands->keys[start], &demands->keys[i]) != 0)
            start = i;
        run_lengths[start]++;
    }
    for (size_t d = 0; d < demands->count; d++) {
        size_t least = SIZE_MAX;
        for (size_t h = 0; h < demands->items[d].count; h++) {
            const struct kg_route_header *header = &demands->items[d].headers[h];
            size_t now = header->value_count > 0 ? crowd(demands, header, run_lengths) : SIZE_MAX;
            if (now < least) {
                least = now;
                chosen[d] = header;
            }
        }
    }
    for (size_t i = 0; i < demands->key_count; i++) {
        if (demands->keys[i].header == chosen[demands->keys[i].demand->id - 1])
            demands->keys[kept++] = demands->keys[i];
    }
    demands->key_count = kept;
    free(run_lengths);
}

static void index_demands(struct kg_demands *demands, struct kg_arena *arena)
{
    const struct kg_route_header **chosen = kg_calloc(demands->count, sizeof(*chosen));

    list_keys(demands, arena);
    keep_rarest(demands, chosen);
    demands->keyless = kg_arena_calloc(arena, demands->count, sizeof(*demands->keyless));
    for (size_t d = 0; d < demands->count; d++) {
        if (!chosen[d])
            demands->keyless[demands->keyless_count++] = &demands->items[d];
    }
    free(chosen);
}

void kg_demands_build(struct kg_demands *demands, struct kg_arena *arena, const struct kg_route_spec *specs,
                      size_t count, uint32_t *ids)
{
    struct draft *drafts = kg_calloc(count, sizeof(*drafts));
    size_t drafted = 0;

    for (size_t i = 0; i < count; i++) {
        ids[i] = 0;
        if (specs[i].header_count == 0)
            continue;
        drafts[drafted].spec = i;
        copy_headers(arena, &specs[i], &drafts[drafted++]);
    }
    if (drafted > 0)
        qsort(drafts, drafted, sizeof(*drafts), compare_drafts);
    demands->items = kg_arena_calloc(arena, drafted, sizeof(*demands->items));
    for (size_t i = 0; i < drafted; i++) {
        if (i == 0 || compare_drafts(&drafts[i - 1], &drafts[i]) != 0) {
            struct kg_demand *demand = &demands->items[demands->count++];
            *demand = (struct kg_demand){ (uint32_t)demands->count, drafts[i].headers, drafts[i].count };
        }
        ids[drafts[i].spec] = (uint32_t)demands->count;
    }
    free(drafts);
    if (demands->count > 0)
        index_demands(demands, arena);
}

/* ---- matching ---- */

/* A stranger who repeats a header shall not make us look again and again. */
static bool came_before(const struct kg_head *head, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (kg_slice_eq_nocase(head->headers[i].name, head->headers[at].name) &&
            kg_slice_eq_nocase(head->headers[i].value, head->headers[at].value))
            return true;
    }
    return false;
}

void kg_demands_each(const struct kg_demands *demands, const struct kg_head *head,
                     void (*visit)(void *ctx, const struct kg_demand *demand), void *ctx)
{
    for (size_t i = 0; demands->key_count > 0 && i < head->count; i++) {
        struct kg_demand_key key = { .name = head->headers[i].name, .value = head->headers[i].value };
        size_t at = key_index(demands, &key);

        if (at == demands->key_count || compare_keys(&demands->keys[at], &key) != 0 || came_before(head, i))
            continue;
        for (; at < demands->key_count && compare_keys(&demands->keys[at], &key) == 0; at++)
            visit(ctx, demands->keys[at].demand);
    }
    for (size_t i = 0; i < demands->keyless_count; i++)
        visit(ctx, demands->keyless[i]);
}

static bool has_value(const struct kg_route_header *header, struct kg_slice value,
                      struct kg_regex_scratch *scratch)
{
    size_t end;

    if (header->regex)
        return scratch && kg_regex_match(header->regex, value, scratch, &end);
    for (size_t i = 0; i < header->value_count; i++) {
        if (kg_slice_eq_nocase(header->values[i], value))
            return true;
    }
    return false;
}

static bool has_header(const struct kg_head *head, const struct kg_route_header *header,
                       struct kg_regex_scratch *scratch)
{
    for (size_t i = 0; i < head->count; i++) {
        if (kg_slice_eq_nocase(head->headers[i].name, header->name) &&
            has_value(header, head->headers[i].value, scratch))
            return true;
    }
    return false;
}

bool kg_demand_met(const struct kg_demand *demand, const struct kg_head *head,
                   struct kg_regex_scratch *scratch)
{
    for (size_t i = 0; i < demand->count; i++) {
        if (!has_header(head, &demand->headers[i], scratch))
            return false;
    }
    return true;
}
