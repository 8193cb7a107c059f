/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/probe.h"

#include "base/mem.h"
#include "http/head.h"
#include "io/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD_MAX 16384 /* of an answer; nobody needs more to say how it is */

enum phase { CONNECTING, SECURING, SENDING, READING };

struct kg_probe_run {
    const struct kg_probe_question *question;
    enum phase phase;
    int fd;
    SSL *ssl;           /* NULL: plain */
    uint32_t waits_for; /* EPOLLIN or EPOLLOUT */
    size_t sent, got;
    char head[HEAD_MAX];
};

static void end(struct kg_probe_run *run)
{
    kg_poller_remove(run->question->poller, run->fd);
    SSL_free(run->ssl);
    close(run->fd);
    free(run);
}

void kg_probe_cancel(struct kg_probe_run *run)
{
    end(run);
}

bool kg_probe_same(const struct kg_probe_question *a, const struct kg_probe_question *b)
{
    return a->addr_len == b->addr_len && memcmp(a->addr, b->addr, a->addr_len) == 0 &&
           kg_slice_eq(a->bytes, b->bytes) && a->tls == b->tls && a->tls_verify == b->tls_verify &&
           strcmp(a->tls_name, b->tls_name) == 0;
}

void kg_probe_hand_over(struct kg_probe_run *run, const struct kg_probe_question *question)
{
    run->question = question;
}

static void finish(struct kg_probe_run *run, enum kg_probe_result result, unsigned status)
{
    const struct kg_probe_question *question = run->question;

    end(run);
    question->done(question->ctx, result, status);
}

/* What OpenSSL's `rc` means: how much, 0 at the end, -EAGAIN with waits_for set, or -EPROTO. */
static ssize_t tls_outcome(struct kg_probe_run *run, int rc)
{
    if (rc > 0)
        return rc;
    int error = SSL_get_error(run->ssl, rc);
    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_WANT_READ:
        run->waits_for = EPOLLIN;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        run->waits_for = EPOLLOUT;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return -EPROTO;
    }
}

static ssize_t send_some(struct kg_probe_run *run)
{
    struct kg_slice bytes = run->question->bytes;

    if (run->ssl)
        return tls_outcome(run, SSL_write(run->ssl, bytes.ptr + run->sent, (int)(bytes.len - run->sent)));
    run->waits_for = EPOLLOUT;
    ssize_t sent = send(run->fd, bytes.ptr + run->sent, bytes.len - run->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

static ssize_t read_some(struct kg_probe_run *run)
{
    char *into = run->head + run->got;
    size_t room = sizeof(run->head) - run->got;

    if (run->ssl)
        return tls_outcome(run, SSL_read(run->ssl, into, (int)room));
    run->waits_for = EPOLLIN;
    ssize_t got = recv(run->fd, into, room, MSG_DONTWAIT);
    return got < 0 ? -errno : got;
}

/* Each step below: 0 to go on with the next, -EAGAIN to wait, another negative number to give up, 1 when the
 * probe is over. */

static int start_tls(struct kg_probe_run *run)
{
    const struct kg_probe_question *question = run->question;

    run->ssl = SSL_new(question->tls);
    if (!run->ssl || SSL_set_fd(run->ssl, run->fd) != 1)
        return -ENOMEM;
    SSL_set_verify(run->ssl, question->tls_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    return kg_tls_expect(run->ssl, question->tls_name) ? 0 : -ENOMEM;
}

static int connecting(struct kg_probe_run *run)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(run->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0)
        return error ? -error : -errno;
    if (run->question->bytes.len == 0) {
        finish(run, KG_PROBE_CONNECTED, 0);
        return 1;
    }
    run->phase = run->question->tls ? SECURING : SENDING;
    return run->question->tls ? start_tls(run) : 0;
}

static int securing(struct kg_probe_run *run)
{
    ssize_t rc = tls_outcome(run, SSL_connect(run->ssl));

    if (rc <= 0)
        return rc < 0 ? (int)rc : -EPROTO;
    run->phase = SENDING;
    return 0;
}

static int sending(struct kg_probe_run *run)
{
    ssize_t sent = send_some(run);

    if (sent <= 0)
        return sent < 0 ? (int)sent : -EPIPE;
    run->sent += (size_t)sent;
    if (run->sent == run->question->bytes.len)
        run->phase = READING;
    return 0;
}

static int reading(struct kg_probe_run *run)
{
    const struct kg_head_limits limits = { .line = 8192, .bytes = HEAD_MAX, .headers = KG_HEADERS_MAX };
    struct kg_head head;
    const char *why;
    ssize_t got = read_some(run);

    if (got <= 0)
        return got < 0 ? (int)got : -ECONNRESET;
    run->got += (size_t)got;
    for (;;) {
        int len = kg_head_parse_response(kg_slice_of(run->head, run->got), &limits, &head, &why);

        if (len <= 0)
            return len < 0 ? -EPROTO : 0;
        if (head.status >= 200) {
            finish(run, KG_PROBE_ANSWERED, head.status);
            return 1;
        }
        /* An interim answer (RFC 9110, 15.2): the one that counts comes behind it. */
        run->got -= (size_t)len;
        memmove(run->head, run->head + len, run->got);
    }
}

static void go_on(void *ctx, uint32_t events)
{
    static int (*const steps[])(struct kg_probe_run *) = {
        [CONNECTING] = connecting, [SECURING] = securing, [SENDING] = sending, [READING] = reading
    };
    struct kg_probe_run *run = ctx;
    int rc;

    do {
        rc = steps[run->phase](run);
    } while (rc == 0);
    if (rc == 1)
        return;
    if (rc == -EAGAIN && kg_poller_modify(run->question->poller, run->fd, run->waits_for) == 0)
        return;
    finish(run, KG_PROBE_FAILED, 0);
}

int kg_probe_start(const struct kg_probe_question *question, struct kg_probe_run **out)
{
    int fd = socket(question->addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -EAGAIN;
    if (connect(fd, question->addr, question->addr_len) < 0 && errno != EINPROGRESS) {
        int rc = errno == EADDRNOTAVAIL ? -EAGAIN : -errno;

        close(fd);
        return rc;
    }
    struct kg_probe_run *run = kg_calloc(1, sizeof(*run));
    run->question = question;
    run->fd = fd;
    if (kg_poller_add(question->poller, fd, EPOLLOUT, go_on, run) < 0) {
        close(fd);
        free(run);
        return -EAGAIN;
    }
    *out = run;
    return 0;
}
