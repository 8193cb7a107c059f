/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regular expressions of routes, on PCRE2 with its JIT compiler. Compiled on the control thread, immutable
 * afterwards, matched by any worker with its own scratch. A match that costs more than its limits is no
 * match: a stranger chooses the subject, and must not be able to choose how long we look at it.
 */
#ifndef KG_MODEL_REGEX_H
#define KG_MODEL_REGEX_H

#include "base/error.h"
#include "base/slice.h"

struct kg_regex;

/* What one thread matches with, made once. */
struct kg_regex_scratch;

enum kg_regex_kind {
    KG_REGEX_PATH,   /* anchored at the start */
    KG_REGEX_HEADER, /* anywhere in the value, ignoring case */
};

/* NULL with err saying what is wrong with the pattern, and where. Aborts on no memory. */
struct kg_regex *kg_regex_new(enum kg_regex_kind kind, struct kg_slice pattern, struct kg_error *err);
void kg_regex_free(struct kg_regex *regex);

struct kg_regex_scratch *kg_regex_scratch_new(void);
void kg_regex_scratch_free(struct kg_regex_scratch *scratch);

/* Before the first regex of a request: it may exhaust the limits KG_REGEX_EXHAUSTED times, then no further
 * regex matches it. */
#define KG_REGEX_EXHAUSTED 4
void kg_regex_scratch_begin(struct kg_regex_scratch *scratch);

/* Whether the subject matches; *end is where the matched text ends. Allocates nothing when the pattern was
 * compiled to machine code, which all are where PCRE2 has a JIT compiler. */
bool kg_regex_match(const struct kg_regex *regex, struct kg_slice subject, struct kg_regex_scratch *scratch,
                    size_t *end);

#endif
