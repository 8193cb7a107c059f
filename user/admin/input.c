/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/call.h"

#include "base/mem.h"
#include "http/multipart.h"

#include <stdlib.h>

static bool read_json(struct kg_call *call)
{
    json_error_t error;

    /* A name that comes twice has no clear meaning, so it is refused. */
    call->input =
        json_loadb(call->body.ptr ? call->body.ptr : "", call->body.len, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(call->input))
        return true;
    kg_reply_message(call, 400, "Cannot parse JSON body");
    return false;
}

static bool read_form(struct kg_call *call, struct kg_slice body)
{
    struct kg_error err = { "" };

    call->input = kg_schema_from_form(call->resource.entity, body, &err);
    if (call->input)
        return true;
    kg_reply_message(call, 400, err.text);
    return false;
}

/* As the form that it stands for (application/x-www-form-urlencoded), at most three times as long. A file's
 * name and a part's own type mean nothing here. */
static bool write_form(struct kg_slice type, struct kg_slice body, struct kg_writer *out)
{
    struct kg_multipart form;
    struct kg_multipart_part part;
    int rc = kg_multipart_begin(&form, type, body) ? 1 : -1;

    while (rc > 0 && (rc = kg_multipart_next(&form, &part)) > 0) {
        if (out->len > 0)
            KG_PUT(out, "&");
        kg_admin_put_escaped(out, part.name);
        KG_PUT(out, "=");
        kg_admin_put_escaped(out, part.content);
    }
    return rc == 0 && !out->overflow;
}

/* What it becomes may hold a key, so it does not stay in memory. */
static bool read_multipart(struct kg_call *call, struct kg_slice type)
{
    size_t room = 3 * call->body.len + 1;
    char *buf = kg_calloc(1, room);
    struct kg_writer form = kg_writer_of(buf, room);
    bool good = write_form(type, call->body, &form);

    if (!good)
        kg_reply_message(call, 400, "Cannot parse multipart body");
    else
        good = read_form(call, kg_writer_slice(&form));
    kg_wipe(buf, room);
    free(buf);
    return good;
}

bool kg_admin_read_input(struct kg_call *call)
{
    const struct kg_header *type = kg_head_find(call->head, KG_H_CONTENT_TYPE, 0);

    if (!type && call->body.len == 0) {
        call->input = json_object();
        return true;
    }
    if (!type) {
        kg_reply_empty(call, 415);
        return false;
    }
    if (kg_head_find(call->head, KG_H_CONTENT_TYPE, (size_t)(type - call->head->headers) + 1)) {
        kg_reply_message(call, 400, "More than one Content-Type");
        return false;
    }
    if (kg_slice_eq_nocase(kg_media_of(type->value), KG_SLICE("application/json")))
        return read_json(call);
    if (kg_slice_eq_nocase(kg_media_of(type->value), KG_SLICE("application/x-www-form-urlencoded")))
        return read_form(call, call->body);
    if (kg_slice_eq_nocase(kg_media_of(type->value), KG_SLICE("multipart/form-data")))
        return read_multipart(call, type->value);
    kg_reply_empty(call, 415);
    return false;
}
