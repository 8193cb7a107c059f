/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policies: each plugin's check on a request, one file a plugin. Worker threads; no I/O, no lock, no
 * allocation. A policy reads the request, may set who the consumer is, may take headers or query arguments
 * away, and either lets the request pass or answers it.
 */
#ifndef KG_POLICY_POLICY_H
#define KG_POLICY_POLICY_H

#include "base/addr.h"
#include "http/framing.h"
#include "http/uri.h"
#include "model/snapshot.h"
#include "model/usage.h"

/* Bytes of the longest message that a policy may answer with; its schema sees to it. */
#define KG_MESSAGE_MAX 1024

struct kg_counters; /* counters.h */

/* Computes HMACs under the index key; one for each worker, made by kg_key_hasher_new. */
struct kg_key_hasher;
struct kg_key_hasher *kg_key_hasher_new(const uint8_t index_key[32]);
void kg_key_hasher_free(struct kg_key_hasher *hasher);
void kg_key_hasher_mac(struct kg_key_hasher *hasher, struct kg_slice key, uint8_t mac[32]);

struct kg_jwt_verifier; /* the same for signatures: jwt_verify.h */

/* Who a request comes from, as the last policy that knew it has said. */
struct kg_principal {
    const struct kg_consumer *consumer; /* NULL: nobody */
    bool anonymous;                     /* …that stands in for those without a credential */
    const struct kg_credential *key;    /* when it was a key; else NULL */
    /* Of the credential; empty: none. The second is what the upstream is told. */
    struct kg_slice credential_id, credential_identifier;
};

/* Why a request is refused, as far as an error style has words of its own for it (proxy/error_style.c). */
enum kg_reason {
    KG_REASON_OTHER, /* all is said by the status and the message */
    KG_REASON_NO_KEY,
    KG_REASON_SEVERAL_KEYS,
    KG_REASON_WRONG_KEY,
    KG_REASON_NO_ROUTE,
    KG_REASON_BANNED,
    KG_REASONS,
};

/* What a request came by. */
struct kg_policy_connection {
    int fd;            /* the client's socket; -1: there is none */
    uint16_t port;     /* of ours */
    uint64_t number;   /* no other one has it while the daemon runs */
    uint32_t requests; /* on it so far, this one included */
};

/* Which instances had their turn, in order: for whoever explains it. A type has at most two turns. */
#define KG_TURNS_MAX 128
struct kg_policy_turns {
    const struct kg_plugin_use *uses[KG_TURNS_MAX];
    size_t count;
};

/*
 * The body that a request came with. It is there only for who asks for it, since until it is there the
 * request waits: a policy sets `wanted` and has access() return false. All policies are then asked anew, once
 * the body is there or is known to be too large.
 */
struct kg_payload {
    bool obtainable; /* in: not there, but may be asked for */
    bool wanted;     /* out: asked for */
    bool changed;    /* out: what is there goes upstream instead of what came */
    char *ptr;       /* in: decoded; NULL: not there */
    size_t len;      /* in and out: a policy may change the bytes and make them fewer */
};

/* The request as policies see and change it. Lives as long as one pass over the plugins; slices that a policy
 * sets must live as long: static, of its config, of the snapshot, or in `scratch`. */
