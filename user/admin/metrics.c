/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /metrics: the figures of /status and /stats in Prometheus' text format 0.0.4. Read where those are read, on
 * the control thread; workers notice nothing of it.
 */
#include "admin/call.h"

#include "base/assert.h"
#include "keygate/version.h"

#include <inttypes.h>
#include <stdio.h>

#define CONSUMERS_MAX 10000 /* with more of them an answer would have tens of megabytes */

/* \ " and line feeds are what the format escapes; other controls (U+0080 to U+009F too) have no business in a
 * label. */
static void put_label(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s=\"", name);
    for (const char *c = value; *c; c++) {
        bool c1 = (unsigned char)c[0] == 0xc2 && (unsigned char)c[1] >= 0x80 && (unsigned char)c[1] <= 0x9f;

        if (*c == '\\' || *c == '"')
            fprintf(out, "\\%c", *c);
        else if (*c == '\n')
            fputs("\\n", out);
        else
            fputc((unsigned char)*c < 0x20 || *c == 0x7f || c1 ? '?' : *c, out);
        c += c1;
    }
    fputc('"', out);
}

static void put_kind(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_alone(FILE *out, const char *name, const char *type, const char *help, json_int_t value)
{
    put_kind(out, name, type, help);
    fprintf(out, "%s %lld\n", name, (long long)value);
}

/* ---- the daemon's own ---- */

/* Of the daemon's figures in /status: those that can fall, and words for all. */
static const struct figure {
    const char *key, *name, *type, *help;
} known[] = {
    { "workers", "keygate_workers", "gauge", "Worker threads." },
    { "connections_accepted", NULL, NULL, "Client connections let in." },
    { "connections_handled", NULL, NULL, "Of these, those that were neither refused nor banned." },
    { "connections_active", "keygate_connections_active", "gauge", "Client connections open now." },
    { "connections_reading", "keygate_connections_reading", "gauge", "Of these, with a part of a head." },
    { "connections_writing", "keygate_connections_writing", "gauge", "Of these, with a running request." },
    { "connections_waiting", "keygate_connections_waiting", "gauge", "Of these, between requests." },
    { "connections_refused", NULL, NULL, "Client connections reset because a worker had no room." },
    { "connections_limited", NULL, NULL, "Client connections reset by a limit for all or for one source." },
    { "connections_banned", NULL, NULL, "Client connections reset because of a ban." },
    { "requests_banned", NULL, NULL, "Requests of banned sources behind a trusted proxy." },
    { "total_requests", "keygate_requests_total", "counter", "Requests begun." },
    { "clients_too_slow", NULL, NULL, "Clients that sent or read too slowly." },
    { "malformed_requests", NULL, NULL, "Requests refused because of their form." },
    { "upstream_connects", NULL, NULL, "Connections opened to services." },
    { "upstream_reuses", NULL, NULL, "Requests sent over a kept connection." },
    { "upstream_errors", NULL, NULL, "Requests that a service did not answer." },
    { "tunnels_active", "keygate_tunnels_active", "gauge", "WebSocket tunnels open now." },
    { "upstream_retries", NULL, NULL, "Further tries of requests." },
    { "upstream_no_peer", NULL, NULL, "Requests that no target could take." },
    { "tls_handshakes", NULL, NULL, "TLS handshakes with clients." },
    { "tls_resumed", NULL, NULL, "Of these, sessions resumed." },
    { "tls_errors", NULL, NULL, "TLS connections that failed." },
    { "buffer_starvations", NULL, NULL, "Times that a worker's ring had no receive buffer left." },
    { "signals_dropped", NULL, NULL, "Signals of abuse that found their queue full." },
    { "rate_counters_used", "keygate_rate_counters_used", "gauge", "Counters of rate limits in use now." },
    { "rate_counters_full", NULL, NULL, "Times that a rate limit found no place for a counter." },
};

static const struct figure *find_known(const char *key)
{
    static const struct figure other = { .help = "As in /status." };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].key, key) == 0)
            return &known[i];
    }
    return &other;
}

