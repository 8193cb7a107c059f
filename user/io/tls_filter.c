/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/tls_filter.h"

#include "base/assert.h"
#include "base/mem.h"
#include "io/tls.h"
#include "io/tls_state.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <unistd.h>

/* What a peer may send before the handshake is over: some times the largest that is of use. */
#define HANDSHAKE_MAX (128 * 1024)
/* The most that one record holds (RFC 8446, 5.1): smaller pieces are put together up to this. */
#define RECORD_MAX 16384

struct kg_tls_ring {
    struct kg_tls *work;
    char *plain;  /* what is delivered, at most a receive buffer's worth */
    char *gather; /* small pieces on their way into one record */
};

static struct kg_tls *of_ssl(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

static void enlist(struct kg_tls *tls)
{
    struct kg_tls_ring *shared = tls->sock->ring->tls;

    if (tls->link)
        return;
    tls->next = shared->work;
    tls->link = &shared->work;
    if (tls->next)
        tls->next->link = &tls->next;
    shared->work = tls;
}

static void delist(struct kg_tls *tls)
{
    if (!tls->link)
        return;
    *tls->link = tls->next;
    if (tls->next)
        tls->next->link = tls->link;
    tls->next = NULL;
    tls->link = NULL;
}

static void on_message(int written, int version, int type, const void *ptr, size_t len, SSL *ssl, void *arg)
{
    struct kg_tls *tls = arg;

    if (tls->secured && !written && type == SSL3_RT_HANDSHAKE)
        tls->messages++;
}

/* What the log should say of a failure: the verification's reason, or the first thing OpenSSL complained of.
 */
static const char *explain(const SSL *ssl)
{
    long verified = SSL_get_verify_result(ssl);

    if (verified != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
        return X509_verify_cert_error_string(verified);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason ? reason : "";
}

static void end(struct kg_tls *tls, int error, const char *reason)
{
    if (tls->ended)
        return;
    tls->ended = true;
    tls->end_error = error;
    if (!*tls->reason)
        tls->reason = reason;
}

/* An operation of OpenSSL's has come to nothing. */
static void note_end(struct kg_tls *tls, int rc)
{
    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        if (!tls->tcp_ended)
            return;
        /* Without a close_notify it may be anybody's end, not the peer's (RFC 8446, 6.1). */
        if (tls->secured)
            end(tls, tls->tcp_error ? tls->tcp_error : -ECONNRESET, "end of connection without close_notify");
        else
            end(tls, tls->tcp_error ? tls->tcp_error : -EPROTO, "end of connection during the handshake");
        return;
    case SSL_ERROR_ZERO_RETURN:
        end(tls, 0, "");
        return;
    default:
        if (kg_tls_is_nuisance(tls))
            end(tls, -EPROTO, "too many messages after the handshake");
        else
            end(tls, -EPROTO, explain(tls->ssl));
        tls->fatal = true;
    }
}

/* Whatever of `out` the kernel takes at once: the last words of a connection that is about to close. */
static void send_now(struct kg_tls *tls)
{
    struct kg_sock *sock = tls->sock;
    struct iovec bytes;

    while (!sock->sending && kg_tls_outgoing(sock, &bytes)) {
        ssize_t n = send(sock->fd, bytes.iov_base, bytes.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n <= 0)
            return;
        kg_tls_sent(sock, (uint32_t)n);
    }
}

static void tell_end(struct kg_tls *tls)
{
    struct kg_sock *sock = tls->sock;

    tls->over = true;
    tls->want = KG_WANT_NONE;
    kg_sock_disarm(sock);
    if (tls->end_error == 0) {
        sock->ops->eof(sock);
        return;
    }
    /* The alert that says why. */
    send_now(tls);
    sock->ops->failed(sock, tls->end_error);
}

static void handshake(struct kg_tls *tls)
{
    struct kg_sock *sock = tls->sock;

    ERR_clear_error();
    int rc = SSL_do_handshake(tls->ssl);
    if (rc != 1) {
        note_end(tls, rc);
        tls->fatal = tls->ended;
        return;
    }
    /* Of a resumed session it is what the first handshake found. */
    if (SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE && SSL_get_verify_result(tls->ssl) != X509_V_OK) {
        end(tls, -EPROTO, explain(tls->ssl));
        tls->fatal = true;
        return;
    }
    if (!SSL_is_server(tls->ssl))
        kg_tls_client_done(tls->ssl);
    tls->secured = true;
    sock->handshaking = false;
    if (sock->ops->secured)
        sock->ops->secured(sock);
}

static size_t read_plain(struct kg_tls *tls, char *out, size_t size)
{
    size_t len = 0;

    while (len < size && !tls->ended) {
        ERR_clear_error();
        int n = SSL_read(tls->ssl, out + len, (int)(size - len));
        if (n <= 0) {
            note_end(tls, n);
            break;
        }
        len += (size_t)n;
        tls->messages = 0;
    }
    return len;
}

/* Gives the owner what there is, or the end. False when there is nothing to give. */
static bool deliver(struct kg_tls *tls)
{
    struct kg_sock *sock = tls->sock;
    char *plain = sock->ring->tls->plain;
    struct kg_input input = { .ptr = plain, .buffer = KG_NO_BUFFER };

    input.len = (uint32_t)read_plain(tls, plain, sock->ring->buffers.size);
    if (input.len == 0) {
        if (tls->ended)
            tell_end(tls);
        return false;
    }
    if (tls->want == KG_WANT_ONCE)
        tls->want = KG_WANT_NONE;
    sock->ops->received(sock, &input);
    return true;
}

/* Arms what the kernel has to bring for the handshake or for what the owner wants, and nothing more. */
static void settle(struct kg_tls *tls)
{
    struct kg_sock *sock = tls->sock;
    bool all = tls->want == KG_WANT_ALL;

    if (!tls->started || sock->closing)
        return;
    if (!all)
        kg_sock_disarm(sock);
    bool needed = !tls->secured || tls->stuck || tls->want != KG_WANT_NONE;
    if (needed && !tls->ended && !tls->tcp_ended)
        kg_sock_arm(sock, all);
}

static bool is_connected(const struct kg_sock *sock)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);

    return !sock->connecting && getpeername(sock->fd, (struct sockaddr *)&peer, &len) == 0;
}

