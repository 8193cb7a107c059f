/* SPDX-License-Identifier: BSD-2-Clause */
/* Bans from signals and from operators, what can never be banned, what outlives a restart. */
#include "fixture.h"

#include <sqlite3.h>

static void signal_from(struct fixture *f, const char *source, enum kg_signal_kind kind, unsigned times)
{
    struct kg_signal signal = { .source = addr(source), .kind = kind };

    for (unsigned i = 0; i < times; i++)
        kg_guard_signal(f->guard, &signal);
}

static struct kg_ban_info info_of(struct fixture *f, const char *source)
{
    struct kg_addr a = addr(source);
    struct kg_ban_info info = { 0 };

    assert_int_equal(kg_guard_ban_get(f->guard, &a, &info), 0);
    return info;
}

static int ban(struct fixture *f, const char *source, uint32_t lifetime_s)
{
    struct kg_addr a = addr(source);
    struct kg_ban_info info;

    f->err.text[0] = '\0';
    return kg_guard_ban(f->guard, &a, lifetime_s, &info, &f->err);
}

static int unban(struct fixture *f, const char *source)
{
    struct kg_addr a = addr(source);

    return kg_guard_unban(f->guard, &a, &f->err);
}

static void tick_at(struct fixture *f, uint64_t later_s)
{
    kg_guard_tick(f->guard, NULL, 0, kg_clock_ms() + later_s * 1000);
}

static void failures_ban_at_the_threshold_in_kernel_store_and_workers(void **state)
{
    struct fixture *f = *state;
    struct kg_ban_record record;
    struct kg_addr a = addr("198.51.100.7");
    struct kg_ban value;

    kg_guard_on_ban(f->guard, tell, NULL);
    signal_from(f, "198.51.100.7", KG_SIGNAL_WRONG_KEY, 2);
    assert_int_equal(kg_guard_ban_get(f->guard, &a, &(struct kg_ban_info){ 0 }), -ENOENT);
    assert_int_equal(told.calls, 0);
    uint64_t now_ns = kg_clock_ns();
    signal_from(f, "198.51.100.7", KG_SIGNAL_MISSING_KEY, 1);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    assert_int_equal(value.reason, KG_BAN_WRONG_KEY);
    assert_in_range(value.expires_ns, now_ns + 100000000000ull, now_ns + 101000000000ull);
    assert_int_equal(kg_store_get_ban(f->store, &a, &record), 0);
    assert_true(record.active);
    assert_int_equal(record.expires - record.since, 100);
    assert_int_equal(told.calls, 1);
    assert_true(kg_addr_eq(&told.source, &a));
    assert_in_range(told.until_ms, value.expires_ns / 1000000, value.expires_ns / 1000000 + 1);
    struct kg_ban_info info = info_of(f, "198.51.100.7");
    assert_int_equal(info.offences, 1);
    assert_int_equal(info.expires, record.expires);
}

static void what_is_not_http_is_its_own_reason(void **state)
{
    struct fixture *f = *state;

    signal_from(f, "198.51.100.7", KG_SIGNAL_MALFORMED, 3);
    assert_int_equal(info_of(f, "198.51.100.7").reason, KG_BAN_MALFORMED);
    assert_string_equal(kg_ban_reason_name(KG_BAN_MALFORMED), "malformed");
}

static void ipv6_failures_count_and_ban_by_64(void **state)
{
    struct fixture *f = *state;
    struct kg_ban value;

    signal_from(f, "2001:db8:5:6::1", KG_SIGNAL_WRONG_KEY, 1);
    signal_from(f, "2001:db8:5:6::2", KG_SIGNAL_WRONG_KEY, 1);
    signal_from(f, "2001:db8:5:7::1", KG_SIGNAL_WRONG_KEY, 2);
    signal_from(f, "2001:db8:5:6:ffff::3", KG_SIGNAL_WRONG_KEY, 1);
    assert_true(in_kernel(f, "2001:db8:5:6:1234::", &value));
    assert_false(in_kernel(f, "2001:db8:5:7::1", &value));
    assert_int_equal(info_of(f, "2001:db8:5:6:abcd::1").offences, 1);
}

