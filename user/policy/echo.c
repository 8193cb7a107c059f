/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/echo.h"

/* How many bytes the UTF-8 character at the start takes; 0: there is none (RFC 3629, 4). */
static size_t character_len(const unsigned char *at, size_t left)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] <= 0xdf ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : 4;

    if (len > left || (len == 4 && (at[0] < 0xf0 || at[0] > 0xf4)))
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] > 0x9f, beyond = at[0] == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : len;
}

static void put_text(struct kg_writer *out, struct kg_slice text)
{
    size_t at = 0;

    kg_put_char(out, '"');
    while (at < text.len) {
        size_t len = character_len((const unsigned char *)text.ptr + at, text.len - at);

        kg_put_json(out, len > 0 ? kg_slice_of(text.ptr + at, len) : KG_SLICE("?"));
        at += len > 0 ? len : 1;
    }
    kg_put_char(out, '"');
}

static void put_member(struct kg_writer *out, struct kg_slice name, struct kg_slice text)
{
    kg_put(out, name);
    put_text(out, text);
}

/* ---- headers ---- */

static bool is_shown(const struct kg_head *head, size_t at)
{
    if (head->headers[at].hop)
        return false;
    for (size_t i = 0; i < at; i++) {
        if (!head->headers[i].hop && kg_slice_eq_nocase(head->headers[i].name, head->headers[at].name))
            return false;
    }
    return true;
}

static size_t count_from(const struct kg_head *head, size_t at)
{
    size_t count = 0;

    for (size_t i = at; i < head->count; i++)
        count += !head->headers[i].hop && kg_slice_eq_nocase(head->headers[i].name, head->headers[at].name);
    return count;
}

static void put_lower(struct kg_writer *out, struct kg_slice name)
{
    kg_put_char(out, '"');
    for (size_t i = 0; i < name.len; i++)
        kg_put_char(out, kg_lower(name.ptr[i]));
    kg_put_char(out, '"');
}

/* A header that comes several times is a list. */
static void put_header(struct kg_writer *out, const struct kg_head *head, size_t at)
{
    bool list = count_from(head, at) > 1;

    put_lower(out, head->headers[at].name);
    kg_put(out, list ? KG_SLICE(":[") : KG_SLICE(":"));
    for (size_t i = at; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];

        if (header->hop || !kg_slice_eq_nocase(header->name, head->headers[at].name))
            continue;
        if (i > at)
            kg_put_char(out, ',');
        put_text(out, kg_slice_trim(header->value));
    }
    if (list)
        kg_put_char(out, ']');
}

static void put_headers(struct kg_writer *out, const struct kg_head *head)
{
    bool first = true;

    KG_PUT(out, ",\"headers\":{");
    for (size_t i = 0; i < head->count; i++) {
        if (!is_shown(head, i))
            continue;
        if (!first)
            kg_put_char(out, ',');
        first = false;
        put_header(out, head, i);
    }
    kg_put_char(out, '}');
}

/* ---- query ---- */

#define ARGUMENTS_MAX 100 /* those behind them are left out, as Kong does */

struct argument {
    struct kg_slice name; /* decoded */
    struct kg_slice raw;
    bool bare; /* without '=' */
};

struct arguments {
    struct argument items[ARGUMENTS_MAX];
    size_t count;
    struct kg_writer names; /* what their names lie in */
    struct kg_writer value; /* …and one value while it is copied */
};

static void take_argument(struct arguments *arguments, struct kg_slice part)
{
    size_t end = kg_slice_find(part, '='), start = arguments->names.len;
    struct argument *argument = &arguments->items[arguments->count];

    if (part.len == 0 || !kg_query_decode(kg_slice_of(part.ptr, end), &arguments->names))
        return;
    argument->name = kg_slice_of(arguments->names.buf + start, arguments->names.len - start);
    argument->bare = end == part.len;
    if (!argument->bare)
        argument->raw = kg_slice_of(part.ptr + end + 1, part.len - end - 1);
    arguments->count++;
}

static void take_arguments(struct arguments *arguments, struct kg_slice query)
{
    while (query.len > 0 && arguments->count < ARGUMENTS_MAX) {
        size_t len = kg_slice_find(query, '&'), used = len + (len < query.len);

        take_argument(arguments, kg_slice_of(query.ptr, len));
        query = kg_slice_of(query.ptr + used, query.len - used);
    }
}

