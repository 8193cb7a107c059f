/* SPDX-License-Identifier: BSD-2-Clause */
/* A message as llhttp reads it, built in its strict mode (see the Makefile) and with no leniency asked for.
 */
#include "differ.h"

#include "base/assert.h"
#include "base/writer.h"

#include <llhttp.h>

struct run {
    llhttp_t parser; /* first: the callbacks get it */
    enum differ_kind kind;
    struct differ_reading *reading;
    bool complete;
    size_t field_start, value_start; /* in text */
    struct kg_slice field;
    struct kg_writer target, text, body;
};

static char target_text[DIFFER_INPUT_MAX], text[2 * DIFFER_INPUT_MAX], body[DIFFER_INPUT_MAX];

static struct run *run_of(llhttp_t *parser)
{
    return (struct run *)parser;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    kg_put(&run_of(parser)->target, kg_slice_of(at, len));
    return 0;
}

static int on_text(llhttp_t *parser, const char *at, size_t len)
{
    kg_put(&run_of(parser)->text, kg_slice_of(at, len));
    return 0;
}

static bool frames(struct kg_slice name)
{
    static const char *const names[] = { "content-length", "transfer-encoding", "connection", "upgrade" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (kg_slice_eq_nocase(name, kg_slice_str(names[i])))
            return true;
    }
    return false;
}

static int on_field_complete(llhttp_t *parser)
{
    struct run *run = run_of(parser);

    run->field = kg_slice_of(text + run->field_start, run->text.len - run->field_start);
    run->value_start = run->text.len;
    /* What is behind the head is a trailer. */
    if (run->reading->head_taken && frames(run->field))
        run->reading->trailer_frames = true;
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct run *run = run_of(parser);
    struct differ_reading *reading = run->reading;
    struct kg_slice value = kg_slice_of(text + run->value_start, run->text.len - run->value_start);

    run->field_start = run->text.len;
    if (!reading->head_taken && reading->count < DIFFER_HEADERS)
        reading->headers[reading->count++] = (struct differ_header){ run->field, kg_slice_trim(value) };
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct run *run = run_of(parser);
    struct differ_reading *reading = run->reading;

    reading->head_taken = true;
    if (run->kind == DIFFER_REQUEST)
        reading->method = kg_slice_str(llhttp_method_name((llhttp_method_t)parser->method));
    reading->status = parser->status_code;
    reading->minor = parser->http_minor;
    return run->kind == DIFFER_RESPONSE_TO_HEAD; /* 1: no body follows */
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    kg_put(&run_of(parser)->body, kg_slice_of(at, len));
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    run_of(parser)->complete = true;
    return HPE_PAUSED; /* so that it tells where it is */
}

static void settings_of(llhttp_settings_t *settings)
{
    llhttp_settings_init(settings);
    settings->on_url = on_url;
    settings->on_header_field = on_text;
    settings->on_header_field_complete = on_field_complete;
    settings->on_header_value = on_text;
    settings->on_header_value_complete = on_value_complete;
    settings->on_headers_complete = on_headers_complete;
    settings->on_body = on_body;
    settings->on_message_complete = on_message_complete;
}

void differ_read_llhttp(enum differ_kind kind, struct kg_slice bytes, struct differ_reading *reading)
{
    struct run run = {
        .kind = kind,
        .reading = reading,
        .target = kg_writer_of(target_text, sizeof(target_text)),
        .text = kg_writer_of(text, sizeof(text)),
        .body = kg_writer_of(body, sizeof(body)),
    };
    llhttp_settings_t settings;
    llhttp_errno_t error;

    reading->why = NULL;
    reading->head_taken = false;
    reading->trailer_frames = false;
    reading->count = 0;
    reading->method = KG_SLICE("");
    settings_of(&settings);
    llhttp_init(&run.parser, kind == DIFFER_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    error = llhttp_execute(&run.parser, bytes.ptr, bytes.len);
    KG_ASSERT(!run.target.overflow && !run.text.overflow && !run.body.overflow);
    reading->target = kg_writer_slice(&run.target);
    reading->body = kg_writer_slice(&run.body);
    if (run.complete) {
        reading->verdict = DIFFER_TAKEN;
        reading->end = (size_t)(llhttp_get_error_pos(&run.parser) - bytes.ptr);
        return;
    }
    if (error != HPE_OK) {
        reading->verdict = DIFFER_REFUSED;
        reading->why = llhttp_get_error_reason(&run.parser);
        return;
    }
    /* A body that ends with the connection: as here, with the bytes. */
    bool by_end = reading->head_taken && llhttp_message_needs_eof(&run.parser);
    reading->verdict = by_end ? DIFFER_TAKEN : DIFFER_MORE;
    reading->end = bytes.len;
}
