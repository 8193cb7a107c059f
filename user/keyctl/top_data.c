/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"
#include "base/mem.h"
#include "keyctl/top.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct top_column consumer_columns[] = {
    { "CONSUMER", "name", TOP_TEXT, 20 },         { "REQ/S", "requests", TOP_RATE, 7 },
    { "REQUESTS", "requests", TOP_NUMBER, 9 },    { "2XX", "status_2xx", TOP_NUMBER, 8 },
    { "3XX", "status_3xx", TOP_NUMBER, 7 },       { "4XX", "status_4xx", TOP_NUMBER, 7 },
    { "5XX", "status_5xx", TOP_NUMBER, 7 },       { "DENIED", "denied", TOP_NUMBER, 7 },
    { "LIMITED", "rate_limited", TOP_NUMBER, 7 }, { "IN/S", "bytes_in", TOP_RATE, 9 },
    { "OUT/S", "bytes_out", TOP_RATE, 9 },
};

static const struct top_column route_columns[] = {
    { "NAME", "name", TOP_TEXT, 20 },
    { "METHODS", "methods", TOP_TEXT, 12 },
    { "HOSTS", "hosts", TOP_TEXT, 20 },
    { "PATHS", "paths", TOP_TEXT, 24 },
};

static const struct top_column ban_columns[] = {
    { "ADDRESS", "address", TOP_TEXT, 24 },         { "REASON", "reason", TOP_TEXT, 10 },
    { "EXPIRES_IN", "expires_in", TOP_NUMBER, 10 }, { "DROPS/S", "drops", TOP_RATE, 9 },
    { "DROPS", "drops", TOP_NUMBER, 12 },           { "OFFENCES", "offences", TOP_NUMBER, 8 },
};

static const struct top_view views[] = {
    { "consumers", "/stats", "name", NULL, consumer_columns, COUNT(consumer_columns), 1 },
    { "routes", "/routes", "id", "Requests are counted by consumer, not by route.", route_columns,
      COUNT(route_columns), 0 },
    { "bans", "/bans", "address", NULL, ban_columns, COUNT(ban_columns), 3 },
};

static json_t *by_key(const json_t *data, const char *key)
{
    json_t *map = json_object(), *row;
    size_t i;

    json_array_foreach(data, i, row)
    {
        const char *name = json_string_value(json_object_get(row, key));

        if (name)
            json_object_set(map, name, row);
    }
    return map;
}

static void take_rows(struct top *top, json_t *data)
{
    json_t *row;
    size_t i;

    json_decref(top->old);
    top->old = top->data ? by_key(top->data, top->view->key) : NULL;
    json_decref(top->data);
    top->data = data;
    top->before_ms = top->when_ms;
    top->when_ms = kg_clock_ms();
    free(top->rows);
    top->row_count = json_array_size(data);
    top->rows = kg_calloc(top->row_count + 1, sizeof(*top->rows));
    json_array_foreach(data, i, row) top->rows[i] = row;
    if (top->first >= top->row_count)
        top->first = 0;
}

int top_fetch(struct top *top)
{
    json_t *status, *all;
    int rc = request(top->command, "GET", "/status", NULL, &status);

    if (rc != 0)
        return rc;
    json_decref(top->old_status);
    top->old_status = top->status;
    top->status = status;
    rc = fetch_all(top->command, top->view->path, &all);
    if (rc == 0)
        take_rows(top, json_incref(json_object_get(all, "data")));
    json_decref(all);
    return rc;
}

static double rate_of(const struct top *top, const json_t *now, const json_t *before)
{
    double grown = (double)(json_integer_value(now) - json_integer_value(before));
    double seconds = (double)(top->when_ms - top->before_ms) / 1000;

    return before && grown > 0 && seconds > 0 ? grown / seconds : 0;
}

static double number_of(const struct top *top, const json_t *row, const struct top_column *column)
{
    const json_t *value = json_object_get(row, column->field);
    const char *name = json_string_value(json_object_get(row, top->view->key));

    if (column->kind == TOP_RATE)
        return name ? rate_of(top, value, json_object_get(json_object_get(top->old, name), column->field))
                    : 0;
    return json_is_integer(value) ? (double)json_integer_value(value) : 1e18; /* never */
}

/* Lists with commas; what is not there is a dash. */
static void put_text(const json_t *value, char *text, size_t cap)
{
    size_t i, len = 0;
    json_t *item;

    snprintf(text, cap, "%s", json_is_string(value) ? json_string_value(value) : "-");
    json_array_foreach(value, i, item)
    {
        len += (size_t)snprintf(text + len, cap - len, "%s%s", i ? "," : "", json_string_value(item));
        if (len >= cap)
            return;
    }
}

void top_cell(const struct top *top, const json_t *row, size_t column, char *text, size_t cap)
{
    const struct top_column *shown = &top->view->columns[column];
    const json_t *value = json_object_get(row, shown->field);

    if (shown->kind == TOP_TEXT)
        put_text(value, text, cap);
    else if (shown->kind == TOP_NUMBER && !json_is_integer(value))
        snprintf(text, cap, "never");
    else
        snprintf(text, cap, "%.0f", number_of(top, row, shown));
}

/* Words from a to z, numbers from the greatest. */
static int compare(const void *a, const void *b, void *ctx)
{
    const struct top *top = ctx;
    const struct top_column *column = &top->view->columns[top->sorted];
    const json_t *left = *(const json_t *const *)a, *right = *(const json_t *const *)b;
    char left_text[256], right_text[256];
    double difference;
    int order;

    if (column->kind == TOP_TEXT) {
        put_text(json_object_get(left, column->field), left_text, sizeof(left_text));
        put_text(json_object_get(right, column->field), right_text, sizeof(right_text));
        order = strcmp(left_text, right_text);
    } else {
        difference = number_of(top, right, column) - number_of(top, left, column);
        order = (difference > 0) - (difference < 0);
    }
    return top->reverse ? -order : order;
}

void top_sort(struct top *top)
{
    qsort_r(top->rows, top->row_count, sizeof(*top->rows), compare, top);
}

static const json_t *figure(const json_t *status, const char *group, const char *name)
{
    return json_object_get(json_object_get(status, group), name);
}

void top_figures(const struct top *top, char *text, size_t cap)
{
    const json_t *requests = figure(top->status, "server", "total_requests");

    snprintf(text, cap, "%lld connections, %lld requests, %.0f a second, %lld bans",
             (long long)json_integer_value(figure(top->status, "server", "connections_active")),
             (long long)json_integer_value(requests),
             rate_of(top, requests, figure(top->old_status, "server", "total_requests")),
             (long long)json_integer_value(figure(top->status, "guard", "bans")));
}

void top_switch(struct top *top, size_t view)
{
    json_decref(top->data);
    json_decref(top->old);
    top->data = top->old = NULL;
    top->row_count = top->first = 0;
    top->view = &views[view];
    top->sorted = views[view].sorted;
    top->reverse = false;
    top->stale = true;
}

size_t top_next_view(const struct top *top)
{
    return ((size_t)(top->view - views) + 1) % COUNT(views);
}

void top_release(struct top *top)
{
    json_decref(top->status);
    json_decref(top->old_status);
    json_decref(top->data);
    json_decref(top->old);
    free(top->rows);
}
