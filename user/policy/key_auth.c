/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key-auth: who a request comes from, by the key in a header, a query argument or a field of its body, found
 * as Kong finds it.
 * Keys are compared by their HMAC alone; looking one up costs the same whether it is known, unknown or
 * expired.
 */
#include "base/mem.h"
#include "base/writer.h"
#include "http/json_object.h"
#include "model/checks.h"
#include "policy/challenge.h"
#include "policy/key_body.h"

#include <stdio.h>
#include <stdlib.h>

#define PRIORITY 1250

struct key_name {
    struct kg_slice name;   /* as configured: arguments and fields must equal it, headers ignoring case */
    struct kg_slice dashed; /* with '-' for '_': the other spelling that a header may have */
};

struct key_auth {
    struct key_name *names;
    size_t name_count;
    bool in_header, in_query, in_body, hide_credentials, run_on_preflight;
    struct kg_slice challenge; /* WWW-Authenticate */
    struct kg_slice anonymous; /* the consumer for those without a good key; empty: they are refused */
    char *text;                /* what all slices point into */
};

/* ---- configuration ---- */

static bool is_name_byte(char c)
{
    char lower = kg_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static const char *check_key_name(const json_t *value, char scratch[256])
{
    const char *name = json_string_value(value);

    for (size_t i = 0; i < json_string_length(value); i++) {
        if (is_name_byte(name[i]))
            continue;
        snprintf(scratch, 256, "bad header name '%.150s', allowed characters are A-Z, a-z, 0-9, '_', and '-'",
                 name);
        return scratch;
    }
    return NULL;
}

static char default_names[KG_KEY_NAME_MAX + sizeof("[\"\"]")] = "[\"apikey\"]"; /* JSON */

static const struct kg_field config_fields[] = {
    { .name = "key_names",
      .type = KG_F_STRING_SET,
      .required = true,
      .default_json = default_names,
      .check = check_key_name },
    { .name = "key_in_header", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" },
    { .name = "key_in_query", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" },
    { .name = "key_in_body", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    { .name = "anonymous", .type = KG_F_STRING, .check = kg_check_identity },
    { .name = "hide_credentials", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    { .name = "run_on_preflight", .type = KG_F_BOOLEAN, .required = true, .default_json = "true" },
    { .name = "realm", .type = KG_F_STRING, .check = kg_check_realm },
    { 0 },
};

bool kg_key_auth_set_default(struct kg_slice name)
{
    if (name.len == 0 || name.len > KG_KEY_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.ptr[i]))
            return false;
    }
    snprintf(default_names, sizeof(default_names), "[\"%.*s\"]", (int)name.len, name.ptr);
    return true;
}

static struct kg_slice put_copy(struct kg_writer *w, struct kg_slice text)
{
    size_t start = w->len;

    kg_put(w, text);
    return kg_slice_of(w->buf + start, text.len);
}

static struct kg_slice put_dashed(struct kg_writer *w, struct kg_slice name)
{
    struct kg_slice copy = put_copy(w, name);

    for (size_t i = w->len - name.len; i < w->len; i++) {
        if (w->buf[i] == '_')
            w->buf[i] = '-';
    }
    return copy;
}

static struct kg_slice put_challenge(struct kg_writer *w, struct kg_slice realm)
{
    size_t start = w->len;

    KG_PUT(w, "Key");
    if (realm.len > 0) {
        kg_put_char(w, ' ');
        kg_put_realm(w, realm);
    }
    return kg_slice_of(w->buf + start, w->len - start);
}

static struct kg_slice string_of(const json_t *value)
{
    return kg_slice_of(json_string_value(value), json_string_length(value));
}

static void *compile(const json_t *json)
{
    struct key_auth *config = kg_calloc(1, sizeof(*config));
    const json_t *names = json_object_get(json, "key_names");
    struct kg_slice realm = string_of(json_object_get(json, "realm"));
    struct kg_slice anonymous = string_of(json_object_get(json, "anonymous"));
    size_t room = 2 * realm.len + sizeof("Key realm=\"\"") + anonymous.len;

    config->in_header = json_is_true(json_object_get(json, "key_in_header"));
    config->in_query = json_is_true(json_object_get(json, "key_in_query"));
    config->in_body = json_is_true(json_object_get(json, "key_in_body"));
    config->hide_credentials = json_is_true(json_object_get(json, "hide_credentials"));
    config->run_on_preflight = json_is_true(json_object_get(json, "run_on_preflight"));
    config->name_count = json_array_size(names);
    config->names = kg_calloc(config->name_count, sizeof(*config->names));
    for (size_t i = 0; i < config->name_count; i++)
        room += 2 * json_string_length(json_array_get(names, i));
    config->text = kg_calloc(room, 1);
    struct kg_writer w = kg_writer_of(config->text, room);
    for (size_t i = 0; i < config->name_count; i++) {
        config->names[i].name = put_copy(&w, string_of(json_array_get(names, i)));
        config->names[i].dashed = put_dashed(&w, config->names[i].name);
    }
    config->challenge = put_challenge(&w, realm);
    config->anonymous = put_copy(&w, anonymous);
    return config;
}

static void release(void *compiled)
{
    struct key_auth *config = compiled;

    free(config->names);
    free(config->text);
    free(config);
}

/* ---- finding the key ---- */

struct find {
    enum kg_found found;
    const struct key_name *name; /* that decided */
    struct kg_slice value;
    enum kg_key_coding coding; /* of value */
};

/* What the head holds under one spelling. Hop-by-hop headers are not there: they end here by the sender's own
 * word. */
static unsigned look_for_header(const struct kg_head *head, struct kg_slice name, struct kg_slice *value)
{
    unsigned count = 0;

    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];
        if (header->hop || !kg_slice_eq_nocase(header->name, name))
            continue;
        if (count++ == 0)
            *value = kg_slice_trim(header->value);
    }
    return count;
}

static bool find_in_header(const struct kg_head *head, const struct key_name *name, struct find *find)
{
    unsigned count = look_for_header(head, name->name, &find->value);

    if (count == 0)
        count = look_for_header(head, name->dashed, &find->value);
    if (count == 0)
        return false;
    find->found = count > 1 ? KG_FOUND_SEVERAL : KG_FOUND_KEY;
    return true;
}

static void find_in_query(struct kg_slice query, const struct key_name *name, struct find *find)
{
    bool bare = false;
    int count = kg_query_find(query, name->name, &find->value, &bare);

    find->coding = KG_KEY_PERCENT;
    if (count > 1)
        find->found = KG_FOUND_SEVERAL;
    /* "?apikey" without '=' is there, but is no key: the next name's turn, as in Kong. */
    else if (count == 1)
        find->found = bare ? KG_FOUND_OTHER : KG_FOUND_KEY;
}

/* Whether the body has to be read before anything can be said: it is asked for then. */
static bool awaits_body(struct kg_policy_request *request)
{
    request->payload.wanted =
        request->payload.obtainable && kg_key_body_of(request->head).kind != KG_KEY_BODY_OTHER;
    return request->payload.wanted;
}

static void find_in_body(const struct kg_policy_request *request, struct find *find)
{
    struct kg_slice bytes = kg_slice_of(request->payload.ptr, request->payload.len);
    struct kg_key_field field;

    if (!request->payload.ptr)
        return;
    field = kg_key_body_find(kg_key_body_of(request->head), bytes, find->name->name);
    find->found = field.found;
    find->value = field.value;
    find->coding = field.coding;
}

/* Name by name, header before query before body; what is found first decides, also when it is empty or twice
 * there. */
static struct find look(const struct key_auth *config, struct kg_policy_request *request)
{
    for (size_t i = 0; i < config->name_count; i++) {
        struct find find = { .name = &config->names[i] };
        if (config->in_header && find_in_header(request->head, find.name, &find))
            return find;
        if (config->in_query && request->has_query)
            find_in_query(request->query, find.name, &find);
        if (find.found == KG_FOUND_NOTHING && config->in_body) {
            if (awaits_body(request))
                return find;
            find_in_body(request, &find);
        }
        if (find.found > KG_FOUND_OTHER)
            return find;
    }
    return (struct find){ .found = KG_FOUND_NOTHING };
}

/* Nothing counts while the body is wanted, which also holds what is to be hidden wherever the key is. */
static struct find find_key(const struct key_auth *config, struct kg_policy_request *request)
{
    struct find find = look(config, request);

    if (find.found != KG_FOUND_NOTHING && config->in_body && config->hide_credentials)
        awaits_body(request);
    return find;
}

/* ---- hiding it ---- */

static bool same_header(struct kg_slice a, struct kg_slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        char x = a.ptr[i] == '_' ? '-' : kg_lower(a.ptr[i]);
        char y = b.ptr[i] == '_' ? '-' : kg_lower(b.ptr[i]);
        if (x != y)
            return false;
    }
    return true;
}

