/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One HTTP/1.1 message read by two parsers that know nothing of each other: keygate's, and llhttp (the parser
 * of Node.js, packaged by Debian as node-llhttp). Where they disagree, one of them would see another message
 * than the other, and that is what smuggling is made of. Used by a unit test and a fuzz target; one thread.
 */
#ifndef KG_TESTS_DIFFER_H
#define KG_TESTS_DIFFER_H

#include "base/slice.h"

#define DIFFER_INPUT_MAX 131072
#define DIFFER_HEADERS   256

enum differ_kind { DIFFER_REQUEST, DIFFER_RESPONSE, DIFFER_RESPONSE_TO_HEAD };

enum differ_verdict {
    DIFFER_MORE,    /* good so far, and not whole */
    DIFFER_TAKEN,   /* a whole message */
    DIFFER_REFUSED, /* no message */
};

struct differ_header {
    struct kg_slice name, value; /* value without surrounding blanks */
};

/* What a parser made of the bytes. Slices live until the next message is read by the same parser. */
struct differ_reading {
    enum differ_verdict verdict;
    const char *why;  /* of a refusal: fixed text */
    unsigned refusal; /* keygate's: the status to answer with */
    bool head_taken;  /* the fields from here to `count` are set */
    struct kg_slice method, target;
    unsigned status, minor;
    size_t count;
    struct differ_header headers[DIFFER_HEADERS];
    struct kg_slice body; /* decoded; what there is of it when the verdict is DIFFER_MORE */
    bool trailer_frames;  /* llhttp's: there is a trailer whose name is a framing header's */
    size_t end;           /* where the next message begins; set when the verdict is DIFFER_TAKEN */
};

/* At most DIFFER_INPUT_MAX bytes. */
void differ_read_keygate(enum differ_kind kind, struct kg_slice bytes, struct differ_reading *reading);
void differ_read_llhttp(enum differ_kind kind, struct kg_slice bytes, struct differ_reading *reading);

/* A deliberate difference: what it is, when it is one, and how often it was seen. Lists end with an empty
 * one. */
struct difference {
    const char *what;
    bool (*when)(enum differ_kind kind, const struct differ_reading *keygate,
                 const struct differ_reading *llhttp); /* NULL: always */
    uint64_t seen;
};

/* keygate refuses, with these words, what llhttp may take. */
extern struct difference differ_stricter_here[];
/* llhttp refuses, or sees otherwise, what keygate takes. */
extern struct difference differ_stricter_there[];

/*
 * What is wrong, as fixed text, or NULL: both see the same message, or one of them is known to be the
 * stricter one about it.
 */
const char *differ_judge(enum differ_kind kind, const struct differ_reading *keygate,
                         const struct differ_reading *llhttp);

#endif
