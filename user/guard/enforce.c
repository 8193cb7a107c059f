/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bans in force: first in the store, so that none is lost, then in the kernel's map, then told to the
 * workers. The kernel judges expiry by itself; what is done here afterwards is tidying up.
 */
#include "guard/internal.h"

#include <bpf/bpf.h>
#include <errno.h>

const char *kg_ban_reason_name(uint32_t reason)
{
    switch (reason) {
    case KG_BAN_MANUAL:
        return "manual";
    case KG_BAN_WRONG_KEY:
        return "wrong_key";
    case KG_BAN_MALFORMED:
        return "malformed";
    default:
        return "unknown";
    }
}

/* A source's bytes are the key as they stand: four of an IPv4 address, eight of a /64. */
int kg_ban_fd(const struct kg_guard *guard, const struct kg_addr *source)
{
    return guard->map[source->family == 4 ? KG_MAP_BAN4 : KG_MAP_BAN6];
}

static bool is_live(const struct kg_ban_entry *entry)
{
    return entry && (!entry->expires_ns || entry->expires_ns > kg_clock_ns());
}

static struct kg_ban_entry *find_live(const struct kg_guard *guard, const struct kg_addr *source)
{
    struct kg_ban_entry *entry = kg_bans_find(guard->bans, source);

    return is_live(entry) ? entry : NULL;
}

void kg_ban_notify(const struct kg_guard *guard, const struct kg_ban_entry *entry)
{
    /* Rounded up, so that the workers are not ahead of the kernel. */
    if (guard->notify)
        guard->notify(guard->notify_ctx, &entry->source, (entry->expires_ns + 999999) / 1000000);
}

static uint64_t drops_of(const struct kg_guard *guard, const struct kg_ban_entry *entry)
{
    struct kg_ban value;

    if (!entry->in_kernel ||
        bpf_map_lookup_elem(kg_ban_fd(guard, &entry->source), entry->source.bytes, &value))
        return 0;
    return value.drops;
}

static void fill_info(const struct kg_guard *guard, const struct kg_ban_entry *entry,
                      struct kg_ban_info *info)
{
    *info = (struct kg_ban_info){
        .source = entry->source,
        .since = entry->since,
        .expires = entry->expires,
        .drops = drops_of(guard, entry),
        .reason = entry->reason,
        .offences = entry->offences,
    };
}

static void tell(const struct kg_guard *guard, enum kg_ban_event event, const struct kg_ban_entry *entry)
{
    struct kg_ban_info info;

    if (!guard->tell)
        return;
    fill_info(guard, entry, &info);
    guard->tell(guard->tell_ctx, event, &info);
}

/* Writes an entry into the map, keeping the drops counted so far. 0, -ENOSPC, or what the kernel says. */
static int put_in_map(struct kg_guard *guard, struct kg_ban_entry *entry)
{
    struct kg_ban value = { .expires_ns = entry->expires_ns,
                            .since_ns = entry->since_ns,
                            .drops = drops_of(guard, entry),
                            .reason = entry->reason };
    int rc = bpf_map_update_elem(kg_ban_fd(guard, &entry->source), entry->source.bytes, &value, BPF_ANY);

    if (rc == 0) {
        guard->outside_kernel -= !entry->in_kernel;
        entry->in_kernel = true;
        return 0;
    }
    return errno == E2BIG ? -ENOSPC : -errno;
}

/* A flood of bans that do not fit is said once a minute. */
static bool may_complain(struct kg_guard *guard)
{
    uint64_t now = kg_clock_ms();

    if (guard->full_ms && now - guard->full_ms < 60000)
        return false;
    guard->full_ms = now;
    return true;
}

/* The map is written for the first time, or again. */
static int enforce(struct kg_guard *guard, struct kg_ban_entry *entry)
{
    int rc = put_in_map(guard, entry);

    if (rc == 0 || !may_complain(guard))
        return rc;
    if (rc == -ENOSPC)
        kg_log(KG_LOG_WARN,
               "the kernel's table of bans is full (guard.max_bans is %u): %u bans are enforced in user "
               "space only",
               guard->config.max_bans, guard->outside_kernel);
    else
        kg_log(KG_LOG_ERROR, "the kernel does not take a ban: %s", strerror(-rc));
    return rc;
}

static struct kg_ban_entry *add_entry(struct kg_guard *guard, const struct kg_addr *source)
{
    struct kg_ban_entry *entry = kg_bans_add(guard->bans, source);

    guard->outside_kernel += entry != NULL;
    return entry;
}

/* Takes a ban out of map and table. */
static void remove_entry(struct kg_guard *guard, struct kg_ban_entry *entry)
{
    if (entry->in_kernel)
        bpf_map_delete_elem(kg_ban_fd(guard, &entry->source), entry->source.bytes);
    else
        guard->outside_kernel--;
    kg_bans_remove(guard->bans, entry);
}

static struct kg_ban_record record_of(const struct kg_ban_entry *entry, bool active)
{
    return (struct kg_ban_record){
        .source = entry->source,
        .since = entry->since,
        .expires = entry->expires,
        .reason = entry->reason,
        .offences = entry->offences,
        .active = active,
    };
}

