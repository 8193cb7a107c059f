/* SPDX-License-Identifier: BSD-2-Clause */
/* /bans, /allow, /status and /stats over a guard that only remembers: what reaches it, and how its answers
 * are shown. */
#include "fixture.h"

#define NOT_FOUND "{\"message\":\"Not found\"}"

/* In the place of the guard room's own: the linker takes these first. */
struct kg_guard {
    struct kg_ban_info ban;
    bool banned, full;
    uint32_t lifetime;
    struct kg_allow_record allow;
    bool allowed;
};

static struct kg_guard guard;

size_t kg_guard_interfaces(const struct kg_guard *g, const struct kg_guard_interface **list)
{
    static const struct kg_guard_interface all[] = {
        { .name = "eth0", .attached = true, .native = true },
        { .name = "eth1", .attached = true, .note = "the driver cannot" },
        { .name = "eth2" },
    };

    *list = all;
    return 3;
}

int kg_guard_ban(struct kg_guard *g, const struct kg_addr *source, uint32_t lifetime_s,
                 struct kg_ban_info *info, struct kg_error *err)
{
    if (kg_addr_is_loopback(source))
        return kg_error_set(err, EPERM, "127.0.0.1 is the host's own");
    g->lifetime = lifetime_s;
    g->ban = (struct kg_ban_info){ .source = *source,
                                   .since = kg_clock_wall(),
                                   .expires = lifetime_s ? kg_clock_wall() + lifetime_s : 0,
                                   .drops = 3,
                                   .reason = KG_BAN_MANUAL,
                                   .offences = 1 };
    g->banned = true;
    if (g->full)
        return kg_error_set(err, ENOSPC, "the map is full");
    *info = g->ban;
    return 0;
}

int kg_guard_unban(struct kg_guard *g, const struct kg_addr *source, struct kg_error *err)
{
    if (!g->banned || !kg_addr_eq(source, &g->ban.source))
        return kg_error_set(err, ENOENT, "not banned");
    g->banned = false;
    return 0;
}

int kg_guard_ban_get(struct kg_guard *g, const struct kg_addr *source, struct kg_ban_info *info)
{
    if (!g->banned || !kg_addr_eq(source, &g->ban.source))
        return -ENOENT;
    *info = g->ban;
    return 0;
}

int kg_guard_may_ban(const struct kg_guard *g, const struct kg_addr *address, struct kg_error *err)
{
    return 0;
}

void kg_guard_each_ban(struct kg_guard *g, void (*visit)(void *ctx, const struct kg_ban_info *info),
                       void *ctx)
{
    if (g->banned)
        visit(ctx, &g->ban);
}

int kg_guard_allow(struct kg_guard *g, const struct kg_net *net, const char *comment, struct kg_error *err)
{
    g->allow = (struct kg_allow_record){ .net = *net, .created_at = 1000 };
    snprintf(g->allow.comment, sizeof(g->allow.comment), "%s", comment);
    g->allowed = true;
    return 0;
}

static const struct kg_allow_record configured = { .net = { .addr = { .family = 4, .bytes = { 192, 0, 2 } },
                                                            .prefix_len = 24 } };

static bool same_net(const struct kg_net *a, const struct kg_net *b)
{
    return a->prefix_len == b->prefix_len && kg_addr_eq(&a->addr, &b->addr);
}

int kg_guard_disallow(struct kg_guard *g, const struct kg_net *net, struct kg_error *err)
{
    if (same_net(net, &configured.net))
        return kg_error_set(err, EPERM, "192.0.2.0/24 comes from keygate.yaml");
    if (!g->allowed || !same_net(net, &g->allow.net))
        return kg_error_set(err, ENOENT, "not there");
    g->allowed = false;
    return 0;
}

void kg_guard_each_allow(struct kg_guard *g,
                         void (*visit)(void *ctx, const struct kg_allow_record *record, bool from_config),
                         void *ctx)
{
    visit(ctx, &configured, true);
    if (g->allowed)
        visit(ctx, &g->allow, false);
}

void kg_guard_xdp_counts(const struct kg_guard *g, struct kg_xdp_count *out)
{
    for (unsigned i = 0; i < KG_XDP_VERDICTS; i++)
        out[i] = (struct kg_xdp_count){ .packets = i, .bytes = 100u * i };
}

const char *kg_xdp_verdict_name(enum kg_xdp_verdict verdict)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "drop_ban4", "drop_ban6" };

    return names[verdict];
}

const char *kg_ban_reason_name(uint32_t reason)
{
    return reason == KG_BAN_MANUAL ? "manual" : "other";
}

