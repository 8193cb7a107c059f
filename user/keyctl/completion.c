/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `keyctl completion SHELL` prints a few lines for that shell, which ask `keyctl completion words -- WORD...`
 * at each press of the Tab key: one candidate a line, a tab, what it is; or ":files", where the shell's own
 * completion of file names knows more. What is said comes from the tables and from the live daemon.
 */
#include "keyctl/keyctl.h"

#include <stdlib.h>

#define PATIENCE_S 1 /* who presses Tab does not wait long */
#define PATH_CAP   4096

/* ---- what the shells are given ---- */

#define NAME     "\001" /* of keyctl */
#define FUNCTION "\002" /* named after it */

static const char bash_text[] = //
    "# bash completion for " NAME ", printed by `" NAME " completion bash`.\n" FUNCTION "()\n"
    "{\n"
    "    local words current cut candidate\n"
    "    read -a words <<<\"${COMP_LINE:0:COMP_POINT}\"\n"
    "    [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=('')\n"
    "    current=${words[-1]}\n"
    "    # Of a word, readline takes only what is behind the last of these for its own.\n"
    "    cut=${current%\"${current##*[=:]}\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r candidate _; do\n"
    "        if [[ $candidate == :files ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(compgen -f -- \"${current#\"$cut\"}\")\n"
    "            return\n"
    "        fi\n"
    "        COMPREPLY+=(\"$(printf %q \"${candidate#\"$cut\"}\")\")\n"
    "    done < <(\"${words[0]}\" completion words -- \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F " FUNCTION " " NAME "\n";

static const char zsh_text[] = //
    "#compdef " NAME "\n"
    "# zsh completion for " NAME ", printed by `" NAME " completion zsh`.\n" FUNCTION "()\n"
    "{\n"
    "    local line word\n"
    "    local -a lines values\n"
    "    lines=(\"${(@f)$(\"${(Q)words[1]}\" completion words -- "
    "\"${(@Q)words[2,CURRENT-1]}\" \"$PREFIX\" 2>/dev/null)}\")\n"
    "    for line in $lines; do\n"
    "        if [[ $line == :files ]]; then\n"
    "            compset -P '--*='\n"
    "            _files\n"
    "            return\n"
    "        fi\n"
    "        word=${line%%$'\\t'*}\n"
    "        word=${word//:/\\\\:}\n"
    "        values+=(\"$word:${line#*$'\\t'}\")\n"
    "    done\n"
    "    (( $#values )) && _describe " NAME " values\n"
    "}\n"
    "if [[ ${funcstack[1]} == " FUNCTION " ]]; then\n"
    "    " FUNCTION " \"$@\"\n"
    "else\n"
    "    compdef " FUNCTION " " NAME "\n"
    "fi\n";

static const char fish_text[] = //
    "# fish completion for " NAME ", printed by `" NAME " completion fish`.\n"
    "function " FUNCTION "\n"
    "    set -l current (commandline -ct)\n"
    "    set -l words (commandline -opc)\n"
    "    set -l lines ($words[1] completion words -- $words[2..-1] \"$current\" 2>/dev/null)\n"
    "    if contains -- :files $lines\n"
    "        __fish_complete_path (string replace -r -- '^--[^=]*=' '' \"$current\")\n"
    "    else\n"
    "        printf '%s\\n' $lines\n"
    "    end\n"
    "end\n"
    "complete -c " NAME " -f -a '(" FUNCTION ")'\n";

static void print_script(const char *text, const char *name)
{
    for (; *text; text++) {
        if (*text == *NAME)
            fputs(name, stdout);
        else if (*text == *FUNCTION)
            fputc('_', stdout);
        else
            fputc(*text, stdout);
        for (const char *c = name; *text == *FUNCTION && *c; c++)
            fputc(strchr("-.+", *c) ? '_' : *c, stdout);
    }
}

/* ---- what could stand here ---- */

/* What the words before the cursor have come to. */
struct place {
    struct command command;
    const struct flag *pending; /* its value comes next */
    size_t arguments;
    bool only_words;  /* after "--" */
    const char *word; /* what has been typed of this one */
    char lead[128];   /* "--flag=" of the same word, or "" */
};

static void offer(const struct place *place, const char *candidate, const char *about)
{
    if (!candidate || strncmp(candidate, place->word, strlen(place->word)) != 0)
        return;
    for (const unsigned char *c = (const unsigned char *)candidate; *c; c++) {
        if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f))
            return; /* a shell could not be given it safely */
    }
    printf("%s%s\t%s\n", place->lead, candidate, about);
}

