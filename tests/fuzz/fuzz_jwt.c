/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for JWTs. The input is lines: the name of the key's claim, a token; or, when the second
 * line is empty, a third with a header's JSON and a fourth with that of the claims, of which a token is made.
 */
#include "check.h"
#include "base/base64.h"
#include "model/jwt_algorithm.h"
#include "policy/jwt_token.h"

static struct kg_slice cut_line(struct kg_slice *rest)
{
    size_t at = kg_slice_find(*rest, '\n');
    struct kg_slice line = kg_slice_of(rest->ptr, at);

    *rest = at < rest->len ? kg_slice_of(rest->ptr + at + 1, rest->len - at - 1) : KG_SLICE("");
    return line;
}

static struct kg_slice make_token(struct kg_slice header, struct kg_slice claims)
{
    static char buf[2 * INPUT_MAX];
    struct kg_writer w = kg_writer_of(buf, sizeof(buf));

    kg_put_base64url(&w, header);
    kg_put_char(&w, '.');
    kg_put_base64url(&w, claims);
    KG_PUT(&w, ".c2ln");
    KG_ASSERT(!w.overflow);
    return kg_writer_slice(&w);
}

/* What is decoded is what the text stands for and no other text does. */
static void check_base64(struct kg_slice text)
{
    static char bytes[INPUT_MAX], again[2 * INPUT_MAX];
    struct kg_writer out = kg_writer_of(bytes, sizeof(bytes)), back = kg_writer_of(again, sizeof(again));

    if (!kg_base64url_decode(text, &out))
        return;
    kg_put_base64url(&back, kg_writer_slice(&out));
    KG_ASSERT(kg_slice_eq(text, kg_writer_slice(&back)));
    out = kg_writer_of(bytes, sizeof(bytes));
    KG_ASSERT(kg_base64_decode(text, &out));
}

static void check_number(const struct kg_jwt_value *value)
{
    if (value->kind != KG_JWT_NUMBER)
        return;
    KG_ASSERT(kg_jwt_is_above(value, value->floor - 1));
    KG_ASSERT(kg_jwt_is_above(value, value->floor) == value->more);
    KG_ASSERT(!kg_jwt_is_above(value, value->floor + 1));
    /* The policy adds a year to a time. */
    KG_ASSERT(value->floor < INT64_MAX - 31536000 && value->floor > INT64_MIN + 31536000);
}

/* It fits into three times its length, and with less room it says so and nothing else. */
static enum kg_jwt_fault parse_in(size_t room, struct kg_slice token, struct kg_slice key_claim)
{
    struct kg_jwt jwt;
    char *space = malloc(room + 1);
    struct kg_writer scratch = kg_writer_of(space, room);
    enum kg_jwt_fault fault = kg_jwt_parse(token, key_claim, &scratch, &jwt);

    KG_ASSERT(scratch.len <= room);
    if (fault == KG_JWT_GOOD) {
        check_inside(jwt.signed_part, token);
        check_inside(jwt.signature, kg_slice_of(space, room));
        KG_ASSERT(jwt.signed_part.ptr == token.ptr && token.ptr[jwt.signed_part.len] == '.');
        KG_ASSERT(jwt.algorithm && kg_jwt_algorithm_find(jwt.algorithm->name) == jwt.algorithm);
        if (jwt.key.kind == KG_JWT_TEXT)
            check_inside(jwt.key.text, kg_slice_of(space, room));
        check_number(&jwt.exp);
        check_number(&jwt.nbf);
    }
    free(space);
    return fault;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kg_slice rest = input_of(data, size < INPUT_MAX / 2 ? size : INPUT_MAX / 2);
    struct kg_slice key_claim = cut_line(&rest), token = cut_line(&rest);

    check_base64(token);
    if (token.len == 0) {
        struct kg_slice header = cut_line(&rest);
        token = make_token(header, rest);
    }
    enum kg_jwt_fault fault = parse_in(3 * token.len, token, key_claim);
    KG_ASSERT(fault != KG_JWT_NO_ROOM);
    for (size_t room = 0; room < 3 * token.len; room += token.len / 4 + 1) {
        enum kg_jwt_fault less = parse_in(room, token, key_claim);
        KG_ASSERT(less == fault || less == KG_JWT_NO_ROOM);
    }
    return 0;
}
