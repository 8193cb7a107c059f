/* SPDX-License-Identifier: BSD-2-Clause */
/* `keyctl events`: what has happened, and with -f what goes on happening, as JSON lines. */
#include "keyctl/keyctl.h"

/* At once: whoever reads it, by eye or through a pipe, waits for it. */
static void print_lines(void *ctx, struct kg_slice bytes)
{
    print_escaped(stdout, bytes, ctx);
    fflush(stdout);
}

static void put_type(char *path, size_t cap, const json_t *types)
{
    const json_t *type;
    size_t i;

    json_array_foreach(types, i, type)
    {
        size_t len = strlen(path);

        snprintf(path + len, cap - len, "%s%s", i ? "," : "&type=", json_string_value(type));
    }
}

/* The words go into a query as they are. */
static bool are_words(const json_t *types)
{
    const json_t *type;
    size_t i;

    json_array_foreach(types, i, type)
    {
        const char *text = json_string_value(type);

        if (strspn(text, "abcdefghijklmnopqrstuvwxyz") != strlen(text) || strlen(text) > 32 || i > 6)
            return false;
    }
    return true;
}

static int run_events(const struct command *command)
{
    bool follow = json_is_true(json_object_get(command->fields, "follow"));
    const json_t *types = json_object_get(command->fields, "type");
    struct answer answer;
    bool half = false;
    char path[512];
    int rc;

    if (!are_words(types))
        return usage_error("--type takes entity, ban, signal, health, dns, trouble or reload");
    snprintf(path, sizeof(path), "/events?follow=%d&past=%d", follow, follow ? 10 : 256);
    put_type(path, sizeof(path), types);
    rc = ask_stream(command->socket, path, follow, print_lines, &half, &answer);
    if (rc == 0 && answer.status != 200)
        rc = refused(command, &answer);
    json_decref(answer.json);
    return rc;
}

static const struct flag events_flags[] = {
    { .name = "follow",
      .kind = FLAG_SWITCH,
      .value = "",
      .help = "go on with what happens, until Ctrl-C",
      .letter = 'f' },
    { .name = "type",
      .kind = FLAG_LIST,
      .value = "TYPE",
      .help = "entity, ban, signal, health, dns, trouble or reload; may be repeated" },
    { 0 },
};

const struct action events_action = {
    .name = "events",
    .summary = "what has happened, or happens",
    .about =
        "The last 256 events, or with -f the last 10 and what follows: one JSON object a line, whatever -o\n"
        "says. Who reads too slowly loses some, and is told how many.",
    .flags = events_flags,
    .run = run_events,
    .examples = { "", "-f --type ban --type health" },
};
