/* SPDX-License-Identifier: BSD-2-Clause */
#include "keyctl/keyctl.h"

#include "keygate/version.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>

/* A pipe that was closed or a full disk must not look like success. */
static int finish(int rc)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return rc;
    fprintf(stderr, "keyctl: cannot write the output: %s\n", strerror(errno));
    return rc ? rc : KG_CTL_REFUSED;
}

int main(int argc, char **argv)
{
    struct command command;
    int rc;

    json_object_seed(0);
    setlocale(LC_CTYPE, "C.UTF-8"); /* what the daemon says is UTF-8, whatever the user's files are in */
    signal(SIGPIPE, SIG_IGN);
    rc = parse_command(argc, argv, &command);
    if (rc == 0 && command.version)
        puts("keyctl " KG_VERSION);
    else if (rc == 0 && command.help)
        print_help(&command);
    else if (rc == 0)
        rc = run_command(&command);
    release_command(&command);
    return finish(rc);
}
