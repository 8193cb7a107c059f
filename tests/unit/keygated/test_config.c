/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's sources are no part of the library that unit tests are linked with. */
#include "keygated/setting_table.c"
#include "keygated/setting.c"
#include "keygated/config.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char written[64] = "/tmp/keygate-test-config-XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(written);

    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    return unlink(written);
}

static int load_text(const char *text, struct kg_config *config, struct kg_error *err)
{
    FILE *stream = fopen(written, "we");

    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
    return kg_config_load(written, NULL, 0, config, err);
}

static int load_set(const char *set, struct kg_config *config, struct kg_error *err)
{
    return kg_config_load(NULL, &set, 1, config, err);
}

/* The text is refused with exactly this sentence behind "FILE:". */
static void refused(const char *text, const char *sentence)
{
    struct kg_config config;
    struct kg_error err = { "" };
    size_t skip = strlen(written) + 1;

    assert_true(load_text(text, &config, &err) < 0);
    assert_memory_equal(err.text, written, skip - 1);
    assert_string_equal(err.text + skip, sentence);
    assert_null(config.guard.allow);
    assert_int_equal(config.listen_count, 0);
}

static void set_refused(const char *set, const char *sentence)
{
    struct kg_config config;
    struct kg_error err = { "" };

    assert_true(load_set(set, &config, &err) < 0);
    assert_string_equal(err.text, sentence);
}

static void the_defaults_are_those_of_the_table(void **state)
{
    struct kg_config config;
    struct kg_error err = { "" };
    struct kg_addr loopback;

    assert_int_equal(kg_addr_parse(KG_SLICE("127.0.0.1"), &loopback), 0);
    assert_int_equal(kg_config_load(NULL, NULL, 0, &config, &err), 0);
    assert_int_equal(config.listen_count, 1);
    assert_true(kg_addr_eq(&config.listen[0].addr, &loopback));
    assert_int_equal(config.listen[0].port, 9080);
    assert_string_equal(config.user, "keygate");
    assert_string_equal(config.state_dir, "/var/lib/keygate");
    assert_int_equal(config.log_level, KG_LOG_INFO);
    assert_int_equal(config.drain_timeout, 10000);
    assert_string_equal(config.admin.socket, "/run/keygate/admin.sock");
    assert_int_equal(config.http.max_head, 32768);
    assert_int_equal(config.http.max_connections, 8192);
    assert_int_equal(config.xdp.interface_count, 0);
    assert_int_equal(config.xdp.mode, KG_XDP_AUTO);
    assert_int_equal(config.guard.threshold, 10);
    assert_int_equal(config.guard.ban_time_max, 86400000);
    assert_null(config.guard.allow);
    kg_config_free(&config);
}

/* conf/keygate.yaml is what people read: nothing missing in it, nothing else than the truth. */
static void the_file_in_conf_holds_every_setting_with_its_default(void **state)
{
    struct kg_config from_file = { 0 }, defaults;
    const char *givers[KG_SETTINGS] = { NULL };
    size_t lines[KG_SETTINGS] = { 0 };
    struct kg_error err = { "" };
    struct source source = { .config = &from_file, .err = &err, .givers = givers, .lines = lines };

    assert_int_equal(kg_config_load(NULL, NULL, 0, &defaults, &err), 0);
    if (read_file(&source, "conf/keygate.yaml"))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < KG_SETTINGS; i++) {
        if (!givers[i])
            fail_msg("conf/keygate.yaml lacks %s", kg_settings[i].path);
    }
    assert_int_equal(from_file.workers, 0);
    from_file.workers = defaults.workers;
    assert_memory_equal(&from_file, &defaults, sizeof(defaults));
}

/* The comment above each setting is the table's own line. */
static void the_file_in_conf_says_what_each_setting_does(void **state)
{
    char *text = kg_calloc(1, 65536), wanted[512];
    FILE *stream = fopen("conf/keygate.yaml", "re");

    assert_non_null(stream);
    assert_true(fread(text, 1, 65535, stream) > 0);
    for (size_t i = 0; i < KG_SETTINGS; i++) {
        const char *indent = strchr(kg_settings[i].path, '.') ? "  " : "";

        snprintf(wanted, sizeof(wanted), "\n%s# %s\n%s%s: %s\n", indent, kg_settings[i].about, indent,
                 leaf(kg_settings[i].path), kg_settings[i].initial);
        if (!strstr(text, wanted))
            fail_msg("conf/keygate.yaml does not hold:%s", wanted);
    }
    fclose(stream);
    free(text);
}

