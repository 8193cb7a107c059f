/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/groups.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/writer.h"

#include <stdlib.h>

#define LOOK_EVERY 4096 /* memberships: whether the heap has grown */

/* One entity. */
struct kg_membership {
    uint32_t refs;
    char id[KG_UUID_TEXT], consumer_id[KG_UUID_TEXT];
    struct kg_slice group; /* its text */
    char text[];
};

/* All of one consumer; never empty. */
struct list {
    struct kg_consumer_groups pub;
    uint32_t refs;
    char consumer_id[KG_UUID_TEXT];
    struct kg_membership **members; /* counted; in the order of pub.names */
};

/* ---- memberships ---- */

static struct kg_membership *new_membership(const char *id, const char *consumer_id, struct kg_slice group)
{
    struct kg_membership *member = kg_calloc(1, sizeof(*member) + group.len);
    size_t id_len = strlen(id), consumer_len = strlen(consumer_id);

    KG_ASSERT(id_len < KG_UUID_TEXT && consumer_len < KG_UUID_TEXT);
    member->refs = 1;
    memcpy(member->id, id, id_len);
    memcpy(member->consumer_id, consumer_id, consumer_len);
    if (group.len > 0)
        memcpy(member->text, group.ptr, group.len);
    member->group = kg_slice_of(member->text, group.len);
    return member;
}

static void retain_membership(void *value)
{
    ((struct kg_membership *)value)->refs++;
}

static void release_membership(void *value)
{
    struct kg_membership *member = value;

    KG_ASSERT(member->refs > 0);
    if (--member->refs == 0)
        free(member);
}

static const void *membership_id(const void *value)
{
    return ((const struct kg_membership *)value)->id;
}

static const struct kg_pmap_type memberships_by_id = { membership_id, kg_pmap_hash_text, kg_pmap_same_text,
                                                       retain_membership, release_membership };

/* ---- lists ---- */

static void retain_list(void *value)
{
    ((struct list *)value)->refs++;
}

static void release_list(void *value)
{
    struct list *list = value;

    KG_ASSERT(list->refs > 0);
    if (--list->refs > 0)
        return;
    for (size_t i = 0; i < list->pub.count; i++)
        release_membership(list->members[i]);
    free(list->members);
    free((struct kg_slice *)(uintptr_t)list->pub.names);
    free((char *)(uintptr_t)list->pub.list.ptr);
    free(list);
}

static const void *list_consumer(const void *value)
{
    return ((const struct list *)value)->consumer_id;
}

static const struct kg_pmap_type lists_by_consumer = { list_consumer, kg_pmap_hash_text, kg_pmap_same_text,
                                                       retain_list, release_list };

/* By the consumer, then by the group's bytes. */
static int in_order(const void *left, const void *right)
{
    const struct kg_membership *a = *(struct kg_membership *const *)left,
                               *b = *(struct kg_membership *const *)right;
    size_t shorter = a->group.len < b->group.len ? a->group.len : b->group.len;
    int order = strcmp(a->consumer_id, b->consumer_id);

    if (order == 0)
        order = memcmp(a->text, b->text, shorter);
    return order ? order : (a->group.len > b->group.len) - (a->group.len < b->group.len);
}

static void name_groups(struct list *list)
{
    struct kg_slice *names = kg_calloc(list->pub.count, sizeof(*names));
    size_t room = 2 * list->pub.count;

    for (size_t i = 0; i < list->pub.count; i++)
        room += list->members[i]->group.len;
    struct kg_writer w = kg_writer_of(kg_calloc(room, 1), room);
    for (size_t i = 0; i < list->pub.count; i++) {
        names[i] = list->members[i]->group;
        if (i > 0)
            KG_PUT(&w, ", ");
        kg_put(&w, names[i]);
    }
    list->pub.names = names;
    list->pub.list = kg_writer_slice(&w);
}

/* From memberships of one consumer that are in order, at least one. One reference, the caller's. */
static struct list *new_list(struct kg_membership *const *members, size_t count)
{
    struct list *list = kg_calloc(1, sizeof(*list));

    list->refs = 1;
    memcpy(list->consumer_id, members[0]->consumer_id, sizeof(list->consumer_id));
    list->members = kg_calloc(count, sizeof(struct kg_membership *));
    list->pub.count = count;
    for (size_t i = 0; i < count; i++) {
        list->members[i] = members[i];
        retain_membership(members[i]);
    }
    name_groups(list);
    return list;
}

