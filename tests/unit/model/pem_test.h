/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates and keys for tests, made as they are needed. */
#ifndef KG_TESTS_PEM_TEST_H
#define KG_TESTS_PEM_TEST_H

#include "base/mem.h"
#include "base/slice.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct pem {
    char *cert, *key; /* owned */
};

static inline char *text_of_bio(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = kg_strndup(bytes, (size_t)len);

    BIO_free(bio);
    return text;
}

static inline void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A certificate for `name`, signed by itself, good from a day ago for `days`; type "RSA" or "EC". */
static inline struct pem pem_make(const char *type, const char *name, bool ca, int days)
{
    EVP_PKEY *key = type[0] == 'R' ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048) : EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    static long serial;

    assert_non_null(key);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * days);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_set_pubkey(certificate, key);
    add_extension(certificate, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(cert_bio, certificate), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return (struct pem){ text_of_bio(cert_bio), text_of_bio(key_bio) };
}

static inline void pem_free(struct pem *pem)
{
    free(pem->cert);
    free(pem->key);
}

/* One of each kind, made once: RSA takes its time. */
static struct pem rsa, rsa2, ec, ec2, authority, old_authority;

static inline int make_pems(void **state)
{
    rsa = pem_make("RSA", "rsa.example", false, 30);
    rsa2 = pem_make("RSA", "rsa2.example", false, 30);
    ec = pem_make("EC", "ec.example", false, 30);
    ec2 = pem_make("EC", "ec2.example", false, 30);
    authority = pem_make("EC", "Test CA", true, 30);
    old_authority = pem_make("EC", "Old CA", true, -1);
    return 0;
}

static inline int free_pems(void **state)
{
    pem_free(&rsa);
    pem_free(&rsa2);
    pem_free(&ec);
    pem_free(&ec2);
    pem_free(&authority);
    pem_free(&old_authority);
    return 0;
}

/* {"cert": …, "key": …} and what `rest` says; a new reference. */
static inline json_t *certificate_json(const struct pem *pem, const char *rest)
{
    json_t *object = json_pack("{s:s,s:s}", "cert", pem->cert, "key", pem->key);
    json_t *more = json_loads(rest, 0, NULL);

    assert_non_null(more);
    json_object_update(object, more);
    json_decref(more);
    return object;
}

#endif