static void signals_that_come_after_the_ban_are_no_new_offence(void **state)
{
    struct fixture *f = *state;

    kg_guard_on_ban(f->guard, tell, NULL);
    signal_from(f, "198.51.100.7", KG_SIGNAL_WRONG_KEY, 50);
    assert_int_equal(told.calls, 1);
    assert_int_equal(info_of(f, "198.51.100.7").offences, 1);
}

static void ban_time_doubles_with_each_offence_up_to_the_maximum(void **state)
{
    static const int64_t lifetimes[] = { 100, 200, 400, 500, 500 };
    struct fixture *f = *state;

    for (uint32_t i = 0; i < 5; i++) {
        signal_from(f, "198.51.100.7", KG_SIGNAL_WRONG_KEY, 3);
        struct kg_ban_info info = info_of(f, "198.51.100.7");
        assert_int_equal(info.offences, i + 1);
        assert_int_equal(info.expires - info.since, lifetimes[i]);
        assert_int_equal(unban(f, "198.51.100.7"), 0);
    }
}

static void an_offence_longer_ago_than_the_memory_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct kg_ban_record record = { .source = addr("198.51.100.7"),
                                    .reason = KG_BAN_WRONG_KEY,
                                    .offences = 9 };

    record.expires = kg_clock_wall() - f->config.memory_s + 5;
    record.since = record.expires - 100;
    assert_int_equal(kg_store_put_ban(f->store, &record, &f->err), 0);
    signal_from(f, "198.51.100.7", KG_SIGNAL_WRONG_KEY, 3);
    assert_int_equal(info_of(f, "198.51.100.7").offences, 10);
    record.source = addr("198.51.100.8");
    record.expires -= 10;
    assert_int_equal(kg_store_put_ban(f->store, &record, &f->err), 0);
    signal_from(f, "198.51.100.8", KG_SIGNAL_WRONG_KEY, 3);
    assert_int_equal(info_of(f, "198.51.100.8").offences, 1);
}

static void a_threshold_of_zero_never_bans(void **state)
{
    struct fixture *f = *state;

    close_guard(f);
    f->config.threshold = 0;
    must_open(f);
    signal_from(f, "198.51.100.7", KG_SIGNAL_WRONG_KEY, 1000);
    assert_false(is_banned(f, "198.51.100.7"));
}

static void an_operator_bans_for_a_time_or_for_ever(void **state)
{
    struct fixture *f = *state;
    struct kg_ban value;

    assert_int_equal(ban(f, "198.51.100.7", 300), 0);
    struct kg_ban_info info = info_of(f, "198.51.100.7");
    assert_int_equal(info.reason, KG_BAN_MANUAL);
    assert_int_equal(info.expires - info.since, 300);
    assert_int_equal(ban(f, "198.51.100.7", 0), 0);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    assert_int_equal(value.expires_ns, 0);
    info = info_of(f, "198.51.100.7");
    assert_int_equal(info.expires, 0);
    assert_int_equal(info.offences, 1);
}

static void a_changed_ban_keeps_its_beginning_and_its_drops(void **state)
{
    struct fixture *f = *state;
    struct kg_addr a = addr("198.51.100.7");
    struct kg_ban value;
    int fd = pinned(f, "ban_v4");

    assert_int_equal(ban(f, "198.51.100.7", 300), 0);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    uint64_t since = value.since_ns;
    value.drops = 12345;
    assert_int_equal(bpf_map_update_elem(fd, a.bytes, &value, BPF_EXIST), 0);
    assert_int_equal(ban(f, "198.51.100.7", 600), 0);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    assert_int_equal(value.drops, 12345);
    assert_int_equal(value.since_ns, since);
    assert_int_equal(info_of(f, "198.51.100.7").drops, 12345);
    close(fd);
}

