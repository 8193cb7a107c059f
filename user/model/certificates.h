/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates, their SNIs and CA certificates inside the model, and how services' connections are secured
 * with them. PEM is parsed once, when a record is made; a snapshot shares the records, so that what OpenSSL
 * made of them goes with the last snapshot that names it. Control thread only, but for kg_certificates_find.
 */
#ifndef KG_MODEL_CERTIFICATES_H
#define KG_MODEL_CERTIFICATES_H

#include "model/records.h"

/* Zeroed memory is none of this: kg_certificates_init comes first. */
struct kg_certificates {
    struct kg_pmap certificates, snis, authorities; /* by id */
    struct kg_pmap names;                           /* SNIs by name */
    /* struct kg_service_tls of the newest routing, each of them once, and while one is built of that before.
     */
    struct kg_pmap secured, before;
    uint64_t next_number;
    bool verify; /* where a service's tls_verify is null */
};

void kg_certificates_init(struct kg_certificates *certificates);
void kg_certificates_free(struct kg_certificates *certificates);

/*
 * Adds or replaces one certificate, SNI or CA certificate from its full JSON. Of a certificate that lists its
 * snis those that it no longer lists are removed; those that are new come by themselves. True when a routing
 * that secures a connection may have to be built anew.
 */
bool kg_certificates_put(struct kg_certificates *certificates, enum kg_entity_id entity,
                         const json_t *object);
/* Removes one, a certificate with its SNIs. True as above. Unknown ids are ignored. */
bool kg_certificates_remove(struct kg_certificates *certificates, enum kg_entity_id entity, const char *id);

/* While a routing is built, between begin and end: how this service of protocol https is secured. It has the
 * number that it had in the routing before when nothing about it has changed. */
void kg_certificates_begin(struct kg_certificates *certificates);
const struct kg_service_tls *kg_certificates_secure(struct kg_certificates *certificates,
                                                    const struct kg_service_record *service);
/* A handle on all that were given out: they stay as long as it. */
struct kg_pmap kg_certificates_end(struct kg_certificates *certificates);

/* By server name, as kg_snapshot_certificate says; of versions of `certificates` and `names`. Any thread. */
const struct kg_tls_identity *kg_certificates_find(const struct kg_pmap *certificates,
                                                   const struct kg_pmap *names, struct kg_slice name);

/* For records.c: records as kg_record_new makes them, and what goes with one. */
struct kg_record *kg_certificate_record_new(enum kg_entity_id entity, const json_t *object);
void kg_certificate_record_clear(struct kg_record *record);

#endif
