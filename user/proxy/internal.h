/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this room share: the worker, a client's connection with its running request, an upstream
 * connection. All of it belongs to one worker thread.
 *
 * The life of a request, one direction; before a client's first one proxy_header.c and tls.c may have a word:
 *   client.c    bytes → head → request.c
 *   request.c   decide.c, then answer, or upstream.c; or first, when a policy wants to see the body:
 *   collect.c   body bytes until they are all there or too many → request.c
 *   decide.c    trust.c, framing, route, policies, attempt.c, forward.c
 *   attempt.c   which endpoint (balance.c), and another one when that fails
 *   forward.c   the request head, and later the response head, made anew
 *   upstream.c  pool.c or connect → request head and body out → response head and body in
 *   relay.c     body bytes both ways, with back-pressure; trailers.c at their end
 *   client.c    answer sent → next request, or close
 * or, after a 101 that was asked for:
 *   tunnel.c    bytes both ways until both sides have ended
 * pace.c watches over the time that each side takes.
 */
#ifndef KG_PROXY_INTERNAL_H
#define KG_PROXY_INTERNAL_H

#include "base/prng.h"
#include "base/wheel.h"
#include "http/chunked.h"
#include "http/framing.h"
#include "http/uri.h"
#include "io/sock.h"
#include "model/regex.h"
#include "policy/policy.h"
#include "proxy/balance.h"
#include "proxy/banset.h"
#include "proxy/pace.h"
#include "proxy/worker.h"

#include <pthread.h>

#define KG_REQUEST_ID      32    /* hex digits */
#define KG_BACKLOG_MAX     65536 /* bytes of a client kept unread before it is paused */
#define KG_LINGER_MS       2000  /* how long a last answer waits for the client to stop sending */
#define KG_ACCEPT_RETRY_MS 100   /* after running out of descriptors */
#define KG_INTERIM_MAX     32 /* 1xx answers to one request; an upstream with more of them is given up: 502 */
#define KG_BAN_COMMANDS    16384
#define KG_NOTES_MAX       2032 /* bytes that policies may add to an answer */
#define KG_NOTES_UP        8192 /* …and to the request for the upstream */

struct kg_upstream;

/* Of one direction. A block is held only from the section's first byte to its last, or when there are `named`
 * ones. */
struct kg_trailers {
    bool pass;              /* else they are dropped as they come */
    uint32_t named;         /* bytes at the front of the block: names that Connection made hop-by-hop */
    struct kg_block *block; /* behind those, the section so far */
};

/* Header lines that policies add to an answer, kept until it comes. */
struct kg_notes {
    struct kg_notes *next; /* among the worker's spare ones */
    uint32_t len;
    char text[KG_NOTES_MAX];
};

/* How far the two ends of a tunnel have come; the client's own end is client->eof. */
struct kg_tunnel {
    bool upstream_ended;             /* the upstream has sent its last byte */
    bool upstream_told, client_told; /* the other side's end has been passed on to it */
};

