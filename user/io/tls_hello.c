/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/tls_hello.h"

/* A ClientHello comes next, if anything in plain text does: the first, or the one behind a
 * HelloRetryRequest. */
static bool is_awaited(int state)
{
    return state == TLS_ST_BEFORE || state == TLS_ST_EARLY_DATA;
}

static void take_record_header(struct kg_tls_hello *hello, char byte)
{
    hello->record[hello->record_len++] = (unsigned char)byte;
    if (hello->record_len < sizeof(hello->record))
        return;
    hello->record_len = 0;
    hello->left = (unsigned)hello->record[3] << 8 | hello->record[4];
}

static bool take_fragment(struct kg_tls_hello *hello, int state, const char *ptr, size_t len)
{
    if (state != hello->state)
        hello->message_len = 0;
    hello->state = state;
    if (hello->record[0] != SSL3_RT_HANDSHAKE || !is_awaited(state))
        return true;
    /* The header may lie in several records. */
    for (size_t i = 0; i < len && hello->message_len < sizeof(hello->message); i++)
        hello->message[hello->message_len++] = (unsigned char)ptr[i];
    const unsigned char *header = hello->message;
    unsigned length = (unsigned)header[1] << 16 | (unsigned)header[2] << 8 | header[3];
    return hello->message_len < sizeof(hello->message) || length <= KG_TLS_HELLO_MAX;
}

bool kg_tls_hello_pass(struct kg_tls_hello *hello, const SSL *ssl, const char *ptr, size_t len)
{
    int state = (int)SSL_get_state(ssl);

    while (len > 0) {
        size_t part = len < hello->left ? len : hello->left;

        if (part == 0) {
            take_record_header(hello, *ptr);
            part = 1;
        } else {
            if (!take_fragment(hello, state, ptr, part))
                return false;
            hello->left -= (unsigned)part;
        }
        ptr += part;
        len -= part;
    }
    return true;
}
