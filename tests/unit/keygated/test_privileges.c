/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving up root, each time in a child, since there is no way back. Needs root. */
#include "keygated/privileges.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>

#define NOBODY 65534

/* What the child's check ends with: 0, or the number of what was wrong. */
static int in_child(int (*check)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(check());
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int has_capabilities(void)
{
    char line[256];
    unsigned long long caps, all = 0;
    FILE *status = fopen("/proc/self/status", "re");

    while (status && fgets(line, sizeof(line), status)) {
        if (sscanf(line, "CapPrm: %llx", &caps) == 1 || sscanf(line, "CapEff: %llx", &caps) == 1)
            all |= caps;
    }
    return !status || fclose(status) || all != 0;
}

static int check_drop(void)
{
    struct kg_identity nobody;
    struct kg_error err;
    uid_t real, effective, saved;

    if (kg_identity_find("nobody", &nobody, &err) || !nobody.found || nobody.uid != NOBODY)
        return 1;
    if (kg_privileges_freeze(&err) || kg_privileges_drop("nobody", &nobody, &err))
        return 2;
    if (getresuid(&real, &effective, &saved) || real != NOBODY || effective != NOBODY || saved != NOBODY)
        return 3;
    if (setuid(0) == 0 || has_capabilities() || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 4;
    return 0;
}

static void the_drop_is_for_good_and_leaves_no_capability(void **state)
{
    assert_int_equal(in_child(check_drop), 0);
}

static int check_hide(void)
{
    struct kg_error err;

    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1)
        return 1;
    return kg_privileges_hide_memory(&err) || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0;
}

static void hidden_memory_goes_into_no_core_file(void **state)
{
    assert_int_equal(in_child(check_hide), 0);
}

static void a_user_that_is_not_there_is_no_error(void **state)
{
    struct kg_identity identity;
    struct kg_error err;

    assert_int_equal(kg_identity_find("keygate-no-such-user", &identity, &err), 0);
    assert_false(identity.found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_drop_is_for_good_and_leaves_no_capability),
        cmocka_unit_test(hidden_memory_goes_into_no_core_file),
        cmocka_unit_test(a_user_that_is_not_there_is_no_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
