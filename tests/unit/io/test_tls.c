/* SPDX-License-Identifier: BSD-2-Clause */
/* The TLS filter on a real ring: the handshake, bytes both ways, back-pressure, every way of ending. */
#include "tls_ends.h"

#define MEBI (1024 * 1024)

static void the_owner_sees_plain_bytes_both_ways_with(int version)
{
    struct end end;
    char bytes[64];
    int n = 0;

    open_server(&end, all.server, all.peer_client, "gate.test");
    SSL_set_min_proto_version(end.peer_ssl, version);
    SSL_set_max_proto_version(end.peer_ssl, version);
    end.all = true;
    assert_true(shake_hands(&end));
    assert_int_equal(SSL_version(kg_sock_ssl(&end.sock)), version);
    assert_int_equal(SSL_write(end.peer_ssl, "question", 8), 8);
    TURN_UNTIL(end.got_len == 8);
    assert_memory_equal(end.got, "question", 8);
    kg_sock_write_static(&end.sock, KG_SLICE("an"));
    kg_sock_write_small(&end.sock, KG_SLICE("sw"));
    kg_sock_write_copy(&end.sock, KG_SLICE("er"));
    assert_int_equal(kg_sock_pending(&end.sock), 6);
    kg_sock_flush(&end.sock);
    assert_true(kg_sock_pending(&end.sock) > 6);
    TURN_UNTIL((n = peer_read(&end, bytes, sizeof(bytes))) != 0);
    /* In one record. */
    assert_int_equal(n, 6);
    assert_memory_equal(bytes, "answer", 6);
    TURN_UNTIL(kg_sock_pending(&end.sock) == 0);
    assert_int_equal(end.sends, 1);
    close_end(&end);
}

static void the_owner_sees_plain_bytes_both_ways(void **state)
{
    the_owner_sees_plain_bytes_both_ways_with(TLS1_2_VERSION);
    the_owner_sees_plain_bytes_both_ways_with(TLS1_3_VERSION);
}

/* Over TCP, connected after the sock was made a TLS one, and written to before anything stands. */
static void a_client_connects_shakes_hands_and_then_sends_what_waited(void **state)
{
    struct end end = { 0 };
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(addr);
    struct kg_tls_client_options options = {
        .name = "gate.test", .verify = true, .verify_depth = -1, .store = all.store
    };
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), n = 0;
    char bytes[16];

    assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&addr, &len);
    assert_int_equal(kg_sock_open(&end.sock, &ring, fd, &end_ops), 0);
    end.once = true;
    assert_int_equal(kg_sock_tls_client(&end.sock, all.client, &options), 0);
    kg_sock_write_static(&end.sock, KG_SLICE("early"));
    kg_sock_flush(&end.sock);
    turn();
    assert_int_equal(end.failures, 0);
    kg_sock_connect(&end.sock, (struct sockaddr *)&addr, len);
    TURN_UNTIL(end.connects == 1);
    assert_int_equal(end.secures, 0);
    end.peer = accept(listener, NULL, NULL);
    fcntl(end.peer, F_SETFL, O_NONBLOCK);
    end.peer_ssl = SSL_new(all.peer_server);
    SSL_set_fd(end.peer_ssl, end.peer);
    SSL_set_accept_state(end.peer_ssl);
    assert_true(shake_hands(&end));
    assert_string_equal(SSL_get_servername(end.peer_ssl, TLSEXT_NAMETYPE_host_name), "gate.test");
    TURN_UNTIL((n = peer_read(&end, bytes, sizeof(bytes))) != 0);
    assert_int_equal(n, 5);
    TURN_UNTIL(end.sends == 1);
    SSL_write(end.peer_ssl, "late", 4);
    TURN_UNTIL(end.got_len == 4);
    close(listener);
    close_end(&end);
}

/* What came too early, behind a PROXY protocol header, is handed over. */
static void bytes_that_came_before_can_be_fed(void **state)
{
    struct end end;
    char bytes[4096];

    open_pair(&end, all.peer_client);
    SSL_set_connect_state(end.peer_ssl);
    end.all = true;
    assert_int_equal(peer_handshake(&end), 0);
    ssize_t n = recv(end.sock.fd, bytes, sizeof(bytes), 0);
    assert_true(n > 100);
    assert_int_equal(kg_sock_tls_server(&end.sock, all.server), 0);
    kg_sock_tls_feed(&end.sock, kg_slice_of(bytes, (size_t)n));
    assert_true(shake_hands(&end));
    close_end(&end);
}

