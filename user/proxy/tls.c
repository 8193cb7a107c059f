/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker's side of handshakes: which certificate a client is shown, and what is asked of an upstream. */
#include "proxy/internal.h"

#include <errno.h>
#include <stdio.h>

/* Within the call the adopted snapshot stays. */
static const struct kg_tls_identity *find_identity(void *ctx, struct kg_slice name)
{
    const struct kg_worker *worker = ctx;
    const struct kg_tls_identity *found = kg_snapshot_certificate(worker->snapshot, name);

    return found ? found : worker->config->tls.identity;
}

int kg_worker_tls_open(struct kg_worker *worker, struct kg_error *err)
{
    const struct kg_proxy_tls *tls = &worker->config->tls;
    struct kg_tls_server_config server = {
        .min_version = tls->min_version,
        .tickets = tls->tickets,
        .verify_client = tls->verify_client,
        .client_ca = tls->client_ca,
        .find = find_identity,
        .ctx = worker,
    };

    worker->tls_client = kg_tls_client_new(TLS1_2_VERSION, err);
    if (!worker->tls_client)
        return -ENOMEM;
    if (!tls->identity)
        return 0;
    worker->tls_server = kg_tls_server_new(&server, err);
    return worker->tls_server ? 0 : -ENOMEM;
}

void kg_worker_tls_close(struct kg_worker *worker)
{
    SSL_CTX_free(worker->tls_server);
    SSL_CTX_free(worker->tls_client);
}

bool kg_client_secure(struct kg_client *client)
{
    if (kg_sock_tls_server(&client->sock, client->worker->tls_server))
        return false;
    for (const struct kg_block *block = client->backlog.first; block; block = block->next)
        kg_sock_tls_feed(&client->sock, kg_slice_of(block->data + block->start, kg_block_used(block)));
    kg_chain_clear(&client->backlog, &client->worker->ring.blocks);
    return true;
}

bool kg_upstream_secure(struct kg_upstream *upstream, const struct kg_service_tls *tls)
{
    const struct kg_worker *worker = upstream->worker;
    struct kg_tls_client_options options = {
        .name = upstream->key->name,
        .verify = tls->verify,
        .verify_depth = tls->verify_depth,
        .store = tls->store ? tls->store : worker->config->tls.upstream_ca,
        .identity = tls->identity,
        .session = upstream->key->session,
    };

    return kg_sock_tls_client(&upstream->sock, worker->tls_client, &options) == 0;
}

void kg_upstream_remember(struct kg_upstream *upstream)
{
    SSL *ssl = kg_sock_ssl(&upstream->sock);
    SSL_SESSION *session = ssl ? SSL_get1_session(ssl) : NULL;

    if (session && SSL_SESSION_is_resumable(session)) {
        SSL_SESSION_free(upstream->key->session);
        upstream->key->session = session;
        return;
    }
    SSL_SESSION_free(session);
}

void kg_upstream_insecure(struct kg_upstream *upstream)
{
    struct kg_worker *worker = upstream->worker;
    const struct kg_service *service = upstream->client->request.service;
    struct kg_slice name = service->name.len > 0 ? service->name : kg_slice_str(service->id);

    /* It may have been the session that was no good. */
    SSL_SESSION_free(upstream->key->session);
    upstream->key->session = NULL;
    bool too_soon = worker->noticed_ms && worker->now_ms < worker->noticed_ms + 1000;
    if (too_soon || atomic_load_explicit(&worker->notice_waits, memory_order_acquire))
        return;
    worker->noticed_ms = worker->now_ms;
    snprintf(worker->notice, sizeof(worker->notice), "service %.*s: no TLS with its upstream %s: %s",
             (int)name.len, name.ptr, upstream->key->name, kg_sock_tls_reason(&upstream->sock));
    atomic_store_explicit(&worker->notice_waits, true, memory_order_release);
}
