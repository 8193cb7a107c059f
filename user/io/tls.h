/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS 1.2 and 1.3 by OpenSSL, as a filter inside kg_sock: its owner writes and receives plain bytes. One
 * server and one client context for each worker, so that threads share neither locks nor counters on the way
 * of a handshake (OpenSSL 3.0 takes locks there); certificates, keys and stores are shared by OpenSSL's own
 * counted references and never change once they are made.
 */
#ifndef KG_IO_TLS_H
#define KG_IO_TLS_H

#include "base/error.h"
#include "base/slice.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

struct kg_sock;

/* A certificate, what leads to its issuer, and its key: what one side of a handshake shows. */
struct kg_tls_identity {
    X509 *certificate;
    STACK_OF(X509) * chain; /* may be empty, never NULL */
    EVP_PKEY *key;
    struct kg_tls_identity *alternative; /* of another key type (ECDSA beside RSA), owned; may be NULL */
};

/*
 * From PEM: the certificate first, its chain behind it. NULL with a sentence that names neither key nor
 * passphrase when one cannot be read or they do not belong together. Any thread.
 */
struct kg_tls_identity *kg_tls_identity_new(struct kg_slice certificate, struct kg_slice key,
                                            struct kg_error *err);
/* A new key (ECDSA P-256) with a certificate signed by itself for `name`, valid from now for ten years. */
struct kg_tls_identity *kg_tls_identity_self_signed(const char *name, struct kg_error *err);
void kg_tls_identity_free(struct kg_tls_identity *identity);

/* The first certificate, the first key of a PEM text; the caller frees it. NULL when it cannot be read: a key
 * also when it wants a passphrase, for nobody is there to be asked. Any thread. */
X509 *kg_tls_certificate_read(struct kg_slice pem);
EVP_PKEY *kg_tls_key_read(struct kg_slice pem);

/* CA certificates from PEM, one or more; NULL with a sentence. Free with X509_STORE_free. */
X509_STORE *kg_tls_store_new(struct kg_slice pem, struct kg_error *err);

/*
 * Keys that seal session tickets, shared by all workers: a client may resume with any of them. Rotated by the
 * control thread; a ticket of the key before is still taken, and answered with a new one.
 */
struct kg_tls_tickets;
struct kg_tls_tickets *kg_tls_tickets_new(void);
void kg_tls_tickets_rotate(struct kg_tls_tickets *tickets); /* control thread */
void kg_tls_tickets_free(struct kg_tls_tickets *tickets);

enum kg_tls_verify { KG_TLS_VERIFY_OFF, KG_TLS_VERIFY_OPTIONAL, KG_TLS_VERIFY_ON };

struct kg_tls_server_config {
    int min_version; /* TLS1_2_VERSION or TLS1_3_VERSION */
    struct kg_tls_tickets *tickets;
    enum kg_tls_verify verify_client;
    X509_STORE *client_ca; /* NULL unless verify_client asks for it */
    /* The identity for this server name (lower case, empty when the client named none): it must stay until
     * the call has returned. NULL ends the handshake with unrecognized_name. */
    const struct kg_tls_identity *(*find)(void *ctx, struct kg_slice name);
    void *ctx;
};

/* For one worker's thread. NULL with a sentence. */
SSL_CTX *kg_tls_server_new(const struct kg_tls_server_config *config, struct kg_error *err);
SSL_CTX *kg_tls_client_new(int min_version, struct kg_error *err);

/* Whose certificate a server must show if it is verified, and the name to ask it for (SNI, unless it is an
 * address). False when there is no memory. */
bool kg_tls_expect(SSL *ssl, const char *name);

/* What a connection to an upstream asks of it. All of it is only used during the call. */
struct kg_tls_client_options {
    const char *name;  /* for SNI, unless it is an address, and to verify the certificate by */
    bool verify;       /* refuse a certificate that does not lead to `store` or is not for `name` */
    int verify_depth;  /* -1: OpenSSL's own */
    X509_STORE *store; /* NULL: the system's */
    const struct kg_tls_identity *identity; /* shown when asked for; may be NULL */
    /* To resume; may be NULL. Not used unless it is of the same name: that it is of the same store and
     * identity is the owner's affair, who takes it by SSL_get1_session once bytes have come (the tickets of
     * TLS 1.3 come behind the handshake). */
    SSL_SESSION *session;
};

/*
 * Turn an open sock into a TLS one, before it receives or sends anything. The owner's secured() is called
 * once the handshake is over, failed() with -EPROTO when it fails; bytes written before are kept until then.
 * 0 or -ENOMEM. kg_sock_connect may come before or after kg_sock_tls_client; the handshake begins when the
 * connection stands. kg_tls_free (by kg_sock_bury, after a close_notify as far as there was room) ends it.
 */
int kg_sock_tls_server(struct kg_sock *sock, SSL_CTX *ctx);
int kg_sock_tls_client(struct kg_sock *sock, SSL_CTX *ctx, const struct kg_tls_client_options *options);

/* Ciphertext that came before the sock was made a TLS one, behind a PROXY protocol header: copied. */
void kg_sock_tls_feed(struct kg_sock *sock, struct kg_slice bytes);

/* Of a secured sock; NULL of a plain one. For the server name, the peer's certificate, the session. */
SSL *kg_sock_ssl(const struct kg_sock *sock);
/* The server name the client asked for, lower case, in out (at most 255 bytes): its length. */
size_t kg_sock_server_name(const struct kg_sock *sock, char out[256]);
/* Why the handshake failed, for the log: OpenSSL's reason or the verification's; "" when unknown. */
const char *kg_sock_tls_reason(const struct kg_sock *sock);

#endif
