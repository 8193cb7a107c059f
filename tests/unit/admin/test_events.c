/* SPDX-License-Identifier: BSD-2-Clause */
#include "admin/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define ALL KG_SLICE("")

static void happen(struct kg_events *events, const char *type, int number)
{
    kg_event(events, type, json_pack("{s:i}", "number", number));
}

/* Of the first and the last line. */
static int number_of(const char *line)
{
    const char *found = strstr(line, "\"number\":");

    assert_non_null(found);
    return (int)strtol(found + strlen("\"number\":"), NULL, 10);
}

static int lines_in(const char *text)
{
    int count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void the_ring_keeps_the_last_ones_oldest_first(void **state)
{
    struct kg_events *events = kg_events_new();
    char *text = kg_events_past(events, ALL, KG_EVENTS_KEPT);

    assert_string_equal(text, "");
    free(text);
    for (int i = 0; i < KG_EVENTS_KEPT + 10; i++)
        happen(events, i % 2 ? "odd" : "even", i);
    text = kg_events_past(events, ALL, KG_EVENTS_KEPT);
    assert_int_equal(lines_in(text), KG_EVENTS_KEPT);
    assert_int_equal(number_of(text), 10);
    free(text);
    text = kg_events_past(events, KG_SLICE("odd,none"), 2);
    assert_int_equal(lines_in(text), 2);
    assert_int_equal(number_of(text), KG_EVENTS_KEPT + 7);
    free(text);
    kg_events_free(events);
}

static void count_wake(void *ctx)
{
    ++*(int *)ctx;
}

/* Takes all that waits; "" when nothing does. */
static char *take(struct kg_event_listener *listener)
{
    size_t len = 0;
    char *queue = kg_events_take(listener, &len), *text = calloc(1, len + 1);

    assert_non_null(text);
    if (len > 0)
        memcpy(text, queue, len);
    free(queue);
    return text;
}

static void a_listener_gets_what_it_asked_for_from_then_on(void **state)
{
    struct kg_events *events = kg_events_new();
    int woken = 0;
    char *text;

    happen(events, "ban", 1);
    struct kg_event_listener *listener = kg_events_listen(events, KG_SLICE("ban, dns"));
    kg_events_on_wake(listener, count_wake, &woken);
    happen(events, "entity", 2);
    assert_int_equal(woken, 0);
    happen(events, "ban", 3);
    happen(events, "dns", 4);
    assert_int_equal(woken, 2);
    text = take(listener);
    assert_int_equal(lines_in(text), 2);
    assert_int_equal(number_of(text), 3);
    free(text);
    text = take(listener);
    assert_string_equal(text, "");
    free(text);
    kg_events_leave(listener);
    kg_events_free(events);
}

static void who_does_not_read_loses_events_and_is_told_how_many(void **state)
{
    struct kg_events *events = kg_events_new();
    struct kg_event_listener *slow = kg_events_listen(events, ALL), *quick = kg_events_listen(events, ALL);
    const int many = 5000;
    char *text, *lost;
    int seen = 0, last = -1;

    for (int i = 0; i < many; i++) {
        happen(events, "x", i);
        text = take(quick);
        assert_int_equal(number_of(text), i);
        free(text);
    }
    text = take(slow);
    assert_in_range(strlen(text), KG_EVENTS_QUEUE / 2, KG_EVENTS_QUEUE);
    assert_null(strstr(text, "lost"));
    seen = lines_in(text);
    free(text);
    happen(events, "x", many);
    text = take(slow);
    lost = strstr(text, "\"type\":\"lost\"");
    assert_non_null(lost);
    assert_int_equal(strtol(strstr(lost, "\"count\":") + strlen("\"count\":"), NULL, 10), many - seen);
    last = number_of(text);
    assert_int_equal(last, many);
    free(text);
    kg_events_leave(slow);
    kg_events_leave(quick);
    kg_events_free(events);
}

static void the_loss_is_told_also_when_nothing_follows(void **state)
{
    struct kg_events *events = kg_events_new();
    struct kg_event_listener *slow = kg_events_listen(events, ALL);
    char *text;

    for (int i = 0; i < 5000; i++)
        happen(events, "x", i);
    free(take(slow));
    text = take(slow);
    assert_non_null(strstr(text, "\"type\":\"lost\""));
    assert_int_equal(lines_in(text), 1);
    free(text);
    kg_events_leave(slow);
    kg_events_free(events);
}

static void there_are_only_so_many_listeners(void **state)
{
    static char types[KG_EVENTS_TYPES_MAX + 1];
    struct kg_events *events = kg_events_new();
    struct kg_event_listener *listeners[KG_EVENTS_LISTENERS];

    memset(types, 'a', KG_EVENTS_TYPES_MAX);
    assert_null(kg_events_listen(events, kg_slice_str(types)));
    for (int i = 0; i < KG_EVENTS_LISTENERS; i++) {
        listeners[i] = kg_events_listen(events, ALL);
        assert_non_null(listeners[i]);
    }
    assert_null(kg_events_listen(events, ALL));
    kg_events_leave(listeners[3]);
    listeners[3] = kg_events_listen(events, ALL);
    assert_non_null(listeners[3]);
    for (int i = 0; i < KG_EVENTS_LISTENERS; i++)
        kg_events_leave(listeners[i]);
    kg_events_free(events);
}

static void what_cannot_be_told_is_left_out(void **state)
{
    struct kg_events *events = kg_events_new();
    char *text;

    kg_event(NULL, "x", json_object());
    kg_event(events, "x", NULL);
    kg_event(events, "x", json_pack("{s:o}", "long", json_sprintf("%5000d", 1)));
    text = kg_events_past(events, ALL, KG_EVENTS_KEPT);
    assert_string_equal(text, "");
    free(text);
    kg_events_free(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ring_keeps_the_last_ones_oldest_first),
        cmocka_unit_test(a_listener_gets_what_it_asked_for_from_then_on),
        cmocka_unit_test(who_does_not_read_loses_events_and_is_told_how_many),
        cmocka_unit_test(the_loss_is_told_also_when_nothing_follows),
        cmocka_unit_test(there_are_only_so_many_listeners),
        cmocka_unit_test(what_cannot_be_told_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
