/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/jwt_token.h"
#include "base/base64.h"
#include "model/jwt_algorithm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define ALG "{\"alg\":\"HS256\"}"

/* A token of a header, claims and a signature, with all that the result points into. */
struct parsed {
    char token[65536], space[65536];
    struct kg_writer scratch;
    struct kg_jwt jwt;
    enum kg_jwt_fault fault;
};

static struct parsed *parse_token(struct kg_slice token, const char *key_claim)
{
    static struct parsed p;

    p.scratch = kg_writer_of(p.space, sizeof(p.space));
    p.fault = kg_jwt_parse(token, kg_slice_str(key_claim), &p.scratch, &p.jwt);
    return &p;
}

static struct kg_slice make(const char *header, const char *claims, const char *signature)
{
    static char token[65536];
    struct kg_writer w = kg_writer_of(token, sizeof(token));

    kg_put_base64url(&w, kg_slice_str(header));
    kg_put_char(&w, '.');
    kg_put_base64url(&w, kg_slice_str(claims));
    kg_put_char(&w, '.');
    kg_put(&w, kg_slice_str(signature));
    assert_false(w.overflow);
    return kg_writer_slice(&w);
}

static struct parsed *parse(const char *header, const char *claims, const char *key_claim)
{
    return parse_token(make(header, claims, "c2ln"), key_claim);
}

static void expect_fault(enum kg_jwt_fault fault, const char *header, const char *claims)
{
    enum kg_jwt_fault got = parse(header, claims, "iss")->fault;

    if (got != fault)
        fail_msg("%s and %s: %d, not %d", header, claims, got, fault);
}

static void is_taken_apart(void **state)
{
    struct parsed *p = parse("{\"typ\":\"JWT\",\"alg\":\"RS256\"}",
                             " { \"iss\" : \"joe\", \"exp\": 17, \"nbf\": 3, \"x\": [] } ", "iss");

    assert_int_equal(p->fault, KG_JWT_GOOD);
    assert_true(kg_slice_eq(p->jwt.algorithm->name, KG_SLICE("RS256")));
    assert_int_equal(p->jwt.key.kind, KG_JWT_TEXT);
    assert_true(kg_slice_eq(p->jwt.key.text, KG_SLICE("joe")));
    assert_int_equal(p->jwt.exp.floor, 17);
    assert_int_equal(p->jwt.nbf.floor, 3);
    assert_true(kg_slice_eq(p->jwt.signature, KG_SLICE("sig")));
    struct kg_slice token = make("{\"typ\":\"JWT\",\"alg\":\"RS256\"}",
                                 " { \"iss\" : \"joe\", \"exp\": 17, \"nbf\": 3, \"x\": [] } ", "c2ln");
    assert_true(kg_slice_eq(p->jwt.signed_part, kg_slice_of(token.ptr, token.len - 5)));
}

static void needs_three_parts_of_strict_base64url(void **state)
{
    static const char *const bad[] = { "",
                                       ".",
                                       "a",
                                       "a.b",
                                       "eyJhbGciOiJIUzI1NiJ9",
                                       "eyJhbGciOiJIUzI1NiJ9.e30",
                                       "..",
                                       "eyJhbGciOiJIUzI1NiJ9..",
                                       ".e30.",
                                       "eyJhbGciOiJIUzI1NiJ9=.e30.",
                                       "eyJhbGciOiJIUzI1NiJ9.e31.",
                                       "eyJhbGciOiJIUzI1NiJ9.e30=.",
                                       " eyJhbGciOiJIUzI1NiJ9.e30.",
                                       "eyJhbGciOiJIUzI1NiJ9.e3 0." };
    static const char *const bad_signatures[] = { "c2l.",   "c2ln.c2ln", ".",     "c2ln=", "c2=",
                                                  "c2ln\n", "c",         "c2l-c", "+/+/" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse_token(kg_slice_str(bad[i]), "iss")->fault != KG_JWT_INVALID_JSON)
            fail_msg("[%s]", bad[i]);
    }
    for (size_t i = 0; i < sizeof(bad_signatures) / sizeof(bad_signatures[0]); i++) {
        if (parse_token(make(ALG, "{}", bad_signatures[i]), "iss")->fault != KG_JWT_INVALID_SIGNATURE)
            fail_msg("[%s]", bad_signatures[i]);
    }
    assert_int_equal(parse_token(KG_SLICE("eyJhbGciOiJIUzI1NiJ9.e30."), "iss")->fault, KG_JWT_GOOD);
}