/* Moves what the peer's SSL has written into our socket, one byte for each turn. */
static void drip(struct end *end, BIO *from)
{
    char byte;

    while (BIO_read(from, &byte, 1) == 1) {
        assert_int_equal(write(end->peer, &byte, 1), 1);
        turn();
    }
}

static void a_handshake_and_bytes_come_through_byte_by_byte(void **state)
{
    struct end end;
    char bytes[4096];
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    open_server(&end, all.server, all.peer_client, NULL);
    SSL_set_bio(end.peer_ssl, in, out);
    /* Asked for before there is anything to have. */
    kg_sock_receive_all(&end.sock);
    while (peer_handshake(&end) != 1 || !end.secures) {
        drip(&end, out);
        turn();
        ssize_t n = read(end.peer, bytes, sizeof(bytes));
        if (n > 0)
            BIO_write(in, bytes, (int)n);
    }
    assert_int_equal(SSL_write(end.peer_ssl, "drip", 4), 4);
    drip(&end, out);
    TURN_UNTIL(end.got_len == 4);
    close_end(&end);
}

/* The client guesses a group that we do not take, and is asked again (RFC 8446, 4.1.4). */
static void a_second_client_hello_is_answered(void **state)
{
    struct end end;

    open_server(&end, all.server, all.peer_client, "gate.test");
    assert_int_equal(SSL_set1_groups_list(end.peer_ssl, "P-521:P-256"), 1);
    assert_true(shake_hands(&end));
    assert_int_equal(SSL_get_negotiated_group(end.peer_ssl), NID_X9_62_prime256v1);
    close_end(&end);
}

static void one_ask_brings_one_buffer_and_no_more(void **state)
{
    struct end end;
    static char bytes[3 * BUFFER_SIZE];

    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    memset(bytes, 'x', sizeof(bytes));
    /* One record: what is not asked for waits inside. */
    assert_int_equal(SSL_write(end.peer_ssl, bytes, sizeof(bytes)), sizeof(bytes));
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(end.got_len, 0);
    for (unsigned i = 1; i <= 3; i++) {
        kg_sock_receive_once(&end.sock);
        TURN_UNTIL(end.receipts == i);
        for (int n = 0; n < 5; n++)
            turn();
        assert_int_equal(end.receipts, i);
        assert_int_equal(end.got_len, i * BUFFER_SIZE);
    }
    assert_true(kg_sock_is_quiet(&end.sock));
    close_end(&end);
}

static void asking_never_calls_a_handler_at_once(void **state)
{
    struct end end;
    static char bytes[2 * BUFFER_SIZE];

    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    SSL_write(end.peer_ssl, bytes, sizeof(bytes));
    kg_sock_receive_once(&end.sock);
    TURN_UNTIL(end.receipts == 1);
    assert_false(kg_sock_is_quiet(&end.sock));
    kg_sock_receive_all(&end.sock);
    assert_int_equal(end.receipts, 1);
    turn();
    assert_int_equal(end.receipts, 2);
    /* Closed while it waits for its turn: nothing more is told. */
    SSL_write(end.peer_ssl, bytes, sizeof(bytes));
    TURN_UNTIL(end.receipts > 2);
    kg_sock_pause(&end.sock);
    close_end(&end);
}

static void a_paused_sock_brings_nothing_until_it_is_asked_again(void **state)
{
    struct end end;

    open_server(&end, all.server, all.peer_client, NULL);
    end.all = true;
    assert_true(shake_hands(&end));
    kg_sock_pause(&end.sock);
    SSL_write(end.peer_ssl, "abc", 3);
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(end.got_len, 0);
    assert_false(kg_sock_is_quiet(&end.sock));
    kg_sock_receive_all(&end.sock);
    TURN_UNTIL(end.got_len == 3);
    SSL_write(end.peer_ssl, "abc", 3);
    TURN_UNTIL(end.got_len == 6);
    close_end(&end);
}

