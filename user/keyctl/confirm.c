/* SPDX-License-Identifier: BSD-2-Clause */
/* Before something is destroyed: what goes with it, and whether that is meant. */
#include "keyctl/keyctl.h"

#include <stdlib.h>
#include <unistd.h>

/* "key-auths" reads "keys": by the noun whose collection it is. */
static const char *noun_of(const char *collection)
{
    for (const struct noun *noun = nouns; noun->name; noun++) {
        if (strcmp(noun->collection, collection) == 0)
            return noun->name;
    }
    return collection;
}

/* " and with it 2 keys, 1 plugin", of what the daemon would delete besides the entity itself. */
static void print_others(FILE *out, const struct noun *noun, const json_t *counts)
{
    const char *collection, *before = " and with it ";
    json_t *count;

    json_object_foreach((json_t *)(uintptr_t)counts, collection, count)
    {
        json_int_t number = json_integer_value(count);

        if (strcmp(collection, noun->collection) == 0)
            continue;
        fprintf(out, "%s%lld %s%s", before, (long long)number, noun_of(collection), number == 1 ? "" : "s");
        before = ", ";
    }
}

void print_deletes(FILE *out, const struct command *command, const json_t *answer)
{
    fprintf(out, "%s ", command->noun->name);
    print_safe(out, command->argument);
    print_others(out, command->noun, json_object_get(answer, "deletes"));
}

static bool answered_yes(void)
{
    char line[16];

    return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int confirm_delete(const struct command *command, const json_t *answer)
{
    fputs("This deletes ", stderr);
    print_deletes(stderr, command, answer);
    fputs(". Go on? [y/N] ", stderr);
    fflush(stderr);
    if (answered_yes())
        return KG_CTL_DONE;
    fputs("keyctl: nothing was deleted\n", stderr);
    return KG_CTL_REFUSED;
}

bool must_confirm(const struct command *command)
{
    return !command->yes && isatty(STDIN_FILENO);
}
