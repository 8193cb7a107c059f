/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The XDP program on hand-made packets, through BPF_PROG_TEST_RUN: what happens to each, which counter moved
 * and by how much. Needs root; a machine that cannot load BPF fails here, it does not skip.
 */
#include "base/clock.h"
#include "guard/skeleton.h"
#include "keygate/abi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define JUMBO      9000
#define CPUS_MAX   1024
#define SECOND_NS  1000000000ull
#define VICTIM4    "192.0.2.7"
#define VICTIM6    "2001:db8:1:2:3:4:5:6"
#define NEIGHBOUR4 "192.0.2.8"
#define NEIGHBOUR6 "2001:db8:1:3::1"

struct packet {
    uint8_t bytes[JUMBO];
    size_t len;
};

/* Legs of a test that differ only in the address family. */
struct family {
    int version;
    const char *victim, *neighbour;
    enum kg_xdp_verdict drop;
};

static const struct family families[] = {
    { 4, VICTIM4, NEIGHBOUR4, KG_XDP_DROP_BAN4 },
    { 6, VICTIM6, NEIGHBOUR6, KG_XDP_DROP_BAN6 },
};

static struct keygate_bpf *skel;
static int prog_fd;

/* Packets */

static void add(struct packet *p, const void *bytes, size_t len)
{
    assert_true(p->len + len <= sizeof(p->bytes));
    memcpy(p->bytes + p->len, bytes, len);
    p->len += len;
}

static void add16(struct packet *p, uint16_t value)
{
    uint16_t wire = htons(value);

    add(p, &wire, sizeof(wire));
}

static void add_ethernet(struct packet *p, unsigned tags, uint16_t proto)
{
    static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

    p->len = 0;
    add(p, macs, sizeof(macs));
    for (unsigned i = 0; i < tags; i++) {
        /* The outermost of several is a service tag (802.1ad). */
        add16(p, i + 1 < tags ? ETH_P_8021AD : ETH_P_8021Q);
        add16(p, (uint16_t)(100 + i));
    }
    add16(p, proto);
}

static void add_ipv4(struct packet *p, const char *source, unsigned option_words, uint16_t fragment,
                     uint8_t proto)
{
    uint8_t head[60] = { (uint8_t)(0x40 | (5 + option_words)), 0, 0, 60, 0, 1, 0, 0, 64, proto };
    static const uint8_t destination[4] = { 192, 0, 2, 1 };

    head[6] = (uint8_t)(fragment >> 8);
    head[7] = (uint8_t)fragment;
    assert_int_equal(inet_pton(AF_INET, source, head + 12), 1);
    memcpy(head + 16, destination, sizeof(destination));
    memset(head + 20, 1, 4 * option_words); /* no-operation options */
    add(p, head, 20 + 4 * option_words);
}

static void add_ipv6(struct packet *p, const char *source, uint8_t next_header, uint8_t hop_limit)
{
    uint8_t head[40] = { 0x60, 0, 0, 0, 0, 40, next_header, hop_limit };

    assert_int_equal(inet_pton(AF_INET6, source, head + 8), 1);
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", head + 24), 1);
    add(p, head, sizeof(head));
}

static void add_payload(struct packet *p, size_t len)
{
    uint8_t payload[JUMBO];

    memset(payload, 0xa5, sizeof(payload));
    add(p, payload, len);
}

/* A TCP-sized packet of either family. */
static void make_packet(struct packet *p, int version, const char *source, unsigned tags)
{
    add_ethernet(p, tags, version == 4 ? ETH_P_IP : ETH_P_IPV6);
    if (version == 4)
        add_ipv4(p, source, 0, 0, IPPROTO_TCP);
    else
        add_ipv6(p, source, IPPROTO_TCP, 64);
    add_payload(p, 20);
}

/* Maps */

static int ban_fd(int version)
{
    return bpf_map__fd(version == 4 ? skel->maps.ban_v4 : skel->maps.ban_v6);
}

