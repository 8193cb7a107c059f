/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

int kg_error_set(struct kg_error *err, int errnum, const char *fmt, ...)
{
    va_list args;

    if (err) {
        va_start(args, fmt);
        vsnprintf(err->text, sizeof(err->text), fmt, args);
        va_end(args);
    }
    return -errnum;
}

void kg_error_prefix(struct kg_error *err, const char *fmt, ...)
{
    char prefix[sizeof(err->text)], text[sizeof(err->text)];
    va_list args;

    if (!err)
        return;
    va_start(args, fmt);
    vsnprintf(prefix, sizeof(prefix), fmt, args);
    va_end(args);
    memcpy(text, err->text, sizeof(text));
    snprintf(err->text, sizeof(err->text), "%.200s: %.300s", prefix, text);
}
