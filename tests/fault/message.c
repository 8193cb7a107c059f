/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading requests and answers as strictly as can be. */
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void message_begin(struct message *message, bool answer, bool to_head)
{
    /* The head's bytes need no clearing. */
    message->answer = answer;
    message->to_head = to_head;
    message->state = MESSAGE_HEAD_LINES;
    message->head_len = message->line_len = 0;
    message->status = 0;
    message->tagged = message->says_close = message->trailer = false;
    message->tag = 0;
    message->left = message->body = 0;
    message->fault = NULL;
}

const char *message_header(const struct message *message, const char *name)
{
    static char value[256];
    size_t name_len = strlen(name);

    for (const char *line = message->head; line; line = strstr(line, "\r\n")) {
        line += line == message->head ? 0 : 2;
        if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
            continue;
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + name_len + 2, "\r"), line + name_len + 2);
        return value;
    }
    return NULL;
}

static void end_body(struct message *message)
{
    message->state = message->left > 0 ? MESSAGE_LENGTH : MESSAGE_DONE;
}

/* RFC 9112, 6.3. */
static void frame(struct message *message)
{
    const char *coding = message_header(message, "Transfer-Encoding"), *length;
    bool bodiless = message->answer && (message->to_head || message->status < 200 || message->status == 204 ||
                                        message->status == 304);

    if (coding && strcmp(coding, "chunked") != 0)
        message->fault = "a Transfer-Encoding other than chunked";
    if (bodiless) {
        message->state = MESSAGE_DONE;
        return;
    }
    if (coding) {
        message->state = MESSAGE_CHUNK_SIZE;
        if (message_header(message, "Content-Length"))
            message->fault = "Content-Length beside Transfer-Encoding";
        return;
    }
    length = message_header(message, "Content-Length");
    if (length) {
        message->left = strtoull(length, NULL, 10);
        end_body(message);
        return;
    }
    message->state = message->answer ? MESSAGE_CLOSE : MESSAGE_DONE;
}

static void end_head(struct message *message)
{
    message->head[message->head_len] = '\0';
    if (message->answer && sscanf(message->head, "HTTP/1.1 %3u ", &message->status) != 1)
        message->fault = "no status line";
    if (!message->answer && !strstr(message->head, " HTTP/1.1\r\n"))
        message->fault = "no request line";
    const char *tag = message_header(message, "X-Tag");
    message->tagged = tag != NULL;
    message->tag = tag ? (uint32_t)strtoul(tag, NULL, 10) : 0;
    const char *connection = message_header(message, "Connection");
    message->says_close = connection && strcasecmp(connection, "close") == 0;
    message->upgrades = connection && strcasestr(connection, "upgrade") && message_header(message, "Upgrade");
    frame(message);
}

static void body_byte(struct message *message, char byte)
{
    /* Answers of the gateway's own carry no tag. */
    if (message->tagged && byte != plan_byte(message->tag, message->answer, message->body))
        message->fault = "a byte of the body is wrong";
    message->body++;
}

/* A line of the chunked coding is complete, without its CRLF. */
static void chunk_line(struct message *message)
{
    message->line[message->line_len - 2] = '\0';
    bool empty = message->line_len == 2;
    message->line_len = 0;
    switch (message->state) {
    case MESSAGE_CHUNK_SIZE:
        if (strspn(message->line, "0123456789abcdefABCDEF") != strlen(message->line) || empty)
            message->fault = "a chunk size that is none";
        message->left = strtoull(message->line, NULL, 16);
        message->state = message->left > 0 ? MESSAGE_CHUNK_DATA : MESSAGE_TRAILER;
        return;
    case MESSAGE_CHUNK_END:
        if (!empty)
            message->fault = "a chunk longer than it says";
        message->state = MESSAGE_CHUNK_SIZE;
        return;
    default:
        if (empty) {
            message->state = MESSAGE_DONE;
            return;
        }
        if (strcmp(message->line, "X-Trailer: t") != 0 || message->trailer)
            message->fault = "a trailer that may not pass, or twice the same";
        message->trailer = true;
    }
}

static void line_byte(struct message *message, char byte)
{
    if (message->line_len == sizeof(message->line)) {
        message->fault = "a line too long";
        return;
    }
    message->line[message->line_len++] = byte;
    if (message->line_len >= 2 && memcmp(message->line + message->line_len - 2, "\r\n", 2) == 0)
        chunk_line(message);
}

static void one_byte(struct message *message, char byte)
{
    switch (message->state) {
    case MESSAGE_HEAD_LINES:
        if (message->head_len + 1 >= sizeof(message->head)) {
            message->fault = "a head without end";
            return;
        }
        message->head[message->head_len++] = byte;
        if (message->head_len >= 4 && memcmp(message->head + message->head_len - 4, "\r\n\r\n", 4) == 0)
            end_head(message);
        return;
    case MESSAGE_LENGTH:
        body_byte(message, byte);
        message->left--;
        end_body(message);
        return;
    case MESSAGE_CHUNK_DATA:
        body_byte(message, byte);
        if (--message->left == 0)
            message->state = MESSAGE_CHUNK_END;
        return;
    case MESSAGE_CLOSE:
        body_byte(message, byte);
        return;
    default:
        line_byte(message, byte);
    }
}

size_t message_read(struct message *message, const char *ptr, size_t len)
{
    bool in_head = message->state == MESSAGE_HEAD_LINES;
    size_t used = 0;

    while (used < len && message->state != MESSAGE_DONE && !message->fault) {
        one_byte(message, ptr[used++]);
        if (in_head && message->state != MESSAGE_HEAD_LINES)
            break;
    }
    return used;
}
