/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets on a real ring: back-pressure, starvation, closing with operations in flight. */
#include "ring_test.h"

#include "io/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define BUFFER_SIZE 1024

/* A socket under test, and the other end as a plain descriptor. */
struct end {
    struct kg_sock sock;
    int peer;
    char *got;
    size_t got_len;
    bool once; /* receive again after each delivery */
    int eofs, failures, closes, sends;
    struct kg_sock *echo_to; /* queue what comes for this socket */
    bool greedy;             /* keeps every buffer */
    uint16_t kept[BUFFERS];
    unsigned kept_count;
};

static void received(struct kg_sock *sock, const struct kg_input *input)
{
    struct end *end = (struct end *)sock;

    end->got = realloc(end->got, end->got_len + input->len);
    memcpy(end->got + end->got_len, input->ptr, input->len);
    end->got_len += input->len;
    if (end->greedy) {
        kg_buffers_hold(&ring.buffers, input->buffer);
        end->kept[end->kept_count++] = input->buffer;
    }
    if (end->echo_to) {
        kg_sock_write_input(end->echo_to, input, kg_slice_of(input->ptr, input->len));
        kg_sock_flush(end->echo_to);
        if (!kg_sock_can_write(end->echo_to))
            return;
    }
    if (end->once)
        kg_sock_receive_once(sock);
}

static void on_eof(struct kg_sock *sock)
{
    ((struct end *)sock)->eofs++;
}

static void on_sent(struct kg_sock *sock)
{
    ((struct end *)sock)->sends++;
}

static void on_failed(struct kg_sock *sock, int error)
{
    assert_true(error < 0);
    ((struct end *)sock)->failures++;
    kg_sock_close(sock);
}

static void on_closed(struct kg_sock *sock)
{
    ((struct end *)sock)->closes++;
}

static const struct kg_sock_ops ops = {
    .received = received, .eof = on_eof, .sent = on_sent, .failed = on_failed, .closed = on_closed
};

static int set_up(void **state)
{
    return open_ring(BUFFER_SIZE, 4096);
}

static void open_end(struct end *end)
{
    int fds[2];

    *end = (struct end){ 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(kg_sock_open(&end->sock, &ring, fds[0], &ops), 0);
    end->peer = fds[1];
    fcntl(end->peer, F_SETFL, O_NONBLOCK);
}

static void close_end(struct end *end)
{
    kg_sock_close(&end->sock);
    TURN_UNTIL(end->closes == 1);
    close(end->peer);
    free(end->got);
}

static void a_multishot_receive_goes_on_by_itself(void **state)
{
    struct end end;

    open_end(&end);
    kg_sock_receive_all(&end.sock);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(write(end.peer, "abc", 3), 3);
        TURN_UNTIL(end.got_len == (size_t)(i + 1) * 3);
    }
    close_end(&end);
}

static void a_single_receive_brings_one_buffer_and_no_more(void **state)
{
    struct end end;
    char bytes[3 * BUFFER_SIZE] = { 0 };

    open_end(&end);
    kg_sock_receive_once(&end.sock);
    assert_int_equal(write(end.peer, bytes, sizeof(bytes)), sizeof(bytes));
    TURN_UNTIL(end.got_len > 0);
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(end.got_len, BUFFER_SIZE);
    kg_sock_receive_once(&end.sock);
    TURN_UNTIL(end.got_len == 2 * BUFFER_SIZE);
    close_end(&end);
}

static void a_paused_socket_stops_and_can_be_resumed_one_by_one(void **state)
{
    struct end end;

    open_end(&end);
    kg_sock_receive_all(&end.sock);
    turn();
    kg_sock_pause(&end.sock);
    TURN_UNTIL(!end.sock.receiving);
    assert_int_equal(write(end.peer, "abc", 3), 3);
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(end.got_len, 0);
    kg_sock_receive_once(&end.sock);
    TURN_UNTIL(end.got_len == 3);
    assert_false(end.sock.receiving);
    close_end(&end);
}

static void asking_again_while_the_pause_is_on_its_way_is_not_lost(void **state)
{
    struct end end;

    open_end(&end);
    kg_sock_receive_all(&end.sock);
    turn();
    kg_sock_pause(&end.sock);
    kg_sock_receive_once(&end.sock);
    assert_int_equal(write(end.peer, "abc", 3), 3);
    TURN_UNTIL(end.got_len == 3);
    TURN_UNTIL(!end.sock.receiving);
    close_end(&end);
}