static void a_file_overrides_the_defaults(void **state)
{
    struct kg_config config;
    struct kg_error err = { "" };
    int rc = load_text(
        "listen: ['0.0.0.0:80', '[2001:db8::1]:8080']\nworkers: 3\nlog_level: debug\n"
        "http:\n  header_timeout: 250ms\n  buffers: 1024\n  max_head: 65536\n"
        "xdp:\n  interfaces: [eth0, lo]\n  mode: generic\n"
        "guard:\n  window: 2m\n  ban_memory: 7d\n  allow: [10.0.0.0/8, '2001:db8::/32', 192.0.2.7]\n",
        &config, &err);

    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    assert_int_equal(config.listen_count, 2);
    assert_int_equal(config.listen[1].addr.family, 6);
    assert_int_equal(config.listen[1].port, 8080);
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.log_level, KG_LOG_DEBUG);
    assert_int_equal(config.http.header_timeout, 250);
    assert_int_equal(config.http.buffers, 1024);
    assert_int_equal(config.http.max_head, 65536);
    assert_int_equal(config.xdp.interface_count, 2);
    assert_string_equal(config.xdp.interfaces[1], "lo");
    assert_int_equal(config.xdp.mode, KG_XDP_GENERIC);
    assert_int_equal(config.guard.window, 120000);
    assert_int_equal(config.guard.ban_memory, 604800000);
    assert_int_equal(config.guard.allow_count, 3);
    assert_int_equal(config.guard.allow[0].prefix_len, 8);
    assert_int_equal(config.guard.allow[2].prefix_len, 32);
    assert_int_equal(config.guard.threshold, 10);
    kg_config_free(&config);
}

static void an_empty_file_and_an_empty_group_leave_the_defaults(void **state)
{
    static const char *const texts[] = { "", "# nothing\n", "---\n",
                                         "guard:\n  # threshold: 3\nworkers: 1\n" };
    struct kg_config config;
    struct kg_error err = { "" };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(load_text(texts[i], &config, &err), 0);
        assert_int_equal(config.guard.threshold, 10);
        kg_config_free(&config);
    }
}

/* The daemon keeps its workers in arrays of this length. */
static void there_are_never_more_workers_than_the_daemon_has_room_for(void **state)
{
    struct kg_config config;
    struct kg_error err = { "" };

    assert_int_equal(load_set("workers=64", &config, &err), 0);
    assert_int_equal(config.workers, KG_WORKERS_MAX);
    kg_config_free(&config);
    set_refused("workers=65", "--set workers: expected a whole number from 0 to 64, got \"65\"");
    set_refused("guard.consumer_slots=65537",
                "--set guard.consumer_slots: expected a whole number from 16 to 65536, got \"65537\"");
}

static void workers_0_becomes_the_number_of_cpus(void **state)
{
    struct kg_config config;
    struct kg_error err = { "" };

    assert_int_equal(load_set("workers=0", &config, &err), 0);
    assert_int_equal(config.workers, cpu_count() < KG_WORKERS_MAX ? cpu_count() : KG_WORKERS_MAX);
    assert_true(config.workers >= 1);
    kg_config_free(&config);
}

static void a_set_overrides_the_file_and_the_later_set_counts(void **state)
{
    const char *const sets[] = { "guard.threshold=3", "xdp.interfaces=[lo]", "guard.allow=[]",
                                 "guard.threshold=4", "listen=['127.0.0.1:1']" };
    struct kg_config config;
    struct kg_error err = { "" };

    assert_int_equal(load_text("guard: {threshold: 99, allow: [10.0.0.0/8]}\n", &config, &err), 0);
    kg_config_free(&config);
    assert_int_equal(kg_config_load(written, sets, 5, &config, &err), 0);
    assert_int_equal(config.guard.threshold, 4);
    assert_int_equal(config.guard.allow_count, 0);
    assert_string_equal(config.xdp.interfaces[0], "lo");
    assert_int_equal(config.listen_count, 1);
    assert_int_equal(config.listen[0].port, 1);
    kg_config_free(&config);
}

