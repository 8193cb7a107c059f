/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/answer.h"
#include "base/cursor.h"

/* RFC 9110, 15, and the IANA registry for what came from elsewhere. */
static const char *const reasons[] = {
    [100] = "Continue",
    [101] = "Switching Protocols",
    [102] = "Processing",
    [103] = "Early Hints",
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [511] = "Network Authentication Required",
};

const char *kg_status_reason(unsigned status)
{
    if (status >= sizeof(reasons) / sizeof(reasons[0]) || !reasons[status])
        return "Unknown";
    return reasons[status];
}

/* Cuts a piece off *rest up to `separator`, trimmed. */
static struct kg_slice cut(struct kg_slice *rest, char separator)
{
    size_t at = kg_slice_find(*rest, separator);
    struct kg_slice piece = kg_slice_trim(kg_slice_of(rest->ptr, at));

    *rest = at < rest->len ? kg_slice_of(rest->ptr + at + 1, rest->len - at - 1) : kg_slice_of(rest->ptr, 0);
    return piece;
}

/* A qvalue (RFC 9110, 12.4.2) in thousandths; what is not one counts as 0, never wanted. */
static unsigned parse_quality(struct kg_slice text)
{
    struct kg_cursor c = kg_cursor_of(text);
    unsigned quality, scale = 100;

    if (!kg_cursor_take(&c, '0') && !kg_cursor_take(&c, '1'))
        return 0;
    quality = text.ptr[0] == '1' ? 1000 : 0;
    if (!kg_cursor_take(&c, '.'))
        return kg_cursor_left(&c) == 0 ? quality : 0;
    for (int digit = kg_cursor_peek(&c, 0); digit >= '0' && digit <= '9' && scale > 0; scale /= 10) {
        quality += scale * ((unsigned)digit - '0');
        kg_cursor_take(&c, (char)digit);
        digit = kg_cursor_peek(&c, 0);
    }
    return kg_cursor_left(&c) == 0 && quality <= 1000 ? quality : 0;
}

/* The quality that the parameters of a media range give, 1000 when they do not say. */
static unsigned read_quality(struct kg_slice params)
{
    while (params.len > 0) {
        struct kg_slice value = cut(&params, ';');
        struct kg_slice name = cut(&value, '=');

        if (kg_slice_eq_nocase(name, KG_SLICE("q")))
            return parse_quality(kg_slice_trim(value));
    }
    return 1000;
}

static bool media_of(struct kg_slice range, enum kg_media *media)
{
    static const struct {
        struct kg_slice range;
        enum kg_media media;
    } known[] = {
        { { "application/json", 16 }, KG_MEDIA_JSON },
        { { "application/*", 13 }, KG_MEDIA_JSON },
        { { "*/*", 3 }, KG_MEDIA_JSON },
        { { "text/html", 9 }, KG_MEDIA_HTML },
        { { "application/xml", 15 }, KG_MEDIA_XML },
        { { "text/plain", 10 }, KG_MEDIA_PLAIN },
        { { "text/*", 6 }, KG_MEDIA_PLAIN },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (kg_slice_eq_nocase(range, known[i].range)) {
            *media = known[i].media;
            return true;
        }
    }
    return false;
}

struct choice {
    enum kg_media media;
    unsigned quality;
};

static void consider(struct choice *best, struct kg_slice accept)
{
    struct kg_slice element;

    while (kg_slice_next_element(&accept, &element)) {
        struct choice choice;

        if (!media_of(cut(&element, ';'), &choice.media))
            continue;
        choice.quality = read_quality(element);
        if (choice.quality > best->quality)
            *best = choice;
    }
}

enum kg_media kg_media_negotiate(const struct kg_head *head)
{
    struct choice best = { .media = KG_MEDIA_JSON, .quality = 0 };

    for (size_t i = 0; i < head->count; i++) {
        if (head->headers[i].id == KG_H_ACCEPT)
            consider(&best, head->headers[i].value);
    }
    return best.media;
}

struct kg_slice kg_media_type(enum kg_media media)
{
    static const struct kg_slice types[] = {
        [KG_MEDIA_JSON] = { "application/json; charset=utf-8", 31 },
        [KG_MEDIA_HTML] = { "text/html; charset=utf-8", 24 },
        [KG_MEDIA_XML] = { "application/xml; charset=utf-8", 30 },
        [KG_MEDIA_PLAIN] = { "text/plain; charset=utf-8", 25 },
    };

    return types[media];
}

/* XML 1.0 has no way to write most controls, and in plain text a line break would forge a line: they become
 * '?'. */
static char printable(char c)
{
    if ((unsigned char)c < 0x20 || c == 0x7f)
        return '?';
    return c;
}

static void put_plain(struct kg_writer *out, struct kg_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        kg_put_char(out, printable(s.ptr[i]));
}

static void put_markup(struct kg_writer *out, struct kg_slice s)
{
    static const struct kg_slice escapes[256] = {
        ['&'] = { "&amp;", 5 },  ['<'] = { "&lt;", 4 },   ['>'] = { "&gt;", 4 },
        ['"'] = { "&quot;", 6 }, ['\''] = { "&#39;", 5 },
    };

    for (size_t i = 0; i < s.len; i++) {
        const struct kg_slice *escape = &escapes[(unsigned char)s.ptr[i]];

        if (escape->len > 0)
            kg_put(out, *escape);
        else
            kg_put_char(out, printable(s.ptr[i]));
    }
}

static void put_json_body(struct kg_writer *out, struct kg_slice message, struct kg_slice request_id)
{
    KG_PUT(out, "{\n  \"message\":\"");
    kg_put_json(out, message);
    KG_PUT(out, "\",\n  \"request_id\":\"");
    kg_put_json(out, request_id);
    KG_PUT(out, "\"\n}");
}

static void put_html_body(struct kg_writer *out, struct kg_slice message, struct kg_slice request_id)
{
    KG_PUT(out, "<!doctype html>\n<html lang=\"en\">\n  <head>\n    <meta charset=\"utf-8\">\n    "
                "<title>Error</title>\n"
                "  </head>\n  <body>\n    <h1>Error</h1>\n    <p>");
    put_markup(out, message);
    KG_PUT(out, ".</p>\n    <p>request_id: ");
    put_markup(out, request_id);
    KG_PUT(out, "</p>\n  </body>\n</html>\n");
}

static void put_xml_body(struct kg_writer *out, struct kg_slice message, struct kg_slice request_id)
{
    KG_PUT(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>");
    put_markup(out, message);
    KG_PUT(out, "</message>\n  <requestid>");
    put_markup(out, request_id);
    KG_PUT(out, "</requestid>\n</error>\n");
}

static void put_plain_body(struct kg_writer *out, struct kg_slice message, struct kg_slice request_id)
{
    put_plain(out, message);
    KG_PUT(out, "\nrequest_id: ");
    put_plain(out, request_id);
    KG_PUT(out, "\n");
}

void kg_error_body(enum kg_media media, struct kg_slice message, struct kg_slice request_id,
                   struct kg_writer *out)
{
    static void (*const builders[])(struct kg_writer * out, struct kg_slice message,
                                    struct kg_slice request_id) = {
        [KG_MEDIA_JSON] = put_json_body,
        [KG_MEDIA_HTML] = put_html_body,
        [KG_MEDIA_XML] = put_xml_body,
        [KG_MEDIA_PLAIN] = put_plain_body,
    };

    builders[media](out, message, request_id);
}
