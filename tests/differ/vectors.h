/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the tables in tests/vectors, which say at their top what their columns are. One thread. */
#ifndef KG_TESTS_VECTORS_H
#define KG_TESTS_VECTORS_H

#include "base/slice.h"

#define VECTOR_FIELDS_MAX 8

/* One line of a table. The fields end with NUL and live until the next line is read. */
struct vector {
    unsigned line;
    const char *fields[VECTOR_FIELDS_MAX];
    struct kg_slice bytes; /* the last field without its escapes; the caller may write there */
};

/* Calls each for every line of a table with that many columns. How many there were; -1, and a word on
 * standard error, when the file cannot be read or a line is not in order. */
int vectors_read(const char *path, size_t columns, void (*each)(const struct vector *vector));

#endif
