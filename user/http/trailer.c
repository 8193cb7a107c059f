/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/trailer.h"

struct rule {
    struct kg_slice name;
    bool family; /* all names that begin so */
};

#define ONE(text)                                                                                            \
    {                                                                                                        \
        { text, sizeof(text) - 1 }, false                                                                    \
    }
#define FAMILY(text)                                                                                         \
    {                                                                                                        \
        { text, sizeof(text) - 1 }, true                                                                     \
    }

/* What RFC 9110, 6.5.1 excludes: framing, routing, request modifiers, authentication, response control data
 * and content format; and what this gateway alone may say. */
static const struct rule forbidden[] = {
    ONE("transfer-encoding"),
    ONE("trailer"),
    ONE("te"),
    ONE("connection"),
    ONE("close"), /* the option of Connection, not a field: kept out of the list of named ones */
    ONE("keep-alive"),
    ONE("upgrade"),
    ONE("http2-settings"),
    ONE("proxy"),
    FAMILY("proxy-"),
    ONE("host"),
    ONE("via"),
    ONE("forwarded"),
    FAMILY("x-forwarded-"),
    ONE("x-real-ip"),
    ONE("x-request-id"),
    FAMILY("x-keygate-"),
    FAMILY("x-consumer-"),
    FAMILY("x-credential-"),
    ONE("x-anonymous-consumer"),
    ONE("x-http-method-override"),
    ONE("expect"),
    ONE("max-forwards"),
    ONE("pragma"),
    ONE("range"),
    FAMILY("if-"),
    ONE("authorization"),
    ONE("www-authenticate"),
    ONE("cookie"),
    ONE("set-cookie"),
    ONE("set-cookie2"),
    ONE("age"),
    ONE("cache-control"),
    ONE("date"),
    ONE("expires"),
    ONE("location"),
    ONE("retry-after"),
    ONE("vary"),
    ONE("warning"),
    FAMILY("content-"),
};

/* The one of its family that is made for trailers (RFC 9530, 2). */
static const struct kg_slice digest = { "content-digest", sizeof("content-digest") - 1 };

bool kg_trailer_may_pass(struct kg_slice name)
{
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        const struct rule *rule = &forbidden[i];

        if (kg_header_starts(name, rule->name) && (rule->family || name.len == rule->name.len))
            return kg_slice_eq_nocase(name, digest);
    }
    return true;
}

static bool is_in(struct kg_slice list, struct kg_slice name)
{
    struct kg_slice element;

    while (kg_slice_next_element(&list, &element)) {
        if (kg_slice_eq_nocase(element, name))
            return true;
    }
    return false;
}

/* The elements of all headers with this id that are names and may pass, as a list behind `start`. */
static void put_names(const struct kg_head *head, enum kg_header_id id, struct kg_slice start, size_t max,
                      struct kg_writer *out)
{
    const struct kg_header *header = kg_head_find(head, id, 0);
    size_t count = 0;

    for (; header; header = kg_head_find(head, id, (size_t)(header - head->headers) + 1)) {
        struct kg_slice list = header->value, name;

        while (count < max && kg_slice_next_element(&list, &name)) {
            if (!kg_is_token(name) || !kg_trailer_may_pass(name))
                continue;
            kg_put(out, count++ == 0 ? start : KG_SLICE(", "));
            kg_put(out, name);
        }
    }
}

void kg_trailer_announce(const struct kg_head *head, struct kg_writer *out)
{
    size_t before = out->len;

    put_names(head, KG_H_TRAILER, KG_SLICE("Trailer: "), KG_TRAILER_NAMES, out);
    if (out->len > before)
        KG_PUT(out, "\r\n");
}

void kg_trailer_named(const struct kg_head *head, struct kg_writer *out)
{
    /* How many options there may be is the framing's business. */
    put_names(head, KG_H_CONNECTION, KG_SLICE(""), SIZE_MAX, out);
}

int kg_trailer_remake(struct kg_slice section, struct kg_slice named, const struct kg_head_limits *limits,
                      struct kg_head *scratch, struct kg_writer *out, const char **why)
{
    int rc = kg_head_parse_trailers(section, limits, scratch, why);

    if (rc < 0)
        return rc;
    if (rc == 0 || (size_t)rc != section.len) {
        *why = "a trailer section that does not end with its empty line";
        return -400;
    }
    for (size_t i = 0; i < scratch->count; i++) {
        const struct kg_header *field = &scratch->headers[i];

        if (!kg_trailer_may_pass(field->name) || is_in(named, field->name))
            continue;
        kg_put(out, field->name);
        KG_PUT(out, ": ");
        kg_put(out, field->value);
        KG_PUT(out, "\r\n");
    }
    return 0;
}
