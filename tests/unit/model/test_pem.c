/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates, SNIs and CA certificates in the schema, and what services and routes say of TLS. */
#include "pem_test.h"
#include "schema_test.h"

static json_t *apply(enum kg_entity_id entity, json_t *input)
{
    json_t *result = NULL, *problem = NULL;

    if (kg_schema_apply(&kg_entities[entity], KG_WRITE_CREATE, input, NULL, &result, &problem))
        fail_msg("refused: %s", json_string_value(json_object_get(problem, "message")));
    json_decref(input);
    return result;
}

/* Takes over input. */
static void assert_refused(enum kg_entity_id entity, json_t *input, const char *message)
{
    json_t *result = NULL, *problem = NULL;
    char *text;

    assert_int_equal(kg_schema_apply(&kg_entities[entity], KG_WRITE_CREATE, input, NULL, &result, &problem),
                     -EINVAL);
    assert_string_equal(json_string_value(json_object_get(problem, "message")), message);
    text = json_dumps(problem, 0);
    if (json_is_string(json_object_get(input, "key")))
        assert_null(strstr(text, "PRIVATE KEY"));
    free(text);
    json_decref(problem);
    json_decref(input);
}

static void a_certificate_has_every_field(void **state)
{
    json_t *certificate = apply(KG_CERTIFICATES, certificate_json(&rsa, "{}"));

    assert_string_equal(json_string_value(json_object_get(certificate, "cert")), rsa.cert);
    assert_string_equal(json_string_value(json_object_get(certificate, "key")), rsa.key);
    json_object_del(certificate, "cert");
    json_object_del(certificate, "key");
    json_object_del(certificate, "id");
    json_object_del(certificate, "created_at");
    json_object_del(certificate, "updated_at");
    assert_json(certificate, "{\"cert_alt\":null,\"key_alt\":null,\"snis\":null,\"tags\":null}");
    json_decref(certificate);
}

static void a_certificate_needs_its_own_key(void **state)
{
    assert_refused(KG_CERTIFICATES, json_pack("{s:s}", "cert", rsa.cert),
                   "schema violation (key: required field missing)");
    assert_refused(KG_CERTIFICATES, json_pack("{s:s,s:s}", "cert", rsa.cert, "key", rsa2.key),
                   "schema violation (certificate does not match key)");
    assert_refused(KG_CERTIFICATES, json_pack("{s:s,s:s}", "cert", rsa.cert, "key", ec.key),
                   "schema violation (certificate does not match key)");
    assert_refused(KG_CERTIFICATES, json_pack("{s:s,s:s}", "cert", "x", "key", "secret words"),
                   "2 schema violations (cert: invalid certificate: it cannot be read as PEM; key: invalid "
                   "key: it cannot be read as PEM without a passphrase)");
}

static void a_key_behind_a_passphrase_is_refused_without_asking(void **state)
{
    BIO *in = BIO_new_mem_buf(ec.key, -1), *out = BIO_new(BIO_s_mem());
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
    char *locked;

    assert_int_equal(
        PEM_write_bio_PrivateKey(out, key, EVP_aes_128_cbc(), (const unsigned char *)"pass", 4, NULL, NULL),
        1);
    EVP_PKEY_free(key);
    BIO_free(in);
    locked = text_of_bio(out);
    assert_refused(KG_CERTIFICATES, json_pack("{s:s,s:s}", "cert", ec.cert, "key", locked),
                   "schema violation (key: invalid key: it cannot be read as PEM without a passphrase)");
    free(locked);
}

/* Only the key is sealed at rest. */
static void a_key_does_not_hide_among_certificates(void **state)
{
    char *both = NULL;

    assert_true(asprintf(&both, "%s%s", ec.cert, ec.key) > 0);
    assert_refused(KG_CERTIFICATES, json_pack("{s:s,s:s}", "cert", both, "key", ec.key),
                   "schema violation (cert: invalid certificate: it holds a private key too)");
    free(both);
}

