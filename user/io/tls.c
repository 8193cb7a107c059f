/* SPDX-License-Identifier: BSD-2-Clause */
/* OpenSSL's contexts: what servers and clients of TLS agree to, and whose session may go on. */
#include "io/tls.h"

#include "base/addr.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "io/tls_filter.h"
#include "io/tls_tickets.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>

#define ALPN_HTTP1 "\x08http/1.1"
/* Forward secret and authenticated (RFC 9325, 4.2); those of TLS 1.3 are OpenSSL's own. */
#define SERVER_CIPHERS   "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS           "X25519:P-256:P-384"
#define SESSION_S        7200
#define CLIENT_CHAIN_MAX (32 * 1024) /* bytes of a client's certificates */

/* What a server context's callbacks need; belongs to the context. */
struct server {
    const struct kg_tls_identity *(*find)(void *ctx, struct kg_slice name);
    void *ctx;
    struct kg_tls_tickets *tickets;
    enum kg_tls_verify verify;
    EVP_CIPHER *aes; /* fetched once: OpenSSL 3.0 takes a lock for each fetch */
};

static int server_index = -1;

static void free_server(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
    struct server *server = ptr;

    if (!server)
        return;
    EVP_CIPHER_free(server->aes);
    free(server);
}

static void make_server_index(void)
{
    server_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_server);
    KG_ASSERT(server_index >= 0);
}

static struct server *server_of(const SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), server_index);
}

/* The callbacks of a server's handshake, in the order in which OpenSSL calls them. */

static bool take_length(struct kg_cursor *c, struct kg_slice *out)
{
    struct kg_slice len;

    return kg_cursor_bytes(c, 2, &len) &&
           kg_cursor_bytes(c, (size_t)((uint8_t)len.ptr[0] << 8 | (uint8_t)len.ptr[1]), out);
}

/* The host name of a server_name extension (RFC 6066, 3); false when it is malformed. */
static bool read_server_name(struct kg_slice extension, struct kg_slice *name)
{
    struct kg_cursor c = kg_cursor_of(extension);
    struct kg_slice list;

    if (!take_length(&c, &list) || kg_cursor_left(&c) > 0)
        return false;
    c = kg_cursor_of(list);
    return kg_cursor_take(&c, TLSEXT_NAMETYPE_host_name) && take_length(&c, name) && name->len > 0 &&
           name->len <= TLSEXT_MAXLEN_host_name && !memchr(name->ptr, '\0', name->len);
}

/* Before anything else, so that nobody resumes a session of a name that is not served here. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    const struct server *server = server_of(ssl);
    const unsigned char *extension;
    struct kg_slice name = KG_SLICE("");
    size_t len;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &len) == 1 &&
        !read_server_name(kg_slice_of((const char *)extension, len), &name)) {
        kg_tls_set_reason(ssl, "malformed server name");
        *alert = SSL_AD_DECODE_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    kg_tls_set_name(ssl, name);
    if (server->find(server->ctx, kg_tls_name(ssl)))
        return SSL_CLIENT_HELLO_SUCCESS;
    kg_tls_set_reason(ssl, "no certificate for this server name");
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
}

static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int sealing)
{
    const struct server *server = server_of(ssl);
    struct kg_ticket_key key;
    bool old = false;

    if (sealing) {
        kg_tls_tickets_current(server->tickets, &key);
        memcpy(name, key.name, KG_TICKET_NAME);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(server->aes)) != 1)
            return -1;
    } else if (!kg_tls_tickets_find(server->tickets, name, &key, &old)) {
        kg_wipe(&key, sizeof(key));
        return 0;
    }
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.hmac, sizeof(key.hmac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool ready = EVP_CipherInit_ex2(cipher, server->aes, key.aes, iv, sealing, NULL) == 1 &&
                 EVP_MAC_CTX_set_params(mac, params) == 1;
    kg_wipe(&key, sizeof(key));
    if (!ready)
        return -1;
    /* Tickets of TLS 1.3 are for one use (RFC 8446, C.4): there is always a new one. */
    return old || SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
}

/* A ticket is bound to the name that it was made for: what that name asks of its clients was asked then. */
static int on_ticket_made(SSL *ssl, void *arg)
{
    struct kg_slice name = kg_tls_name(ssl);

    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), name.len > 0 ? name.ptr : "", name.len);
}