/* How often a source has now been banned: earlier bans count while their end is not further back than
 * memory_s. */
static uint32_t count_offences(const struct kg_guard *guard, const struct kg_addr *source, int64_t wall)
{
    struct kg_ban_record earlier;

    if (kg_store_get_ban(guard->store, source, &earlier) || earlier.offences == UINT32_MAX)
        return 1;
    /* Without an expiry and yet not in force: from another kernel's life; its end is not known. */
    int64_t end = earlier.expires ? earlier.expires : earlier.since;
    return wall - end <= (int64_t)guard->config.memory_s ? earlier.offences + 1 : 1;
}

static uint32_t automatic_lifetime(const struct kg_guard_config *config, uint32_t offences)
{
    uint64_t doublings = offences - 1 < 32 ? offences - 1 : 32;
    uint64_t lifetime = (uint64_t)(config->ban_s ? config->ban_s : 1) << doublings;

    return (uint32_t)(lifetime < config->ban_max_s ? lifetime : config->ban_max_s);
}

static void log_ban(const struct kg_ban_entry *entry, uint32_t lifetime_s)
{
    char text[KG_ADDR_TEXT];

    kg_addr_text(&entry->source, text);
    if (lifetime_s)
        kg_log(KG_LOG_INFO, "banned %s%s for %u s: %s, offence %u", text,
               entry->source.family == 6 ? "/64" : "", lifetime_s, kg_ban_reason_name(entry->reason),
               entry->offences);
    else
        kg_log(KG_LOG_INFO, "banned %s%s for ever: %s, offence %u", text,
               entry->source.family == 6 ? "/64" : "", kg_ban_reason_name(entry->reason), entry->offences);
}

/* A wanted ban: what the entry will be when store and table take it. */
struct wanted {
    const struct kg_addr *source;
    enum kg_ban_reason reason;
    uint32_t offences, lifetime_s; /* lifetime 0 = for ever */
};

/* Stores, enforces and tells. A live ban of the same source is changed; its beginning and its drops stay. */
static int set_ban(struct kg_guard *guard, const struct wanted *want, struct kg_ban_entry **out,
                   struct kg_error *err)
{
    struct kg_ban_entry *old = kg_bans_find(guard->bans, want->source), *entry = is_live(old) ? old : NULL;
    uint64_t now_ns = kg_clock_ns(), expires_ns = now_ns + want->lifetime_s * KG_NS_PER_S;
    int64_t wall = kg_clock_wall();
    struct kg_ban_record record = { .source = *want->source,
                                    .since = entry ? entry->since : wall,
                                    .reason = want->reason,
                                    .offences = want->offences,
                                    .active = true };
    int rc;

    record.expires = want->lifetime_s ? wall + want->lifetime_s : 0;
    if (!old && kg_bans_full(guard->bans))
        return kg_error_set(err, ENOSPC, "there are %u bans already, more than keygate keeps",
                            kg_bans_count(guard->bans));
    rc = kg_store_put_ban(guard->store, &record, err);
    /* A disk that fails keeps nobody in who has earned a ban: it is in the map, and the next start stores it.
     */
    if (rc && want->reason == KG_BAN_MANUAL)
        return rc;
    if (rc && may_complain(guard))
        kg_log(KG_LOG_ERROR, "%s", err->text);
    if (!entry) {
        if (old)
            remove_entry(guard, old);
        entry = add_entry(guard, want->source);
        KG_ASSERT(entry);
        entry->since = record.since;
        entry->since_ns = now_ns;
    }
    entry->reason = record.reason;
    entry->offences = record.offences;
    entry->expires = record.expires;
    kg_bans_expire_at(guard->bans, entry, want->lifetime_s ? expires_ns : 0);
    rc = enforce(guard, entry);
    log_ban(entry, want->lifetime_s);
    kg_ban_notify(guard, entry);
    tell(guard, KG_BAN_ADDED, entry);
    *out = entry;
    if (rc == -ENOSPC)
        return kg_error_set(
            err, ENOSPC,
            "the kernel's table of bans is full (guard.max_bans is %u); this ban is stored and "
            "enforced in user space",
            guard->config.max_bans);
    return rc ? kg_error_set(err, -rc, "the kernel does not take the ban: %s", strerror(-rc)) : 0;
}

int kg_guard_ban(struct kg_guard *guard, const struct kg_addr *source, uint32_t lifetime_s,
                 struct kg_ban_info *info, struct kg_error *err)
{
    struct kg_addr banned = kg_addr_source(source);
    struct wanted want = { .source = &banned, .reason = KG_BAN_MANUAL, .lifetime_s = lifetime_s };
    struct kg_ban_entry *entry;
    int rc;

    if (banned.family != 4 && banned.family != 6)
        return kg_error_set(err, EINVAL, "that is neither an IPv4 nor an IPv6 address");
    if (kg_own_refresh(guard))
        kg_bans_review(guard, NULL);
    rc = kg_ban_permitted(guard, &banned, err);
    if (rc)
        return rc;
    entry = find_live(guard, &banned);
    want.offences = entry ? entry->offences : count_offences(guard, &banned, kg_clock_wall());
    entry = NULL;
    rc = set_ban(guard, &want, &entry, err);
    if (entry && info)
        fill_info(guard, entry, info);
    return rc;
}