/* A consumer's list with one more membership, or without one. */
static void change_list(struct kg_groups *groups, const char *consumer_id, struct kg_membership *more,
                        const struct kg_membership *less)
{
    const struct list *old = kg_pmap_find(&groups->by_consumer, consumer_id);
    size_t before = old ? old->pub.count : 0, count = 0;
    struct kg_membership **members = kg_calloc(before + 1, sizeof(struct kg_membership *));

    for (size_t i = 0; i < before; i++) {
        if (old->members[i] != less)
            members[count++] = old->members[i];
    }
    if (more)
        members[count++] = more;
    if (count > 0) {
        qsort(members, count, sizeof(struct kg_membership *), in_order);
        struct list *list = new_list(members, count);
        kg_pmap_set(&groups->by_consumer, list);
        release_list(list);
    } else {
        kg_pmap_del(&groups->by_consumer, consumer_id);
    }
    free(members);
}

/* ---- all of them ---- */

void kg_groups_init(struct kg_groups *groups)
{
    *groups = (struct kg_groups){
        .by_consumer = kg_pmap_of(&lists_by_consumer),
        .by_id = kg_pmap_of(&memberships_by_id),
    };
}

void kg_groups_free(struct kg_groups *groups)
{
    kg_groups_load_end(groups);
    kg_pmap_free(&groups->by_consumer);
    kg_pmap_free(&groups->by_id);
}

void kg_groups_put(struct kg_groups *groups, const char *id, const char *consumer_id, struct kg_slice group)
{
    const struct kg_membership *old = kg_pmap_find(&groups->by_id, id);

    if (old && strcmp(old->consumer_id, consumer_id) == 0 && kg_slice_eq(old->group, group))
        return;
    kg_groups_remove(groups, id);
    struct kg_membership *member = new_membership(id, consumer_id, group);
    kg_pmap_set(&groups->by_id, member);
    change_list(groups, consumer_id, member, NULL);
    release_membership(member);
}

void kg_groups_remove(struct kg_groups *groups, const char *id)
{
    struct kg_membership *member = kg_pmap_find(&groups->by_id, id);

    if (!member)
        return;
    retain_membership(member);
    change_list(groups, member->consumer_id, NULL, member);
    kg_pmap_del(&groups->by_id, id);
    release_membership(member);
}

void kg_groups_remove_consumer(struct kg_groups *groups, const char *consumer_id)
{
    const struct list *list = kg_pmap_find(&groups->by_consumer, consumer_id);

    if (!list)
        return;
    for (size_t i = 0; i < list->pub.count; i++)
        kg_pmap_del(&groups->by_id, list->members[i]->id);
    kg_pmap_del(&groups->by_consumer, consumer_id);
}

void kg_groups_load(struct kg_groups *groups, const char *id, const char *consumer_id, struct kg_slice group)
{
    KG_ASSERT(groups->by_id.count == 0);
    if (groups->loading_count == groups->loading_room) {
        groups->loading_room = groups->loading_room ? groups->loading_room * 2 : 1024;
        groups->loading = kg_realloc(groups->loading, groups->loading_room, sizeof(struct kg_membership *));
    }
    if (groups->loading_count % LOOK_EVERY == LOOK_EVERY - 1)
        kg_mem_load_more();
    groups->loading[groups->loading_count++] = new_membership(id, consumer_id, group);
}

/* Cuts what is in order into lists, each with one reference; how many. */
static size_t make_lists(struct kg_membership *const *members, size_t count, struct list **lists)
{
    size_t made = 0, end;

    for (size_t i = 0; i < count; i = end) {
        for (end = i + 1; end < count; end++) {
            if (strcmp(members[i]->consumer_id, members[end]->consumer_id) != 0)
                break;
        }
        lists[made++] = new_list(members + i, end - i);
    }
    return made;
}

void kg_groups_load_end(struct kg_groups *groups)
{
    struct kg_membership **members = groups->loading;
    size_t count = groups->loading_count;

    if (count == 0)
        return;
    struct list **lists = kg_calloc(count, sizeof(struct list *));
    qsort(members, count, sizeof(struct kg_membership *), in_order);
    size_t made = make_lists(members, count, lists);
    kg_pmap_fill(&groups->by_id, (void **)members, count);
    kg_pmap_fill(&groups->by_consumer, (void **)lists, made);
    /* The maps hold them now. */
    for (size_t i = 0; i < count; i++)
        release_membership(members[i]);
    for (size_t i = 0; i < made; i++)
        release_list(lists[i]);
    free(lists);
    free(members);
    groups->loading = NULL;
    groups->loading_count = groups->loading_room = 0;
}

const struct kg_consumer_groups *kg_groups_of(const struct kg_pmap *by_consumer, const char *consumer_id)
{
    const struct list *list = kg_pmap_find(by_consumer, consumer_id);

    return list ? &list->pub : NULL;
}
