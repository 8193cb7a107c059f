/* SPDX-License-Identifier: BSD-2-Clause */
/* What the terminal is: how wide, whether it takes colours, and how wide a text is on it. */
#include "keyctl/keyctl.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define WIDTH_DEFAULT 80 /* of a terminal that does not say */

/* One character: its bytes, and in *width its columns. What is no character, or controls the terminal, is
 * shown as one column. */
static size_t next_character(const char *text, size_t *width)
{
    mbstate_t state = { 0 };
    wchar_t c;
    size_t len = mbrtowc(&c, text, strlen(text), &state);
    int columns = len > 0 && len < (size_t)-2 ? wcwidth(c) : -1;

    *width = columns < 0 ? 1 : (size_t)columns;
    return len > 0 && len < (size_t)-2 ? len : 1;
}

size_t text_width(const char *text)
{
    size_t total = 0, width;

    for (; *text; total += width)
        text += next_character(text, &width);
    return total;
}

size_t text_fitting(const char *text, size_t columns)
{
    size_t at = 0, used = 0, width, len;

    for (; text[at]; at += len) {
        len = next_character(text + at, &width);
        used += width;
        if (used > columns)
            break;
    }
    return at;
}

size_t screen_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size = { 0 };
    uint64_t number;

    if (!isatty(STDOUT_FILENO))
        return 0;
    if (columns && kg_slice_u64(kg_slice_str(columns), &number) == 0 && number > 0 && number < 10000)
        return (size_t)number;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return WIDTH_DEFAULT;
}

/* https://no-color.org: any value but the empty one. */
bool takes_colour(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(fileno(out)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}
