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
          "  keyctl status        what the daemon is doing\n"
          "  keyctl stats         counters of each consumer\n\n"
          "Nouns:\n",
          stdout);
    for (const struct noun *noun = nouns; noun->name; noun++)
        printf("  %-14s %s\n", noun->name, noun->summary);
    fputs("\nVerbs: create, list, get, update, delete; of an upstream also health.\n", stdout);
    fputs(common, stdout);
    fputs("  --version            print the version\n\n"
          "Exit status: 0 done, 1 refused by the daemon, 2 wrong usage, 3 daemon not reachable.\n\n"
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
    bool flags = false;

    for (const struct flag *flag = noun->flags; flag->name; flag++)
        flags |= (flag->verbs & ON(verb)) != 0;
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

static void help_verb(const struct noun *noun, enum verb verb)
{
    static const char *const meaning[VERBS] = {
        "makes one and prints it",
        "prints all of them",
        "prints one",
        "changes what the flags name and leaves the rest; an empty value unsets",
        "removes one",
        "shows which of its targets' addresses take requests",
    };

    printf("%s %s: %s.\n\n", noun->name, verb_names[verb], meaning[verb]);
    help_call(noun, verb);
    fputc('\n', stdout);
    for (const struct flag *flag = noun->flags; flag->name; flag++) {
        bool needed = flag->required && (verb == VERB_CREATE || noun->nested_only);
        char left[64];

        if (!(flag->verbs & ON(verb)))
            continue;
        snprintf(left, sizeof(left), "--%s %s", flag->name, flag->value);
        printf("  %-28s %s%s\n", left, flag->help, needed ? " (needed)" : "");
    }
    fputs(common, stdout);
    fputs("\nExample:\n", stdout);
    help_example(noun, verb);
}

void print_help(const struct command *command)
{
    if (command->status)
        printf("keyctl status: what the daemon is doing: its counters, the interfaces XDP is on, packets by "
               "verdict.\n%s",
               common);
    else if (command->stats)
        printf("keyctl stats: counters of each consumer, at most 100 ms old.\n%s", common);
    else if (!command->noun)
        help_all();
    else if (command->verb == VERBS)
        help_noun(command->noun);
    else
        help_verb(command->noun, command->verb);
}