bool kg_guard_consumer(const struct kg_guard *g, uint32_t slot, struct kg_consumer_stats *out)
{
    if (slot != 2)
        return false;
    *out = (struct kg_consumer_stats){
        .name = "alice", .id = "i", .requests = 7, .status_2xx = 6, .bytes_out = 5
    };
    return true;
}

static int set_up_guard(void **state)
{
    static struct api api;

    memset(&api, 0, sizeof(api));
    memset(&guard, 0, sizeof(guard));
    start_api(&api);
    kg_admin_set_guard(api.admin, &guard);
    *state = &api;
    return 0;
}

static void expect_ban(struct api *api, const char *method, const char *path, const char *body,
                       unsigned status, const char *address, json_int_t expires_in)
{
    struct reply reply = send_json(api, method, path, body);
    json_int_t left = json_integer_value(json_object_get(reply.json, "expires_in"));

    assert_int_equal(reply.status, status);
    assert_string_equal(member(&reply, "address"), address);
    assert_string_equal(member(&reply, "reason"), "manual");
    assert_true(json_integer_value(json_object_get(reply.json, "since")) > 0);
    assert_int_equal(json_integer_value(json_object_get(reply.json, "drops")), 3);
    assert_int_equal(json_integer_value(json_object_get(reply.json, "offences")), 1);
    if (expires_in == 0) {
        assert_true(json_is_null(json_object_get(reply.json, "expires_in")));
        assert_true(json_is_null(json_object_get(reply.json, "expires")));
    } else {
        assert_in_range(left, expires_in - 5, expires_in);
        assert_true(json_is_integer(json_object_get(reply.json, "expires")));
    }
    drop(&reply);
}

static void a_ban_is_made_shown_and_lifted(void **state)
{
    struct api *api = *state;

    expect_ban(api, "POST", "/bans", "{\"address\":\"192.0.2.7\",\"ttl\":300}", 201, "192.0.2.7", 300);
    assert_int_equal(guard.lifetime, 300);
    expect_ban(api, "GET", "/bans/192.0.2.7", NULL, 200, "192.0.2.7", 300);
    expect_text(api, "DELETE", "/bans/192.0.2.8", NULL, 404, NOT_FOUND);
    expect_text(api, "DELETE", "/bans/192.0.2.7", NULL, 204, "");
    expect_text(api, "GET", "/bans/192.0.2.7", NULL, 404, NOT_FOUND);
    expect_text(api, "DELETE", "/bans/192.0.2.7", NULL, 404, NOT_FOUND);
    expect_text(api, "GET", "/bans", NULL, 200, "{\"data\":[],\"next\":null}");
}

static void no_ttl_is_the_configured_time_and_zero_is_for_ever(void **state)
{
    expect_ban(*state, "POST", "/bans", "{\"address\":\"192.0.2.7\"}", 201, "192.0.2.7", 77);
    expect_ban(*state, "POST", "/bans", "{\"address\":\"192.0.2.7\",\"ttl\":0}", 201, "192.0.2.7", 0);
    assert_int_equal(guard.lifetime, 0);
}

static void an_ipv6_ban_is_for_its_network(void **state)
{
    expect_ban(*state, "POST", "/bans", "{\"address\":\"2001:db8::7\",\"ttl\":9}", 201, "2001:db8::", 9);
    assert_int_equal(status_of(*state, "GET", "/bans/2001:db8::1234", NULL), 200);
    assert_int_equal(status_of(*state, "DELETE", "/bans/2001%3Adb8%3A%3A9", NULL), 204);
}

static void bad_bans_are_told_in_the_usual_shape(void **state)
{
    expect_text(*state, "POST", "/bans", "{\"address\":\"here\"}", 400,
                "{\"code\":2,\"name\":\"schema violation\","
                "\"message\":\"schema violation (address: expected an IPv4 or IPv6 address)\","
                "\"fields\":{\"address\":\"expected an IPv4 or IPv6 address\"}}");
    expect_text(*state, "POST", "/bans", "{\"ttl\":5}", 400,
                "{\"code\":2,\"name\":\"schema violation\","
                "\"message\":\"schema violation (address: required field missing)\","
                "\"fields\":{\"address\":\"required field missing\"}}");
    assert_int_equal(status_of(*state, "POST", "/bans", "{\"address\":\"192.0.2.7\",\"ttl\":-1}"), 400);
    assert_int_equal(status_of(*state, "POST", "/bans", "{\"address\":\"192.0.2.7\",\"ttl\":\"5\"}"), 400);
    assert_int_equal(status_of(*state, "POST", "/bans", "{\"address\":\"192.0.2.7\",\"for\":5}"), 400);
    expect_text(*state, "GET", "/bans/here", NULL, 404, NOT_FOUND);
    assert_false(guard.banned);
}

