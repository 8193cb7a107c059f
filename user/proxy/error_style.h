/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What keygate's own answers look like to clients: as Kong's, as APISIX's, or as an APIM's (errors.style).
 * Policies and decisions speak Kong's words; here they become another gateway's. Pure; any thread.
 */
#ifndef KG_PROXY_ERROR_STYLE_H
#define KG_PROXY_ERROR_STYLE_H

#include "http/answer.h"
#include "policy/policy.h"

enum kg_error_style { KG_ERRORS_KONG, KG_ERRORS_APISIX, KG_ERRORS_APIM };

/* The message that the style has for a refusal; `message`, in Kong's words, where it has none of its own. */
struct kg_slice kg_error_style_message(enum kg_error_style style, enum kg_reason reason, unsigned status,
                                       struct kg_slice message);

/* The value for WWW-Authenticate, of key-auth's own ("Key", perhaps with a realm): made in scratch, where
 * that has room for it, else as it was. Any other challenge stays as it is in every style. */
struct kg_slice kg_error_style_challenge(enum kg_error_style style, enum kg_reason reason,
                                         struct kg_slice challenge, struct kg_writer *scratch);

/* What goes into a body. */
struct kg_error_words {
    enum kg_media media; /* what the client wants: Kong's style alone asks */
    unsigned status;
    struct kg_slice message; /* kg_error_style_message's */
    struct kg_slice request_id;
};

void kg_error_style_body(enum kg_error_style style, const struct kg_error_words *words,
                         struct kg_writer *out);

/* Its Content-Type. */
struct kg_slice kg_error_style_type(enum kg_error_style style, enum kg_media media);

#endif
