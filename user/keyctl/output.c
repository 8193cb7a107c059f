/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables for people: columns as wide as their widest cell, or as the terminal lets them be. */
#include "keyctl/keyctl.h"

#include "base/mem.h"

#include <stdlib.h>
#include <time.h>

#define COLUMNS_MAX 16
#define GAP         2
#define CELL_MIN    6 /* what is left of a cell that is cut */

/* A terminal obeys control bytes; names that strangers chose must not reach it with any. C1 controls (U+0080
 * to U+009F) count. */
void print_safe(FILE *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)(text ? text : "-"); *c; c++) {
        bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f;

        fputc(*c < 0x20 || *c == 0x7f || c1 ? '?' : *c, out);
        c += c1;
    }
}

void print_escaped(FILE *out, struct kg_slice json, bool *half)
{
    for (size_t i = 0; i < json.len; i++) {
        unsigned char c = (unsigned char)json.ptr[i];
        bool c1 = *half && c >= 0x80 && c <= 0x9f;

        if (*half && !c1)
            fputc(0xc2, out);
        *half = c == 0xc2;
        if (c1 || c == 0x7f || (c < 0x20 && c != '\n'))
            fprintf(out, "\\u%04x", c);
        else if (!*half)
            fputc(c, out);
    }
}

static const json_t *look_up(const json_t *row, const char *path)
{
    const char *dot = strchr(path, '.');

    if (!dot)
        return json_object_get(row, path);
    return json_object_get(json_object_getn(row, path, (size_t)(dot - path)), dot + 1);
}

static char *time_text(json_int_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm tm;
    char text[64];

    if (seconds == 0 || !gmtime_r(&when, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return kg_strdup("-");
    return kg_strdup(text);
}

static char *join(const json_t *array)
{
    char *text = kg_strdup("");
    size_t len = 0;
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        size_t more = json_string_length(item);

        if (!json_is_string(item))
            continue;
        text = kg_realloc(text, len + more + 2, 1);
        if (len > 0)
            text[len++] = ',';
        memcpy(text + len, json_string_value(item), more);
        len += more;
        text[len] = '\0';
    }
    return text;
}

/* All owned by the caller. */
static char *plain_text(const json_t *value)
{
    char *text;

    if (json_is_string(value))
        return kg_strdup(json_string_value(value));
    if (json_is_array(value) && json_array_size(value) > 0 && json_is_string(json_array_get(value, 0)))
        return join(value);
    if (!value || json_is_null(value))
        return kg_strdup("-");
    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    return text ? text : kg_strdup("?");
}

/* A plugin's scope: what it is bound to, or everything. */
static char *scope_text(const json_t *row)
{
    static const char *const scopes[] = { "route", "service", "consumer" };
    char text[160] = "";

    for (size_t i = 0; i < 3; i++) {
        const char *id = json_string_value(json_object_get(json_object_get(row, scopes[i]), "id"));
        size_t len = strlen(text);

        if (id)
            snprintf(text + len, sizeof(text) - len, "%s%s:%s", len ? "," : "", scopes[i], id);
    }
    return kg_strdup(text[0] ? text : "global");
}

/* "192.0.2.7:80 HEALTHY, …" */
static char *addresses_text(const json_t *addresses)
{
    char text[4096] = "-";
    size_t len = 0, i;
    json_t *item;

    json_array_foreach(addresses, i, item)
    {
        const char *ip = json_string_value(json_object_get(item, "ip"));
        const char *health = json_string_value(json_object_get(item, "health"));
        bool six = ip && strchr(ip, ':');

        if (!ip || !health || len > sizeof(text) - 160)
            break;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%.64s%s:%lld %.32s", i > 0 ? ", " : "",
                                six ? "[" : "", ip, six ? "]" : "",
                                (long long)json_integer_value(json_object_get(item, "port")), health);
    }
    return kg_strdup(text);
}

static char *cell_text(const struct column *column, const json_t *row)
{
    const json_t *value = look_up(row, column->path);

    if (column->kind == COLUMN_SCOPE)
        return scope_text(row);
    if (column->kind == COLUMN_ADDRESSES)
        return addresses_text(value);
    if (column->kind == COLUMN_TIME)
        return time_text(json_integer_value(value));
    if (column->kind == COLUMN_FOREVER && !json_is_integer(value))
        return kg_strdup("never");
    return plain_text(value);
}

static void print_fill(size_t count)
{
    for (; count > 0; count--)
        fputc(' ', stdout);
}

/* What is wider than its column ends in an ellipsis. */
static void print_cut(const char *text, size_t width)
{
    size_t len = text_fitting(text, width - 1);
    char *start = kg_strdup(text);

    start[len] = '\0';
    print_safe(stdout, start);
    fputs("…", stdout);
    print_fill(width - 1 - text_width(start));
    free(start);
}

/* width 0: as wide as it is. */
static void print_cell(const char *text, size_t width, bool last)
{
    size_t own = text_width(text);

    if (width > 0 && own > width)
        print_cut(text, width);
    else
        print_safe(stdout, text);
    if (last)
        fputc('\n', stdout);
    else
        print_fill((own < width ? width - own : 0) + GAP);
}

