/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is believed: certificates, names, client certificates, ALPN, and whose session may be resumed. */
#include "tls_ends.h"

#include "io/tls_tickets.h"

#include <pthread.h>
#include <stdatomic.h>

static void a_client_that_names_nobody_we_serve_is_told_so(void **state)
{
    struct end end;

    open_server(&end, all.server, all.peer_client, "stranger.test");
    assert_false(shake_hands(&end));
    assert_string_equal(end.reason, "no certificate for this server name");
    assert_string_equal(peer_alert(&end), "tlsv1 unrecognized name");
    TURN_UNTIL(end.closes == 1);
    close_end(&end);
}

static void the_server_name_is_told_in_lower_case(void **state)
{
    struct end end;
    char name[256];

    open_server(&end, all.server, all.peer_client, "GATE.Test");
    assert_true(shake_hands(&end));
    assert_int_equal(kg_sock_server_name(&end.sock, name), 9);
    assert_string_equal(name, "gate.test");
    close_end(&end);
    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    assert_int_equal(kg_sock_server_name(&end.sock, name), 0);
    close_end(&end);
}

static bool shake_with_alpn(const char *offer, size_t len, struct end *end)
{
    open_server(end, all.server, all.peer_client, NULL);
    assert_int_equal(SSL_set_alpn_protos(end->peer_ssl, (const unsigned char *)offer, (unsigned)len), 0);
    return shake_hands(end);
}

static void only_http1_is_agreed_to(void **state)
{
    struct end end;
    const unsigned char *chosen;
    unsigned len;

    assert_true(shake_with_alpn("\x02h2\x08http/1.1", 12, &end));
    SSL_get0_alpn_selected(end.peer_ssl, &chosen, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    close_end(&end);
    assert_false(shake_with_alpn("\x02h2\x08http/1.0", 12, &end));
    assert_string_equal(peer_alert(&end), "tlsv1 alert no application protocol");
    TURN_UNTIL(end.closes == 1);
    close_end(&end);
}

static void old_versions_are_refused(void **state)
{
    struct end end;
    SSL_CTX *strict = new_server(TLS1_3_VERSION, KG_TLS_VERIFY_OFF);

    open_server(&end, strict, all.peer_client, NULL);
    SSL_set_max_proto_version(end.peer_ssl, TLS1_2_VERSION);
    assert_false(shake_hands(&end));
    assert_string_equal(end.reason, "unsupported protocol");
    TURN_UNTIL(end.closes == 1);
    close_end(&end);
    SSL_CTX_free(strict);
}

/* The key type that a client sees which can check only signatures by `algorithms`. */
static int key_type_for(SSL_CTX *server, const char *algorithms)
{
    struct end end;

    open_server(&end, server, all.peer_client, "gate.test");
    assert_int_equal(SSL_set1_sigalgs_list(end.peer_ssl, algorithms), 1);
    assert_true(shake_hands(&end));
    int type = EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(end.peer_ssl)));
    close_end(&end);
    return type;
}

static void each_client_gets_the_key_type_that_it_can_check(void **state)
{
    struct kg_tls_identity *both = issue(&all.ca, "gate.test", "RSA", 30), *usual = all.identity;

    both->alternative = issue(&all.ca, "gate.test", "EC", 30);
    all.identity = both;
    SSL_CTX *server = new_server(TLS1_2_VERSION, KG_TLS_VERIFY_OFF);
    all.identity = usual;
    assert_int_equal(key_type_for(server, "ECDSA+SHA256"), EVP_PKEY_EC);
    assert_int_equal(key_type_for(server, "RSA-PSS+SHA256"), EVP_PKEY_RSA);
    SSL_CTX_free(server);
    kg_tls_identity_free(both);
}

/* A handshake of ours with a server that shows `identity`: its reason for failing, "" for none. */
static const char *visit(const struct kg_tls_identity *identity, const struct kg_tls_client_options *options)
{
    static struct end end;
    static char reason[128];
    SSL_CTX *peer = new_peer_server(identity);

    open_client(&end, peer, options);
    bool done = shake_hands(&end);
    memcpy(reason, end.reason, sizeof(reason));
    assert_true(done || (end.error == -EPROTO && end.secures == 0 && reason[0]));
    close_end(&end);
    SSL_CTX_free(peer);
    return done ? "" : reason;
}