/* Nobody asks for more: the sender stops, and what is kept stays small. */
static void a_slow_owner_holds_a_fast_sender_back(void **state)
{
    struct end end;
    static char bytes[10 * MEBI];
    size_t written = 0;

    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    SSL_set_mode(end.peer_ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 251);
    for (int idle = 0; idle < 50;) {
        int n = SSL_write(end.peer_ssl, bytes + written, (int)(sizeof(bytes) - written));

        written += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        turn();
        assert_true(ring.blocks.in_use <= 2);
    }
    assert_true(written < sizeof(bytes));
    while (end.got_len < sizeof(bytes)) {
        if (written < sizeof(bytes)) {
            int n = SSL_write(end.peer_ssl, bytes + written, (int)(sizeof(bytes) - written));
            written += n > 0 ? (size_t)n : 0;
        }
        kg_sock_receive_once(&end.sock);
        turn();
        assert_true(ring.blocks.in_use <= 2);
    }
    assert_memory_equal(end.got, bytes, sizeof(bytes));
    assert_int_equal(end.largest, BUFFER_SIZE);
    close_end(&end);
}

static void a_slow_reader_holds_the_owner_back(void **state)
{
    struct end end;
    static char bytes[10 * MEBI], back[10 * MEBI];
    size_t written = 0, got = 0;
    uint32_t most = 0;

    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 5 + i / 253);
    for (unsigned turns = 0; got < sizeof(bytes); turns++) {
        while (written < sizeof(bytes) && kg_sock_can_write(&end.sock)) {
            size_t part = sizeof(bytes) - written < 10000 ? sizeof(bytes) - written : 10000;

            kg_sock_write_copy(&end.sock, kg_slice_of(bytes + written, part));
            written += part;
            if (written % 3 == 0)
                kg_sock_flush(&end.sock);
        }
        kg_sock_flush(&end.sock);
        most = kg_sock_pending(&end.sock) > most ? kg_sock_pending(&end.sock) : most;
        turn();
        for (int n = 1; turns > 50 && n > 0 && got < sizeof(bytes); got += (size_t)n)
            n = peer_read(&end, back + got, sizeof(back) - got);
    }
    assert_memory_equal(back, bytes, sizeof(bytes));
    assert_true(most < KG_OUT_MAX + 3 * 10000 + 1000);
    TURN_UNTIL(kg_sock_pending(&end.sock) == 0);
    assert_int_equal(ring.blocks.in_use, 0);
    close_end(&end);
}

/* Input of one socket, plain or TLS, goes out by another, plain or TLS. */
static void input_is_passed_on_between_plain_and_tls(void **state)
{
    struct end tls, plain;
    struct kg_input input = { .buffer = KG_NO_BUFFER };
    char bytes[16], source[] = "passed on";

    open_server(&tls, all.server, all.peer_client, NULL);
    open_pair(&plain, NULL);
    assert_true(shake_hands(&tls));
    input.ptr = source;
    input.len = 9;
    kg_sock_write_input(&plain.sock, &input, kg_slice_of(input.ptr, 9));
    kg_sock_flush(&plain.sock);
    kg_sock_write_input(&tls.sock, &input, kg_slice_of(input.ptr, 9));
    kg_sock_flush(&tls.sock);
    memset(source, 0, sizeof(source));
    TURN_UNTIL(read(plain.peer, bytes, sizeof(bytes)) == 9);
    assert_memory_equal(bytes, "passed on", 9);
    memset(bytes, 0, sizeof(bytes));
    TURN_UNTIL(peer_read(&tls, bytes, sizeof(bytes)) == 9);
    assert_memory_equal(bytes, "passed on", 9);
    close_end(&tls);
    close_end(&plain);
}

static void a_close_notify_is_the_peers_end(void **state)
{
    struct end end;

    open_server(&end, all.server, all.peer_client, NULL);
    end.all = true;
    assert_true(shake_hands(&end));
    SSL_write(end.peer_ssl, "last", 4);
    SSL_shutdown(end.peer_ssl);
    TURN_UNTIL(end.eofs == 1);
    assert_int_equal(end.got_len, 4);
    /* The other way is still open. */
    char bytes[8];
    kg_sock_write_static(&end.sock, KG_SLICE("answer"));
    kg_sock_flush(&end.sock);
    TURN_UNTIL(peer_read(&end, bytes, sizeof(bytes)) == 6);
    shutdown(end.peer, SHUT_WR);
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(end.eofs, 1);
    assert_int_equal(end.failures, 0);
    close_end(&end);
}

