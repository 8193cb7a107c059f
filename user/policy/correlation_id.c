/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * correlation-id: a header by which a request can be followed from service to service. What the client sends
 * in it stays, when it can be one; else one is made.
 */
#include "policy/policy.h"

#include "base/mem.h"
#include "base/prng.h"
#include "model/checks.h"
#include "model/json.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PRIORITY     100001
#define NAME_MAX_LEN 128 /* of the header's name */
#define KEPT_MAX     256 /* bytes of a client's own value: logs and upstreams are to hold it */

enum generator { UUID, UUID_COUNTER, TRACKER };

struct correlation_id {
    struct kg_slice name;
    enum generator generator;
    bool echo;
};

/* What ids are made from; a thread's own. */
struct source {
    bool ready;
    struct kg_prng prng;
    char uuid[KG_UUID_TEXT];
    uint64_t counter;
};
static __thread struct source own;

/* ---- configuration ---- */

static const char *const generators[] = { "uuid", "uuid#counter", "tracker", NULL };

/* A header that means something to the gateway is written by it alone. X-Request-Id is one that many ask for:
 * then it is this plugin's. */
static const char *check_header_name(const json_t *value, char scratch[256])
{
    struct kg_slice name = kg_json_text(value);
    enum kg_header_id id = kg_header_identify(name);

    if (id != KG_H_OTHER && id != KG_H_X_REQUEST_ID)
        return kg_check_say(scratch, KG_SLICE("'"), name, KG_SLICE("' is written by the gateway itself"));
    return kg_check_hash_header(value, scratch);
}

static const struct kg_field config_fields[] = {
    { .name = "header_name",
      .type = KG_F_STRING,
      .required = true,
      .default_json = "\"Kong-Request-ID\"",
      .max_len = NAME_MAX_LEN,
      .check = check_header_name },
    { .name = "generator",
      .type = KG_F_STRING,
      .required = true,
      .default_json = "\"uuid#counter\"",
      .one_of = generators },
    { .name = "echo_downstream", .type = KG_F_BOOLEAN, .required = true, .default_json = "false" },
    { 0 },
};

static void *compile(const json_t *json)
{
    struct correlation_id *config = kg_calloc(1, sizeof(*config));
    struct kg_slice name = kg_json_text(json_object_get(json, "header_name"));
    const char *generator = json_string_value(json_object_get(json, "generator"));

    config->name = kg_slice_of(kg_strndup(name.ptr, name.len), name.len);
    while (strcmp(generators[config->generator], generator) != 0)
        config->generator++;
    config->echo = json_is_true(json_object_get(json, "echo_downstream"));
    return config;
}

static void release(void *compiled)
{
    struct correlation_id *config = compiled;

    free((char *)(uintptr_t)config->name.ptr);
    free(config);
}

/* ---- making one ---- */

static void make_ready(void)
{
    if (own.ready)
        return;
    kg_prng_seed(&own.prng);
    kg_uuid_random(own.uuid);
    own.ready = true;
}

/* Unique is enough: a system call for each request would be too much. */
static void put_uuid(struct kg_writer *w)
{
    uint64_t words[2] = { kg_prng_next(&own.prng), kg_prng_next(&own.prng) };
    uint8_t bytes[16];
    char text[KG_UUID_TEXT];

    memcpy(bytes, words, sizeof(bytes));
    kg_uuid_text(bytes, text);
    kg_put(w, kg_slice_str(text));
}

static void put_counted(struct kg_writer *w, bool rehearsal)
{
    kg_put(w, kg_slice_str(own.uuid));
    kg_put_char(w, '#');
    kg_put_u64(w, own.counter + 1);
    own.counter += !rehearsal;
}

static struct kg_addr local_address(int fd)
{
    struct sockaddr_storage local = { 0 };
    socklen_t len = sizeof(local);

    if (fd < 0 || getsockname(fd, (struct sockaddr *)&local, &len))
        return (struct kg_addr){ .family = 4 };
    return kg_addr_from_sockaddr((const struct sockaddr *)&local);
}

/* Our address and port, process, connection, request on it, time: as nginx would have it. */
static void put_tracker(struct kg_writer *w, const struct kg_policy_connection *connection)
{
    struct kg_addr local = local_address(connection->fd);
    char text[KG_ADDR_TEXT];
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    kg_put(w, kg_slice_str(kg_addr_text(&local, text)));
    const uint64_t parts[] = { connection->port, (uint64_t)getpid(), connection->number, connection->requests,
                               (uint64_t)now.tv_sec };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        kg_put_char(w, '-');
        kg_put_u64(w, parts[i]);
    }
    /* Three digits: without the one in front of them. */
    size_t dot = w->len;
    kg_put_u64(w, 1000 + (uint64_t)now.tv_nsec / 1000000);
    if (!w->overflow)
        w->buf[dot] = '.';
}

static struct kg_slice make(enum generator generator, struct kg_policy_request *request)
{
    struct kg_writer *w = request->scratch;
    size_t start = w->len;

    make_ready();
    switch (generator) {
    case UUID:
        put_uuid(w);
        break;
    case UUID_COUNTER:
        put_counted(w, request->rehearsal);
        break;
    case TRACKER:
        put_tracker(w, &request->connection);
        break;
    }
    return kg_slice_of(w->buf + start, w->len - start);
}

/* ---- the client's own ---- */

static bool can_be_one(struct kg_slice value)
{
    if (value.len == 0 || value.len > KEPT_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < ' ' || value.ptr[i] > '~')
            return false;
    }
    return true;
}

/* The first of its name, also when that cannot be one: a second one is nobody's intention. */
static struct kg_slice sent_by_client(const struct kg_head *head, struct kg_slice name)
{
    for (size_t i = 0; i < head->count; i++) {
        const struct kg_header *header = &head->headers[i];

        if (!header->hop && kg_slice_eq_nocase(header->name, name))
            return kg_slice_trim(header->value);
    }
    return KG_SLICE("");
}

static void put_line(struct kg_writer *w, struct kg_slice name, struct kg_slice value)
{
    kg_put(w, name);
    KG_PUT(w, ": ");
    kg_put(w, value);
    KG_PUT(w, "\r\n");
}

static bool correlation_id_access(const void *compiled, struct kg_policy_request *request)
{
    const struct correlation_id *config = compiled;
    struct kg_slice value = sent_by_client(request->head, config->name);

    if (!can_be_one(value))
        value = make(config->generator, request);
    put_line(&request->to_upstream, config->name, value);
    if (config->echo)
        put_line(&request->to_client, config->name, value);
    return true;
}

const struct kg_policy kg_policy_correlation_id = {
    .type = { .name = "correlation-id",
              .priority = PRIORITY,
              .config = config_fields,
              .compile = compile,
              .release = release },
    .access = correlation_id_access,
};