static void an_upstream_must_be_who_it_should_be(void **state)
{
    struct kg_tls_client_options options = {
        .name = "gate.test", .verify = true, .verify_depth = -1, .store = all.store
    };
    struct issuer strangers;

    new_issuer(&strangers, "Strangers' CA");
    X509_STORE *other = store_of(&strangers);
    struct kg_tls_identity *expired = issue(&all.ca, "gate.test", "EC", 0),
                           *by_address = issue(&all.ca, "127.0.0.1", "EC", 30);

    assert_string_equal(visit(all.identity, &options), "");
    assert_string_equal(visit(expired, &options), "certificate has expired");
    options.name = "elsewhere.test";
    assert_string_equal(visit(all.identity, &options), "hostname mismatch");
    options.name = "gate.test.";
    assert_string_equal(visit(all.identity, &options), "");
    options.store = other;
    assert_string_equal(visit(all.identity, &options), "unable to get local issuer certificate");
    options.store = NULL; /* the system's */
    assert_string_equal(visit(all.identity, &options), "unable to get local issuer certificate");
    options.store = all.store;
    options.name = "127.0.0.1";
    assert_string_equal(visit(by_address, &options), "");
    options.name = "127.0.0.2";
    assert_string_equal(visit(by_address, &options), "IP address mismatch");
    options.verify = false;
    options.store = NULL;
    assert_string_equal(visit(expired, &options), "");
    X509_STORE_free(other);
    free_issuer(&strangers);
    kg_tls_identity_free(expired);
    kg_tls_identity_free(by_address);
}

/* An address is no host name (RFC 6066, 3). */
static void no_server_name_is_sent_for_an_address(void **state)
{
    struct end end;
    struct kg_tls_client_options options = { .name = "127.0.0.1", .verify_depth = -1 };

    open_client(&end, all.peer_server, &options);
    assert_true(shake_hands(&end));
    assert_null(SSL_get_servername(end.peer_ssl, TLSEXT_NAMETYPE_host_name));
    close_end(&end);
}

static bool shake_as_client(SSL_CTX *server, const struct kg_tls_identity *identity, struct end *end)
{
    open_server(end, server, all.peer_client, "gate.test");
    if (identity)
        SSL_use_cert_and_key(end->peer_ssl, identity->certificate, identity->key, NULL, 1);
    return shake_hands(end);
}

static void clients_show_certificates_as_the_rule_says(void **state)
{
    struct issuer strangers;
    struct end end;

    new_issuer(&strangers, "Strangers' CA");
    struct kg_tls_identity *known = issue(&all.ca, "client.test", "EC", 30),
                           *stranger = issue(&strangers, "client.test", "EC", 30);
    SSL_CTX *must = new_server(TLS1_2_VERSION, KG_TLS_VERIFY_ON),
            *may = new_server(TLS1_2_VERSION, KG_TLS_VERIFY_OPTIONAL);
    SSL_CTX *servers[] = { must, may };

    for (int i = 0; i < 2; i++) {
        assert_true(shake_as_client(servers[i], known, &end));
        assert_non_null(SSL_get0_peer_certificate(kg_sock_ssl(&end.sock)));
        close_end(&end);
        assert_false(shake_as_client(servers[i], stranger, &end));
        assert_string_equal(end.reason, "unable to get local issuer certificate");
        TURN_UNTIL(end.closes == 1);
        close_end(&end);
    }
    assert_true(shake_as_client(may, NULL, &end));
    assert_null(SSL_get0_peer_certificate(kg_sock_ssl(&end.sock)));
    close_end(&end);
    assert_false(shake_as_client(must, NULL, &end));
    assert_string_equal(end.reason, "peer did not return a certificate");
    assert_string_equal(peer_alert(&end), "tlsv13 alert certificate required");
    TURN_UNTIL(end.closes == 1);
    close_end(&end);
    SSL_CTX_free(must);
    SSL_CTX_free(may);
    kg_tls_identity_free(known);
    kg_tls_identity_free(stranger);
    free_issuer(&strangers);
}