static void lifting_a_ban_takes_it_out_everywhere(void **state)
{
    struct fixture *f = *state;
    struct kg_ban_record record;
    struct kg_addr a = addr("198.51.100.7");

    kg_guard_on_ban(f->guard, tell, NULL);
    assert_int_equal(unban(f, "198.51.100.7"), -ENOENT);
    assert_int_equal(ban(f, "198.51.100.7", 300), 0);
    assert_int_equal(unban(f, "198.51.100.7"), 0);
    assert_false(is_banned(f, "198.51.100.7"));
    assert_int_equal(told.calls, 2);
    assert_int_equal(told.until_ms, 1);
    assert_int_equal(kg_store_get_ban(f->store, &a, &record), 0);
    assert_false(record.active);
    assert_int_equal(unban(f, "198.51.100.7"), -ENOENT);
}

static void assert_never_banned(struct fixture *f, const char *source)
{
    assert_int_equal(ban(f, source, 300), -EPERM);
    assert_true(strlen(f->err.text) > 0);
    signal_from(f, source, KG_SIGNAL_WRONG_KEY, 10);
    assert_false(is_banned(f, source));
}

static void the_host_itself_can_never_be_banned(void **state)
{
    struct fixture *f = *state;

    assert_never_banned(f, "127.0.0.1");
    assert_never_banned(f, "127.9.9.9");
    assert_never_banned(f, "::1");
    assert_never_banned(f, "192.0.2.1");
    assert_never_banned(f, "2001:db8:77::1");
    assert_never_banned(f, "2001:db8:77::2"); /* its own /64 */
    assert_never_banned(f, "0.0.0.0");
    assert_never_banned(f, "224.0.0.1");
    assert_never_banned(f, "ff02::1");
    assert_int_equal(ban(f, "192.0.2.2", 300), 0);
    assert_int_equal(ban(f, "2001:db8:78::2", 300), 0);
}

static void an_address_the_host_is_given_later_is_protected_and_unbanned(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ban(f, "192.0.2.98", 300), 0);
    assert_int_equal(ban(f, "192.0.2.99", 300), 0);
    shell("ip addr add 192.0.2.98/24 dev kg0");
    tick_at(f, 11);
    assert_false(is_banned(f, "192.0.2.98"));
    shell("ip addr add 192.0.2.99/24 dev kg0");
    assert_int_equal(ban(f, "192.0.2.99", 300), -EPERM);
    assert_false(is_banned(f, "192.0.2.99"));
    shell("ip addr del 192.0.2.98/24 dev kg0 && ip addr del 192.0.2.99/24 dev kg0");
}

static void networks_of_the_config_can_never_be_banned(void **state)
{
    struct fixture *f = *state;
    const struct kg_net nets[] = { net("203.0.113.0/24"), net("2001:db8:9::/48"), net("2001:db8:a:b::7") };

    close_guard(f);
    f->config.allow = nets;
    f->config.allow_count = 3;
    must_open(f);
    assert_never_banned(f, "203.0.113.77");
    assert_never_banned(f, "2001:db8:9:1::1");
    assert_never_banned(f, "2001:db8:a:b::8"); /* its /64 holds an allowed address */
    assert_int_equal(ban(f, "203.0.114.1", 300), 0);
    assert_int_equal(kg_guard_disallow(f->guard, &nets[0], &f->err), -EPERM);
}

