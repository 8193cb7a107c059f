/* SPDX-License-Identifier: BSD-2-Clause */
/* A message as keygate's own functions read it, in the order in which the proxy calls them. */
#include "differ.h"

#include "http/chunked.h"
#include "http/framing.h"
#include "http/uri.h"

/* The ones of conf/keygate.yaml. */
static const struct kg_head_limits limits = { .line = 8192, .bytes = 32768, .headers = 100 };

static struct kg_head head;
static char body[DIFFER_INPUT_MAX], path[DIFFER_INPUT_MAX];

static void keep_head(struct differ_reading *reading)
{
    reading->method = head.method_text;
    reading->target = head.target;
    reading->status = head.status;
    reading->minor = head.minor;
    reading->count = head.count;
    for (size_t i = 0; i < head.count; i++)
        reading->headers[i] = (struct differ_header){ head.headers[i].name, head.headers[i].value };
}

static int judge_request(enum kg_body *how, uint64_t *length, const char **why)
{
    struct kg_writer out = kg_writer_of(path, sizeof(path));
    struct kg_framing framing;
    struct kg_target target;
    int rc = kg_framing_request(&head, &framing, why);

    if (rc != 0)
        return rc;
    *how = framing.body;
    *length = framing.length;
    rc = kg_target_parse(&head, framing.host, &target, why);
    if (rc != 0 || kg_slice_eq(target.path, KG_SLICE("*")))
        return rc;
    return kg_path_normalize(target.path, &out, why);
}

static int judge_response(bool to_head, enum kg_body *how, uint64_t *length, const char **why)
{
    struct kg_response_framing framing;
    int rc = kg_framing_response(&head, to_head, &framing, why);

    *how = framing.body;
    *length = framing.length;
    return rc;
}

static void read_length(struct kg_slice rest, uint64_t length, struct differ_reading *reading)
{
    bool whole = length <= rest.len;

    reading->body = kg_slice_of(rest.ptr, whole ? (size_t)length : rest.len);
    reading->verdict = whole ? DIFFER_TAKEN : DIFFER_MORE;
    reading->end += reading->body.len;
}

static void read_chunks(struct kg_slice rest, struct differ_reading *reading)
{
    struct kg_chunked chunked = { 0 };
    size_t data, used;

    memcpy(body, rest.ptr, rest.len);
    if (kg_chunked_decode(&chunked, body, rest.len, &data, &used, &reading->why)) {
        reading->verdict = DIFFER_REFUSED;
        reading->refusal = 400;
        return;
    }
    reading->body = kg_slice_of(body, data);
    reading->verdict = chunked.done ? DIFFER_TAKEN : DIFFER_MORE;
    reading->end += used;
}

static void read_body(enum kg_body how, uint64_t length, struct kg_slice rest, struct differ_reading *reading)
{
    switch (how) {
    case KG_BODY_CHUNKED:
        read_chunks(rest, reading);
        return;
    case KG_BODY_CLOSE:
        read_length(rest, rest.len, reading);
        return;
    case KG_BODY_LENGTH:
        read_length(rest, length, reading);
        return;
    default:
        read_length(rest, 0, reading);
        return;
    }
}

void differ_read_keygate(enum differ_kind kind, struct kg_slice bytes, struct differ_reading *reading)
{
    uint64_t length = 0;
    enum kg_body how = KG_BODY_NONE;
    int rc;

    reading->verdict = DIFFER_MORE;
    reading->why = NULL;
    reading->head_taken = false;
    reading->count = 0;
    reading->body = KG_SLICE("");
    rc = kind == DIFFER_REQUEST ? kg_head_parse_request(bytes, &limits, &head, &reading->why)
                                : kg_head_parse_response(bytes, &limits, &head, &reading->why);
    if (rc == 0)
        return;
    if (rc > 0) {
        keep_head(reading);
        reading->end = (size_t)rc;
        rc = kind == DIFFER_REQUEST
                 ? judge_request(&how, &length, &reading->why)
                 : judge_response(kind == DIFFER_RESPONSE_TO_HEAD, &how, &length, &reading->why);
    }
    if (rc < 0) {
        reading->verdict = DIFFER_REFUSED;
        reading->refusal = (unsigned)-rc;
        return;
    }
    reading->head_taken = true;
    read_body(how, length, kg_slice_of(bytes.ptr + reading->end, bytes.len - reading->end), reading);
}