/* From the head's last byte to the answer's. Zeroed between requests. */
struct kg_request {
    struct kg_snapshot *snapshot; /* held while set */
    const struct kg_route *route;
    const struct kg_service *service;
    const struct kg_consumer *consumer;
    char id[KG_REQUEST_ID];
    struct kg_addr address; /* of the client, by a trusted proxy's word; family 0: see kg_request_address */
    bool https;             /* …which came to that proxy by https */
    /* The client's side. */
    enum kg_body body;
    uint64_t body_left;
    uint64_t body_bytes; /* of a chunked body, decoded, so far */
    struct kg_chunked chunked;
    bool body_done;  /* all of the request has been received and queued */
    bool keep_alive; /* the connection may carry another request */
    bool asks_more;  /* …which the client believes, and may have sent */
    bool http10, to_head, idempotent;
    bool upgrade; /* to WebSocket: asked for by the client, and so of the upstream */
    struct kg_trailers trailers_up, trailers_down; /* towards the upstream and the client */
    bool te_trailers;                              /* the client takes trailers */
    bool expects;      /* the client waits for "100 Continue" before it sends the body */
    bool body_touched; /* some of the body is on its way: the request cannot be sent again */
    /* The upstream's side. */
    struct kg_upstream *upstream;
    struct kg_choice choice;
    struct kg_block *head; /* the request head for the upstream, while it may be needed (again) */
    /* Where in it the endpoint's own name stands, for another endpoint; length 0: the Host is not its. */
    uint32_t host_at, host_len;
    uint32_t retries; /* further tries so far */
    bool renewed;     /* a stale kept connection was replaced in this try */
    /* The answer. */
    bool answering;    /* its head is queued: no other answer is possible */
    bool answered;     /* its last byte is queued */
    bool chunk_out;    /* the body goes out chunked */
    bool close_out;    /* the body's end is the connection's: a client of HTTP/1.0 */
    unsigned interims; /* 1xx answers so far */
    struct kg_tunnel tunnel;
    unsigned status;
    bool denied, limited;
    uint64_t started_ms, upstream_ms;
    uint64_t bytes_in, bytes_out;
    struct kg_pace pace;
    /* A body that is looked into. */
    struct kg_block *waiting_head; /* the request's own, while its body is collected */
    struct kg_chain ahead;         /* of the body: what goes upstream before whatever is still to come */
    struct kg_block *last_chunk;   /* …and behind all of it, when there are trailers; else NULL */
    uint64_t max_body;             /* what a policy allows; 0: see the settings */
    struct kg_notes *notes;        /* what policies add to the answer; NULL: nothing */
};

enum kg_client_state {
    KG_CLIENT_PROXY_HEADER, /* awaits the header of the PROXY protocol */
    KG_CLIENT_IDLE,         /* between requests: nothing received of the next */
    KG_CLIENT_HEAD,         /* part of a head received */
    KG_CLIENT_COLLECT,      /* a request waits for its body, which a policy wants to see */
    KG_CLIENT_CONNECT,      /* a request waits for its upstream connection */
    KG_CLIENT_RELAY,        /* request and answer are on their way */
    KG_CLIENT_TUNNEL,       /* switched by a 101: bytes both ways */
    KG_CLIENT_LINGER,       /* answered for the last time: waits for the client to stop sending */
    KG_CLIENT_CLOSED,
    KG_CLIENT_STATES,
};

struct kg_client {
    struct kg_sock sock; /* first: a sock of this kind is its client */
    struct kg_worker *worker;
    struct kg_client *next, **link; /* worker->clients */
    enum kg_client_state state;
    bool eof;                    /* the client has sent its last byte */
    bool tls;                    /* secured, or about to be */
    uint16_t port;               /* of ours */
    uint64_t number;             /* no other client has it */
    uint32_t begun;              /* requests so far */
    bool trusted;                /* what `near` says of others is believed */
    struct kg_addr peer, source; /* of the socket */
    struct kg_addr near;         /* the peer, or whom a trusted one names in its PROXY header */
    struct kg_addr counted_as;   /* a source at the admission; family 0: none */
    struct kg_timer timer;
    struct kg_chain backlog; /* received, not consumed */
    struct kg_request request;
};

enum kg_upstream_state {
    KG_UPSTREAM_CONNECTING,
    KG_UPSTREAM_HEAD, /* request sent or being sent; the response head is awaited */
    KG_UPSTREAM_BODY,
    KG_UPSTREAM_TUNNEL, /* its answer was the 101 that was asked for */
    KG_UPSTREAM_IDLE,   /* in the pool */
    KG_UPSTREAM_CLOSED,
};

struct kg_upstream {
    struct kg_sock sock; /* first */
    struct kg_worker *worker;
    enum kg_upstream_state state;
    bool reused;
    bool keep_alive;
    bool spoken;              /* some of the request has gone out: what comes may be its answer */
    bool deaf;                /* takes no more of the request: its answer may be there to read all the same */
    bool broken;              /* …and it is not an orderly end that made it so */
    struct kg_client *client; /* whose request it carries; NULL in the pool and when closed */
    struct kg_timer idle_timer;
    struct kg_chain partial; /* of a response head */
    enum kg_body body;
    uint64_t body_left;
    struct kg_chunked chunked;
    struct kg_pool_key *key;
    struct kg_upstream *next, **link; /* in key's idle list */
};

