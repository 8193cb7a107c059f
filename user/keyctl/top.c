/* SPDX-License-Identifier: BSD-2-Clause */
/* `keyctl top`: the whole screen, kept fresh until q is pressed. What is shown is top_data.c's. */
#include "keyctl/top.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE_S   5
#define LINES_ABOVE  4 /* the rows: title, figures, an empty one, headings */
#define INTERVAL_MAX 3600

static volatile sig_atomic_t told_to_end; /* the signal, or 0 */

struct screen {
    SCREEN *terminal; /* NULL: not on the screen */
    int stderr_copy;  /* what standard error was: a complaint would spoil the picture */
};

static void on_signal(int signal)
{
    told_to_end = signal;
}

static void catch_signals(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    struct sigaction action = { .sa_handler = on_signal };

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

static int enter(struct screen *screen)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    screen->terminal = terminal_is_known() ? newterm(NULL, stdout, stdin) : NULL;
    if (!screen->terminal) {
        close(null);
        return usage_error("top cannot use this terminal; is TERM right?");
    }
    catch_signals(); /* behind newterm, which has handlers of its own */
    screen->stderr_copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(null, STDERR_FILENO);
    close(null);
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    return 0;
}

static void leave(struct screen *screen)
{
    if (!screen->terminal)
        return;
    endwin();
    delscreen(screen->terminal);
    screen->terminal = NULL;
    dup2(screen->stderr_copy, STDERR_FILENO);
    close(screen->stderr_copy);
}

/* ---- the picture ---- */

static void put_text(const char *text, int width)
{
    printw("%.*s", (int)text_fitting(text, (size_t)width), text);
}

/* Numbers to the right of their column, words to the left. */
static void put_cell(int y, int x, const struct top_column *column, const char *text)
{
    int width = COLS - x < column->width ? COLS - x : column->width;
    int own = (int)text_width(text);

    if (width <= 0)
        return;
    move(y, column->kind == TOP_TEXT || own >= width ? x : x + width - own);
    put_text(text, width);
}

static void draw_headings(const struct top *top)
{
    int x = 0;

    for (size_t i = 0; i < top->view->count; i++) {
        attron(i == top->sorted ? A_REVERSE : A_BOLD);
        put_cell(LINES_ABOVE - 1, x, &top->view->columns[i], top->view->columns[i].title);
        attroff(A_REVERSE | A_BOLD);
        x += top->view->columns[i].width + 2;
    }
}

static void draw_row(const struct top *top, int y, const json_t *row)
{
    char text[256];
    int x = 0;

    for (size_t i = 0; i < top->view->count; i++) {
        top_cell(top, row, i, text, sizeof(text));
        put_cell(y, x, &top->view->columns[i], text);
        x += top->view->columns[i].width + 2;
    }
}

static void draw(const struct top *top)
{
    char text[256];

    erase();
    move(0, 0);
    attron(A_BOLD);
    snprintf(text, sizeof(text), "%s (%zu)", top->view->name, top->row_count);
    put_text(text, COLS);
    attroff(A_BOLD);
    put_text("   1 consumers  2 routes  3 bans   < > sort  r reverse  q quit", COLS - (int)strlen(text));
    move(1, 0);
    top_figures(top, text, sizeof(text));
    put_text(text, COLS);
    if (top->view->note) {
        move(2, 0);
        put_text(top->view->note, COLS);
    }
    draw_headings(top);
    for (size_t i = top->first; i < top->row_count && LINES_ABOVE + (int)(i - top->first) < LINES; i++)
        draw_row(top, LINES_ABOVE + (int)(i - top->first), top->rows[i]);
    refresh();
}

/* ---- keys ---- */

static void scroll_by(struct top *top, int rows)
{
    size_t last = top->row_count > 0 ? top->row_count - 1 : 0;

    if (rows < 0)
        top->first -= top->first < (size_t)-rows ? top->first : (size_t)-rows;
    else
        top->first = top->first + (size_t)rows > last ? last : top->first + (size_t)rows;
}

