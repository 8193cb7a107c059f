/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands beside the nouns, and the smallest of them. */
#include "keyctl/keyctl.h"

const struct action *const actions[] = {
    &status_action, &stats_action,   &metrics_action,  &events_action,
    &top_action,    &explain_action, &validate_action, &diff_action,
    &sync_action,   &dump_action,    &convert_action,  &completion_action,
    NULL,
};

const struct action *find_action(const char *name)
{
    for (const struct action *const *action = actions; *action; action++) {
        if (strcmp((*action)->name, name) == 0)
            return *action;
    }
    return NULL;
}

static int run_status(const struct command *command)
{
    json_t *json;
    int rc = request(command, "GET", "/status", NULL, &json);

    if (rc == 0)
        rc = show_object(command, json);
    json_decref(json);
    return rc;
}

const struct action status_action = {
    .name = "status",
    .summary = "what the daemon is doing",
    .about = "Its counters, the interfaces XDP is on, packets by verdict.",
    .run = run_status,
    .examples = { "", "-o json" },
};

/* clang-format off */
static const struct column stats_columns[] = {
    { "CONSUMER", "name" }, { "REQUESTS", "requests" }, { "2XX", "status_2xx" }, { "3XX", "status_3xx" },
    { "4XX", "status_4xx" }, { "5XX", "status_5xx" }, { "DENIED", "denied" }, { "LIMITED", "rate_limited" },
    { "BYTES_IN", "bytes_in" }, { "BYTES_OUT", "bytes_out" }, { "LAST_SEEN", "last_seen", COLUMN_TIME }, { 0 },
};
/* clang-format on */

static int run_stats(const struct command *command)
{
    static const struct noun shown = { .name = "stats", .columns = stats_columns };

    return list_all(command, &shown, "/stats");
}

const struct action stats_action = {
    .name = "stats",
    .summary = "counters of each consumer",
    .about = "What each consumer has asked for and got, at most 100 ms old.",
    .run = run_stats,
    .examples = { "", "-o json" },
};

static void print_bytes(void *ctx, struct kg_slice bytes)
{
    fwrite(bytes.ptr, 1, bytes.len, stdout);
}

static int run_metrics(const struct command *command)
{
    struct answer answer;
    int rc = ask_stream(command->socket, "/metrics", false, print_bytes, NULL, &answer);

    if (rc == 0 && answer.status != 200)
        rc = refused(command, &answer);
    json_decref(answer.json);
    return rc;
}

const struct action metrics_action = {
    .name = "metrics",
    .summary = "all counters, for Prometheus",
    .about =
        "The figures of status and stats in Prometheus' text format, whatever -o says. What scrapes no UNIX\n"
        "socket can read them from a file: node_exporter's textfile collector.",
    .run = run_metrics,
    .examples = { "", NULL },
};
