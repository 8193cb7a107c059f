/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For tests of TLS: a socket under test on a real ring, and OpenSSL at the other end, driven by hand in the
 * same thread; a CA and certificates made on the spot.
 */
#ifndef KG_TEST_TLS_ENDS_H
#define KG_TEST_TLS_ENDS_H

#include "ring_test.h"

#include "io/sock.h"
#include "io/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_SIZE 4096
#define BLOCK_BYTES 20480

struct end {
    struct kg_sock sock;
    int peer;      /* the other end's descriptor, non-blocking */
    SSL *peer_ssl; /* NULL: driven by raw bytes */
    char *got;
    size_t got_len, got_size;
    struct kg_sock *forward; /* where what comes goes on; NULL: nowhere */
    unsigned receipts;
    size_t largest; /* of the receipts */
    bool once, all,
        keep_open; /* ask again after each delivery; for all in secured(); do not close on failure */
    int connects, secures, eofs, failures, error, closes, sends;
    char reason[128];
    const char *alert; /* what the peer's handshake failed of */
};

static inline void on_connected(struct kg_sock *sock, int res)
{
    assert_int_equal(res, 0);
    ((struct end *)sock)->connects++;
}

static inline void on_secured(struct kg_sock *sock)
{
    struct end *end = (struct end *)sock;

    end->secures++;
    if (end->all)
        kg_sock_receive_all(sock);
    if (end->once)
        kg_sock_receive_once(sock);
}

static inline void on_received(struct kg_sock *sock, const struct kg_input *input)
{
    struct end *end = (struct end *)sock;

    assert_int_equal(end->secures, 1);
    assert_int_equal(end->eofs, 0);
    assert_true(input->len > 0 && input->len <= BUFFER_SIZE);
    if (end->got_len + input->len > end->got_size) {
        end->got_size = 2 * (end->got_len + input->len);
        end->got = realloc(end->got, end->got_size);
    }
    memcpy(end->got + end->got_len, input->ptr, input->len);
    end->got_len += input->len;
    end->receipts++;
    end->largest = input->len > end->largest ? input->len : end->largest;
    if (end->once)
        kg_sock_receive_once(sock);
    if (!end->forward)
        return;
    kg_sock_write_input(end->forward, input, kg_slice_of(input->ptr, input->len));
    kg_sock_flush(end->forward);
}

static inline void on_eof(struct kg_sock *sock)
{
    ((struct end *)sock)->eofs++;
}

static inline void on_sent(struct kg_sock *sock)
{
    ((struct end *)sock)->sends++;
}

static inline void on_failed(struct kg_sock *sock, int error)
{
    struct end *end = (struct end *)sock;

    end->failures++;
    end->error = error;
    snprintf(end->reason, sizeof(end->reason), "%s", kg_sock_tls_reason(sock));
    if (!end->keep_open)
        kg_sock_close(sock);
}

static inline void on_closed(struct kg_sock *sock)
{
    ((struct end *)sock)->closes++;
}

static const struct kg_sock_ops end_ops = { .connected = on_connected,
                                            .secured = on_secured,
                                            .received = on_received,
                                            .eof = on_eof,
                                            .sent = on_sent,
                                            .failed = on_failed,
                                            .closed = on_closed };

/* Certificates. */

struct issuer {
    X509 *certificate;
    EVP_PKEY *key;
};

static inline EVP_PKEY *new_key(const char *type)
{
    EVP_PKEY *key = strcmp(type, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");

    assert_non_null(key);
    return key;
}

/* For `name`, by `issuer` (NULL: by itself, a CA), valid from one day ago for `days`. */
static inline X509 *new_certificate(const char *name, EVP_PKEY *key, const struct issuer *issuer, long days)
{
    X509 *x = X509_new();
    X509V3_CTX ctx;
    X509_NAME *subject = X509_get_subject_name(x);
    char text[300];
    static long serial = 1;

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -24L * 3600);
    X509_gmtime_adj(X509_getm_notAfter(x), (days - 1) * 24 * 3600 - 60);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer->certificate) : subject);
    X509_set_pubkey(x, key);
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer ? issuer->certificate : x, x, NULL, NULL, 0);
    snprintf(text, sizeof(text), issuer ? "%s:%s" : "critical,CA:TRUE", name[0] <= '9' ? "IP" : "DNS", name);
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, &ctx, issuer ? NID_subject_alt_name : NID_basic_constraints, text);
    assert_non_null(extension);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(x, issuer ? issuer->key : key, EVP_sha256()) > 0);
    return x;
}

