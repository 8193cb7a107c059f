/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/tls.h"

#include "base/file.h"

#include <errno.h>

#define SELF_SIGNED "keygate"

static bool has_tls_listener(const struct kg_config *config)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        if (config->listen[i].tls)
            return true;
    }
    return false;
}

static int read_identity(const struct kg_config *config, struct kg_tls_identity **identity,
                         struct kg_error *err)
{
    struct kg_slice certificate, key;

    if (config->tls.certificate[0] == '\0') {
        *identity = kg_tls_identity_self_signed(SELF_SIGNED, err);
        return *identity ? 0 : -EINVAL;
    }
    int rc = kg_file_read(config->tls.certificate, &certificate, err);
    if (rc)
        return rc;
    rc = kg_file_read(config->tls.certificate_key, &key, err);
    if (rc == 0) {
        *identity = kg_tls_identity_new(certificate, key, err);
        kg_file_free(key);
        if (!*identity)
            kg_error_prefix(err, "%s and %s", config->tls.certificate, config->tls.certificate_key);
        rc = *identity ? 0 : -EINVAL;
    }
    kg_file_free(certificate);
    return rc;
}

static int read_store(const char *path, X509_STORE **store, struct kg_error *err)
{
    struct kg_slice text;
    int rc = kg_file_read(path, &text, err);

    if (rc)
        return rc;
    *store = kg_tls_store_new(text, err);
    kg_file_free(text);
    if (*store)
        return 0;
    kg_error_prefix(err, "%s", path);
    return -EINVAL;
}

int kg_tls_settings_read(const struct kg_config *config, struct kg_proxy_tls *tls, struct kg_error *err)
{
    int rc = 0;

    *tls = (struct kg_proxy_tls){
        .min_version = config->tls.min_version == 0 ? TLS1_2_VERSION : TLS1_3_VERSION,
        .verify_client = config->tls.verify_client,
        .tickets = kg_tls_tickets_new(),
    };
    if (has_tls_listener(config))
        rc = read_identity(config, &tls->identity, err);
    if (rc == 0 && config->tls.client_ca[0] != '\0')
        rc = read_store(config->tls.client_ca, &tls->client_ca, err);
    if (rc == 0 && config->upstream.trusted_certificates[0] != '\0')
        rc = read_store(config->upstream.trusted_certificates, &tls->upstream_ca, err);
    return rc;
}

void kg_tls_settings_free(struct kg_proxy_tls *tls)
{
    kg_tls_identity_free(tls->identity);
    X509_STORE_free(tls->client_ca);
    X509_STORE_free(tls->upstream_ca);
    kg_tls_tickets_free(tls->tickets);
    *tls = (struct kg_proxy_tls){ 0 };
}