/*
 * Takes the deciding name out of headers, in both spellings (an upstream may fold them into one), out of the
 * query and, where keys are looked for in it, out of the body, wherever the key was. False when the scratch
 * space is too small: then nothing may go upstream.
 */
static bool hide(const struct key_auth *config, const struct key_name *name,
                 struct kg_policy_request *request)
{
    struct kg_writer *scratch = request->scratch;
    struct kg_slice value;
    size_t start = scratch->len;
    bool bare;

    for (size_t i = 0; i < request->head->count; i++) {
        struct kg_header *header = &request->head->headers[i];
        if (same_header(header->name, name->name))
            header->hop = true;
    }
    if (config->in_body && request->payload.ptr)
        kg_key_body_remove(kg_key_body_of(request->head), &request->payload, name->name);
    if (!request->has_query || kg_query_find(request->query, name->name, &value, &bare) == 0)
        return true;
    kg_query_remove(request->query, name->name, scratch);
    if (scratch->overflow)
        return false;
    request->query = kg_slice_of(scratch->buf + start, scratch->len - start);
    request->has_query = request->query.len > 0;
    return true;
}

/* ---- judging it ---- */

static bool refuse(const struct key_auth *config, struct kg_policy_request *request, enum kg_reason reason)
{
    static const struct kg_slice messages[] = {
        [KG_REASON_NO_KEY] = { "No API key found in request", 27 },
        [KG_REASON_SEVERAL_KEYS] = { "Duplicate API key found", 23 },
        [KG_REASON_WRONG_KEY] = { "Unauthorized", 12 },
    };

    request->www_authenticate = config->challenge;
    kg_policy_signal(request, reason == KG_REASON_NO_KEY ? KG_SIGNAL_MISSING_KEY : KG_SIGNAL_WRONG_KEY);
    kg_policy_answer(request, 401, messages[reason]);
    request->reason = reason;
    return config->anonymous.len > 0 && kg_policy_go_anonymous(request, config->anonymous);
}

