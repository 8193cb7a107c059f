/* SPDX-License-Identifier: BSD-2-Clause */
/* What each verb asks the daemon, and how its answer is shown. */
#include "keyctl/keyctl.h"

#include "base/mem.h"

#include <stdlib.h>

#define REF_MAX      1024 /* of a name in the command line; encoded three times as long */
#define PATH_MAX_LEN 8192
#define PAGE         "size=1000"
#define DRY_RUN      "?dry_run=1"

/* "Not found" alone would not say what. */
static void print_missing(const struct command *command)
{
    if (command->argument) {
        fprintf(stderr, "%s ", command->noun->name);
        print_safe(stderr, command->argument);
    }
    if (command->parent) {
        fprintf(stderr, "%s%s ", command->argument ? " of " : "", command->parent_flag->name);
        print_safe(stderr, command->parent);
    }
    if (command->argument || command->parent)
        fputs(": ", stderr);
}

/* The daemon's message, or the status where it gave none. */
int refused(const struct command *command, const struct answer *answer)
{
    const char *message = json_string_value(json_object_get(answer->json, "message"));

    fputs("keyctl: ", stderr);
    if (answer->status == 404)
        print_missing(command);
    if (message)
        print_safe(stderr, message);
    else
        fprintf(stderr, "the daemon answered %u", answer->status);
    fputc('\n', stderr);
    return KG_CTL_REFUSED;
}

int request(const struct command *command, const char *method, const char *path, const json_t *body,
            json_t **json)
{
    struct answer answer;
    int rc = ask(command->socket, method, path, body, &answer);

    *json = NULL;
    if (rc == 0 && answer.status >= 200 && answer.status < 300) {
        *json = answer.json;
        return KG_CTL_DONE;
    }
    if (rc == 0)
        rc = refused(command, &answer);
    json_decref(answer.json);
    return rc;
}

void print_json(const json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    bool half = false;

    print_escaped(stdout, kg_slice_str(text), &half);
    fputc('\n', stdout);
    if (text)
        kg_wipe(text, strlen(text)); /* it may hold keys */
    free(text);
}

int show_object(const struct command *command, const json_t *object)
{
    if (command->output == OUTPUT_TABLE)
        print_flat(object);
    if (command->output == OUTPUT_JSON)
        print_json(object);
    return command->output == OUTPUT_YAML ? print_yaml(object) : KG_CTL_DONE;
}

static int show_one(const struct command *command, const json_t *entity)
{
    json_t *rows;

    if (command->output == OUTPUT_JSON)
        print_json(entity);
    if (command->output == OUTPUT_YAML)
        return print_yaml(entity);
    if (command->output != OUTPUT_TABLE)
        return KG_CTL_DONE;
    rows = json_pack("[O]", entity);
    print_table(command->noun, command->verb, rows);
    json_decref(rows);
    return KG_CTL_DONE;
}

static int show_list(const struct command *command, const struct noun *noun, json_t *all)
{
    if (command->output == OUTPUT_TABLE)
        print_table(noun, VERB_LIST, json_object_get(all, "data"));
    if (command->output == OUTPUT_JSON)
        print_json(all);
    return command->output == OUTPUT_YAML ? print_yaml(all) : KG_CTL_DONE;
}

int collection_path(const struct command *command, char *path, size_t cap)
{
    const struct noun *noun = command->noun;

    if ((command->argument && strlen(command->argument) > REF_MAX) ||
        (command->parent && strlen(command->parent) > REF_MAX))
        return usage_error("a name has at most %d bytes", REF_MAX);
    path[0] = '\0';
    if (command->parent) {
        put_segment(path, cap, command->parent_flag->parent);
        put_segment(path, cap, command->parent);
        put_segment(path, cap, noun->nested ? noun->nested : noun->collection);
        return 0;
    }
    put_segment(path, cap, noun->collection);
    return 0;
}

