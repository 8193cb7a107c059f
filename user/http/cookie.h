/* SPDX-License-Identifier: BSD-2-Clause */
/* Cookies of a request (RFC 6265, 5.4). Pure; any thread. */
#ifndef KG_HTTP_COOKIE_H
#define KG_HTTP_COOKIE_H

#include "http/head.h"

/* The first cookie of this very name: false when there is none. Quotes around a value are part of it. */
bool kg_cookie_find(const struct kg_head *head, struct kg_slice name, struct kg_slice *value);

#endif