static void header_and_claims_are_json_objects(void **state)
{
    static const char *const bad[] = { "",           " ",       "{",   "{\"a\"}",    "{\"a\":1,}",
                                       "{\"a\":01}", "{'a':1}", "{}x", "{\"a\":1}{}" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_fault(KG_JWT_INVALID_JSON, bad[i], "{}");
        expect_fault(KG_JWT_INVALID_JSON, ALG, bad[i]);
    }
    expect_fault(KG_JWT_INVALID_CLAIMS, ALG, "[]");
    expect_fault(KG_JWT_INVALID_CLAIMS, ALG, "\n \"text\"");
    expect_fault(KG_JWT_INVALID_CLAIMS, ALG, "null");
    expect_fault(KG_JWT_INVALID_JSON, "[]", "{}");
    /* In this order: JSON, algorithm, claims, signature. */
    expect_fault(KG_JWT_INVALID_ALG, "{}", "[]");
    expect_fault(KG_JWT_INVALID_JSON, "{}", "{");
    assert_int_equal(parse_token(make(ALG, "[]", "c"), "iss")->fault, KG_JWT_INVALID_CLAIMS);
}

static void only_known_algorithms_and_no_critical_extension(void **state)
{
    static const char *const bad[] = { "{}",
                                       "{\"alg\":\"none\"}",
                                       "{\"alg\":\"None\"}",
                                       "{\"alg\":\"\"}",
                                       "{\"alg\":null}",
                                       "{\"alg\":1}",
                                       "{\"alg\":[\"HS256\"]}",
                                       "{\"alg\":\"hs256\"}",
                                       "{\"alg\":\"HS256 \"}",
                                       "{\"alg\":\"HS256\\u0000\"}",
                                       "{\"Alg\":\"HS256\"}" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_fault(KG_JWT_INVALID_ALG, bad[i], "{}");
    expect_fault(KG_JWT_GOOD, "{\"\\u0061lg\":\"\\u0048S256\"}", "{}");
    expect_fault(KG_JWT_INVALID_CRIT, "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{}");
    expect_fault(KG_JWT_INVALID_CRIT, "{\"alg\":\"HS256\",\"crit\":null}", "{}");
}

static void no_name_twice_however_it_is_written(void **state)
{
    expect_fault(KG_JWT_INVALID_JSON, "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{}");
    expect_fault(KG_JWT_INVALID_JSON, "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", "{}");
    expect_fault(KG_JWT_INVALID_JSON, ALG, "{\"iss\":\"a\",\"iss\":\"b\"}");
    expect_fault(KG_JWT_INVALID_JSON, ALG, "{\"other\":1,\"iss\":\"b\",\"other\":1}");
    expect_fault(KG_JWT_INVALID_JSON, ALG, "{\"\\/\":1,\"/\":1}");
    expect_fault(KG_JWT_GOOD, ALG, "{\"a\":{\"b\":1},\"b\":{\"b\":2},\"A\":3,\"\":4}");
}

static void members_are_limited(void **state)
{
    for (int more = 0; more <= 1; more++) {
        char claims[8192];
        struct kg_writer w = kg_writer_of(claims, sizeof(claims) - 1);

        for (int i = 0; i < KG_JWT_MEMBERS + more; i++) {
            kg_put(&w, i ? KG_SLICE(",\"m") : KG_SLICE("{\"m"));
            kg_put_u64(&w, (uint64_t)i);
            KG_PUT(&w, "\":0");
        }
        kg_put_char(&w, '}');
        claims[w.len] = '\0';
        expect_fault(more ? KG_JWT_INVALID_JSON : KG_JWT_GOOD, ALG, claims);
    }
}

static void the_key_comes_from_the_claims_or_else_the_header(void **state)
{
    struct parsed *p = parse("{\"alg\":\"HS256\",\"kid\":\"h\"}", "{\"kid\":\"c\\u00e4\\\"\"}", "kid");

    assert_true(kg_slice_eq(p->jwt.key.text, KG_SLICE("c\xc3\xa4\"")));
    p = parse("{\"alg\":\"HS256\",\"kid\":\"h\"}", "{\"Kid\":\"c\"}", "kid");
    assert_true(kg_slice_eq(p->jwt.key.text, KG_SLICE("h")));
    p = parse("{\"alg\":\"HS256\",\"kid\":\"h\"}", "{\"kid\":\"\"}", "kid");
    assert_int_equal(p->jwt.key.kind, KG_JWT_TEXT);
    assert_int_equal(p->jwt.key.text.len, 0);
    p = parse("{\"alg\":\"HS256\",\"kid\":\"h\"}", "{\"kid\":{\"kid\":\"x\"}}", "kid");
    assert_int_equal(p->jwt.key.kind, KG_JWT_OTHER);
    p = parse("{\"alg\":\"HS256\"}", "{\"x\":{\"iss\":\"a\"}}", "iss");
    assert_int_equal(p->jwt.key.kind, KG_JWT_ABSENT);
    /* One that is asked for anyway. */
    p = parse("{\"alg\":\"HS256\"}", "{\"exp\":\"e\"}", "exp");
    assert_true(kg_slice_eq(p->jwt.key.text, KG_SLICE("e")));
    assert_int_equal(p->jwt.exp.kind, KG_JWT_TEXT);
    p = parse("{\"alg\":\"HS256\"}", "{}", "alg");
    assert_true(kg_slice_eq(p->jwt.key.text, KG_SLICE("HS256")));
}

/* As text: what it is above and what it is not. */
static void numbers_are_compared_exactly(void **state)
{
    static const struct {
        const char *text;
        int64_t floor;
        bool more;
    } cases[] = {
        { "0", 0, false },
        { "-0", 0, false },
        { "1700000000", 1700000000, false },
        { "1700000000.5", 1700000000, true },
        { "1700000000.000", 1700000000, false },
        { "1700000000.00000000000000000000000000000001", 1700000000, true },
        { "1.7e9", 1700000000, false },
        { "17E+8", 1700000000, false },
        { "17000000000e-1", 1700000000, false },
        { "17000000005e-1", 1700000000, true },
        { "1.70000000001e9", 1700000000, true },
        { "0.0000000017e18", 1700000000, false },
        { "9007199254740993", 9007199254740993, false }, /* 2^53 + 1: no double */
        { "-1", -1, false },
        { "-0.5", -1, true },
        { "-1.5", -2, true },
        { "-15e-1", -2, true },
        { "0.5", 0, true },
        { "5e-1", 0, true },
        { "5e-99999999999999999999", 0, true },
        { "0e99999999999999999999", 0, false },
        { "0.000e5", 0, false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char claims[128];

        snprintf(claims, sizeof(claims), "{\"exp\":%s}", cases[i].text);
        const struct kg_jwt_value *exp = &parse(ALG, claims, "iss")->jwt.exp;
        if (exp->kind != KG_JWT_NUMBER || exp->floor != cases[i].floor || exp->more != cases[i].more)
            fail_msg("%s: %lld, %d", cases[i].text, (long long)exp->floor, exp->more);
        assert_int_equal(kg_jwt_is_above(exp, cases[i].floor), cases[i].more);
        assert_true(kg_jwt_is_above(exp, cases[i].floor - 1));
        assert_false(kg_jwt_is_above(exp, cases[i].floor + 1));
    }
}

static void numbers_beyond_all_times_stay_large(void **state)
{
    static const char *const large[] = { "1e400", "9223372036854775808", "99999999999999999999999999999",
                                         "1e99999999999999999999", "123456789012345678901234567890.5e-3" };

    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        for (int minus = 0; minus <= 1; minus++) {
            char claims[128];

            snprintf(claims, sizeof(claims), "{\"exp\":%s%s}", minus ? "-" : "", large[i]);
            const struct kg_jwt_value *exp = &parse(ALG, claims, "iss")->jwt.exp;
            assert_int_equal(exp->kind, KG_JWT_NUMBER);
            assert_int_equal(kg_jwt_is_above(exp, 1000000000000), !minus);
            assert_int_equal(kg_jwt_is_above(exp, -1000000000000), !minus);
        }
    }
}

static void what_is_no_number_is_told_apart(void **state)
{
    static const char *const others[] = { "true", "null", "[1]", "{\"exp\":1}" };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char claims[64];

        snprintf(claims, sizeof(claims), "{\"exp\":%s}", others[i]);
        assert_int_equal(parse(ALG, claims, "iss")->jwt.exp.kind, KG_JWT_OTHER);
    }
    assert_int_equal(parse(ALG, "{\"exp\":\"1\"}", "iss")->jwt.exp.kind, KG_JWT_TEXT);
    assert_int_equal(parse(ALG, "{\"nbf\":1}", "iss")->jwt.exp.kind, KG_JWT_ABSENT);
}

