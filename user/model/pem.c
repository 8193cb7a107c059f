/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates and keys as clients send them: what is wrong with them, before anything is stored. No message
 * repeats a byte of them. */
#include "model/checks.h"

#include "base/writer.h"
#include "io/tls.h"
#include "model/json.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

const char *kg_check_certificate(const json_t *value, char scratch[256])
{
    static const char mark[] = " PRIVATE KEY-----";
    struct kg_slice pem = kg_json_text(value);
    X509 *certificate;

    /* This field is neither sealed nor kept out of what clients see. */
    if (memmem(pem.ptr, pem.len, mark, sizeof(mark) - 1))
        return "invalid certificate: it holds a private key too";
    certificate = kg_tls_certificate_read(pem);
    if (!certificate)
        return "invalid certificate: it cannot be read as PEM";
    X509_free(certificate);
    return NULL;
}

const char *kg_check_private_key(const json_t *value, char scratch[256])
{
    EVP_PKEY *key = kg_tls_key_read(kg_json_text(value));

    if (!key)
        return "invalid key: it cannot be read as PEM without a passphrase";
    EVP_PKEY_free(key);
    return NULL;
}

static bool is_given(const json_t *entity, const char *name)
{
    return json_is_string(json_object_get(entity, name));
}

static bool belong_together(const json_t *cert, const json_t *key)
{
    X509 *certificate = kg_tls_certificate_read(kg_json_text(cert));
    EVP_PKEY *private_key = kg_tls_key_read(kg_json_text(key));
    bool together = certificate && private_key && X509_check_private_key(certificate, private_key) == 1;

    EVP_PKEY_free(private_key);
    X509_free(certificate);
    ERR_clear_error();
    return together;
}

/* One certificate with its key: the type of the key, or 0 when that is not there or not right. */
static int check_pair(const json_t *entity, const char *cert_name, const char *key_name, json_t *violations)
{
    const json_t *cert = json_object_get(entity, cert_name), *key = json_object_get(entity, key_name);
    struct kg_error err;
    struct kg_tls_identity *identity;
    int type;

    if (!is_given(entity, cert_name) || !is_given(entity, key_name))
        return 0;
    if (!belong_together(cert, key)) {
        kg_violate(violations, NULL, "certificate does not match key");
        return 0;
    }
    /* What is stored must also be what a handshake can be made with: its chain, for one. */
    identity = kg_tls_identity_new(kg_json_text(cert), kg_json_text(key), &err);
    if (!identity) {
        kg_violate(violations, NULL, err.text);
        return 0;
    }
    type = EVP_PKEY_get_base_id(identity->key);
    kg_tls_identity_free(identity);
    return type;
}

void kg_check_certificate_pair(const json_t *entity, json_t *violations)
{
    bool half = is_given(entity, "cert_alt") != is_given(entity, "key_alt");
    int first, second;

    if (half && !json_object_get(violations, "cert_alt") && !json_object_get(violations, "key_alt"))
        kg_violate(violations, NULL, "all or none of these fields must be set: 'cert_alt', 'key_alt'");
    first = check_pair(entity, "cert", "key", violations);
    second = check_pair(entity, "cert_alt", "key_alt", violations);
    if (first != 0 && first == second)
        kg_violate(
            violations, NULL,
            "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), "
            "the provided certificates were both of the same type");
}

static bool holds_two(struct kg_slice pem)
{
    static const char mark[] = "-----BEGIN ";
    const char *first = memmem(pem.ptr, pem.len, mark, sizeof(mark) - 1);
    size_t skip = first ? (size_t)(first - pem.ptr) + sizeof(mark) - 1 : 0;

    return first && memmem(pem.ptr + skip, pem.len - skip, mark, sizeof(mark) - 1);
}

void kg_check_authority(const json_t *entity, json_t *violations)
{
    json_t *cert = json_object_get(entity, "cert");
    X509 *certificate;

    if (!json_is_string(cert))
        return;
    if (holds_two(kg_json_text(cert))) {
        kg_violate(violations, NULL, "please submit only one certificate at a time");
        return;
    }
    certificate = kg_tls_certificate_read(kg_json_text(cert));
    if (!certificate)
        return;
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        kg_violate(violations, NULL, "certificate expired, \"Not After\" time is in the past");
    /* 1 is a version 3 certificate that says CA:TRUE; older versions have no such word (X509_check_ca(3)). */
    else if (X509_check_ca(certificate) != 1)
        kg_violate(
            violations, NULL,
            "certificate does not appear to be a CA because it is missing the \"CA\" basic constraint");
    X509_free(certificate);
}

/* Of the certificate itself, not of its PEM text: one certificate is one entity, however it is wrapped. */
void kg_authority_expand(json_t *input, json_t *violations)
{
    X509 *certificate = kg_tls_certificate_read(kg_json_text(json_object_get(input, "cert")));
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char text[2 * EVP_MAX_MD_SIZE];
    struct kg_writer w = kg_writer_of(text, sizeof(text));

    json_object_del(input, "cert_digest"); /* whatever a client echoes back */
    if (certificate && X509_digest(certificate, EVP_sha256(), digest, &len) == 1) {
        kg_put_hex_bytes(&w, digest, len);
        json_object_set_new(input, "cert_digest", json_stringn(text, w.len));
    }
    X509_free(certificate);
}