static void an_identity_of_ours_is_shown_to_the_upstream_that_asks(void **state)
{
    struct end end;
    struct kg_tls_client_options options = { .name = "gate.test", .verify_depth = -1 };
    SSL_CTX *peer = new_peer_server(all.identity);

    SSL_CTX_set_verify(peer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set1_cert_store(peer, all.store);
    options.identity = all.identity;
    open_client(&end, peer, &options);
    assert_true(shake_hands(&end));
    assert_non_null(SSL_get0_peer_certificate(end.peer_ssl));
    close_end(&end);
    SSL_CTX_free(peer);
}

/* One connection of a client to our server: its session for the next. `resumed` tells whether it went on with
 * `session`. */
static SSL_SESSION *visit_us(SSL_CTX *server, int version, const char *name, SSL_SESSION *session,
                             const struct kg_tls_identity *identity, bool *resumed)
{
    struct end end;
    char byte;

    open_server(&end, server, all.peer_client, name);
    SSL_set_max_proto_version(end.peer_ssl, version);
    if (identity)
        SSL_use_cert_and_key(end.peer_ssl, identity->certificate, identity->key, NULL, 1);
    if (session)
        assert_int_equal(SSL_set_session(end.peer_ssl, session), 1);
    assert_true(shake_hands(&end));
    /* Tickets of TLS 1.3 come behind the handshake. */
    kg_sock_write_static(&end.sock, KG_SLICE("x"));
    kg_sock_flush(&end.sock);
    TURN_UNTIL(peer_read(&end, &byte, 1) == 1);
    *resumed = SSL_session_reused(end.peer_ssl) == 1;
    assert_int_equal(SSL_session_reused(kg_sock_ssl(&end.sock)), *resumed);
    if (identity)
        assert_non_null(SSL_get0_peer_certificate(kg_sock_ssl(&end.sock)));
    SSL_SESSION *next = SSL_get1_session(end.peer_ssl);
    SSL_set_shutdown(end.peer_ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    close_end(&end);
    return next;
}

static void visit_again(int version, unsigned rotations, bool expected)
{
    /* Another worker's. */
    SSL_CTX *other = new_server(TLS1_2_VERSION, KG_TLS_VERIFY_OFF);
    bool resumed;
    SSL_SESSION *session = visit_us(all.server, version, "gate.test", NULL, NULL, &resumed);

    assert_false(resumed);
    for (unsigned i = 0; i < rotations; i++)
        kg_tls_tickets_rotate(all.tickets);
    SSL_SESSION *second = visit_us(other, version, "gate.test", session, NULL, &resumed);
    assert_int_equal(resumed, expected);
    /* Answered with a ticket of the key of now, which one more rotation leaves good. */
    kg_tls_tickets_rotate(all.tickets);
    SSL_SESSION *third = visit_us(all.server, version, "gate.test", second, NULL, &resumed);
    assert_int_equal(resumed, rotations > 0 || version == TLS1_3_VERSION || expected);
    SSL_SESSION_free(session);
    SSL_SESSION_free(second);
    SSL_SESSION_free(third);
    SSL_CTX_free(other);
}

static void sessions_go_on_with_the_key_before_and_no_older(void **state)
{
    const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

    for (int i = 0; i < 2; i++) {
        visit_again(versions[i], 0, true);
        visit_again(versions[i], 1, true);
        visit_again(versions[i], 2, false);
    }
}

static void a_session_of_one_name_is_no_good_for_another(void **state)
{
    const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

    for (int i = 0; i < 2; i++) {
        bool resumed;
        SSL_SESSION *session = visit_us(all.server, versions[i], "gate.test", NULL, NULL, &resumed);
        const char *names[] = { "other.test", NULL, "GATE.test" };

        for (int n = 0; n < 3; n++) {
            SSL_SESSION *copy = SSL_SESSION_dup(session);
            SSL_SESSION_free(visit_us(all.server, versions[i], names[n], copy, NULL, &resumed));
            SSL_SESSION_free(copy);
            assert_int_equal(resumed, n == 2);
        }
        SSL_SESSION_free(session);
    }
}

static void no_session_gets_around_client_certificates(void **state)
{
    const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct kg_tls_identity *known = issue(&all.ca, "client.test", "EC", 30);
    SSL_CTX *must = new_server(TLS1_2_VERSION, KG_TLS_VERIFY_ON),
            *may = new_server(TLS1_2_VERSION, KG_TLS_VERIFY_OPTIONAL);

    for (int i = 0; i < 2; i++) {
        SSL_CTX *from[] = { all.server, may, must };
        bool resumed;

        for (int n = 0; n < 3; n++) {
            SSL_SESSION *session =
                visit_us(from[n], versions[i], "gate.test", NULL, n == 2 ? known : NULL, &resumed);
            /* With the certificate at hand: else the handshake would fail anyway. */
            SSL_SESSION *next = visit_us(must, versions[i], "gate.test", session, known, &resumed);
            assert_int_equal(resumed, n == 2);
            SSL_SESSION_free(session);
            SSL_SESSION_free(next);
        }
    }
    kg_tls_identity_free(known);
    SSL_CTX_free(must);
    SSL_CTX_free(may);
}

/* A visit of ours to the peer; the session for the next, as an owner would keep it. */
static SSL_SESSION *visit_peer(struct kg_tls_client_options *options, bool *resumed)
{
    struct end end;

    open_client(&end, all.peer_server, options);
    end.once = true;
    assert_true(shake_hands(&end));
    SSL_write(end.peer_ssl, "x", 1);
    TURN_UNTIL(end.got_len == 1);
    *resumed = SSL_session_reused(kg_sock_ssl(&end.sock));
    SSL_SESSION *session = SSL_get1_session(kg_sock_ssl(&end.sock));
    close_end(&end);
    return session;
}

static void a_client_resumes_only_sessions_of_the_same_name(void **state)
{
    struct kg_tls_client_options options = {
        .name = "gate.test", .verify = true, .verify_depth = -1, .store = all.store
    };
    bool resumed;
    SSL_SESSION *first = visit_peer(&options, &resumed);

    assert_false(resumed);
    options.session = first;
    SSL_SESSION *second = visit_peer(&options, &resumed);
    assert_true(resumed);
    options.session = second;
    options.name = "other.test";
    options.verify = false;
    SSL_SESSION *third = visit_peer(&options, &resumed);
    assert_false(resumed);
    SSL_SESSION_free(first);
    SSL_SESSION_free(second);
    SSL_SESSION_free(third);
}

/* It was good when it was looked at; to be resumed for ever it would have to stay so. */
static void a_session_does_not_outlive_the_certificate_it_was_begun_by(void **state)
{
    struct kg_tls_identity *expired = issue(&all.ca, "gate.test", "EC", 1);
    struct kg_tls_client_options options = {
        .name = "gate.test", .verify = true, .verify_depth = -1, .store = all.store
    };
    SSL_CTX *server = new_peer_server(expired);

    for (int again = 0; again < 2; again++) {
        struct end end;

        open_client(&end, server, &options);
        end.once = true;
        /* Verified at an hour when it was still good. */
        if (!again)
            X509_VERIFY_PARAM_set_time(SSL_get0_param(kg_sock_ssl(&end.sock)), time(NULL) - 12L * 3600);
        assert_int_equal(shake_hands(&end), !again);
        if (!again) {
            SSL_write(end.peer_ssl, "x", 1);
            TURN_UNTIL(end.got_len == 1);
            options.session = SSL_get1_session(kg_sock_ssl(&end.sock));
            assert_true(SSL_SESSION_is_resumable(options.session));
        } else {
            assert_string_equal(end.reason, "certificate has expired");
        }
        close_end(&end);
    }
    SSL_SESSION_free(options.session);
    SSL_CTX_free(server);
    kg_tls_identity_free(expired);
}

/* What was begun without a look at the certificate does not become verified by being resumed. */
static void a_session_that_was_not_verified_does_not_pass_for_one_that_was(void **state)
{
    struct kg_tls_client_options options = { .name = "other.test", .verify = false, .verify_depth = -1 };
    struct end end;
    bool resumed;
    SSL_SESSION *session = visit_peer(&options, &resumed);

    options = (struct kg_tls_client_options){
        .name = "other.test", .verify = true, .verify_depth = -1, .store = all.store, .session = session
    };
    open_client(&end, all.peer_server, &options);
    assert_false(shake_hands(&end));
    assert_int_equal(end.secures, 0);
    assert_int_equal(end.error, -EPROTO);
    TURN_UNTIL(end.closes == 1);
    close_end(&end);
    SSL_SESSION_free(session);
}

static _Atomic bool rotate;

static void *keep_rotating(void *arg)
{
    while (atomic_load(&rotate))
        kg_tls_tickets_rotate(all.tickets);
    return NULL;
}

/* A torn read would give one key's name with another's bytes. */
static void keys_are_read_whole_while_they_rotate(void **state)
{
    pthread_t thread;
    struct kg_ticket_key now, found;
    unsigned both = 0;
    bool old;

    atomic_store(&rotate, true);
    assert_int_equal(pthread_create(&thread, NULL, keep_rotating, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        kg_tls_tickets_current(all.tickets, &now);
        if (!kg_tls_tickets_find(all.tickets, now.name, &found, &old))
            continue;
        both++;
        assert_memory_equal(&now, &found, sizeof(now));
    }
    atomic_store(&rotate, false);
    pthread_join(thread, NULL);
    assert_true(both > 0);
}

static void what_does_not_belong_together_is_no_identity(void **state)
{
    EVP_PKEY *one = new_key("EC"), *two = new_key("EC"), *weak = EVP_RSA_gen(1024);
    X509 *certificate = new_certificate("gate.test", one, &all.ca, 30),
         *weak_certificate = new_certificate("gate.test", weak, &all.ca, 30);
    BIO *bios[5];
    struct kg_slice good = pem_of(certificate, NULL, &bios[0]), key = pem_of(NULL, one, &bios[1]),
                    other = pem_of(NULL, two, &bios[2]), weak_key = pem_of(NULL, weak, &bios[3]),
                    weak_pem = pem_of(weak_certificate, NULL, &bios[4]);
    const struct {
        struct kg_slice certificate, key;
        const char *sentence;
    } cases[] = {
        { good, other, "the certificate and the key do not belong together" },
        { good, good, "the key cannot be read (it must be in PEM, without a passphrase)" },
        { good, KG_SLICE(""), "the key cannot be read (it must be in PEM, without a passphrase)" },
        { key, key, "there is no certificate in PEM" },
        { KG_SLICE(""), key, "there is no certificate in PEM" },
        { KG_SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key,
          "the certificate cannot be read" },
        { kg_slice_of(good.ptr, good.len - 40), key, "the certificate cannot be read" },
        { weak_pem, weak_key, "the key is too short (RSA needs 2048 bits)" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kg_error err = { 0 };

        assert_null(kg_tls_identity_new(cases[i].certificate, cases[i].key, &err));
        assert_string_equal(err.text, cases[i].sentence);
        assert_null(kg_tls_store_new(KG_SLICE("no PEM"), &err));
        assert_string_equal(err.text, "there is no CA certificate in PEM");
    }
    for (int i = 0; i < 5; i++)
        BIO_free(bios[i]);
    X509_free(certificate);
    X509_free(weak_certificate);
    EVP_PKEY_free(one);
    EVP_PKEY_free(two);
    EVP_PKEY_free(weak);
}

static void a_certificate_of_our_own_making_can_be_pinned(void **state)
{
    struct kg_error err;
    struct kg_tls_identity *made = kg_tls_identity_self_signed("gate.test", &err);
    BIO *bio;

    assert_non_null(made);
    X509_STORE *store = kg_tls_store_new(pem_of(made->certificate, NULL, &bio), &err);
    struct kg_tls_client_options options = {
        .name = "gate.test", .verify = true, .verify_depth = -1, .store = store
    };
    assert_string_equal(visit(made, &options), "");
    assert_string_equal(visit(all.identity, &options), "unable to get local issuer certificate");
    BIO_free(bio);
    X509_STORE_free(store);
    kg_tls_identity_free(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(a_client_that_names_nobody_we_serve_is_told_so),
        RING_TEST(the_server_name_is_told_in_lower_case),
        RING_TEST(only_http1_is_agreed_to),
        RING_TEST(old_versions_are_refused),
        RING_TEST(each_client_gets_the_key_type_that_it_can_check),
        RING_TEST(an_upstream_must_be_who_it_should_be),
        RING_TEST(no_server_name_is_sent_for_an_address),
        RING_TEST(clients_show_certificates_as_the_rule_says),
        RING_TEST(an_identity_of_ours_is_shown_to_the_upstream_that_asks),
        RING_TEST(sessions_go_on_with_the_key_before_and_no_older),
        RING_TEST(a_session_of_one_name_is_no_good_for_another),
        RING_TEST(no_session_gets_around_client_certificates),
        RING_TEST(a_client_resumes_only_sessions_of_the_same_name),
        RING_TEST(a_session_does_not_outlive_the_certificate_it_was_begun_by),
        RING_TEST(a_session_that_was_not_verified_does_not_pass_for_one_that_was),
        RING_TEST(keys_are_read_whole_while_they_rotate),
        RING_TEST(what_does_not_belong_together_is_no_identity),
        RING_TEST(a_certificate_of_our_own_making_can_be_pinned),
    };

    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