static void an_unknown_setting_names_the_nearest_known_one(void **state)
{
    refused("guard:\n  treshold: 3\n", "2: guard.treshold: unknown setting, did you mean guard.threshold?");
    refused("gaurd:\n  threshold: 3\n", "1: gaurd: unknown setting, did you mean guard?");
    refused("threshold: 3\n", "1: threshold: unknown setting, did you mean guard.threshold?");
    refused("admin:\n  user: x\n", "2: admin.user: unknown setting, did you mean user?");
    refused("colour: blue\n", "1: colour: unknown setting");
    refused("guard.threshold: {x: 1}\n",
            "1: guard.threshold: expected a whole number from 0 to 1000000, got a group of settings");
    refused("guard:\n  guard:\n    window: 1s\n", "2: guard.guard: unknown setting");
    set_refused("guard.treshold=3", "--set guard.treshold: unknown setting, did you mean guard.threshold?");
}

static void a_name_of_any_length_and_bytes_is_refused_in_one_line(void **state)
{
    char text[400];

    memset(text, 'x', sizeof(text));
    memcpy(text + sizeof(text) - 6, ": 1\n", 5);
    refused(text, "1: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: unknown setting");
    refused("\"a\\nb\\e\": 1\n", "1: a?b?: unknown setting");
    refused("? [1, 2]\n: 3\n", "1: expected a setting's name, got a list or a group");
}

static void a_repeated_setting_is_refused(void **state)
{
    refused("workers: 1\nuser: x\nworkers: 2\n", "3: workers: repeated setting, first given on line 1");
    refused("guard:\n  window: 1s\nguard:\n  threshold: 1\n",
            "3: guard: repeated setting, first given on line 1");
    refused("guard:\n  window: 1s\n  window: 1s\n",
            "3: guard.window: repeated setting, first given on line 2");
    refused("guard.window: 1s\nguard:\n  window: 1s\n",
            "3: guard.window: repeated setting, first given on line 1");
}

static void numbers_are_refused_outside_their_range_and_form(void **state)
{
    static const char *const values[] = { "many",    "-1",  "1.5",
                                          "1000001", "010", "0x10",
                                          "1k",      "1e3", "99999999999999999999999" };
    char text[128], sentence[128];

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        snprintf(text, sizeof(text), "# comment\nguard:\n  threshold: %s\n", values[i]);
        snprintf(sentence, sizeof(sentence),
                 "3: guard.threshold: expected a whole number from 0 to 1000000, got \"%s\"", values[i]);
        refused(text, sentence);
    }
    refused("workers: '2'\n", "1: workers: expected a whole number from 0 to 64, got \"2\" in quotes");
}

static void durations_and_sizes_need_their_units(void **state)
{
    refused("drain_timeout: 10\n",
            "1: drain_timeout: expected a duration from 0ms to 1h, such as 500ms or 10s, got \"10\"");
    refused(
        "http: {header_timeout: 99ms}\n",
        "1: http.header_timeout: expected a duration from 100ms to 1h, such as 500ms or 10s, got \"99ms\"");
    refused(
        "http: {header_timeout: 61m}\n",
        "1: http.header_timeout: expected a duration from 100ms to 1h, such as 500ms or 10s, got \"61m\"");
    refused("http: {max_head: 33K}\n",
            "1: http.max_head: expected a size from 1k to 64k, such as 8192 or 8k, got \"33K\"");
    refused("http: {max_head: 65k}\n",
            "1: http.max_head: expected a size from 1k to 64k, such as 8192 or 8k, got \"65k\"");
    refused("http: {max_head: 18446744073709551615k}\n", "1: http.max_head: expected a size from 1k to 64k, "
                                                         "such as 8192 or 8k, got \"18446744073709551615k\"");
    refused("guard: {window: 1500ms}\n",
            "1: guard.window: expected a duration from 1s to 1d in whole seconds, such "
            "as 60s or 5m, got \"1500ms\"");
}

static void buffers_must_be_a_power_of_two(void **state)
{
    refused("http:\n  buffers: 500\n",
            "2: http.buffers: expected a power of two from 16 to 32768, got \"500\"");
    refused("http:\n  buffers: 8\n", "2: http.buffers: expected a power of two from 16 to 32768, got \"8\"");
    refused("http:\n  buffers: 65536\n",
            "2: http.buffers: expected a power of two from 16 to 32768, got \"65536\"");
}

