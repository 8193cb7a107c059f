/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates with their SNIs, CA certificates, and what refers to them. */
#include "store_test.h"
#include "../model/pem_test.h"

#include <sqlite3.h>

static void put_certificate(struct fixture *f, const char *id, const struct pem *pem, const char *rest)
{
    json_t *input = certificate_json(pem, rest);

    json_object_set_new(input, "id", json_string(id));
    assert_int_equal(put_json(f->store, KG_CERTIFICATES, input, NULL), 0);
}

static void assert_names(struct fixture *f, const char *id, const char *names)
{
    json_t *certificate = kg_store_get(f->store, KG_CERTIFICATES, id);
    json_t *want = json_loads(names, 0, NULL);
    char *text = json_dumps(json_object_get(certificate, "snis"), JSON_ENCODE_ANY);

    if (!json_equal(want, json_object_get(certificate, "snis")))
        fail_msg("got %s, want %s", text, names);
    free(text);
    json_decref(want);
    json_decref(certificate);
}

static void a_certificate_comes_back_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    json_t *input = certificate_json(&rsa, "{\"tags\":[\"t\"]}"), *got;

    json_object_set_new(input, "id", json_string(ID_A));
    json_object_set_new(input, "cert_alt", json_string(ec.cert));
    json_object_set_new(input, "key_alt", json_string(ec.key));
    assert_int_equal(put_json(f->store, KG_CERTIFICATES, input, NULL), 0);
    put_certificate(f, ID_B, &ec, "{}");
    reopen(f);
    got = kg_store_get(f->store, KG_CERTIFICATES, ID_A);
    assert_string_equal(json_string_value(json_object_get(got, "cert")), rsa.cert);
    assert_string_equal(json_string_value(json_object_get(got, "key")), rsa.key);
    assert_string_equal(json_string_value(json_object_get(got, "cert_alt")), ec.cert);
    assert_string_equal(json_string_value(json_object_get(got, "key_alt")), ec.key);
    assert_int_equal(json_array_size(json_object_get(got, "tags")), 1);
    json_decref(got);
    got = kg_store_get(f->store, KG_CERTIFICATES, ID_B);
    assert_true(json_is_null(json_object_get(got, "key_alt")));
    assert_string_equal(json_string_value(json_object_get(got, "key")), ec.key);
    json_decref(got);
}

static void a_private_key_is_on_disk_only_sealed(void **state)
{
    struct fixture *f = *state;
    const char *key_line = strchr(rsa.key, '\n') + 1, *cert_line = strchr(rsa.cert, '\n') + 1;

    put_certificate(f, ID_A, &rsa, "{\"snis\":[\"a.com\"]}");
    /* A line of PEM is 64 characters; so that the search itself is proved, the certificate's must be there.
     */
    assert_true(is_on_disk(f, cert_line, 64));
    assert_false(is_on_disk(f, key_line, 64));
    reopen(f);
    assert_false(is_on_disk(f, key_line, 64));
}

/* Found by nothing, so there is no keyed hash of it either. */
static void one_key_may_serve_two_certificates(void **state)
{
    struct fixture *f = *state;

    put_certificate(f, ID_A, &rsa, "{}");
    put_certificate(f, ID_B, &rsa, "{}");
    assert_true(is_there(f->store, KG_CERTIFICATES, ID_A));
    assert_true(is_there(f->store, KG_CERTIFICATES, ID_B));
}

static void names_given_with_a_certificate_are_made_and_removed_with_it(void **state)
{
    struct fixture *f = *state;
    json_t *sni, *again;

    put_certificate(f, ID_A, &rsa, "{\"snis\":[\"b.com\",\"a.com\"]}");
    assert_names(f, ID_A, "[\"b.com\",\"a.com\"]");
    sni = kg_store_find(f->store, KG_SNIS, KG_SLICE("a.com"));
    assert_string_equal(json_string_value(json_object_get(json_object_get(sni, "certificate"), "id")), ID_A);
    put_certificate(f, ID_A, &rsa, "{\"snis\":[\"c.com\",\"a.com\"]}");
    assert_names(f, ID_A, "[\"a.com\",\"c.com\"]");
    again = kg_store_find(f->store, KG_SNIS, KG_SLICE("a.com"));
    assert_true(json_equal(sni, again)); /* what stays is not made anew */
    json_decref(sni);
    json_decref(again);
    put_certificate(f, ID_A, &rsa2, "{}");
    assert_names(f, ID_A, "[\"a.com\",\"c.com\"]");
    put_certificate(f, ID_A, &rsa2, "{\"snis\":[]}");
    assert_names(f, ID_A, "[]");
}