static void allowing_a_network_lifts_the_bans_inside_it_and_only_those(void **state)
{
    struct fixture *f = *state;
    struct kg_net office = net("198.51.100.0/24");
    struct kg_net_key4 key = { .prefix_len = 24, .addr = { 198, 51, 100, 0 } };
    struct kg_allow value;

    kg_guard_on_ban(f->guard, tell, NULL);
    assert_int_equal(ban(f, "198.51.100.7", 300), 0);
    assert_int_equal(ban(f, "198.51.101.7", 300), 0);
    assert_int_equal(kg_guard_allow(f->guard, &office, "office", &f->err), 0);
    assert_false(is_banned(f, "198.51.100.7"));
    assert_true(is_banned(f, "198.51.101.7"));
    assert_int_equal(told.until_ms, 1);
    assert_never_banned(f, "198.51.100.8");
    int fd = pinned(f, "allow_net4");
    assert_int_equal(bpf_map_lookup_elem(fd, &key, &value), 0);
    assert_int_equal(kg_guard_disallow(f->guard, &office, &f->err), 0);
    assert_int_not_equal(bpf_map_lookup_elem(fd, &key, &value), 0);
    close(fd);
    assert_int_equal(kg_guard_disallow(f->guard, &office, &f->err), -ENOENT);
    assert_int_equal(ban(f, "198.51.100.8", 300), 0);
}

static void count_allow(void *ctx, const struct kg_allow_record *record, bool from_config)
{
    unsigned *counts = ctx;

    counts[from_config]++;
    if (!from_config)
        assert_string_equal(record->comment, "office");
}

static void allowed_networks_outlive_a_restart_and_the_list_has_an_end(void **state)
{
    struct fixture *f = *state;
    struct kg_net nets[9];
    unsigned counts[2] = { 0 };

    for (unsigned i = 0; i < 9; i++) {
        nets[i] = net("10.0.0.0/16");
        nets[i].addr.bytes[1] = (uint8_t)i;
    }
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(kg_guard_allow(f->guard, &nets[i], "office", &f->err), 0);
    assert_int_equal(kg_guard_allow(f->guard, &nets[8], "office", &f->err), -ENOSPC);
    assert_int_equal(kg_guard_allow(f->guard, &nets[7], "office", &f->err), 0);
    restart(f);
    kg_guard_each_allow(f->guard, count_allow, counts);
    assert_int_equal(counts[false], 8);
    assert_int_equal(counts[true], 0);
    assert_never_banned(f, "10.7.1.1");
    assert_int_equal(ban(f, "10.8.1.1", 300), 0);
}

static void a_network_taken_out_of_the_config_is_taken_out_of_the_kernel(void **state)
{
    struct fixture *f = *state;
    const struct kg_net nets[] = { net("203.0.113.0/24"), net("203.0.114.0/24") };
    struct kg_net_key4 key = { .prefix_len = 24, .addr = { 203, 0, 113, 0 } };
    struct kg_allow value;

    close_guard(f);
    f->config.allow = nets;
    f->config.allow_count = 2;
    must_open(f);
    f->config.allow = &nets[1];
    f->config.allow_count = 1;
    restart(f);
    int fd = pinned(f, "allow_net4");
    assert_int_not_equal(bpf_map_lookup_elem(fd, &key, &value), 0);
    key.addr[2] = 114;
    assert_int_equal(bpf_map_lookup_elem(fd, &key, &value), 0);
    close(fd);
}

static void an_expired_ban_is_reaped_and_the_others_stay(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ban(f, "198.51.100.7", 10), 0);
    assert_int_equal(ban(f, "198.51.100.8", 20), 0);
    assert_int_equal(ban(f, "198.51.100.9", 0), 0);
    tick_at(f, 9);
    assert_true(is_banned(f, "198.51.100.7"));
    tick_at(f, 11);
    assert_false(is_banned(f, "198.51.100.7"));
    assert_true(is_banned(f, "198.51.100.8"));
    tick_at(f, 100000);
    assert_false(is_banned(f, "198.51.100.8"));
    assert_true(is_banned(f, "198.51.100.9"));
}

static void collect(void *ctx, const struct kg_ban_info *info)
{
    char text[KG_ADDR_TEXT], *list = ctx;

    snprintf(list + strlen(list), 200 - strlen(list), "%s ", kg_addr_text(&info->source, text));
}

