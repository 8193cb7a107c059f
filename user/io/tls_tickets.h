/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys that seal session tickets (RFC 5077, 4), as tls.c reads them. One writer, the control thread; any
 * number of workers read without a lock: a sequence number tells them when they must read again.
 */
#ifndef KG_IO_TLS_TICKETS_H
#define KG_IO_TLS_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#define KG_TICKET_NAME 16

struct kg_tls_tickets;

struct kg_ticket_key {
    uint8_t name[KG_TICKET_NAME];
    uint8_t aes[32], hmac[32];
};

/* The key that seals. Any thread; wipe it after use. */
void kg_tls_tickets_current(const struct kg_tls_tickets *tickets, struct kg_ticket_key *key);
/* The key of this name; *old when it seals no more. False when there is none. */
bool kg_tls_tickets_find(const struct kg_tls_tickets *tickets, const uint8_t name[KG_TICKET_NAME],
                         struct kg_ticket_key *key, bool *old);

#endif
