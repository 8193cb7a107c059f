/* SPDX-License-Identifier: BSD-2-Clause */
#include "keyctl/keyctl.h"

#include "base/distance.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <stdarg.h>
#include <stdlib.h>

/* Where the reading of a command line stands. */
struct args {
    int argc, at;
    char **argv;
    bool only_words; /* after "--" */
};

int usage_error(const char *fmt, ...)
{
    char text[512];
    va_list list;

    va_start(list, fmt);
    vsnprintf(text, sizeof(text), fmt, list);
    va_end(list);
    fputs("keyctl: ", stderr);
    print_safe(stderr, text);
    fputc('\n', stderr);
    return KG_CTL_USAGE;
}

/* Remembers the candidate nearest to word, if it is near at all. */
static void consider(const char *word, const char *candidate, unsigned *best, const char **nearest)
{
    unsigned d = kg_distance(word, candidate);

    if (d >= *best)
        return;
    *best = d;
    *nearest = candidate;
}

static int unknown_noun(const char *word)
{
    const char *nearest = NULL;
    unsigned best = 3;

    for (const struct action *const *action = actions; *action; action++)
        consider(word, (*action)->name, &best, &nearest);
    for (const struct noun *noun = nouns; noun->name; noun++) {
        consider(word, noun->name, &best, &nearest);
        consider(word, noun->collection, &best, &nearest);
        if (nearest == noun->collection)
            nearest = noun->name;
    }
    if (nearest)
        return usage_error("there is no \"%s\"; did you mean \"%s\"?", word, nearest);
    return usage_error("there is no \"%s\"; see keyctl --help", word);
}

static int unknown_verb(const struct noun *noun, const char *word)
{
    char have[64] = "";
    const char *nearest = NULL;
    unsigned best = 3;

    for (int verb = 0; verb < VERBS; verb++) {
        size_t len = strlen(have);

        if (!(noun->verbs & ON(verb)))
            continue;
        consider(word, verb_names[verb], &best, &nearest);
        snprintf(have + len, sizeof(have) - len, "%s%s", len ? ", " : "", verb_names[verb]);
    }
    if (nearest)
        return usage_error("%s has no verb \"%s\"; did you mean \"%s\"?", noun->name, word, nearest);
    return usage_error("%s has no verb \"%s\"; it has %s", noun->name, word, have);
}

/* Whether the noun has a key at all, which is always given by a file. */
static bool find_key_file(const struct noun *noun)
{
    for (const struct flag *flag = noun->flags; flag->name; flag++) {
        if (strcmp(flag->name, "key-file") == 0)
            return true;
    }
    return false;
}

/* What every noun's verbs have. */
static const struct flag verb_flags[] = {
    { "dry-run", FLAG_SWITCH, ON_WRITE | ON(VERB_DELETE), NULL,
      "check all, print what it would do, and change nothing" },
    { "yes", FLAG_SWITCH, ON(VERB_DELETE), NULL, "do not ask first", .letter = 'y' },
    { 0 },
};

static bool takes_flag(const struct command *command, const struct flag *flag)
{
    if (command->action)
        return true;
    return (flag->verbs & ON(command->verb)) && !(command->noun->no_dry_run && flag == verb_flags);
}

const struct flag *nth_flag(const struct command *command, size_t n)
{
    const struct flag *tables[] = { command->action ? command->action->flags : command->noun->flags,
                                    command->action ? NULL : verb_flags };

    for (size_t i = 0; i < 2; i++) {
        for (const struct flag *flag = tables[i]; flag && flag->name; flag++) {
            if (takes_flag(command, flag) && n-- == 0)
                return flag;
        }
    }
    return NULL;
}

/* By its name, or, with a NULL name, by its letter. */
static const struct flag *find_flag(const struct command *command, const char *name, char letter)
{
    const struct flag *flag;

    for (size_t i = 0; (flag = nth_flag(command, i)) != NULL; i++) {
        if (name ? strcmp(flag->name, name) == 0 : flag->letter == letter)
            return flag;
    }
    return NULL;
}

const struct flag common_flags[] = {
    { "output", FLAG_STRING, 0, "table|json|yaml", "how to print", .letter = 'o' },
    { "socket", FLAG_STRING, 0, "FILE", "the daemon's socket" },
    { "help", FLAG_SWITCH, 0, NULL, "what the command is for", .letter = 'h' },
    { "version", FLAG_SWITCH, 0, NULL, "print the version" },
    { 0 },
};

bool is_call(const struct command *command)
{
    return command->action || (command->noun && command->verb != VERBS);
}

bool is_flag(const struct flag *flag, const char *word, size_t len)
{
    if (len == 2 && word[0] == '-' && word[1] == flag->letter)
        return true;
    return len > 2 && strncmp(word, "--", 2) == 0 && strncmp(word + 2, flag->name, len - 2) == 0 &&
           flag->name[len - 2] == '\0';
}

