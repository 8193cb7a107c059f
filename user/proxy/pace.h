/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pace of a running request: whose turn it is, how long that side may do nothing, and whether a client
 * whose turn it is sends its body, or takes its answer, at the least rate. Costs nothing for each byte: the
 * timer is set when the turn changes, and what is due is found out when it fires. One worker thread.
 */
#ifndef KG_PROXY_PACE_H
#define KG_PROXY_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct kg_client;

enum kg_turn {
    KG_TURN_NONE,
    KG_TURN_TAKES,   /* the upstream: bytes of the request wait for it */
    KG_TURN_ANSWERS, /* the upstream: it has all that there will be of the request before it speaks */
    KG_TURN_SENDS,   /* the client: it owes more of the body, and there is room for it */
    KG_TURN_READS,   /* the client: bytes of the answer wait for it */
};

/* Zeroed: nobody's turn. */
struct kg_pace {
    enum kg_turn turn;
    enum kg_turn window_of; /* the client's turn that the window is about */
    bool strict;            /* the free window is over */
    uint64_t moved_ms;      /* when the side whose turn it is last did something, or its turn began */
    uint64_t began_ms;      /* since when its turn counts for the window */
    uint64_t spent_ms;      /* of the window, in turns that are over */
    uint64_t mark;          /* bytes moved when the window began */
    uint64_t acked;         /* of the answer, when last looked at */
};

/* Something has moved: finds out whose turn it is now, and sets the client's timer. */
void kg_pace_touch(struct kg_client *client);
/* The timer has fired: goes on waiting, or ends the request in the way that fits whose fault it is. */
void kg_pace_expired(struct kg_client *client);

#endif
