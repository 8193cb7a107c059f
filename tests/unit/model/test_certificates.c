/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates by server name, and how services' connections are secured, in snapshots. */
#include "pem_test.h"
#include "model/model.h"

#include <stdio.h>

#define ID(n)  "00000000-0000-4000-8000-0000000000" #n
#define CERT_A ID(a1)
#define CERT_B ID(a2)
#define CA_A   ID(c1)
#define CA_B   ID(c2)

static void put_json(struct kg_model *model, enum kg_entity_id entity, json_t *object)
{
    kg_model_put(model, entity, object);
    json_decref(object);
}

static void put(struct kg_model *model, enum kg_entity_id entity, const char *text)
{
    json_t *object = json_loads(text, 0, NULL);

    assert_non_null(object);
    put_json(model, entity, object);
}

static void put_certificate(struct kg_model *model, const char *id, const struct pem *pem)
{
    json_t *object = certificate_json(pem, "{}");

    json_object_set_new(object, "id", json_string(id));
    put_json(model, KG_CERTIFICATES, object);
}

static void put_sni(struct kg_model *model, const char *id, const char *name, const char *certificate)
{
    put_json(model, KG_SNIS,
             json_pack("{s:s,s:s,s:{s:s}}", "id", id, "name", name, "certificate", "id", certificate));
}

static void put_authority(struct kg_model *model, const char *id, const struct pem *pem)
{
    put_json(model, KG_CA_CERTIFICATES, json_pack("{s:s,s:s}", "id", id, "cert", pem->cert));
}

/* "" for none, else the CN of the certificate for this name. */
static const char *subject_in(const struct kg_snapshot *snapshot, const char *name)
{
    static char text[64];
    const struct kg_tls_identity *identity = kg_snapshot_certificate(snapshot, kg_slice_str(name));

    text[0] = '\0';
    if (identity)
        X509_NAME_get_text_by_NID(X509_get_subject_name(identity->certificate), NID_commonName, text,
                                  sizeof(text));
    return text;
}

static void assert_subject(struct kg_model *model, const char *name, const char *subject)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(model);

    if (strcmp(subject_in(snapshot, name), subject) != 0)
        fail_msg("%s gets \"%s\" and not \"%s\"", name, subject_in(snapshot, name), subject);
    kg_snapshot_free(snapshot);
}

static struct kg_model *model_with_names(void)
{
    struct kg_model *model = kg_model_new(NULL);

    put_certificate(model, CERT_A, &rsa);
    put_certificate(model, CERT_B, &ec);
    return model;
}

static void a_whole_name_beats_the_longest_suffix_beats_a_prefix_beats_the_star(void **state)
{
    struct kg_model *model = model_with_names();

    put_certificate(model, ID(a3), &ec2);
    put_certificate(model, ID(a4), &rsa2);
    assert_subject(model, "w.a.com", "");
    put_sni(model, ID(01), "*", CERT_A);
    assert_subject(model, "w.a.com", "rsa.example");
    assert_subject(model, "", "rsa.example");
    put_sni(model, ID(02), "w.*", CERT_B);
    assert_subject(model, "w.a.com", "ec.example");
    put_sni(model, ID(03), "w.a.*", ID(a3));
    assert_subject(model, "w.a.com", "ec2.example");
    assert_subject(model, "w.b.com", "ec.example");
    put_sni(model, ID(04), "*.com", ID(a4));
    assert_subject(model, "w.a.com", "rsa2.example");
    put_sni(model, ID(05), "*.a.com", CERT_B);
    assert_subject(model, "w.a.com", "ec.example");
    assert_subject(model, "v.w.a.com", "ec.example");
    assert_subject(model, "a.com", "rsa2.example");
    put_sni(model, ID(06), "w.a.com", ID(a3));
    assert_subject(model, "w.a.com", "ec2.example");
    assert_subject(model, "w.a.com.", "ec2.example");
    assert_subject(model, "com", "rsa.example");
    assert_subject(model, ".a.com", "rsa2.example");
    assert_subject(model, "w.", "rsa.example");
    assert_subject(model, ".", "rsa.example");
    kg_model_free(model);
}