/* Idle connections to one address; secured ones only to one name, on the same terms. */
struct kg_pool_key {
    struct kg_pool_key *next;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    uint64_t tls_number;               /* kg_service_tls.number; 0 = plain */
    SSL_SESSION *session;              /* the last one that may be resumed; NULL: none yet */
    struct kg_pool_key *older, *newer; /* among those that are kept for their session alone */
    struct kg_upstream *idle;          /* most recently used first */
    uint32_t idle_count, users;        /* users: connections that point here, idle ones included */
    char name[];                       /* of the endpoint, when secured; else empty */
};

#define KG_POOL_BUCKETS  256
#define KG_POOL_SESSIONS 256 /* kept without a connection */

struct kg_ban_command {
    struct kg_addr source;
    uint64_t until_ms;
};

struct kg_worker {
    const struct kg_proxy_config *config;
    unsigned index;
    int listeners[KG_LISTENERS_MAX];
    pthread_t thread;
    int wake_fd; /* eventfd: ends the ring's wait; lives as long as the worker */
    struct kg_ring ring;
    struct kg_wheel wheel;
    struct kg_timer accept_timer;
    uint64_t now_ms;
    int64_t now_wall;
    char date[30];                /* of now_wall */
    struct kg_snapshot *snapshot; /* adopted */
    struct kg_client *clients;
    uint32_t client_count;
    struct kg_pool_key *pool[KG_POOL_BUCKETS];
    struct kg_pool_key *oldest, *newest; /* without a connection, but with a session */
    uint32_t session_count;
    uint32_t upstream_count;
    struct kg_rotations rotations;
    struct kg_banset bans;
    struct kg_key_hasher *hasher;
    struct kg_jwt_verifier *verifier;
    struct kg_regex_scratch *regex;
    SSL_CTX *tls_server; /* NULL without a TLS listener */
    SSL_CTX *tls_client;
    struct kg_prng prng;
    struct kg_head head;           /* scratch: the head being looked at */
    char *path, *scratch;          /* scratch for the normalised path and for policies */
    char *to_upstream, *to_client; /* scratch for the headers that policies add */
    char *body;                    /* scratch for a body that they look into */
    struct kg_notes *spare_notes;
    bool rehearsal;                /* it only tells what would be */
    struct kg_policy_turns *turns; /* …and who would have had a turn */
    uint32_t accept_stopped;       /* bit = a listener that waits for accept_timer */
    bool accepting, draining, stopping;
    struct kg_usage_table usage;
    struct kg_key_uses key_uses;
    struct kg_worker_stats stats;
    struct kg_signal_queue signals;
    bool untold;      /* signals wait that the control thread has not been woken for */
    uint64_t told_ms; /* when it was last */
    /* One line for the log, which only the control thread writes: the worker's while notice_waits is false.
     */
    char notice[512];
    _Atomic bool notice_waits;
    uint64_t noticed_ms;
    /* Shared with the control thread. */
    struct kg_snapshot *_Atomic published;
    struct kg_snapshot *_Atomic adopted;
    _Atomic bool accept, drain, stop, finished;
    _Atomic uint32_t command_head, command_tail;
    struct kg_ban_command *commands;
    _Atomic int started; /* 0 not yet, 1 yes, negative: errno */
    struct kg_error start_error;
};

#define KG_PATH_SCRATCH  65536
#define KG_QUERY_SCRATCH (2 * 65536)

static inline void kg_count(_Atomic uint64_t *counter)
{
    kg_usage_add(counter, 1);
}

/* Whom the running request comes from: the client's own address, as far as we believe to know it. */
static inline const struct kg_addr *kg_request_address(const struct kg_client *client)
{
    return client->request.address.family ? &client->request.address : &client->near;
}

/* trust.c */
/* Whom the connection is from, and whether that is a trusted proxy. */
void kg_trust_peer(struct kg_client *client, const struct kg_addr *peer);
/* worker->head holds the request's head: takes from it what a trusted proxy may say. */
void kg_trust_begin(struct kg_client *client);
/* The first value of a header if its sender is trusted, else empty. */
struct kg_slice kg_trust_value(const struct kg_client *client, struct kg_slice name);
/* Whether whoever is behind the peer is banned. */
bool kg_trust_is_banned(struct kg_client *client);

