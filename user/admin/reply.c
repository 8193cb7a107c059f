/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/call.h"

#include "base/assert.h"

#include <stdio.h>

void kg_reply_json(struct kg_call *call, unsigned status, json_t *json)
{
    KG_ASSERT(json);
    json_decref(call->json);
    call->status = status;
    call->json = json;
}

void kg_reply_empty(struct kg_call *call, unsigned status)
{
    json_decref(call->json);
    call->status = status;
    call->json = NULL;
}

void kg_reply_message(struct kg_call *call, unsigned status, const char *text)
{
    kg_reply_json(call, status, json_pack("{s:s}", "message", text));
}

/* By Kong's error codes; whatever is not named here is the client's mistake. */
static unsigned status_of_code(json_int_t code)
{
    switch (code) {
    case 5:
        return 409;
    case 6:
        return 404;
    case 8:
        return 500;
    case 12:
        return 405;
    default:
        return 400;
    }
}

void kg_reply_problem(struct kg_call *call, json_t *problem)
{
    kg_reply_json(call, status_of_code(json_integer_value(json_object_get(problem, "code"))), problem);
}

json_t *kg_problem_new(int code, const char *name, const char *fmt, ...)
{
    json_t *problem = json_object();
    json_t *message;
    va_list args;

    va_start(args, fmt);
    message = json_vsprintf(fmt, args);
    va_end(args);
    /* json_vsprintf gives NULL for text that is not UTF-8, which a percent-decoded path or query may be. */
    json_object_set_new(problem, "code", json_integer(code));
    json_object_set_new(problem, "name", json_string(name));
    json_object_set_new(problem, "message", message ? message : json_string(name));
    return problem;
}

void kg_reply_put_allow(struct kg_writer *w, unsigned methods)
{
    static const struct {
        unsigned bit;
        struct kg_slice text;
    } names[] = {
        { KG_ALLOW(KG_METHOD_DELETE), { "DELETE", 6 } }, { KG_ALLOW(KG_METHOD_GET), { "GET", 3 } },
        { KG_ALLOW(KG_METHOD_GET), { "HEAD", 4 } },      { ~0u, { "OPTIONS", 7 } },
        { KG_ALLOW(KG_METHOD_PATCH), { "PATCH", 5 } },   { KG_ALLOW(KG_METHOD_POST), { "POST", 4 } },
        { KG_ALLOW(KG_METHOD_PUT), { "PUT", 3 } },
    };
    bool first = true;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(methods & names[i].bit))
            continue;
        if (!first)
            KG_PUT(w, ", ");
        kg_put(w, names[i].text);
        first = false;
    }
}
