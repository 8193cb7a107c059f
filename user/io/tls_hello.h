/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a ClientHello may be. OpenSSL takes 128 KiB, and makes room for all of it as soon as it has read
 * how long it is to be: nine bytes of a stranger's would cost that much. So the length is read here, out of
 * what OpenSSL is about to read.
 */
#ifndef KG_IO_TLS_HELLO_H
#define KG_IO_TLS_HELLO_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* The largest of use: a ticket in it may hold a client's certificate. */
#define KG_TLS_HELLO_MAX 32768

/* Where in a server's input we are. Zeroed memory is its beginning. */
struct kg_tls_hello {
    unsigned char record[5], message[4]; /* headers (RFC 8446, 5.1 and 4), as far as they have come */
    unsigned char record_len, message_len;
    unsigned left; /* of the record's fragment */
    int state;     /* OpenSSL's, in which message began */
};

/* The next bytes for OpenSSL, in the handshake: false when they begin a ClientHello that is too long. */
bool kg_tls_hello_pass(struct kg_tls_hello *hello, const SSL *ssl, const char *ptr, size_t len);

#endif