void kg_ban_automatic(struct kg_guard *guard, const struct kg_addr *source, enum kg_ban_reason reason)
{
    struct wanted want = { .source = source, .reason = reason };
    struct kg_ban_entry *entry = NULL;
    struct kg_error err;
    char text[KG_ADDR_TEXT];

    if (kg_ban_permitted(guard, source, NULL))
        return;
    want.offences = count_offences(guard, source, kg_clock_wall());
    want.lifetime_s = automatic_lifetime(&guard->config, want.offences);
    int rc = set_ban(guard, &want, &entry, &err);
    /* With an entry it is in force, and the full map has been said. */
    if (rc && !entry && may_complain(guard))
        kg_log(KG_LOG_ERROR, "%s could not be banned: %s", kg_addr_text(source, text), err.text);
}

/* Marks the record first: a ban that an operator lifted must not come back after a crash. */
static int lift(struct kg_guard *guard, struct kg_ban_entry *entry, struct kg_error *err)
{
    struct kg_ban_record record = record_of(entry, false);
    struct kg_addr source = entry->source;
    char text[KG_ADDR_TEXT];
    int rc;

    record.expires = kg_clock_wall();
    rc = kg_store_put_ban(guard->store, &record, err);
    if (rc)
        return rc;
    tell(guard, KG_BAN_LIFTED, entry);
    remove_entry(guard, entry);
    kg_log(KG_LOG_INFO, "ban of %s lifted", kg_addr_text(&source, text));
    if (guard->notify)
        guard->notify(guard->notify_ctx, &source, 1);
    return 0;
}

int kg_guard_unban(struct kg_guard *guard, const struct kg_addr *source, struct kg_error *err)
{
    struct kg_addr banned = kg_addr_source(source);
    struct kg_ban_entry *entry = find_live(guard, &banned);
    char text[KG_ADDR_TEXT];

    if (!entry)
        return kg_error_set(err, ENOENT, "%s is not banned", kg_addr_text(&banned, text));
    return lift(guard, entry, err);
}

int kg_guard_ban_get(struct kg_guard *guard, const struct kg_addr *source, struct kg_ban_info *info)
{
    struct kg_addr banned = kg_addr_source(source);
    struct kg_ban_entry *entry = find_live(guard, &banned);

    if (!entry)
        return -ENOENT;
    fill_info(guard, entry, info);
    return 0;
}

void kg_guard_each_ban(struct kg_guard *guard, void (*visit)(void *ctx, const struct kg_ban_info *info),
                       void *ctx)
{
    struct kg_ban_info info;

    for (struct kg_ban_entry *e = kg_bans_oldest(guard->bans); e; e = kg_bans_newer(guard->bans, e)) {
        if (!is_live(e))
            continue;
        fill_info(guard, e, &info);
        visit(ctx, &info);
    }
}

void kg_bans_review(struct kg_guard *guard, const struct kg_net *net)
{
    struct kg_ban_entry *next;
    struct kg_error err;

    for (struct kg_ban_entry *e = kg_bans_oldest(guard->bans); e; e = next) {
        next = kg_bans_newer(guard->bans, e);
        bool permitted =
            net ? !kg_net_overlaps(net, &e->source) : kg_ban_permitted(guard, &e->source, NULL) == 0;
        if (!permitted && lift(guard, e, &err))
            kg_log(KG_LOG_ERROR, "a ban that is no longer allowed could not be lifted: %s", err.text);
    }
}

/* There is room again: bans that found the map full go in, oldest first. */
static void refill(struct kg_guard *guard, uint32_t freed)
{
    for (struct kg_ban_entry *e = kg_bans_oldest(guard->bans); e && freed && guard->outside_kernel;
         e = kg_bans_newer(guard->bans, e)) {
        if (!e->in_kernel && put_in_map(guard, e) == 0)
            freed--;
    }
}

/*
 * The store's record needs no write: its own expiry says that it is over, and thousands of bans may end in
 * the same second. At most KG_REAP_MAX a second, since the kernel passes their packets already.
 */
void kg_bans_reap(struct kg_guard *guard, uint64_t now_ms)
{
    struct kg_ban_entry *entry;
    char text[KG_ADDR_TEXT];
    uint32_t reaped = 0;

    while (reaped < KG_REAP_MAX && (entry = kg_bans_first_due(guard->bans)) &&
           entry->expires_ns / 1000000 < now_ms) {
        kg_log(KG_LOG_INFO, "ban of %s is over: %llu packets dropped", kg_addr_text(&entry->source, text),
               (unsigned long long)drops_of(guard, entry));
        tell(guard, KG_BAN_EXPIRED, entry);
        remove_entry(guard, entry);
        reaped++;
    }
    if (reaped && guard->outside_kernel)
        refill(guard, reaped);
}