/* Does all that can be done with what there is. Calls the owner. */
static void run(struct kg_tls *tls)
{
    struct kg_sock *sock = tls->sock;

    KG_ASSERT(!tls->running);
    if (!tls->started && !is_connected(sock))
        return;
    tls->started = true;
    tls->running = true;
    if (!tls->secured && !tls->ended)
        handshake(tls);
    while (tls->secured && tls->want != KG_WANT_NONE && !sock->closing && deliver(tls))
        ;
    if (tls->fatal && !tls->over && !sock->closing)
        tell_end(tls);
    tls->running = false;
    if (sock->closing)
        return;
    kg_sock_flush(sock);
    settle(tls);
}

/* Whether run() would find something for the owner without the kernel. */
static bool is_readable(const struct kg_tls *tls)
{
    return tls->secured && (tls->held.bytes > 0 || tls->ended || tls->tcp_ended || SSL_pending(tls->ssl) > 0);
}

void kg_tls_received(struct kg_sock *sock, char *ptr, size_t len)
{
    struct kg_tls *tls = sock->tls;
    struct kg_blocks *blocks = &sock->ring->blocks;

    /* Behind the peer's own end. */
    if (tls->ended)
        return;
    if (!tls->secured)
        tls->handshake_bytes += len;
    if (tls->handshake_bytes > HANDSHAKE_MAX) {
        end(tls, -EPROTO, "the handshake is too long");
        tls->fatal = true;
        run(tls);
        return;
    }
    if (tls->held.bytes > 0 || (tls->secured && tls->want == KG_WANT_NONE)) {
        kg_chain_append(&tls->held, blocks, ptr, len);
    } else {
        tls->in = kg_slice_of(ptr, len);
    }
    run(tls);
    if (tls->in.len > 0 && !sock->closing && !tls->ended)
        kg_chain_append(&tls->held, blocks, tls->in.ptr, tls->in.len);
    tls->in = kg_slice_of(NULL, 0);
}

void kg_tls_ended(struct kg_sock *sock, int error)
{
    struct kg_tls *tls = sock->tls;

    tls->tcp_ended = true;
    tls->tcp_error = error;
    if (!tls->ended)
        run(tls);
}

void kg_tls_connected(struct kg_sock *sock)
{
    run(sock->tls);
}

void kg_tls_want(struct kg_sock *sock, bool all)
{
    struct kg_tls *tls = sock->tls;

    if (sock->closing || tls->over)
        return;
    if (all)
        tls->want = KG_WANT_ALL;
    else if (tls->want == KG_WANT_NONE)
        tls->want = KG_WANT_ONCE;
    if (tls->running)
        return;
    if (is_readable(tls))
        enlist(tls);
    else
        settle(tls);
}

void kg_tls_pause(struct kg_sock *sock)
{
    struct kg_tls *tls = sock->tls;

    tls->want = KG_WANT_NONE;
    if (!tls->running)
        settle(tls);
}

bool kg_tls_is_quiet(const struct kg_sock *sock)
{
    const struct kg_tls *tls = sock->tls;

    return tls->held.bytes == 0 && tls->in.len == 0 && !tls->ended && !tls->tcp_ended &&
           !SSL_has_pending(tls->ssl);
}

