/* SPDX-License-Identifier: BSD-2-Clause */
/* What was acknowledged is there after kill -9, at any moment. */
#include "store_test.h"
#include "base/uuid.h"

#include <signal.h>
#include <sys/wait.h>

#define ROUNDS    20
#define ACKED_MAX 4096
#define ACK_LEN   (KG_UUID_TEXT - 1)

/* Writes consumers for ever; each one's id goes into the pipe once the store has acknowledged it. */
static void write_for_ever(const char *dir, int pipe_fd)
{
    struct kg_store *store = NULL;
    struct kg_error err;

    if (kg_store_open(dir, &store, &err))
        _exit(1);
    for (;;) {
        char id[KG_UUID_TEXT], input[128];
        json_t *given, *object = NULL, *problem = NULL;

        kg_uuid_random(id);
        snprintf(input, sizeof(input), "{\"id\":\"%s\",\"username\":\"%s\"}", id, id);
        given = json_loads(input, 0, NULL);
        if (kg_schema_apply(&kg_entities[KG_CONSUMERS], KG_WRITE_CREATE, given, NULL, &object, &problem) ||
            kg_store_put(store, KG_CONSUMERS, object, &problem, &err) ||
            write(pipe_fd, id, ACK_LEN) != ACK_LEN)
            _exit(2);
        json_decref(given);
        json_decref(object);
    }
}

/* Kills the writer once it has acknowledged `enough`; what it managed to say until it was dead counts too. */
static size_t run_and_kill(const char *dir, size_t enough, char (*acked)[ACK_LEN])
{
    size_t got = 0, want = enough * ACK_LEN;
    char *bytes = acked[0];
    int fds[2], status;
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        write_for_ever(dir, fds[1]);
    }
    close(fds[1]);
    for (;;) {
        ssize_t n = read(fds[0], bytes + got, ACKED_MAX * ACK_LEN - got);

        if (n <= 0)
            break;
        got += (size_t)n;
        if (got >= want && want > 0) {
            assert_int_equal(kill(child, SIGKILL), 0);
            want = 0;
        }
    }
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return got / ACK_LEN;
}

static void every_acknowledged_write_survives_kill_9(void **state)
{
    struct fixture *f = *state;
    static char acked[ACKED_MAX][ACK_LEN];
    size_t total = 0;

    for (size_t round = 0; round < ROUNDS; round++) {
        size_t count = run_and_kill(f->dir, 1 + round % 7, acked);
        struct kg_store *store = open_store(f->dir);

        assert_true(count >= 1 + round % 7);
        for (size_t i = 0; i < count; i++) {
            char id[KG_UUID_TEXT] = "";

            memcpy(id, acked[i], ACK_LEN);
            assert_true(is_there(store, KG_CONSUMERS, id));
        }
        total += count;
        kg_store_close(store);
    }
    assert_true(total >= ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_acknowledged_write_survives_kill_9, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