static void a_name_of_another_certificate_is_refused_and_nothing_is_written(void **state)
{
    struct fixture *f = *state;
    json_t *problem, *got;
    json_t *input = certificate_json(&ec, "{\"id\":\"" ID_B "\",\"snis\":[\"new.com\",\"a.com\"]}");

    put_certificate(f, ID_A, &rsa, "{\"snis\":[\"a.com\"]}");
    put_certificate(f, ID_B, &rsa2, "{\"snis\":[\"b.com\"]}");
    assert_int_equal(put_json(f->store, KG_CERTIFICATES, input, &problem), -EEXIST);
    assert_message(problem, 2,
                   "schema violation (snis: a.com already associated with existing certificate '" ID_A "')");
    assert_names(f, ID_B, "[\"b.com\"]");
    got = kg_store_get(f->store, KG_CERTIFICATES, ID_B);
    assert_string_equal(json_string_value(json_object_get(got, "cert")), rsa2.cert);
    json_decref(got);
    assert_int_equal(
        put(f->store, KG_SNIS, "{\"name\":\"a.com\",\"certificate\":{\"id\":\"" ID_B "\"}}", &problem),
        -EEXIST);
    assert_message(problem, 5, "UNIQUE violation detected on '{name=\"a.com\"}'");
    assert_int_equal(
        put(f->store, KG_SNIS, "{\"name\":\"d.com\",\"certificate\":{\"id\":\"" ID_D "\"}}", &problem),
        -ENOENT);
    assert_message(problem, 4,
                   "the foreign key '{id=\"" ID_D
                   "\"}' does not reference an existing 'certificates' entity.");
}

static void a_certificate_is_found_by_its_names_and_takes_them_along(void **state)
{
    struct fixture *f = *state;
    json_t *found;

    put_certificate(f, ID_A, &rsa, "{\"snis\":[\"a.com\",\"*.a.com\"]}");
    found = kg_store_find(f->store, KG_CERTIFICATES, KG_SLICE("*.a.com"));
    assert_string_equal(json_string_value(json_object_get(found, "id")), ID_A);
    json_decref(found);
    assert_null(kg_store_find(f->store, KG_CERTIFICATES, KG_SLICE("b.com")));
    assert_null(kg_store_find(f->store, KG_CA_CERTIFICATES, KG_SLICE("a.com")));
    assert_int_equal(delete (f->store, KG_CERTIFICATES, ID_A, NULL), 0);
    assert_null(kg_store_find(f->store, KG_SNIS, KG_SLICE("a.com")));
}

static void a_ca_certificate_is_there_once(void **state)
{
    struct fixture *f = *state;
    json_t *problem, *got;
    char message[256];

    assert_int_equal(put_json(f->store, KG_CA_CERTIFICATES,
                              json_pack("{s:s,s:s}", "id", ID_A, "cert", authority.cert), NULL),
                     0);
    got = kg_store_get(f->store, KG_CA_CERTIFICATES, ID_A);
    snprintf(message, sizeof(message), "UNIQUE violation detected on '{cert_digest=\"%s\"}'",
             json_string_value(json_object_get(got, "cert_digest")));
    json_decref(got);
    assert_int_equal(
        put_json(f->store, KG_CA_CERTIFICATES, json_pack("{s:s}", "cert", authority.cert), &problem),
        -EEXIST);
    assert_message(problem, 5, message);
}

