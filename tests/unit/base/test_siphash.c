/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/siphash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define TEXT 96

static const struct kg_siphash_key key = { { 0x0706050403020100, 0x0f0e0d0c0b0a0908 } };

/* As OpenSSL computes it, under the key above. */
static void expected(struct kg_slice text, uint64_t hash[2])
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    size_t size = 16, len = 0;
    OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                            OSSL_PARAM_construct_end() };
    unsigned char bytes[16];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(EVP_MAC_init(ctx, bytes, sizeof(bytes), params), 1);
    assert_int_equal(EVP_MAC_update(ctx, (const unsigned char *)text.ptr, text.len), 1);
    assert_int_equal(EVP_MAC_final(ctx, (unsigned char *)hash, &len, 16), 1);
    assert_int_equal(len, 16);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

static void hashes_what_openssl_hashes(void **state)
{
    char text[TEXT];
    uint64_t hash[2], want[2];

    for (size_t i = 0; i < TEXT; i++)
        text[i] = (char)(i * 7);
    for (size_t len = 0; len <= TEXT; len++) {
        expected(kg_slice_of(text, len), want);
        for (size_t head = 0; head <= len; head += 8) {
            kg_siphash(&key, kg_slice_of(text, head), kg_slice_of(text + head, len - head), hash);
            assert_memory_equal(hash, want, sizeof(hash));
        }
    }
}

static void differs_under_each_secret(void **state)
{
    struct kg_siphash_key one, other;
    uint64_t a[2], b[2];

    kg_siphash_seed(&one);
    kg_siphash_seed(&other);
    kg_siphash(&one, KG_SLICE(""), KG_SLICE("text"), a);
    kg_siphash(&other, KG_SLICE(""), KG_SLICE("text"), b);
    assert_memory_not_equal(a, b, sizeof(a));
    kg_siphash(&one, KG_SLICE(""), KG_SLICE("text"), b);
    assert_memory_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_what_openssl_hashes),
        cmocka_unit_test(differs_under_each_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