/* More sockets have data than there are buffers: all of it arrives, and nothing spins or is lost. */
static void an_empty_buffer_ring_parks_and_goes_on(void **state)
{
    enum { SOCKS = 48 };
    static struct end ends[SOCKS];
    char bytes[BUFFER_SIZE] = { 7 };

    for (int i = 0; i < SOCKS; i++) {
        open_end(&ends[i]);
        for (int n = 0; n < 4; n++)
            assert_int_equal(write(ends[i].peer, bytes, sizeof(bytes)), sizeof(bytes));
    }
    for (int i = 0; i < SOCKS; i++)
        kg_sock_receive_all(&ends[i].sock);
    for (int i = 0; i < SOCKS; i++)
        TURN_UNTIL(ends[i].got_len == 4 * BUFFER_SIZE);
    assert_true(ring.stats.starved > 0);
    for (int i = 0; i < SOCKS; i++)
        close_end(&ends[i]);
}

/* One socket holds all buffers there are. */
static void take_all_buffers(struct end *greedy)
{
    char bytes[BUFFER_SIZE] = { 7 };

    open_end(greedy);
    greedy->greedy = true;
    kg_sock_receive_all(&greedy->sock);
    for (int i = 0; i < BUFFERS; i++) {
        assert_int_equal(write(greedy->peer, bytes, sizeof(bytes)), sizeof(bytes));
        TURN_UNTIL(greedy->kept_count == (unsigned)i + 1);
    }
    close_end(greedy);
    assert_int_equal(ring.buffers.with_kernel, 0);
}

static void a_parked_socket_keeps_what_it_was_asked_for_last(void **state)
{
    struct end greedy, end;

    take_all_buffers(&greedy);
    open_end(&end);
    kg_sock_receive_once(&end.sock);
    kg_sock_receive_all(&end.sock);
    TURN_UNTIL(end.sock.starved);
    while (greedy.kept_count > 0)
        kg_buffers_release(&ring.buffers, greedy.kept[--greedy.kept_count]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(end.peer, "abc", 3), 3);
        TURN_UNTIL(end.got_len == (size_t)(i + 1) * 3);
    }
    close_end(&end);
}

static void the_longest_parked_gets_the_next_buffer(void **state)
{
    struct end greedy, ends[3];

    take_all_buffers(&greedy);
    for (int i = 0; i < 3; i++) {
        open_end(&ends[i]);
        kg_sock_receive_all(&ends[i].sock);
        TURN_UNTIL(ends[i].sock.starved);
    }
    /* From the middle and from the end, to see the queue stay whole. */
    close_end(&ends[1]);
    open_end(&ends[1]);
    kg_sock_receive_all(&ends[1].sock);
    TURN_UNTIL(ends[1].sock.starved);
    close_end(&ends[1]);
    kg_buffers_release(&ring.buffers, greedy.kept[--greedy.kept_count]);
    turn();
    assert_false(ends[0].sock.starved);
    assert_true(ends[2].sock.starved);
    while (greedy.kept_count > 0)
        kg_buffers_release(&ring.buffers, greedy.kept[--greedy.kept_count]);
    assert_int_equal(write(ends[2].peer, "abc", 3), 3);
    TURN_UNTIL(ends[2].got_len == 3);
    close_end(&ends[0]);
    close_end(&ends[2]);
}

static void bytes_and_the_peers_end_are_seen_before_they_are_received(void **state)
{
    struct end end;

    open_end(&end);
    assert_true(kg_sock_is_quiet(&end.sock));
    assert_int_equal(write(end.peer, "abc", 3), 3);
    assert_false(kg_sock_is_quiet(&end.sock));
    kg_sock_receive_once(&end.sock);
    TURN_UNTIL(end.got_len == 3);
    assert_true(kg_sock_is_quiet(&end.sock));
    shutdown(end.peer, SHUT_WR);
    assert_false(kg_sock_is_quiet(&end.sock));
    close_end(&end);
}