/* However small the room, nothing is written past it. */
static void too_little_room_is_said(void **state)
{
    struct kg_slice token = make("{\"\\u0061lg\":\"HS256\"}", "{\"is\\u0073\":\"\\u0061\"}", "c2ln");
    size_t enough = 0;

    for (; enough <= 3 * token.len; enough++) {
        char *space = malloc(enough + 1);
        struct kg_writer w = kg_writer_of(space, enough);
        struct kg_jwt jwt;
        enum kg_jwt_fault fault = kg_jwt_parse(token, KG_SLICE("iss"), &w, &jwt);

        free(space);
        if (fault == KG_JWT_GOOD)
            break;
        assert_int_equal(fault, KG_JWT_NO_ROOM);
    }
    assert_in_range(enough, token.len / 2, token.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_taken_apart),
        cmocka_unit_test(needs_three_parts_of_strict_base64url),
        cmocka_unit_test(header_and_claims_are_json_objects),
        cmocka_unit_test(only_known_algorithms_and_no_critical_extension),
        cmocka_unit_test(no_name_twice_however_it_is_written),
        cmocka_unit_test(members_are_limited),
        cmocka_unit_test(the_key_comes_from_the_claims_or_else_the_header),
        cmocka_unit_test(numbers_are_compared_exactly),
        cmocka_unit_test(numbers_beyond_all_times_stay_large),
        cmocka_unit_test(what_is_no_number_is_told_apart),
        cmocka_unit_test(too_little_room_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
