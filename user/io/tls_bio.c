/* SPDX-License-Identifier: BSD-2-Clause */
/* Where OpenSSL reads and writes ciphertext. Reading never says more than "not yet": the filter's run() knows
 * what comes then. */
#include "io/tls_state.h"

#include "base/assert.h"

#include <openssl/bio.h>
#include <pthread.h>

/* Messages of the handshake protocol after it (tickets, key updates) without a byte for the owner between
 * them, and bytes that they make us send without being read: more is no use, only work for us. */
#define MESSAGES_MAX 32
#define ANSWERS_MAX  16384

/* Bytes that OpenSSL is about to read. */
static bool may_pass(struct kg_tls *tls, const char *ptr, size_t len)
{
    if (tls->secured || !SSL_is_server(tls->ssl) || kg_tls_hello_pass(&tls->hello, tls->ssl, ptr, len))
        return true;
    tls->reason = "the ClientHello is too long";
    return false;
}

bool kg_tls_is_nuisance(const struct kg_tls *tls)
{
    return tls->messages > MESSAGES_MAX || tls->answers > ANSWERS_MAX;
}

static int bio_read(BIO *bio, char *out, int len)
{
    struct kg_tls *tls = BIO_get_data(bio);
    struct kg_blocks *blocks = &tls->sock->ring->blocks;
    size_t part = (size_t)len;

    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return -1;
    /* An error from which there is no return. */
    if (kg_tls_is_nuisance(tls))
        return -1;
    if (tls->held.bytes > 0) {
        struct kg_block *first = tls->held.first;

        if (part > kg_block_used(first))
            part = kg_block_used(first);
        memcpy(out, first->data + first->start, part);
        if (!may_pass(tls, out, part))
            return -1;
        kg_chain_consume(&tls->held, blocks, part);
        return (int)part;
    }
    if (tls->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (part > tls->in.len)
        part = tls->in.len;
    memcpy(out, tls->in.ptr, part);
    if (!may_pass(tls, out, part))
        return -1;
    tls->in = kg_slice_of(tls->in.ptr + part, tls->in.len - part);
    return (int)part;
}

static int bio_write(BIO *bio, const char *ptr, int len)
{
    struct kg_tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return -1;
    bool foreign = !tls->writing && tls->foreign == tls->out.bytes;

    if (!tls->writing && tls->secured)
        tls->answers += (size_t)len;
    kg_chain_append(&tls->out, &tls->sock->ring->blocks, ptr, (size_t)len);
    /* The owner waits until nothing is pending: of these bytes nobody would tell it. */
    if (foreign)
        tls->foreign += (size_t)len;
    else
        tls->sock->pending += (uint32_t)len;
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "keygate");
    KG_ASSERT(bio_method != NULL);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

BIO *kg_tls_bio_new(struct kg_tls *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_bio_method);
    BIO *bio = BIO_new(bio_method);
    if (!bio)
        return NULL;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    return bio;
}
