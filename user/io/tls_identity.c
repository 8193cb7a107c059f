/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates, keys and CA stores, from PEM or made anew. Errors never repeat what was read. */
#include "io/tls.h"

#include "base/addr.h"
#include "base/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* What level 2 asks of a key (SSL_CTX_set_security_level(3)). */
#define SECURITY_BITS 112
#define CHAIN_MAX     16
#define STORE_MAX     1024
#define TEN_YEARS_S   (10L * 365 * 24 * 3600)

static BIO *bio_of(struct kg_slice pem)
{
    return pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (int)pem.len) : NULL;
}

/* An encrypted key needs a passphrase, and nobody is there to be asked. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    return -1;
}

/* The next certificate; NULL at the end (*bad false) or when it cannot be read. */
static X509 *next_certificate(BIO *bio, bool *bad)
{
    ERR_clear_error();
    X509 *certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    unsigned long error = ERR_peek_last_error();

    *bad =
        !certificate && !(ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
    ERR_clear_error();
    return certificate;
}

static int read_certificates(struct kg_tls_identity *identity, struct kg_slice pem, struct kg_error *err)
{
    BIO *bio = bio_of(pem);
    bool bad = true;

    identity->certificate = bio ? next_certificate(bio, &bad) : NULL;
    if (!identity->certificate) {
        BIO_free(bio);
        return kg_error_set(err, EINVAL,
                            bad ? "the certificate cannot be read" : "there is no certificate in PEM");
    }
    for (X509 *next; (next = next_certificate(bio, &bad)) != NULL;) {
        if (sk_X509_num(identity->chain) < CHAIN_MAX && sk_X509_push(identity->chain, next) > 0)
            continue;
        X509_free(next);
        BIO_free(bio);
        return kg_error_set(err, EINVAL, "the chain has more than %d certificates", CHAIN_MAX);
    }
    BIO_free(bio);
    if (bad)
        return kg_error_set(err, EINVAL, "a certificate of the chain cannot be read");
    return 0;
}

X509 *kg_tls_certificate_read(struct kg_slice pem)
{
    BIO *bio = bio_of(pem);
    bool bad;
    X509 *certificate = bio ? next_certificate(bio, &bad) : NULL;

    BIO_free(bio);
    return certificate;
}

EVP_PKEY *kg_tls_key_read(struct kg_slice pem)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    ERR_clear_error();
    return key;
}

static int read_key(struct kg_tls_identity *identity, struct kg_slice pem, struct kg_error *err)
{
    identity->key = kg_tls_key_read(pem);
    if (!identity->key)
        return kg_error_set(err, EINVAL, "the key cannot be read (it must be in PEM, without a passphrase)");
    return 0;
}

static int check_identity(const struct kg_tls_identity *identity, struct kg_error *err)
{
    int matches = X509_check_private_key(identity->certificate, identity->key);

    ERR_clear_error();
    if (matches != 1)
        return kg_error_set(err, EINVAL, "the certificate and the key do not belong together");
    if (EVP_PKEY_get_security_bits(identity->key) < SECURITY_BITS)
        return kg_error_set(err, EINVAL, "the key is too short (RSA needs 2048 bits)");
    return 0;
}

static struct kg_tls_identity *new_identity(void)
{
    struct kg_tls_identity *identity = kg_calloc(1, sizeof(*identity));

    identity->chain = sk_X509_new_null();
    return identity;
}

struct kg_tls_identity *kg_tls_identity_new(struct kg_slice certificate, struct kg_slice key,
                                            struct kg_error *err)
{
    struct kg_tls_identity *identity = new_identity();

    if (identity->chain && read_certificates(identity, certificate, err) == 0 &&
        read_key(identity, key, err) == 0 && check_identity(identity, err) == 0)
        return identity;
    kg_tls_identity_free(identity);
    return NULL;
}

void kg_tls_identity_free(struct kg_tls_identity *identity)
{
    while (identity) {
        struct kg_tls_identity *next = identity->alternative;

        X509_free(identity->certificate);
        sk_X509_pop_free(identity->chain, X509_free);
        EVP_PKEY_free(identity->key);
        free(identity);
        identity = next;
    }
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_name(X509 *certificate, const char *name)
{
    struct kg_addr addr;
    char text[300];
    bool is_addr = kg_addr_parse(kg_slice_str(name), &addr) == 0;
    X509_NAME *subject = X509_get_subject_name(certificate);

    /* A comma would begin a second name. */
    if (strlen(name) > 253 || strpbrk(name, ",\n"))
        return false;
    snprintf(text, sizeof(text), "%s:%s", is_addr ? "IP" : "DNS", name);
    /* commonName holds 64 characters (RFC 5280, appendix A); clients look at the alternative name anyway. */
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name,
                                      strlen(name) > 64 ? 64 : -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 &&
           add_extension(certificate, NID_subject_alt_name, text);
}

static bool add_serial(X509 *certificate)
{
    uint64_t serial;

    /* Positive (RFC 5280, 4.1.2.2). */
    return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1;
}

static bool sign_self(X509 *certificate, EVP_PKEY *key, const char *name)
{
    return X509_set_version(certificate, X509_VERSION_3) == 1 && add_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), 0) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), TEN_YEARS_S) &&
           X509_set_pubkey(certificate, key) == 1 && add_name(certificate, name) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

struct kg_tls_identity *kg_tls_identity_self_signed(const char *name, struct kg_error *err)
{
    struct kg_tls_identity *identity = new_identity();

    identity->key = EVP_EC_gen("P-256");
    identity->certificate = X509_new();
    bool made = identity->chain && identity->key && identity->certificate &&
                sign_self(identity->certificate, identity->key, name);
    ERR_clear_error();
    if (made)
        return identity;
    kg_error_set(err, EINVAL, "cannot make a certificate for \"%.253s\"", name);
    kg_tls_identity_free(identity);
    return NULL;
}

/* How many certificates went into the store, or -1 when one cannot be read. */
static int fill_store(X509_STORE *store, BIO *bio)
{
    bool bad = false;
    int count = 0;

    for (X509 *ca; count < STORE_MAX && (ca = next_certificate(bio, &bad)) != NULL; count++) {
        bool added = X509_STORE_add_cert(store, ca) == 1;

        X509_free(ca);
        if (!added)
            return -1;
    }
    return bad ? -1 : count;
}

X509_STORE *kg_tls_store_new(struct kg_slice pem, struct kg_error *err)
{
    X509_STORE *store = X509_STORE_new();
    BIO *bio = bio_of(pem);
    int count = store && bio ? fill_store(store, bio) : -1;

    BIO_free(bio);
    if (count > 0) {
        /* What the operator names is trusted, also when it is no root. */
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
        return store;
    }
    X509_STORE_free(store);
    kg_error_set(err, EINVAL,
                 count < 0 ? "a CA certificate cannot be read" : "there is no CA certificate in PEM");
    return NULL;
}
