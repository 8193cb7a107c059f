/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

static void expect_mac(struct kg_key_hasher *hasher, const uint8_t index_key[32], struct kg_slice key)
{
    uint8_t mac[32], expected[32];
    unsigned len = 0;

    kg_key_hasher_mac(hasher, key, mac);
    assert_non_null(
        HMAC(EVP_sha256(), index_key, 32, (const unsigned char *)key.ptr, key.len, expected, &len));
    assert_int_equal(len, 32);
    assert_memory_equal(mac, expected, 32);
}

static void gives_hmac_sha256_again_and_again(void **state)
{
    static char big[20000];
    uint8_t index_key[32];

    for (size_t i = 0; i < 32; i++)
        index_key[i] = (uint8_t)(i * 7);
    memset(big, 'k', sizeof(big));
    struct kg_key_hasher *hasher = kg_key_hasher_new(index_key);
    expect_mac(hasher, index_key, KG_SLICE("first"));
    expect_mac(hasher, index_key, KG_SLICE("second"));
    expect_mac(hasher, index_key, KG_SLICE(""));
    expect_mac(hasher, index_key, kg_slice_of(big, sizeof(big)));
    expect_mac(hasher, index_key, KG_SLICE("first"));
    kg_key_hasher_free(hasher);
}

static void another_index_key_gives_another_mac(void **state)
{
    uint8_t one[32] = { 1 }, two[32] = { 2 }, mac_one[32], mac_two[32];
    struct kg_key_hasher *first = kg_key_hasher_new(one), *second = kg_key_hasher_new(two);

    kg_key_hasher_mac(first, KG_SLICE("key"), mac_one);
    kg_key_hasher_mac(second, KG_SLICE("key"), mac_two);
    assert_memory_not_equal(mac_one, mac_two, 32);
    kg_key_hasher_free(first);
    kg_key_hasher_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_hmac_sha256_again_and_again),
        cmocka_unit_test(another_index_key_gives_another_mac),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