static void bans_are_listed_oldest_first_also_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct kg_ban_record record = {
        .source = addr("198.51.100.1"), .reason = KG_BAN_MANUAL, .offences = 1, .active = true
    };
    char list[200] = "";

    assert_int_equal(ban(f, "198.51.100.9", 0), 0);
    assert_int_equal(ban(f, "198.51.100.2", 300), 0);
    kg_guard_each_ban(f->guard, collect, list);
    assert_string_equal(list, "198.51.100.9 198.51.100.2 ");
    record.since = kg_clock_wall() - 1000;
    assert_int_equal(kg_store_put_ban(f->store, &record, &f->err), 0);
    restart(f);
    list[0] = '\0';
    kg_guard_each_ban(f->guard, collect, list);
    assert_int_equal(strncmp(list, "198.51.100.1 ", 13), 0);
    assert_int_equal(strlen(list), strlen("198.51.100.1 198.51.100.9 198.51.100.2 "));
}

static void a_full_map_says_so_and_the_ban_holds_in_user_space_and_store(void **state)
{
    struct fixture *f = *state;
    struct kg_addr last = addr("198.51.100.200");
    struct kg_ban_record record;
    char text[32];

    kg_guard_on_ban(f->guard, tell, NULL);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(text, sizeof(text), "198.51.100.%u", i);
        assert_int_equal(ban(f, text, 10 + i), 0);
    }
    assert_int_equal(ban(f, "198.51.100.200", 300), -ENOSPC);
    assert_non_null(strstr(f->err.text, "max_bans"));
    assert_false(is_banned(f, "198.51.100.200"));
    assert_true(kg_addr_eq(&told.source, &last));
    assert_true(told.until_ms > kg_clock_ms());
    assert_int_equal(kg_store_get_ban(f->store, &last, &record), 0);
    assert_true(record.active);
    assert_int_equal(info_of(f, "198.51.100.200").offences, 1);
    /* IPv6 has a map of its own. */
    assert_int_equal(ban(f, "2001:db8:5::1", 300), 0);
    /* As soon as one ends, the waiting one goes in. */
    tick_at(f, 11);
    assert_false(is_banned(f, "198.51.100.0"));
    assert_true(is_banned(f, "198.51.100.200"));
}

static void the_table_in_user_space_has_an_end_too(void **state)
{
    struct fixture *f = *state;
    struct kg_ban_record record;
    char text[32];

    for (unsigned i = 0; i < 3 * 64; i++) {
        snprintf(text, sizeof(text), "198.51.100.%u", i);
        assert_int_equal(ban(f, text, 300), i < 64 ? 0 : -ENOSPC);
    }
    struct kg_addr over = addr("198.51.100.250");
    assert_int_equal(ban(f, "198.51.100.250", 300), -ENOSPC);
    assert_int_equal(kg_store_get_ban(f->store, &over, &record), -ENOENT);
}

static void bans_stay_in_force_while_the_daemon_is_down_and_are_known_again(void **state)
{
    struct fixture *f = *state;
    struct kg_ban before, after;

    assert_int_equal(ban(f, "198.51.100.7", 300), 0);
    assert_int_equal(ban(f, "2001:db8:5::1", 0), 0);
    assert_true(in_kernel(f, "198.51.100.7", &before));
    close_guard(f);
    assert_true(is_banned(f, "198.51.100.7"));
    must_open(f);
    assert_true(in_kernel(f, "198.51.100.7", &after));
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(info_of(f, "2001:db8:5::1").expires, 0);
    /* The workers of the new process hear of them. */
    kg_guard_on_ban(f->guard, tell, NULL);
    assert_int_equal(told.calls, 2);
}

static void after_a_reboot_bans_come_back_from_the_store_with_the_time_left(void **state)
{
    struct fixture *f = *state;
    struct kg_ban value;

    assert_int_equal(ban(f, "198.51.100.7", 300), 0);
    assert_int_equal(ban(f, "198.51.100.8", 300), 0);
    assert_int_equal(unban(f, "198.51.100.8"), 0);
    close_guard(f);
    assert_int_equal(kg_guard_detach(f->bpf_dir, &f->err), 0);
    must_open(f);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    uint64_t left = value.expires_ns - kg_clock_ns();
    assert_in_range(left, 290000000000ull, 300000000000ull);
    assert_false(is_banned(f, "198.51.100.8"));
}

