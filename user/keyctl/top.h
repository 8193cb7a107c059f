/* SPDX-License-Identifier: BSD-2-Clause */
/* What `keyctl top` shows: top.c draws it, top_data.c asks the daemon for it. */
#ifndef KG_KEYCTL_TOP_H
#define KG_KEYCTL_TOP_H

#include "keyctl/keyctl.h"

enum top_kind {
    TOP_TEXT,
    TOP_NUMBER, /* null reads "never" */
    TOP_RATE,   /* of a number that grows: by the second */
};

struct top_column {
    const char *title, *field;
    enum top_kind kind;
    int width;
};

struct top_view {
    const char *name, *path;
    const char *key; /* the field that names a row from one answer to the next */
    const char *note;
    const struct top_column *columns;
    size_t count;
    size_t sorted; /* at first */
};

struct top {
    const struct command *command;
    const struct top_view *view;
    json_t *status, *old_status; /* owned: /status, now and before */
    json_t *data, *old;      /* owned: the list, and the one before by key; NULL when it was another view's */
    const json_t **rows;     /* owned: of data, sorted */
    size_t row_count, first; /* of the rows, first is at the top of the screen */
    size_t sorted;           /* column */
    bool reverse, stale;     /* stale: another view was chosen; ask at once */
    uint64_t when_ms, before_ms; /* of data and of old, on the monotonic clock */
};

/* Asks the daemon: 0, or the exit status after having said why on standard error. */
int top_fetch(struct top *top);
void top_sort(struct top *top);
void top_cell(const struct top *top, const json_t *row, size_t column, char *text, size_t cap);
/* The line above all views. */
void top_figures(const struct top *top, char *text, size_t cap);
void top_switch(struct top *top, size_t view);
size_t top_next_view(const struct top *top);
void top_release(struct top *top);

/* terminal.c: whether ncurses knows the terminal that TERM names. */
bool terminal_is_known(void);

#endif
