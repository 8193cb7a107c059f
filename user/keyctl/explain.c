/* SPDX-License-Identifier: BSD-2-Clause */
/* `keyctl explain METHOD URL`: what would become of a request, told in a few lines. */
#include "keyctl/keyctl.h"

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "-";
}

static void label(const char *name)
{
    printf("%-13s", name);
}

static void print_text(const json_t *object, const char *name)
{
    print_safe(stdout, text_of(object, name));
}

/* "name (id)", or the id alone. */
static void print_named(const json_t *entity, const char *name)
{
    if (json_is_string(json_object_get(entity, name))) {
        print_text(entity, name);
        printf(" (%s)", text_of(entity, "id"));
        return;
    }
    print_text(entity, "id");
}

static void print_outcome(const json_t *json)
{
    const json_t *answer = json_object_get(json, "answer"), *upstream = json_object_get(json, "upstream");

    label("outcome");
    if (json_is_object(upstream)) {
        printf("goes to %s://%s\n", text_of(upstream, "protocol"), text_of(upstream, "address"));
        return;
    }
    if (!json_is_object(answer)) {
        puts("dropped: nothing of it is read, the source is banned");
        return;
    }
    printf("answered %lld ", (long long)json_integer_value(json_object_get(answer, "status")));
    if (json_object_get(answer, "location"))
        print_text(answer, "location");
    else
        print_text(answer, "message");
    putchar('\n');
}

static void print_source(const json_t *source)
{
    const json_t *ban = json_object_get(source, "ban"), *ends = json_object_get(ban, "expires_in");

    label("client");
    printf("%s over %s", text_of(source, "client"), text_of(source, "scheme"));
    if (json_is_true(json_object_get(source, "trusted_proxy")))
        printf(", as the trusted proxy %s says", text_of(source, "peer"));
    putchar('\n');
    label("banned");
    if (!json_is_object(ban))
        fputs("no", stdout);
    else if (json_is_integer(ends))
        printf("%s, for %lld s more", text_of(ban, "reason"), (long long)json_integer_value(ends));
    else
        printf("%s, for ever", text_of(ban, "reason"));
    if (json_is_string(json_object_get(source, "never_banned"))) {
        fputs("; ", stdout);
        print_text(source, "never_banned");
    }
    putchar('\n');
}

static void print_if_named(const char *title, const json_t *json, const char *name)
{
    const json_t *entity = json_object_get(json, title);

    label(title);
    if (json_is_object(entity))
        print_named(entity, name);
    else
        fputs("none", stdout);
    putchar('\n');
}

static void print_left_out(const json_t *json, const char *name)
{
    json_int_t left_out = json_integer_value(json_object_get(json, name));

    if (left_out > 0)
        printf("  … and %lld more, left out\n", (long long)left_out);
}

static void print_verdict(const json_t *candidate)
{
    const json_t *fails = json_object_get(candidate, "fails"), *reason;
    size_t i;

    if (json_is_string(json_object_get(candidate, "beaten_by"))) {
        printf("matches, beaten by: %s", text_of(candidate, "beaten_by"));
        return;
    }
    if (json_is_true(json_object_get(candidate, "matches"))) {
        fputs("wins", stdout);
        return;
    }
    fputs("does not match:", stdout);
    json_array_foreach(fails, i, reason) printf("%s %s", i ? "," : "", json_string_value(reason));
}

static void print_candidates(const json_t *json)
{
    const json_t *list = json_object_get(json, "candidates"), *candidate;
    size_t i;

    if (json_array_size(list) == 0)
        return;
    puts("\nroutes");
    json_array_foreach(list, i, candidate)
    {
        fputs("  ", stdout);
        print_named(candidate, "name");
        fputs("  ", stdout);
        print_verdict(candidate);
        putchar('\n');
    }
    print_left_out(json, "candidates_left_out");
}

