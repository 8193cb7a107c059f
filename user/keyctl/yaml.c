/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON values as YAML, by libyaml's emitter. */
#include "keyctl/keyctl.h"

#include <stdlib.h>
#include <strings.h>
#include <yaml.h>

static bool emit(yaml_emitter_t *emitter, const json_t *value);

static bool emit_event(yaml_emitter_t *emitter, yaml_event_t *event, int made)
{
    return made && yaml_emitter_emit(emitter, event);
}

/* libyaml takes unsigned char and no const, but only copies. */
static yaml_char_t *yaml_text(const char *text)
{
    return (yaml_char_t *)(uintptr_t)text;
}

/* Whether a string, written plain, would be read back as something else (YAML 1.1: y, no, on, null, 12, 0x1f,
 * 1:30, <<). */
static bool needs_quotes(const char *text)
{
    static const char *const words[] = { "null", "true", "false", "yes", "no", "on", "off", "y", "n" };
    char first = kg_lower(text[0]);

    if (!((first >= 'a' && first <= 'z') || first == '/'))
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, size_t len, yaml_scalar_style_t style)
{
    yaml_event_t event;

    return emit_event(
        emitter, &event,
        yaml_scalar_event_initialize(&event, NULL, NULL, yaml_text(text), (int)len, 1, 1, style));
}

/* A regex, or a ${{ env "X" }} that is looked for before YAML is read, stays as it is in single quotes. */
static yaml_scalar_style_t style_of(const char *text)
{
    if (!needs_quotes(text))
        return YAML_ANY_SCALAR_STYLE;
    return strpbrk(text, "\\\"") ? YAML_SINGLE_QUOTED_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
}

static bool emit_string(yaml_emitter_t *emitter, const char *text, size_t len)
{
    return emit_scalar(emitter, text, len, style_of(text));
}

/* Numbers, true, false, null: as JSON writes them. */
static bool emit_literal(yaml_emitter_t *emitter, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    bool done = text && emit_scalar(emitter, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);

    free(text);
    return done;
}

static bool emit_array(yaml_emitter_t *emitter, const json_t *array)
{
    yaml_event_t event;
    size_t i;
    json_t *item;

    if (!emit_event(emitter, &event,
                    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE)))
        return false;
    json_array_foreach(array, i, item)
    {
        if (!emit(emitter, item))
            return false;
    }
    return emit_event(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static bool emit_object(yaml_emitter_t *emitter, const json_t *object)
{
    yaml_event_t event;
    const char *key;
    json_t *item;

    if (!emit_event(emitter, &event,
                    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE)))
        return false;
    json_object_foreach((json_t *)(uintptr_t)object, key, item)
    {
        if (!emit_string(emitter, key, strlen(key)) || !emit(emitter, item))
            return false;
    }
    return emit_event(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static bool emit(yaml_emitter_t *emitter, const json_t *value)
{
    if (json_is_object(value))
        return emit_object(emitter, value);
    if (json_is_array(value))
        return emit_array(emitter, value);
    if (json_is_string(value))
        return emit_string(emitter, json_string_value(value), json_string_length(value));
    return emit_literal(emitter, value);
}

static bool emit_document(yaml_emitter_t *emitter, const json_t *value)
{
    yaml_event_t event;

    return emit_event(emitter, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
           emit_event(emitter, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) &&
           emit(emitter, value) &&
           emit_event(emitter, &event, yaml_document_end_event_initialize(&event, 1)) &&
           emit_event(emitter, &event, yaml_stream_end_event_initialize(&event)) &&
           yaml_emitter_flush(emitter);
}

int write_yaml(FILE *out, const json_t *value)
{
    yaml_emitter_t emitter;
    bool done;

    if (!yaml_emitter_initialize(&emitter)) {
        fputs("keyctl: no memory for YAML\n", stderr);
        return KG_CTL_REFUSED;
    }
    yaml_emitter_set_output_file(&emitter, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    done = emit_document(&emitter, value);
    if (!done)
        fprintf(stderr, "keyctl: cannot write YAML: %s\n", emitter.problem ? emitter.problem : "unknown");
    yaml_emitter_delete(&emitter);
    return done ? KG_CTL_DONE : KG_CTL_REFUSED;
}

int print_yaml(const json_t *value)
{
    return write_yaml(stdout, value);
}