static int unknown_flag(const struct command *command, const char *name)
{
    char call[64];
    const char *nearest = NULL;
    const struct flag *flag;
    unsigned best = 4;

    snprintf(call, sizeof(call), "%s%s%s", command->action ? command->action->name : command->noun->name,
             command->action ? "" : " ", command->action ? "" : verb_names[command->verb]);
    if ((strcmp(name, "key") == 0 || strcmp(name, "key-alt") == 0) && !command->action &&
        find_key_file(command->noun))
        return usage_error("a key is never an argument, where every user of this machine could read it; "
                           "use --key-file FILE, or --key-file - and give it on standard input");
    for (size_t i = 0; (flag = nth_flag(command, i)) != NULL; i++)
        consider(name, flag->name, &best, &nearest);
    for (flag = common_flags; flag->name; flag++)
        consider(name, flag->name, &best, &nearest);
    if (nearest)
        return usage_error("%s has no flag --%s; did you mean --%s?", call, name, nearest);
    return usage_error("%s has no flag --%s; see keyctl %s --help", call, name, call);
}

/* The value behind '=' or in the next word; NULL after having complained. */
static const char *take_value(struct args *args, const char *name, const char *equals)
{
    if (equals)
        return equals + 1;
    if (args->at < args->argc)
        return args->argv[args->at++];
    usage_error("%s needs a value", name);
    return NULL;
}

static int set_output(struct command *command, const char *text)
{
    static const char *const names[] = { "table", "json", "yaml" };

    for (int i = 0; text && i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            command->output = (enum output)i;
            return 0;
        }
    }
    return text ? usage_error("-o takes table, json or yaml, not \"%s\"", text) : KG_CTL_USAGE;
}

/* Elsewhere than in create, a key's consumer says where to look; so does any parent in list. */
static bool locates(const struct command *command, const struct flag *flag)
{
    const struct noun *noun = command->noun;

    if (!noun || flag->kind != FLAG_FOREIGN || command->verb == VERB_CREATE)
        return noun && flag->kind == FLAG_FOREIGN && noun->nested_only;
    return noun->nested_only || command->verb != VERB_UPDATE || noun->nested;
}

static int take_parent(struct command *command, const struct flag *flag, const char *value)
{
    if (command->parent)
        return usage_error("only one of --%s and --%s can narrow it down", command->parent_flag->name,
                           flag->name);
    if (value[0] == '\0')
        return usage_error("--%s needs a value", flag->name);
    command->parent = value;
    command->parent_flag = flag;
    return 0;
}

/* equals: where the value begins, if it is in the same word as the flag. */
static int take_field(struct args *args, struct command *command, const struct flag *flag, const char *equals)
{
    const char *value = NULL;
    char name[64];
    struct kg_error err;

    snprintf(name, sizeof(name), "--%s", flag->name);
    if (flag->kind == FLAG_SWITCH && equals)
        return usage_error("%s takes no value", name);
    if (flag->kind != FLAG_SWITCH)
        value = take_value(args, name, equals);
    if (flag->kind != FLAG_SWITCH && !value)
        return KG_CTL_USAGE;
    if (command->noun && flag->kind == FLAG_SWITCH) {
        command->dry_run |= flag == &verb_flags[0];
        command->yes |= flag == &verb_flags[1];
        return 0;
    }
    if (locates(command, flag))
        return take_parent(command, flag, value);
    return set_value(command->fields, flag, value, &err) < 0 ? usage_error("%s", err.text) : 0;
}

static int take_flag(struct args *args, struct command *command, const char *word)
{
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct flag *flag;
    char name[64];

    if (len >= sizeof(name) || len <= 2)
        return usage_error("there is no flag %s", word);
    memcpy(name, word, len);
    name[len] = '\0';
    if (strcmp(name, "--help") == 0 || strcmp(name, "--version") == 0) {
        command->help |= name[2] == 'h';
        command->version |= name[2] == 'v';
        return 0;
    }
    if (strcmp(name, "--output") == 0)
        return set_output(command, take_value(args, name, equals));
    if (strcmp(name, "--socket") == 0) {
        command->socket = take_value(args, name, equals);
        return command->socket ? 0 : KG_CTL_USAGE;
    }
    if (!is_call(command))
        return usage_error("--%s comes too early: first the noun, then the verb, then its flags", name + 2);
    flag = find_flag(command, name + 2, '\0');
    return flag ? take_field(args, command, flag, equals) : unknown_flag(command, name + 2);
}

static int take_noun(struct command *command, const char *word)
{
    if (strcmp(word, "help") == 0) {
        command->help = true;
        return 0;
    }
    command->action = find_action(word);
    command->noun = find_noun(word);
    return command->action || command->noun ? 0 : unknown_noun(word);
}

static int take_argument(struct command *command, const char *word)
{
    const struct noun *noun = command->noun;
    bool wanted = (ON_NAMED & ON(command->verb)) || (command->verb == VERB_CREATE && noun->create_field);

    if (!wanted || command->argument)
        return usage_error("%s %s does not know what to do with \"%s\"", noun->name,
                           verb_names[command->verb], noun->by_id ? "the word behind it" : word);
    if (word[0] == '\0')
        return usage_error("%s %s needs its %s, not an empty one", noun->name, verb_names[command->verb],
                           noun->argument);
    if (noun->by_id && !kg_uuid_valid(kg_slice_str(word)))
        return usage_error("a %s is named by its id, never by itself; see keyctl %s list", noun->name,
                           noun->name);
    command->argument = word;
    return 0;
}