static void a_value_of_the_wrong_kind_is_refused(void **state)
{
    refused("workers: [1]\n", "1: workers: expected a whole number from 0 to 64, got a list of 1");
    refused("workers:\n", "1: workers: expected a whole number from 0 to 64, got nothing");
    refused("user: ~\n",
            "1: user: expected a name of letters, digits, '.', '_' and '-', at most 32 bytes, got nothing");
    refused("log_level: loud\n", "1: log_level: expected one of error, warn, info, debug, got \"loud\"");
    refused("listen: 9080\n", "1: listen: expected a list of 1 to 16 addresses with ports, such as "
                              "[\"127.0.0.1:9080\"], got \"9080\"");
    refused("guard: 3\n", "1: guard: expected a group of settings, got \"3\"");
    refused("- a\n- b\n", "1: expected a group of settings, got a list of 2");
    refused("guard:\n  allow:\n    - 10.0.0.0/8\n    - [1]\n",
            "4: guard.allow: expected a plain text as element of the list, got a list of 1");
}

static void names_and_paths_are_refused_when_they_cannot_be_such(void **state)
{
    char text[200] = "admin: {socket: /";

    refused("state_dir: var\n", "1: state_dir: expected an absolute path of at most 255 bytes, got \"var\"");
    refused("state_dir: \"/a\\0b\"\n",
            "1: state_dir: expected an absolute path of at most 255 bytes, got \"/a\\u0000b\"");
    refused("user: -x\n",
            "1: user: expected a name of letters, digits, '.', '_' and '-', at most 32 bytes, got \"-x\"");
    memset(text + 17, 'a', 107);
    memcpy(text + 17 + 107, "}\n", 3);
    refused(text, "1: admin.socket: expected an absolute path of at most 107 bytes, got "
                  "\"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"");
}

static void listen_addresses_are_checked(void **state)
{
    static const char *const wrong[] = { "127.0.0.1", "127.0.0.1:0",    "127.0.0.1:65536", ":80",
                                         "::1:80",    "[127.0.0.1]:80", "[::1]",           "localhost:80",
                                         "[]:80",     "[::1:80",        "127.0.0.1:+80",   "127.0.0.1:",
                                         "*:80" };
    char text[128], sentence[160];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "listen:\n  - '127.0.0.1:9080'\n  - '%s'\n", wrong[i]);
        snprintf(sentence, sizeof(sentence),
                 "3: listen: expected IPv4:port or [IPv6]:port with a port from 1 to 65535, got \"%s\"",
                 wrong[i]);
        refused(text, sentence);
    }
    refused("listen: []\n", "1: listen: expected a list of 1 to 16 addresses with ports, such as "
                            "[\"127.0.0.1:9080\"], got a list of 0");
    refused("listen: ['[::1]:80', '[0:0::1]:80']\n",
            "1: listen: expected no element twice, got \"[0:0::1]:80\"");
}

static void interfaces_and_networks_are_checked(void **state)
{
    refused("xdp: {interfaces: [abcdefghijklmnop]}\n",
            "1: xdp.interfaces: expected an interface name of at most 15 bytes, got \"abcdefghijklmnop\"");
    refused("xdp: {interfaces: ['a/b']}\n",
            "1: xdp.interfaces: expected an interface name of at most 15 bytes, got \"a/b\"");
    refused("xdp: {interfaces: [lo, lo]}\n", "1: xdp.interfaces: expected no element twice, got \"lo\"");
    refused("guard:\n  allow:\n  - 10.0.0.0/8\n  - 10.0.0.1/8\n",
            "4: guard.allow: expected a network whose host bits are zero, such as 10.0.0.0/8, got "
            "\"10.0.0.1/8\"");
    refused("guard: {allow: [10.0.0.0/33]}\n", "1: guard.allow: expected an address or a network, such as "
                                               "192.0.2.7 or 10.0.0.0/8, got \"10.0.0.0/33\"");
    refused("guard: {allow: [10.0.0.0/8, 10.0.0.0/8]}\n",
            "1: guard.allow: expected no element twice, got \"10.0.0.0/8\"");
}

static void settings_that_contradict_each_other_are_refused_where_they_were_given(void **state)
{
    refused("http:\n  max_request_line: 33k\n",
            "2: http.max_request_line: http.max_head must be at least http.max_request_line");
    refused("http:\n  max_head: 4k\n",
            "2: http.max_head: http.max_head must be at least http.max_request_line");
    refused("guard:\n  ban_time: 25h\n",
            "2: guard.ban_time: guard.ban_time must be at most guard.ban_time_max");
    set_refused("guard.ban_time_max=1m",
                "--set guard.ban_time_max: guard.ban_time must be at most guard.ban_time_max");
    refused(
        "guard:\n  max_allow: 16\n  allow: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5, 192.0.2.6,"
        " 192.0.2.7, 192.0.2.8, 192.0.2.9, 192.0.2.10, 192.0.2.11, 192.0.2.12, 192.0.2.13, 192.0.2.14,"
        " 192.0.2.15, 192.0.2.16, 192.0.2.17]\n",
        "3: guard.allow: guard.allow must not be longer than guard.max_allow");
}