/* proxy_header.c */
void kg_proxy_header_bytes(struct kg_client *client, const struct kg_input *input);
/* tls.c */
/* The worker's contexts: 0, or -errno with a sentence. */
int kg_worker_tls_open(struct kg_worker *worker, struct kg_error *err);
void kg_worker_tls_close(struct kg_worker *worker);
/* The handshake comes next; what is in the backlog is its beginning. False when there is no memory for it. */
bool kg_client_secure(struct kg_client *client);
/* The same towards an upstream, as its service wants it, once it is connected. */
bool kg_upstream_secure(struct kg_upstream *upstream, const struct kg_service_tls *tls);
/* Keeps the session for the next connection. */
void kg_upstream_remember(struct kg_upstream *upstream);
/* The handshake failed: has the log say why, once a second at most. */
void kg_upstream_insecure(struct kg_upstream *upstream);

/* worker.c */
/* What a worker decides with, without a thread or a ring. */
void kg_worker_ready(struct kg_worker *worker);
void kg_worker_forget(struct kg_worker *worker);
uint32_t kg_worker_block_size(const struct kg_proxy_config *config);

/* client.c */
/* Counts the connection as one of this source: false when that has too many. Once for each connection. */
bool kg_client_count_source(struct kg_client *client, const struct kg_addr *source);
/* Its next state. */
void kg_client_enter(struct kg_client *client, enum kg_client_state state);
/* Its first request may come; some bytes of it may be in the backlog. */
void kg_client_begin(struct kg_client *client);
void kg_client_accept(struct kg_worker *worker, int fd, uint32_t listener);
/* The answer's last byte is queued: ends the request once it has gone out. */
void kg_client_answered(struct kg_client *client);
/* The answer cannot be completed: the connection ends now, so that the client sees it is cut. */
void kg_client_abort(struct kg_client *client);
/* (Re)arms the timer of the state the client is in. */
void kg_client_touch(struct kg_client *client);
/* Sets the client's timer; what its end means depends on the state. */
void kg_client_arm(struct kg_client *client, uint64_t delay_ms);
void kg_client_reset(struct kg_client *client);
void kg_client_drain(struct kg_client *client);

/* decide.c */
/*
 * What is to become of a request, and what that was decided by. Slices live as long as worker->head and the
 * worker's scratch.
 */
struct kg_decision {
    unsigned status;                 /* to answer with; 0: on to the chosen endpoint with request->head */
    bool malformed;                  /* …what cannot be trusted to end where it seems to */
    bool banned;                     /* …because of its source */
    bool awaits_body;                /* nothing is decided yet: a policy wants to see the body */
    bool by_policy;                  /* …by policy.answered */
    enum kg_reason reason;           /* …why */
    struct kg_slice message;         /* empty: an answer without a body, unless there is one below */
    struct kg_slice body, body_type; /* the body as it is, and its Content-Type */
    struct kg_slice detail;          /* the Location of a redirection, else WWW-Authenticate; may be empty */
    struct kg_framing framing;
    struct kg_target target;
    struct kg_route_query query; /* what the router was asked; method empty: nothing yet */
    struct kg_policy_request policy;
    struct kg_writer scratch; /* the policy's */
    struct kg_slice path;     /* normalised */
    size_t prefix_len;        /* of it, what the route's path matched */
};
/* A request whose head is in worker->head begins, under the worker's snapshot: what its sender is believed.
 */
void kg_request_open(struct kg_client *client);
void kg_request_make_id(struct kg_client *client);
/*
 * Decides, with no effect on anything but client->request and the worker's scratch and turns: nothing is
 * sent, counted or told to the guard. sni: the server name that the client asked for, lower case; may be
 * empty. payload: NULL at first; then, when the decision awaits the body, what of it is there to be seen.
 */
void kg_decide(struct kg_client *client, struct kg_slice sni, const struct kg_payload *payload,
               struct kg_decision *decision);

/* request.c */
/* A whole head, these bytes, is in worker->head: decides what becomes of it. */
void kg_request_begin(struct kg_client *client, struct kg_slice head);
/* The head is there once more, and so is the body, or it will not be: decides. */
void kg_request_resume(struct kg_client *client, const struct kg_payload *payload);
/* Answers on our own behalf; the request ends with it. www_authenticate may be empty. */
void kg_request_answer(struct kg_client *client, unsigned status, struct kg_slice message,
                       struct kg_slice www_authenticate);