static void what_a_service_names_must_be_there_and_stays(void **state)
{
    struct fixture *f = *state;
    json_t *problem, *got;

    assert_int_equal(
        put(f->store, KG_SERVICES, "{\"url\":\"https://a\",\"ca_certificates\":[\"" ID_A "\"]}", &problem),
        -ENOENT);
    assert_message(problem, 4,
                   "the foreign key '{id=\"" ID_A
                   "\"}' does not reference an existing 'ca_certificates' entity.");
    assert_int_equal(put_json(f->store, KG_CA_CERTIFICATES,
                              json_pack("{s:s,s:s}", "id", ID_A, "cert", authority.cert), NULL),
                     0);
    put_certificate(f, ID_B, &rsa, "{}");
    assert_int_equal(put(f->store, KG_SERVICES,
                         "{\"id\":\"" ID_C
                         "\",\"url\":\"https://a\",\"tls_verify\":true,\"tls_verify_depth\":3,"
                         "\"ca_certificates\":[\"" ID_A "\"],\"client_certificate\":{\"id\":\"" ID_B "\"}}",
                         NULL),
                     0);
    assert_int_equal(delete (f->store, KG_CA_CERTIFICATES, ID_A, &problem), -EBUSY);
    assert_message(problem, 19, "ca certificate " ID_A " is still referenced by services (id = " ID_C ")");
    assert_int_equal(delete (f->store, KG_CERTIFICATES, ID_B, &problem), -EBUSY);
    assert_message(problem, 4, "an existing 'services' entity references this 'certificates' entity");
    got = kg_store_get(f->store, KG_SERVICES, ID_C);
    assert_true(json_is_true(json_object_get(got, "tls_verify")));
    assert_int_equal(json_integer_value(json_object_get(got, "tls_verify_depth")), 3);
    assert_int_equal(json_array_size(json_object_get(got, "ca_certificates")), 1);
    json_decref(got);
    assert_int_equal(delete (f->store, KG_SERVICES, ID_C, NULL), 0);
    assert_int_equal(delete (f->store, KG_CA_CERTIFICATES, ID_A, NULL), 0);
    assert_int_equal(delete (f->store, KG_CERTIFICATES, ID_B, NULL), 0);
}

static void certificates_are_loaded_before_what_needs_them(void **state)
{
    struct fixture *f = *state;
    struct kg_model model = { 0 };
    struct kg_error err;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_C "\",\"url\":\"https://a\"}", NULL), 0);
    assert_int_equal(put_json(f->store, KG_CA_CERTIFICATES,
                              json_pack("{s:s,s:s}", "id", ID_A, "cert", authority.cert), NULL),
                     0);
    put_certificate(f, ID_B, &rsa, "{}");
    assert_int_equal(put(f->store, KG_SNIS,
                         "{\"id\":\"" ID_D "\",\"name\":\"a.com\",\"certificate\":{\"id\":\"" ID_B "\"}}",
                         NULL),
                     0);
    assert_int_equal(kg_store_load(f->store, &model, &err), 0);
    assert_string_equal(model.notes, "certificates 22222222\n"
                                     "snis 44444444\n"
                                     "ca_certificates 11111111\n"
                                     "services 33333333\n"
                                     "loaded\n");
}

static void an_older_database_gets_the_tables_and_references_too(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f->store, KG_SERVICES, "{\"id\":\"" ID_A "\",\"host\":\"a\"}", NULL), 0);
    kg_store_close(f->store);
    f->store = NULL;
    exec(f, "DROP INDEX services_client_certificate; ALTER TABLE services DROP COLUMN client_certificate;"
            "ALTER TABLE services DROP COLUMN ca_certificates; ALTER TABLE services DROP COLUMN tls_verify;"
            "ALTER TABLE services DROP COLUMN tls_verify_depth; ALTER TABLE routes DROP COLUMN snis;"
            "DROP TABLE snis; DROP TABLE certificates; DROP TABLE ca_certificates; PRAGMA user_version = 2");
    f->store = open_store(f->dir);
    assert_true(is_there(f->store, KG_SERVICES, ID_A));
    put_certificate(f, ID_B, &rsa, "{\"snis\":[\"a.com\"]}");
    assert_int_equal(
        put(f->store, KG_SERVICES,
            "{\"id\":\"" ID_A "\",\"url\":\"https://a\",\"client_certificate\":{\"id\":\"" ID_B "\"}}", NULL),
        0);
    assert_int_equal(delete (f->store, KG_CERTIFICATES, ID_B, NULL), -EBUSY);
    reopen(f);
    assert_names(f, ID_B, "[\"a.com\"]");
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_open, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_certificate_comes_back_as_it_went_in),
        STORE_TEST(a_private_key_is_on_disk_only_sealed),
        STORE_TEST(one_key_may_serve_two_certificates),
        STORE_TEST(names_given_with_a_certificate_are_made_and_removed_with_it),
        STORE_TEST(a_name_of_another_certificate_is_refused_and_nothing_is_written),
        STORE_TEST(a_certificate_is_found_by_its_names_and_takes_them_along),
        STORE_TEST(a_ca_certificate_is_there_once),
        STORE_TEST(what_a_service_names_must_be_there_and_stays),
        STORE_TEST(certificates_are_loaded_before_what_needs_them),
        STORE_TEST(an_older_database_gets_the_tables_and_references_too),
    };

    return cmocka_run_group_tests(tests, make_pems, free_pems);
}