static void a_syntax_error_names_its_line(void **state)
{
    refused("workers: 1\nlisten: [\n", "3: not valid YAML: did not find expected node content");
    refused("workers: 1\nuser: \xff\n", "2: not valid YAML: invalid leading UTF-8 octet");
    refused("workers: 1\n---\nworkers: 2\n", "3: expected one YAML document, got more");
    refused("a: *b\n", "1: not valid YAML: found undefined alias");
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    struct kg_config config;
    struct kg_error err = { "" };

    assert_int_equal(kg_config_load("/nonexistent/keygate.yaml", NULL, 0, &config, &err), -ENOENT);
    assert_string_equal(err.text, "/nonexistent/keygate.yaml: cannot be read: No such file or directory");
    assert_true(kg_config_load("/tmp", NULL, 0, &config, &err) < 0);
    assert_string_equal(err.text, "/tmp: cannot be read: Is a directory");
    assert_true(kg_config_load("/dev/zero", NULL, 0, &config, &err) < 0);
    assert_string_equal(err.text, "/dev/zero: longer than 1 MiB");
}

static void a_set_that_is_no_assignment_of_one_setting_is_refused(void **state)
{
    set_refused("guard.threshold", "--set guard.threshold: expected PATH=VALUE, such as guard.threshold=3");
    set_refused("guard={}", "--set guard: a group of settings; name one of it, such as guard.threshold=3");
    set_refused("guard.threshold=", "--set guard.threshold: expected a value, got nothing");
    set_refused("guard.threshold=many",
                "--set guard.threshold: expected a whole number from 0 to 1000000, got \"many\"");
    set_refused("xdp.interfaces=[lo",
                "--set xdp.interfaces: not valid YAML: did not find expected ',' or ']'");
    set_refused("=3", "--set : unknown setting");
}

static void listen_takes_words_behind_an_address(void **state)
{
    struct kg_config config;
    struct kg_error err = { "" };

    assert_int_equal(load_text("listen: ['0.0.0.0:80', '0.0.0.0:443 ssl', '127.0.0.1:81 proxy_protocol',\n"
                               "  '[::1]:444 ssl proxy_protocol', '[::1]:445 proxy_protocol ssl']\n",
                               &config, &err),
                     0);
    assert_int_equal(config.listen_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(config.listen[i].tls, i == 1 || i > 2);
        assert_int_equal(config.listen[i].proxy_protocol, i > 1);
    }
    assert_int_equal(config.listen[3].port, 444);
    kg_config_free(&config);
}

static void other_words_behind_an_address_are_refused(void **state)
{
    static const char *const bad[] = { "ssl ssl", "http2", "SSL", "ssl  proxy_protocol", "ssl ", "" };
    char text[200], sentence[300];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "listen: ['0.0.0.0:80 %s']\n", bad[i]);
        snprintf(sentence, sizeof(sentence),
                 "1: listen: expected nothing behind an address but the words ssl and proxy_protocol, got "
                 "\"0.0.0.0:80 %s\"",
                 bad[i]);
        refused(text, sentence);
    }
    refused(
        "listen: ['0.0.0.0 ssl:80']\n",
        "1: listen: expected IPv4:port or [IPv6]:port with a port from 1 to 65535, got \"0.0.0.0 ssl:80\"");
    refused("listen: ['0.0.0.0:80', '0.0.0.0:80 ssl']\n",
            "1: listen: expected no element twice, got \"0.0.0.0:80 ssl\"");
}

