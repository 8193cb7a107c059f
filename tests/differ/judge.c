/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two parsers may differ in: lists of deliberate differences, each with its reason. Whatever is not
 * in them is a finding.
 */
#include "differ.h"

#include "http/head.h"

#include <llhttp.h>

#define AT_ANY_TIME NULL

static bool has_header(const struct differ_reading *reading, struct kg_slice name)
{
    for (size_t i = 0; i < reading->count; i++) {
        if (kg_slice_eq_nocase(reading->headers[i].name, name))
            return true;
    }
    return false;
}

/* How many lengths there are, in one header or in several. */
static size_t count_lengths(const struct differ_reading *reading)
{
    size_t count = 0;

    for (size_t i = 0; i < reading->count; i++) {
        struct kg_slice list = reading->headers[i].value, element;

        if (!kg_slice_eq_nocase(reading->headers[i].name, KG_SLICE("content-length")))
            continue;
        while (kg_slice_next_element(&list, &element))
            count++;
    }
    return count;
}

static bool knows_method(struct kg_slice method)
{
    static const char *const names[] = {
#define XX(number, name, string) #string,
        HTTP_METHOD_MAP(XX)
#undef XX
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool of_http1 = strcmp(names[i], "PRI") != 0 && strcmp(names[i], "SOURCE") != 0;

        if (of_http1 && kg_slice_eq(method, kg_slice_str(names[i])))
            return true;
    }
    return false;
}

static bool is_over_63_bits(enum differ_kind kind, const struct differ_reading *keygate,
                            const struct differ_reading *llhttp)
{
    for (size_t i = 0; i < llhttp->count; i++) {
        uint64_t length;

        if (kg_slice_eq_nocase(llhttp->headers[i].name, KG_SLICE("content-length")) &&
            kg_slice_u64(llhttp->headers[i].value, &length) == 0 && length > INT64_MAX)
            return true;
    }
    return false;
}

static bool is_response(enum differ_kind kind, const struct differ_reading *keygate,
                        const struct differ_reading *llhttp)
{
    return kind != DIFFER_REQUEST;
}

/*
 * keygate refuses and says this; llhttp may take it. What is not here, both must refuse: a length beside a
 * transfer coding, lengths that differ or are no numbers, white space before a colon, a control byte in a
 * value, a size that is not hexadecimal, data without its CRLF.
 */
struct difference differ_stricter_here[] = {
    /* llhttp ends a line at a bare LF, takes any status and any number of spaces, and unfolds lines. */
    { "a byte that may not stand there, or a bare LF", AT_ANY_TIME },
    { "a bare CR", AT_ANY_TIME },
    { "a header name expected", AT_ANY_TIME },
    { "a folded or indented header line", AT_ANY_TIME },
    { "one space expected between the parts of the first line", AT_ANY_TIME },
    { "a method expected", AT_ANY_TIME },
    { "a request target expected", AT_ANY_TIME },
    { "a version expected", AT_ANY_TIME },
    { "a version other than HTTP/1.0 and HTTP/1.1", AT_ANY_TIME },
    { "a status from 100 to 599 expected", is_response },
    { "the first line is too long", AT_ANY_TIME },
    { "the head is too long", AT_ANY_TIME },
    { "too many headers", AT_ANY_TIME },
    /* It takes a target as it is, and any number of hosts, valid or not. */
    { "a request target of the wrong form", AT_ANY_TIME },
    { "a fragment in the request target", AT_ANY_TIME },
    { "a broken percent triplet in the path", AT_ANY_TIME },
    { "%00 in the path", AT_ANY_TIME },
    { "an invalid authority in the request target", AT_ANY_TIME },
    { "the authority of the request target is not Host", AT_ANY_TIME },
    { "CONNECT and TRACE are not served", AT_ANY_TIME },
    { "Host is missing", AT_ANY_TIME },
    { "more than one Host", AT_ANY_TIME },
    { "an invalid Host", AT_ANY_TIME },
    { "an invalid Connection", AT_ANY_TIME },
    { "too many Connection options", AT_ANY_TIME },
    { "an expectation other than 100-continue", AT_ANY_TIME },
    /* It takes codings that it does not decode, and any in HTTP/1.0; those of an answer end with the
       connection. */
    { "an invalid Content-Length", is_over_63_bits },
    { "a transfer coding other than chunked", AT_ANY_TIME },
    { "an invalid Transfer-Encoding", AT_ANY_TIME },
    { "Transfer-Encoding in HTTP/1.0", AT_ANY_TIME },
    { "chunked must be the last transfer coding, and once", is_response },
    { "101 without an Upgrade", is_response },
    /* Its sizes, extensions and trailers have no bound, and trailers are folded as headers are. */
    { "a chunk size of more than 16 digits", AT_ANY_TIME },
    { "chunk extensions too long", AT_ANY_TIME },
    { "trailers too long", AT_ANY_TIME },
    { "far more chunk framing than data", AT_ANY_TIME },
    { "a trailer name expected", AT_ANY_TIME },
    { 0 },
};