/* False: it is over. */
static bool take_key(struct top *top, int key)
{
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case '1':
    case '2':
    case '3':
        top_switch(top, (size_t)(key - '1'));
        break;
    case '\t':
        top_switch(top, top_next_view(top));
        break;
    case '<':
    case KEY_LEFT:
        top->sorted -= top->sorted > 0;
        break;
    case '>':
    case KEY_RIGHT:
        top->sorted += top->sorted + 1 < top->view->count;
        break;
    case 'r':
        top->reverse = !top->reverse;
        break;
    case KEY_UP:
    case KEY_PPAGE:
        scroll_by(top, key == KEY_UP ? -1 : LINES_ABOVE - LINES);
        break;
    case KEY_DOWN:
    case KEY_NPAGE:
        scroll_by(top, key == KEY_DOWN ? 1 : LINES - LINES_ABOVE);
        break;
    default:
        break;
    }
    return true;
}

/* Waits for a key or the time to ask again. False: it is over, by a key or because the terminal is gone. */
static bool wait_for_key(struct top *top, uint64_t until)
{
    struct pollfd pollfd = { .fd = STDIN_FILENO, .events = POLLIN };
    uint64_t now = kg_clock_ms();
    int key;

    if (poll(&pollfd, 1, now < until ? (int)(until - now) : 0) < 0 && errno != EINTR)
        return false;
    if (pollfd.revents & (POLLHUP | POLLERR | POLLNVAL))
        return false;
    while ((key = getch()) != ERR) {
        if (!take_key(top, key))
            return false;
    }
    return true;
}

/* Asks again, off the screen, when the daemon did not answer: then its words are seen. */
static int fetch(struct top *top, struct screen *screen)
{
    int rc = top_fetch(top);

    if (rc == 0)
        return 0;
    leave(screen);
    rc = top_fetch(top);
    return rc ? rc : enter(screen);
}

static int loop(struct top *top, struct screen *screen, unsigned interval)
{
    uint64_t until;
    int rc;

    for (;;) {
        rc = fetch(top, screen);
        if (rc != 0)
            return rc;
        until = kg_clock_ms() + interval * UINT64_C(1000);
        top->stale = false;
        while (!top->stale && kg_clock_ms() < until) {
            top_sort(top);
            draw(top);
            if (!wait_for_key(top, until) || told_to_end)
                return 0;
        }
    }
}

static int run_top(const struct command *command)
{
    const json_t *given = json_object_get(command->fields, "interval");
    json_int_t interval = given ? json_integer_value(given) : 1;
    struct screen screen = { 0 };
    struct top top = { .command = command };
    int rc;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return usage_error("top needs a terminal; for machines there is keyctl stats -o json");
    if (interval < 1 || interval > INTERVAL_MAX)
        return usage_error("--interval takes 1 to %d seconds", INTERVAL_MAX);
    set_patience(PATIENCE_S);
    top_switch(&top, 0);
    rc = top_fetch(&top);
    if (rc == 0)
        rc = enter(&screen);
    if (rc == 0)
        rc = loop(&top, &screen, (unsigned)interval);
    leave(&screen);
    top_release(&top);
    if (told_to_end) {
        signal(told_to_end, SIG_DFL);
        raise(told_to_end);
    }
    return rc;
}

static const struct flag top_flags[] = {
    { "interval", FLAG_DURATION, 0, "TIME", "how often the daemon is asked (default 1s)" },
    { 0 },
};

const struct action top_action = {
    .name = "top",
    .summary = "consumers, routes and bans, live on the whole screen",
    .about =
        "1, 2, 3 and Tab switch between consumers, routes and bans (the sources that are kept out); < and > "
        "choose\n"
        "the column to sort by, r turns it round, arrows and page keys scroll, q ends. It needs a terminal.",
    .flags = top_flags,
    .run = run_top,
    .examples = { "", "--interval 5s" },
};
