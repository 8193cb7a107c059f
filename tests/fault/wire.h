/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The world's end of a connection, plain or TLS: the same calls for both. TLS is OpenSSL's own over memory,
 * so that what it says goes through the simulated sockets in pieces as small as those of anybody else.
 */
#ifndef TESTS_FAULT_WIRE_H
#define TESTS_FAULT_WIRE_H

#include "sim.h"

struct wire;

/* Once for the program; everything that OpenSSL takes from chance is the schedule's from then on. */
void wire_set_up(void);
void wire_tear_down(void);
/* A new schedule. */
void wire_begin(void);
/* All that are still there are closed and freed. */
void wire_end(void);

/* Takes over the world's end of a connection. */
struct wire *wire_plain(struct sim_sock *sock);
struct wire *wire_client(struct sim_sock *sock);
struct wire *wire_server(struct sim_sock *sock);

/* Bytes moved, 0 at the peer's orderly end (of TLS: close_notify), or -errno: -EAGAIN when there is nothing
 * yet, or no room. */
int wire_recv(struct wire *wire, void *to, size_t len);
int wire_send(struct wire *wire, const void *from, size_t len);
/* Whether something has come that was not read yet. */
bool wire_has_input(const struct wire *wire);
/* Whether `len` bytes would be with the peer at once, to the last. */
bool wire_takes(const struct wire *wire, size_t len);
/* Whether an end that is none of the peer's making can be told from one that is. */
bool wire_tells_cuts(const struct wire *wire);
/* Nothing more is sent; what has been goes first. */
void wire_shutdown(struct wire *wire);
enum parting { PART_POLITE, PART_RUDE, PART_RESET }; /* rude: FIN without close_notify */
void wire_close(struct wire *wire, enum parting parting);
bool wire_peer_closed(const struct wire *wire);
const struct sim_sock *wire_sock(const struct wire *wire);
/* What waits for room goes on; true when bytes have moved since the last call that nobody has seen. */
bool wire_step(void);

#endif
