/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keygate's parsers beside llhttp, over the tables of tests/vectors and over changes of what stands there.
 * Run in the top folder. KEYGATE_SEED=n and KEYGATE_ROUNDS=n choose other changes and more of them.
 */
#include "base/writer.h"
#include "differ/differ.h"
#include "differ/mutate.h"
#include "differ/vectors.h"
#include "http_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUESTS  "tests/vectors/requests.txt"
#define RESPONSES "tests/vectors/responses.txt"
#define ROUNDS    200000
#define SEED      20240229
#define SEEDS_MAX 512
#define SEED_LEN  1024

static struct differ_reading keygate, llhttp;

/* What the changes are made of. */
static struct {
    char text[SEED_LEN];
    size_t len;
} seeds[SEEDS_MAX];
static size_t seed_count;

static void print_bytes(struct kg_slice bytes)
{
    for (size_t i = 0; i < bytes.len && i < 2000; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];

        if (byte >= ' ' && byte < 0x7f)
            fprintf(stderr, "%c", byte);
        else
            fprintf(stderr, "\\x%02x", byte);
    }
    fprintf(stderr, "\n");
}

static void print_reading(const char *who, const struct differ_reading *reading)
{
    static const char *const verdicts[] = { "more", "taken", "refused" };

    fprintf(stderr, "%s: %s %s, %zu headers, %zu bytes of body", who, verdicts[reading->verdict],
            reading->why ? reading->why : "", reading->head_taken ? reading->count : 0, reading->body.len);
    if (reading->verdict == DIFFER_TAKEN)
        fprintf(stderr, ", end at %zu", reading->end);
    fprintf(stderr, "\n");
}

/* NULL, or what is wrong; then both readings have been printed. */
static const char *read_both(enum differ_kind kind, struct kg_slice bytes)
{
    const char *wrong;
    /* Of exactly their size, so that a sanitizer sees every step outside. */
    char *copy = malloc(bytes.len > 0 ? bytes.len : 1);

    memcpy(copy, bytes.ptr, bytes.len);
    bytes.ptr = copy;
    differ_read_keygate(kind, bytes, &keygate);
    differ_read_llhttp(kind, bytes, &llhttp);
    wrong = differ_judge(kind, &keygate, &llhttp);
    if (wrong) {
        print_bytes(bytes);
        print_reading("keygate", &keygate);
        print_reading("llhttp", &llhttp);
    }
    free(copy);
    return wrong;
}

static enum differ_verdict verdict_of(const char *word)
{
    if (strcmp(word, "ok") == 0)
        return DIFFER_TAKEN;
    if (strcmp(word, "more") == 0)
        return DIFFER_MORE;
    assert_string_equal(word, "refused");
    return DIFFER_REFUSED;
}

/* Good messages are changed: of bad ones, most stay bad. */
static void keep_seed(struct kg_slice bytes)
{
    if (keygate.verdict == DIFFER_REFUSED || bytes.len > SEED_LEN || seed_count == SEEDS_MAX)
        return;
    memcpy(seeds[seed_count].text, bytes.ptr, bytes.len);
    seeds[seed_count++].len = bytes.len;
}

static void check_llhttp(const char *path, const struct vector *vector)
{
    if (llhttp.verdict == verdict_of(vector->fields[2]))
        return;
    print_reading("llhttp", &llhttp);
    fail_msg("%s:%u: llhttp does not see it as the table says", path, vector->line);
}

static void check_request(const struct vector *vector)
{
    unsigned long status = strtoul(vector->fields[1], NULL, 10);
    bool refused = status != 200 && status != 404; /* no route: not the parser's business */
    const char *wrong = read_both(DIFFER_REQUEST, vector->bytes);

    if (wrong)
        fail_msg(REQUESTS ":%u: %s", vector->line, wrong);
    if (refused ? keygate.verdict != DIFFER_REFUSED || keygate.refusal != status
                : keygate.verdict != (status == 200 ? DIFFER_TAKEN : llhttp.verdict)) {
        print_reading("keygate", &keygate);
        fail_msg(REQUESTS ":%u: keygate does not see it as the table says", vector->line);
    }
    check_llhttp(REQUESTS, vector);
    keep_seed(vector->bytes);
}

