/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/jwt_algorithm.h"

#include <openssl/evp.h>
#include <openssl/ui.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static int asked;

static int note_question(UI *ui)
{
    asked++;
    return 0;
}

static void a_key_that_is_encrypted_asks_nobody_for_a_passphrase(void **state)
{
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "Proc-Type: 4,ENCRYPTED\n"
                              "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                              "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n"
                              "q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n"
                              "-----END PUBLIC KEY-----\n";
    UI_METHOD *method = UI_create_method("nobody");

    assert_int_equal(UI_method_set_opener(method, note_question), 0);
    UI_set_default_method(method);
    assert_null(kg_jwt_public_key(KG_SLICE(pem)));
    UI_set_default_method(UI_OpenSSL());
    UI_destroy_method(method);
    assert_int_equal(asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_is_encrypted_asks_nobody_for_a_passphrase),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
