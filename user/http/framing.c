/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framing in two steps: the headers that matter are read into struct facts, whose readers refuse what is
 * wrong in itself; then the facts are judged together, separately for requests and responses.
 */
#include "http/framing.h"
#include "http/uri.h"

/*
 * Each option is compared with each header's name, so a head full of both would cost a stranger little and us
 * much. No honest sender names more than a handful.
 */
#define CONNECTION_OPTIONS_MAX 64

/* RFC 9110, 7.6.1, and the ones that predate it. Expect goes on: whoever forwards it decides. */
#define HOP_IDS                                                                                              \
    (1u << KG_H_CONNECTION | 1u << KG_H_KEEP_ALIVE | 1u << KG_H_PROXY_CONNECTION | 1u << KG_H_PROXY |        \
     1u << KG_H_TE | 1u << KG_H_TRAILER | 1u << KG_H_TRANSFER_ENCODING | 1u << KG_H_CONTENT_LENGTH |         \
     1u << KG_H_UPGRADE)

/* What the headers say, before it is judged. */
struct facts {
    struct kg_head *head;
    unsigned hosts, connection_options;
    struct kg_slice host, upgrade;
    bool has_length, chunked, other_coding;
    uint64_t length;
    bool close, keep_alive, names_upgrade;
    bool te_trailers, expect_continue, expect_other;
};

static int refuse(const char **why, int status, const char *text)
{
    *why = text;
    return -status;
}

/* Cuts an element off like kg_slice_next_element, but gives empty ones too: framing headers may not have any.
 */
static bool next_strict(struct kg_slice *list, bool *more, struct kg_slice *element)
{
    size_t comma;

    if (!*more)
        return false;
    comma = kg_slice_find(*list, ',');
    *element = kg_slice_trim(kg_slice_of(list->ptr, comma));
    *more = comma < list->len;
    if (*more)
        *list = kg_slice_of(list->ptr + comma + 1, list->len - comma - 1);
    return true;
}

static int read_host(struct facts *facts, const struct kg_header *header, const char **why)
{
    struct kg_slice name;
    uint16_t port;

    if (facts->head->status != 0)
        return 0; /* means nothing in a response */
    facts->host = header->value;
    if (++facts->hosts > 1)
        return refuse(why, 400, "more than one Host");
    if (kg_host_split(header->value, &name, &port))
        return refuse(why, 400, "an invalid Host");
    return 0;
}

/* A list of equal numbers is what a careless proxy makes of repeated headers, and is taken as one (RFC
 * 9110, 8.6). */
static int read_length(struct facts *facts, const struct kg_header *header, const char **why)
{
    struct kg_slice list = header->value, element;
    bool more = true;

    while (next_strict(&list, &more, &element)) {
        uint64_t length;

        /* Lengths that would be negative as off_t are nobody's. */
        if (kg_slice_u64(element, &length) || length > INT64_MAX)
            return refuse(why, 400, "an invalid Content-Length");
        if (facts->has_length && length != facts->length)
            return refuse(why, 400, "differing Content-Length");
        facts->has_length = true;
        facts->length = length;
    }
    return 0;
}

static int read_coding(struct facts *facts, const struct kg_header *header, const char **why)
{
    struct kg_slice list = header->value, element;
    bool more = true;

    while (next_strict(&list, &more, &element)) {
        if (!kg_is_token(element))
            return refuse(why, 400, "an invalid Transfer-Encoding");
        if (facts->chunked)
            return refuse(why, 400, "chunked must be the last transfer coding, and once");
        if (kg_slice_eq_nocase(element, KG_SLICE("chunked")))
            facts->chunked = true;
        else
            facts->other_coding = true;
    }
    return 0;
}

static void mark_named(struct kg_head *head, struct kg_slice name)
{
    for (size_t i = 0; i < head->count; i++) {
        struct kg_header *header = &head->headers[i];

        if (header->id != KG_H_HOST && kg_slice_eq_nocase(header->name, name))
            header->hop = true;
    }
}

static int read_connection(struct facts *facts, const struct kg_header *header, const char **why)
{
    struct kg_slice list = header->value, option;

    while (kg_slice_next_element(&list, &option)) {
        if (!kg_is_token(option))
            return refuse(why, 400, "an invalid Connection");
        if (++facts->connection_options > CONNECTION_OPTIONS_MAX)
            return refuse(why, 400, "too many Connection options");
        facts->close |= kg_slice_eq_nocase(option, KG_SLICE("close"));
        facts->keep_alive |= kg_slice_eq_nocase(option, KG_SLICE("keep-alive"));
        facts->names_upgrade |= kg_slice_eq_nocase(option, KG_SLICE("upgrade"));
        mark_named(facts->head, option);
    }
    return 0;
}

static int read_te(struct facts *facts, const struct kg_header *header, const char **why)
{
    struct kg_slice list = header->value, element;

    while (kg_slice_next_element(&list, &element))
        facts->te_trailers |= kg_slice_eq_nocase(element, KG_SLICE("trailers"));
    return 0;
}

static int read_upgrade(struct facts *facts, const struct kg_header *header, const char **why)
{
    if (facts->upgrade.len == 0)
        facts->upgrade = header->value;
    return 0;
}

