/* SPDX-License-Identifier: BSD-2-Clause */
/* One HTTP/1.1 exchange over the daemon's UNIX socket, blocking, with the same strict parser as the daemon's.
 */
#include "keyctl/keyctl.h"

#include "base/mem.h"
#include "base/writer.h"
#include "http/chunked.h"
#include "http/framing.h"
#include "keygate/version.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define LONG_S      600 /* what a large declarative file may take */
#define HEAD_MAX    16384
#define REQUEST_MAX 16384
#define BODY_MAX    (64u << 20)
#define TEXT_MAX    (4ul << 30) /* of a dump */

static const struct kg_head_limits limits = { .line = 1024, .bytes = HEAD_MAX, .headers = 100 };

static time_t patience_s = 30;

void set_patience(unsigned seconds)
{
    patience_s = seconds;
}

/* What has been read: the head first, the body behind it. */
struct reading {
    int fd;
    char *buf; /* owned */
    size_t len, cap, max;
    struct kg_head head;
    struct kg_response_framing framing;
};

static int unreachable(const char *path, const char *why)
{
    fprintf(stderr, "keyctl: cannot reach the daemon at %s: %s\n", path, why);
    return KG_CTL_UNREACHABLE;
}

static int connect_failed(const char *path, int errnum)
{
    if (errnum == ENOENT)
        return unreachable(path, "there is no such socket; is keygated running?");
    if (errnum == ECONNREFUSED)
        return unreachable(path, "nobody answers; is keygated running?");
    if (errnum == EACCES)
        return unreachable(path, "permission denied; only root and the daemon's group may use it");
    return unreachable(path, strerror(errnum));
}

static int open_socket(const char *path, time_t timeout_s, int *fd)
{
    const struct timeval timeout = { .tv_sec = timeout_s };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(address.sun_path))
        return unreachable(path, "the path of a socket has 1 to 107 bytes");
    memcpy(address.sun_path, path, len);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return unreachable(path, strerror(errno));
    if (setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
        setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
        connect(*fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        int errnum = errno;

        close(*fd);
        return connect_failed(path, errnum);
    }
    return 0;
}