static void print_plugins(const json_t *json)
{
    const json_t *list = json_object_get(json, "plugins"), *plugin;
    size_t i;

    if (json_array_size(list) == 0)
        return;
    puts("\nplugins");
    json_array_foreach(list, i, plugin)
    {
        fputs("  ", stdout);
        print_named(plugin, "name");
        printf("  %s  %s", text_of(plugin, "scope"), text_of(plugin, "state"));
        if (json_object_get(plugin, "overridden_by"))
            printf(" by %s", text_of(plugin, "overridden_by"));
        putchar('\n');
    }
    print_left_out(json, "plugins_left_out");
}

static void print_upstream(const json_t *upstream)
{
    const json_t *headers = json_object_get(upstream, "headers"), *pair;
    size_t i;

    if (!json_is_object(upstream))
        return;
    fputs("\nrequest sent\n  ", stdout);
    print_text(upstream, "method");
    putchar(' ');
    print_text(upstream, "path");
    putchar('\n');
    json_array_foreach(headers, i, pair)
    {
        fputs("  ", stdout);
        print_safe(stdout, json_string_value(json_array_get(pair, 0)));
        fputs(": ", stdout);
        print_safe(stdout, json_string_value(json_array_get(pair, 1)));
        putchar('\n');
    }
}

static void print_targets(const json_t *balancer)
{
    const json_t *list = json_object_get(balancer, "targets"), *target;
    size_t i;

    if (!json_is_object(balancer))
        return;
    printf("\ntargets (%s, chosen by: %s)\n", text_of(balancer, "algorithm"), text_of(balancer, "chosen_by"));
    json_array_foreach(list, i, target)
    {
        printf("  %s  weight %lld  %s\n", text_of(target, "address"),
               (long long)json_integer_value(json_object_get(target, "weight")), text_of(target, "health"));
    }
    print_left_out(balancer, "targets_left_out");
}

static void print_explained(const json_t *json)
{
    print_outcome(json);
    print_source(json_object_get(json, "source"));
    print_if_named("route", json, "name");
    print_if_named("service", json, "name");
    print_if_named("consumer", json, "username");
    print_candidates(json);
    print_plugins(json);
    print_targets(json_object_get(json, "balancer"));
    print_upstream(json_object_get(json, "upstream"));
}

static int run_explain(const struct command *command)
{
    json_t *json;
    int rc;

    if (json_object_set_new(command->fields, "method", json_string(command->words[0])) < 0 ||
        json_object_set_new(command->fields, "url", json_string(command->words[1])) < 0)
        return usage_error("the command line is not valid UTF-8");
    rc = request(command, "POST", "/explain", command->fields, &json);
    if (rc == 0 && command->output == OUTPUT_TABLE)
        print_explained(json);
    else if (rc == 0)
        rc = show_object(command, json);
    json_decref(json);
    return rc;
}

static const struct flag explain_flags[] = {
    { .name = "headers",
      .kind = FLAG_HEADERS,
      .value = "'NAME: VALUE'",
      .help = "a header; may be repeated; @FILE or @- reads them, one a line, so that no key is an argument",
      .letter = 'H' },
    { .name = "source", .kind = FLAG_STRING, .value = "ADDRESS", .help = "who connects (default 127.0.0.1)" },
    { .name = "port", .kind = FLAG_INTEGER, .value = "PORT", .help = "of the listener (default: the first)" },
    { .name = "sni",
      .kind = FLAG_STRING,
      .value = "NAME",
      .help = "server name of https (default: the host)" },
    { .name = "candidates",
      .kind = FLAG_INTEGER,
      .value = "N",
      .help = "routes shown, 0 to 1000 (default 20)" },
    { 0 },
};

const struct action explain_action = {
    .name = "explain",
    .summary = "what would become of a request, and why",
    .argument = "METHOD URL",
    .least_words = 2,
    .most_words = 2,
    .about =
        "Which route it would take and why not the others, which plugins would run, who it would be, and\n"
        "what would be sent where. Nothing is sent, nothing is counted; keys are shown as ***.",
    .flags = explain_flags,
    .run = run_explain,
    .examples = { "GET http://127.0.0.1:9080/anything -H 'Accept: text/html'",
                  "POST https://shop.example/orders --source 203.0.113.7 -H @headers.txt -o json" },
};
