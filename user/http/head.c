/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The head parser. It looks at each byte once, from left to right, and judges it by that byte and what came
 * before: so a prefix of an input gives either 0 or the very result of the whole, and what is refused is
 * refused at the first byte that cannot be right.
 */
#include "http/head.h"
#include "base/cursor.h"
#include "http/bytes.h"

/* What a step of the parser says; a refusal is the negated status. */
enum { MORE = 0, TAKEN = 1 };

static int refuse(const char **why, int status, const char *text)
{
    *why = text;
    return -status;
}

static int take_crlf(struct kg_cursor *c, const char **why)
{
    if (kg_cursor_left(c) == 0)
        return MORE;
    if (!kg_cursor_take(c, '\r'))
        return refuse(why, 400, "a byte that may not stand there, or a bare LF");
    if (kg_cursor_left(c) == 0)
        return MORE;
    if (!kg_cursor_take(c, '\n'))
        return refuse(why, 400, "a bare CR");
    return TAKEN;
}

static int take_space(struct kg_cursor *c, const char **why)
{
    if (kg_cursor_left(c) == 0)
        return MORE;
    if (!kg_cursor_take(c, ' '))
        return refuse(why, 400, "one space expected between the parts of the first line");
    return TAKEN;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static int take_version(struct kg_cursor *c, struct kg_head *head, const char **why)
{
    static const char text[] = "HTTP/1.";
    size_t at = 0;
    int byte;

    while (text[at] != '\0' && kg_cursor_take(c, text[at]))
        at++;
    byte = kg_cursor_peek(c, 0);
    if (byte < 0)
        return MORE;
    if (text[at] == '\0' && (byte == '0' || byte == '1')) {
        head->minor = (unsigned)byte - '0';
        kg_cursor_take(c, (char)byte);
        return TAKEN;
    }
    /* Only at the two digits can it be HTTP at all and still another version. */
    if (is_digit(byte) && (at == 5 || at == 7))
        return refuse(why, 505, "a version other than HTTP/1.0 and HTTP/1.1");
    return refuse(why, 400, "a version expected");
}

static enum kg_method identify_method(struct kg_slice text)
{
    static const struct {
        struct kg_slice text;
        enum kg_method method;
    } methods[] = {
        { { "GET", 3 }, KG_METHOD_GET },         { { "POST", 4 }, KG_METHOD_POST },
        { { "PUT", 3 }, KG_METHOD_PUT },         { { "DELETE", 6 }, KG_METHOD_DELETE },
        { { "PATCH", 5 }, KG_METHOD_PATCH },     { { "HEAD", 4 }, KG_METHOD_HEAD },
        { { "OPTIONS", 7 }, KG_METHOD_OPTIONS }, { { "CONNECT", 7 }, KG_METHOD_CONNECT },
        { { "TRACE", 5 }, KG_METHOD_TRACE },
    };

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (kg_slice_eq(text, methods[i].text))
            return methods[i].method;
    }
    return KG_METHOD_OTHER;
}

/* Method, target and version, without the CRLF. */
static int take_request_parts(struct kg_cursor *c, struct kg_head *head, const char **why)
{
    int rc;

    head->method_text = kg_cursor_span(c, kg_bytes_token);
    if (head->method_text.len == 0 && kg_cursor_left(c) > 0)
        return refuse(why, 400, "a method expected");
    rc = take_space(c, why);
    if (rc != TAKEN)
        return rc;
    head->method = identify_method(head->method_text);
    head->target = kg_cursor_span(c, kg_bytes_visible);
    if (head->target.len == 0 && kg_cursor_left(c) > 0)
        return refuse(why, 400, "a request target expected");
    rc = take_space(c, why);
    return rc == TAKEN ? take_version(c, head, why) : rc;
}

/* Version, status and reason, without the CRLF. The SP before an absent reason may be absent too: servers do
 * so. */
static int take_status_parts(struct kg_cursor *c, struct kg_head *head, const char **why)
{
    int rc = take_version(c, head, why);

    if (rc == TAKEN)
        rc = take_space(c, why);
    if (rc != TAKEN)
        return rc;
    for (unsigned i = 0; i < 3; i++) {
        int byte = kg_cursor_peek(c, 0);

        if (byte < 0)
            return MORE;
        /* 100 to 599 are the valid ones (RFC 9110, 15). */
        if (!is_digit(byte) || (i == 0 && (byte == '0' || byte > '5')))
            return refuse(why, 400, "a status from 100 to 599 expected");
        head->status = head->status * 10 + (unsigned)byte - '0';
        kg_cursor_take(c, (char)byte);
    }
    if (kg_cursor_take(c, ' '))
        head->reason = kg_cursor_span(c, kg_bytes_text);
    return TAKEN;
}

