/* SPDX-License-Identifier: BSD-2-Clause */
/* The Admin API's HTTP server: framing, limits, clients that stall, strangers, and the socket file. */
#include "fixture.h"

#include "admin/call.h"
#include "admin/server.h"

#include <grp.h>
#include <sys/wait.h>

#define GET_ROOT "GET /services HTTP/1.1\r\nHost: x\r\n\r\n"
#define EMPTY    "{\"data\":[],\"next\":null}"

static void expect_status(struct api *api, int fd, unsigned status)
{
    struct reply reply = hear_reply(api, fd);

    assert_int_equal(reply.status, status);
    drop(&reply);
}

static void a_connection_serves_many_requests(void **state)
{
    struct api *api = *state;
    int fd = dial(api);

    for (int i = 0; i < 3; i++) {
        say_text(api, fd, GET_ROOT);
        expect_status(api, fd, 200);
    }
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct api *api = *state;
    int fd = dial(api);

    say_text(
        api, fd,
        "POST /services HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
        "{\"host\":\"h\"}"
        "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" GET_ROOT);
    expect_status(api, fd, 201);
    expect_status(api, fd, 404);
    expect_status(api, fd, 200);
    close(fd);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    struct api *api = *state;
    const char *request = "POST /services HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"hos\r\n7\r\nt\":\"h\"}\r\n0\r\n\r\n";
    int fd = dial(api);

    for (; *request; request++) {
        say(api, fd, request, 1);
        kg_poller_step(api->poller, 0);
    }
    expect_status(api, fd, 201);
    say_text(api, fd, GET_ROOT);
    expect_status(api, fd, 200);
    close(fd);
}

static void the_connection_ends_when_the_client_wants_it(void **state)
{
    static const char *const requests[] = {
        "GET /services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /services HTTP/1.0\r\n\r\n",
    };
    struct api *api = *state;

    for (size_t i = 0; i < 2; i++) {
        int fd = dial(api);

        say_text(api, fd, requests[i]);
        expect_status(api, fd, 200);
        assert_true(at_end(api, fd));
        close(fd);
    }
}

static void an_expectation_is_met_before_the_body(void **state)
{
    struct api *api = *state;
    int fd = dial(api);
    char line[32] = "";

    say_text(api, fd,
             "POST /services HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
             "Expect: 100-continue\r\n\r\n");
    for (size_t i = 0; i < 25; i++)
        assert_int_equal(hear(api, fd, line + i, 1), 1);
    assert_string_equal(line, "HTTP/1.1 100 Continue\r\n\r\n");
    say_text(api, fd, "{\"host\":\"h\"}");
    expect_status(api, fd, 201);
    close(fd);
}

struct bad {
    const char *request;
    unsigned status;
};

