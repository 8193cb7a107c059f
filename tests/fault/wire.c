/* SPDX-License-Identifier: BSD-2-Clause */
/* RAND_set_rand_method is deprecated, but nothing else makes two runs alike. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "wire.h"

#include "io/tls.h"
#include "world.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

struct wire {
    struct wire *next;
    struct sim_sock *sock;
    SSL *ssl; /* NULL: plain, or over */
    BIO *in, *out;
    bool secure, fin, closing, closed;
    int error; /* of sending */
};

static struct {
    struct kg_tls_identity *identity;
    SSL_CTX *client, *server;
    struct wire *all;
    struct rnd rnd;
    bool moved;
} wires;

/* ---- chance ---- */

static int chance_bytes(unsigned char *out, int len)
{
    for (int i = 0; i < len; i++)
        out[i] = (unsigned char)rnd_next(&wires.rnd);
    return 1;
}

static int chance_status(void)
{
    return 1;
}

static const RAND_METHOD chance = { .bytes = chance_bytes,
                                    .pseudorand = chance_bytes,
                                    .status = chance_status };

/* A ticket larger than some records: the message comes in pieces. */
static int on_ticket_made(SSL *ssl, void *arg)
{
    static const char filling[3000];

    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), filling,
                                           rnd_below(&wires.rnd, sizeof(filling)));
}