static void an_end_without_close_notify_is_a_cut(void **state)
{
    struct end end;

    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    SSL_write(end.peer_ssl, "cut he", 6);
    shutdown(end.peer, SHUT_WR);
    /* What came before it is told first. */
    end.once = true;
    kg_sock_receive_once(&end.sock);
    TURN_UNTIL(end.closes == 1);
    assert_int_equal(end.got_len, 6);
    assert_int_equal(end.eofs, 0);
    assert_int_equal(end.error, -ECONNRESET);
    assert_string_equal(end.reason, "end of connection without close_notify");
    close_end(&end);
}

static void a_record_that_was_tampered_with_ends_the_connection(void **state)
{
    struct end end;
    char record[200] = { 0x17, 3, 3, 0, (char)(sizeof(record) - 5) };

    open_server(&end, all.server, all.peer_client, NULL);
    end.all = true;
    assert_true(shake_hands(&end));
    assert_int_equal(write(end.peer, record, sizeof(record)), sizeof(record));
    TURN_UNTIL(end.closes == 1);
    assert_int_equal(end.error, -EPROTO);
    assert_int_equal(end.got_len, 0);
    assert_non_null(strstr(peer_alert(&end), "bad record mac"));
    close_end(&end);
}

static void shutting_down_says_close_notify_and_goes_on_receiving(void **state)
{
    struct end end;
    char byte;

    open_server(&end, all.server, all.peer_client, NULL);
    end.all = true;
    assert_true(shake_hands(&end));
    kg_sock_shutdown(&end.sock);
    TURN_UNTIL(peer_read(&end, &byte, 1) < 0);
    assert_int_equal(SSL_get_shutdown(end.peer_ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    TURN_UNTIL(read(end.peer, &byte, 1) == 0);
    SSL_write(end.peer_ssl, "more", 4);
    TURN_UNTIL(end.got_len == 4);
    close_end(&end);
}

/* It must not stand behind bytes that never came. */
static void closing_says_close_notify_only_behind_all_bytes(void **state)
{
    struct end end;
    char byte;

    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    TURN_UNTIL(!end.sock.sending);
    kg_sock_close(&end.sock);
    TURN_UNTIL(end.closes == 1);
    while (peer_read(&end, &byte, 1) > 0)
        ;
    assert_int_equal(SSL_get_shutdown(end.peer_ssl), SSL_RECEIVED_SHUTDOWN);
    close_end(&end);

    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    kg_sock_write_static(&end.sock, KG_SLICE("not sent"));
    kg_sock_close(&end.sock);
    TURN_UNTIL(end.closes == 1);
    assert_int_equal(peer_read(&end, &byte, 1), -1);
    assert_int_equal(SSL_get_shutdown(end.peer_ssl), 0);
    close_end(&end);
}

static void a_reset_says_nothing(void **state)
{
    struct end end;
    char byte;

    open_server(&end, all.server, all.peer_client, NULL);
    assert_true(shake_hands(&end));
    kg_sock_reset(&end.sock);
    TURN_UNTIL(end.closes == 1);
    assert_int_equal(peer_read(&end, &byte, 1), -1);
    assert_int_equal(SSL_get_shutdown(end.peer_ssl), 0);
    close_end(&end);
}

static void garbage_is_no_handshake(void **state)
{
    const struct kg_slice garbage[] = { KG_SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                                        KG_SLICE("\x16\x03\x01\xff\xff\x01 a record too large"),
                                        KG_SLICE("\x80\x2e\x01\x03\x02 an old hello"),
                                        KG_SLICE("\x17\x03\x03\x00\x05hello, plain"), KG_SLICE("\x16") };

    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        struct end end;

        open_server(&end, all.server, NULL, NULL);
        end.all = true;
        assert_int_equal(write(end.peer, garbage[i].ptr, garbage[i].len), garbage[i].len);
        shutdown(end.peer, SHUT_WR);
        TURN_UNTIL(end.closes == 1);
        assert_int_equal(end.error, -EPROTO);
        assert_true(end.reason[0] != '\0');
        assert_int_equal(end.secures, 0);
        close_end(&end);
    }
}

static void a_handshake_without_end_is_ended(void **state)
{
    struct end end;
    /* A ClientHello of 131,000 bytes in records of 4,000: as OpenSSL would take it. */
    static char hello[4005] = { 0x16, 3, 1, 0xfa0 >> 8, 0xfa0 & 0xff, 1, 1, 0xff, 0xb8 };
    size_t written = 0;

    open_server(&end, all.server, NULL, NULL);
    while (!end.failures && written < MEBI) {
        ssize_t n = write(end.peer, hello, sizeof(hello));

        written += n > 0 ? (size_t)n : 0;
        memset(hello + 5, 0, 4);
        turn();
    }
    assert_int_equal(end.error, -EPROTO);
    assert_true(written < 256 * 1024);
    TURN_UNTIL(end.closes == 1);
    close_end(&end);
}

/* OpenSSL would make room for all of it once it has read its length. */
static void a_client_hello_that_would_be_too_long_is_refused_at_once(void **state)
{
    const struct kg_slice hellos[] = {
        KG_SLICE("\x16\x03\x01\x02\x00\x01\x00\x80\x01"),
        KG_SLICE("\x16\x03\x01\x00\x04\x01\x02\x00\x00"),
        KG_SLICE("\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x02\x02\x00\x16\x03\x01\x00\x01\x00"),
    };

    for (size_t i = 0; i < 2 * sizeof(hellos) / sizeof(hellos[0]); i++) {
        struct kg_slice hello = hellos[i / 2];
        struct end end;

        open_server(&end, all.server, NULL, NULL);
        for (size_t at = 0, part = i % 2 ? 1 : hello.len; at < hello.len; at += part) {
            assert_int_equal(write(end.peer, hello.ptr + at, part), part);
            turn();
        }
        /* Of a record that OpenSSL reads whole first. */
        for (int more = 0; more < 0x200; more++)
            assert_true(write(end.peer, "", 1) == 1 || end.failures);
        TURN_UNTIL(end.closes == 1);
        assert_int_equal(end.error, -EPROTO);
        assert_string_equal(end.reason, "the ClientHello is too long");
        close_end(&end);
    }
}

static void a_second_client_hello_may_not_be_too_long_either(void **state)
{
    struct end end;

    open_server(&end, all.server, all.peer_client, "gate.test");
    assert_int_equal(SSL_set1_groups_list(end.peer_ssl, "P-521:X25519"), 1);
    assert_int_equal(peer_handshake(&end), 0);
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(end.failures, 0);
    assert_int_equal(write(end.peer, "\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x04\x01\x02\x00\x00", 15), 15);
    TURN_UNTIL(end.closes == 1);
    assert_string_equal(end.reason, "the ClientHello is too long");
    close_end(&end);
}

static void either_side_may_leave_in_the_middle_of_the_handshake(void **state)
{
    for (int turns = 0; turns < 6; turns++) {
        for (int who = 0; who < 3; who++) {
            struct end end;

            open_server(&end, all.server, all.peer_client, NULL);
            peer_handshake(&end);
            for (int i = 0; i < turns; i++)
                turn();
            if (who == 0)
                shutdown(end.peer, SHUT_RDWR);
            if (who == 1)
                kg_sock_close(&end.sock);
            if (who == 2)
                kg_sock_reset(&end.sock);
            TURN_UNTIL(end.closes == 1);
            assert_int_equal(end.secures, 0);
            assert_int_equal(end.failures, who == 0 ? 1 : 0);
            close_end(&end);
        }
    }
}

static void secured_and_close(struct kg_sock *sock)
{
    ((struct end *)sock)->secures++;
    kg_sock_write_static(sock, KG_SLICE("gone"));
    kg_sock_close(sock);
}

static void received_and_reset(struct kg_sock *sock, const struct kg_input *input)
{
    ((struct end *)sock)->receipts++;
    kg_sock_reset(sock);
}

static void a_handler_may_close_or_reset(void **state)
{
    struct kg_sock_ops closing = end_ops, resetting = end_ops;
    struct end end;

    closing.secured = secured_and_close;
    open_server(&end, all.server, all.peer_client, NULL);
    end.sock.ops = &closing;
    for (int i = 0; i < TURNS_MAX && end.closes == 0; i++) {
        peer_handshake(&end);
        turn();
    }
    assert_int_equal(end.secures, 1);
    close_end(&end);

    resetting.received = received_and_reset;
    open_server(&end, all.server, all.peer_client, NULL);
    end.sock.ops = &resetting;
    end.all = true;
    assert_true(shake_hands(&end));
    SSL_write(end.peer_ssl, "a", 1);
    SSL_write(end.peer_ssl, "b", 1);
    TURN_UNTIL(end.closes == 1);
    assert_int_equal(end.receipts, 1);
    close_end(&end);
}

static void messages_after_the_handshake_stay_inside(void **state)
{
    struct end end;
    struct kg_tls_client_options options = {
        .name = "gate.test", .verify = true, .verify_depth = -1, .store = all.store
    };

    open_client(&end, all.peer_server, &options);
    end.once = true;
    assert_true(shake_hands(&end));
    /* The peer's tickets have come with its end of the handshake. */
    for (int i = 0; i < 5; i++)
        turn();
    assert_true(kg_sock_is_quiet(&end.sock));
    assert_int_equal(end.receipts, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(SSL_key_update(end.peer_ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(end.peer_ssl, "x", 1), 1);
        TURN_UNTIL(end.got_len == (size_t)i + 1);
        kg_sock_write_static(&end.sock, KG_SLICE("y"));
        kg_sock_flush(&end.sock);
        char byte;
        TURN_UNTIL(peer_read(&end, &byte, 1) == 1);
    }
    close_end(&end);
}

/* An owner that waits for all of its bytes to go must not wait for these: nobody would tell it. */
static void what_the_owner_did_not_write_is_not_pending(void **state)
{
    struct end end;
    char bytes[8];

    open_server(&end, all.server, all.peer_client, NULL);
    end.all = true;
    assert_true(shake_hands(&end));
    assert_int_equal(kg_sock_pending(&end.sock), 0);
    SSL_key_update(end.peer_ssl, SSL_KEY_UPDATE_REQUESTED);
    SSL_write(end.peer_ssl, "x", 1);
    TURN_UNTIL(end.got_len == 1);
    assert_int_equal(kg_sock_pending(&end.sock), 0);
    assert_int_equal(end.sends, 0);
    kg_sock_write_static(&end.sock, KG_SLICE("answer"));
    kg_sock_flush(&end.sock);
    assert_true(kg_sock_pending(&end.sock) > 6);
    TURN_UNTIL(kg_sock_pending(&end.sock) == 0);
    assert_true(end.sends > 0);
    TURN_UNTIL(peer_read(&end, bytes, sizeof(bytes)) == 6);
    close_end(&end);
}

static int large_ticket(SSL *ssl, void *arg)
{
    static const char filling[4000];

    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), filling, sizeof(filling));
}

