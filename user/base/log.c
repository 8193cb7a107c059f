/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum kg_log_level max_level = KG_LOG_INFO;
static const char *const level_names[] = { "error", "warn", "info", "debug" };

void kg_log_set_level(enum kg_log_level level)
{
    max_level = level;
}

static size_t put_stamp(char *line, size_t size, enum kg_log_level level)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return len +
           (size_t)snprintf(line + len, size - len, ".%03ldZ %s ", now.tv_nsec / 1000000, level_names[level]);
}

void kg_log(enum kg_log_level level, const char *fmt, ...)
{
    char line[1024];
    int saved = errno; /* callers log between a failure and the report of it */
    va_list args;

    if (level > max_level)
        return;
    size_t start = put_stamp(line, sizeof(line), level);
    va_start(args, fmt);
    vsnprintf(line + start, sizeof(line) - start - 1, fmt, args);
    va_end(args);
    size_t len = start + strlen(line + start);
    /* A stranger's bytes must not forge a line of their own. */
    for (size_t i = start; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    }
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len); /* nowhere left to complain */
    (void)ignored;
    errno = saved;
}