static bool is_unknown_method(enum differ_kind kind, const struct differ_reading *keygate,
                              const struct differ_reading *llhttp)
{
    return kind == DIFFER_REQUEST && llhttp->verdict == DIFFER_REFUSED && !llhttp->head_taken &&
           !knows_method(keygate->method);
}

static bool has_equal_lengths(enum differ_kind kind, const struct differ_reading *keygate,
                              const struct differ_reading *llhttp)
{
    return llhttp->verdict == DIFFER_REFUSED && !llhttp->head_taken && count_lengths(keygate) > 1;
}

/* Values are parts of the message, so what was trimmed off them is behind them. */
static bool has_tab(enum differ_kind kind, const struct differ_reading *keygate,
                    const struct differ_reading *llhttp)
{
    for (size_t i = 0; i < keygate->count; i++) {
        const struct differ_header *header = &keygate->headers[i];
        const char *behind = header->value.ptr + header->value.len;

        if (!kg_slice_eq_nocase(header->name, KG_SLICE("content-length")) &&
            !kg_slice_eq_nocase(header->name, KG_SLICE("transfer-encoding")))
            continue;
        while (*behind == ' ')
            behind++;
        if (*behind == '\t' || kg_slice_find(header->value, '\t') < header->value.len)
            return true;
    }
    return false;
}

static bool has_extension(enum differ_kind kind, const struct differ_reading *keygate,
                          const struct differ_reading *llhttp)
{
    return llhttp->verdict == DIFFER_REFUSED && llhttp->head_taken &&
           (strstr(llhttp->why, "chunk extensions") || strstr(llhttp->why, "chunk size"));
}

static bool has_framing_trailer(enum differ_kind kind, const struct differ_reading *keygate,
                                const struct differ_reading *llhttp)
{
    return llhttp->trailer_frames;
}

static bool has_no_body(enum differ_kind kind, const struct differ_reading *keygate,
                        const struct differ_reading *llhttp)
{
    bool bodiless = keygate->status / 100 == 1 || keygate->status == 204 || keygate->status == 304;

    return kind != DIFFER_REQUEST && bodiless && llhttp->head_taken &&
           (has_header(keygate, KG_SLICE("content-length")) ||
            has_header(keygate, KG_SLICE("transfer-encoding")));
}

/* keygate takes it, and llhttp refuses it or sees another message; why that is no danger. */
struct difference differ_stricter_there[] = {
    /* A proxy passes methods on that it does not know (RFC 9110, 9.1); llhttp has a list. */
    { "a method that llhttp does not know", is_unknown_method },
    /* RFC 9110, 8.6, lets a recipient take equal lengths as one; it goes on as one number, written anew. */
    { "equal lengths", has_equal_lengths },
    /* RFC 9110, 5.6.3: a tab is a blank behind a value and in a list; llhttp knows spaces alone. Framing is
     * written anew. */
    { "a tab in a framing header", has_tab },
    /* RFC 9112, 7.1.1: extensions are ignored. keygate drops them all and looks for control bytes alone. */
    { "a chunk extension", has_extension },
    /* RFC 9112, 7.1.2: what frames a message may not be a trailer. keygate ignores it, llhttp half obeys it.
     */
    { "a trailer that frames", has_framing_trailer },
    /* RFC 9112, 6.3: these have no body whatever their headers say; llhttp reads one if they say so. */
    { "an answer without a body", has_no_body },
    { 0 },
};