/* A peer that does not read must not keep shared buffers: its bytes move into blocks. */
static void a_slow_reader_gives_the_shared_buffers_back(void **state)
{
    struct end from, to;
    char bytes[BUFFER_SIZE];
    int small = 4096;
    size_t written = 0, read_back = 0;

    open_end(&from);
    open_end(&to);
    setsockopt(to.sock.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    from.echo_to = &to.sock;
    from.once = true;
    kg_sock_receive_once(&from.sock);
    for (int i = 0; i < 400 && kg_sock_can_write(&to.sock); i++) {
        memset(bytes, i, sizeof(bytes));
        assert_int_equal(write(from.peer, bytes, sizeof(bytes)), sizeof(bytes));
        written += sizeof(bytes);
        TURN_UNTIL(from.got_len == written);
        turn();
    }
    assert_true(to.sock.blocked);
    assert_int_equal(ring.buffers.with_kernel, BUFFERS);
    while (read_back < written) {
        ssize_t n = read(to.peer, bytes, sizeof(bytes));

        if (n > 0) {
            for (ssize_t at = 0; at < n; at++)
                assert_int_equal((uint8_t)bytes[at], (uint8_t)((read_back + (size_t)at) / BUFFER_SIZE));
            read_back += (size_t)n;
        } else {
            turn();
        }
    }
    TURN_UNTIL(!to.sock.blocked);
    close_end(&from);
    close_end(&to);
}

/* What an idle connection costs is what limits their number. */
static void only_a_sending_socket_has_a_send_queue(void **state)
{
    struct end ends[2];
    char bytes[8];

    assert_true(sizeof(struct kg_sock) <= 128);
    open_end(&ends[0]);
    open_end(&ends[1]);
    assert_null(ends[0].sock.queue);
    for (int i = 0; i < 100; i++) {
        struct end *end = &ends[i % 2];

        kg_sock_write_static(&end->sock, KG_SLICE("abc"));
        assert_int_equal(ring.queues.in_use, 1);
        kg_sock_flush(&end->sock);
        TURN_UNTIL(kg_sock_pending(&end->sock) == 0);
        assert_null(end->sock.queue);
        assert_int_equal(read(end->peer, bytes, sizeof(bytes)), 3);
    }
    /* One after the other, they have shared one. */
    assert_int_equal(ring.queues.idle, 1);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static void a_queue_that_was_never_sent_is_given_back_at_the_close(void **state)
{
    struct end end;

    open_end(&end);
    kg_sock_write_copy(&end.sock, KG_SLICE("abc"));
    assert_int_equal(ring.queues.in_use, 1);
    close_end(&end);
    assert_int_equal(ring.queues.in_use, 0);
}

static void the_peers_end_is_told_once(void **state)
{
    struct end end;

    open_end(&end);
    kg_sock_receive_all(&end.sock);
    assert_int_equal(write(end.peer, "abc", 3), 3);
    shutdown(end.peer, SHUT_WR);
    TURN_UNTIL(end.eofs == 1);
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(end.eofs, 1);
    assert_int_equal(end.got_len, 3);
    close_end(&end);
}

static void writing_to_a_closed_peer_fails_and_does_not_kill_the_process(void **state)
{
    struct end end;

    open_end(&end);
    close(end.peer);
    kg_sock_write_static(&end.sock, KG_SLICE("hello"));
    kg_sock_flush(&end.sock);
    TURN_UNTIL(end.closes == 1);
    assert_int_equal(end.failures, 1);
    free(end.got);
}

static void closing_waits_for_what_is_in_flight(void **state)
{
    struct end end;
    int small = 4096;
    static char bytes[4000];

    open_end(&end);
    setsockopt(end.sock.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    kg_sock_receive_all(&end.sock);
    while (!end.sock.blocked) {
        if (kg_sock_can_write(&end.sock))
            kg_sock_write_copy(&end.sock, kg_slice_of(bytes, sizeof(bytes)));
        kg_sock_flush(&end.sock);
        turn();
    }
    assert_true(end.sock.inflight >= 2);
    close_end(&end);
}

static void a_full_table_refuses_and_leaves_the_descriptor(void **state)
{
    static struct end ends[64];
    struct end extra = { 0 };

    for (int i = 0; i < 64; i++)
        open_end(&ends[i]);
    assert_int_equal(kg_sock_open(&extra.sock, &ring, 0, &ops), -ENOSPC);
    for (int i = 0; i < 64; i++)
        close_end(&ends[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(a_multishot_receive_goes_on_by_itself),
        RING_TEST(a_single_receive_brings_one_buffer_and_no_more),
        RING_TEST(a_paused_socket_stops_and_can_be_resumed_one_by_one),
        RING_TEST(asking_again_while_the_pause_is_on_its_way_is_not_lost),
        RING_TEST(an_empty_buffer_ring_parks_and_goes_on),
        RING_TEST(a_parked_socket_keeps_what_it_was_asked_for_last),
        RING_TEST(the_longest_parked_gets_the_next_buffer),
        RING_TEST(bytes_and_the_peers_end_are_seen_before_they_are_received),
        RING_TEST(a_slow_reader_gives_the_shared_buffers_back),
        RING_TEST(only_a_sending_socket_has_a_send_queue),
        RING_TEST(a_queue_that_was_never_sent_is_given_back_at_the_close),
        RING_TEST(the_peers_end_is_told_once),
        RING_TEST(writing_to_a_closed_peer_fails_and_does_not_kill_the_process),
        RING_TEST(closing_waits_for_what_is_in_flight),
        RING_TEST(a_full_table_refuses_and_leaves_the_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