static inline void new_issuer(struct issuer *issuer, const char *name)
{
    issuer->key = new_key("EC");
    issuer->certificate = new_certificate(name, issuer->key, NULL, 30);
}

static inline void free_issuer(struct issuer *issuer)
{
    X509_free(issuer->certificate);
    EVP_PKEY_free(issuer->key);
}

/* As it would stand in files: the way of an identity goes through PEM. */
static inline struct kg_slice pem_of(X509 *certificate, EVP_PKEY *key, BIO **bio)
{
    char *ptr;

    *bio = BIO_new(BIO_s_mem());
    if (certificate)
        PEM_write_bio_X509(*bio, certificate);
    if (key)
        PEM_write_bio_PrivateKey(*bio, key, NULL, NULL, 0, NULL, NULL);
    long len = BIO_get_mem_data(*bio, &ptr);
    return kg_slice_of(ptr, (size_t)len);
}

static inline struct kg_tls_identity *issue(const struct issuer *issuer, const char *name, const char *type,
                                            long days)
{
    EVP_PKEY *key = new_key(type);
    X509 *certificate = new_certificate(name, key, issuer, days);
    BIO *bios[2];
    struct kg_error err;
    struct kg_tls_identity *identity =
        kg_tls_identity_new(pem_of(certificate, NULL, &bios[0]), pem_of(NULL, key, &bios[1]), &err);

    assert_non_null(identity);
    BIO_free(bios[0]);
    BIO_free(bios[1]);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return identity;
}

static inline X509_STORE *store_of(const struct issuer *issuer)
{
    BIO *bio;
    struct kg_error err;
    X509_STORE *store = kg_tls_store_new(pem_of(issuer->certificate, NULL, &bio), &err);

    assert_non_null(store);
    BIO_free(bio);
    return store;
}

/* What most tests need: a CA, an identity for gate.test, contexts of ours and of the peer's. */
static struct {
    struct issuer ca;
    struct kg_tls_identity *identity;
    struct kg_tls_tickets *tickets;
    X509_STORE *store;
    SSL_CTX *server, *client;           /* ours */
    SSL_CTX *peer_server, *peer_client; /* OpenSSL's usual */
} all;

static inline const struct kg_tls_identity *find_identity(void *ctx, struct kg_slice name)
{
    return kg_slice_eq(name, KG_SLICE("gate.test")) || kg_slice_eq(name, KG_SLICE("other.test")) ||
                   name.len == 0
               ? ctx
               : NULL;
}

static inline SSL_CTX *new_server(int min_version, enum kg_tls_verify verify)
{
    struct kg_error err;
    struct kg_tls_server_config config = { .min_version = min_version,
                                           .tickets = all.tickets,
                                           .verify_client = verify,
                                           .client_ca = verify == KG_TLS_VERIFY_OFF ? NULL : all.store,
                                           .find = find_identity,
                                           .ctx = all.identity };
    SSL_CTX *ctx = kg_tls_server_new(&config, &err);

    assert_non_null(ctx);
    return ctx;
}

static inline SSL_CTX *new_peer_server(const struct kg_tls_identity *identity)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert_int_equal(SSL_CTX_use_cert_and_key(ctx, identity->certificate, identity->key, NULL, 1), 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"peer", 4);
    return ctx;
}

static inline int set_up_all(void **state)
{
    struct kg_error err;

    signal(SIGPIPE, SIG_IGN);
    new_issuer(&all.ca, "Test CA");
    all.identity = issue(&all.ca, "gate.test", "EC", 30);
    all.tickets = kg_tls_tickets_new();
    all.store = store_of(&all.ca);
    all.server = new_server(TLS1_2_VERSION, KG_TLS_VERIFY_OFF);
    all.client = kg_tls_client_new(TLS1_2_VERSION, &err);
    assert_non_null(all.client);
    all.peer_server = new_peer_server(all.identity);
    all.peer_client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set1_cert_store(all.peer_client, all.store);
    SSL_CTX_set_verify(all.peer_client, SSL_VERIFY_PEER, NULL);
    return 0;
}