/* The first four bytes are the key of an IPv4 ban, the first eight that of an IPv6 one. */
static void source_key(int version, const char *source, uint8_t key[16])
{
    assert_int_equal(inet_pton(version == 4 ? AF_INET : AF_INET6, source, key), 1);
}

static void ban(int version, const char *source, uint64_t expires_ns)
{
    struct kg_ban value = { .expires_ns = expires_ns, .since_ns = 1, .reason = KG_BAN_MANUAL };
    uint8_t key[16];

    source_key(version, source, key);
    assert_int_equal(bpf_map_update_elem(ban_fd(version), key, &value, BPF_ANY), 0);
}

static uint64_t drops(int version, const char *source)
{
    struct kg_ban value;
    uint8_t key[16];

    source_key(version, source, key);
    assert_int_equal(bpf_map_lookup_elem(ban_fd(version), key, &value), 0);
    return value.drops;
}

static void allow(int version, const char *address, uint32_t prefix_len)
{
    int fd = bpf_map__fd(version == 4 ? skel->maps.allow_net4 : skel->maps.allow_net6);
    struct kg_net_key6 key = { .prefix_len = prefix_len };
    struct kg_allow value = { 0 };

    source_key(version, address, key.addr);
    assert_int_equal(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
}

static void empty(const struct bpf_map *map)
{
    uint8_t key[32];

    while (bpf_map_get_next_key(bpf_map__fd(map), NULL, key) == 0)
        assert_int_equal(bpf_map_delete_elem(bpf_map__fd(map), key), 0);
}

static void read_counts(struct kg_xdp_count out[KG_XDP_VERDICTS])
{
    static struct kg_xdp_count cpus[CPUS_MAX];
    int count = libbpf_num_possible_cpus();

    assert_in_range(count, 1, CPUS_MAX);
    memset(out, 0, KG_XDP_VERDICTS * sizeof(*out));
    for (uint32_t i = 0; i < KG_XDP_VERDICTS; i++) {
        assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.xdp_stats), &i, cpus), 0);
        for (int cpu = 0; cpu < count; cpu++) {
            out[i].packets += cpus[cpu].packets;
            out[i].bytes += cpus[cpu].bytes;
        }
    }
}

/* Running */

static uint32_t run(const struct packet *p, size_t len)
{
    static uint8_t out[JUMBO];
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->bytes, .data_size_in = (uint32_t)len, .data_out = out,
                .data_size_out = sizeof(out), .repeat = 1);

    assert_int_equal(bpf_prog_test_run_opts(prog_fd, &opts), 0);
    assert_int_equal(opts.data_size_out, len);
    assert_memory_equal(out, p->bytes, len);
    return opts.retval;
}

/* Runs it and finds the one counter that moved: by one packet and by all of its bytes. */
static enum kg_xdp_verdict judged(const struct packet *p, size_t len)
{
    struct kg_xdp_count before[KG_XDP_VERDICTS], after[KG_XDP_VERDICTS];
    enum kg_xdp_verdict found = KG_XDP_VERDICTS;

    read_counts(before);
    uint32_t action = run(p, len);
    read_counts(after);
    for (uint32_t i = 0; i < KG_XDP_VERDICTS; i++) {
        if (memcmp(&before[i], &after[i], sizeof(before[i])) == 0)
            continue;
        assert_int_equal(found, KG_XDP_VERDICTS);
        assert_int_equal(after[i].packets - before[i].packets, 1);
        assert_int_equal(after[i].bytes - before[i].bytes, len);
        found = i;
    }
    assert_int_not_equal(found, KG_XDP_VERDICTS);
    assert_int_equal(action, found >= KG_XDP_DROP_BAN4 ? XDP_DROP : XDP_PASS);
    return found;
}

static enum kg_xdp_verdict verdict(const struct packet *p)
{
    return judged(p, p->len);
}

