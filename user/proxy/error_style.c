/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/error_style.h"

/* Of two slices, what says something. */
static struct kg_slice either(struct kg_slice own, struct kg_slice other)
{
    return own.len > 0 ? own : other;
}

/* ---- Kong: the words are those of the policies and decisions themselves ---- */

static struct kg_slice kong_message(enum kg_reason reason, unsigned status, struct kg_slice message)
{
    return message;
}

static void put_kong_body(const struct kg_error_words *words, struct kg_writer *out)
{
    kg_error_body(words->media, words->message, words->request_id, out);
}

/* ---- APISIX: the words of 2.x and of API7's pages; since 3.10 it says "Missing API key in request" ---- */

static const struct kg_slice apisix_messages[KG_REASONS] = {
    [KG_REASON_NO_KEY] = { "Missing API key found in request", 32 },
    [KG_REASON_SEVERAL_KEYS] = { "Invalid API key in request", 26 },
    [KG_REASON_WRONG_KEY] = { "Invalid API key in request", 26 },
    [KG_REASON_NO_ROUTE] = { "404 Route Not Found", 19 },
    [KG_REASON_BANNED] = { "Your IP address is not allowed", 30 },
};

static struct kg_slice apisix_message(enum kg_reason reason, unsigned status, struct kg_slice message)
{
    return either(apisix_messages[reason], message);
}

/* "message" where a client may not, "error_msg" where something else stands in the way; one line. */
static void put_apisix_body(const struct kg_error_words *words, struct kg_writer *out)
{
    bool forbidden = words->status == 401 || words->status == 403;

    kg_put(out, forbidden ? KG_SLICE("{\"message\":\"") : KG_SLICE("{\"error_msg\":\""));
    kg_put_json(out, words->message);
    KG_PUT(out, "\"}\n");
}

/* `apikey realm="key"`, or with the plugin's own realm, which is quoted already. */
static struct kg_slice apisix_challenge(struct kg_slice challenge, struct kg_writer *scratch)
{
    static const struct kg_slice scheme = { "Key", 3 };
    struct kg_slice realm = kg_slice_of(challenge.ptr + scheme.len, challenge.len - scheme.len);
    size_t start = scratch->len;

    if (scratch->cap - start < challenge.len + sizeof("apikey realm=\"key\""))
        return challenge;
    KG_PUT(scratch, "apikey");
    kg_put(scratch, either(realm, KG_SLICE(" realm=\"key\"")));
    return kg_slice_of(scratch->buf + start, scratch->len - start);
}

/* ---- APIM: message and status, and one message for whoever is not let in ---- */

static struct kg_slice apim_message(enum kg_reason reason, unsigned status, struct kg_slice message)
{
    return status == 401 ? KG_SLICE("Invalid authentication credentials") : message;
}

static void put_apim_body(const struct kg_error_words *words, struct kg_writer *out)
{
    KG_PUT(out, "{\n\"message\": \"");
    kg_put_json(out, words->message);
    KG_PUT(out, "\",\n\"status\": ");
    kg_put_u64(out, words->status);
    KG_PUT(out, "\n}");
}

/* ---- the table ---- */

static const struct {
    struct kg_slice type; /* empty: that of the medium */
    struct kg_slice (*message)(enum kg_reason reason, unsigned status, struct kg_slice message);
    void (*put_body)(const struct kg_error_words *words, struct kg_writer *out);
} styles[] = {
    [KG_ERRORS_KONG] = { { "", 0 }, kong_message, put_kong_body },
    [KG_ERRORS_APISIX] = { { "text/plain; charset=utf-8", 25 }, apisix_message, put_apisix_body },
    [KG_ERRORS_APIM] = { { "application/json", 16 }, apim_message, put_apim_body },
};

struct kg_slice kg_error_style_message(enum kg_error_style style, enum kg_reason reason, unsigned status,
                                       struct kg_slice message)
{
    return styles[style].message(reason, status, message);
}

struct kg_slice kg_error_style_challenge(enum kg_error_style style, enum kg_reason reason,
                                         struct kg_slice challenge, struct kg_writer *scratch)
{
    bool of_key =
        reason == KG_REASON_NO_KEY || reason == KG_REASON_SEVERAL_KEYS || reason == KG_REASON_WRONG_KEY;

    return style == KG_ERRORS_APISIX && of_key ? apisix_challenge(challenge, scratch) : challenge;
}

void kg_error_style_body(enum kg_error_style style, const struct kg_error_words *words, struct kg_writer *out)
{
    styles[style].put_body(words, out);
}

struct kg_slice kg_error_style_type(enum kg_error_style style, enum kg_media media)
{
    return either(styles[style].type, kg_media_type(media));
}
