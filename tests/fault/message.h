/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the world sends and expects. A plan is a request and its answer, both told by the request's number
 * alone, so that either side knows what the other one has to see, byte for byte. A message is one of them
 * being read, by a reader of the test's own that is strict and shares no code with the gateway's.
 */
#ifndef TESTS_FAULT_MESSAGE_H
#define TESTS_FAULT_MESSAGE_H

#include "sim.h"

/* Bytes being put together. Zeroed memory is empty. */
struct text {
    char *ptr;
    size_t len, room;
};

void text_add(struct text *text, const void *ptr, size_t len);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text);

enum framing { FRAMED_NONE, FRAMED_LENGTH, FRAMED_CHUNKED, FRAMED_CLOSE };

/* What a service does instead of answering as it should. */
enum mishap {
    MISHAP_NONE,
    MISHAP_CLOSE,    /* closes once the head is there */
    MISHAP_RESET,    /* resets then */
    MISHAP_CUT,      /* closes in the midst of its answer */
    MISHAP_CUT_HARD, /* resets there */
    MISHAP_SILENCE,  /* never answers */
    MISHAP_GARBAGE,  /* answers what is no HTTP */
    MISHAP_SWITCH,   /* 101, which nobody asked for */
    MISHAP_INTERIMS, /* nothing but 103 */
    MISHAP_MORE,     /* bytes behind its answer */
    MISHAP_SLOW,     /* seconds between pieces */
    MISHAPS,
};

enum flaw {
    FLAW_NONE,
    FLAW_KEY,     /* a wrong one: 401 */
    FLAW_PATH,    /* leads nowhere: 404 */
    FLAW_GARBAGE, /* no HTTP: 400 or its kin */
    FLAW_CHUNK,   /* a chunk that is none: 400, or a cut */
};

/* Which way a request goes: to one service, or to one of several behind an upstream. */
enum where { TO_ONE, TO_TURNS, TO_LIGHTEST, TO_HASHED, TO_WATCHED, WHERES };

/* What an X-Forwarded-For in a request says. */
enum forwarded { FORWARDED_NOT, FORWARDED_ONE, FORWARDED_TWO };

struct plan {
    uint32_t tag;
    enum where where;
    const char *method;
    bool is_head, idempotent, http10, keep_alive;
    enum flaw flaw;
    enum framing body;
    uint32_t body_len;
    bool too_large;     /* 413, or a cut */
    bool expects;       /* 100 Continue, and waits for it */
    bool searched;      /* of a type that the gateway looks for a key in */
    bool trailer;       /* behind a chunked body; that of the answer is told by answer_trailer */
    bool te;            /* takes trailers */
    bool other_upgrade; /* to what does not go through */
    enum forwarded forwarded;
    /* An upgrade to WebSocket, and the lengths of both ways behind the 101; `eager`: the client does not wait
     * for that. */
    bool tunnel, accepted, eager, service_ends_first;
    uint32_t up_len, down_len;
    /* The answer. */
    enum mishap first_try; /* of the first one; the others go well, but for `mishap` */
    bool no_continue;      /* 100 does not come */
    bool answer_trailer;
    unsigned status, interims;
    enum framing answer;
    uint32_t answer_len;     /* bytes of body that come */
    bool early;              /* answered as soon as the head is there */
    bool says_close, closes; /* the service ends its connection with it; says so, or just does it */
    enum mishap mishap;
    uint32_t cut_at; /* byte of the answer, modulo its length */
};

/* What holds for all plans of a schedule. */
struct plan_rules {
    bool old_ways;  /* all clients speak HTTP/1.0, and the service ends every answer by closing */
    bool cuts_told; /* a body that only the connection's end delimits may be cut, because that is told */
    bool failover;  /* requests to an upstream meet first tries that fail */
    uint32_t max_body;
};

extern struct plan_rules plan_rules;

/* The path of a way's route. */
extern const char *const plan_paths[WHERES];

/*
 * Bytes that a service sends when nobody has asked are told from an answer by their time alone: they are
 * there before the request goes out. A simulated kernel that keeps a request back, but not what comes in
 * meanwhile, leaves no way to tell.
 */
bool stray_is_told(const struct sim_faults *faults);
/* The plan of a request's number in this schedule. */
struct plan plan_of(uint32_t tag, bool rough);
/* How many bytes of it are its head. */
size_t plan_request(const struct plan *plan, struct text *out);
void plan_answer(const struct plan *plan, struct text *out);
/* Bytes of a body, or of one way through a tunnel, from its start. */
void plan_add_bytes(struct text *out, uint32_t tag, bool answer, size_t len);
/* The byte at an offset of a body of this request; answers differ from questions. */
char plan_byte(uint32_t tag, bool answer, uint64_t at);

#define MESSAGE_HEAD 16384

enum message_state {
    MESSAGE_HEAD_LINES,
    MESSAGE_LENGTH,
    MESSAGE_CHUNK_SIZE,
    MESSAGE_CHUNK_DATA,
    MESSAGE_CHUNK_END,
    MESSAGE_TRAILER,
    MESSAGE_CLOSE,
    MESSAGE_DONE,
};

struct message {
    bool answer, to_head; /* set by the reader's owner before the head is complete */
    enum message_state state;
    char head[MESSAGE_HEAD];
    size_t head_len, line_len;
    char line[64];
    unsigned status;
    bool tagged, says_close, upgrades, trailer;
    uint32_t tag;
    uint64_t left, body;
    const char *fault; /* why it cannot be right */
};

void message_begin(struct message *message, bool answer, bool to_head);
/* Reads on, at most to the end of the head or of the message: how many bytes that took. */
size_t message_read(struct message *message, const char *ptr, size_t len);
/* A header's value in the message's head, or NULL; valid until the next call. */
const char *message_header(const struct message *message, const char *name);

static inline bool message_begun(const struct message *message)
{
    return message->head_len > 0;
}

#endif
