/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/regex.h"

#include "base/assert.h"
#include "base/mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>

/* Steps of backtracking; what a sane pattern needs for a path of the longest request line is far below. */
#define MATCH_LIMIT 20000
/* Only without the JIT compiler: nested backtracking points, and KiB for them. */
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT  256
/* Bytes that compiled patterns may put aside. Address space until it is used. */
#define STACK_START 32768
#define STACK_LIMIT (512 * 1024)

struct kg_regex {
    pcre2_code *code;
};

struct kg_regex_scratch {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack; /* NULL without the JIT compiler */
    unsigned exhausted;     /* since kg_regex_scratch_begin */
};

struct kg_regex *kg_regex_new(enum kg_regex_kind kind, struct kg_slice pattern, struct kg_error *err)
{
    /* A '$' means the end and nothing else. UTF is off, in the pattern too: a path may be any bytes. */
    uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C;
    char why[128] = "";
    size_t at;
    int code;

    options |= kind == KG_REGEX_PATH ? PCRE2_ANCHORED : PCRE2_CASELESS;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options, &code, &at, NULL);
    if (!compiled) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
        kg_error_set(err, EINVAL, "invalid regex: %s at character %zu", why, at + 1);
        return NULL;
    }
    /* Where this fails, the interpreter matches, within the same limits. */
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    struct kg_regex *regex = kg_calloc(1, sizeof(*regex));
    regex->code = compiled;
    return regex;
}

void kg_regex_free(struct kg_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex);
}

struct kg_regex_scratch *kg_regex_scratch_new(void)
{
    struct kg_regex_scratch *scratch = kg_calloc(1, sizeof(*scratch));

    scratch->context = pcre2_match_context_create(NULL);
    scratch->data = pcre2_match_data_create(1, NULL); /* the whole match; no group is asked for */
    KG_ASSERT(scratch->context && scratch->data);
    pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
    pcre2_set_depth_limit(scratch->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(scratch->context, HEAP_LIMIT);
    scratch->stack = pcre2_jit_stack_create(STACK_START, STACK_LIMIT, NULL);
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return scratch;
}

void kg_regex_scratch_free(struct kg_regex_scratch *scratch)
{
    if (!scratch)
        return;
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    free(scratch);
}

void kg_regex_scratch_begin(struct kg_regex_scratch *scratch)
{
    scratch->exhausted = 0;
}

bool kg_regex_match(const struct kg_regex *regex, struct kg_slice subject, struct kg_regex_scratch *scratch,
                    size_t *end)
{
    const char *text = subject.ptr ? subject.ptr : "";

    if (scratch->exhausted >= KG_REGEX_EXHAUSTED)
        return false;
    /* 0: more groups than the one pair that we keep. Negative: no match, or a limit was hit. */
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)text, subject.len, 0, 0, scratch->data, scratch->context);

    if (rc < 0) {
        scratch->exhausted += rc != PCRE2_ERROR_NOMATCH;
        return false;
    }
    *end = pcre2_get_ovector_pointer(scratch->data)[1];
    return *end <= subject.len;
}