static bool may_resume(const SSL *ssl, SSL_SESSION *session)
{
    const struct server *server = server_of(ssl);
    const X509 *client = SSL_SESSION_get0_peer(session);
    void *data = NULL;
    size_t len = 0;

    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 ||
        !kg_slice_eq(kg_slice_of(data, len), kg_tls_name(ssl)))
        return false;
    if (server->verify == KG_TLS_VERIFY_ON && !client)
        return false;
    /* It was good then; nobody looks at it again but here. */
    return !client || X509_cmp_current_time(X509_get0_notAfter(client)) > 0;
}

static SSL_TICKET_RETURN on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                          size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    bool good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;

    if (!good || !may_resume(ssl, session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* on_client_hello has judged it: tells OpenSSL to acknowledge the name (RFC 6066, 3). */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    return kg_tls_name(ssl).len > 0 ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static bool show(SSL *ssl, const struct kg_tls_identity *identity)
{
    for (; identity; identity = identity->alternative) {
        if (SSL_use_cert_and_key(ssl, identity->certificate, identity->key, identity->chain, 1) != 1)
            return false;
    }
    return true;
}

static int on_certificate_wanted(SSL *ssl, void *arg)
{
    const struct server *server = server_of(ssl);
    const struct kg_tls_identity *identity = server->find(server->ctx, kg_tls_name(ssl));

    return identity && show(ssl, identity);
}

/* A client that speaks none of our protocols learns so (RFC 7301, 3.2). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned int in_len, void *arg)
{
    const unsigned char *ours = (const unsigned char *)ALPN_HTTP1;
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ALPN_HTTP1) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *failed(SSL_CTX *ctx, const char *what, struct kg_error *err)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    kg_error_set(err, EINVAL, "cannot set up TLS for %s: %s", what, reason ? reason : "no memory");
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return NULL;
}

static bool set_common(SSL_CTX *ctx, int min_version)
{
    /* Renegotiation is work on demand and has a history; TLS 1.3 has none. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_security_level(ctx, 2);
    SSL_CTX_set_timeout(ctx, SESSION_S);
    return SSL_CTX_set_min_proto_version(ctx, min_version) == 1;
}

/* Adds what a certificate is to the digest. */
static bool digest_certificate(EVP_MD_CTX *digest, const X509 *certificate)
{
    unsigned char print[EVP_MAX_MD_SIZE];
    unsigned len;

    return X509_digest(certificate, EVP_sha256(), print, &len) == 1 &&
           EVP_DigestUpdate(digest, print, len) == 1;
}

/* Sessions belong to what was asked of clients when they began: other CAs or another rule, no resumption. */
static bool set_session_context(SSL_CTX *ctx, enum kg_tls_verify verify, STACK_OF(X509) * cas)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char id[EVP_MAX_MD_SIZE], rule = (unsigned char)verify;
    unsigned len = 0;
    bool done = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(digest, &rule, sizeof(rule)) == 1;

    for (int i = 0; done && i < sk_X509_num(cas); i++)
        done = digest_certificate(digest, sk_X509_value(cas, i));
    done = done && EVP_DigestFinal_ex(digest, id, &len) == 1 &&
           SSL_CTX_set_session_id_context(ctx, id, len) == 1;
    EVP_MD_CTX_free(digest);
    return done;
}

static bool set_client_verification(SSL_CTX *ctx, const struct kg_tls_server_config *config)
{
    STACK_OF(X509) *cas = config->client_ca ? X509_STORE_get1_all_certs(config->client_ca) : NULL;
    bool done = set_session_context(ctx, config->verify_client, cas);

    if (config->verify_client != KG_TLS_VERIFY_OFF) {
        int mode = SSL_VERIFY_PEER;

        if (config->verify_client == KG_TLS_VERIFY_ON)
            mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
        SSL_CTX_set_verify(ctx, mode, NULL);
        SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_MAX);
        done = done && cas && SSL_CTX_set1_verify_cert_store(ctx, config->client_ca) == 1;
        for (int i = 0; done && i < sk_X509_num(cas); i++)
            done = SSL_CTX_add_client_CA(ctx, sk_X509_value(cas, i)) == 1;
    }
    sk_X509_pop_free(cas, X509_free);
    return done;
}