/* OpenSSL must have read all of a message before it writes: what the owner writes meanwhile waits, and not in
 * a shared buffer. */
static void a_ticket_in_pieces_does_not_stop_the_owner(void **state)
{
    struct kg_tls_client_options options = { .name = "gate.test", .verify_depth = -1 };
    SSL_CTX *ctx = new_peer_server(all.identity);
    char bytes[16], raw[16384];
    struct end end, source;
    int pair[2], n;

    SSL_CTX_set_session_ticket_cb(ctx, large_ticket, NULL, NULL);
    SSL_CTX_set_max_send_fragment(ctx, 512);
    open_client(&end, ctx, &options);
    /* Between the two, so that the last flight can be cut: its tickets stop in their midst. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    SSL_set_fd(end.peer_ssl, pair[0]);
    for (int turns = 0; !end.secures; turns++) {
        assert_true(turns < TURNS_MAX);
        turn();
        if ((n = (int)read(end.peer, raw, sizeof(raw))) > 0)
            assert_int_equal(write(pair[1], raw, (size_t)n), n);
        peer_handshake(&end);
        if (!SSL_is_init_finished(end.peer_ssl) && (n = (int)read(pair[1], raw, sizeof(raw))) > 0)
            assert_int_equal(write(end.peer, raw, (size_t)n), n);
    }
    kg_sock_receive_once(&end.sock);
    while (!SSL_is_init_finished(end.peer_ssl)) {
        turn();
        if ((n = (int)read(end.peer, raw, sizeof(raw))) > 0)
            assert_int_equal(write(pair[1], raw, (size_t)n), n);
        peer_handshake(&end);
    }
    n = (int)read(pair[1], raw, sizeof(raw));
    assert_true(n > 2000);
    assert_int_equal(write(end.peer, raw, 1000), 1000);
    for (int i = 0; i < 5; i++)
        turn();
    open_pair(&source, NULL);
    source.secures = 1; /* plain */
    source.forward = &end.sock;
    kg_sock_receive_once(&source.sock);
    assert_int_equal(write(source.peer, "question", 8), 8);
    TURN_UNTIL(source.got_len == 8);
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(end.failures, 0);
    assert_int_equal(kg_sock_pending(&end.sock), 8);
    const struct kg_buffers *buffers = &end.sock.ring->buffers;
    assert_int_equal(buffers->with_kernel + buffers->returned, buffers->count);
    assert_int_equal(write(end.peer, raw + 1000, (size_t)n - 1000), n - 1000);
    TURN_UNTIL(kg_sock_pending(&end.sock) == 0);
    n = (int)read(end.peer, raw, sizeof(raw));
    assert_int_equal(write(pair[1], raw, (size_t)n), n);
    assert_int_equal(peer_read(&end, bytes, sizeof(bytes)), 8);
    assert_memory_equal(bytes, "question", 8);
    close_end(&source);
    close_end(&end);
    close(pair[0]);
    close(pair[1]);
    SSL_CTX_free(ctx);
}

