/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection: bytes to a request, a request to an answer, an answer to bytes. */
#include "admin/server.h"

#include "admin/call.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/answer.h"
#include "keygate/version.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_FIRST 4096
#define HEAD_OUT   1024 /* room for the head of any answer */

static const struct kg_head_limits limits = { .line = KG_ADMIN_PATH_MAX,
                                              .bytes = KG_ADMIN_HEAD_MAX,
                                              .headers = 100 };

static void on_conn(void *ctx, uint32_t events);

void kg_conn_open(struct kg_admin *admin, size_t slot, int fd, bool refused)
{
    struct kg_conn *conn = kg_calloc(1, sizeof(*conn));

    KG_ASSERT(!admin->conns[slot]);
    conn->admin = admin;
    conn->fd = fd;
    conn->slot = slot;
    conn->refused = refused;
    conn->deadline = kg_clock_ms() + (refused ? KG_ADMIN_REFUSE_MS : KG_ADMIN_IDLE_MS);
    if (kg_poller_add(admin->parts.poller, fd, EPOLLIN, on_conn, conn) < 0) {
        close(fd);
        free(conn);
        return;
    }
    admin->refused += refused;
    admin->conns[slot] = conn;
}

/* Bodies and answers may hold keys: they do not stay in memory. */
static void drop_body(struct kg_conn *conn)
{
    if (conn->body)
        kg_wipe(conn->body, conn->body_cap);
    free(conn->body);
    conn->admin->bodies -= conn->body_cap;
    conn->body = NULL;
    conn->body_len = conn->body_cap = 0;
}

static void drop_out(struct kg_conn *conn)
{
    if (conn->out)
        kg_wipe(conn->out, conn->out_len);
    free(conn->out);
    conn->out = NULL;
    conn->out_len = conn->out_sent = 0;
}

void kg_conn_close(struct kg_conn *conn)
{
    struct kg_admin *admin = conn->admin;

    kg_poller_remove(admin->parts.poller, conn->fd);
    close(conn->fd);
    drop_body(conn);
    drop_out(conn);
    if (conn->listener)
        kg_events_leave(conn->listener);
    admin->refused -= conn->refused;
    admin->conns[conn->slot] = NULL;
    kg_wipe(conn->input, sizeof(conn->input));
    free(conn);
}

bool kg_conn_idle(const struct kg_conn *conn)
{
    return conn->state == KG_CONN_LINGER ||
           (conn->state == KG_CONN_HEAD && conn->used == 0 && !conn->refused);
}

static void put_head(struct kg_writer *w, const struct kg_conn *conn, const struct kg_call *call,
                     size_t body_len)
{
    char date[30];

    kg_clock_http_date(kg_clock_wall(), date);
    KG_PUT(w, "HTTP/1.1 ");
    kg_put_u64(w, call->status);
    KG_PUT(w, " ");
    kg_put(w, kg_slice_str(kg_status_reason(call->status)));
    KG_PUT(w, "\r\nDate: ");
    kg_put(w, kg_slice_str(date));
    KG_PUT(w, "\r\nServer: keygate/" KG_VERSION "\r\n");
    if (call->json)
        KG_PUT(w, "Content-Type: application/json; charset=utf-8\r\n");
    if (call->text) {
        KG_PUT(w, "Content-Type: ");
        kg_put(w, call->text_type);
        KG_PUT(w, "\r\n");
    }
    /* RFC 9110, 8.6: none in a 204; in a 304 it would be that of a 200. A stream ends with its connection. */
    if (call->status != 204 && call->status != 304 && !call->listener) {
        KG_PUT(w, "Content-Length: ");
        kg_put_u64(w, body_len);
        KG_PUT(w, "\r\n");
    }
    if (call->allow) {
        KG_PUT(w, "Allow: ");
        kg_reply_put_allow(w, call->allow);
        KG_PUT(w, "\r\n");
    }
    if (call->method == KG_METHOD_OPTIONS && call->allow) {
        KG_PUT(w, "Access-Control-Allow-Methods: ");
        kg_reply_put_allow(w, call->allow);
        KG_PUT(w, "\r\nAccess-Control-Allow-Headers: Content-Type\r\n");
    }
    KG_PUT(w, "X-Keygate-Admin-Latency: ");
    kg_put_u64(w, kg_clock_ms() - conn->started);
    if (!conn->keep_alive)
        KG_PUT(w, "\r\nConnection: close");
    else if (conn->head.minor == 0)
        KG_PUT(w, "\r\nConnection: keep-alive");
    KG_PUT(w, "\r\n\r\n");
}

