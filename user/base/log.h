/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's log: one line a message on standard error, for journald or a terminal. Any thread may call it,
 * but workers do so only at start and on a broken invariant: writing to a pipe can block. A key never goes
 * in.
 */
#ifndef KG_BASE_LOG_H
#define KG_BASE_LOG_H

enum kg_log_level { KG_LOG_ERROR, KG_LOG_WARN, KG_LOG_INFO, KG_LOG_DEBUG };

/* Messages above this level are dropped. Set it before threads start. */
void kg_log_set_level(enum kg_log_level level);

/* Writes "2026-01-31T12:00:00.123Z level message\n" in one write(2). Control bytes in the message become '?'.
 */
void kg_log(enum kg_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
