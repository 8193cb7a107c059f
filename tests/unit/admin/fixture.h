/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real Admin API over a real socket in a folder of its own, on the real store and model, and a client
 * that drives it: both in one thread, the client turning the server's poller while it waits.
 */
#ifndef KG_TESTS_ADMIN_FIXTURE_H
#define KG_TESTS_ADMIN_FIXTURE_H

#include "admin/admin.h"
#include "base/clock.h"
#include "policy/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 10000
#define ANSWER_MAX  (1 << 20)

struct api {
    char dir[64];
    char socket[96];
    const char *group;
    struct kg_guard *guard;
    struct kg_poller *poller;
    struct kg_store *store;
    struct kg_model *model;
    struct kg_admin *admin;
    int published;
};

struct reply {
    unsigned status;
    char head[8192];
    char *body; /* NUL-terminated */
    json_t *json;
};

static inline void count_publish(void *ctx)
{
    ((struct api *)ctx)->published++;
}

static inline void add_figures(void *ctx, json_t *into)
{
    json_object_set_new(into, "workers", json_integer(2));
}

static inline int open_api(struct api *api, struct kg_admin **admin, struct kg_error *err)
{
    const struct kg_admin_config config = { .socket_path = api->socket, .group = api->group, .ban_s = 77 };
    const struct kg_admin_parts parts = { .poller = api->poller,
                                          .store = api->store,
                                          .model = api->model,
                                          .guard = api->guard,
                                          .publish = count_publish,
                                          .status = add_figures,
                                          .ctx = api };

    return kg_admin_open(&config, &parts, admin, err);
}

static inline void start_api(struct api *api)
{
    struct kg_error err = { "" };

    snprintf(api->dir, sizeof(api->dir), "/tmp/keygate-test-XXXXXX");
    assert_non_null(mkdtemp(api->dir));
    snprintf(api->socket, sizeof(api->socket), "%s/run/admin.sock", api->dir);
    if (!api->group)
        api->group = "root";
    assert_int_equal(kg_poller_new(&api->poller, &err), 0);
    if (kg_store_open(api->dir, &api->store, &err) < 0)
        fail_msg("%s", err.text);
    api->model = kg_model_new(NULL);
    if (open_api(api, &api->admin, &err) < 0)
        fail_msg("%s", err.text);
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    return remove(path);
}