static int take_first_line(struct kg_cursor *c, bool request, const struct kg_head_limits *limits,
                           struct kg_head *head, const char **why)
{
    const char *start = c->pos;
    int rc = request ? take_request_parts(c, head, why) : take_status_parts(c, head, why);

    /* Before a refusal for what came later: a shorter prefix of these bytes was, or would have been, too long
     * already. */
    if ((size_t)(c->pos - start) > limits->line)
        return refuse(why, 414, "the first line is too long");
    return rc == TAKEN ? take_crlf(c, why) : rc;
}

static int take_header(struct kg_cursor *c, struct kg_header *header, const char **why)
{
    struct kg_slice name = kg_cursor_span(c, kg_bytes_token);
    struct kg_slice value;
    int next = kg_cursor_peek(c, 0);

    if (next < 0)
        return MORE;
    if (name.len == 0 && kg_bytes_blank[next])
        return refuse(why, 400, "a folded or indented header line");
    if (name.len == 0)
        return refuse(why, 400, "a header name expected");
    if (!kg_cursor_take(c, ':'))
        return refuse(why, 400, "a colon expected right after the header name");
    kg_cursor_span(c, kg_bytes_blank);
    value = kg_cursor_text(c);
    while (value.len > 0 && kg_bytes_blank[(unsigned char)value.ptr[value.len - 1]])
        value.len--;
    *header = (struct kg_header){ .name = name, .value = value, .id = kg_header_identify(name) };
    return take_crlf(c, why);
}

static int take_headers(struct kg_cursor *c, size_t max, struct kg_head *head, const char **why)
{
    if (max > KG_HEADERS_MAX)
        max = KG_HEADERS_MAX;
    for (;;) {
        int next = kg_cursor_peek(c, 0);
        int rc;

        if (next < 0)
            return MORE;
        if (next == '\r')
            return take_crlf(c, why);
        if (head->count == max)
            return refuse(why, 431, "too many headers");
        rc = take_header(c, &head->headers[head->count], why);
        if (rc != TAKEN)
            return rc;
        head->count++;
    }
}

static int take_head(struct kg_cursor *c, bool request, const struct kg_head_limits *limits,
                     struct kg_head *head, const char **why)
{
    int rc = TAKEN;

    /* One empty line is forgiven before a request (RFC 9112, 2.2). */
    if (request && kg_cursor_peek(c, 0) == '\r')
        rc = take_crlf(c, why);
    if (rc == TAKEN)
        rc = take_first_line(c, request, limits, head, why);
    return rc == TAKEN ? take_headers(c, limits->headers, head, why) : rc;
}

static int parse(struct kg_slice input, bool request, const struct kg_head_limits *limits,
                 struct kg_head *head, const char **why)
{
    /* Bytes over the limit are not looked at: a head that has not ended within it never ends well. */
    bool full = input.len >= limits->bytes;
    struct kg_cursor c = kg_cursor_of(kg_slice_of(input.ptr, full ? limits->bytes : input.len));
    int rc;

    /* The headers behind `count` are left alone: clearing all of them would cost more than parsing does. */
    memset(head, 0, offsetof(struct kg_head, headers));
    rc = take_head(&c, request, limits, head, why);
    if (rc == TAKEN)
        return (int)(c.pos - input.ptr);
    if (rc == MORE && full)
        return refuse(why, 431, "the head is too long");
    return rc;
}

int kg_head_parse_request(struct kg_slice input, const struct kg_head_limits *limits, struct kg_head *head,
                          const char **why)
{
    return parse(input, true, limits, head, why);
}

int kg_head_parse_response(struct kg_slice input, const struct kg_head_limits *limits, struct kg_head *head,
                           const char **why)
{
    int rc = parse(input, false, limits, head, why);

    return rc < 0 ? -502 : rc;
}

int kg_head_parse_trailers(struct kg_slice section, const struct kg_head_limits *limits, struct kg_head *head,
                           const char **why)
{
    struct kg_cursor c = kg_cursor_of(section);
    int rc;

    memset(head, 0, offsetof(struct kg_head, headers));
    rc = take_headers(&c, limits->headers, head, why);
    return rc == TAKEN ? (int)(c.pos - section.ptr) : rc;
}

const struct kg_header *kg_head_find(const struct kg_head *head, enum kg_header_id id, size_t from)
{
    for (size_t i = from; i < head->count; i++) {
        if (head->headers[i].id == id)
            return &head->headers[i];
    }
    return NULL;
}