/* Each test begins with empty tables. */
static int setup(void **state)
{
    empty(skel->maps.ban_v4);
    empty(skel->maps.ban_v6);
    empty(skel->maps.allow_net4);
    empty(skel->maps.allow_net6);
    return 0;
}

/* What each of the tests below does for each family and for 0, 1 and 2 VLAN tags. */
static void for_each_shape(void (*check)(const struct family *family, unsigned tags))
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        for (unsigned tags = 0; tags <= 2; tags++) {
            setup(NULL);
            check(&families[i], tags);
        }
    }
}

static void check_clean(const struct family *f, unsigned tags)
{
    struct packet p;

    make_packet(&p, f->version, f->victim, tags);
    assert_int_equal(verdict(&p), KG_XDP_PASS_CLEAN);
    ban(f->version, f->neighbour, 0);
    assert_int_equal(verdict(&p), KG_XDP_PASS_CLEAN);
}

static void a_clean_source_passes(void **state)
{
    for_each_shape(check_clean);
}

static void check_banned(const struct family *f, unsigned tags)
{
    struct packet p;

    make_packet(&p, f->version, f->victim, tags);
    ban(f->version, f->victim, kg_clock_ns() + 60 * SECOND_NS);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(verdict(&p), f->drop);
        assert_int_equal(drops(f->version, f->victim), i);
    }
}

static void a_banned_source_is_dropped_and_counted(void **state)
{
    for_each_shape(check_banned);
}

static void check_expired(const struct family *f, unsigned tags)
{
    struct packet p;

    make_packet(&p, f->version, f->victim, tags);
    ban(f->version, f->victim, kg_clock_ns() - SECOND_NS);
    assert_int_equal(verdict(&p), KG_XDP_PASS_EXPIRED);
    assert_int_equal(drops(f->version, f->victim), 0);
}

static void an_expired_ban_lets_pass_without_help_from_user_space(void **state)
{
    for_each_shape(check_expired);
}

static void check_never_expiring(const struct family *f, unsigned tags)
{
    struct packet p;

    make_packet(&p, f->version, f->victim, tags);
    ban(f->version, f->victim, 0);
    assert_int_equal(verdict(&p), f->drop);
}

static void a_ban_without_expiry_holds(void **state)
{
    for_each_shape(check_never_expiring);
}

static void check_allowed(const struct family *f, unsigned tags)
{
    struct packet p;

    make_packet(&p, f->version, f->victim, tags);
    ban(f->version, f->victim, 0);
    allow(f->version, f->version == 4 ? "192.0.2.0" : "2001:db8::", f->version == 4 ? 24 : 32);
    assert_int_equal(verdict(&p), KG_XDP_PASS_ALLOWED);
    assert_int_equal(drops(f->version, f->victim), 0);
}

static void an_allow_listed_source_passes_in_spite_of_its_ban(void **state)
{
    for_each_shape(check_allowed);
}

static void check_allow_of_others(const struct family *f, unsigned tags)
{
    struct packet p;

    make_packet(&p, f->version, f->victim, tags);
    ban(f->version, f->victim, 0);
    allow(f->version, f->neighbour, f->version == 4 ? 32 : 128);
    assert_int_equal(verdict(&p), f->drop);
}

static void allowing_a_neighbour_does_not_help_the_banned(void **state)
{
    for_each_shape(check_allow_of_others);
}

static void a_ban_ends_at_its_expiry(void **state)
{
    uint64_t end = kg_clock_ns() + SECOND_NS / 5;
    enum kg_xdp_verdict now;
    struct packet p;

    make_packet(&p, 4, VICTIM4, 0);
    ban(4, VICTIM4, end);
    while ((now = verdict(&p)) == KG_XDP_DROP_BAN4)
        /* The coarse clock is at most one tick (10 ms at HZ=100) behind. */
        assert_true(kg_clock_ns() < end + SECOND_NS / 20);
    assert_int_equal(now, KG_XDP_PASS_EXPIRED);
    assert_true(kg_clock_ns() >= end);
}