static void an_overlong_name_gets_the_star(void **state)
{
    struct kg_model *model = model_with_names();
    char name[600];

    memset(name, 'a', sizeof(name));
    memcpy(name + 590, ".a.com", 7);
    put_sni(model, ID(01), "*.a.com", CERT_A);
    assert_subject(model, name, "");
    put_sni(model, ID(02), "*", CERT_B);
    assert_subject(model, name, "ec.example");
    kg_model_free(model);
}

static void names_follow_their_sni_when_it_changes_or_goes(void **state)
{
    struct kg_model *model = model_with_names();

    put_sni(model, ID(01), "a.com", CERT_A);
    put_sni(model, ID(01), "b.com", CERT_B);
    assert_subject(model, "a.com", "");
    assert_subject(model, "b.com", "ec.example");
    put_sni(model, ID(02), "b.com", CERT_A); /* the name in other hands before the old one is gone */
    kg_model_remove(model, KG_SNIS, ID(01));
    assert_subject(model, "b.com", "rsa.example");
    kg_model_remove(model, KG_CERTIFICATES, CERT_A);
    assert_subject(model, "b.com", "");
    put_certificate(model, CERT_A, &rsa);
    assert_subject(model, "b.com", "");
    kg_model_remove(model, KG_SNIS, ID(77));
    kg_model_remove(model, KG_CERTIFICATES, ID(77));
    kg_model_free(model);
}

static void a_certificate_that_shows_its_names_drops_the_others(void **state)
{
    struct kg_model *model = model_with_names();
    json_t *object = certificate_json(&rsa, "{\"id\":\"" CERT_A "\",\"snis\":[\"b.com\"]}");

    put_sni(model, ID(01), "a.com", CERT_A);
    put_sni(model, ID(02), "b.com", CERT_A);
    put_sni(model, ID(03), "c.com", CERT_B);
    put_json(model, KG_CERTIFICATES, object);
    assert_subject(model, "a.com", "");
    assert_subject(model, "b.com", "rsa.example");
    assert_subject(model, "c.com", "ec.example");
    kg_model_free(model);
}

static void an_identity_is_shared_by_snapshots_and_lives_as_long_as_one_names_it(void **state)
{
    struct kg_model *model = model_with_names();
    struct kg_snapshot *before, *between, *after;
    const struct kg_tls_identity *identity;

    put_sni(model, ID(01), "a.com", CERT_A);
    before = kg_model_snapshot(model);
    identity = kg_snapshot_certificate(before, KG_SLICE("a.com"));
    put_sni(model, ID(02), "b.com", CERT_B);
    between = kg_model_snapshot(model);
    assert_ptr_equal(kg_snapshot_certificate(between, KG_SLICE("a.com")), identity);
    kg_snapshot_free(between);
    put_certificate(model, CERT_A, &rsa2);
    after = kg_model_snapshot(model);
    assert_string_equal(subject_in(after, "a.com"), "rsa2.example");
    kg_snapshot_free(after);
    kg_model_free(model);
    /* The old one still has its own, whole: a sanitizer says when not. */
    assert_string_equal(subject_in(before, "a.com"), "rsa.example");
    assert_int_equal(X509_check_private_key(identity->certificate, identity->key), 1);
    kg_snapshot_free(before);
}