/* What the table wants of the first answer in it. Of a body that is cut, the parser may see either. */
static bool is_as_wanted(const char *want)
{
    unsigned long status = strtoul(want, NULL, 10);
    bool first_of_more = strstr(want, " + ") != NULL;

    if (strcmp(want, "502") == 0)
        return keygate.verdict != DIFFER_TAKEN && (keygate.verdict == DIFFER_MORE || keygate.refusal == 502);
    if (strcmp(want, "502*") == 0)
        return keygate.verdict == DIFFER_TAKEN;
    if (!first_of_more && strstr(want, ":cut"))
        return keygate.verdict != DIFFER_TAKEN && keygate.status == status;
    return keygate.verdict == DIFFER_TAKEN && keygate.status == status;
}

static void check_response(const struct vector *vector)
{
    bool to_head = strcmp(vector->fields[3], "HEAD") == 0;
    const char *wrong = read_both(to_head ? DIFFER_RESPONSE_TO_HEAD : DIFFER_RESPONSE, vector->bytes);

    if (wrong)
        fail_msg(RESPONSES ":%u: %s", vector->line, wrong);
    if (!is_as_wanted(vector->fields[1])) {
        print_reading("keygate", &keygate);
        fail_msg(RESPONSES ":%u: keygate does not see it as the table says", vector->line);
    }
    check_llhttp(RESPONSES, vector);
    keep_seed(vector->bytes);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void read_changes(enum differ_kind kind, enum differ_kind or_kind)
{
    static char text[4 * SEED_LEN];
    uint64_t seed = number_of("KEYGATE_SEED", SEED), rounds = number_of("KEYGATE_ROUNDS", ROUNDS), taken = 0;
    struct kg_prng prng = { .s = { seed, seed ^ 1, seed ^ 2, ~seed } };

    for (uint64_t i = 0; i < rounds; i++) {
        size_t from = kg_prng_next(&prng) % seed_count, other = kg_prng_next(&prng) % seed_count, len;
        const char *wrong;

        memcpy(text, seeds[from].text, seeds[from].len);
        len = mutate(&prng, text, seeds[from].len, sizeof(text),
                     kg_slice_of(seeds[other].text, seeds[other].len));
        wrong = read_both(i % 4 == 3 ? or_kind : kind, kg_slice_of(text, len));
        if (wrong)
            fail_msg("%s (KEYGATE_SEED=%" PRIu64 ", round %" PRIu64 ")", wrong, seed, i);
        taken += keygate.verdict == DIFFER_TAKEN;
    }
    /* Else the changes are too wild to say anything. */
    assert_true(taken > rounds / 10 && taken < rounds - rounds / 10);
}

static void requests_of_the_table_are_read_as_it_says(void **state)
{
    assert_true(vectors_read(REQUESTS, 5, check_request) > 150);
}

static void changed_requests_are_read_alike(void **state)
{
    read_changes(DIFFER_REQUEST, DIFFER_REQUEST);
    seed_count = 0;
}

static void responses_of_the_table_are_read_as_it_says(void **state)
{
    assert_true(vectors_read(RESPONSES, 7, check_response) > 80);
}

static void changed_responses_are_read_alike(void **state)
{
    read_changes(DIFFER_RESPONSE, DIFFER_RESPONSE_TO_HEAD);
}

static void all_seen(const struct difference *list)
{
    for (; list->what; list++) {
        if (list->seen == 0)
            fail_msg("no longer a difference: %s", list->what);
    }
}

static void every_known_difference_is_one(void **state)
{
    all_seen(differ_stricter_here);
    all_seen(differ_stricter_there);
}

int main(void)
{
    /* In this order: what one reads from its table, the next one changes. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_the_table_are_read_as_it_says),
        cmocka_unit_test(changed_requests_are_read_alike),
        cmocka_unit_test(responses_of_the_table_are_read_as_it_says),
        cmocka_unit_test(changed_responses_are_read_alike),
        cmocka_unit_test(every_known_difference_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