static void an_ipv6_ban_covers_its_64_and_no_more(void **state)
{
    struct packet p;

    ban(6, VICTIM6, 0);
    make_packet(&p, 6, "2001:db8:1:2:ffff:ffff:ffff:ffff", 0);
    assert_int_equal(verdict(&p), KG_XDP_DROP_BAN6);
    make_packet(&p, 6, "2001:db8:1:1:ffff:ffff:ffff:ffff", 0);
    assert_int_equal(verdict(&p), KG_XDP_PASS_CLEAN);
    make_packet(&p, 6, NEIGHBOUR6, 0);
    assert_int_equal(verdict(&p), KG_XDP_PASS_CLEAN);
}

static void one_address_of_a_banned_64_can_be_allowed(void **state)
{
    struct packet p;

    ban(6, VICTIM6, 0);
    allow(6, VICTIM6, 128);
    make_packet(&p, 6, VICTIM6, 0);
    assert_int_equal(verdict(&p), KG_XDP_PASS_ALLOWED);
    make_packet(&p, 6, "2001:db8:1:2::7", 0);
    assert_int_equal(verdict(&p), KG_XDP_DROP_BAN6);
}

static void options_do_not_hide_a_banned_source(void **state)
{
    struct packet p;

    ban(4, VICTIM4, 0);
    for (unsigned words = 0; words <= 10; words++) {
        add_ethernet(&p, 0, ETH_P_IP);
        add_ipv4(&p, VICTIM4, words, 0, IPPROTO_TCP);
        add_payload(&p, 20);
        assert_int_equal(verdict(&p), KG_XDP_DROP_BAN4);
    }
}

static void fragments_do_not_hide_a_banned_source(void **state)
{
    static const uint16_t fragments[] = { 0x2000 /* first */, 0x2001, 0x20b9, 0x00b9 /* last */, 0x1fff };
    struct packet p;

    ban(4, VICTIM4, 0);
    for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++) {
        add_ethernet(&p, 0, ETH_P_IP);
        add_ipv4(&p, VICTIM4, 0, fragments[i], IPPROTO_UDP);
        add_payload(&p, 8);
        assert_int_equal(verdict(&p), KG_XDP_DROP_BAN4);
    }
}

static void no_protocol_hides_a_banned_source(void **state)
{
    struct packet p;

    ban(4, VICTIM4, 0);
    ban(6, VICTIM6, 0);
    for (unsigned proto = 0; proto < 256; proto++) {
        add_ethernet(&p, 0, ETH_P_IP);
        add_ipv4(&p, VICTIM4, 0, 0, (uint8_t)proto);
        assert_int_equal(verdict(&p), KG_XDP_DROP_BAN4);
        /* Among them all extension headers; 0xa5 is no type of neighbour discovery. */
        add_ethernet(&p, 0, ETH_P_IPV6);
        add_ipv6(&p, VICTIM6, (uint8_t)proto, 255);
        add_payload(&p, 16);
        assert_int_equal(verdict(&p), KG_XDP_DROP_BAN6);
    }
}

static void check_truncations(const struct family *f, unsigned tags)
{
    size_t needed = ETH_HLEN + 4 * tags + (f->version == 4 ? 20 : 40);
    struct packet p;

    make_packet(&p, f->version, f->victim, tags);
    ban(f->version, f->victim, 0);
    /* Shorter than an Ethernet header the kernel itself refuses to run. */
    for (size_t len = ETH_HLEN; len <= p.len; len++)
        assert_int_equal(judged(&p, len), len < needed ? KG_XDP_PASS_BROKEN : f->drop);
}

static void a_truncated_packet_is_broken_until_its_header_is_whole_then_dropped(void **state)
{
    for_each_shape(check_truncations);
}