/* The message that goes with a status when there is no better one. */
struct kg_slice kg_request_message(unsigned status);
/* The head was malformed: nothing of it is known but the status. */
void kg_request_refuse(struct kg_client *client, unsigned status);
/* Whether a body of `bytes` is over client_max_body_size, or over what a policy allows. */
static inline bool kg_request_is_too_large(const struct kg_client *client, uint64_t bytes)
{
    uint64_t most = client->worker->config->max_body, allowed = client->request.max_body;

    return (most > 0 && bytes > most) || (allowed > 0 && bytes > allowed);
}
/* What is said to who sent one of so many: whose limit it was. */
struct kg_slice kg_request_size_message(const struct kg_client *client, uint64_t bytes);
/* Bytes of its consumer, or of nobody, now: those of the request itself are counted at its end. */
void kg_request_count_bytes(struct kg_client *client, uint64_t in, uint64_t out);
/* Counts and clears it. */
void kg_request_end(struct kg_client *client);
void kg_request_signal(struct kg_client *client, enum kg_signal_kind kind);

/* notes.c */
/* Keeps the lines with the request until kg_notes_drop; nothing when there are none. */
void kg_notes_keep(struct kg_client *client, struct kg_slice lines);
void kg_notes_drop(struct kg_client *client);
/* What was kept; of NULL nothing. */
static inline struct kg_slice kg_notes_text(const struct kg_notes *notes)
{
    return notes ? kg_slice_of(notes->text, notes->len) : KG_SLICE("");
}
/* Whether one of some header lines has this name. */
bool kg_lines_have(struct kg_slice lines, struct kg_slice name);
void kg_notes_free_spare(struct kg_worker *worker);

/* forward.c */
/* The request head for the upstream, from worker->head. False when it does not fit. */
bool kg_forward_request_head(struct kg_client *client, const struct kg_framing *framing,
                             const struct kg_target *target, const struct kg_policy_request *policy,
                             struct kg_slice path, size_t prefix_len, struct kg_writer *out);
/* The response head for the client, from worker->head. */
bool kg_forward_response_head(struct kg_client *client, const struct kg_response_framing *framing,
                              struct kg_writer *out);
/* An interim response (1xx), from worker->head. */
bool kg_forward_interim_head(struct kg_client *client, struct kg_writer *out);

/* path.c: Kong's path_handling v0. */
void kg_upstream_path(struct kg_slice service_path, struct kg_slice path, size_t prefix_len, bool strip,
                      struct kg_writer *out);

/* collect.c */
/* Whether the body may be small enough to be looked into. */
bool kg_collect_may(const struct kg_client *client, const struct kg_framing *framing);
/* The decision about this head, which is also in worker->head, waits for the body. */
void kg_collect_begin(struct kg_client *client, struct kg_slice head);
void kg_collect_bytes(struct kg_client *client, const struct kg_input *input);
/* What of the body waits in the backlog is collected; when that is enough the request goes on. */
void kg_collect_pump(struct kg_client *client);
/* Makes what was collected, as policies have left it, ready to go upstream. */
void kg_collect_settle(struct kg_client *client, const struct kg_payload *payload);
void kg_collect_drop(struct kg_client *client);

/* attempt.c */
/* Chooses the first endpoint, while worker->head still holds the request. False when there is none. */
bool kg_attempt_choose(struct kg_client *client, const struct kg_policy_request *policy,
                       struct kg_slice path);
/* Whether the request may be sent once more if this try of it fails. */
bool kg_attempt_is_left(const struct kg_client *client);
/* The try failed, with nothing of an answer gone out: another one, or this status (502 or 504) as the
 * answer; a cut end when an answer has begun. */
void kg_attempt_failed(struct kg_client *client, unsigned status);
/* The answer broke off. */
void kg_attempt_cut(struct kg_client *client);
/* The upstream has answered in full. */
void kg_attempt_done(struct kg_client *client);