static bool is_enum(const char *value)
{
    bool bar = false;

    for (const char *c = value; *c; c++) {
        bar |= *c == '|';
        if (*c >= 'A' && *c <= 'Z')
            return false;
    }
    return bar;
}

static void offer_enum(const struct place *place, const char *values, const char *about)
{
    char value[64];

    for (const char *at = values; *at; at += *at == '|') {
        size_t len = strcspn(at, "|");

        if (len < sizeof(value)) {
            memcpy(value, at, len);
            value[len] = '\0';
            offer(place, value, about);
        }
        at += len;
    }
}

/* By what it is called: its name, one of its names, or its id. */
static void offer_entity(const struct place *place, const json_t *entity, const char *key, const char *about)
{
    const json_t *value = key ? json_object_get(entity, key) : NULL;
    const json_t *name;
    size_t i;

    json_array_foreach(value, i, name) offer(place, json_string_value(name), about);
    if (json_array_size(value) > 0)
        return;
    if (!json_is_string(value))
        value = json_object_get(entity, "id");
    if (json_is_string(value))
        offer(place, json_string_value(value), about);
}

/* The first page is enough to choose from. */
static void offer_live(const struct place *place, const char *path, const char *key, const char *about)
{
    char url[PATH_CAP + 32];
    struct answer answer = { 0 };
    const json_t *entity;
    size_t i;

    snprintf(url, sizeof(url), "%s?size=1000", path);
    if (ask(place->command.socket, "GET", url, NULL, &answer) == 0 && answer.status == 200)
        json_array_foreach(json_object_get(answer.json, "data"), i, entity)
            offer_entity(place, entity, key, about);
    json_decref(answer.json);
}

static void offer_plugins(const struct place *place)
{
    struct answer answer = { 0 };
    const json_t *name;
    size_t i;

    if (ask(place->command.socket, "GET", "/plugins/enabled", NULL, &answer) == 0)
        json_array_foreach(json_object_get(answer.json, "enabled_plugins"), i, name)
            offer(place, json_string_value(name), "plugin");
    json_decref(answer.json);
}

static void offer_value(const struct place *place, const struct flag *flag)
{
    char path[PATH_CAP] = "";

    if (flag->kind == FLAG_FOREIGN) {
        put_segment(path, sizeof(path), flag->parent);
        offer_live(place, path, flag->parent_key, flag->name);
    } else if (strncmp(flag->value, "FILE", 4) == 0) {
        puts(":files");
    } else if (is_enum(flag->value)) {
        offer_enum(place, flag->value, flag->help);
    } else if (strcmp(flag->value, "PLUGIN") == 0) {
        offer_plugins(place);
    }
}

static void offer_flag(const struct place *place, const struct flag *flag)
{
    char text[80];

    snprintf(text, sizeof(text), "--%s", flag->name);
    offer(place, text, flag->help);
}

static void offer_flags(const struct place *place)
{
    const struct flag *flag;

    for (size_t i = 0; is_call(&place->command) && (flag = nth_flag(&place->command, i)) != NULL; i++)
        offer_flag(place, flag);
    for (flag = common_flags; flag->name; flag++)
        offer_flag(place, flag);
}

static void offer_argument(const struct place *place)
{
    const struct command *command = &place->command;
    char path[PATH_CAP] = "";

    if (command->action && command->action->argument && is_enum(command->action->argument))
        offer_enum(place, place->arguments ? "" : command->action->argument, command->action->summary);
    else if (command->action && command->action->argument && strstr(command->action->argument, "FILE"))
        puts(":files");
    if (command->action || place->arguments > 0 || !(ON_NAMED & ON(command->verb)))
        return;
    if (command->noun->nested_only && !command->parent)
        return;
    collection_path(command, path, sizeof(path));
    offer_live(place, path, command->noun->named_by, command->noun->name);
}

static void offer_first(const struct place *place)
{
    for (const struct action *const *action = actions; *action; action++)
        offer(place, (*action)->name, (*action)->summary);
    for (const struct noun *noun = nouns; noun->name; noun++)
        offer(place, noun->name, noun->summary);
    offer(place, "help", "what there is");
}

static void offer_verbs(const struct place *place)
{
    for (int verb = 0; verb < VERBS; verb++) {
        if (place->command.noun->verbs & ON(verb))
            offer(place, verb_names[verb], place->command.noun->summary);
    }
}

/* ---- the words before ---- */