static inline int tear_down_all(void **state)
{
    SSL_CTX_free(all.server);
    SSL_CTX_free(all.client);
    SSL_CTX_free(all.peer_server);
    SSL_CTX_free(all.peer_client);
    X509_STORE_free(all.store);
    kg_tls_tickets_free(all.tickets);
    kg_tls_identity_free(all.identity);
    free_issuer(&all.ca);
    return 0;
}

static inline int set_up(void **state)
{
    return open_ring(BUFFER_SIZE, BLOCK_BYTES);
}

/* A pair of connected sockets: ours on the ring, the peer's with an SSL of `peer_ctx` (NULL: none). */
static inline void open_pair(struct end *end, SSL_CTX *peer_ctx)
{
    int fds[2];

    *end = (struct end){ 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(kg_sock_open(&end->sock, &ring, fds[0], &end_ops), 0);
    end->peer = fds[1];
    fcntl(end->peer, F_SETFL, O_NONBLOCK);
    if (!peer_ctx)
        return;
    end->peer_ssl = SSL_new(peer_ctx);
    SSL_set_fd(end->peer_ssl, end->peer);
}

/* Ours is the server. */
static inline void open_server(struct end *end, SSL_CTX *ctx, SSL_CTX *peer_ctx, const char *name)
{
    open_pair(end, peer_ctx);
    if (end->peer_ssl) {
        SSL_set_connect_state(end->peer_ssl);
        if (name)
            SSL_set_tlsext_host_name(end->peer_ssl, name);
    }
    assert_int_equal(kg_sock_tls_server(&end->sock, ctx), 0);
}

/* Ours is the client. */
static inline void open_client(struct end *end, SSL_CTX *peer_ctx,
                               const struct kg_tls_client_options *options)
{
    open_pair(end, peer_ctx);
    if (end->peer_ssl)
        SSL_set_accept_state(end->peer_ssl);
    assert_int_equal(kg_sock_tls_client(&end->sock, all.client, options), 0);
}

static inline void close_end(struct end *end)
{
    kg_sock_close(&end->sock);
    TURN_UNTIL(end->closes == 1);
    SSL_free(end->peer_ssl);
    close(end->peer);
    free(end->got);
}

/* The peer's side of the handshake goes on: 1 done, 0 not yet, -1 failed. */
static inline int peer_handshake(struct end *end)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(end->peer_ssl);

    if (rc == 1)
        return 1;
    if (SSL_get_error(end->peer_ssl, rc) == SSL_ERROR_WANT_READ)
        return 0;
    end->alert = ERR_reason_error_string(ERR_peek_error());
    return -1;
}

/* Until both have finished or failed: whether both have finished. */
static inline bool shake_hands(struct end *end)
{
    int peer = 0;

    for (int turns = 0; turns < TURNS_MAX; turns++) {
        if (peer == 0)
            peer = peer_handshake(end);
        if ((peer != 0 && end->secures) || end->failures)
            break;
        turn();
    }
    return peer == 1 && end->secures == 1 && end->failures == 0;
}

/* What the peer can read now, at most `size`. -1 at its end or failure. */
static inline int peer_read(struct end *end, char *out, size_t size)
{
    ERR_clear_error();
    int n = SSL_read(end->peer_ssl, out, (int)size);

    if (n > 0)
        return n;
    return SSL_get_error(end->peer_ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* The reason of the alert that the peer got, after it has read all there is; "" when there was none. */
static inline const char *peer_alert(struct end *end)
{
    char byte;

    for (int turns = 0; turns < 50 && !end->alert; turns++) {
        ERR_clear_error();
        int n = SSL_read(end->peer_ssl, &byte, 1);
        int error = SSL_get_error(end->peer_ssl, n);
        if (n <= 0 && error == SSL_ERROR_SSL)
            return ERR_reason_error_string(ERR_peek_error());
        turn();
    }
    return end->alert ? end->alert : "";
}

#endif