struct kg_policy_request {
    /* In. */
    const struct kg_snapshot *snapshot;
    const struct kg_route *route; /* its service may be NULL */
    struct kg_key_hasher *hasher;
    struct kg_jwt_verifier *verifier;
    struct kg_counters *counters;
    struct kg_head *head; /* a policy hides a header by setting its `hop` */
    const struct kg_framing *framing;
    const struct kg_target *target;
    struct kg_slice path;          /* normalised */
    const struct kg_addr *address; /* the client's, as far as it is believed */
    struct kg_slice id;            /* X-Request-Id */
    struct kg_policy_connection connection;
    int64_t now_wall;              /* seconds since 1970 */
    bool https;                    /* how the client came, as far as it is believed */
    bool rehearsal;                /* only asked what would be: nothing may be counted */
    struct kg_policy_turns *turns; /* to be noted there; NULL: nowhere */
    /* In and out: the query to send upstream; a policy that takes an argument away rewrites it into
     * `scratch`. */
    struct kg_slice query;
    bool has_query;
    struct kg_writer *scratch;
    struct kg_payload payload;
    /* Out. */
    struct kg_principal principal;
    /* Whole header lines ("Name: value\r\n") for the request to the upstream, and for whatever answer the
     * client gets. They replace what was sent under the same names. A writer that overflows makes the request
     * a 500. */
    struct kg_writer to_upstream, to_client;
    uint64_t max_body; /* of the request, in bytes, decoded; 0: no limit but the settings' */
    /* Out, when it answers. */
    const struct kg_plugin_use *answered; /* which instance did */
    unsigned status;
    enum kg_reason reason;
    struct kg_slice message;          /* in the body that the client's Accept asks for */
    struct kg_slice body, body_type;  /* instead of that: the body as it is and its Content-Type */
    struct kg_slice www_authenticate; /* value for WWW-Authenticate, or empty */
    bool limited;                     /* it is one request too many */
    bool has_signal;
    enum kg_signal_kind signal;
};

/* A plugin's type as the model knows it, and its check. */
struct kg_policy {
    struct kg_plugin_type type; /* first: a kg_plugin_type pointer is a kg_policy pointer */
    /* True: go on. False: answer with request->status and message. */
    bool (*access)(const void *config, struct kg_policy_request *request);
    /* Whether what a header or a query argument of this name holds is a secret, which nobody is shown. */
    bool (*is_secret)(const void *config, struct kg_slice name);
};

extern const struct kg_policy kg_policy_acl;
extern const struct kg_policy kg_policy_correlation_id;
extern const struct kg_policy kg_policy_ip_restriction;
extern const struct kg_policy kg_policy_jwt;
extern const struct kg_policy kg_policy_key_auth;
extern const struct kg_policy kg_policy_rate_limiting;
extern const struct kg_policy kg_policy_request_size_limiting;
extern const struct kg_policy kg_policy_request_termination;

/* Tells the model about every policy; once at start. */
void kg_policies_register(void);

/* Bytes of the longest name that may become the default of key-auth's key_names. */
#define KG_KEY_NAME_MAX 64
/* Makes it so, for plugins that are made from now on; false when it is no name for a header. Control thread.
 */
bool kg_key_auth_set_default(struct kg_slice name);

/* Whether some plugin of the route looks for a secret in a header or a query argument of this name. */
bool kg_policies_keep_secret(const struct kg_route *route, struct kg_slice name);

/* Whether a plugin of a route looks at requests that came over https, or not over it. */
static inline bool kg_plugin_use_applies(const struct kg_plugin_use *use, bool https)
{
    return !(https ? use->not_https : use->not_http);
}

/*
 * Runs the plugins of request->route, and those that are there for its consumer once that is known, the
 * highest priority first: true to go on, false to answer.
 */
bool kg_policies_run(struct kg_policy_request *request);

/* ---- for policies ---- */

/* Answers with this status and message: always false, to be returned. */
bool kg_policy_answer(struct kg_policy_request *request, unsigned status, struct kg_slice message);
/* Whether a credential has been found already: where `anonymous` is set, the next one is not asked for. */
static inline bool kg_policy_has_credential(const struct kg_policy_request *request)
{
    return request->principal.credential_id.len > 0;
}
/* That there was no credential (MISSING_KEY), or a wrong one (WRONG_KEY), which the former does not undo: who
 * guesses for one policy guesses, also where the next one is shown nothing. */
void kg_policy_signal(struct kg_policy_request *request, enum kg_signal_kind kind);
/*
 * Instead of a refusal for want of a good credential: goes on as the consumer with this id or username. False
 * with a 500 when there is none. What was refused is forgotten; that a wrong key was shown is not.
 */
bool kg_policy_go_anonymous(struct kg_policy_request *request, struct kg_slice name);
/* 500, for what is no fault of the client. */
bool kg_policy_fail(struct kg_policy_request *request);

#endif