static void a_broken_chain_is_refused(void **state)
{
    char *chain = NULL;

    assert_true(
        asprintf(&chain, "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ec.cert) > 0);
    assert_refused(KG_CERTIFICATES, json_pack("{s:s,s:s}", "cert", chain, "key", ec.key),
                   "schema violation (a certificate of the chain cannot be read)");
    free(chain);
    assert_true(asprintf(&chain, "%s%s", ec.cert, authority.cert) > 0);
    json_decref(apply(KG_CERTIFICATES, json_pack("{s:s,s:s}", "cert", chain, "key", ec.key)));
    free(chain);
}

static void the_alternative_is_whole_and_of_another_type(void **state)
{
    json_t *input = certificate_json(&rsa, "{}");

    json_object_set_new(input, "cert_alt", json_string(ec.cert));
    assert_refused(KG_CERTIFICATES, json_incref(input),
                   "schema violation (all or none of these fields must be set: 'cert_alt', 'key_alt')");
    json_object_set_new(input, "key_alt", json_string(ec2.key));
    assert_refused(KG_CERTIFICATES, json_incref(input), "schema violation (certificate does not match key)");
    json_object_set_new(input, "key_alt", json_string(ec.key));
    json_decref(apply(KG_CERTIFICATES, json_incref(input)));
    json_object_set_new(input, "cert_alt", json_string(rsa2.cert));
    json_object_set_new(input, "key_alt", json_string(rsa2.key));
    assert_refused(KG_CERTIFICATES, input,
                   "schema violation (certificate and alternative certificate need to have different type "
                   "(e.g. RSA and ECDSA), the provided certificates were both of the same type)");
}

static void names_of_a_certificate_are_lower_case_and_distinct(void **state)
{
    json_t *certificate =
        apply(KG_CERTIFICATES, certificate_json(&ec, "{\"snis\":[\"B.com\",\"*.a.com\",\"b.com\"]}"));

    assert_json(json_object_get(certificate, "snis"), "[\"b.com\",\"*.a.com\"]");
    json_decref(certificate);
    assert_refused(KG_CERTIFICATES, certificate_json(&ec, "{\"snis\":[\"a.com\",\"1.2.3.4\"]}"),
                   "schema violation (snis.2: must not be an IP)");
}

static void an_sni_is_a_host_name_or_a_wildcard_at_an_end(void **state)
{
    static const char *const good[] = { "a.com", "localhost", "*.a.com", "a.*", "*", "a_b.c" };
    static const char *const bad[][2] = {
        { "a.com:443", "must not have a port" },
        { "*.a.com:443", "must not have a port" },
        { "1.2.3.4", "must not be an IP" },
        { "[::1]", "must not be an IP" },
        { "::1", "must not be an IP" },
        { "a b", "invalid value: a b" },
        { "a..b", "invalid value: a..b" },
        { "*.*", "invalid wildcard: must have at most one wildcard" },
        { "a.*.b", "invalid wildcard: must be placed at leftmost or rightmost label" },
        { "*a.com", "invalid wildcard: must be placed at leftmost or rightmost label" },
    };
    char message[128];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        json_decref(apply(KG_SNIS, json_pack("{s:s,s:{s:s}}", "name", good[i], "certificate", "id", ID_A)));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(message, sizeof(message), "schema violation (name: %s)", bad[i][1]);
        assert_refused(KG_SNIS, json_pack("{s:s,s:{s:s}}", "name", bad[i][0], "certificate", "id", ID_A),
                       message);
    }
    assert_refused(KG_SNIS, json_object(),
                   "2 schema violations (certificate: required field missing; name: required field missing)");
}

static void a_ca_certificate_is_one_that_is_good_and_a_ca(void **state)
{
    char *two = NULL;

    assert_refused(
        KG_CA_CERTIFICATES, json_pack("{s:s}", "cert", ec.cert),
        "schema violation (certificate does not appear to be a CA because it is missing the \"CA\" "
        "basic constraint)");
    assert_refused(KG_CA_CERTIFICATES, json_pack("{s:s}", "cert", old_authority.cert),
                   "schema violation (certificate expired, \"Not After\" time is in the past)");
    assert_true(asprintf(&two, "%s%s", authority.cert, authority.cert) > 0);
    assert_refused(KG_CA_CERTIFICATES, json_pack("{s:s}", "cert", two),
                   "schema violation (please submit only one certificate at a time)");
    free(two);
    assert_refused(KG_CA_CERTIFICATES, json_pack("{s:s}", "cert", "no"),
                   "schema violation (cert: invalid certificate: it cannot be read as PEM)");
    assert_refused(KG_CA_CERTIFICATES, json_object(), "schema violation (cert: required field missing)");
}

static void a_digest_follows_from_its_certificate_whatever_is_sent(void **state)
{
    json_t *first = apply(KG_CA_CERTIFICATES, json_pack("{s:s}", "cert", authority.cert));
    json_t *input = json_pack("{s:s,s:s}", "cert", authority.cert, "cert_digest", "00"), *patch, *patched;
    const char *digest = json_string_value(json_object_get(first, "cert_digest"));
    json_t *second = apply(KG_CA_CERTIFICATES, input), *problem = NULL;

    assert_int_equal(strlen(digest), 64);
    assert_int_equal(strspn(digest, "0123456789abcdef"), 64);
    assert_string_equal(json_string_value(json_object_get(second, "cert_digest")), digest);
    patch = json_pack("{s:[s]}", "tags", "t");
    assert_int_equal(
        kg_schema_apply(&kg_entities[KG_CA_CERTIFICATES], KG_WRITE_PATCH, patch, first, &patched, &problem),
        0);
    assert_string_equal(json_string_value(json_object_get(patched, "cert_digest")), digest);
    json_decref(patched);
    json_decref(patch);
    json_decref(first);
    json_decref(second);
}

static void only_a_service_of_https_says_how_tls_is_checked(void **state)
{
    static const char conditional[] = "failed conditional validation given value of field 'protocol'";
    char message[512];
    json_t *service = apply(
        KG_SERVICES,
        parse(
            "{\"url\":\"https://a\",\"tls_verify\":false,\"tls_verify_depth\":64,\"ca_certificates\":[\"" ID_A
            "\",\"" ID_B "\",\"" ID_A "\"],\"client_certificate\":{\"id\":\"" ID_A "\"}}"));

    assert_json(json_object_get(service, "ca_certificates"), "[\"" ID_A "\",\"" ID_B "\"]");
    json_decref(service);
    snprintf(message, sizeof(message), "2 schema violations (%s; tls_verify: value must be null)",
             conditional);
    assert_refused(KG_SERVICES, parse("{\"host\":\"a\",\"tls_verify\":true}"), message);
    snprintf(
        message, sizeof(message),
        "6 schema violations (%s; %s; %s; ca_certificates: value must be null; client_certificate: value "
        "must be null; tls_verify_depth: value must be null)",
        conditional, conditional, conditional);
    assert_refused(KG_SERVICES,
                   parse("{\"host\":\"a\",\"tls_verify_depth\":1,\"ca_certificates\":[],"
                         "\"client_certificate\":{\"id\":\"" ID_A "\"}}"),
                   message);
    assert_refused(KG_SERVICES, parse("{\"url\":\"https://a\",\"tls_verify_depth\":65}"),
                   "schema violation (tls_verify_depth: value should be between 0 and 64)");
    assert_refused(KG_SERVICES, parse("{\"url\":\"https://a\",\"ca_certificates\":[\"" ID_A "\",\"x\"]}"),
                   "schema violation (ca_certificates.2: expected a valid UUID)");
}

static void snis_of_a_route_are_whole_names_and_need_https(void **state)
{
    json_t *route = apply(KG_ROUTES, parse("{\"snis\":[\"A.com\"],\"protocols\":[\"https\"]}"));

    assert_json(json_object_get(route, "snis"), "[\"a.com\"]");
    json_decref(route);
    assert_refused(KG_ROUTES, parse("{\"snis\":[\"*.a.com\"]}"),
                   "schema violation (snis.1: invalid value: *.a.com)");
    assert_refused(
        KG_ROUTES, parse("{\"snis\":[\"a.com\"],\"paths\":[\"/\"],\"protocols\":[\"http\"]}"),
        "2 schema violations ('snis' can only be set when 'protocols' is 'https'; snis: length must "
        "be 0)");
    json_decref(apply(KG_ROUTES, parse("{\"snis\":[],\"paths\":[\"/\"],\"protocols\":[\"http\"]}")));
}

static void a_form_makes_lists_of_snis_and_cas(void **state)
{
    struct kg_error err;
    json_t *input = kg_schema_from_form(&kg_entities[KG_SERVICES],
                                        KG_SLICE("ca_certificates=" ID_A "&tls_verify=false"), &err);

    assert_json(input, "{\"ca_certificates\":[\"" ID_A "\"],\"tls_verify\":false}");
    json_decref(input);
    input = kg_schema_from_form(&kg_entities[KG_CERTIFICATES], KG_SLICE("snis[]=a&snis[]=b&cert=x"), &err);
    assert_json(input, "{\"snis\":[\"a\",\"b\"],\"cert\":\"x\"}");
    json_decref(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_has_every_field),
        cmocka_unit_test(a_certificate_needs_its_own_key),
        cmocka_unit_test(a_key_behind_a_passphrase_is_refused_without_asking),
        cmocka_unit_test(a_key_does_not_hide_among_certificates),
        cmocka_unit_test(a_broken_chain_is_refused),
        cmocka_unit_test(the_alternative_is_whole_and_of_another_type),
        cmocka_unit_test(names_of_a_certificate_are_lower_case_and_distinct),
        cmocka_unit_test(an_sni_is_a_host_name_or_a_wildcard_at_an_end),
        cmocka_unit_test(a_ca_certificate_is_one_that_is_good_and_a_ca),
        cmocka_unit_test(a_digest_follows_from_its_certificate_whatever_is_sent),
        cmocka_unit_test(only_a_service_of_https_says_how_tls_is_checked),
        cmocka_unit_test(snis_of_a_route_are_whole_names_and_need_https),
        cmocka_unit_test(a_form_makes_lists_of_snis_and_cas),
    };

    return cmocka_run_group_tests(tests, make_pems, free_pems);
}