static void an_unknown_ban_in_the_kernel_is_adopted(void **state)
{
    struct fixture *f = *state;
    struct kg_addr a = addr("198.51.100.7");
    struct kg_ban value = { .expires_ns = kg_clock_ns() + 50000000000ull,
                            .since_ns = 1,
                            .reason = KG_BAN_WRONG_KEY };
    struct kg_ban over = { .expires_ns = 1, .reason = KG_BAN_WRONG_KEY };
    struct kg_ban_record record;
    int fd = pinned(f, "ban_v4");

    close_guard(f);
    assert_int_equal(bpf_map_update_elem(fd, a.bytes, &value, BPF_ANY), 0);
    a = addr("198.51.100.8");
    assert_int_equal(bpf_map_update_elem(fd, a.bytes, &over, BPF_ANY), 0);
    close(fd);
    must_open(f);
    a = addr("198.51.100.7");
    assert_int_equal(info_of(f, "198.51.100.7").reason, KG_BAN_WRONG_KEY);
    assert_int_equal(kg_store_get_ban(f->store, &a, &record), 0);
    assert_true(record.active);
    assert_false(is_banned(f, "198.51.100.8"));
}

static void a_lift_that_a_crash_cut_short_is_finished_at_start(void **state)
{
    struct fixture *f = *state;
    struct kg_ban_record record;
    struct kg_addr a = addr("198.51.100.7");

    assert_int_equal(ban(f, "198.51.100.7", 300), 0);
    assert_int_equal(kg_store_get_ban(f->store, &a, &record), 0);
    record.active = false;
    record.expires = kg_clock_wall();
    assert_int_equal(kg_store_put_ban(f->store, &record, &f->err), 0);
    restart(f);
    assert_false(is_banned(f, "198.51.100.7"));
    assert_int_equal(unban(f, "198.51.100.7"), -ENOENT);
}

static void another_map_size_brings_the_live_bans_along(void **state)
{
    struct fixture *f = *state;
    struct kg_addr a = addr("198.51.100.7");
    struct kg_ban value;
    struct kg_ban_info info;
    int fd = pinned(f, "ban_v4");

    assert_int_equal(ban(f, "198.51.100.7", 300), 0);
    assert_int_equal(ban(f, "2001:db8:5::1", 0), 0);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    value.drops = 777;
    assert_int_equal(bpf_map_update_elem(fd, a.bytes, &value, BPF_EXIST), 0);
    close(fd);
    f->config.max_bans = 128;
    restart(f);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    assert_int_equal(value.drops, 777);
    assert_true(is_banned(f, "2001:db8:5::1"));
    info = info_of(f, "198.51.100.7");
    assert_int_equal(info.drops, 777);
    char text[32];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "203.0.113.%u", i);
        assert_int_equal(ban(f, text, 300), 0);
    }
}

static void a_trusted_proxy_is_never_banned_and_a_stored_ban_of_one_is_lifted(void **state)
{
    struct fixture *f = *state;
    struct kg_net proxies[] = { net("203.0.113.0/24"), net("2001:db8:a:b::7") };
    struct kg_addr proxy = addr("203.0.113.9");
    struct kg_ban_info info;

    assert_int_equal(kg_guard_ban(f->guard, &proxy, 100, &info, &f->err), 0);
    f->config.trusted = proxies;
    f->config.trusted_count = 2;
    restart(f);
    assert_false(is_banned(f, "203.0.113.9"));
    assert_never_banned(f, "203.0.113.9");
    assert_never_banned(f, "2001:db8:a:b::8"); /* its /64 holds a proxy */
    assert_int_equal(kg_guard_ban(f->guard, &proxy, 100, &info, &f->err), -EPERM);
    assert_string_equal(f->err.text,
                        "203.0.113.9 cannot be banned: 203.0.113.0/24 is in http.trusted_proxies");
}

