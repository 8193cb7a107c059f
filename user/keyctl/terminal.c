/* SPDX-License-Identifier: BSD-2-Clause */
/* Alone, because term.h makes macros of words such as columns. */
#include "keyctl/top.h"

#include <ncurses.h>
#include <term.h>
#include <unistd.h>

/* To be asked before newterm(), which loses memory over a terminal that it does not know (ncurses 6.4). */
bool terminal_is_known(void)
{
    int why;

    if (setupterm(NULL, STDOUT_FILENO, &why) != OK)
        return false;
    del_curterm(cur_term);
    return true;
}
