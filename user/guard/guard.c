/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard's life: opening in the order that leaves nothing half-done, the tick, signals. */
#include "guard/internal.h"

#include <errno.h>
#include <stdlib.h>

#define FLUSH_MS  50
#define REAP_MS   1000
#define OWN_MS    10000
#define FORGET_MS 3600000

/* Bans beyond what the two maps hold are kept in user space, so the table has room for half as many more. */
static uint32_t table_room(uint32_t max_bans)
{
    return max_bans < UINT32_MAX / 4 ? 3 * max_bans : UINT32_MAX / 2;
}

static struct kg_guard *new_guard(const struct kg_guard_config *config, struct kg_store *store)
{
    struct kg_guard *guard = kg_calloc(1, sizeof(*guard));

    KG_ASSERT(config->interface_count <= KG_INTERFACES_MAX && config->max_bans && config->max_allow);
    KG_ASSERT(config->consumer_slots >= KG_SLOT_FIRST && config->consumer_slots <= KG_CONSUMER_SLOTS_MAX);
    guard->store = store;
    guard->config = *config;
    guard->config.allow = NULL;
    guard->dir = kg_strdup(config->bpf_dir);
    guard->prog = guard->dir_lock = -1;
    for (enum kg_map map = 0; map < KG_MAPS; map++)
        guard->map[map] = guard->old_map[map] = -1;
    for (size_t i = 0; i < KG_INTERFACES_MAX; i++)
        guard->port[i] = (struct kg_port){ .link = -1, .old_prog = -1 };
    for (size_t i = 0; i < config->interface_count; i++)
        memcpy(guard->shown[i].name, config->interfaces[i], strnlen(config->interfaces[i], 15));
    guard->bans = kg_bans_new(table_room(config->max_bans));
    if (config->threshold && config->sources)
        guard->scores = kg_scores_new(config->sources, config->threshold, (uint64_t)config->window_s * 1000);
    return guard;
}

/* All that can be refused comes before anything is changed that others see. */
static int prepare(struct kg_guard *guard, const struct kg_guard_config *config, struct kg_error *err)
{
    int rc = kg_program_load(guard, err);

    rc = rc ? rc : kg_links_check(guard, err);
    rc = rc ? rc : kg_allow_open(guard, config->allow, err);
    rc = rc ? rc : kg_bans_open(guard, err);
    rc = rc ? rc : kg_counters_open(guard, err);
    rc = rc ? rc : kg_program_pin(guard, err);
    return rc ? rc : kg_links_attach(guard, err);
}

static int commit(struct kg_guard *guard, struct kg_error *err)
{
    int rc = kg_program_commit(guard, err);

    return rc ? rc : kg_links_commit(guard, err);
}

int kg_guard_open(const struct kg_guard_config *config, struct kg_store *store, struct kg_guard **guard,
                  struct kg_error *err)
{
    struct kg_guard *g = new_guard(config, store);
    int rc = prepare(g, config, err);

    rc = rc ? rc : commit(g, err);
    if (rc) {
        kg_links_rollback(g);
        kg_program_rollback(g);
        kg_guard_close(g);
        return rc;
    }
    for (enum kg_map map = 0; map < KG_MAPS; map++) {
        if (g->old_map[map] >= 0)
            kg_log(KG_LOG_INFO, "the map %s has a new size; what it held was copied", kg_map_name(map));
    }
    uint64_t now = kg_clock_ms();
    g->own_ms = g->forgot_ms = now;
    *guard = g;
    return 0;
}

void kg_guard_close(struct kg_guard *guard)
{
    if (!guard)
        return;
    kg_counters_close(guard);
    kg_allow_close(guard);
    kg_links_close(guard);
    kg_program_close(guard);
    kg_bans_free(guard->bans);
    kg_scores_free(guard->scores);
    free(guard->dir);
    free(guard);
}

size_t kg_guard_interfaces(const struct kg_guard *guard, const struct kg_guard_interface **list)
{
    *list = guard->shown;
    return guard->config.interface_count;
}

void kg_guard_on_ban_event(struct kg_guard *guard,
                           void (*tell)(void *ctx, enum kg_ban_event event, const struct kg_ban_info *info),
                           void *ctx)
{
    guard->tell = tell;
    guard->tell_ctx = ctx;
}

void kg_guard_on_ban(struct kg_guard *guard,
                     void (*notify)(void *ctx, const struct kg_addr *source, uint64_t until_ms), void *ctx)
{
    guard->notify = notify;
    guard->notify_ctx = ctx;
    /* The workers begin with an empty set: they learn what is in force already. */
    for (struct kg_ban_entry *e = kg_bans_oldest(guard->bans); e && notify; e = kg_bans_newer(guard->bans, e))
        kg_ban_notify(guard, e);
}

static enum kg_ban_reason reason_of(enum kg_signal_kind kind)
{
    return kind == KG_SIGNAL_MALFORMED ? KG_BAN_MALFORMED : KG_BAN_WRONG_KEY;
}

/* Every kind of signal weighs the same. */
void kg_guard_signal(struct kg_guard *guard, const struct kg_signal *signal)
{
    struct kg_addr source = kg_addr_source(&signal->source);
    struct kg_ban_info banned;

    if (!guard->scores || !source.family)
        return;
    /* What was still under way when the ban came is no new offence. */
    if (kg_guard_ban_get(guard, &source, &banned) == 0)
        return;
    if (kg_scores_add(guard->scores, &source, kg_clock_ms()))
        kg_ban_automatic(guard, &source, reason_of(signal->kind));
}

/* True once in each period; `last` is 0 before the first. */
static bool is_due(uint64_t *last, uint64_t now_ms, uint64_t period_ms)
{
    if (*last && now_ms < *last + period_ms)
        return false;
    *last = now_ms;
    return true;
}

static void forget_old(struct kg_guard *guard)
{
    struct kg_error err;

    if (kg_store_forget_bans(guard->store, kg_clock_wall() - guard->config.memory_s, &err))
        kg_log(KG_LOG_ERROR, "old bans could not be forgotten: %s", err.text);
}

void kg_guard_tick(struct kg_guard *guard, struct kg_usage_table *const *tables, size_t count,
                   uint64_t now_ms)
{
    if (is_due(&guard->flushed_ms, now_ms, FLUSH_MS))
        kg_counters_flush(guard, tables, count);
    if (is_due(&guard->reaped_ms, now_ms, REAP_MS)) {
        kg_bans_reap(guard, now_ms);
        kg_links_refresh(guard);
    }
    if (is_due(&guard->own_ms, now_ms, OWN_MS) && kg_own_refresh(guard))
        kg_bans_review(guard, NULL);
    if (is_due(&guard->forgot_ms, now_ms, FORGET_MS))
        forget_old(guard);
}