/* keygate takes it, or all of it so far: whether llhttp has a known reason to see it otherwise. */
static bool is_stricter_there(enum differ_kind kind, const struct differ_reading *keygate,
                              const struct differ_reading *llhttp)
{
    for (struct difference *d = differ_stricter_there; d->what; d++) {
        if (d->when(kind, keygate, llhttp)) {
            d->seen++;
            return true;
        }
    }
    return false;
}

static bool is_stricter_here(enum differ_kind kind, const struct differ_reading *keygate,
                             const struct differ_reading *llhttp)
{
    for (struct difference *d = differ_stricter_here; d->what; d++) {
        if (strcmp(d->what, keygate->why) == 0 && (!d->when || d->when(kind, keygate, llhttp))) {
            d->seen++;
            return true;
        }
    }
    return false;
}

static const char *compare_heads(const struct differ_reading *keygate, const struct differ_reading *llhttp)
{
    if (!kg_slice_eq(keygate->method, llhttp->method))
        return "the methods differ";
    if (!kg_slice_eq(keygate->target, llhttp->target))
        return "the targets differ";
    if (keygate->status != llhttp->status)
        return "the statuses differ";
    if (keygate->minor != llhttp->minor)
        return "the versions differ";
    if (keygate->count != llhttp->count)
        return "the numbers of headers differ";
    for (size_t i = 0; i < keygate->count; i++) {
        if (!kg_slice_eq(keygate->headers[i].name, llhttp->headers[i].name))
            return "the names of a header differ";
        if (!kg_slice_eq(keygate->headers[i].value, llhttp->headers[i].value))
            return "the values of a header differ";
    }
    return NULL;
}

static const char *compare_bodies(enum differ_kind kind, const struct differ_reading *keygate,
                                  const struct differ_reading *llhttp)
{
    const char *wrong = NULL;

    if (keygate->verdict != llhttp->verdict)
        wrong = "one sees the end, the other none";
    else if (!kg_slice_eq(keygate->body, llhttp->body))
        wrong = "the bodies differ";
    else if (keygate->verdict == DIFFER_TAKEN && keygate->end != llhttp->end)
        wrong = "the ends differ";
    return wrong && is_stricter_there(kind, keygate, llhttp) ? NULL : wrong;
}

const char *differ_judge(enum differ_kind kind, const struct differ_reading *keygate,
                         const struct differ_reading *llhttp)
{
    const char *wrong;

    if (keygate->verdict == DIFFER_REFUSED) {
        /* With that tab, what is chunked here is not chunked there: no two refusals can be compared. */
        bool agreed = llhttp->verdict == DIFFER_REFUSED || is_stricter_here(kind, keygate, llhttp) ||
                      has_tab(kind, keygate, llhttp);

        return agreed ? NULL : "keygate refuses for no reason that is known";
    }
    /* keygate judges headers once it has all of them: what it says before is no judgement. */
    if (!keygate->head_taken)
        return llhttp->head_taken ? "llhttp sees the end of the head, keygate does not" : NULL;
    if (llhttp->verdict == DIFFER_REFUSED)
        return is_stricter_there(kind, keygate, llhttp) ? NULL : "llhttp refuses for no reason that is known";
    if (!llhttp->head_taken)
        return "keygate sees the end of the head, llhttp does not";
    wrong = compare_heads(keygate, llhttp);
    return wrong ? wrong : compare_bodies(kind, keygate, llhttp);
}
