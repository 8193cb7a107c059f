/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TLS filter of one socket: between sock.c, which moves ciphertext, and OpenSSL. Only sock.c, ring.c and
 * tls.c use this; owners use tls.h. Belongs to the ring's thread.
 *
 * Life: made (kg_sock_tls_*) → started (the connection stands) → secured → over (the peer's end or a failure
 * has been told) → freed when the socket is buried. Handlers are called from a completion or from the end of
 * the turn, never from inside a call of the owner.
 */
#ifndef KG_IO_TLS_FILTER_H
#define KG_IO_TLS_FILTER_H

#include "base/slice.h"

#include <openssl/ssl.h>
#include <sys/uio.h>

struct kg_ring;
struct kg_sock;
struct kg_tls_client_options;
struct kg_tls_ring; /* what a ring's TLS sockets share */

/* Ciphertext came; the peer's TCP end (error 0) or a failure of receiving came. */
void kg_tls_received(struct kg_sock *sock, char *ptr, size_t len);
void kg_tls_ended(struct kg_sock *sock, int error);
void kg_tls_connected(struct kg_sock *sock);

/* The owner wants plain bytes: all there come or once; or none for now. */
void kg_tls_want(struct kg_sock *sock, bool all);
void kg_tls_pause(struct kg_sock *sock);
bool kg_tls_is_quiet(const struct kg_sock *sock);

/* Encrypts what the owner has queued. */
void kg_tls_seal(struct kg_sock *sock);
/* The ciphertext to send next; false when there is none. */
bool kg_tls_outgoing(const struct kg_sock *sock, struct iovec *bytes);
/* The kernel took `len` of these bytes. True when something of the owner's was among them. */
bool kg_tls_sent(struct kg_sock *sock, uint32_t len);
/* Sending failed: whether the owner is to be told now. If not, receiving will tell. */
bool kg_tls_send_failed(struct kg_sock *sock);

/* A close_notify (RFC 8446, 6.1) and FIN behind all that is queued; a close_notify if there is room now. */
void kg_tls_shutdown(struct kg_sock *sock);
void kg_tls_say_goodbye(struct kg_sock *sock);
void kg_tls_free(struct kg_sock *sock);

/* For ring.c: sockets that have something to do without a completion to wait for. */
bool kg_tls_has_work(const struct kg_ring *ring);
void kg_tls_work(struct kg_ring *ring);
void kg_tls_free_ring(struct kg_ring *ring);

/* In tls.c: what a connection to an upstream asks of OpenSSL. 0 or -ENOMEM. */
int kg_tls_client_set_up(SSL *ssl, const struct kg_tls_client_options *options);
/* …and what is noted when its handshake is over. */
void kg_tls_client_done(SSL *ssl);

/* For tls.c: the server name the client asks for, in lower case; NUL-terminated unless it is empty. */
void kg_tls_set_name(const SSL *ssl, struct kg_slice name);
struct kg_slice kg_tls_name(const SSL *ssl);
/* Why a callback ended the handshake (static text), which OpenSSL could not tell. */
void kg_tls_set_reason(const SSL *ssl, const char *reason);

#endif
