/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks. Durations and deadlines are CLOCK_MONOTONIC milliseconds unless a name says ns; dates are
 * wall-clock seconds. Any thread. */
#ifndef KG_BASE_CLOCK_H
#define KG_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t kg_clock_ms(void);

/* CLOCK_MONOTONIC in nanoseconds: the kernel's bpf_ktime_get_ns(), so it can be compared in BPF maps. */
uint64_t kg_clock_ns(void);

/* CLOCK_REALTIME in seconds since 1970. */
int64_t kg_clock_wall(void);

/* IMF-fixdate (RFC 9110, 5.6.7), 29 bytes and a NUL, of a wall-clock second. */
void kg_clock_http_date(int64_t wall, char out[30]);

#endif