/* What is not asked for a key: a preflight request that is exempt, and, where an anonymous consumer makes
 * this plugin one of several of which one is enough, whoever has shown another one a credential. */
static bool is_exempt(const struct key_auth *config, const struct kg_policy_request *request)
{
    if (config->anonymous.len > 0 && kg_policy_has_credential(request))
        return true;
    return request->head->method == KG_METHOD_OPTIONS && !config->run_on_preflight;
}

static bool decode(const struct find *find, struct kg_writer *out)
{
    return find->coding == KG_KEY_JSON ? kg_json_string_decode(find->value, out)
                                       : kg_query_decode(find->value, out);
}

/* Whether the key was given at all (it may be empty); its MAC. False when the scratch space is too small. */
static bool hash_key(const struct find *find, struct kg_policy_request *request, bool *empty, uint8_t mac[32])
{
    /* Decoded behind what scratch holds, and wiped at once: the key itself is needed no longer than this. */
    const struct kg_writer *scratch = request->scratch;
    struct kg_writer decoded = kg_writer_of(scratch->buf + scratch->len, scratch->cap - scratch->len);
    bool plain = find->coding == KG_KEY_PLAIN;
    bool fits = plain || decode(find, &decoded);
    struct kg_slice key = plain ? find->value : kg_writer_slice(&decoded);

    *empty = key.len == 0;
    kg_key_hasher_mac(request->hasher, key, mac);
    kg_wipe(decoded.buf, decoded.len);
    return fits;
}

static bool is_valid(const struct kg_credential *credential, int64_t now_wall)
{
    return credential && (credential->expires_wall == 0 || credential->expires_wall > now_wall);
}

static bool judge(const struct key_auth *config, struct kg_policy_request *request, const uint8_t mac[32])
{
    const struct kg_credential *credential = kg_snapshot_credential(request->snapshot, mac);

    if (!is_valid(credential, request->now_wall))
        return refuse(config, request, KG_REASON_WRONG_KEY);
    /* Not by its NUL, which would have to be fetched from memory. */
    struct kg_slice id = kg_slice_of(credential->id, KG_UUID_TEXT - 1);
    request->principal = (struct kg_principal){
        .consumer = credential->consumer,
        .key = credential,
        .credential_id = id,
        .credential_identifier = credential->name.len ? credential->name : id,
    };
    return true;
}

static bool key_auth_access(const void *compiled, struct kg_policy_request *request)
{
    const struct key_auth *config = compiled;
    bool exempt = is_exempt(config, request), empty = true;
    uint8_t mac[32];

    /* Nothing to find, nothing to hide: nor is a body waited for. */
    if (exempt && !config->hide_credentials)
        return true;
    struct find find = find_key(config, request);
    if (request->payload.wanted)
        return false;
    /* Before the query and the body are rewritten: find.value may point into them. */
    if (find.found == KG_FOUND_KEY && !exempt && !hash_key(&find, request, &empty, mac))
        return kg_policy_fail(request);
    /* Also when the plugin leaves early or refuses: a key that was shown goes no further. */
    if (find.found != KG_FOUND_NOTHING && config->hide_credentials && !hide(config, find.name, request))
        return kg_policy_fail(request);
    if (exempt)
        return true;
    if (find.found == KG_FOUND_SEVERAL)
        return refuse(config, request, KG_REASON_SEVERAL_KEYS);
    if (empty)
        return refuse(config, request, KG_REASON_NO_KEY);
    return judge(config, request, mac);
}

static bool key_auth_is_secret(const void *compiled, struct kg_slice name)
{
    const struct key_auth *config = compiled;

    for (size_t i = 0; i < config->name_count; i++) {
        if (same_header(name, config->names[i].name))
            return true;
    }
    return false;
}

const struct kg_policy kg_policy_key_auth = {
    .type = { .name = "key-auth",
              .priority = PRIORITY,
              .config = config_fields,
              .no_consumer = true,
              .compile = compile,
              .release = release },
    .access = key_auth_access,
    .is_secret = key_auth_is_secret,
};
