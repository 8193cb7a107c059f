/* SPDX-License-Identifier: BSD-2-Clause */
/* What could not be carried over, said on standard error. */
#include "keyctl/convert.h"

static void say(const struct convert *c, const struct item *item, const struct node *at, const char *rank,
                const char *fmt, va_list args) __attribute__((format(printf, 5, 0)));

static void say(const struct convert *c, const struct item *item, const struct node *at, const char *rank,
                const char *fmt, va_list args)
{
    char text[1024];

    print_safe(stderr, c->file);
    if (!at && item)
        at = item->node;
    if (at)
        fprintf(stderr, ":%u:%u", at->line, at->column);
    fprintf(stderr, ": %s", rank);
    if (item) {
        fprintf(stderr, "%s \"", item->kind);
        print_safe(stderr, item->label);
        fputs("\": ", stderr);
    }
    vsnprintf(text, sizeof(text), fmt, args);
    print_safe(stderr, text);
    fputc('\n', stderr);
}

void leave_out(struct convert *c, const struct item *item, const struct node *at, const char *fmt, ...)
{
    va_list args;

    c->left_out++;
    va_start(args, fmt);
    say(c, item, at, "", fmt, args);
    va_end(args);
}

void note(struct convert *c, const struct item *item, const struct node *at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(c, item, at, "note: ", fmt, args);
    va_end(args);
}

void leave_unknown(struct convert *c, const struct item *item, const struct node *map, const char *prefix,
                   const char *const *known)
{
    for (size_t i = 0; map && map->kind == NODE_MAP && i + 1 < map->count; i += 2) {
        const char *const *name = known;

        while (*name && strcmp(*name, map->items[i]->text) != 0)
            name++;
        if (!*name)
            leave_out(c, item, map->items[i], "%s%s: keygate has no such field", prefix, map->items[i]->text);
    }
}