static void a_flood_of_key_updates_ends_the_connection(void **state)
{
    struct end end;

    open_server(&end, all.server, all.peer_client, NULL);
    end.all = true;
    assert_true(shake_hands(&end));
    for (int i = 0; i < 1000 && !end.failures; i++) {
        SSL_key_update(end.peer_ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(end.peer_ssl);
        if (i % 10 == 0)
            turn();
    }
    TURN_UNTIL(end.closes == 1);
    assert_int_equal(end.error, -EPROTO);
    assert_string_equal(end.reason, "too many messages after the handshake");
    close_end(&end);
}

static void renegotiation_is_refused(void **state)
{
    struct end end;

    open_server(&end, all.server, all.peer_client, NULL);
    SSL_set_max_proto_version(end.peer_ssl, TLS1_2_VERSION);
    end.all = true;
    assert_true(shake_hands(&end));
    assert_int_equal(SSL_renegotiate(end.peer_ssl), 1);
    for (int i = 0; i < 20 && !end.alert; i++) {
        assert_true(peer_handshake(&end) != 1);
        turn();
    }
    assert_string_equal(peer_alert(&end), "no renegotiation");
    close_end(&end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(the_owner_sees_plain_bytes_both_ways),
        RING_TEST(a_client_connects_shakes_hands_and_then_sends_what_waited),
        RING_TEST(bytes_that_came_before_can_be_fed),
        RING_TEST(a_handshake_and_bytes_come_through_byte_by_byte),
        RING_TEST(a_second_client_hello_is_answered),
        RING_TEST(one_ask_brings_one_buffer_and_no_more),
        RING_TEST(asking_never_calls_a_handler_at_once),
        RING_TEST(a_paused_sock_brings_nothing_until_it_is_asked_again),
        RING_TEST(a_slow_owner_holds_a_fast_sender_back),
        RING_TEST(a_slow_reader_holds_the_owner_back),
        RING_TEST(input_is_passed_on_between_plain_and_tls),
        RING_TEST(a_close_notify_is_the_peers_end),
        RING_TEST(an_end_without_close_notify_is_a_cut),
        RING_TEST(a_record_that_was_tampered_with_ends_the_connection),
        RING_TEST(shutting_down_says_close_notify_and_goes_on_receiving),
        RING_TEST(closing_says_close_notify_only_behind_all_bytes),
        RING_TEST(a_reset_says_nothing),
        RING_TEST(garbage_is_no_handshake),
        RING_TEST(a_handshake_without_end_is_ended),
        RING_TEST(a_client_hello_that_would_be_too_long_is_refused_at_once),
        RING_TEST(a_second_client_hello_may_not_be_too_long_either),
        RING_TEST(either_side_may_leave_in_the_middle_of_the_handshake),
        RING_TEST(a_handler_may_close_or_reset),
        RING_TEST(messages_after_the_handshake_stay_inside),
        RING_TEST(what_the_owner_did_not_write_is_not_pending),
        RING_TEST(a_ticket_in_pieces_does_not_stop_the_owner),
        RING_TEST(a_flood_of_key_updates_ends_the_connection),
        RING_TEST(renegotiation_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