static bool set_server_state(SSL_CTX *ctx, const struct kg_tls_server_config *config)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_server_index);
    struct server *server = kg_calloc(1, sizeof(*server));
    server->find = config->find;
    server->ctx = config->ctx;
    server->tickets = config->tickets;
    server->verify = config->verify_client;
    server->aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (server->aes && SSL_CTX_set_ex_data(ctx, server_index, server) == 1)
        return true;
    EVP_CIPHER_free(server->aes);
    free(server);
    return false;
}

SSL_CTX *kg_tls_server_new(const struct kg_tls_server_config *config, struct kg_error *err)
{
    KG_ASSERT(config->find && config->tickets);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx || !set_common(ctx, config->min_version) || !set_server_state(ctx, config) ||
        !set_client_verification(ctx, config) || SSL_CTX_set_cipher_list(ctx, SERVER_CIPHERS) != 1 ||
        SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
        return failed(ctx, "clients", err);
    /* A phone without AES instructions puts ChaCha20 first, and gets it. */
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
    SSL_CTX_set_session_ticket_cb(ctx, on_ticket_made, on_ticket_opened, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_cert_cb(ctx, on_certificate_wanted, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    return ctx;
}

/* The system's CAs, read once: a lookup in a folder would read files while a worker waits. */
static X509_STORE *system_store;

static void load_system_store(void)
{
    const char *files[] = { getenv(X509_get_default_cert_file_env()), X509_get_default_cert_file(),
                            "/etc/ssl/certs/ca-certificates.crt" };

    system_store = X509_STORE_new();
    KG_ASSERT(system_store != NULL);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i] && X509_STORE_load_file(system_store, files[i]) == 1)
            break;
    }
    ERR_clear_error();
}

SSL_CTX *kg_tls_client_new(int min_version, struct kg_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    pthread_once(&once, load_system_store);
    if (!ctx || !set_common(ctx, min_version) ||
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)ALPN_HTTP1, sizeof(ALPN_HTTP1) - 1) != 0)
        return failed(ctx, "upstreams", err);
    SSL_CTX_set1_cert_store(ctx, system_store);
    return ctx;
}

bool kg_tls_expect(SSL *ssl, const char *name)
{
    struct kg_addr addr;
    size_t len = strlen(name);

    if (kg_addr_parse(kg_slice_str(name), &addr) == 0)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    /* The root's dot is no part of a host name in TLS (RFC 6066, 3). */
    if (len > 1 && name[len - 1] == '.')
        len--;
    char *host = kg_strndup(name, len);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool done = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    free(host);
    return done;
}

/* Of another name, it would pass for a verification that never was. kg_tls_client_done has noted the name.
 * Resumed, a certificate is not looked at again but here. */
static bool is_session_for(const SSL *ssl, SSL_SESSION *session)
{
    const X509 *server = SSL_SESSION_get0_peer(session);

    return SSL_SESSION_is_resumable(session) &&
           kg_slice_eq(kg_tls_name(ssl), kg_slice_str(SSL_SESSION_get0_hostname(session))) &&
           (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ||
            (server && X509_cmp_current_time(X509_get0_notAfter(server)) > 0));
}

void kg_tls_client_done(SSL *ssl)
{
    struct kg_slice name = kg_tls_name(ssl);

    /* OpenSSL notes it only when the server acknowledges it, which few do, and never an address. The sessions
     * of later tickets are copies of this one. */
    if (!SSL_session_reused(ssl) && name.len > 0)
        SSL_SESSION_set1_hostname(SSL_get_session(ssl), name.ptr);
}

int kg_tls_client_set_up(SSL *ssl, const struct kg_tls_client_options *options)
{
    KG_ASSERT(options->name || !options->verify);
    bool done = !options->name || kg_tls_expect(ssl, options->name);

    kg_tls_set_name(ssl, kg_slice_str(options->name));
    SSL_set_verify(ssl, options->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (options->verify_depth >= 0)
        SSL_set_verify_depth(ssl, options->verify_depth);
    if (options->store)
        done = done && SSL_set1_verify_cert_store(ssl, options->store) == 1;
    if (options->identity)
        done = done && show(ssl, options->identity);
    if (options->session && is_session_for(ssl, options->session))
        done = done && SSL_set_session(ssl, options->session) == 1;
    ERR_clear_error();
    return done ? 0 : -ENOMEM;
}
