/* SPDX-License-Identifier: BSD-2-Clause */
/* What keygate says about itself: /, /status, /status/ready, /stats, /plugins/enabled. */
#include "admin/call.h"

#include "base/uuid.h"
#include "keygate/version.h"

#include <unistd.h>

/* One for each run, as a Kong node has that is told none. */
static const char *node_id(void)
{
    static char id[KG_UUID_TEXT];

    if (!id[0])
        kg_uuid_random(id);
    return id;
}

void kg_admin_root(struct kg_call *call)
{
    json_t *available = json_object(), *enabled = kg_store_plugin_names(call->parts->store);
    char host[256] = "";
    const struct kg_plugin_type *type;

    if (gethostname(host, sizeof(host) - 1) < 0)
        host[0] = '\0';
    for (size_t i = 0; (type = kg_plugin_at(i)); i++)
        json_object_set_new(available, type->name,
                            json_pack("{s:s,s:i}", "version", KG_VERSION, "priority", type->priority));
    if (!enabled) {
        json_decref(available);
        kg_reply_message(call, 500, "the database cannot be read");
        return;
    }
    kg_reply_json(call, 200,
                  json_pack("{s:s,s:s,s:s,s:s,s:{s:i},s:{s:o,s:o}}", "version", KG_VERSION, "tagline",
                            "Welcome to keygate", "hostname", host, "node_id", node_id(), "pids", "master",
                            (int)getpid(), "plugins", "available_on_server", available, "enabled_in_cluster",
                            enabled));
}

void kg_admin_plugins_enabled(struct kg_call *call)
{
    json_t *names = json_array();
    const struct kg_plugin_type *type;

    for (size_t i = 0; (type = kg_plugin_at(i)); i++)
        json_array_append_new(names, json_string(type->name));
    kg_reply_json(call, 200, json_pack("{s:o}", "enabled_plugins", names));
}

/* The cheapest read there is. */
bool kg_admin_database_reachable(struct kg_call *call)
{
    int64_t after = 0;
    json_t *page = kg_store_list(call->parts->store, KG_SERVICES, NULL, NULL, 1, &after);

    json_decref(page);
    return page != NULL;
}

static json_t *interfaces(const struct kg_guard *guard)
{
    const struct kg_guard_interface *all = NULL;
    size_t count = guard ? kg_guard_interfaces(guard, &all) : 0;
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++) {
        const char *mode = all[i].native ? "native" : "generic";

        json_array_append_new(
            array, json_pack("{s:s,s:b,s:o,s:s}", "name", all[i].name, "attached", (int)all[i].attached,
                             "mode", all[i].attached ? json_string(mode) : json_null(), "note", all[i].note));
    }
    return array;
}

static json_t *packets(const struct kg_guard *guard)
{
    struct kg_xdp_count counts[KG_XDP_VERDICTS] = { 0 };
    json_t *object = json_object();

    if (!guard)
        return object;
    kg_guard_xdp_counts(guard, counts);
    for (unsigned i = 0; i < KG_XDP_VERDICTS; i++)
        json_object_set_new(object, kg_xdp_verdict_name((enum kg_xdp_verdict)i),
                            json_pack("{s:I,s:I}", "packets", (json_int_t)counts[i].packets, "bytes",
                                      (json_int_t)counts[i].bytes));
    return object;
}

static void count_ban(void *ctx, const struct kg_ban_info *info)
{
    (*(json_int_t *)ctx)++;
}

void kg_admin_status(struct kg_call *call)
{
    struct kg_guard *guard = call->parts->guard;
    json_t *server = json_object();
    json_int_t bans = 0;

    if (guard)
        kg_guard_each_ban(guard, count_ban, &bans);
    if (call->parts->status)
        call->parts->status(call->parts->ctx, server);
    kg_reply_json(call, 200,
                  json_pack("{s:{s:b},s:o,s:{s:o,s:o},s:{s:I}}", "database", "reachable",
                            (int)kg_admin_database_reachable(call), "server", server, "xdp", "interfaces",
                            interfaces(guard), "packets", packets(guard), "guard", "bans", bans));
}

void kg_admin_ready(struct kg_call *call)
{
    const char *why = call->parts->why_unready ? call->parts->why_unready(call->parts->ctx) : NULL;

    if (!why && !kg_admin_database_reachable(call))
        why = "the database cannot be read";
    kg_reply_message(call, why ? 503 : 200, why ? why : "ready");
}

static json_t *stats_json(const struct kg_consumer_stats *stats)
{
    static const struct {
        const char *name;
        size_t offset;
    } counters[] = {
#define COUNTER(field) { #field, offsetof(struct kg_consumer_stats, field) }
        COUNTER(requests),   COUNTER(status_2xx), COUNTER(status_3xx),   COUNTER(status_4xx),
        COUNTER(status_5xx), COUNTER(denied),     COUNTER(rate_limited), COUNTER(bytes_in),
        COUNTER(bytes_out),  COUNTER(last_seen),
#undef COUNTER
    };
    json_t *object = json_object();
    /* A name that was cut to fit may end inside a character. */
    json_t *name = json_string(stats->name);

    json_object_set_new(object, "name", name ? name : json_string_nocheck(""));
    json_object_set_new(object, "id", stats->id[0] ? json_string(stats->id) : json_null());
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        __u64 value;

        memcpy(&value, (const char *)stats + counters[i].offset, sizeof(value));
        json_object_set_new(object, counters[i].name, json_integer((json_int_t)value));
    }
    return object;
}

void kg_admin_stats(struct kg_call *call)
{
    json_t *data = json_array();
    struct kg_consumer_stats stats;

    /* Free slots and those that the map does not have are skipped alike. */
    for (uint32_t slot = 0; call->parts->guard && slot < KG_CONSUMER_SLOTS_MAX; slot++) {
        if (kg_guard_consumer(call->parts->guard, slot, &stats))
            json_array_append_new(data, stats_json(&stats));
    }
    kg_reply_json(call, 200, json_pack("{s:o,s:n}", "data", data, "next"));
}
