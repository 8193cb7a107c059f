/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors for people. A function that can fail returns 0 or a negative errno and writes one plain sentence
 * into the caller's struct kg_error; the caller at the top prints it once. Never put a key or a secret into
 * it.
 */
#ifndef KG_BASE_ERROR_H
#define KG_BASE_ERROR_H

#include <stdarg.h>

struct kg_error {
    char text[512];
};

/* Writes the sentence (cut to fit) and returns -errnum, so that `return kg_error_set(err, EINVAL, ...)` reads
 * well. err may be NULL. */
int kg_error_set(struct kg_error *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the sentence already there. err may be NULL. */
void kg_error_prefix(struct kg_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