static inline void stop_api(struct api *api)
{
    kg_admin_close(api->admin);
    kg_model_free(api->model);
    kg_store_close(api->store);
    kg_poller_free(api->poller);
    nftw(api->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    memset(api, 0, sizeof(*api));
}

static inline int set_up(void **state)
{
    static struct api api;

    memset(&api, 0, sizeof(api));
    start_api(&api);
    *state = &api;
    return 0;
}

static inline int tear_down(void **state)
{
    stop_api(*state);
    return 0;
}

static inline int dial_path(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline int dial(struct api *api)
{
    return dial_path(api->socket);
}

static inline void say(struct api *api, int fd, const char *bytes, size_t len)
{
    uint64_t end = kg_clock_ms() + PATIENCE_MS;

    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        assert_true(kg_clock_ms() < end);
        kg_poller_step(api->poller, 5);
    }
}

static inline void say_text(struct api *api, int fd, const char *text)
{
    say(api, fd, text, strlen(text));
}

/* Waits for bytes: how many, 0 at the end of the connection. */
static inline size_t hear(struct api *api, int fd, char *buf, size_t cap)
{
    uint64_t end = kg_clock_ms() + PATIENCE_MS;

    for (;;) {
        ssize_t n = recv(fd, buf, cap, 0);

        if (n >= 0)
            return (size_t)n;
        if (errno == ECONNRESET)
            return 0;
        assert_int_equal(errno, EAGAIN);
        if (kg_clock_ms() > end)
            fail_msg("the server does not answer");
        kg_poller_step(api->poller, 5);
    }
}

static inline bool at_end(struct api *api, int fd)
{
    char byte;

    return hear(api, fd, &byte, 1) == 0;
}

/* Reads one answer and not a byte more. */
static inline struct reply hear_reply_to(struct api *api, int fd, bool to_head)
{
    struct reply reply = { 0 };
    size_t len = 0, want = 0;
    const char *length;

    while (len < 4 || memcmp(reply.head + len - 4, "\r\n\r\n", 4) != 0) {
        assert_true(len < sizeof(reply.head) - 1);
        assert_int_equal(hear(api, fd, reply.head + len, 1), 1);
        len++;
    }
    assert_int_equal(sscanf(reply.head, "HTTP/1.1 %u ", &reply.status), 1);
    length = strstr(reply.head, "\r\nContent-Length: ");
    if (length && !to_head)
        assert_int_equal(sscanf(length, "\r\nContent-Length: %zu", &want), 1);
    assert_true(want < ANSWER_MAX);
    reply.body = calloc(1, want + 1);
    for (len = 0; len < want;) {
        size_t n = hear(api, fd, reply.body + len, want - len);

        assert_true(n > 0);
        len += n;
    }
    reply.json = json_loads(reply.body, JSON_DECODE_ANY, NULL);
    return reply;
}

static inline struct reply hear_reply(struct api *api, int fd)
{
    return hear_reply_to(api, fd, false);
}

static inline void drop(struct reply *reply)
{
    json_decref(reply->json);
    free(reply->body);
    *reply = (struct reply){ 0 };
}

/* One request on a connection of its own; type NULL: no Content-Type; body NULL: no body. */
static inline struct reply send_as(struct api *api, const char *method, const char *path, const char *type,
                                   const char *body)
{
    int fd = dial(api);
    char head[4096];
    struct reply reply;
    int len = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path);

    if (type)
        len += snprintf(head + len, sizeof(head) - (size_t)len, "Content-Type: %s\r\n", type);
    if (body)
        len += snprintf(head + len, sizeof(head) - (size_t)len, "Content-Length: %zu\r\n", strlen(body));
    len += snprintf(head + len, sizeof(head) - (size_t)len, "\r\n");
    say(api, fd, head, (size_t)len);
    if (body)
        say_text(api, fd, body);
    reply = hear_reply_to(api, fd, strcmp(method, "HEAD") == 0);
    close(fd);
    return reply;
}

static inline struct reply send_json(struct api *api, const char *method, const char *path, const char *body)
{
    return send_as(api, method, path, body ? "application/json" : NULL, body);
}

/* The status of a request whose body does not matter. */
static inline unsigned status_of(struct api *api, const char *method, const char *path, const char *body)
{
    struct reply reply = send_json(api, method, path, body);
    unsigned status = reply.status;

    drop(&reply);
    return status;
}

static inline void expect_text(struct api *api, const char *method, const char *path, const char *body,
                               unsigned status, const char *text)
{
    struct reply reply = send_json(api, method, path, body);

    assert_string_equal(reply.body, text);
    assert_int_equal(reply.status, status);
    drop(&reply);
}

/* The answer is this JSON but for id and timestamps, which must be there; returns the id. */
static inline const char *expect_entity(struct api *api, const char *method, const char *path,
                                        const char *body, unsigned status, const char *want)
{
    static char id[40];
    struct reply reply = send_json(api, method, path, body);
    json_t *wanted = json_loads(want, 0, NULL);
    char *got;

    assert_non_null(wanted);
    assert_true(json_is_object(reply.json));
    snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(reply.json, "id")));
    assert_true(kg_uuid_valid(kg_slice_str(id)));
    assert_true(json_integer_value(json_object_get(reply.json, "created_at")) >= kg_clock_wall() - 10);
    json_object_del(reply.json, "id");
    json_object_del(reply.json, "created_at");
    json_object_del(reply.json, "updated_at");
    got = json_dumps(reply.json, JSON_COMPACT);
    if (!json_equal(reply.json, wanted))
        fail_msg("got  %s\nwant %s", got, want);
    free(got);
    assert_int_equal(reply.status, status);
    json_decref(wanted);
    drop(&reply);
    return id;
}

/* A member of an answer, "" when it is not a string; path is one name or "name.name". */
static inline const char *member(const struct reply *reply, const char *path)
{
    const char *dot = strchr(path, '.');
    const json_t *value =
        dot ? json_object_get(json_object_getn(reply->json, path, (size_t)(dot - path)), dot + 1)
            : json_object_get(reply->json, path);

    return json_is_string(value) ? json_string_value(value) : "";
}

#endif