/* upstream.c */
/* Gets the request a connection to the chosen endpoint, pooled or new; what comes of it is told to the
 * client. */
void kg_upstream_start(struct kg_client *client);
/* The response has ended, or the request is given up: back to the pool if it may, else closed. */
void kg_upstream_release(struct kg_upstream *upstream, bool reusable);
void kg_upstream_close_idle(struct kg_worker *worker);

/* relay.c */
/* Offers received bytes to the running request's body: how many it took. input is NULL for bytes of the
 * backlog. */
size_t kg_relay_request_body(struct kg_client *client, char *ptr, size_t len, const struct kg_input *input);
/* Some bytes of a chunked body. */
struct kg_decoded {
    size_t data, used;     /* the first `data` bytes are the body's now; `used` ones were taken */
    struct kg_block *last; /* what to write in place of the last chunk, which has come; NULL: nothing else */
};
/* Decodes them in place; false when the request was refused for them. as_chunks: what `last` goes behind is a
 * chunk whose CRLF is still owed. */
bool kg_relay_decode(struct kg_client *client, char *ptr, size_t len, bool as_chunks,
                     struct kg_decoded *decoded);
/* Moves what waits in the backlog on, and asks for more when there is room. */
void kg_relay_pump(struct kg_client *client);
/* Response body bytes: false when the response is broken. *used says how many belonged to it. */
bool kg_relay_response_body(struct kg_upstream *upstream, char *ptr, size_t len, const struct kg_input *input,
                            size_t *used);
bool kg_relay_response_done(const struct kg_upstream *upstream);

/* trailers.c */
/* A chunked body whose trailers go on is about to come; its head is in worker->head. */
void kg_trailers_expect(struct kg_worker *worker, struct kg_trailers *trailers);
/*
 * The part of the trailer section that came in one piece, maybe none. False when it is malformed. When the
 * body is done and something of the section goes on, *last is the block to write in place of the last chunk;
 * else NULL. behind_data: it goes behind data whose CRLF is still owed.
 */
bool kg_trailers_take(struct kg_worker *worker, struct kg_trailers *trailers,
                      const struct kg_chunked *chunked, struct kg_slice section, bool behind_data,
                      struct kg_block **last);
void kg_trailers_drop(struct kg_worker *worker, struct kg_trailers *trailers);

/* tunnel.c */
/* Whether the request asks for what may become a tunnel; told to the upstream only then. */
bool kg_tunnel_wanted(const struct kg_framing *framing, enum kg_method method);
/* A 101 is in worker->head: both connections become the tunnel when it is what was asked for. False when not.
 */
bool kg_tunnel_begin(struct kg_upstream *upstream, const struct kg_response_framing *framing);
/* How long it may go on without a byte moving, in ms. */
uint32_t kg_tunnel_patience(const struct kg_client *client);
/* Bytes of the client; what it has sent so far goes on, and its end. */
void kg_tunnel_client_bytes(struct kg_client *client, const struct kg_input *input);
void kg_tunnel_pump(struct kg_client *client);
/* Bytes of the upstream, maybe none; its end. input is NULL for bytes that lie elsewhere than in its buffer.
 */
void kg_tunnel_upstream_bytes(struct kg_upstream *upstream, const char *ptr, size_t len,
                              const struct kg_input *input);
void kg_tunnel_upstream_eof(struct kg_upstream *upstream);
/* Some bytes have gone out to the client. */
void kg_tunnel_client_sent(struct kg_client *client);
/* Nothing has moved for as long as kg_tunnel_patience allows. */
void kg_tunnel_timeout(struct kg_client *client);
/* Both connections are about to be closed; a reset of the client's is one of the upstream's too. */
void kg_tunnel_end(struct kg_client *client, bool reset);

/* pool.c */
/* Of connections to this endpoint; tls is NULL for plain ones. One more user of it, until put. */
struct kg_pool_key *kg_pool_key_get(struct kg_worker *worker, const struct kg_endpoint *endpoint,
                                    const struct kg_service_tls *tls);
/* With a session it is kept when nobody uses it any more, while it is among the last so many of these. */
void kg_pool_key_put(struct kg_worker *worker, struct kg_pool_key *key);
void kg_pool_forget_sessions(struct kg_worker *worker);

#endif