static void the_guard_gets_the_trusted_proxies(void **state)
{
    struct kg_guard_config guard;
    struct kg_config config;
    struct kg_error err = { "" };

    assert_int_equal(
        load_text("http: {trusted_proxies: [10.0.0.0/8, '2001:db8::1'], real_ip_header: X-Real-IP,"
                  " real_ip_recursive: false}\nguard: {allow: [192.0.2.7]}\n",
                  &config, &err),
        0);
    kg_config_guard(&config, &guard);
    assert_int_equal(guard.allow_count, 1);
    assert_int_equal(guard.trusted_count, 2);
    assert_int_equal(guard.trusted[0].prefix_len, 8);
    assert_int_equal(guard.trusted[1].addr.family, 6);
    assert_string_equal(config.http.real_ip_header, "X-Real-IP");
    assert_int_equal(config.http.real_ip_recursive, 0);
    kg_config_free(&config);
    refused("http: {trusted_proxies: [10.0.0.1/8]}\n",
            "1: http.trusted_proxies: expected a network whose host bits are zero, such as 10.0.0.0/8, got "
            "\"10.0.0.1/8\"");
    refused("http: {trusted_proxies: [10.0.0.1, 10.0.0.1/32]}\n",
            "1: http.trusted_proxies: expected no element twice, got \"10.0.0.1/32\"");
    refused("http: {real_ip_recursive: maybe}\n",
            "1: http.real_ip_recursive: expected one of false, true, got \"maybe\"");
    refused(
        "http: {real_ip_header: 'X Real'}\n",
        "1: http.real_ip_header: expected a name of letters, digits, '.', '_' and '-', at most 64 bytes, got "
        "\"X Real\"");
}

static void the_guard_gets_its_part_in_seconds(void **state)
{
    struct kg_guard_config guard;
    struct kg_config config;
    struct kg_error err = { "" };

    assert_int_equal(
        load_text("xdp: {interfaces: [lo], mode: native}\nworkers: 2\n"
                  "guard: {window: 2m, ban_time: 3s, ban_time_max: 1h, ban_memory: 2h, sources: 99,"
                  " threshold: 5, allow: [10.0.0.0/8]}\n",
                  &config, &err),
        0);
    kg_config_guard(&config, &guard);
    assert_int_equal(guard.interface_count, 1);
    assert_string_equal(guard.interfaces[0], "lo");
    assert_int_equal(guard.mode, KG_XDP_NATIVE);
    assert_string_equal(guard.bpf_dir, "/sys/fs/bpf/keygate");
    assert_int_equal(guard.threshold, 5);
    assert_int_equal(guard.window_s, 120);
    assert_int_equal(guard.ban_s, 3);
    assert_int_equal(guard.ban_max_s, 3600);
    assert_int_equal(guard.memory_s, 7200);
    assert_int_equal(guard.sources, 99);
    assert_int_equal(guard.max_bans, 65536);
    assert_int_equal(guard.max_allow, 1024);
    assert_int_equal(guard.consumer_slots, 1024);
    assert_int_equal(guard.workers, 2);
    assert_int_equal(guard.allow_count, 1);
    assert_ptr_equal(guard.allow, config.guard.allow);
    kg_config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_table),
        cmocka_unit_test(the_file_in_conf_holds_every_setting_with_its_default),
        cmocka_unit_test(the_file_in_conf_says_what_each_setting_does),
        cmocka_unit_test(a_file_overrides_the_defaults),
        cmocka_unit_test(an_empty_file_and_an_empty_group_leave_the_defaults),
        cmocka_unit_test(there_are_never_more_workers_than_the_daemon_has_room_for),
        cmocka_unit_test(workers_0_becomes_the_number_of_cpus),
        cmocka_unit_test(a_set_overrides_the_file_and_the_later_set_counts),
        cmocka_unit_test(an_unknown_setting_names_the_nearest_known_one),
        cmocka_unit_test(a_name_of_any_length_and_bytes_is_refused_in_one_line),
        cmocka_unit_test(a_repeated_setting_is_refused),
        cmocka_unit_test(numbers_are_refused_outside_their_range_and_form),
        cmocka_unit_test(durations_and_sizes_need_their_units),
        cmocka_unit_test(buffers_must_be_a_power_of_two),
        cmocka_unit_test(a_value_of_the_wrong_kind_is_refused),
        cmocka_unit_test(names_and_paths_are_refused_when_they_cannot_be_such),
        cmocka_unit_test(listen_addresses_are_checked),
        cmocka_unit_test(interfaces_and_networks_are_checked),
        cmocka_unit_test(settings_that_contradict_each_other_are_refused_where_they_were_given),
        cmocka_unit_test(a_syntax_error_names_its_line),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(a_set_that_is_no_assignment_of_one_setting_is_refused),
        cmocka_unit_test(listen_takes_words_behind_an_address),
        cmocka_unit_test(other_words_behind_an_address_are_refused),
        cmocka_unit_test(the_guard_gets_the_trusted_proxies),
        cmocka_unit_test(the_guard_gets_its_part_in_seconds),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
