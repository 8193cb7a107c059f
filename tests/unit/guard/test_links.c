/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading, attaching, taking over, refusing, detaching: on a veth pair and loopback of a network namespace of
 * our own. */
#include "fixture.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

/* A program that is not ours. */
static int foreign_program(void)
{
    const struct bpf_insn pass[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
        { .code = BPF_JMP | BPF_EXIT },
    };
    int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "somebody_elses", "GPL", pass, 2, NULL);

    assert_true(fd >= 0);
    return fd;
}

static uint32_t program_on(const char *interface, bool *native)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    assert_int_equal(bpf_xdp_query((int)if_nametoindex(interface), 0, &query), 0);
    if (native)
        *native = query.attach_mode == XDP_ATTACHED_DRV;
    return query.prog_id ? query.prog_id : query.drv_prog_id | query.skb_prog_id;
}

static uint32_t pinned_id(const struct fixture *f)
{
    struct bpf_prog_info info = { 0 };
    uint32_t len = sizeof(info);
    int fd = pinned(f, "prog");

    assert_true(fd >= 0);
    assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
    close(fd);
    return info.id;
}

static bool is_pinned(const struct fixture *f, const char *name)
{
    int fd = pinned(f, name);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static unsigned files_in(const char *dir)
{
    DIR *list = opendir(dir);
    unsigned count = 0;

    if (!list)
        return 0;
    for (struct dirent *d; (d = readdir(list));)
        count += d->d_name[0] != '.';
    closedir(list);
    return count;
}

static const struct kg_guard_interface *shown(const struct fixture *f, size_t i)
{
    const struct kg_guard_interface *list;

    assert_true(kg_guard_interfaces(f->guard, &list) > i);
    return &list[i];
}

static void a_veth_gets_the_program_natively_and_keeps_it_without_us(void **state)
{
    struct fixture *f = *state;
    bool native;

    use_interface(f, "kg0", KG_XDP_AUTO);
    must_open(f);
    assert_true(shown(f, 0)->attached);
    assert_true(shown(f, 0)->native);
    assert_string_equal(shown(f, 0)->note, "");
    assert_int_equal(program_on("kg0", &native), pinned_id(f));
    assert_true(native);
    close_guard(f);
    assert_int_equal(program_on("kg0", NULL), pinned_id(f));
    assert_true(is_pinned(f, "link_kg0"));
}

static void the_folder_holds_the_maps_the_program_and_the_links_and_nothing_else(void **state)
{
    static const char *const names[] = { "ban_v4",         "ban_v6",    "allow_net4", "allow_net6",
                                         "consumer_stats", "xdp_stats", "prog",       "link_kg0" };
    struct fixture *f = *state;
    struct stat st;

    use_interface(f, "kg0", KG_XDP_AUTO);
    must_open(f);
    for (size_t i = 0; i < 8; i++)
        assert_true(is_pinned(f, names[i]));
    assert_int_equal(files_in(f->bpf_dir), 8);
    assert_int_equal(stat(f->bpf_dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void loopback_falls_back_to_generic_and_says_why(void **state)
{
    struct fixture *f = *state;
    bool native;

    use_interface(f, "lo", KG_XDP_AUTO);
    must_open(f);
    assert_true(shown(f, 0)->attached);
    assert_false(shown(f, 0)->native);
    assert_non_null(strstr(shown(f, 0)->note, "native"));
    assert_int_equal(program_on("lo", &native), pinned_id(f));
    assert_false(native);
}

static void native_mode_refuses_instead_of_falling_back(void **state)
{
    struct fixture *f = *state;

    use_interface(f, "kg0", KG_XDP_NATIVE);
    use_interface(f, "lo", KG_XDP_NATIVE);
    assert_int_equal(open_guard(f), -EOPNOTSUPP);
    assert_non_null(strstr(f->err.text, "lo"));
    /* All or nothing: the first interface is let go again. */
    assert_int_equal(program_on("kg0", NULL), 0);
    assert_int_equal(access(f->bpf_dir, F_OK), -1);
}

static void generic_mode_is_generic_even_where_native_would_do(void **state)
{
    struct fixture *f = *state;
    bool native;

    use_interface(f, "kg0", KG_XDP_GENERIC);
    must_open(f);
    assert_int_not_equal(program_on("kg0", &native), 0);
    assert_false(native);
    assert_false(shown(f, 0)->native);
}

static void an_interface_that_does_not_exist_is_refused_by_name(void **state)
{
    struct fixture *f = *state;

    use_interface(f, "kg0", KG_XDP_AUTO);
    use_interface(f, "nosuch9", KG_XDP_AUTO);
    assert_int_equal(open_guard(f), -ENODEV);
    assert_non_null(strstr(f->err.text, "nosuch9"));
    assert_int_equal(program_on("kg0", NULL), 0);
    assert_int_equal(access(f->bpf_dir, F_OK), -1);
}

static void an_interface_listed_twice_is_refused(void **state)
{
    struct fixture *f = *state;

    use_interface(f, "kg0", KG_XDP_AUTO);
    use_interface(f, "kg0", KG_XDP_AUTO);
    assert_int_equal(open_guard(f), -EINVAL);
    assert_non_null(strstr(f->err.text, "kg0"));
}

static void a_program_of_somebody_else_is_refused_by_name_and_left_alone(void **state)
{
    struct fixture *f = *state;
    int fd = foreign_program();
    char id[32];

    assert_int_equal(bpf_xdp_attach((int)if_nametoindex("kg0"), fd, XDP_FLAGS_DRV_MODE, NULL), 0);
    uint32_t theirs = program_on("kg0", NULL);
    use_interface(f, "lo", KG_XDP_AUTO);
    use_interface(f, "kg0", KG_XDP_AUTO);
    assert_int_equal(open_guard(f), -EBUSY);
    snprintf(id, sizeof(id), "id %u", theirs);
    assert_non_null(strstr(f->err.text, "kg0"));
    assert_non_null(strstr(f->err.text, "somebody_elses"));
    assert_non_null(strstr(f->err.text, id));
    assert_int_equal(program_on("kg0", NULL), theirs);
    assert_int_equal(program_on("lo", NULL), 0);
    assert_int_equal(bpf_xdp_detach((int)if_nametoindex("kg0"), XDP_FLAGS_DRV_MODE, NULL), 0);
    close(fd);
}

static void a_failed_start_leaves_an_earlier_one_in_force(void **state)
{
    struct fixture *f = *state;
    struct kg_addr a = addr("198.51.100.7");
    int fd = foreign_program();

    use_interface(f, "kg0", KG_XDP_AUTO);
    must_open(f);
    assert_int_equal(kg_guard_ban(f->guard, &a, 300, NULL, &f->err), 0);
    uint32_t id = pinned_id(f);
    close_guard(f);
    assert_int_equal(bpf_xdp_attach((int)if_nametoindex("lo"), fd, XDP_FLAGS_SKB_MODE, NULL), 0);
    use_interface(f, "lo", KG_XDP_AUTO);
    f->config.max_bans = 128;
    assert_int_equal(open_guard(f), -EBUSY);
    assert_int_equal(program_on("kg0", NULL), id);
    assert_int_equal(pinned_id(f), id);
    assert_true(is_banned(f, "198.51.100.7"));
    assert_int_equal(files_in(f->bpf_dir), 8);
    assert_int_equal(bpf_xdp_detach((int)if_nametoindex("lo"), XDP_FLAGS_SKB_MODE, NULL), 0);
    close(fd);
}

/* The last interface fails while the program on the first has been replaced already. */
static void a_start_that_fails_while_attaching_puts_the_old_program_back(void **state)
{
    struct fixture *f = *state;
    bool native;

    use_interface(f, "kg0", KG_XDP_AUTO);
    must_open(f);
    uint32_t id = pinned_id(f);
    close_guard(f);
    use_interface(f, "lo", KG_XDP_NATIVE);
    assert_int_equal(open_guard(f), -EOPNOTSUPP);
    assert_int_equal(program_on("kg0", &native), id);
    assert_true(native);
    assert_int_equal(program_on("lo", NULL), 0);
    assert_int_equal(files_in(f->bpf_dir), 8);
    /* And the same when the first had to change its mode. */
    f->config.interface_count = 0;
    use_interface(f, "kg0", KG_XDP_GENERIC);
    must_open(f);
    id = pinned_id(f);
    close_guard(f);
    use_interface(f, "lo", KG_XDP_NATIVE);
    assert_int_equal(open_guard(f), -EOPNOTSUPP);
    assert_int_equal(program_on("kg0", &native), id);
    assert_false(native);
    assert_int_equal(files_in(f->bpf_dir), 8);
}

static void a_restart_swaps_the_program_on_the_same_link(void **state)
{
    struct fixture *f = *state;
    struct bpf_link_info before = { 0 }, after = { 0 };
    uint32_t len = sizeof(before);

    use_interface(f, "kg0", KG_XDP_AUTO);
    must_open(f);
    int fd = pinned(f, "link_kg0");
    assert_int_equal(bpf_obj_get_info_by_fd(fd, &before, &len), 0);
    restart(f);
    assert_int_equal(bpf_obj_get_info_by_fd(fd, &after, &len), 0);
    assert_int_equal(after.xdp.ifindex, before.xdp.ifindex);
    assert_int_not_equal(after.prog_id, before.prog_id);
    assert_int_equal(after.prog_id, pinned_id(f));
    assert_int_equal(program_on("kg0", NULL), after.prog_id);
    assert_true(shown(f, 0)->attached);
    assert_true(shown(f, 0)->native);
    close(fd);
}

static void a_changed_mode_takes_effect_at_the_next_start(void **state)
{
    struct fixture *f = *state;
    bool native;

    use_interface(f, "kg0", KG_XDP_GENERIC);
    must_open(f);
    f->config.mode = KG_XDP_NATIVE;
    restart(f);
    assert_int_equal(program_on("kg0", &native), pinned_id(f));
    assert_true(native);
    f->config.mode = KG_XDP_GENERIC;
    restart(f);
    assert_int_equal(program_on("kg0", &native), pinned_id(f));
    assert_false(native);
    f->config.mode = KG_XDP_AUTO; /* no gap for the sake of speed */
    restart(f);
    assert_int_equal(program_on("kg0", &native), pinned_id(f));
    assert_false(native);
    assert_int_equal(files_in(f->bpf_dir), 8);
}

static void interfaces_no_longer_configured_are_detached(void **state)
{
    struct fixture *f = *state;

    use_interface(f, "kg0", KG_XDP_AUTO);
    use_interface(f, "kg1", KG_XDP_AUTO);
    must_open(f);
    assert_int_equal(program_on("kg1", NULL), pinned_id(f));
    f->config.interface_count = 1;
    restart(f);
    assert_int_equal(program_on("kg0", NULL), pinned_id(f));
    assert_int_equal(program_on("kg1", NULL), 0);
    assert_false(is_pinned(f, "link_kg1"));
    f->config.interface_count = 0;
    restart(f);
    assert_int_equal(program_on("kg0", NULL), 0);
    assert_true(is_pinned(f, "ban_v4"));
}

static void a_device_that_was_made_anew_gets_a_new_link(void **state)
{
    struct fixture *f = *state;

    shell("ip link add kg2 type veth peer name kg3");
    use_interface(f, "kg2", KG_XDP_AUTO);
    must_open(f);
    shell("ip link del kg2 && ip link add kg2 type veth peer name kg3");
    kg_guard_tick(f->guard, NULL, 0, kg_clock_ms());
    assert_false(shown(f, 0)->attached);
    assert_non_null(strstr(shown(f, 0)->note, "gone"));
    restart(f);
    assert_int_equal(program_on("kg2", NULL), pinned_id(f));
    assert_true(shown(f, 0)->attached);
    assert_int_equal(files_in(f->bpf_dir), 8);
    shell("ip link del kg2");
}

static void a_renamed_device_keeps_its_link_under_the_new_name(void **state)
{
    struct fixture *f = *state;

    shell("ip link add kg2 type veth peer name kg3");
    use_interface(f, "kg2", KG_XDP_AUTO);
    must_open(f);
    close_guard(f);
    shell("ip link set kg2 name kg9");
    f->config.interface_count = 0;
    use_interface(f, "kg9", KG_XDP_AUTO);
    must_open(f);
    assert_int_equal(program_on("kg9", NULL), pinned_id(f));
    assert_true(is_pinned(f, "link_kg9"));
    assert_false(is_pinned(f, "link_kg2"));
    shell("ip link del kg9");
}

static void a_device_with_a_dot_in_its_name_can_be_pinned(void **state)
{
    struct fixture *f = *state;

    shell("ip link add kg2.100 type veth peer name kg3");
    use_interface(f, "kg2.100", KG_XDP_AUTO);
    must_open(f);
    assert_int_equal(program_on("kg2.100", NULL), pinned_id(f));
    assert_true(is_pinned(f, "link_kg2:100"));
    restart(f);
    assert_int_equal(program_on("kg2.100", NULL), pinned_id(f));
    close_guard(f);
    assert_int_equal(kg_guard_detach(f->bpf_dir, &f->err), 0);
    assert_int_equal(program_on("kg2.100", NULL), 0);
    shell("ip link del kg2.100");
}

static void what_a_killed_start_left_behind_is_cleared(void **state)
{
    struct fixture *f = *state;
    char command[300];

    use_interface(f, "kg0", KG_XDP_AUTO);
    must_open(f);
    close_guard(f);
    /* As if it had been killed between pinning and renaming. */
    snprintf(command, sizeof(command), "cd %s && mv link_kg0 new:link_kg0 && mv ban_v4 new:ban_v4",
             f->bpf_dir);
    shell(command);
    must_open(f);
    assert_int_equal(program_on("kg0", NULL), pinned_id(f));
    assert_true(is_pinned(f, "link_kg0"));
    assert_int_equal(files_in(f->bpf_dir), 8);
}

static void detaching_leaves_nothing_while_no_daemon_runs(void **state)
{
    struct fixture *f = *state;

    use_interface(f, "kg0", KG_XDP_AUTO);
    must_open(f);
    close_guard(f);
    assert_int_equal(kg_guard_detach(f->bpf_dir, &f->err), 0);
    assert_int_equal(program_on("kg0", NULL), 0);
    assert_int_equal(access(f->bpf_dir, F_OK), -1);
    assert_int_equal(kg_guard_detach(f->bpf_dir, &f->err), 0);
}

static void detaching_works_beside_a_running_daemon_which_notices(void **state)
{
    struct fixture *f = *state;
    struct kg_addr a = addr("198.51.100.7");
    int status;

    use_interface(f, "kg0", KG_XDP_AUTO);
    must_open(f);
    pid_t child = fork();
    if (child == 0)
        _exit(kg_guard_detach(f->bpf_dir, &f->err) ? 1 : 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(program_on("kg0", NULL), 0);
    assert_int_equal(access(f->bpf_dir, F_OK), -1);
    kg_guard_tick(f->guard, NULL, 0, kg_clock_ms());
    assert_false(shown(f, 0)->attached);
    assert_int_equal(kg_guard_ban(f->guard, &a, 300, NULL, &f->err), 0);
}

static void detaching_spares_files_of_others_and_says_so(void **state)
{
    struct fixture *f = *state;
    char path[160];
    int fd = foreign_program();

    must_open(f);
    snprintf(path, sizeof(path), "%s/theirs", f->bpf_dir);
    assert_int_equal(bpf_obj_pin(fd, path), 0);
    assert_int_equal(kg_guard_detach(f->bpf_dir, &f->err), -ENOTEMPTY);
    assert_int_equal(files_in(f->bpf_dir), 1);
    assert_int_equal(unlink(path), 0);
    close(fd);
}

static void a_folder_off_the_bpf_file_system_is_refused(void **state)
{
    struct fixture *f = *state;

    f->config.bpf_dir = f->state;
    assert_int_equal(open_guard(f), -EINVAL);
    assert_non_null(strstr(f->err.text, f->state));
    assert_int_equal(kg_guard_detach(f->state, &f->err), -EINVAL);
}

static void without_privilege_it_says_what_is_needed(void **state)
{
    struct fixture *f = *state;
    char said[sizeof(f->err.text)] = "";
    int ends[2], status;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        int rc = setresuid(65534, 65534, 65534) ? 0 : open_guard(f);

        if (write(ends[1], f->err.text, sizeof(f->err.text)) < 0)
            _exit(2);
        _exit(rc == -EPERM ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(read(ends[0], said, sizeof(said)) > 0);
    assert_non_null(strstr(said, "root"));
    close(ends[0]);
    close(ends[1]);
}

/* A UDP packet of that source put on the wire at kg1; it arrives at kg0. */
static void send_from(const char *source, unsigned times)
{
    uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  9,
                          8,    0,    0x45, 0,    0,    46,   0, 1, 0, 0, 64, 17 };
    struct sockaddr_ll to = { .sll_family = AF_PACKET,
                              .sll_ifindex = (int)if_nametoindex("kg1"),
                              .sll_halen = 6 };
    struct kg_addr a = addr(source);
    int fd = socket(AF_PACKET, SOCK_RAW, 0);

    assert_true(fd >= 0);
    memcpy(frame + 26, a.bytes, 4);
    memcpy(frame + 30, (uint8_t[4]){ 192, 0, 2, 1 }, 4);
    for (unsigned i = 0; i < times; i++)
        assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)),
                         sizeof(frame));
    close(fd);
}

static struct kg_xdp_count dropped(const struct fixture *f)
{
    struct kg_xdp_count counts[KG_XDP_VERDICTS];

    kg_guard_xdp_counts(f->guard, counts);
    return counts[KG_XDP_DROP_BAN4];
}

static void wait_for_drops(const struct fixture *f, uint64_t packets)
{
    uint64_t deadline = kg_clock_ms() + 5000;

    while (dropped(f).packets < packets && kg_clock_ms() < deadline)
        sched_yield();
    assert_int_equal(dropped(f).packets, packets);
    assert_int_equal(dropped(f).bytes, packets * 60);
}

static void check_wire(struct fixture *f, enum kg_xdp_mode mode)
{
    struct kg_addr a = addr("198.51.100.7");
    struct kg_ban_info info;

    use_interface(f, "kg0", mode);
    must_open(f);
    send_from("198.51.100.7", 5);
    assert_int_equal(kg_guard_ban(f->guard, &a, 300, NULL, &f->err), 0);
    send_from("198.51.100.8", 5);
    send_from("198.51.100.7", 3);
    wait_for_drops(f, 3);
    assert_int_equal(kg_guard_ban_get(f->guard, &a, &info), 0);
    assert_int_equal(info.drops, 3);
    close_guard(f);
    send_from("198.51.100.7", 4); /* nobody is there, the ban still is */
    must_open(f);
    wait_for_drops(f, 7);
}

static void banned_packets_are_dropped_on_the_wire_natively(void **state)
{
    check_wire(*state, KG_XDP_NATIVE);
}

static void banned_packets_are_dropped_on_the_wire_generically(void **state)
{
    check_wire(*state, KG_XDP_GENERIC);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_new, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_veth_gets_the_program_natively_and_keeps_it_without_us),
        T(the_folder_holds_the_maps_the_program_and_the_links_and_nothing_else),
        T(loopback_falls_back_to_generic_and_says_why),
        T(native_mode_refuses_instead_of_falling_back),
        T(generic_mode_is_generic_even_where_native_would_do),
        T(an_interface_that_does_not_exist_is_refused_by_name),
        T(an_interface_listed_twice_is_refused),
        T(a_program_of_somebody_else_is_refused_by_name_and_left_alone),
        T(a_failed_start_leaves_an_earlier_one_in_force),
        T(a_start_that_fails_while_attaching_puts_the_old_program_back),
        T(a_restart_swaps_the_program_on_the_same_link),
        T(a_changed_mode_takes_effect_at_the_next_start),
        T(interfaces_no_longer_configured_are_detached),
        T(a_device_that_was_made_anew_gets_a_new_link),
        T(a_renamed_device_keeps_its_link_under_the_new_name),
        T(a_device_with_a_dot_in_its_name_can_be_pinned),
        T(what_a_killed_start_left_behind_is_cleared),
        T(detaching_leaves_nothing_while_no_daemon_runs),
        T(detaching_works_beside_a_running_daemon_which_notices),
        T(detaching_spares_files_of_others_and_says_so),
        T(a_folder_off_the_bpf_file_system_is_refused),
        T(without_privilege_it_says_what_is_needed),
        T(banned_packets_are_dropped_on_the_wire_natively),
        T(banned_packets_are_dropped_on_the_wire_generically),
    };

    return cmocka_run_group_tests(tests, own_namespaces, NULL);
}
