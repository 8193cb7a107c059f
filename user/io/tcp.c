/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/tcp.h"

/* glibc's own struct tcp_info ends before tcpi_bytes_acked, and its header cannot be in one file with the
 * kernel's. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

uint64_t kg_tcp_acked(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? 0 : info.tcpi_bytes_acked;
}