static void malformed_http_is_answered_and_closed(void **state)
{
    static const struct bad bad[] = {
        { "nonsense\r\n\r\n", 400 },
        { "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\nHost: x\n\n", 400 },
        { "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505 },
        { "GET nothing HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /#x HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501 },
        { "POST / HTTP/1.1\r\nHost: x\r\nExpect: cake\r\nContent-Length: 1\r\n\r\n", 417 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10485761\r\n\r\n", 413 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400 },
    };
    struct api *api = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = dial(api);
        struct reply reply;

        say_text(api, fd, bad[i].request);
        say_text(api, fd, "more that nobody reads");
        reply = hear_reply(api, fd);
        if (reply.status != bad[i].status)
            fail_msg("%s got %u", bad[i].request, reply.status);
        assert_non_null(strstr(reply.head, "\r\nConnection: close\r\n"));
        assert_true(json_is_string(json_object_get(reply.json, "message")));
        drop(&reply);
        assert_true(at_end(api, fd));
        close(fd);
    }
}

static void an_endless_head_is_cut_off(void **state)
{
    struct api *api = *state;
    int fd = dial(api);
    char fill[KG_ADMIN_HEAD_MAX];

    memset(fill, 'a', sizeof(fill));
    say_text(api, fd, "GET / HTTP/1.1\r\nHost: x\r\nX-Fill: ");
    say(api, fd, fill, sizeof(fill));
    expect_status(api, fd, 431);
    assert_true(at_end(api, fd));
    close(fd);
}

/* {"tags":["aaa…"]}: valid JSON of any size that the schema refuses, so that nothing is stored. */
static void a_body_of_ten_mebibytes_is_read_and_one_more_byte_is_not(void **state)
{
    struct api *api = *state;
    size_t size = KG_ADMIN_BODY_MAX;
    char *body = calloc(1, size + 1);

    memset(body, ' ', size);
    memcpy(body, "{}", 2);
    assert_int_equal(status_of(api, "POST", "/services", body), 400);
    for (int over = 0; over < 2; over++) {
        int fd = dial(api);
        char head[256];

        snprintf(head, sizeof(head),
                 "POST /services HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: "
                 "chunked\r\n"
                 "\r\n%zx\r\n",
                 size + (size_t)over);
        say_text(api, fd, head);
        say(api, fd, body, size);
        say_text(api, fd, over ? " \r\n" : "\r\n0\r\n\r\n");
        expect_status(api, fd, over ? 413 : 400);
        close(fd);
    }
    free(body);
}

static void a_stuck_client_stalls_nobody(void **state)
{
    static const char *const stuck[] = {
        "GET /ser",
        "POST /services HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
        "100\r\n\r\n{",
        "",
    };
    struct api *api = *state;
    int fds[3];

    for (size_t i = 0; i < 3; i++) {
        fds[i] = dial(api);
        say_text(api, fds[i], stuck[i]);
        kg_poller_step(api->poller, 0);
        expect_text(api, "GET", "/services", NULL, 200, EMPTY);
    }
    say_text(api, fds[0], "vices HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_status(api, fds[0], 200);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
}

static void a_client_that_does_not_read_stalls_nobody(void **state)
{
    struct api *api = *state;
    char body[4200] = "{\"host\":\"h\",\"path\":\"/";
    int fd = dial(api);
    size_t answers = 0;
    struct reply reply;

    memset(body + strlen(body), 'a', 4000);
    strncat(body, "\"}", 3);
    for (int i = 0; i < 20; i++)
        assert_int_equal(status_of(api, "POST", "/services", body), 201);
    for (int i = 0; i < 100; i++)
        say_text(api, fd, GET_ROOT);
    for (int i = 0; i < 100; i++)
        kg_poller_step(api->poller, 0);
    assert_int_equal(status_of(api, "GET", "/services", NULL), 200);
    for (; answers < 100; answers++) {
        reply = hear_reply(api, fd);
        assert_int_equal(json_array_size(json_object_get(reply.json, "data")), 20);
        drop(&reply);
    }
    close(fd);
}

/* Time is not waited for: the one connection's deadline is moved into the past. */
static void let_time_pass(struct api *api)
{
    for (size_t i = 0; i < KG_ADMIN_CONNECTIONS; i++) {
        if (api->admin->conns[i])
            api->admin->conns[i]->deadline = 1;
    }
}

static void a_slow_head_or_body_is_told_408(void **state)
{
    static const char *const slow[] = { "GET /ser",
                                        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1" };
    struct api *api = *state;

    for (size_t i = 0; i < 2; i++) {
        int fd = dial(api);

        say_text(api, fd, slow[i]);
        kg_poller_step(api->poller, 1000);
        kg_poller_step(api->poller, 0);
        let_time_pass(api);
        expect_status(api, fd, 408);
        assert_true(at_end(api, fd));
        close(fd);
    }
}

static void an_idle_connection_is_closed(void **state)
{
    struct api *api = *state;
    int fd = dial(api);

    say_text(api, fd, GET_ROOT);
    expect_status(api, fd, 200);
    let_time_pass(api);
    assert_true(at_end(api, fd));
    close(fd);
}

static void a_slow_head_gets_less_time_than_an_idle_connection(void **state)
{
    struct api *api = *state;
    int fd = dial(api);
    struct kg_conn *conn;

    while (!api->admin->conns[0])
        kg_poller_step(api->poller, 100);
    conn = api->admin->conns[0];
    assert_in_range(conn->deadline, kg_clock_ms() + 29000, kg_clock_ms() + 30000);
    say_text(api, fd, "G");
    while (conn->used < 1)
        kg_poller_step(api->poller, 100);
    assert_in_range(conn->deadline, kg_clock_ms() + 9000, kg_clock_ms() + 10000);
    close(fd);
}

static void the_connection_too_many_takes_an_idle_ones_place(void **state)
{
    struct api *api = *state;
    int fds[KG_ADMIN_CONNECTIONS + 1];

    for (size_t i = 0; i < KG_ADMIN_CONNECTIONS; i++) {
        fds[i] = dial(api);
        say_text(api, fds[i], i == 0 ? "GET /" : GET_ROOT);
        if (i > 0)
            expect_status(api, fds[i], 200);
    }
    fds[KG_ADMIN_CONNECTIONS] = dial(api);
    say_text(api, fds[KG_ADMIN_CONNECTIONS], GET_ROOT);
    expect_status(api, fds[KG_ADMIN_CONNECTIONS], 200);
    assert_true(at_end(api, fds[1]));
    say_text(api, fds[0], "services HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_status(api, fds[0], 200);
    for (size_t i = 0; i <= KG_ADMIN_CONNECTIONS; i++)
        close(fds[i]);
}

static void when_all_connections_work_one_more_is_told_503(void **state)
{
    struct api *api = *state;
    int fds[KG_ADMIN_CONNECTIONS];
    int last;

    for (size_t i = 0; i < KG_ADMIN_CONNECTIONS; i++) {
        fds[i] = dial(api);
        say_text(api, fds[i], "GET /");
        while (!api->admin->conns[i] || api->admin->conns[i]->used == 0)
            kg_poller_step(api->poller, 100);
    }
    last = dial(api);
    expect_status(api, last, 503);
    close(last);
    for (size_t i = 0; i < KG_ADMIN_CONNECTIONS; i++)
        close(fds[i]);
}

/* Who a child becomes before it asks. */
struct stranger {
    gid_t gid;
    gid_t supplementary;
};

/* In the child: asks as somebody else, and gives the first bytes of the answer to the parent. */
static void ask_as(const struct api *api, const struct stranger *who, int out)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[512];
    ssize_t n;

    memcpy(address.sun_path, api->socket, strlen(api->socket));
    if (setgroups(who->supplementary ? 1 : 0, &who->supplementary) < 0 ||
        setresgid(who->gid, who->gid, who->gid) < 0 || setresuid(65534, 65534, 65534) < 0)
        _exit(1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        _exit(2);
    if (write(fd, GET_ROOT, strlen(GET_ROOT)) < 0)
        _exit(3);
    n = recv(fd, answer, sizeof(answer), 0);
    _exit(n > 0 && write(out, answer, (size_t)n) == n ? 0 : 4);
}

static unsigned status_as(struct api *api, const struct stranger *who)
{
    int pipes[2], status;
    char answer[513] = "";
    unsigned code = 0;
    pid_t child;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(api->dir, 0755), 0);
    assert_int_equal(chmod(api->socket, 0666), 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    child = fork();
    if (child == 0)
        ask_as(api, who, pipes[1]);
    close(pipes[1]);
    while (read(pipes[0], answer, sizeof(answer) - 1) < 0) {
        assert_int_equal(errno, EAGAIN);
        kg_poller_step(api->poller, 10);
    }
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(sscanf(answer, "HTTP/1.1 %u ", &code), 1);
    return code;
}

static void strangers_are_told_403(void **state)
{
    assert_int_equal(status_as(*state, &(struct stranger){ .gid = 65534 }), 403);
}

static int set_up_group(void **state)
{
    static struct api api;

    memset(&api, 0, sizeof(api));
    api.group = "daemon";
    start_api(&api);
    *state = &api;
    return 0;
}

static void members_of_the_group_are_answered(void **state)
{
    const struct group *group = getgrnam("daemon");

    assert_non_null(group);
    assert_int_equal(status_as(*state, &(struct stranger){ .gid = group->gr_gid }), 200);
    assert_int_equal(status_as(*state, &(struct stranger){ .gid = 65534, .supplementary = group->gr_gid }),
                     200);
    assert_int_equal(status_as(*state, &(struct stranger){ .gid = 65534 }), 403);
}

static void the_socket_is_for_the_group_alone(void **state)
{
    struct api *api = *state;
    char folder[96];
    struct stat st;

    assert_int_equal(stat(api->socket, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(st.st_gid, getgrnam("daemon")->gr_gid);
    snprintf(folder, sizeof(folder), "%s/run", api->dir);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void a_live_socket_is_never_taken_over(void **state)
{
    struct api *api = *state;
    struct kg_admin *second = NULL;
    struct kg_error err = { "" };

    assert_int_equal(open_api(api, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, api->socket));
    expect_text(api, "GET", "/services", NULL, 200, EMPTY);
}

static void a_stale_socket_is_replaced(void **state)
{
    struct api *api = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct kg_error err = { "" };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    kg_admin_close(api->admin);
    memcpy(address.sun_path, api->socket, strlen(api->socket));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    assert_int_equal(access(api->socket, F_OK), 0);
    assert_int_equal(open_api(api, &api->admin, &err), 0);
    expect_text(api, "GET", "/services", NULL, 200, EMPTY);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    struct api *api = *state;
    struct kg_error err = { "" };
    struct stat st;
    FILE *file;

    kg_admin_close(api->admin);
    api->admin = NULL;
    file = fopen(api->socket, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(open_api(api, &api->admin, &err), -EEXIST);
    assert_int_equal(stat(api->socket, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void closing_removes_its_own_socket_and_no_other(void **state)
{
    struct api *api = *state;
    struct kg_admin *second = NULL;
    struct kg_error err = { "" };

    assert_int_equal(unlink(api->socket), 0);
    assert_int_equal(open_api(api, &second, &err), 0);
    kg_admin_close(api->admin);
    api->admin = second;
    expect_text(api, "GET", "/services", NULL, 200, EMPTY);
    kg_admin_close(api->admin);
    api->admin = NULL;
    assert_int_equal(access(api->socket, F_OK), -1);
}

static void a_path_that_is_too_long_is_told(void **state)
{
    struct api *api = *state;
    struct kg_error err = { "" };
    char path[200];
    struct kg_admin_config config = { .socket_path = path, .group = "root" };
    struct kg_admin_parts parts = {
        .poller = api->poller, .store = api->store, .model = api->model, .publish = count_publish
    };
    struct kg_admin *admin = NULL;

    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(kg_admin_open(&config, &parts, &admin, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.text, "admin.socket"));
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_GROUP(name) cmocka_unit_test_setup_teardown(name, set_up_group, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_serves_many_requests),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(a_request_may_come_byte_by_byte),
        TEST(the_connection_ends_when_the_client_wants_it),
        TEST(an_expectation_is_met_before_the_body),
        TEST(malformed_http_is_answered_and_closed),
        TEST(an_endless_head_is_cut_off),
        TEST(a_body_of_ten_mebibytes_is_read_and_one_more_byte_is_not),
        TEST(a_stuck_client_stalls_nobody),
        TEST(a_client_that_does_not_read_stalls_nobody),
        TEST(a_slow_head_or_body_is_told_408),
        TEST(an_idle_connection_is_closed),
        TEST(a_slow_head_gets_less_time_than_an_idle_connection),
        TEST(the_connection_too_many_takes_an_idle_ones_place),
        TEST(when_all_connections_work_one_more_is_told_503),
        TEST(strangers_are_told_403),
        TEST_GROUP(members_of_the_group_are_answered),
        TEST_GROUP(the_socket_is_for_the_group_alone),
        TEST(a_live_socket_is_never_taken_over),
        TEST(a_stale_socket_is_replaced),
        TEST(what_is_no_socket_is_left_alone),
        TEST(closing_removes_its_own_socket_and_no_other),
        TEST(a_path_that_is_too_long_is_told),
    };

    kg_policies_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
