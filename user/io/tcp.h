/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel knows of a TCP connection. Any thread. */
#ifndef KG_IO_TCP_H
#define KG_IO_TCP_H

#include <stdint.h>

/*
 * Bytes that the peer has acknowledged since the connection began (kernel 4.1). Unlike the bytes that the
 * kernel has taken from us, they tell of a slow reader at once: the kernel takes megabytes ahead, and asks
 * for more only when a third of them is gone. 0 when fd is no TCP socket.
 */
uint64_t kg_tcp_acked(int fd);

#endif