static void a_banned_source_that_the_config_now_allows_is_free_after_a_restart(void **state)
{
    struct fixture *f = *state;
    const struct kg_net office = net("198.51.100.0/24");

    assert_int_equal(ban(f, "198.51.100.7", 0), 0);
    f->config.allow = &office;
    f->config.allow_count = 1;
    restart(f);
    assert_false(is_banned(f, "198.51.100.7"));
    f->config.allow_count = 0;
    restart(f);
    assert_false(is_banned(f, "198.51.100.7"));
}

/* Two daemons would take the maps and links out of each other's hands. */
static void the_folder_of_a_live_guard_is_not_taken_over(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    const struct kg_net office = net("203.0.113.0/24");
    char expected[128];

    assert_int_equal(kg_guard_allow(f->guard, &office, "office", &f->err), 0);
    assert_int_equal(ban(f, "198.51.100.7", 0), 0);
    other.config.max_bans = 32;
    assert_int_equal(open_guard(&other), -EBUSY);
    snprintf(expected, sizeof(expected), "another keygated is using the BPF folder %s", f->bpf_dir);
    assert_string_equal(other.err.text, expected);
    assert_true(is_banned(f, "198.51.100.7"));
    assert_int_equal(ban(f, "198.51.100.8", 0), 0);
    assert_true(is_banned(f, "198.51.100.8"));
    restart(f);
    assert_true(is_banned(f, "198.51.100.8"));
}

/* A machine without a battery for its clock starts in 1970 and learns the time later. */
static void a_clock_that_is_behind_makes_no_stored_ban_longer(void **state)
{
    struct fixture *f = *state;
    struct kg_ban_record record = { .source = addr("198.51.100.7"),
                                    .since = kg_clock_wall() + 1000000,
                                    .expires = kg_clock_wall() + 1000300,
                                    .reason = KG_BAN_WRONG_KEY,
                                    .offences = 1,
                                    .active = true };
    struct kg_ban value;

    close_guard(f);
    assert_int_equal(kg_store_put_ban(f->store, &record, &f->err), 0);
    must_open(f);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    assert_in_range(value.expires_ns - kg_clock_ns(), 290000000000ull, 300000000000ull);
}

/* In a child: as nobody, without any capability, through the descriptors opened before. */
static int work_as_nobody(struct fixture *f)
{
    struct kg_addr a = addr("198.51.100.7"), b = addr("2001:db8:5::1"), c = addr("198.51.100.8");
    struct kg_net office = net("203.0.113.0/24");
    struct kg_usage_table table;
    struct kg_usage_table *tables[] = { &table };
    struct kg_xdp_count counts[KG_XDP_VERDICTS];
    struct kg_slot_source slots = kg_guard_slots(f->guard);

    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
        return 1;
    if (kg_guard_ban(f->guard, &a, 300, NULL, &f->err) || kg_guard_ban(f->guard, &b, 300, NULL, &f->err))
        return 2;
    if (kg_guard_ban(f->guard, &c, 300, NULL, &f->err) || kg_guard_unban(f->guard, &c, &f->err))
        return 3;
    if (kg_guard_allow(f->guard, &office, "office", &f->err))
        return 4;
    uint32_t slot = slots.take(slots.ctx, "11111111-1111-4111-8111-111111111111", "alice");
    kg_usage_table_init(&table, f->config.consumer_slots);
    kg_usage_add(&table.usage[slot].requests, 7);
    kg_usage_touch(&table, slot);
    kg_guard_tick(f->guard, tables, 1, kg_clock_ms());
    kg_guard_xdp_counts(f->guard, counts);
    return 0;
}

