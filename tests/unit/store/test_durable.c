/* SPDX-License-Identifier: BSD-2-Clause */
/* What was acknowledged is there after kill -9, at any moment. */
#include "store_test.h"
#include "base/uuid.h"

#include <signal.h>
#include <sys/wait.h>

#define ROUNDS    20
#define ACKED_MAX 4096
#define ACK_LEN   (KG_UUID_TEXT - 1)

static bool write_one(struct kg_store *store, enum kg_entity_id entity, const char *input)
{
    json_t *given = json_loads(input, 0, NULL), *object = NULL, *problem = NULL;
    struct kg_error err;
    bool done = kg_schema_apply(&kg_entities[entity], KG_WRITE_CREATE, given, NULL, &object, &problem) == 0 &&
                kg_store_put(store, entity, object, &problem, &err) == 0;

    json_decref(given);
    json_decref(object);
    return done;
}

static bool write_consumer(struct kg_store *store, const char *id)
{
    char input[128];

    snprintf(input, sizeof(input), "{\"id\":\"%s\",\"username\":\"%s\"}", id, id);
    return write_one(store, KG_CONSUMERS, input);
}

/* A key that is called "old-" and its id, and in its place one that is called "new-" and its id. */
static bool write_rotated_key(struct kg_store *store, const char *id)
{
    struct kg_key_grace grace = { .seconds = 3600 };
    json_t *object, *problem = NULL;
    struct kg_error err;
    char text[256];
    bool done;

    snprintf(text, sizeof(text), "{\"id\":\"%s\",\"consumer\":{\"id\":\"" ID_A "\"},\"key\":\"old-%s\"}", id,
             id);
    if (!write_one(store, KG_KEYAUTH_CREDENTIALS, text))
        return false;
    object = kg_store_get(store, KG_KEYAUTH_CREDENTIALS, id);
    snprintf(text, sizeof(text), "new-%s", id);
    json_object_set_new(object, "key", json_string(text));
    kg_uuid_random(grace.id);
    done = kg_store_rotate_key(store, object, &grace, &problem, &err) == 0;
    json_decref(object);
    return done;
}

typedef bool (*write_fn)(struct kg_store *store, const char *id);

/* Each id goes into the pipe once the store has acknowledged what was written with it. */
static void write_for_ever(const char *dir, write_fn write_next, int pipe_fd)
{
    struct kg_store *store = NULL;
    struct kg_error err;

    if (kg_store_open(dir, &store, &err))
        _exit(1);
    for (;;) {
        char id[KG_UUID_TEXT];

        kg_uuid_random(id);
        if (!write_next(store, id) || write(pipe_fd, id, ACK_LEN) != ACK_LEN)
            _exit(2);
    }
}

/* Kills the writer once it has acknowledged `enough`; what it managed to say until it was dead counts too. */
static size_t run_and_kill(const char *dir, write_fn write_next, size_t enough, char (*acked)[ACK_LEN])
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
        write_for_ever(dir, write_next, fds[1]);
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
        size_t count = run_and_kill(f->dir, write_consumer, 1 + round % 7, acked);
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

static bool is_key(struct kg_store *store, const char *key, const char *id, bool same)
{
    json_t *found = kg_store_find(store, KG_KEYAUTH_CREDENTIALS, kg_slice_str(key));
    bool is = found && (strcmp(json_string_value(json_object_get(found, "id")), id) == 0) == same &&
              strcmp(json_string_value(json_object_get(found, "key")), key) == 0;

    json_decref(found);
    return is;
}

/* Acknowledged: both keys. Not acknowledged: both, or the first alone under its own id. */
static void assert_rotated(struct kg_store *store, const char *id, bool acked)
{
    char old[64], new[64];

    snprintf(old, sizeof(old), "old-%s", id);
    snprintf(new, sizeof(new), "new-%s", id);
    if (is_key(store, new, id, true))
        assert_true(is_key(store, old, id, false));
    else
        assert_true(!acked && is_key(store, old, id, true));
}

static void assert_all_rotated(struct kg_store *store)
{
    int64_t after = 0;

    do {
        json_t *page = kg_store_list(store, KG_KEYAUTH_CREDENTIALS, NULL, NULL, 100, &after), *object;
        size_t i;

        json_array_foreach(page, i, object)
        {
            const char *key = json_string_value(json_object_get(object, "key"));

            assert_rotated(store, key + strlen("old-"), false);
        }
        json_decref(page);
    } while (after > 0);
}

static void a_rotated_key_is_never_half_there_after_kill_9(void **state)
{
    struct fixture *f = *state;
    static char acked[ACKED_MAX][ACK_LEN];
    struct kg_store *store = open_store(f->dir);

    assert_int_equal(put(store, KG_CONSUMERS, "{\"id\":\"" ID_A "\",\"username\":\"a\"}", NULL), 0);
    kg_store_close(store);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t count = run_and_kill(f->dir, write_rotated_key, 1 + round % 5, acked);

        store = open_store(f->dir);
        for (size_t i = 0; i < count; i++) {
            char id[KG_UUID_TEXT] = "";

            memcpy(id, acked[i], ACK_LEN);
            assert_rotated(store, id, true);
        }
        assert_all_rotated(store);
        kg_store_close(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_acknowledged_write_survives_kill_9, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rotated_key_is_never_half_there_after_kill_9, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