static int read_expect(struct facts *facts, const struct kg_header *header, const char **why)
{
    struct kg_slice list = header->value, element;

    while (kg_slice_next_element(&list, &element)) {
        if (kg_slice_eq_nocase(element, KG_SLICE("100-continue")))
            facts->expect_continue = true;
        else
            facts->expect_other = true;
    }
    return 0;
}

static int (*const readers[])(struct facts *facts, const struct kg_header *header, const char **why) = {
    [KG_H_OTHER] = NULL,
    [KG_H_HOST] = read_host,
    [KG_H_CONTENT_LENGTH] = read_length,
    [KG_H_TRANSFER_ENCODING] = read_coding,
    [KG_H_CONNECTION] = read_connection,
    [KG_H_TE] = read_te,
    [KG_H_UPGRADE] = read_upgrade,
    [KG_H_EXPECT] = read_expect,
    [KG_H_IDENTITY] = NULL, /* the last one: the table has room for every id */
};

static int read_facts(struct kg_head *head, struct facts *facts, const char **why)
{
    *facts = (struct facts){ .head = head };
    /* All marks before any reader: Connection adds to them, also for headers that come after it. */
    for (size_t i = 0; i < head->count; i++)
        head->headers[i].hop = (HOP_IDS >> head->headers[i].id & 1) != 0;
    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];
        int rc = readers[header->id] ? readers[header->id](facts, header, why) : 0;

        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool persists(const struct facts *facts)
{
    return !facts->close && (facts->head->minor == 1 || facts->keep_alive);
}

/* What is wrong with Content-Length and Transfer-Encoding together, in either direction. */
static int judge_codings(const struct facts *facts, const char **why)
{
    if (!facts->chunked && !facts->other_coding)
        return 0;
    if (facts->has_length)
        return refuse(why, 400, "both Content-Length and Transfer-Encoding");
    if (facts->head->minor == 0)
        return refuse(why, 400, "Transfer-Encoding in HTTP/1.0");
    if (facts->other_coding)
        return refuse(why, 501, "a transfer coding other than chunked");
    return 0;
}

static int judge_request(const struct facts *facts, const char **why)
{
    int rc;

    if (facts->hosts == 0 && facts->head->minor == 1)
        return refuse(why, 400, "Host is missing");
    rc = judge_codings(facts, why);
    if (rc < 0)
        return rc;
    if (facts->expect_other)
        return refuse(why, 417, "an expectation other than 100-continue");
    return 0;
}

static enum kg_body request_body(const struct facts *facts)
{
    if (facts->chunked)
        return KG_BODY_CHUNKED;
    return facts->length > 0 ? KG_BODY_LENGTH : KG_BODY_NONE;
}

int kg_framing_request(struct kg_head *head, struct kg_framing *framing, const char **why)
{
    struct facts facts;
    int rc = read_facts(head, &facts, why);

    *framing = (struct kg_framing){ 0 };
    if (rc == 0)
        rc = judge_request(&facts, why);
    if (rc < 0)
        return rc;
    framing->host = facts.host;
    framing->body = request_body(&facts);
    framing->length = facts.length;
    framing->has_length = facts.has_length;
    framing->keep_alive = persists(&facts);
    framing->te_trailers = facts.te_trailers;
    /* Expectations and upgrades are for HTTP/1.1 alone (RFC 9110, 10.1.1 and 7.8). */
    framing->expect_continue = facts.expect_continue && head->minor == 1 && framing->body != KG_BODY_NONE;
    framing->upgrade = facts.names_upgrade && head->minor == 1 && facts.upgrade.len > 0;
    if (framing->upgrade)
        framing->upgrade_to = facts.upgrade;
    return 0;
}

/* RFC 9112, 6.3, the first rules: no body, whatever the headers say. */
static bool has_no_body(unsigned status, bool to_head)
{
    return to_head || status < 200 || status == 204 || status == 304;
}

static enum kg_body response_body(const struct facts *facts, bool to_head)
{
    if (has_no_body(facts->head->status, to_head))
        return KG_BODY_NONE;
    if (facts->chunked)
        return KG_BODY_CHUNKED;
    if (!facts->has_length)
        return KG_BODY_CLOSE;
    return facts->length > 0 ? KG_BODY_LENGTH : KG_BODY_NONE;
}

static int judge_response(struct kg_head *head, bool to_head, struct kg_response_framing *framing,
                          const char **why)
{
    struct facts facts;
    int rc = read_facts(head, &facts, why);

    if (rc == 0)
        rc = judge_codings(&facts, why);
    if (rc < 0)
        return rc;
    if (head->status == 101 && !(head->minor == 1 && facts.names_upgrade && facts.upgrade.len > 0))
        return refuse(why, 502, "101 without an Upgrade");
    framing->body = response_body(&facts, to_head);
    framing->keep_alive = persists(&facts) && framing->body != KG_BODY_CLOSE;
    /* 1xx and 204 must not have a Content-Length (RFC 9110, 8.6): one that came is not written anew. */
    if (head->status >= 200 && head->status != 204) {
        framing->length_known = facts.has_length;
        framing->length = facts.length;
    }
    if (head->status == 101)
        framing->upgrade_to = facts.upgrade;
    return 0;
}

int kg_framing_response(struct kg_head *head, bool to_head, struct kg_response_framing *framing,
                        const char **why)
{
    *framing = (struct kg_response_framing){ 0 };
    return judge_response(head, to_head, framing, why) < 0 ? -502 : 0;
}
