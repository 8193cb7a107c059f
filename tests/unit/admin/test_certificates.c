/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates, SNIs and CA certificates over the Admin API, and what of them reaches the workers. */
#include "fixture.h"
#include "../model/pem_test.h"

#define NOT_FOUND "{\"message\":\"Not found\"}"

/* Takes over body. */
static struct reply call(struct api *api, const char *method, const char *path, json_t *body)
{
    char *text = json_dumps(body, 0);
    struct reply reply = send_json(api, method, path, text);

    free(text);
    json_decref(body);
    return reply;
}

static void expect(struct api *api, const char *method, const char *path, json_t *body, unsigned status)
{
    struct reply reply = call(api, method, path, body);

    if (reply.status != status)
        fail_msg("%s %s: %u %s", method, path, reply.status, reply.body);
    drop(&reply);
}

static void expect_message(struct api *api, const char *method, const char *path, json_t *body,
                           unsigned status, const char *message)
{
    struct reply reply = call(api, method, path, body);

    assert_string_equal(member(&reply, "message"), message);
    assert_int_equal(reply.status, status);
    assert_null(strstr(reply.body, "PRIVATE"));
    drop(&reply);
}

static void expect_snis(struct api *api, const char *path, const char *names)
{
    struct reply reply = send_json(api, "GET", path, NULL);
    json_t *want = json_loads(names, 0, NULL);

    if (!json_equal(json_object_get(reply.json, "snis"), want))
        fail_msg("%s: %s", path, reply.body);
    json_decref(want);
    drop(&reply);
}

/* What workers would show for this name: the CN of it, "" for nothing. */
static void expect_subject(struct api *api, const char *name, const char *subject)
{
    struct kg_snapshot *snapshot = kg_model_snapshot(api->model);
    const struct kg_tls_identity *identity = kg_snapshot_certificate(snapshot, kg_slice_str(name));
    char text[64] = "";

    if (identity)
        X509_NAME_get_text_by_NID(X509_get_subject_name(identity->certificate), NID_commonName, text,
                                  sizeof(text));
    assert_string_equal(text, subject);
    kg_snapshot_free(snapshot);
}

static void create_shows_the_certificate_with_its_key_and_names(void **state)
{
    struct api *api = *state;
    struct reply reply =
        call(api, "POST", "/certificates", certificate_json(&rsa, "{\"snis\":[\"A.com\",\"*.b.com\"]}"));
    json_t *names = json_object_get(reply.json, "snis");

    assert_int_equal(reply.status, 201);
    assert_string_equal(member(&reply, "cert"), rsa.cert);
    assert_string_equal(member(&reply, "key"), rsa.key);
    assert_int_equal(json_array_size(names), 2);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "a.com");
    drop(&reply);
    assert_int_equal(api->published, 1);
    expect_subject(api, "a.com", "rsa.example");
    expect_subject(api, "x.b.com", "rsa.example");
    expect(api, "POST", "/certificates", certificate_json(&ec, "{}"), 201);
    reply = send_json(api, "GET", "/certificates", NULL);
    names = json_array_get(json_object_get(reply.json, "data"), 1);
    assert_int_equal(json_array_size(json_object_get(names, "snis")), 0);
    assert_true(json_is_array(json_object_get(names, "snis")));
    drop(&reply);
}

static void a_certificate_is_addressed_by_any_of_its_names(void **state)
{
    struct api *api = *state;

    expect(api, "POST", "/certificates", certificate_json(&rsa, "{\"snis\":[\"a.com\",\"b.com\"]}"), 201);
    expect_snis(api, "/certificates/b.com", "[\"a.com\",\"b.com\"]");
    expect_text(api, "GET", "/certificates/c.com", NULL, 404, NOT_FOUND);
    expect(api, "PATCH", "/certificates/b.com", certificate_json(&ec, "{}"), 200);
    expect_snis(api, "/certificates/a.com", "[\"a.com\",\"b.com\"]");
    expect_subject(api, "a.com", "ec.example");
    expect(api, "PUT", "/certificates/a.com", certificate_json(&rsa2, "{\"snis\":[\"c.com\"]}"), 200);
    expect_snis(api, "/certificates/c.com", "[\"c.com\"]");
    expect_subject(api, "a.com", "");
    expect_subject(api, "c.com", "rsa2.example");
    expect_text(api, "DELETE", "/certificates/c.com", NULL, 204, "");
    expect_subject(api, "c.com", "");
    expect_text(api, "GET", "/snis/c.com", NULL, 404, NOT_FOUND);
    expect_text(api, "DELETE", "/certificates/c.com", NULL, 204, "");
}

static void a_put_under_a_new_name_makes_certificate_and_sni(void **state)
{
    struct api *api = *state;

    expect(api, "PUT", "/certificates/new.com", certificate_json(&rsa, "{}"), 200);
    expect_snis(api, "/certificates/new.com", "[\"new.com\"]");
    expect(api, "PUT", "/certificates/other.com", certificate_json(&ec, "{\"snis\":[\"more.com\"]}"), 200);
    expect_snis(api, "/certificates/more.com", "[\"more.com\",\"other.com\"]");
    expect_subject(api, "other.com", "ec.example");
    expect(api, "PUT", "/certificates/11111111-1111-4111-8111-111111111111", certificate_json(&rsa, "{}"),
           200);
    expect_snis(api, "/certificates/11111111-1111-4111-8111-111111111111", "[]");
    expect_message(api, "PUT", "/certificates/x.com", certificate_json(&ec, "{\"snis\":5}"), 400,
                   "schema violation (snis: expected a set)");
}