/* The next bytes for one record: a large piece as it lies, small ones put together. */
static struct kg_slice next_record(struct kg_tls *tls)
{
    struct kg_send_queue *queue = tls->sock->queue;
    char *gather = tls->sock->ring->tls->gather;
    struct iovec first = kg_send_queue_bytes(queue, 0);
    size_t len = 0;

    if (queue->count == 1 || first.iov_len >= RECORD_MAX)
        return kg_slice_of(first.iov_base, first.iov_len);
    for (unsigned i = 0; i < queue->count && len < RECORD_MAX; i++) {
        struct iovec piece = kg_send_queue_bytes(queue, i);
        size_t part = piece.iov_len < RECORD_MAX - len ? piece.iov_len : RECORD_MAX - len;

        memcpy(gather + len, piece.iov_base, part);
        len += part;
    }
    return kg_slice_of(gather, len);
}

/* Nothing could be encrypted. The owner is calling: of a failure it hears at the turn's end. */
static void note_unsealed(struct kg_tls *tls, int rc)
{
    note_end(tls, rc);
    if (!tls->ended) {
        tls->stuck = true;
        /* The peer decides how long: shared buffers do not wait for it, and it may take one to read its rest.
         */
        kg_send_queue_spill(tls->sock->queue, tls->sock->ring);
        if (!tls->running)
            settle(tls);
        return;
    }
    tls->fatal = true;
    enlist(tls);
}

void kg_tls_seal(struct kg_sock *sock)
{
    struct kg_tls *tls = sock->tls;

    if (!tls->secured || tls->fatal || tls->goodbye)
        return;
    while (sock->queue) {
        struct kg_slice record = next_record(tls);

        ERR_clear_error();
        tls->writing = true;
        int n = SSL_write(tls->ssl, record.ptr, (int)record.len);
        tls->writing = false;
        if (n != (int)record.len) {
            note_unsealed(tls, n);
            return;
        }
        tls->stuck = false;
        kg_sock_unqueue(sock, (uint32_t)record.len);
    }
}

bool kg_tls_outgoing(const struct kg_sock *sock, struct iovec *bytes)
{
    const struct kg_block *first = sock->tls->out.first;

    if (!first)
        return false;
    *bytes = (struct iovec){ .iov_base = (void *)(uintptr_t)(first->data + first->start),
                             .iov_len = kg_block_used(first) };
    return true;
}

bool kg_tls_sent(struct kg_sock *sock, uint32_t len)
{
    struct kg_tls *tls = sock->tls;
    size_t foreign = len < tls->foreign ? len : tls->foreign;
    bool owners = len > foreign;

    KG_ASSERT(len - foreign <= sock->pending);
    sock->pending -= (uint32_t)(len - foreign);
    tls->foreign -= foreign;
    kg_chain_consume(&tls->out, &sock->ring->blocks, len);
    if (tls->out.bytes > 0)
        return owners;
    tls->answers = 0;
    if (tls->fin && !sock->closing)
        shutdown(sock->fd, SHUT_WR);
    return owners;
}

bool kg_tls_send_failed(struct kg_sock *sock)
{
    struct kg_tls *tls = sock->tls;

    /* The peer may have said why: its alert lies there to be read. */
    if (!tls->secured)
        return !sock->receiving;
    /* A receive tells the owner whether more may come. */
    if (tls->want != KG_WANT_NONE && !tls->running && !tls->tcp_ended)
        settle(tls);
    return true;
}

static void write_goodbye(struct kg_tls *tls)
{
    if (!tls->secured || tls->fatal || tls->goodbye)
        return;
    tls->goodbye = true;
    ERR_clear_error();
    tls->writing = true;
    SSL_shutdown(tls->ssl);
    tls->writing = false;
}

void kg_tls_shutdown(struct kg_sock *sock)
{
    struct kg_tls *tls = sock->tls;

    kg_tls_seal(sock);
    write_goodbye(tls);
    tls->fin = true;
    send_now(tls);
    if (tls->out.bytes == 0)
        shutdown(sock->fd, SHUT_WR);
    kg_sock_flush(sock);
}

void kg_tls_say_goodbye(struct kg_sock *sock)
{
    struct kg_tls *tls = sock->tls;

    /* Behind bytes that are dropped it would say that all has been sent. */
    if (sock->pending > 0 || sock->sending)
        return;
    write_goodbye(tls);
    send_now(tls);
}

bool kg_tls_has_work(const struct kg_ring *ring)
{
    return ring->tls && ring->tls->work;
}

void kg_tls_work(struct kg_ring *ring)
{
    if (!kg_tls_has_work(ring))
        return;
    /* Each once: who has more to do is in the list again, for the next turn. */
    struct kg_tls *todo = ring->tls->work;
    todo->link = &todo;
    ring->tls->work = NULL;
    while (todo) {
        struct kg_tls *tls = todo;

        delist(tls);
        if (!tls->sock->closing)
            run(tls);
    }
}