static void an_alternative_comes_with_its_certificate(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    struct kg_snapshot *snapshot;
    const struct kg_tls_identity *identity;
    json_t *object = certificate_json(&rsa, "{\"id\":\"" CERT_A "\"}");

    json_object_set_new(object, "cert_alt", json_string(ec.cert));
    json_object_set_new(object, "key_alt", json_string(ec.key));
    put_json(model, KG_CERTIFICATES, object);
    put_sni(model, ID(01), "a.com", CERT_A);
    snapshot = kg_model_snapshot(model);
    identity = kg_snapshot_certificate(snapshot, KG_SLICE("a.com"));
    assert_non_null(identity->alternative);
    assert_int_equal(EVP_PKEY_get_base_id(identity->key), EVP_PKEY_RSA);
    assert_int_equal(EVP_PKEY_get_base_id(identity->alternative->key), EVP_PKEY_EC);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

/* As when the key's sealed form was changed on disk. */
static void a_certificate_without_a_good_key_is_left_out(void **state)
{
    struct kg_model *model = model_with_names();

    put(model, KG_CERTIFICATES, "{\"id\":\"" CERT_A "\",\"cert\":\"x\",\"key\":null}");
    put_sni(model, ID(01), "a.com", CERT_A);
    assert_subject(model, "a.com", "");
    put_sni(model, ID(02), "*.com", CERT_B);
    assert_subject(model, "a.com", "ec.example");
    kg_model_free(model);
}

/* ---- services ---- */

static void put_service(struct kg_model *model, const char *n, const char *rest)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{\"id\":\"00000000-0000-4000-8000-00000000005%s\",\"host\":\"127.0.0.1\",\"port\":443,"
             "\"protocol\":\"https\"%s}",
             n, rest);
    put(model, KG_SERVICES, text);
    snprintf(text, sizeof(text),
             "{\"id\":\"00000000-0000-4000-8000-00000000006%s\",\"paths\":[\"/%s\"],"
             "\"service\":{\"id\":\"00000000-0000-4000-8000-00000000005%s\"}}",
             n, n, n);
    put(model, KG_ROUTES, text);
}

static const struct kg_service *service_in(const struct kg_snapshot *snapshot, const char *n)
{
    char path[8];
    struct kg_match match;

    snprintf(path, sizeof(path), "/%s", n);
    struct kg_route_query query = { .method = KG_SLICE("GET"), .path = kg_slice_str(path) };
    assert_true(kg_snapshot_route(snapshot, &query, &match));
    return match.route->service;
}

static struct kg_service_tls tls_of(struct kg_model *model, const char *n)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(model);
    struct kg_service_tls tls = *service_in(snapshot, n)->tls;

    kg_snapshot_free(snapshot);
    return tls;
}