static void everything_at_run_time_works_without_any_privilege(void **state)
{
    struct fixture *f = *state;
    struct kg_net_key4 key = { .prefix_len = 24, .addr = { 203, 0, 113, 0 } };
    struct kg_consumer_stats stats;
    struct kg_allow value;
    uint32_t slot = KG_SLOT_FIRST;
    int status;

    /* The store's files belong to the user that the daemon becomes. */
    char command[128];
    snprintf(command, sizeof(command), "chown -R 65534:65534 %s", f->state);
    shell(command);
    pid_t child = fork();
    if (child == 0)
        _exit(work_as_nobody(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(is_banned(f, "198.51.100.7"));
    assert_true(is_banned(f, "2001:db8:5::1"));
    assert_false(is_banned(f, "198.51.100.8"));
    int fd = pinned(f, "allow_net4");
    assert_int_equal(bpf_map_lookup_elem(fd, &key, &value), 0);
    close(fd);
    fd = pinned(f, "consumer_stats");
    assert_int_equal(bpf_map_lookup_elem(fd, &slot, &stats), 0);
    assert_string_equal(stats.name, "alice");
    assert_int_equal(stats.requests, 7);
    close(fd);
}

/* With nothing of it in the database: what the kernel holds is stored by the next start. */
static void a_database_that_refuses_keeps_nobody_from_being_banned(void **state)
{
    struct fixture *f = *state;
    struct kg_addr a = addr("198.51.100.7");
    struct kg_ban_record record;
    struct kg_ban value;
    char path[128];
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/keygate.db", f->state);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE bans RENAME TO away", NULL, NULL, NULL), SQLITE_OK);
    signal_from(f, "198.51.100.7", KG_SIGNAL_WRONG_KEY, 3);
    assert_true(in_kernel(f, "198.51.100.7", &value));
    /* What an operator asks for is answered as it is. */
    assert_int_equal(ban(f, "198.51.100.8", 300), -EIO);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE away RENAME TO bans", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    restart(f);
    assert_int_equal(kg_store_get_ban(f->store, &a, &record), 0);
    assert_true(record.active);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_database_that_refuses_keeps_nobody_from_being_banned),
        T(failures_ban_at_the_threshold_in_kernel_store_and_workers),
        T(what_is_not_http_is_its_own_reason),
        T(ipv6_failures_count_and_ban_by_64),
        T(signals_that_come_after_the_ban_are_no_new_offence),
        T(ban_time_doubles_with_each_offence_up_to_the_maximum),
        T(an_offence_longer_ago_than_the_memory_is_forgotten),
        T(a_threshold_of_zero_never_bans),
        T(an_operator_bans_for_a_time_or_for_ever),
        T(a_changed_ban_keeps_its_beginning_and_its_drops),
        T(lifting_a_ban_takes_it_out_everywhere),
        T(the_host_itself_can_never_be_banned),
        T(an_address_the_host_is_given_later_is_protected_and_unbanned),
        T(networks_of_the_config_can_never_be_banned),
        T(allowing_a_network_lifts_the_bans_inside_it_and_only_those),
        T(allowed_networks_outlive_a_restart_and_the_list_has_an_end),
        T(a_network_taken_out_of_the_config_is_taken_out_of_the_kernel),
        T(an_expired_ban_is_reaped_and_the_others_stay),
        T(bans_are_listed_oldest_first_also_after_a_restart),
        T(a_full_map_says_so_and_the_ban_holds_in_user_space_and_store),
        T(the_table_in_user_space_has_an_end_too),
        T(bans_stay_in_force_while_the_daemon_is_down_and_are_known_again),
        T(after_a_reboot_bans_come_back_from_the_store_with_the_time_left),
        T(an_unknown_ban_in_the_kernel_is_adopted),
        T(a_lift_that_a_crash_cut_short_is_finished_at_start),
        T(another_map_size_brings_the_live_bans_along),
        T(a_trusted_proxy_is_never_banned_and_a_stored_ban_of_one_is_lifted),
        T(a_banned_source_that_the_config_now_allows_is_free_after_a_restart),
        T(the_folder_of_a_live_guard_is_not_taken_over),
        T(a_clock_that_is_behind_makes_no_stored_ban_longer),
        T(everything_at_run_time_works_without_any_privilege),
    };

    return cmocka_run_group_tests(tests, own_namespaces, NULL);
}