static void put_server(FILE *out, const struct kg_call *call)
{
    json_t *server = json_object();
    const json_t *value;
    const char *key;

    if (call->parts->status)
        call->parts->status(call->parts->ctx, server);
    json_object_foreach(server, key, value)
    {
        const struct figure *figure = find_known(key);
        char name[128];

        if (!json_is_integer(value))
            continue;
        snprintf(name, sizeof(name), "keygate_%s_total", key);
        put_alone(out, figure->name ? figure->name : name, figure->type ? figure->type : "counter",
                  figure->help, json_integer_value(value));
    }
    json_decref(server);
}

/* ---- consumers ---- */

/* One counter of consumers; class is the label of those that share a name. */
static const struct {
    const char *name, *type, *help, *class;
    size_t offset;
} consumer_counters[] = {
#define FIELD(field) offsetof(struct kg_consumer_stats, field)
    { "keygate_consumer_requests_total", "counter", "Requests of a consumer.", NULL, FIELD(requests) },
    { "keygate_consumer_responses_total", "counter", "Answers to a consumer, by the class of their status.",
      "2xx", FIELD(status_2xx) },
    { "keygate_consumer_responses_total", NULL, NULL, "3xx", FIELD(status_3xx) },
    { "keygate_consumer_responses_total", NULL, NULL, "4xx", FIELD(status_4xx) },
    { "keygate_consumer_responses_total", NULL, NULL, "5xx", FIELD(status_5xx) },
    { "keygate_consumer_denied_total", "counter", "Requests that a plugin answered with 401 or 403.", NULL,
      FIELD(denied) },
    { "keygate_consumer_rate_limited_total", "counter", "Requests that a rate limit refused.", NULL,
      FIELD(rate_limited) },
    { "keygate_consumer_received_bytes_total", "counter", "Bytes received from a consumer.", NULL,
      FIELD(bytes_in) },
    { "keygate_consumer_sent_bytes_total", "counter", "Bytes sent to a consumer.", NULL, FIELD(bytes_out) },
    { "keygate_consumer_last_seen_timestamp_seconds", "gauge", "When a consumer's last request ended.", NULL,
      FIELD(last_seen) },
#undef FIELD
};

static void put_consumer(FILE *out, const struct kg_consumer_stats *stats, const char *name,
                         const char *class, size_t offset)
{
    /* A name that was cut to fit may end inside a character, and the format is UTF-8. */
    json_t *text = json_string(stats->name);
    __u64 value;

    memcpy(&value, (const char *)stats + offset, sizeof(value));
    fprintf(out, "%s{", name);
    put_label(out, "consumer", text ? stats->name : stats->id);
    fputc(',', out);
    put_label(out, "consumer_id", stats->id);
    if (class) {
        fputc(',', out);
        put_label(out, "class", class);
    }
    fprintf(out, "} %" PRIu64 "\n", (uint64_t)value);
    json_decref(text);
}

/* The slots in use, at most CONSUMERS_MAX of them; how many there are. */
static size_t list_slots(const struct kg_guard *guard, uint32_t slots[CONSUMERS_MAX])
{
    struct kg_consumer_stats stats;
    size_t count = 0;

    for (uint32_t slot = 0; slot < KG_CONSUMER_SLOTS_MAX; slot++) {
        if (!kg_guard_consumer(guard, slot, &stats))
            continue;
        if (count < CONSUMERS_MAX)
            slots[count] = slot;
        count++;
    }
    return count;
}

/* All lines of one name together, as the format asks for. */
static void put_consumers(FILE *out, const struct kg_guard *guard)
{
    static uint32_t slots[CONSUMERS_MAX];
    size_t count = list_slots(guard, slots);
    struct kg_consumer_stats stats;

    for (size_t c = 0; c < sizeof(consumer_counters) / sizeof(consumer_counters[0]); c++) {
        if (consumer_counters[c].type)
            put_kind(out, consumer_counters[c].name, consumer_counters[c].type, consumer_counters[c].help);
        for (size_t i = 0; i < count && i < CONSUMERS_MAX; i++) {
            if (kg_guard_consumer(guard, slots[i], &stats))
                put_consumer(out, &stats, consumer_counters[c].name, consumer_counters[c].class,
                             consumer_counters[c].offset);
        }
    }
    put_alone(out, "keygate_consumers_left_out", "gauge", "Consumers with counters that are not shown here.",
              count > CONSUMERS_MAX ? (json_int_t)(count - CONSUMERS_MAX) : 0);
}