static void a_header_that_contradicts_its_ethertype_is_broken(void **state)
{
    struct packet p;

    ban(4, VICTIM4, 0);
    ban(6, VICTIM6, 0);
    for (unsigned first = 0; first < 256; first++) {
        make_packet(&p, 4, VICTIM4, 0);
        p.bytes[ETH_HLEN] = (uint8_t)first;
        bool fine = first >> 4 == 4 && (first & 15) >= 5;
        assert_int_equal(verdict(&p), fine ? KG_XDP_DROP_BAN4 : KG_XDP_PASS_BROKEN);
        make_packet(&p, 6, VICTIM6, 0);
        p.bytes[ETH_HLEN] = (uint8_t)first;
        assert_int_equal(verdict(&p), first >> 4 == 6 ? KG_XDP_DROP_BAN6 : KG_XDP_PASS_BROKEN);
    }
}

static void make_icmpv6(struct packet *p, unsigned tags, uint8_t type, uint8_t hop_limit)
{
    uint8_t icmp[24] = { type };

    add_ethernet(p, tags, ETH_P_IPV6);
    add_ipv6(p, VICTIM6, IPPROTO_ICMPV6, hop_limit);
    add(p, icmp, sizeof(icmp));
}

static void neighbour_discovery_passes_even_when_banned(void **state)
{
    struct packet p;

    ban(6, VICTIM6, 0);
    for (unsigned tags = 0; tags <= 2; tags++) {
        for (unsigned type = 0; type < 256; type++) {
            make_icmpv6(&p, tags, (uint8_t)type, 255);
            bool nd = type >= 133 && type <= 137;
            assert_int_equal(verdict(&p), nd ? KG_XDP_PASS_ND : KG_XDP_DROP_BAN6);
        }
    }
}

static void neighbour_discovery_from_behind_a_router_is_no_way_round_a_ban(void **state)
{
    struct packet p;

    ban(6, VICTIM6, 0);
    for (uint8_t type = 133; type <= 137; type++) {
        make_icmpv6(&p, 0, type, 254);
        assert_int_equal(verdict(&p), KG_XDP_DROP_BAN6);
    }
}

static void neighbour_discovery_cut_before_its_type_is_judged_by_its_source(void **state)
{
    struct packet p;

    ban(6, VICTIM6, 0);
    make_icmpv6(&p, 0, 135, 255);
    assert_int_equal(judged(&p, ETH_HLEN + 40), KG_XDP_DROP_BAN6);
    assert_int_equal(judged(&p, ETH_HLEN + 41), KG_XDP_PASS_ND);
}

static void what_is_not_ip_passes(void **state)
{
    static const uint16_t protos[] = { ETH_P_ARP, ETH_P_LLDP, ETH_P_PPP_SES, 0x0026 /* a length: LLC */,
                                       0xffff };
    struct packet p;

    ban(4, VICTIM4, 0);
    for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
        for (unsigned tags = 0; tags <= 2; tags++) {
            add_ethernet(&p, tags, protos[i]);
            add_ipv4(&p, VICTIM4, 0, 0, IPPROTO_TCP);
            assert_int_equal(verdict(&p), KG_XDP_PASS_NOT_IP);
        }
    }
}

static void three_vlan_tags_are_more_than_we_look_through(void **state)
{
    struct packet p;

    make_packet(&p, 4, VICTIM4, 3);
    ban(4, VICTIM4, 0);
    assert_int_equal(verdict(&p), KG_XDP_PASS_NOT_IP);
}

static void check_jumbo(const struct family *f, unsigned tags)
{
    struct packet p;

    make_packet(&p, f->version, f->victim, tags);
    add_payload(&p, JUMBO - p.len);
    assert_int_equal(p.len, JUMBO);
    assert_int_equal(verdict(&p), KG_XDP_PASS_CLEAN);
    ban(f->version, f->victim, 0);
    assert_int_equal(verdict(&p), f->drop);
}

static void a_jumbo_packet_in_many_buffers_is_judged_and_counted_whole(void **state)
{
    for_each_shape(check_jumbo);
}