const struct kg_header *kg_head_find_name(const struct kg_head *head, struct kg_slice name, size_t from)
{
    for (size_t i = from; i < head->count; i++) {
        if (kg_slice_eq_nocase(head->headers[i].name, name))
            return &head->headers[i];
    }
    return NULL;
}

/* name is as long as want; want is in lower case. */
static bool same_nocase(const char *name, const char *want, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (kg_lower(name[i]) != want[i])
            return false;
    }
    return true;
}

bool kg_header_starts(struct kg_slice name, struct kg_slice want)
{
    if (name.len < want.len)
        return false;
    for (size_t i = 0; i < want.len; i++) {
        bool dash = name.ptr[i] == '_' && want.ptr[i] == '-';

        if (!dash && kg_lower(name.ptr[i]) != want.ptr[i])
            return false;
    }
    return true;
}

/* A forwarding header's name with an underscore for a dash: CGI, WSGI and others make one variable of both.
 */
static bool is_forwarding_twin(struct kg_slice name)
{
    static const struct kg_slice names[] = {
        { "x-forwarded-for", 15 },  { "x-forwarded-proto", 17 }, { "x-forwarded-host", 16 },
        { "x-forwarded-port", 16 }, { "x-forwarded-path", 16 },  { "x-forwarded-prefix", 18 },
        { "x-real-ip", 9 },         { "x-request-id", 12 },
    };

    if (name.len < 9 || kg_lower(name.ptr[0]) != 'x' || !memchr(name.ptr, '_', name.len))
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name.len == names[i].len && kg_header_starts(name, names[i]))
            return true;
    }
    return false;
}

static bool is_identity(struct kg_slice name)
{
    if (kg_header_starts(name, KG_SLICE("x-consumer-")))
        return true;
    if (name.len == sizeof("x-credential-identifier") - 1)
        return kg_header_starts(name, KG_SLICE("x-credential-identifier"));
    return name.len == sizeof("x-anonymous-consumer") - 1 &&
           kg_header_starts(name, KG_SLICE("x-anonymous-consumer"));
}

struct known {
    const char *name;
    enum kg_header_id id;
};

/* By length, so that a name is compared with the very few it could be. A row ends at the first NULL. */
static const struct known known_by_length[][5] = {
    [2] = { { "te", KG_H_TE } },
    [3] = { { "via", KG_H_VIA } },
    [4] = { { "host", KG_H_HOST }, { "date", KG_H_DATE } },
    [5] = { { "proxy", KG_H_PROXY } },
    [6] = { { "accept", KG_H_ACCEPT }, { "expect", KG_H_EXPECT }, { "server", KG_H_SERVER } },
    [7] = { { "trailer", KG_H_TRAILER }, { "upgrade", KG_H_UPGRADE } },
    [9] = { { "x-real-ip", KG_H_X_REAL_IP } },
    [10] = { { "connection", KG_H_CONNECTION }, { "keep-alive", KG_H_KEEP_ALIVE } },
    [12] = { { "content-type", KG_H_CONTENT_TYPE }, { "x-request-id", KG_H_X_REQUEST_ID } },
    [14] = { { "content-length", KG_H_CONTENT_LENGTH } },
    [15] = { { "x-forwarded-for", KG_H_X_FORWARDED_FOR } },
    [16] = { { "x-forwarded-host", KG_H_X_FORWARDED },
             { "x-forwarded-port", KG_H_X_FORWARDED },
             { "x-forwarded-path", KG_H_X_FORWARDED },
             { "proxy-connection", KG_H_PROXY_CONNECTION } },
    [17] = { { "transfer-encoding", KG_H_TRANSFER_ENCODING }, { "x-forwarded-proto", KG_H_X_FORWARDED } },
    [18] = { { "x-forwarded-prefix", KG_H_X_FORWARDED } },
};

enum kg_header_id kg_header_identify(struct kg_slice name)
{
    if (name.len < sizeof(known_by_length) / sizeof(known_by_length[0])) {
        for (const struct known *k = known_by_length[name.len]; k->name; k++) {
            if (same_nocase(name.ptr, k->name, name.len))
                return k->id;
        }
    }
    return is_identity(name) || is_forwarding_twin(name) ? KG_H_IDENTITY : KG_H_OTHER;
}

struct kg_slice kg_media_of(struct kg_slice content_type)
{
    return kg_slice_trim(kg_slice_of(content_type.ptr, kg_slice_find(content_type, ';')));
}

bool kg_is_token(struct kg_slice s)
{
    struct kg_cursor c = kg_cursor_of(s);

    return s.len > 0 && kg_cursor_span(&c, kg_bytes_token).len == s.len;
}