/* Lays the answer out in conn->out and goes on to writing it. Takes over call->json and call->text. */
static void render(struct kg_conn *conn, struct kg_call *call)
{
    char *text = call->json ? json_dumps(call->json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : call->text;
    size_t text_len = text ? strlen(text) : 0;
    struct kg_writer w = kg_writer_of(kg_calloc(1, HEAD_OUT + text_len), HEAD_OUT + text_len);

    put_head(&w, conn, call, text_len);
    if (conn->head.method != KG_METHOD_HEAD)
        kg_put(&w, kg_slice_of(text, text_len));
    KG_ASSERT(!w.overflow);
    if (text)
        kg_wipe(text, text_len);
    free(text);
    json_decref(call->json);
    drop_body(conn);
    conn->out = w.buf;
    conn->out_len = w.len;
    conn->out_sent = 0;
    conn->state = KG_CONN_WRITE;
    conn->deadline = kg_clock_ms() + KG_ADMIN_WRITE_MS;
}

static void wake(void *ctx)
{
    const struct kg_conn *conn = ctx;

    /* A failure shows when the connection is next looked at. */
    if (kg_poller_modify(conn->admin->parts.poller, conn->fd, EPOLLIN | EPOLLOUT) < 0)
        kg_log(KG_LOG_DEBUG, "admin: a listener could not be woken");
}

/* Behind the answer, events follow for as long as the client stays. */
static void begin_stream(struct kg_conn *conn, struct kg_event_listener *listener)
{
    conn->listener = listener;
    conn->state = KG_CONN_STREAM;
    conn->deadline = UINT64_MAX;
    kg_events_on_wake(listener, wake, conn);
}

/* An answer after which the connection cannot go on. why may be NULL. */
static void fail(struct kg_conn *conn, unsigned status, const char *why)
{
    struct kg_call call = { .status = status };

    conn->keep_alive = false;
    if (conn->started == 0)
        conn->started = kg_clock_ms();
    call.json = json_pack("{s:o}", "message",
                          why ? json_sprintf("%s: %s", kg_status_reason(status), why)
                              : json_string(kg_status_reason(status)));
    render(conn, &call);
}

static void answer(struct kg_conn *conn)
{
    struct kg_call *call = kg_calloc(1, sizeof(*call));

    call->parts = &conn->admin->parts;
    call->config_max = conn->admin->config_max;
    call->ban_s = conn->admin->ban_s ? conn->admin->ban_s : KG_ADMIN_BAN_S;
    call->head = &conn->head;
    call->method = conn->head.method == KG_METHOD_HEAD ? KG_METHOD_GET : conn->head.method;
    call->path = conn->target.path;
    call->query = conn->target.query;
    call->body = kg_slice_of(conn->body, conn->body_len);
    kg_admin_dispatch(call);
    json_decref(call->input);
    conn->keep_alive = conn->framing.keep_alive && !call->listener;
    render(conn, call);
    if (call->listener)
        begin_stream(conn, call->listener);
    kg_wipe(call, sizeof(*call));
    free(call);
}

/* Declarative files are larger than any entity. */
static bool is_config(const struct kg_conn *conn)
{
    struct kg_slice path = conn->target.path;

    return conn->head.method == KG_METHOD_POST &&
           (kg_slice_eq(path, KG_SLICE("/config")) || kg_slice_eq(path, KG_SLICE("/config/")));
}

static size_t body_max(const struct kg_conn *conn)
{
    return is_config(conn) ? conn->admin->config_max + KG_ADMIN_CONFIG_MORE : KG_ADMIN_BODY_MAX;
}

/* Of all connections; one declarative file beside the rest, while it is read. */
static size_t bodies_max(const struct kg_conn *conn)
{
    return KG_ADMIN_BODIES_MAX + (is_config(conn) ? body_max(conn) : 0);
}

/* Room for len more bytes of body; false when it has answered instead. The old copy is wiped, so no realloc
 * here. */
static bool grow_body(struct kg_conn *conn, size_t len)
{
    size_t cap = conn->body_cap ? conn->body_cap : BODY_FIRST;
    size_t len_now = conn->body_len;
    char *bigger;

    if (len > body_max(conn) - len_now) {
        fail(conn, 413, NULL);
        return false;
    }
    while (cap - len_now < len)
        cap *= 2;
    /* A long one whose length is known is not copied from place to place; memory counts once it is written.
     */
    if (is_config(conn) && conn->framing.body == KG_BODY_LENGTH && cap < conn->framing.length)
        cap = (size_t)conn->framing.length;
    if (cap == conn->body_cap)
        return true;
    if (cap - conn->body_cap + conn->admin->bodies > bodies_max(conn)) {
        fail(conn, 503, "too many large requests at once");
        return false;
    }
    bigger = kg_calloc(1, cap);
    if (len_now > 0)
        memcpy(bigger, conn->body, len_now);
    drop_body(conn);
    conn->body = bigger;
    conn->body_len = len_now;
    conn->body_cap = cap;
    conn->admin->bodies += cap;
    return true;
}

/* Takes `data` of the `used` bytes behind the head as body; what follows moves up. */
static bool take_body(struct kg_conn *conn, size_t data, size_t used)
{
    char *from = conn->input + conn->head_len;

    if (data > 0 && !grow_body(conn, data))
        return false;
    if (data > 0)
        memcpy(conn->body + conn->body_len, from, data);
    conn->body_len += data;
    conn->used -= used;
    memmove(from, from + used, conn->used - conn->head_len);
    return true;
}

static void read_chunks(struct kg_conn *conn)
{
    size_t have = conn->used - conn->head_len;
    size_t data = 0, used = 0;
    const char *why = NULL;

    if (kg_chunked_decode(&conn->chunked, conn->input + conn->head_len, have, &data, &used, &why) < 0) {
        fail(conn, 400, why);
        return;
    }
    if (take_body(conn, data, used) && conn->chunked.done)
        answer(conn);
}

static void read_length(struct kg_conn *conn)
{
    size_t have = conn->used - conn->head_len;
    size_t data = have < conn->body_left ? have : (size_t)conn->body_left;

    if (!take_body(conn, data, data))
        return;
    conn->body_left -= data;
    if (conn->body_left == 0)
        answer(conn);
}

static void begin_body(struct kg_conn *conn)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (conn->framing.body == KG_BODY_NONE) {
        answer(conn);
        return;
    }
    if (conn->framing.body == KG_BODY_LENGTH && conn->framing.length > body_max(conn)) {
        fail(conn, 413, NULL);
        return;
    }
    conn->state = KG_CONN_BODY;
    conn->body_left = conn->framing.length;
    conn->chunked = (struct kg_chunked){ 0 };
    conn->deadline = kg_clock_ms() + KG_ADMIN_BODY_MS;
    if (conn->framing.expect_continue && conn->used == conn->head_len &&
        send(conn->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(go_on) - 1)
        fail(conn, 503, NULL);
}

/* True when there was a whole head (or no hope for one), false when more bytes are needed. */
static bool read_head(struct kg_conn *conn)
{
    const char *why = NULL;
    int rc;

    if (conn->used == 0)
        return false;
    rc = kg_head_parse_request(kg_slice_of(conn->input, conn->used), &limits, &conn->head, &why);
    if (rc == 0)
        return false;
    conn->started = kg_clock_ms();
    if (conn->refused) {
        fail(conn, 403, "only root and the daemon's group may use the Admin API");
        return true;
    }
    conn->head_len = rc > 0 ? (size_t)rc : 0;
    if (rc > 0)
        rc = kg_framing_request(&conn->head, &conn->framing, &why);
    if (rc == 0)
        rc = kg_target_parse(&conn->head, conn->framing.host, &conn->target, &why);
    if (rc < 0)
        fail(conn, (unsigned)-rc, why);
    else
        begin_body(conn);
    return true;
}

/* Ready for the next request, part of which may be here already. */
static void next_request(struct kg_conn *conn)
{
    conn->used -= conn->head_len;
    memmove(conn->input, conn->input + conn->head_len, conn->used);
    conn->head_len = 0;
    conn->started = 0;
    conn->head.method = KG_METHOD_OTHER;
    conn->state = KG_CONN_HEAD;
    conn->deadline = kg_clock_ms() + (conn->used > 0 ? KG_ADMIN_HEAD_MS : KG_ADMIN_IDLE_MS);
}

/* Closing with bytes unread would reset the connection and could cost the peer our answer: let it close
 * first. */
static void linger(struct kg_conn *conn)
{
    shutdown(conn->fd, SHUT_WR);
    conn->state = KG_CONN_LINGER;
    conn->deadline = kg_clock_ms() + KG_ADMIN_LINGER_MS;
}

/* 0 all of conn->out is written, -EAGAIN not yet, or another -errno. */
static int send_out(struct kg_conn *conn)
{
    while (conn->out_sent < conn->out_len) {
        ssize_t n = send(conn->fd, conn->out + conn->out_sent, conn->out_len - conn->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        conn->out_sent += (size_t)n;
        if (conn->state == KG_CONN_WRITE)
            conn->deadline = kg_clock_ms() + KG_ADMIN_WRITE_MS;
    }
    drop_out(conn);
    return 0;
}

/* Likewise of a stream, for now. */
static int flush_stream(struct kg_conn *conn)
{
    int rc;

    do {
        rc = send_out(conn);
        if (rc == 0)
            conn->out = kg_events_take(conn->listener, &conn->out_len);
    } while (rc == 0 && conn->out);
    return rc;
}

/* Likewise of an answer; then comes the next request, or the end. */
static int flush(struct kg_conn *conn)
{
    int rc = send_out(conn);

    if (rc < 0)
        return rc;
    if (conn->keep_alive)
        next_request(conn);
    else
        linger(conn);
    return 0;
}

/* Goes as far as the bytes that are here allow. False: the connection is closed and gone. */
static bool advance(struct kg_conn *conn)
{
    enum kg_conn_state before;
    int rc = 0;

    do {
        before = conn->state;
        if (conn->state == KG_CONN_HEAD && !read_head(conn))
            break;
        if (conn->state == KG_CONN_BODY && conn->framing.body == KG_BODY_CHUNKED)
            read_chunks(conn);
        else if (conn->state == KG_CONN_BODY)
            read_length(conn);
        if (conn->state == KG_CONN_WRITE)
            rc = flush(conn);
        if (conn->state == KG_CONN_STREAM)
            rc = flush_stream(conn);
    } while (rc == 0 && conn->state != KG_CONN_LINGER &&
             (conn->state != before || conn->state == KG_CONN_HEAD));
    if (rc == 0 || rc == -EAGAIN) {
        uint32_t want = conn->state == KG_CONN_WRITE ? EPOLLOUT : EPOLLIN;

        if (conn->state == KG_CONN_STREAM && conn->out)
            want |= EPOLLOUT;

        if (kg_poller_modify(conn->admin->parts.poller, conn->fd, want) == 0)
            return true;
    }
    kg_conn_close(conn);
    return false;
}

static void receive(struct kg_conn *conn)
{
    ssize_t n;

    if (conn->state == KG_CONN_LINGER || conn->state == KG_CONN_STREAM)
        conn->used = 0;
    n = recv(conn->fd, conn->input + conn->used, sizeof(conn->input) - conn->used, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        kg_conn_close(conn);
        return;
    }
    if (conn->state == KG_CONN_LINGER || conn->state == KG_CONN_STREAM)
        return;
    if (conn->state == KG_CONN_HEAD && conn->used == 0 && !conn->refused)
        conn->deadline = kg_clock_ms() + KG_ADMIN_HEAD_MS;
    conn->used += (size_t)n;
    advance(conn);
}

static void on_conn(void *ctx, uint32_t events)
{
    struct kg_conn *conn = ctx;
    bool streams = conn->state == KG_CONN_STREAM && events == EPOLLOUT;

    if (conn->state == KG_CONN_WRITE && (events & (EPOLLHUP | EPOLLERR)))
        kg_conn_close(conn);
    else if (conn->state == KG_CONN_WRITE || streams)
        advance(conn);
    else
        receive(conn);
}

void kg_conn_tick(struct kg_conn *conn, uint64_t now_ms)
{
    if (now_ms < conn->deadline)
        return;
    if (conn->state == KG_CONN_HEAD && conn->refused)
        fail(conn, 403, "only root and the daemon's group may use the Admin API");
    else if (conn->state == KG_CONN_BODY || (conn->state == KG_CONN_HEAD && conn->used > 0))
        fail(conn, 408, NULL);
    if (conn->state == KG_CONN_WRITE && conn->out_sent == 0 && now_ms < conn->deadline)
        advance(conn);
    else
        kg_conn_close(conn);
}