/* xorshift64: the same packets on every run. */
static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void random_bytes_never_abort_and_never_pass_a_readable_banned_source(void **state)
{
    uint64_t x = 0x9e3779b97f4a7c15;
    struct packet p;

    ban(4, VICTIM4, 0);
    for (unsigned round = 0; round < 20000; round++) {
        make_packet(&p, 4, VICTIM4, (unsigned)(next_random(&x) % 3));
        size_t header = p.len - 40, len = ETH_HLEN + next_random(&x) % (p.len - ETH_HLEN + 1);

        /* Anything but the way to the source: MAC addresses, tags' ids, and the rest of the IP header. */
        p.bytes[next_random(&x) % 12] = (uint8_t)next_random(&x);
        p.bytes[header + 1 + next_random(&x) % 11] = (uint8_t)next_random(&x);
        p.bytes[header + 16 + next_random(&x) % 24] = (uint8_t)next_random(&x);
        assert_int_equal(judged(&p, len), len < header + 20 ? KG_XDP_PASS_BROKEN : KG_XDP_DROP_BAN4);
    }
    for (unsigned round = 0; round < 20000; round++) {
        p.len = ETH_HLEN + next_random(&x) % 80;
        for (size_t i = 0; i < p.len; i++)
            p.bytes[i] = (uint8_t)next_random(&x);
        uint32_t action = run(&p, p.len);
        assert_true(action == XDP_PASS || action == XDP_DROP);
    }
}

static int load(void **state)
{
    skel = keygate_bpf__open_and_load();
    if (!skel) {
        print_error("the XDP program did not load (%s): these tests need root\n", strerror(errno));
        return -1;
    }
    prog_fd = bpf_program__fd(skel->progs.keygate_xdp);
    return 0;
}

static int unload(void **state)
{
    keygate_bpf__destroy(skel);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_clean_source_passes, setup),
        cmocka_unit_test_setup(a_banned_source_is_dropped_and_counted, setup),
        cmocka_unit_test_setup(an_expired_ban_lets_pass_without_help_from_user_space, setup),
        cmocka_unit_test_setup(a_ban_without_expiry_holds, setup),
        cmocka_unit_test_setup(a_ban_ends_at_its_expiry, setup),
        cmocka_unit_test_setup(an_allow_listed_source_passes_in_spite_of_its_ban, setup),
        cmocka_unit_test_setup(allowing_a_neighbour_does_not_help_the_banned, setup),
        cmocka_unit_test_setup(an_ipv6_ban_covers_its_64_and_no_more, setup),
        cmocka_unit_test_setup(one_address_of_a_banned_64_can_be_allowed, setup),
        cmocka_unit_test_setup(options_do_not_hide_a_banned_source, setup),
        cmocka_unit_test_setup(fragments_do_not_hide_a_banned_source, setup),
        cmocka_unit_test_setup(no_protocol_hides_a_banned_source, setup),
        cmocka_unit_test_setup(a_truncated_packet_is_broken_until_its_header_is_whole_then_dropped, setup),
        cmocka_unit_test_setup(a_header_that_contradicts_its_ethertype_is_broken, setup),
        cmocka_unit_test_setup(neighbour_discovery_passes_even_when_banned, setup),
        cmocka_unit_test_setup(neighbour_discovery_from_behind_a_router_is_no_way_round_a_ban, setup),
        cmocka_unit_test_setup(neighbour_discovery_cut_before_its_type_is_judged_by_its_source, setup),
        cmocka_unit_test_setup(what_is_not_ip_passes, setup),
        cmocka_unit_test_setup(three_vlan_tags_are_more_than_we_look_through, setup),
        cmocka_unit_test_setup(a_jumbo_packet_in_many_buffers_is_judged_and_counted_whole, setup),
        cmocka_unit_test_setup(random_bytes_never_abort_and_never_pass_a_readable_banned_source, setup),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