static void what_may_not_be_banned_is_told_by_the_guard(void **state)
{
    expect_text(*state, "POST", "/bans", "{\"address\":\"127.0.0.1\"}", 400,
                "{\"message\":\"127.0.0.1 is the host's own\"}");
}

static void a_full_map_is_noted_beside_the_ban(void **state)
{
    struct reply reply;

    guard.full = true;
    reply = send_json(*state, "POST", "/bans", "{\"address\":\"192.0.2.7\"}");
    assert_int_equal(reply.status, 201);
    assert_string_equal(member(&reply, "note"), "the map is full");
    assert_string_equal(member(&reply, "address"), "192.0.2.7");
    drop(&reply);
}

static void networks_are_allowed_listed_and_taken_off(void **state)
{
    struct api *api = *state;

    expect_text(api, "POST", "/allow", "{\"network\":\"10.0.0.0/8\",\"comment\":\"office\"}", 201,
                "{\"network\":\"10.0.0.0/8\",\"comment\":\"office\",\"created_at\":1000,\"source\":\"api\"}");
    expect_text(api, "GET", "/allow", NULL, 200,
                "{\"data\":[{\"network\":\"192.0.2.0/"
                "24\",\"comment\":null,\"created_at\":null,\"source\":\"config\"},"
                "{\"network\":\"10.0.0.0/"
                "8\",\"comment\":\"office\",\"created_at\":1000,\"source\":\"api\"}],\"next\":null}");
    expect_text(api, "DELETE", "/allow/192.0.2.0%2F24", NULL, 400,
                "{\"message\":\"192.0.2.0/24 comes from keygate.yaml\"}");
    expect_text(api, "DELETE", "/allow/10.0.0.0%2f8", NULL, 204, "");
    expect_text(api, "DELETE", "/allow/10.0.0.0%2F8", NULL, 404, NOT_FOUND);
    expect_text(api, "DELETE", "/allow/here", NULL, 404, NOT_FOUND);
}

static void bad_networks_are_told(void **state)
{
    expect_text(*state, "POST", "/allow", "{\"network\":\"10.0.0.1/8\"}", 400,
                "{\"code\":2,\"name\":\"schema violation\","
                "\"message\":\"schema violation (network: a network has no bits set behind its prefix)\","
                "\"fields\":{\"network\":\"a network has no bits set behind its prefix\"}}");
    assert_int_equal(status_of(*state, "POST", "/allow", "{\"network\":\"x\"}"), 400);
    assert_false(guard.allowed);
}

static void status_shows_interfaces_packets_and_bans(void **state)
{
    struct reply reply;
    json_t *xdp, *drops;
    char *text;

    guard.banned = true;
    reply = send_json(*state, "GET", "/status", NULL);
    xdp = json_object_get(reply.json, "xdp");
    text = json_dumps(json_object_get(xdp, "interfaces"), JSON_COMPACT);
    assert_string_equal(
        text, "[{\"name\":\"eth0\",\"attached\":true,\"mode\":\"native\",\"note\":\"\"},"
              "{\"name\":\"eth1\",\"attached\":true,\"mode\":\"generic\",\"note\":\"the driver cannot\"},"
              "{\"name\":\"eth2\",\"attached\":false,\"mode\":null,\"note\":\"\"}]");
    free(text);
    drops = json_object_get(json_object_get(xdp, "packets"), "drop_ban4");
    assert_int_equal(json_integer_value(json_object_get(drops, "packets")), KG_XDP_DROP_BAN4);
    assert_int_equal(json_integer_value(json_object_get(drops, "bytes")), 100 * KG_XDP_DROP_BAN4);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(reply.json, "guard"), "bans")), 1);
    drop(&reply);
}

static void stats_show_each_slot_in_use(void **state)
{
    expect_text(
        *state, "GET", "/stats", NULL, 200,
        "{\"data\":[{\"name\":\"alice\",\"id\":\"i\",\"requests\":7,\"status_2xx\":6,\"status_3xx\":0,"
        "\"status_4xx\":0,\"status_5xx\":0,\"denied\":0,\"rate_limited\":0,\"bytes_in\":0,\"bytes_out\":5,"
        "\"last_seen\":0}],\"next\":null}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_guard, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_ban_is_made_shown_and_lifted),
        TEST(no_ttl_is_the_configured_time_and_zero_is_for_ever),
        TEST(an_ipv6_ban_is_for_its_network),
        TEST(bad_bans_are_told_in_the_usual_shape),
        TEST(what_may_not_be_banned_is_told_by_the_guard),
        TEST(a_full_map_is_noted_beside_the_ban),
        TEST(networks_are_allowed_listed_and_taken_off),
        TEST(bad_networks_are_told),
        TEST(status_shows_interfaces_packets_and_bans),
        TEST(stats_show_each_slot_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