void kg_tls_free(struct kg_sock *sock)
{
    struct kg_tls *tls = sock->tls;

    delist(tls);
    /* Else OpenSSL takes the session, which its owner may keep, for one that cannot be resumed; since TLS 1.1
     * a missing close_notify is no reason for that (RFC 4346, 7.2.1). */
    SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    kg_chain_clear(&tls->held, &sock->ring->blocks);
    kg_chain_clear(&tls->out, &sock->ring->blocks);
    free(tls->name);
    free(tls);
    sock->tls = NULL;
}

static struct kg_tls_ring *new_ring(const struct kg_ring *ring)
{
    struct kg_tls_ring *shared = kg_calloc(1, sizeof(*shared));

    shared->plain = kg_calloc(1, ring->buffers.size);
    shared->gather = kg_calloc(1, RECORD_MAX);
    return shared;
}

void kg_tls_free_ring(struct kg_ring *ring)
{
    if (!ring->tls)
        return;
    KG_ASSERT(!ring->tls->work);
    free(ring->tls->plain);
    free(ring->tls->gather);
    free(ring->tls);
    ring->tls = NULL;
}

/* The filter with its SSL, not started. NULL when there is no memory. */
static struct kg_tls *attach(struct kg_sock *sock, SSL_CTX *ctx)
{
    KG_ASSERT(!sock->tls && !sock->sending && !sock->closing);
    struct kg_tls *tls = kg_calloc(1, sizeof(*tls));
    BIO *bio = kg_tls_bio_new(tls);

    tls->ssl = SSL_new(ctx);
    if (!tls->ssl || !bio) {
        SSL_free(tls->ssl);
        BIO_free(bio);
        free(tls);
        return NULL;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_app_data(tls->ssl, tls);
    SSL_set_msg_callback(tls->ssl, on_message);
    SSL_set_msg_callback_arg(tls->ssl, tls);
    tls->sock = sock;
    tls->reason = "";
    if (!sock->ring->tls)
        sock->ring->tls = new_ring(sock->ring);
    sock->tls = tls;
    sock->handshaking = true;
    return tls;
}

int kg_sock_tls_server(struct kg_sock *sock, SSL_CTX *ctx)
{
    struct kg_tls *tls = attach(sock, ctx);

    if (!tls)
        return -ENOMEM;
    SSL_set_accept_state(tls->ssl);
    tls->started = true;
    settle(tls);
    return 0;
}

int kg_sock_tls_client(struct kg_sock *sock, SSL_CTX *ctx, const struct kg_tls_client_options *options)
{
    struct kg_tls *tls = attach(sock, ctx);

    if (!tls)
        return -ENOMEM;
    SSL_set_connect_state(tls->ssl);
    if (kg_tls_client_set_up(tls->ssl, options)) {
        kg_tls_free(sock);
        sock->handshaking = false;
        return -ENOMEM;
    }
    /* Not now: the owner is calling, and the connection may have to be made yet. */
    enlist(tls);
    return 0;
}

void kg_sock_tls_feed(struct kg_sock *sock, struct kg_slice bytes)
{
    struct kg_tls *tls = sock->tls;

    KG_ASSERT(tls && !tls->secured);
    tls->handshake_bytes += bytes.len;
    kg_chain_append(&tls->held, &sock->ring->blocks, bytes.ptr, bytes.len);
    enlist(tls);
}

SSL *kg_sock_ssl(const struct kg_sock *sock)
{
    return sock->tls ? sock->tls->ssl : NULL;
}

const char *kg_sock_tls_reason(const struct kg_sock *sock)
{
    return sock->tls ? sock->tls->reason : "";
}

size_t kg_sock_server_name(const struct kg_sock *sock, char out[256])
{
    struct kg_slice name = sock->tls ? kg_slice_of(sock->tls->name, sock->tls->name_len) : KG_SLICE("");

    KG_ASSERT(name.len < 256);
    if (name.len > 0)
        memcpy(out, name.ptr, name.len);
    out[name.len] = '\0';
    return name.len;
}

void kg_tls_set_name(const SSL *ssl, struct kg_slice name)
{
    struct kg_tls *tls = of_ssl(ssl);

    /* A second ClientHello (RFC 8446, 4.1.4) names it again. */
    free(tls->name);
    tls->name = name.len > 0 ? kg_strndup(name.ptr, name.len) : NULL;
    tls->name_len = name.len;
    for (size_t i = 0; i < name.len; i++)
        tls->name[i] = kg_lower(tls->name[i]);
}

struct kg_slice kg_tls_name(const SSL *ssl)
{
    const struct kg_tls *tls = of_ssl(ssl);

    return kg_slice_of(tls->name, tls->name_len);
}

void kg_tls_set_reason(const SSL *ssl, const char *reason)
{
    of_ssl(ssl)->reason = reason;
}