static void a_service_of_http_has_no_tls_and_https_leaves_its_own_port_out_of_host(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    struct kg_snapshot *snapshot;

    put_service(model, "1", "");
    put_service(model, "2", ",\"protocol\":\"http\"");
    put_service(model, "3", ",\"port\":80");
    snapshot = kg_model_snapshot(model);
    assert_non_null(service_in(snapshot, "1")->tls);
    assert_null(service_in(snapshot, "2")->tls);
    assert_true(
        kg_slice_eq(service_in(snapshot, "1")->balancer->endpoints[0].host_header, KG_SLICE("127.0.0.1")));
    assert_true(kg_slice_eq(service_in(snapshot, "2")->balancer->endpoints[0].host_header,
                            KG_SLICE("127.0.0.1:443")));
    assert_true(
        kg_slice_eq(service_in(snapshot, "3")->balancer->endpoints[0].host_header, KG_SLICE("127.0.0.1:80")));
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void what_a_service_does_not_say_is_left_to_the_settings(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    struct kg_service_tls tls;

    put_service(model, "1", ",\"tls_verify\":null");
    tls = tls_of(model, "1");
    assert_true(tls.verify);
    assert_int_equal(tls.verify_depth, -1);
    assert_null(tls.store);
    assert_null(tls.identity);
    assert_true(tls.number != 0);
    kg_model_set_default_verify(model, false);
    assert_false(tls_of(model, "1").verify);
    assert_true(tls_of(model, "1").number != tls.number);
    put_service(model, "1", ",\"tls_verify\":true,\"tls_verify_depth\":0");
    assert_true(tls_of(model, "1").verify);
    assert_int_equal(tls_of(model, "1").verify_depth, 0);
    kg_model_free(model);
}

static int store_size(const X509_STORE *store)
{
    return sk_X509_OBJECT_num(X509_STORE_get0_objects((X509_STORE *)(uintptr_t)store));
}

static void a_service_has_its_own_cas_and_never_others_when_they_are_gone(void **state)
{
    struct kg_model *model = kg_model_new(NULL);
    struct kg_snapshot *snapshot;

    put_authority(model, CA_A, &authority);
    put_authority(model, CA_B, &old_authority);
    put_service(model, "1", ",\"ca_certificates\":[\"" CA_A "\",\"" CA_B "\"]");
    put_service(model, "2", ",\"ca_certificates\":[\"" ID(77) "\"]");
    put_service(model, "3", "");
    snapshot = kg_model_snapshot(model);
    assert_int_equal(store_size(service_in(snapshot, "1")->tls->store), 2);
    assert_non_null(service_in(snapshot, "2")->tls->store);
    assert_int_equal(store_size(service_in(snapshot, "2")->tls->store), 0);
    assert_null(service_in(snapshot, "3")->tls->store);
    kg_snapshot_free(snapshot);
    kg_model_free(model);
}

static void equal_services_share_a_number_and_it_stays_while_nothing_changes(void **state)
{
    static const char rest[] =
        ",\"ca_certificates\":[\"" CA_A "\"],\"client_certificate\":{\"id\":\"" CERT_A "\"}";
    struct kg_model *model = model_with_names();
    struct kg_snapshot *old;
    const struct kg_service_tls *tls;
    uint64_t number;

    put_authority(model, CA_A, &authority);
    put_service(model, "1", rest);
    put_service(model, "2", rest);
    put_service(model, "3", "");
    old = kg_model_snapshot(model);
    tls = service_in(old, "1")->tls;
    number = tls->number;
    assert_int_equal(tls_of(model, "2").number, number);
    assert_true(tls_of(model, "3").number != number);
    put_service(model, "3", ",\"tls_verify\":false");
    put_service(model, "1", rest);
    assert_int_equal(tls_of(model, "1").number, number);
    assert_ptr_equal(tls_of(model, "1").store, tls->store);
    put_certificate(model, CERT_B, &ec2); /* another one's certificate */
    put_authority(model, CA_B, &old_authority);
    assert_int_equal(tls_of(model, "1").number, number);
    put_certificate(model, CERT_A, &rsa2);
    assert_true(tls_of(model, "1").number != number);
    number = tls_of(model, "1").number;
    put_authority(model, CA_A, &old_authority);
    assert_true(tls_of(model, "1").number != number);
    assert_int_equal(tls_of(model, "2").number, tls_of(model, "1").number);
    kg_model_free(model);
    /* What the old snapshot names is still there. */
    assert_int_equal(store_size(tls->store), 1);
    assert_int_equal(X509_check_private_key(tls->identity->certificate, tls->identity->key), 1);
    kg_snapshot_free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_name_beats_the_longest_suffix_beats_a_prefix_beats_the_star),
        cmocka_unit_test(an_overlong_name_gets_the_star),
        cmocka_unit_test(names_follow_their_sni_when_it_changes_or_goes),
        cmocka_unit_test(a_certificate_that_shows_its_names_drops_the_others),
        cmocka_unit_test(an_identity_is_shared_by_snapshots_and_lives_as_long_as_one_names_it),
        cmocka_unit_test(an_alternative_comes_with_its_certificate),
        cmocka_unit_test(a_certificate_without_a_good_key_is_left_out),
        cmocka_unit_test(a_service_of_http_has_no_tls_and_https_leaves_its_own_port_out_of_host),
        cmocka_unit_test(what_a_service_does_not_say_is_left_to_the_settings),
        cmocka_unit_test(a_service_has_its_own_cas_and_never_others_when_they_are_gone),
        cmocka_unit_test(equal_services_share_a_number_and_it_stays_while_nothing_changes),
    };

    return cmocka_run_group_tests(tests, make_pems, free_pems);
}
