/* SPDX-License-Identifier: BSD-2-Clause */
#include "proxy/internal.h"

#include "io/tcp.h"

/* How many looks at what a client has acknowledged fit into send_timeout: it is cut at most a look late. */
#define LOOKS 4

static enum kg_turn whose_turn(const struct kg_client *client)
{
    const struct kg_upstream *upstream = client->request.upstream;

    if (client->state == KG_CLIENT_COLLECT)
        return KG_TURN_SENDS;
    if (!upstream || kg_sock_pending(&client->sock) > 0)
        return KG_TURN_READS;
    if (kg_sock_pending(&upstream->sock) > 0)
        return KG_TURN_TAKES;
    bool waits = client->request.body_done || client->request.expects || upstream->deaf;
    return waits ? KG_TURN_ANSWERS : KG_TURN_SENDS;
}

static uint64_t timeout_of(const struct kg_client *client)
{
    const struct kg_proxy_config *config = client->worker->config;

    switch (client->request.pace.turn) {
    case KG_TURN_TAKES:
        return client->request.service->write_timeout_ms;
    case KG_TURN_ANSWERS:
        return client->request.service->read_timeout_ms;
    case KG_TURN_SENDS:
        return config->body_timeout_ms;
    default:
        return config->send_timeout_ms;
    }
}

/* The rate that is asked for in this turn, 0 for any. Once it is being answered a request's body is a
 * conversation: who speaks when is between the two. */
static uint32_t rate_of(const struct kg_client *client)
{
    const struct kg_proxy_config *config = client->worker->config;

    switch (client->request.pace.turn) {
    case KG_TURN_SENDS:
        return client->request.answering ? 0 : config->min_body_rate;
    case KG_TURN_READS:
        return config->min_read_rate;
    default:
        return 0;
    }
}

static uint64_t bytes_moved(const struct kg_client *client)
{
    const struct kg_request *request = &client->request;

    return request->pace.turn == KG_TURN_READS ? request->pace.acked : request->bytes_in;
}

static bool is_clients(enum kg_turn turn)
{
    return turn == KG_TURN_SENDS || turn == KG_TURN_READS;
}

static void change_turn(struct kg_pace *pace, enum kg_turn turn, uint64_t now)
{
    if (is_clients(pace->turn))
        pace->spent_ms += now - pace->began_ms;
    pace->turn = turn;
    pace->began_ms = now;
    if (!is_clients(turn) || pace->window_of == turn)
        return;
    pace->window_of = turn;
    pace->strict = false;
    pace->spent_ms = 0;
}

static uint64_t window_spent(const struct kg_pace *pace, uint64_t now)
{
    return pace->spent_ms + (now - pace->began_ms);
}

static void set_timer(struct kg_client *client)
{
    const struct kg_pace *pace = &client->request.pace;
    uint64_t now = client->worker->now_ms, window = client->worker->config->rate_window_ms;
    uint64_t delay = timeout_of(client) - (now - pace->moved_ms);

    if (pace->turn == KG_TURN_READS)
        delay = timeout_of(client) / LOOKS;
    if (rate_of(client) > 0) {
        uint64_t spent = window_spent(pace, now), left = spent < window ? window - spent : 1;

        delay = left < delay ? left : delay;
    }
    kg_client_arm(client, delay);
}

void kg_pace_touch(struct kg_client *client)
{
    struct kg_pace *pace = &client->request.pace;
    enum kg_turn turn = whose_turn(client);
    uint64_t now = client->worker->now_ms;

    if (turn != pace->turn) {
        change_turn(pace, turn, now);
        pace->moved_ms = now;
        set_timer(client);
        return;
    }
    /* The timer fires too early now, and is set again then. What a reader has taken is not seen here, but
     * asked of the kernel. */
    if (turn != KG_TURN_READS)
        pace->moved_ms = now;
}

static bool is_too_slow(struct kg_client *client)
{
    struct kg_pace *pace = &client->request.pace;
    uint64_t now = client->worker->now_ms, spent = window_spent(pace, now), rate = rate_of(client);

    if (rate == 0 || spent < client->worker->config->rate_window_ms)
        return false;
    if (pace->strict && (bytes_moved(client) - pace->mark) * 1000 < rate * spent)
        return true;
    pace->strict = true;
    pace->mark = bytes_moved(client);
    pace->spent_ms = 0;
    pace->began_ms = now;
    return false;
}

static void give_up(struct kg_client *client)
{
    if (!is_clients(client->request.pace.turn)) {
        kg_attempt_failed(client, 504);
        return;
    }
    kg_count(&client->worker->stats.slow);
    if (client->request.pace.turn == KG_TURN_READS || client->request.answering)
        kg_client_reset(client);
    else
        kg_request_answer(client, 408, KG_SLICE(""), KG_SLICE(""));
}

void kg_pace_expired(struct kg_client *client)
{
    struct kg_pace *pace = &client->request.pace;
    uint64_t now = client->worker->now_ms;

    if (pace->turn == KG_TURN_READS) {
        uint64_t acked = kg_tcp_acked(client->sock.fd);

        if (acked != pace->acked)
            pace->moved_ms = now;
        pace->acked = acked;
    }
    if (now - pace->moved_ms >= timeout_of(client) || is_too_slow(client))
        give_up(client);
    else
        set_timer(client);
}