static const struct flag *flag_of(const struct command *command, const char *word)
{
    size_t len = strcspn(word, "=");
    const struct flag *flag;

    for (size_t i = 0; is_call(command) && (flag = nth_flag(command, i)) != NULL; i++) {
        if (is_flag(flag, word, len))
            return flag;
    }
    for (flag = common_flags; flag->name; flag++) {
        if (is_flag(flag, word, len))
            return flag;
    }
    return NULL;
}

static void read_value(struct place *place, const struct flag *flag, const char *value)
{
    const struct noun *noun = place->command.noun;

    if (noun && flag->kind == FLAG_FOREIGN && (noun->nested || noun->nested_only)) {
        place->command.parent = value;
        place->command.parent_flag = flag;
    }
    if (strcmp(flag->name, "socket") == 0)
        place->command.socket = value;
}

static void read_flag(struct place *place, const char *word)
{
    const struct flag *flag = flag_of(&place->command, word);
    const char *equals = strchr(word, '=');

    if (!flag || flag->kind == FLAG_SWITCH)
        return;
    if (equals)
        read_value(place, flag, equals + 1);
    else
        place->pending = flag;
}

static void read_word(struct place *place, const char *word)
{
    struct command *command = &place->command;

    if (is_call(command)) {
        place->arguments++;
        return;
    }
    if (command->noun) {
        command->verb = find_verb(word);
        return;
    }
    command->action = find_action(word);
    command->noun = find_noun(word);
}

static void read_before(struct place *place, const char *word)
{
    if (place->pending) {
        read_value(place, place->pending, word);
        place->pending = NULL;
        return;
    }
    if (place->only_words || word[0] != '-')
        read_word(place, word);
    else if (strcmp(word, "--") == 0)
        place->only_words = true;
    else
        read_flag(place, word);
}

/* "--flag=va": the value is what is completed. False when it is no such word. */
static bool offer_joined(struct place *place)
{
    const char *equals = strchr(place->word, '=');
    const struct flag *flag;

    if (strncmp(place->word, "--", 2) != 0 || !equals)
        return false;
    flag = flag_of(&place->command, place->word);
    snprintf(place->lead, sizeof(place->lead), "%.*s", (int)(equals + 1 - place->word), place->word);
    place->word = equals + 1;
    if (flag && flag->kind != FLAG_SWITCH)
        offer_value(place, flag);
    return true;
}

static void offer_all(struct place *place)
{
    if (place->pending)
        offer_value(place, place->pending);
    else if (!place->only_words && offer_joined(place))
        return;
    else if (!place->only_words && place->word[0] == '-')
        offer_flags(place);
    else if (is_call(&place->command))
        offer_argument(place);
    else if (place->command.noun)
        offer_verbs(place);
    else
        offer_first(place);
}

static int run_completion(const struct command *command)
{
    static const struct {
        const char *shell, *text;
    } scripts[] = { { "bash", bash_text }, { "zsh", zsh_text }, { "fish", fish_text } };
    const char *name = json_string_value(json_object_get(command->fields, "name"));
    struct place place = { .command = { .verb = VERBS, .socket = command->socket }, .word = "" };

    if (strcmp(command->words[0], "words") == 0) {
        for (size_t i = 1; i + 1 < command->word_count; i++)
            read_before(&place, command->words[i]);
        if (command->word_count > 1)
            place.word = command->words[command->word_count - 1];
        set_patience(PATIENCE_S);
        offer_all(&place);
        return KG_CTL_DONE;
    }
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        if (strcmp(command->words[0], scripts[i].shell) != 0)
            continue;
        print_script(scripts[i].text, name && *name ? name : "keyctl");
        return KG_CTL_DONE;
    }
    return usage_error("completion is for bash, zsh or fish, not for \"%s\"", command->words[0]);
}

static const struct flag completion_flags[] = {
    { "name", FLAG_STRING, 0, "NAME", "what keyctl is called here (default keyctl)" },
    { 0 },
};

const struct action completion_action = {
    .name = "completion",
    .summary = "what makes a shell complete keyctl's words",
    .argument = "bash|zsh|fish",
    .least_words = 1,
    .most_words = 4096, /* of `completion words`, which the shells call */
    .about = "Prints a script that completes nouns, verbs, flags, values, and names from the daemon. `make "
             "install`\n"
             "puts it where the shell looks; or try it: source <(keyctl completion bash), in fish\n"
             "keyctl completion fish | source.",
    .flags = completion_flags,
    .run = run_completion,
    .examples = { "bash", "zsh", "fish", "bash --name kgctl" },
};
