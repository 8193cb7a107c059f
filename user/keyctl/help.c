/* SPDX-License-Identifier: BSD-2-Clause */
#include "keyctl/keyctl.h"

static const char common[] =
    "\n"
    "  -o table|json|yaml   how to print (default table)\n"
    "  --socket PATH        the daemon's socket (default $KEYGATE_SOCKET, or " KG_CTL_SOCKET ")\n"
    "  -h, --help           this help; also after a noun and after a verb\n";

static void help_all(void)
{
    fputs("keyctl manages keygate over the daemon's UNIX socket.\n\n"
          "  keyctl NOUN VERB [ARGUMENT] [--flags]\n"
          "  keyctl COMMAND [ARGUMENTS] [--flags]\n\n"
          "Commands:\n",
          stdout);
    for (const struct action *const *action = actions; *action; action++)
        printf("  %-14s %s\n", (*action)->name, (*action)->summary);
    fputs("\nNouns:\n", stdout);
    for (const struct noun *noun = nouns; noun->name; noun++)
        printf("  %-14s %s\n", noun->name, noun->summary);
    fputs("\nVerbs: create, list, get, update, delete; of an upstream also health, of a key rotate.\n",
          stdout);
    fputs(common, stdout);
    fputs("  --version            print the version\n\n"
          "Exit status: 0 done, 1 refused by the daemon, 2 wrong usage, 3 daemon not reachable,\n"
          "4 done but for what was listed (convert).\n\n"
          "Example:\n"
          "  keyctl service create --name httpbin --url http://127.0.0.1:8000\n"
          "  keyctl route create --service httpbin --name anything --paths /anything\n"
          "  keyctl plugin create --name key-auth --route anything\n"
          "  keyctl consumer create --username alice\n"
          "  keyctl key create --consumer alice\n",
          stdout);
}

static void help_call(const struct noun *noun, enum verb verb)
{
    bool argument = (ON_NAMED & ON(verb)) || (verb == VERB_CREATE && noun->create_field);
    bool flags = nth_flag(&(struct command){ .noun = noun, .verb = verb }, 0) != NULL;

    printf("  keyctl %s %s%s%s%s\n", noun->name, verb_names[verb], argument ? " " : "",
           argument ? noun->argument : "", flags ? " [--flags]" : "");
}

static void help_example(const struct noun *noun, enum verb verb)
{
    const char *example = noun->examples[verb];

    if (example)
        printf("  keyctl %s %s%s%s\n", noun->name, verb_names[verb], *example ? " " : "", example);
}

static void help_noun(const struct noun *noun)
{
    printf("%s: %s.\n\n", noun->name, noun->summary);
    for (int verb = 0; verb < VERBS; verb++) {
        if (noun->verbs & ON(verb))
            help_call(noun, (enum verb)verb);
    }
    fputs(common, stdout);
    fputs("\nExamples:\n", stdout);
    for (int verb = 0; verb < VERBS; verb++)
        help_example(noun, (enum verb)verb);
}

/* The flags that go with it, one a line. */
static void help_flags(const struct command *command)
{
    const struct flag *flag;

    for (size_t i = 0; (flag = nth_flag(command, i)) != NULL; i++) {
        bool needed =
            flag->required && (command->action || command->verb == VERB_CREATE || needs_parent(command));
        char left[96];

        snprintf(left, sizeof(left), "%s%s--%s%s%s", flag->letter ? (char[]){ '-', flag->letter, '\0' } : "",
                 flag->letter ? ", " : "", flag->name, flag->value ? " " : "",
                 flag->value ? flag->value : "");
        if (strlen(left) > 28)
            printf("  %s\n  %-28s %s%s\n", left, "", flag->help, needed ? " (needed)" : "");
        else
            printf("  %-28s %s%s\n", left, flag->help, needed ? " (needed)" : "");
    }
}

static void help_action(const struct command *command)
{
    const struct action *action = command->action;

    printf("%s: %s.\n\n", action->name, action->summary);
    printf("  keyctl %s%s%s%s\n\n%s\n", action->name, action->argument ? " " : "",
           action->argument ? action->argument : "", action->flags ? " [--flags]" : "", action->about);
    if (action->flags)
        fputc('\n', stdout);
    help_flags(command);
    fputs(common, stdout);
    fputs(action->examples[1] ? "\nExamples:\n" : "\nExample:\n", stdout);
    for (size_t i = 0; i < sizeof(action->examples) / sizeof(action->examples[0]) && action->examples[i]; i++)
        printf("  keyctl %s%s%s\n", action->name, *action->examples[i] ? " " : "", action->examples[i]);
}

static void help_verb(const struct command *command)
{
    const struct noun *noun = command->noun;
    enum verb verb = command->verb;
    static const char *const meaning[VERBS] = {
        "makes one and prints it",
        "prints all of them",
        "prints one",
        "changes what the flags name and leaves the rest; an empty value unsets",
        "removes one",
        "shows which of its targets' addresses take requests",
        "gives it a new key and prints that; the old one works on for the grace time",
    };

    printf("%s %s: %s.\n\n", noun->name, verb_names[verb], meaning[verb]);
    help_call(noun, verb);
    fputc('\n', stdout);
    help_flags(command);
    fputs(common, stdout);
    fputs("\nExample:\n", stdout);
    help_example(noun, verb);
}

void print_help(const struct command *command)
{
    if (command->action)
        help_action(command);
    else if (!command->noun)
        help_all();
    else if (command->verb == VERBS)
        help_noun(command->noun);
    else
        help_verb(command);
}