/* ---- guard ---- */

static void count_ban(void *ctx, const struct kg_ban_info *info)
{
    json_t *counts = ctx;
    const char *reason = kg_ban_reason_name(info->reason);

    json_object_set_new(counts, reason,
                        json_integer(json_integer_value(json_object_get(counts, reason)) + 1));
}

static void put_bans(FILE *out, struct kg_guard *guard)
{
    json_t *counts = json_object();
    const json_t *count;
    const char *reason;

    for (uint32_t i = KG_BAN_MANUAL; i <= KG_BAN_MALFORMED; i++)
        json_object_set_new(counts, kg_ban_reason_name(i), json_integer(0));
    kg_guard_each_ban(guard, count_ban, counts);
    put_kind(out, "keygate_bans", "gauge", "Bans in force, by their reason.");
    json_object_foreach(counts, reason, count)
    {
        fputs("keygate_bans{", out);
        put_label(out, "reason", reason);
        fprintf(out, "} %lld\n", (long long)json_integer_value(count));
    }
    json_decref(counts);
}

static void put_verdicts(FILE *out, const struct kg_guard *guard)
{
    struct kg_xdp_count counts[KG_XDP_VERDICTS] = { 0 };

    kg_guard_xdp_counts(guard, counts);
    put_kind(out, "keygate_xdp_packets_total", "counter", "Packets by what the XDP program did with them.");
    for (unsigned i = 0; i < KG_XDP_VERDICTS; i++)
        fprintf(out, "keygate_xdp_packets_total{verdict=\"%s\"} %" PRIu64 "\n",
                kg_xdp_verdict_name((enum kg_xdp_verdict)i), (uint64_t)counts[i].packets);
    put_kind(out, "keygate_xdp_bytes_total", "counter", "Bytes of these packets.");
    for (unsigned i = 0; i < KG_XDP_VERDICTS; i++)
        fprintf(out, "keygate_xdp_bytes_total{verdict=\"%s\"} %" PRIu64 "\n",
                kg_xdp_verdict_name((enum kg_xdp_verdict)i), (uint64_t)counts[i].bytes);
}

static void put_interfaces(FILE *out, const struct kg_guard *guard)
{
    const struct kg_guard_interface *all = NULL;
    size_t count = kg_guard_interfaces(guard, &all);

    put_kind(out, "keygate_xdp_attached", "gauge", "1 where the XDP program is attached to an interface.");
    for (size_t i = 0; i < count; i++) {
        fputs("keygate_xdp_attached{", out);
        put_label(out, "interface", all[i].name);
        fprintf(out, ",mode=\"%s\"} %d\n", all[i].native ? "native" : "generic", all[i].attached);
    }
}

static void put_metrics(FILE *out, struct kg_call *call)
{
    struct kg_guard *guard = call->parts->guard;

    put_kind(out, "keygate_build_info", "gauge", "The version that runs.");
    fputs("keygate_build_info{version=\"" KG_VERSION "\"} 1\n", out);
    put_alone(out, "keygate_database_reachable", "gauge", "1 while the database can be read.",
              kg_admin_database_reachable(call));
    put_server(out, call);
    if (!guard)
        return;
    put_bans(out, guard);
    put_verdicts(out, guard);
    put_interfaces(out, guard);
    put_consumers(out, guard);
}

void kg_admin_metrics(struct kg_call *call)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    KG_ASSERT(out);
    put_metrics(out, call);
    int rc = fclose(out);
    KG_ASSERT(rc == 0);
    call->status = 200;
    call->text = text;
    call->text_type = KG_SLICE("text/plain; version=0.0.4; charset=utf-8");
}