void wire_set_up(void)
{
    struct kg_error err;

    RAND_set_rand_method(&chance);
    wires.identity = kg_tls_identity_self_signed("127.0.0.1", &err);
    wires.client = SSL_CTX_new(TLS_client_method());
    wires.server = SSL_CTX_new(TLS_server_method());
    if (!wires.identity || !wires.client || !wires.server ||
        SSL_CTX_use_cert_and_key(wires.server, wires.identity->certificate, wires.identity->key, NULL, 1) !=
            1)
        abort();
    SSL_CTX_set_session_id_context(wires.server, (const unsigned char *)"world", 5);
    SSL_CTX_set_mode(wires.client, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_mode(wires.server, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_ticket_cb(wires.server, on_ticket_made, NULL, NULL);
    SSL_CTX_set_session_cache_mode(wires.server, SSL_SESS_CACHE_OFF);
}

void wire_tear_down(void)
{
    SSL_CTX_free(wires.client);
    SSL_CTX_free(wires.server);
    kg_tls_identity_free(wires.identity);
    RAND_set_rand_method(NULL);
}

void wire_begin(void)
{
    wires.rnd.state = sim.seed * 7919 + 1;
    wires.all = NULL;
    wires.moved = false;
}

void wire_end(void)
{
    for (struct wire *wire = wires.all, *next; wire; wire = next) {
        next = wire->next;
        SSL_free(wire->ssl);
        free(wire);
    }
    wires.all = NULL;
}

/* ---- life ---- */

struct wire *wire_plain(struct sim_sock *sock)
{
    struct wire *wire = calloc(1, sizeof(*wire));

    if (!wire)
        abort();
    wire->sock = sock;
    wire->next = wires.all;
    wires.all = wire;
    return wire;
}

static struct wire *secure(struct sim_sock *sock, SSL_CTX *ctx)
{
    struct wire *wire = wire_plain(sock);

    wire->secure = true;
    wire->ssl = SSL_new(ctx);
    wire->in = BIO_new(BIO_s_mem());
    wire->out = BIO_new(BIO_s_mem());
    if (!wire->ssl || !wire->in || !wire->out)
        abort();
    BIO_set_mem_eof_return(wire->in, -1);
    SSL_set_bio(wire->ssl, wire->in, wire->out);
    if (rnd_chance(&sim.rnd, 30))
        SSL_set_max_proto_version(wire->ssl, TLS1_2_VERSION);
    if (rnd_chance(&sim.rnd, 30))
        SSL_set_max_send_fragment(wire->ssl, rnd_between(&sim.rnd, 512, 4096));
    return wire;
}

struct wire *wire_client(struct sim_sock *sock)
{
    struct wire *wire = secure(sock, wires.client);

    SSL_set_connect_state(wire->ssl);
    return wire;
}

struct wire *wire_server(struct sim_sock *sock)
{
    struct wire *wire = secure(sock, wires.server);

    SSL_set_accept_state(wire->ssl);
    return wire;
}

static void finish(struct wire *wire, bool reset)
{
    sim_sock_close(wire->sock, reset);
    SSL_free(wire->ssl);
    wire->ssl = NULL;
    wire->closed = true;
}

/* Ciphertext goes out, as far as there is room. */
static void flush(struct wire *wire)
{
    char *bytes;
    char gone[4096];
    long len;

    while (!wire->error && (len = BIO_get_mem_data(wire->out, &bytes)) > 0) {
        int rc = sim_sock_send(wire->sock, bytes,
                               world_piece((size_t)len < sizeof(gone) ? (size_t)len : sizeof(gone)));

        if (rc == -EAGAIN)
            return;
        wires.moved = true;
        if (rc > 0)
            BIO_read(wire->out, gone, rc);
        else
            wire->error = rc;
        if (rnd_chance(&sim.rnd, 20))
            return;
    }
}

static bool is_flushed(const struct wire *wire)
{
    return wire->error || BIO_ctrl_pending(wire->out) == 0;
}

/* What is left to do once there is room. */
static bool step(struct wire *wire)
{
    if (!wire->ssl)
        return false;
    flush(wire);
    if (!is_flushed(wire))
        return false;
    if (wire->closing) {
        finish(wire, false);
        return true;
    }
    if (wire->fin && !wire->sock->no_send) {
        sim_sock_shutdown(wire->sock);
        return true;
    }
    return false;
}

bool wire_step(void)
{
    bool moved = wires.moved;

    wires.moved = false;
    for (struct wire *wire = wires.all; wire; wire = wire->next)
        moved |= step(wire);
    moved |= wires.moved;
    wires.moved = false;
    return moved;
}

/* ---- bytes ---- */

/* Some ciphertext: bytes, 0 at FIN, or -errno. */
static int pull(struct wire *wire)
{
    char bytes[4096];
    int rc = sim_sock_recv(wire->sock, bytes, world_piece(sizeof(bytes)));

    if (rc > 0) {
        BIO_write(wire->in, bytes, rc);
        wires.moved = true;
    }
    return rc;
}

int wire_recv(struct wire *wire, void *to, size_t len)
{
    if (!wire->secure)
        return sim_sock_recv(wire->sock, to, len);
    for (;;) {
        ERR_clear_error();
        int n = SSL_read(wire->ssl, to, (int)len);
        int error = SSL_get_error(wire->ssl, n);

        flush(wire);
        if (n > 0)
            return n;
        if (error == SSL_ERROR_ZERO_RETURN)
            return 0;
        if (error != SSL_ERROR_WANT_READ)
            return -EPROTO;
        int rc = pull(wire);
        if (rc == 0)
            return -ECONNRESET;
        if (rc < 0)
            return rc;
    }
}

int wire_send(struct wire *wire, const void *from, size_t len)
{
    if (!wire->secure)
        return sim_sock_send(wire->sock, from, len);
    flush(wire);
    if (wire->error)
        return wire->error;
    if (!is_flushed(wire))
        return -EAGAIN;
    ERR_clear_error();
    int n = SSL_write(wire->ssl, from, (int)len);
    int error = SSL_get_error(wire->ssl, n);
    flush(wire);
    if (n > 0)
        return n;
    return error == SSL_ERROR_WANT_READ ? -EAGAIN : -EPIPE;
}

bool wire_has_input(const struct wire *wire)
{
    return wire->sock->len > 0 ||
           (wire->ssl && (SSL_has_pending(wire->ssl) || BIO_ctrl_pending(wire->in) > 0));
}

bool wire_takes(const struct wire *wire, size_t len)
{
    const struct sim_sock *peer = wire->sock->peer;

    /* Header, tag and type of one record. */
    return !wire->secure || (is_flushed(wire) && SSL_is_init_finished(wire->ssl) && peer &&
                             peer->room - peer->len >= len + 64);
}

bool wire_tells_cuts(const struct wire *wire)
{
    return wire->secure;
}

static void say_goodbye(struct wire *wire)
{
    ERR_clear_error();
    if (SSL_is_init_finished(wire->ssl))
        SSL_shutdown(wire->ssl);
}

void wire_shutdown(struct wire *wire)
{
    if (!wire->secure) {
        sim_sock_shutdown(wire->sock);
        return;
    }
    say_goodbye(wire);
    wire->fin = true;
    step(wire);
}

void wire_close(struct wire *wire, enum parting parting)
{
    if (wire->closed)
        return;
    if (!wire->secure || parting == PART_RESET) {
        finish(wire, parting == PART_RESET);
        return;
    }
    if (parting == PART_POLITE)
        say_goodbye(wire);
    wire->closing = true;
    step(wire);
}

bool wire_peer_closed(const struct wire *wire)
{
    return !wire->sock->peer || wire->sock->peer->closed;
}

const struct sim_sock *wire_sock(const struct wire *wire)
{
    return wire->sock;
}