static int take_word(struct command *command, const char *word)
{
    if (command->action && command->word_count >= command->action->most_words)
        return usage_error("%s takes no%s argument", command->action->name,
                           command->word_count ? " further" : "");
    if (command->action) {
        command->words[command->word_count++] = word;
        return 0;
    }
    if (!command->noun)
        return take_noun(command, word);
    if (command->verb != VERBS)
        return take_argument(command, word);
    command->verb = find_verb(word);
    if (command->verb != VERBS && (command->noun->verbs & ON(command->verb)))
        return 0;
    command->verb = VERBS;
    return unknown_verb(command->noun, word);
}

static int take_next(struct args *args, struct command *command)
{
    const char *word = args->argv[args->at++];
    const struct flag *flag;

    if (args->only_words || word[0] != '-' || word[1] == '\0')
        return take_word(command, word);
    if (strcmp(word, "--") == 0) {
        args->only_words = true;
        return 0;
    }
    if (strcmp(word, "-h") == 0) {
        command->help = true;
        return 0;
    }
    if (strncmp(word, "-o", 2) == 0)
        return set_output(command, word[2] ? word + 2 : take_value(args, "-o", NULL));
    if (strncmp(word, "--", 2) == 0)
        return take_flag(args, command, word);
    flag = is_call(command) ? find_flag(command, NULL, word[1]) : NULL;
    if (!flag || (flag->kind == FLAG_SWITCH && word[2]))
        return usage_error("there is no flag %s; see keyctl --help", word);
    return take_field(args, command, flag, word[2] ? word + 1 : NULL);
}

bool needs_parent(const struct command *command)
{
    return command->noun->nested_only && !(command->noun->lists_all && command->verb == VERB_LIST);
}

/* Of a noun that only lives below another: which one. */
static int check_parent(const struct command *command)
{
    const struct flag *flag = command->noun->flags;

    if (!needs_parent(command) || command->parent)
        return 0;
    while (flag->kind != FLAG_FOREIGN)
        flag++;
    return usage_error("%s %s needs --%s %s", command->noun->name, verb_names[command->verb], flag->name,
                       flag->value);
}

static int check_create(const struct command *command)
{
    const struct noun *noun = command->noun;
    char name[64];

    for (const struct flag *flag = noun->flags; flag->name; flag++) {
        field_name(flag, name);
        if (flag->required && !noun->nested_only && !json_object_get(command->fields, name))
            return usage_error("%s create needs --%s %s", noun->name, flag->name, flag->value);
    }
    if (noun->create_field && !command->argument)
        return usage_error("%s create needs the %s", noun->name, noun->argument);
    if (noun->create_field &&
        json_object_set_new(command->fields, noun->create_field, json_string(command->argument)) < 0)
        return usage_error("the command line is not valid UTF-8");
    return 0;
}

static int check_call(const struct command *command)
{
    const struct noun *noun = command->noun;

    if (command->verb == VERB_CREATE)
        return check_create(command);
    if ((ON_NAMED & ON(command->verb)) && !command->argument)
        return usage_error("%s %s needs the %s", noun->name, verb_names[command->verb], noun->argument);
    if (command->verb == VERB_UPDATE && json_object_size(command->fields) == 0)
        return usage_error("%s update needs a flag that says what to change", noun->name);
    return 0;
}

static int check_action(const struct command *command)
{
    const struct flag *flag;
    char name[64];

    if (command->word_count < command->action->least_words)
        return usage_error("%s needs %s", command->action->name, command->action->argument);
    for (size_t i = 0; (flag = nth_flag(command, i)) != NULL; i++) {
        field_name(flag, name);
        if (flag->required && !json_object_get(command->fields, name))
            return usage_error("%s needs --%s %s", command->action->name, flag->name, flag->value);
    }
    return 0;
}

static int check_command(const struct command *command)
{
    const struct noun *noun = command->noun;
    int rc;

    if (command->help || command->version)
        return 0;
    if (command->action)
        return check_action(command);
    if (!noun)
        return usage_error("which noun? See keyctl --help");
    if (command->verb == VERBS)
        return usage_error("%s needs a verb; see keyctl %s --help", noun->name, noun->name);
    rc = check_call(command);
    return rc ? rc : check_parent(command);
}

int parse_command(int argc, char **argv, struct command *command)
{
    struct args args = { .argc = argc, .at = 1, .argv = argv };
    const char *socket = getenv("KEYGATE_SOCKET");
    int rc = 0;

    *command = (struct command){ .verb = VERBS, .socket = socket && *socket ? socket : KG_CTL_SOCKET };
    command->fields = json_object();
    command->words = kg_calloc((size_t)argc + 1, sizeof(*command->words));
    while (rc == 0 && args.at < args.argc)
        rc = take_next(&args, command);
    return rc ? rc : check_command(command);
}

void release_command(struct command *command)
{
    json_decref(command->fields);
    free(command->words);
}
