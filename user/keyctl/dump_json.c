/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A dump as JSON. It goes out event by event as libyaml reads it, for it may be of a million keys. The daemon
 * wrote it: no anchors, no tags but `!`, and whatever is plain and no text is as JSON writes it.
 */
#include "keyctl/keyctl.h"

#include <stdlib.h>
#include <yaml.h>

#define DEPTH_MAX 64
#define INDENT    2

/* Lists and maps that are open, the innermost last. */
struct open {
    bool map, wants_value;
    size_t count; /* of what is in it; of a map, names and values */
};

struct writer {
    struct open levels[DEPTH_MAX];
    size_t depth;
};

static void new_line(const struct writer *w)
{
    printf("\n%*s", (int)(w->depth * INDENT), "");
}

/* What separates a value, or a name, from what is before it. */
static void put_start(struct writer *w)
{
    struct open *level = w->depth > 0 ? &w->levels[w->depth - 1] : NULL;

    if (!level)
        return;
    if (level->map && level->wants_value) {
        fputs(": ", stdout);
    } else {
        fputs(level->count > 0 ? "," : "", stdout);
        new_line(w);
    }
    level->wants_value = level->map && !level->wants_value;
    level->count++;
}

/* Whether it is a number, true, false or null; a text that begins so has quotes. */
static bool is_literal(const char *text)
{
    return strchr("-0123456789", text[0]) || strcmp(text, "null") == 0 || strcmp(text, "true") == 0 ||
           strcmp(text, "false") == 0;
}

static bool put_scalar(struct writer *w, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    bool name = w->depth > 0 && w->levels[w->depth - 1].map && !w->levels[w->depth - 1].wants_value;
    json_t *value = json_stringn(text, event->data.scalar.length);

    put_start(w);
    if (!name && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && is_literal(text))
        fputs(text, stdout);
    else if (!value || json_dumpf(value, stdout, JSON_ENCODE_ANY) < 0)
        return false;
    json_decref(value);
    return true;
}

static bool open_level(struct writer *w, bool map)
{
    put_start(w);
    if (w->depth == DEPTH_MAX)
        return false;
    w->levels[w->depth++] = (struct open){ .map = map };
    fputc(map ? '{' : '[', stdout);
    return true;
}

static bool close_level(struct writer *w)
{
    const struct open *level = &w->levels[--w->depth];

    if (level->count > 0)
        new_line(w);
    fputc(level->map ? '}' : ']', stdout);
    return true;
}

static bool put_event(struct writer *w, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return put_scalar(w, event);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return open_level(w, event->type == YAML_MAPPING_START_EVENT);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return close_level(w);
    default:
        return true;
    }
}

static bool put_all(yaml_parser_t *parser)
{
    struct writer w = { .depth = 0 };
    bool ended = false, good = true;

    while (good && !ended) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return false;
        ended = event.type == YAML_STREAM_END_EVENT;
        good = put_event(&w, &event);
        yaml_event_delete(&event);
    }
    fputc('\n', stdout);
    return good && w.depth == 0;
}

int print_dump_json(struct kg_slice yaml)
{
    yaml_parser_t parser;
    bool done;

    if (memmem(yaml.ptr, yaml.len, "${{", 3)) {
        fputs("keyctl: a value has ${{ in it, which a sync of JSON would fill in; dump YAML\n", stderr);
        return KG_CTL_REFUSED;
    }
    if (!yaml_parser_initialize(&parser)) {
        fputs("keyctl: no memory for YAML\n", stderr);
        return KG_CTL_REFUSED;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.ptr, yaml.len);
    done = put_all(&parser);
    yaml_parser_delete(&parser);
    if (!done)
        fputs("keyctl: the daemon's answer is no dump\n", stderr);
    return done ? KG_CTL_DONE : KG_CTL_REFUSED;
}