static void put_value(struct kg_writer *out, struct arguments *arguments, const struct argument *argument)
{
    if (argument->bare) {
        KG_PUT(out, "true");
        return;
    }
    kg_writer_cut(&arguments->value, 0);
    out->overflow |= !kg_query_decode(argument->raw, &arguments->value);
    put_text(out, kg_writer_slice(&arguments->value));
}

/* All of one name, where it stands first; one that comes several times is a list. */
static void put_argument(struct kg_writer *out, struct arguments *arguments, size_t at)
{
    struct kg_slice name = arguments->items[at].name;
    size_t count = 0, put = 0;

    for (size_t i = 0; i < arguments->count; i++) {
        if (!kg_slice_eq(arguments->items[i].name, name))
            continue;
        if (i < at)
            return;
        count++;
    }
    if (at > 0)
        kg_put_char(out, ',');
    put_text(out, name);
    kg_put(out, count > 1 ? KG_SLICE(":[") : KG_SLICE(":"));
    for (size_t i = at; i < arguments->count; i++) {
        if (!kg_slice_eq(arguments->items[i].name, name))
            continue;
        if (put++ > 0)
            kg_put_char(out, ',');
        put_value(out, arguments, &arguments->items[i]);
    }
    if (count > 1)
        kg_put_char(out, ']');
}

static void put_query(struct kg_writer *out, const struct kg_policy_request *request, struct kg_slice room)
{
    char *buf = (char *)(uintptr_t)room.ptr;
    struct arguments arguments = {
        .names = kg_writer_of(buf, room.len / 2),
        .value = kg_writer_of(buf + room.len / 2, room.len / 2),
    };

    if (request->has_query)
        take_arguments(&arguments, request->query);
    out->overflow |= arguments.names.overflow;
    KG_PUT(out, ",\"query\":{");
    for (size_t i = 0; i < arguments.count; i++)
        put_argument(out, &arguments, i);
    kg_put_char(out, '}');
}

/* ---- all of it ---- */

static void put_named(struct kg_writer *out, struct kg_slice member, const char *id, struct kg_slice name)
{
    kg_put(out, member);
    if (!id) {
        KG_PUT(out, "null");
        return;
    }
    put_member(out, KG_SLICE("{\"id\":"), kg_slice_str(id));
    KG_PUT(out, ",\"name\":");
    if (name.len > 0)
        put_text(out, name);
    else
        KG_PUT(out, "null");
    kg_put_char(out, '}');
}

static void put_all(const struct kg_policy_request *request, struct kg_slice message, struct kg_writer *out,
                    struct kg_slice room)
{
    const struct kg_route *route = request->route;
    const struct kg_service *service = route->service;
    struct kg_slice host = request->framing->host, name = { 0 };
    uint16_t port;

    if (host.len > 0 && kg_host_split(host, &name, &port))
        name = host;
    put_member(out, KG_SLICE("{\"message\":"), message);
    put_member(out, KG_SLICE(",\"request\":{\"scheme\":"),
               request->https ? KG_SLICE("https") : KG_SLICE("http"));
    put_member(out, KG_SLICE(",\"host\":"), name);
    KG_PUT(out, ",\"port\":");
    kg_put_u64(out, request->connection.port);
    put_member(out, KG_SLICE(",\"method\":"), request->head->method_text);
    put_member(out, KG_SLICE(",\"path\":"), request->path);
    put_headers(out, request->head);
    put_query(out, request, room);
    put_named(out, KG_SLICE("},\"matched_route\":"), route->id, route->name);
    put_named(out, KG_SLICE(",\"matched_service\":"), service ? service->id : NULL,
              service ? service->name : KG_SLICE(""));
    kg_put_char(out, '}');
}

void kg_echo_put(const struct kg_policy_request *request, struct kg_slice message, struct kg_writer *out)
{
    /* The half behind it is for what is decoded on the way. */
    size_t half = out->cap / 2;
    struct kg_writer front = *out;

    front.cap = half;
    front.overflow |= out->len > half;
    put_all(request, message, &front, kg_slice_of(out->buf + half, half));
    out->len = front.len;
    out->overflow = front.overflow;
}