/* The noun's columns that this verb shows. */
static size_t choose(const struct noun *noun, enum verb verb, const struct column *chosen[COLUMNS_MAX])
{
    size_t count = 0;

    for (const struct column *column = noun->columns; column->title && count < COLUMNS_MAX; column++) {
        if (!column->only_create || verb == VERB_CREATE || verb == VERB_ROTATE)
            chosen[count++] = column;
    }
    return count;
}

/* In which order columns give way: ids are of no use when they are cut, the own one least; a key that is
 * shown once must be whole. */
enum rank { RANK_TEXT, RANK_OTHER_ID, RANK_ID, RANKS };

static enum rank rank_of(const struct column *column)
{
    if (column->only_create)
        return RANKS;
    if (strcmp(column->path, "id") == 0)
        return RANK_ID;
    return column->kind == COLUMN_PLAIN && strstr(column->path, ".id") ? RANK_OTHER_ID : RANK_TEXT;
}

/* The widest column of this rank that can still give one, or count. */
static size_t widest(const struct column *columns[], const size_t widths[], size_t count, enum rank rank)
{
    size_t best = count;

    for (size_t i = 0; i < count; i++) {
        size_t least = strlen(columns[i]->title) > CELL_MIN ? strlen(columns[i]->title) : CELL_MIN;

        if (rank_of(columns[i]) == rank && widths[i] > least && (best == count || widths[i] > widths[best]))
            best = i;
    }
    return best;
}

/* Takes from the widest until all fit into the screen, or nothing is left to take. */
static void fit(const struct column *columns[], size_t widths[], size_t count, size_t screen)
{
    size_t total = GAP * (count - 1), rank = RANK_TEXT;

    for (size_t i = 0; i < count; i++)
        total += widths[i];
    while (total > screen && rank < RANKS) {
        size_t at = widest(columns, widths, count, (enum rank)rank);

        if (at == count) {
            rank++;
            continue;
        }
        widths[at]--;
        total--;
    }
}

static void print_cells(char *const *cells, const size_t widths[], size_t count, size_t height)
{
    bool colour = takes_colour(stdout);

    for (size_t i = 0; i < count * height; i++) {
        if (colour && i == 0)
            fputs("\033[1m", stdout);
        print_cell(cells[i], widths[i % count], i % count == count - 1);
        if (colour && i == count - 1)
            fputs("\033[0m", stdout);
    }
}

void print_table(const struct noun *noun, enum verb verb, const json_t *rows)
{
    const struct column *columns[COLUMNS_MAX];
    size_t count = choose(noun, verb, columns);
    size_t height = json_array_size(rows) + 1, screen = screen_width();
    char **cells = kg_calloc(count * height, sizeof(*cells));
    size_t widths[COLUMNS_MAX] = { 0 };

    for (size_t i = 0; i < count * height; i++) {
        size_t row = i / count, at = i % count;

        cells[i] =
            row == 0 ? kg_strdup(columns[at]->title) : cell_text(columns[at], json_array_get(rows, row - 1));
        if (text_width(cells[i]) > widths[at])
            widths[at] = text_width(cells[i]);
    }
    if (screen > 0)
        fit(columns, widths, count, screen);
    print_cells(cells, widths, count, height);
    for (size_t i = 0; i < count * height; i++)
        free(cells[i]);
    free(cells);
}

/* How print_flat goes through its object twice: first to measure, then, with the width known, to print. */
struct flat {
    size_t width; /* 0 while measuring */
    size_t widest;
};

static void flatten(struct flat *flat, const json_t *value, const char *path);

static void flatten_leaf(struct flat *flat, const json_t *value, const char *path)
{
    char *text;

    if (text_width(path) > flat->widest)
        flat->widest = text_width(path);
    if (flat->width == 0)
        return;
    text = plain_text(value);
    print_cell(path, flat->width, false);
    print_cell(text, 0, true);
    free(text);
}

static void flatten_object(struct flat *flat, const json_t *object, const char *path)
{
    char below[512];
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)(uintptr_t)object, key, item)
    {
        snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", key);
        flatten(flat, item, below);
    }
}

static void flatten_array(struct flat *flat, const json_t *array, const char *path)
{
    char below[512];
    json_t *item;
    size_t i;

    json_array_foreach(array, i, item)
    {
        snprintf(below, sizeof(below), "%s[%zu]", path, i);
        flatten(flat, item, below);
    }
}

static void flatten(struct flat *flat, const json_t *value, const char *path)
{
    if (json_is_object(value))
        flatten_object(flat, value, path);
    else if (json_is_array(value) && json_is_object(json_array_get(value, 0)))
        flatten_array(flat, value, path);
    else
        flatten_leaf(flat, value, path);
}

/* One line for each leaf: "xdp.packets.drop_ban4.packets  7". */
void print_flat(const json_t *object)
{
    struct flat flat = { 0 };

    flatten(&flat, object, "");
    flat.width = flat.widest;
    flatten(&flat, object, "");
}