static int send_all(int fd, struct kg_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes = kg_slice_of(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return 0;
}

/* A daemon that has answered and closed before it read all is no failure here: its answer says what it is. */
static int send_request(int fd, const struct question *question)
{
    char head[REQUEST_MAX];
    struct kg_writer w = kg_writer_of(head, sizeof(head));
    int rc;

    kg_put(&w, kg_slice_str(question->method));
    KG_PUT(&w, " ");
    kg_put(&w, kg_slice_str(question->path));
    KG_PUT(&w, " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: keyctl/" KG_VERSION
               "\r\nConnection: close\r\nAccept: ");
    kg_put(&w, kg_slice_str(question->accept));
    KG_PUT(&w, "\r\n");
    if (question->type) {
        KG_PUT(&w, "Content-Type: ");
        kg_put(&w, kg_slice_str(question->type));
        KG_PUT(&w, "\r\nContent-Length: ");
        kg_put_u64(&w, question->body.len);
        KG_PUT(&w, "\r\n");
    }
    KG_PUT(&w, "\r\n");
    if (w.overflow)
        return -ENAMETOOLONG;
    rc = send_all(fd, kg_writer_slice(&w));
    if (rc == 0)
        rc = send_all(fd, question->body);
    return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
}

/* Reads once: the number of bytes, 0 at the end, or -errno. */
static ssize_t read_some(struct reading *r)
{
    ssize_t n;

    if (r->len == r->cap && r->cap >= r->max)
        return -EMSGSIZE;
    if (r->len == r->cap) {
        r->cap = r->cap ? r->cap * 2 : HEAD_MAX;
        r->buf = kg_realloc(r->buf, r->cap, 1);
    }
    do
        n = recv(r->fd, r->buf + r->len, r->cap - r->len, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    r->len += (size_t)n;
    return n;
}

static int read_head(struct reading *r, bool to_head)
{
    const char *why = NULL;
    int parsed = 0;

    while (parsed == 0) {
        ssize_t n = read_some(r);

        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
        parsed = kg_head_parse_response(kg_slice_of(r->buf, r->len), &limits, &r->head, &why);
    }
    if (parsed < 0 || kg_framing_response(&r->head, to_head, &r->framing, &why) < 0)
        return -EPROTO;
    /* The body takes the head's place in the buffer; nothing of the head but its status is needed. */
    r->len -= (size_t)parsed;
    memmove(r->buf, r->buf + parsed, r->len);
    return 0;
}

static int read_length(struct reading *r)
{
    while (r->len < r->framing.length) {
        ssize_t n = read_some(r);

        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
    r->len = (size_t)r->framing.length;
    return 0;
}

static int read_to_end(struct reading *r)
{
    ssize_t n;

    do
        n = read_some(r);
    while (n > 0);
    return (int)n;
}

static int read_chunks(struct reading *r)
{
    struct kg_chunked chunked = { 0 };
    size_t decoded = 0;

    for (;;) {
        size_t data = 0, used = 0;
        const char *why;
        ssize_t n;

        if (kg_chunked_decode(&chunked, r->buf + decoded, r->len - decoded, &data, &used, &why) < 0)
            return -EPROTO;
        r->len = decoded += data;
        if (chunked.done)
            return 0;
        n = read_some(r);
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
}

static int read_answer(struct reading *r, bool to_head)
{
    int rc;

    do
        rc = read_head(r, to_head);
    while (rc == 0 && r->head.status < 200);
    if (rc < 0)
        return rc;
    switch (r->framing.body) {
    case KG_BODY_LENGTH:
        return read_length(r);
    case KG_BODY_CHUNKED:
        return read_chunks(r);
    case KG_BODY_CLOSE:
        return read_to_end(r);
    default:
        r->len = 0;
        return 0;
    }
}

static const char *explain(int errnum)
{
    if (errnum == EAGAIN)
        return "it does not answer";
    if (errnum == EPROTO)
        return "what answers there is not HTTP";
    if (errnum == ECONNRESET)
        return "it hung up";
    return strerror(errnum);
}

/* One exchange: what came back is in r, to be forgotten; 0, or KG_CTL_UNREACHABLE having said why. */
static int exchange(const char *socket_path, const struct question *question, time_t timeout_s,
                    struct reading *r)
{
    int rc = open_socket(socket_path, timeout_s, &r->fd);

    if (rc != 0)
        return rc;
    rc = send_request(r->fd, question);
    if (rc == 0)
        rc = read_answer(r, strcmp(question->method, "HEAD") == 0);
    close(r->fd);
    return rc < 0 ? unreachable(socket_path, explain(-rc)) : 0;
}

static void forget(struct reading *r)
{
    if (r->buf)
        kg_wipe(r->buf, r->cap);
    free(r->buf);
}

static int parse_answer(const char *socket_path, const struct reading *r, struct answer *answer)
{
    answer->status = r->head.status;
    if (r->len > 0)
        answer->json = json_loadb(r->buf, r->len, 0, NULL);
    return r->len > 0 && !answer->json ? unreachable(socket_path, explain(EPROTO)) : 0;
}

int ask(const char *socket_path, const char *method, const char *path, const json_t *body,
        struct answer *answer)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    const struct question question = { .method = method,
                                       .path = path,
                                       .type = text ? "application/json" : NULL,
                                       .accept = "application/json",
                                       .body = kg_slice_str(text) };
    struct reading r = { .max = HEAD_MAX + BODY_MAX };
    int rc = exchange(socket_path, &question, patience_s, &r);

    *answer = (struct answer){ 0 };
    if (text)
        kg_wipe(text, strlen(text));
    free(text);
    if (rc == 0)
        rc = parse_answer(socket_path, &r, answer);
    forget(&r);
    return rc;
}

int ask_at_length(const char *socket_path, const struct question *question, struct answer *answer)
{
    struct reading r = { .max = TEXT_MAX };
    int rc = exchange(socket_path, question, LONG_S, &r);
    bool text = strcmp(question->accept, "application/json") != 0 && r.head.status == 200;

    *answer = (struct answer){ .status = r.head.status };
    if (rc == 0 && text) {
        answer->text = kg_slice_of(r.buf, r.len);
        return 0;
    }
    if (rc == 0)
        rc = parse_answer(socket_path, &r, answer);
    forget(&r);
    return rc;
}

/* The body as it comes, to its end. */
static int pass_on(struct reading *r, void (*take)(void *ctx, struct kg_slice bytes), void *ctx)
{
    ssize_t n = 1;

    while (n > 0) {
        if (r->len > 0)
            take(ctx, kg_slice_of(r->buf, r->len));
        r->len = 0;
        n = read_some(r);
    }
    return (int)n;
}

int ask_stream(const char *socket_path, const char *path, bool patient,
               void (*take)(void *ctx, struct kg_slice bytes), void *ctx, struct answer *answer)
{
    const struct timeval never = { 0 };
    const struct question question = { .method = "GET", .path = path, .accept = "application/json" };
    struct reading r = { .max = HEAD_MAX + BODY_MAX };
    int rc = open_socket(socket_path, patience_s, &r.fd);

    *answer = (struct answer){ 0 };
    if (rc != 0)
        return rc;
    rc = send_request(r.fd, &question);
    if (rc == 0)
        rc = read_head(&r, false);
    answer->status = r.head.status;
    if (rc == 0 && patient && setsockopt(r.fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never)) < 0)
        rc = -errno;
    if (rc == 0 && answer->status == 200)
        rc = pass_on(&r, take, ctx);
    else if (rc == 0)
        rc = read_to_end(&r);
    if (rc == 0 && r.len > 0)
        answer->json = json_loadb(r.buf, r.len, 0, NULL);
    close(r.fd);
    free(r.buf);
    return rc < 0 ? unreachable(socket_path, explain(-rc)) : 0;
}

void put_segment(char *path, size_t cap, const char *segment)
{
    static const char digits[] = "0123456789ABCDEF";
    struct kg_writer w = kg_writer_of(path, cap - 1);

    w.len = strlen(path);
    KG_PUT(&w, "/");
    for (; *segment; segment++) {
        unsigned char c = (unsigned char)*segment;
        char triplet[3] = { '%', digits[c >> 4], digits[c & 15] };
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~:", c);

        kg_put(&w, plain ? kg_slice_of(segment, 1) : kg_slice_of(triplet, 3));
    }
    path[w.len] = '\0';
}