int fetch_all(const struct command *command, const char *path, json_t **all)
{
    json_t *data = json_array();
    json_t *page, *offset = NULL;
    char url[PATH_MAX_LEN + 256];
    int rc;

    do {
        snprintf(url, sizeof(url), "%s?" PAGE "%s%s", path, offset ? "&offset=" : "",
                 offset ? json_string_value(offset) : "");
        json_decref(offset);
        rc = request(command, "GET", url, NULL, &page);
        offset = rc == 0 ? json_incref(json_object_get(page, "offset")) : NULL;
        if (rc == 0)
            json_array_extend(data, json_object_get(page, "data"));
        json_decref(page);
    } while (json_is_string(offset));
    json_decref(offset);
    *all = json_pack("{s:o,s:n}", "data", data, "next");
    return rc;
}

int list_all(const struct command *command, const struct noun *noun, const char *path)
{
    json_t *all;
    int rc = fetch_all(command, path, &all);

    if (rc == 0)
        rc = show_list(command, noun, all);
    json_decref(all);
    return rc;
}

/*
 * At its top level the API answers 204 also when there is nothing to delete. For a person a mistyped name is
 * a mistake, so look first.
 */
static int look_first(const struct command *command, const char *path)
{
    json_t *json = NULL;
    int rc = KG_CTL_DONE;

    if (command->parent || command->noun->missing_is_404)
        return rc;
    rc = request(command, "GET", path, NULL, &json);
    json_decref(json);
    return rc;
}

/* What it would take away: tried, printed or asked about. */
static int try_delete(const struct command *command, const char *path)
{
    char url[PATH_MAX_LEN + 32];
    json_t *json = NULL;
    int rc = KG_CTL_DONE;

    snprintf(url, sizeof(url), "%s%s", path, DRY_RUN);
    if (!command->noun->no_dry_run)
        rc = request(command, "DELETE", url, NULL, &json);
    if (rc == 0 && !command->dry_run)
        rc = confirm_delete(command, json);
    else if (rc == 0 && command->output != OUTPUT_TABLE)
        rc = show_object(command, json);
    else if (rc == 0) {
        fputs("would delete ", stdout);
        print_deletes(stdout, command, json);
        fputc('\n', stdout);
    }
    json_decref(json);
    return rc;
}

static int delete_one(const struct command *command, const char *path)
{
    json_t *json;
    int rc = look_first(command, path);

    if (rc == 0 && (command->dry_run || must_confirm(command)))
        rc = try_delete(command, path);
    if (rc != 0 || command->dry_run)
        return rc;
    rc = request(command, "DELETE", path, NULL, &json);
    json_decref(json);
    if (rc == 0 && command->output == OUTPUT_TABLE) {
        printf("%s ", command->noun->name);
        print_safe(stdout, command->argument);
        fputs(" deleted\n", stdout);
    }
    return rc;
}

static int run_noun(const struct command *command)
{
    static const char *const methods[VERBS] = { "POST", "GET", "GET", "PATCH", "DELETE", "GET", "POST" };
    bool writes = (ON_WRITE | ON(VERB_ROTATE)) & ON(command->verb);
    char path[PATH_MAX_LEN], url[PATH_MAX_LEN + 32];
    json_t *json;
    int rc = collection_path(command, path, sizeof(path));

    if (rc != 0)
        return rc;
    if (command->verb == VERB_LIST)
        return list_all(command, command->noun, path);
    if (ON_NAMED & ON(command->verb))
        put_segment(path, sizeof(path), command->argument);
    if (command->verb == VERB_DELETE)
        return delete_one(command, path);
    if (command->verb == VERB_ROTATE)
        put_segment(path, sizeof(path), "rotate");
    if (command->verb == VERB_HEALTH) {
        put_segment(path, sizeof(path), "health");
        return list_all(command, &health_noun, path);
    }
    snprintf(url, sizeof(url), "%s%s", path, command->dry_run ? DRY_RUN : "");
    rc = request(command, methods[command->verb], url, writes ? command->fields : NULL, &json);
    if (rc == 0)
        rc = show_one(command, json);
    fflush(stdout);
    if (rc == 0 && command->dry_run)
        fputs("keyctl: a dry run: nothing was changed\n", stderr);
    json_decref(json);
    return rc;
}

int run_command(const struct command *command)
{
    return command->action ? command->action->run(command) : run_noun(command);
}
