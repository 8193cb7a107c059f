/* SPDX-License-Identifier: BSD-2-Clause */
/* What tls_filter.c and tls_bio.c know of one TLS socket; nobody else looks into it. */
#ifndef KG_IO_TLS_STATE_H
#define KG_IO_TLS_STATE_H

#include "io/sock.h"
#include "io/tls_filter.h"
#include "io/tls_hello.h"

enum kg_want { KG_WANT_NONE, KG_WANT_ONCE, KG_WANT_ALL };

struct kg_tls {
    SSL *ssl;
    struct kg_sock *sock;
    struct kg_tls *next, **link; /* in the ring's list of those with work; link NULL: not in it */
    struct kg_slice in;          /* ciphertext of the receive being handled, behind `held` */
    struct kg_chain held;        /* ciphertext that OpenSSL has not taken yet */
    struct kg_chain out;         /* ciphertext that the kernel has not taken yet */
    size_t foreign;              /* bytes at the front of `out` that carry nothing of the owner's */
    size_t handshake_bytes;      /* received so far */
    size_t answers;              /* bytes written without the owner since `out` was empty */
    unsigned messages;           /* of the handshake protocol since the owner's last byte */
    enum kg_want want;
    bool started;   /* the connection stands */
    bool secured;   /* the handshake is over */
    bool running;   /* run() is on the stack */
    bool writing;   /* SSL_write is */
    bool stuck;     /* it has to read first: the rest of a message of the handshake protocol */
    bool tcp_ended; /* nothing more comes from the kernel, because of tcp_error (0: FIN) */
    bool ended;     /* nothing more comes from OpenSSL, because of end_error (0: close_notify) */
    bool fatal;     /* …and it is to be told even if the owner does not ask */
    bool over;      /* it has been told */
    bool goodbye;   /* our close_notify has been written */
    bool fin;       /* FIN goes out when `out` is empty */
    int tcp_error, end_error;
    const char *reason; /* static text */
    struct kg_tls_hello hello;
    char *name; /* the server name that the client asks for; NULL: none */
    size_t name_len;
};

/* tls_bio.c: what OpenSSL reads from (in, held) and writes to (out). NULL when there is no memory. */
BIO *kg_tls_bio_new(struct kg_tls *tls);
/* Whether the peer only keeps us busy: then reading has failed for good. */
bool kg_tls_is_nuisance(const struct kg_tls *tls);

#endif