static void what_does_not_belong_together_is_refused_without_a_word_of_the_key(void **state)
{
    struct api *api = *state;

    expect_message(api, "POST", "/certificates", json_pack("{s:s,s:s}", "cert", rsa.cert, "key", ec.key), 400,
                   "schema violation (certificate does not match key)");
    expect_message(api, "POST", "/certificates", json_pack("{s:s,s:s}", "cert", rsa.key, "key", "abc"), 400,
                   "2 schema violations (cert: invalid certificate: it holds a private key too; key: invalid "
                   "key: it cannot be read as PEM without a passphrase)");
    assert_int_equal(api->published, 0);
}

static void snis_are_made_moved_and_removed_by_themselves(void **state)
{
    struct api *api = *state;
    struct reply reply;

    expect(api, "POST", "/certificates", certificate_json(&rsa, "{\"snis\":[\"rsa.com\"]}"), 201);
    expect(api, "POST", "/certificates", certificate_json(&ec, "{\"snis\":[\"ec.com\"]}"), 201);
    expect(api, "POST", "/certificates/rsa.com/snis", json_pack("{s:s}", "name", "a.com"), 201);
    expect_subject(api, "a.com", "rsa.example");
    expect(api, "POST", "/snis", json_pack("{s:s,s:{s:s}}", "name", "b.com", "certificate", "snis", "ec.com"),
           201);
    expect_subject(api, "b.com", "ec.example");
    expect_snis(api, "/snis/a.com/certificate", "[\"rsa.com\",\"a.com\"]");
    reply = send_json(api, "GET", "/certificates/rsa.com/snis", NULL);
    assert_int_equal(json_array_size(json_object_get(reply.json, "data")), 2);
    drop(&reply);
    expect(api, "PATCH", "/snis/a.com", json_pack("{s:{s:s}}", "certificate", "snis", "ec.com"), 200);
    expect_subject(api, "a.com", "ec.example");
    expect_text(api, "DELETE", "/certificates/rsa.com/snis/a.com", NULL, 404, NOT_FOUND);
    expect_text(api, "DELETE", "/certificates/ec.com/snis/a.com", NULL, 204, "");
    expect_subject(api, "a.com", "");
    expect_message(api, "POST", "/snis", json_pack("{s:s,s:{s:s}}", "name", "c", "certificate", "snis", "x"),
                   400,
                   "foreign key unresolved (certificate.snis: the foreign key cannot be resolved with "
                   "'{snis=\"x\"}' for an existing 'certificates' entity)");
    expect(api, "PATCH", "/certificates/rsa.com", json_pack("{s:[s]}", "snis", "b.com"), 400);
    expect_subject(api, "b.com", "ec.example");
    expect_subject(api, "rsa.com", "rsa.example");
}

static void a_ca_certificate_is_addressed_by_id_alone(void **state)
{
    struct api *api = *state;
    char path[80];
    struct reply reply = call(api, "POST", "/ca_certificates", json_pack("{s:s}", "cert", authority.cert));

    assert_int_equal(reply.status, 201);
    assert_int_equal(strlen(member(&reply, "cert_digest")), 64);
    snprintf(path, sizeof(path), "/ca_certificates/%s", member(&reply, "id"));
    expect_text(api, "GET", "/ca_certificates/x", NULL, 404, NOT_FOUND);
    expect_text(api, "PUT", "/ca_certificates/x", "{}", 404, NOT_FOUND);
    expect(api, "PATCH", path, json_pack("{s:[s]}", "tags", "t"), 200);
    expect(api, "POST", "/services",
           json_pack("{s:s,s:s,s:[s]}", "name", "s", "url", "https://h", "ca_certificates",
                     member(&reply, "id")),
           201);
    drop(&reply);
    assert_int_equal(status_of(api, "DELETE", path, NULL), 400);
    expect_text(api, "DELETE", "/services/s", NULL, 204, "");
    expect_text(api, "DELETE", path, NULL, 204, "");
}

static void a_service_leads_to_its_client_certificate_and_back(void **state)
{
    struct api *api = *state;
    struct reply reply;

    expect(api, "POST", "/certificates", certificate_json(&rsa, "{\"snis\":[\"a.com\"]}"), 201);
    expect(api, "POST", "/services",
           json_pack("{s:s,s:s,s:{s:s}}", "name", "s", "url", "https://h", "client_certificate", "snis",
                     "a.com"),
           201);
    expect_snis(api, "/services/s/client_certificate", "[\"a.com\"]");
    reply = send_json(api, "GET", "/certificates/a.com/services", NULL);
    assert_int_equal(json_array_size(json_object_get(reply.json, "data")), 1);
    drop(&reply);
    expect_message(api, "DELETE", "/certificates/a.com", NULL, 400,
                   "an existing 'services' entity references this 'certificates' entity");
    expect(api, "PATCH", "/services/s", json_pack("{s:n}", "client_certificate"), 200);
    expect_text(api, "DELETE", "/certificates/a.com", NULL, 204, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(create_shows_the_certificate_with_its_key_and_names),
        TEST(a_certificate_is_addressed_by_any_of_its_names),
        TEST(a_put_under_a_new_name_makes_certificate_and_sni),
        TEST(what_does_not_belong_together_is_refused_without_a_word_of_the_key),
        TEST(snis_are_made_moved_and_removed_by_themselves),
        TEST(a_ca_certificate_is_addressed_by_id_alone),
        TEST(a_service_leads_to_its_client_certificate_and_back),
    };

    kg_policies_register();
    return cmocka_run_group_tests(tests, make_pems, free_pems);
}
