/* SPDX-License-Identifier: BSD-2-Clause */
#include "keygated/setting.h"

#include "base/distance.h"

#include <stdio.h>

#define MS     1u
#define SECOND 1000u
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)
#define KIB    1024u

static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const booleans[] = { "false", "true", NULL };
static const char *const at_rest[] = { "encrypted", "hashed", NULL };
static const char *const tls_versions[] = { "TLSv1.2", "TLSv1.3", NULL };
static const char *const tls_verify[] = { "off", "optional", "on", NULL };
static const char *const error_styles[] = { "kong", "apisix", "apim", NULL };
static const char *const xdp_modes[] = { "auto", "native", "generic", NULL };
_Static_assert(KG_LOG_ERROR == 0 && KG_LOG_DEBUG == 3, "log_levels follows enum kg_log_level");
_Static_assert(KG_XDP_AUTO == 0 && KG_XDP_GENERIC == 2, "xdp_modes follows enum kg_xdp_mode");
_Static_assert(KG_TLS_VERIFY_OFF == 0 && KG_TLS_VERIFY_ON == 2, "tls_verify follows enum kg_tls_verify");
_Static_assert(KG_ERRORS_KONG == 0 && KG_ERRORS_APIM == 2, "error_styles follows enum kg_error_style");
_Static_assert(sizeof(enum kg_log_level) == 4 && sizeof(enum kg_xdp_mode) == 4 &&
                   sizeof(enum kg_tls_verify) == 4 && sizeof(enum kg_error_style) == 4,
               "choices are stored as four bytes");

#define FIELD(name)    offsetof(struct kg_config, name)
#define TEXT_MAX(name) (sizeof(((struct kg_config *)0)->name) - 1)

const struct kg_setting kg_settings[KG_SETTINGS] = {
    { "listen", "[\"127.0.0.1:9080\"]",
      "Addresses to take requests on: IPv4:port or [IPv6]:port, then, if wanted, the words ssl and "
      "proxy_protocol.",
      NULL, FIELD(listen), KG_SETTING_LISTEN, 1, KG_CONFIG_LISTEN_MAX },
    { "workers", "0", "Threads that serve traffic; 0 = one for each CPU.", NULL, FIELD(workers),
      KG_SETTING_COUNT, 0, KG_WORKERS_MAX },
    { "user", "keygate",
      "Become this user after the start; when there is no such user, stay root and say so.", NULL,
      FIELD(user), KG_SETTING_NAME, 0, TEXT_MAX(user) },
    { "state_dir", "/var/lib/keygate",
      "Folder of the database keygate.db and of master.key, which encrypts the API keys in it.", NULL,
      FIELD(state_dir), KG_SETTING_PATH, 0, TEXT_MAX(state_dir) },
    { "declarative_config", "\"\"",
      "File of services, routes, consumers and the rest, which all become as it says at each start and on "
      "SIGHUP; \"\" = none.",
      NULL, FIELD(declarative_config), KG_SETTING_FILE, 0, TEXT_MAX(declarative_config) },
    { "log_level", "info", "How much to log: error, warn, info or debug.", log_levels, FIELD(log_level),
      KG_SETTING_CHOICE, 0, 0 },
    { "drain_timeout", "10s", "How long a shutdown waits for requests that are under way.", NULL,
      FIELD(drain_timeout), KG_SETTING_DURATION, 0, HOUR },

    { "keys.at_rest", "encrypted",
      "How API keys are kept: encrypted = can be shown again; hashed = shown once, at creation.", at_rest,
      FIELD(keys.at_rest), KG_SETTING_CHOICE, 0, 0 },
    { "keys.master_key", "\"\"",
      "File of the master key, 32 bytes that only the daemon's user may read; \"\" = master.key in "
      "state_dir.",
      NULL, FIELD(keys.master_key), KG_SETTING_FILE, 0, TEXT_MAX(keys.master_key) },

    { "admin.socket", "/run/keygate/admin.sock", "UNIX socket of the Admin API, which keyctl talks to.", NULL,
      FIELD(admin.socket), KG_SETTING_PATH, 0, TEXT_MAX(admin.socket) },
    { "admin.group", "keygate", "Members of this group may use the Admin API, besides root.", NULL,
      FIELD(admin.group), KG_SETTING_NAME, 0, TEXT_MAX(admin.group) },
    { "admin.config_max_size", "32m",
      "Most bytes of declarative files, in one request or named by declarative_config; more are refused.",
      NULL, FIELD(admin.config_max_size), KG_SETTING_SIZE, 4 * KIB, 4095 * 1024 * KIB },

    { "http.max_request_line", "8k", "Longest request line; a longer one is answered 414.", NULL,
      FIELD(http.max_request_line), KG_SETTING_SIZE, 256, 64 * KIB },
    { "http.max_head", "32k",
      "Largest request head, request line and headers together; a larger one is answered 431.", NULL,
      FIELD(http.max_head), KG_SETTING_SIZE, 1 * KIB, 64 * KIB },
    { "http.max_headers", "100", "Most headers in one request; more are answered 431.", NULL,
      FIELD(http.max_headers), KG_SETTING_COUNT, 8, 128 },
    { "http.header_timeout", "10s",
      "How long a client may take to send a request head; for the first one from connecting on.", NULL,
      FIELD(http.header_timeout), KG_SETTING_DURATION, 100 * MS, HOUR },
    { "http.keepalive_timeout", "75s", "How long a client's connection may stay idle between two requests.",
      NULL, FIELD(http.keepalive_timeout), KG_SETTING_DURATION, 100 * MS, DAY },
    { "http.keepalive_requests", "1000",
      "Most requests on one connection, the last answer says close; 0 = no limit.", NULL,
      FIELD(http.keepalive_requests), KG_SETTING_COUNT, 0, UINT32_MAX },
    { "http.client_max_body_size", "0",
      "Largest body of a request, a larger one is answered 413; 0 = no limit.", NULL,
      FIELD(http.client_max_body_size), KG_SETTING_SIZE, 0, 4095 * 1024 * KIB },
    { "http.client_body_timeout", "60s", "How long a client may send nothing of a body that it owes.", NULL,
      FIELD(http.client_body_timeout), KG_SETTING_DURATION, 100 * MS, DAY },
    { "http.send_timeout", "60s", "How long a client may take nothing of an answer that waits for it.", NULL,
      FIELD(http.send_timeout), KG_SETTING_DURATION, 100 * MS, DAY },
    { "http.min_body_rate", "100",
      "Bytes a second that a client must send a body with, as long as it is waited for; 0 = any rate.", NULL,
      FIELD(http.min_body_rate), KG_SETTING_SIZE, 0, 1024 * 1024 * KIB },
    { "http.min_read_rate", "100",
      "Bytes a second that a client must take an answer with, as long as it is waited for; 0 = any rate.",
      NULL, FIELD(http.min_read_rate), KG_SETTING_SIZE, 0, 1024 * 1024 * KIB },
    { "http.rate_window", "30s",
      "The time of waiting over which these rates are measured; the first such time of a request is free.",
      NULL, FIELD(http.rate_window), KG_SETTING_DURATION, 100 * MS, HOUR },
    { "http.max_connections", "8192", "Most client connections at a time, for each worker.", NULL,
      FIELD(http.max_connections), KG_SETTING_COUNT, 1, 1000000 },
    { "http.max_connections_total", "0", "Most client connections at a time, of all workers; 0 = no limit.",
      NULL, FIELD(http.max_connections_total), KG_SETTING_COUNT, 0, UINT32_MAX },
    { "http.max_connections_per_source", "0",
      "Most of them from one source, an IPv4 address or an IPv6 /64; 0 = no limit.", NULL,
      FIELD(http.max_connections_per_source), KG_SETTING_COUNT, 0, UINT32_MAX },
    { "http.buffer_size", "32k", "Size of one receive buffer.", NULL, FIELD(http.buffer_size),
      KG_SETTING_SIZE, 1 * KIB, 64 * KIB },
    { "http.buffers", "512", "Number of receive buffers, for each worker; a power of two.", NULL,
      FIELD(http.buffers), KG_SETTING_POWER, 16, 32768 },
    { "http.trusted_proxies", "[]",
      "Addresses and networks of proxies in front of keygate, which are believed whose requests they bring.",
      NULL, FIELD(http.trusted_proxies), KG_SETTING_NETWORKS, 0, 1024 },
    { "http.real_ip_header", "X-Forwarded-For",
      "The header in which they name the client's address; proxy_protocol = none but the PROXY protocol's.",
      NULL, FIELD(http.real_ip_header), KG_SETTING_NAME, 0, TEXT_MAX(http.real_ip_header) },
    { "http.real_ip_recursive", "true",
      "true = the last address there that is no trusted proxy's; false = just the last one.", booleans,
      FIELD(http.real_ip_recursive), KG_SETTING_CHOICE, 0, 0 },

    { "upstream.max_idle", "64",
      "Most idle connections kept for reuse, for each worker and upstream address.", NULL,
      FIELD(upstream.max_idle), KG_SETTING_COUNT, 0, 65535 },
    { "upstream.idle_timeout", "60s", "How long such a connection is kept.", NULL,
      FIELD(upstream.idle_timeout), KG_SETTING_DURATION, 100 * MS, DAY },

    { "upstream.tls_verify", "true",
      "Whether an upstream's certificate is verified where its service does not say (tls_verify).", booleans,
      FIELD(upstream.tls_verify), KG_SETTING_CHOICE, 0, 0 },
    { "upstream.trusted_certificates", "\"\"",
      "File of the CA certificates (PEM) that upstreams are verified by; \"\" = the system's.", NULL,
      FIELD(upstream.trusted_certificates), KG_SETTING_FILE, 0, TEXT_MAX(upstream.trusted_certificates) },

    { "errors.style", "kong", "Whose error answers keygate's own look like: kong, apisix or apim.",
      error_styles, FIELD(errors.style), KG_SETTING_CHOICE, 0, 0 },

    { "rate_limiting.max_counters", "2097152",
      "Most counters of requests at a time for windows of one length; rounded up to a power of two, 32 bytes "
      "each.",
      NULL, FIELD(rate_limiting.max_counters), KG_SETTING_COUNT, 1024, 1 << 28 },

    { "tls.certificate", "\"\"",
      "File of the certificate (PEM, its chain behind it) for clients whose server name no SNI entity has; "
      "\"\" = one made at each start, signed by itself.",
      NULL, FIELD(tls.certificate), KG_SETTING_FILE, 0, TEXT_MAX(tls.certificate) },
    { "tls.certificate_key", "\"\"", "File of its private key (PEM), read before root is given up.", NULL,
      FIELD(tls.certificate_key), KG_SETTING_FILE, 0, TEXT_MAX(tls.certificate_key) },
    { "tls.min_version", "TLSv1.2", "The oldest version clients may speak: TLSv1.2 or TLSv1.3.", tls_versions,
      FIELD(tls.min_version), KG_SETTING_CHOICE, 0, 0 },
    { "tls.ticket_rotation", "1h",
      "How often the key that seals session tickets changes; a ticket opens with the key before, too.", NULL,
      FIELD(tls.ticket_rotation), KG_SETTING_SECONDS, SECOND, 7 * DAY },
    { "tls.verify_client", "off",
      "Client certificates: off = not asked for, optional = verified when there is one, on = needed.",
      tls_verify, FIELD(tls.verify_client), KG_SETTING_CHOICE, 0, 0 },
    { "tls.client_ca", "\"\"", "File of the CA certificates (PEM) that client certificates must lead to.",
      NULL, FIELD(tls.client_ca), KG_SETTING_FILE, 0, TEXT_MAX(tls.client_ca) },

    { "key_auth.max_body", "64k",
      "Largest body that key_in_body looks for a key in, a larger one passes and holds none; 0 = none is "
      "looked into.",
      NULL, FIELD(key_auth.max_body), KG_SETTING_SIZE, 0, 1024 * KIB },

    { "xdp.interfaces", "[]",
      "Network interfaces on which banned sources are dropped by XDP; none = bans are enforced in user space "
      "only.",
      NULL, FIELD(xdp.interfaces), KG_SETTING_INTERFACES, 0, KG_INTERFACES_MAX },
    { "xdp.mode", "auto",
      "native = in the driver, generic = in the kernel's general path, auto = native where the driver can.",
      xdp_modes, FIELD(xdp.mode), KG_SETTING_CHOICE, 0, 0 },
    { "xdp.bpf_dir", KG_BPF_DIR,
      "Folder of the pinned BPF maps, program and links; it lies in a BPF file system.", NULL,
      FIELD(xdp.bpf_dir), KG_SETTING_PATH, 0, TEXT_MAX(xdp.bpf_dir) },

    { "guard.threshold", "10",
      "Failures of one source within the window that make a ban; 0 = never ban by itself.", NULL,
      FIELD(guard.threshold), KG_SETTING_COUNT, 0, 1000000 },
    { "guard.window", "60s", "The time over which failures are counted.", NULL, FIELD(guard.window),
      KG_SETTING_SECONDS, SECOND, DAY },
    { "guard.ban_time", "5m", "Length of a first ban; it doubles with each further ban of the same source.",
      NULL, FIELD(guard.ban_time), KG_SETTING_SECONDS, SECOND, 30 * DAY },
    { "guard.ban_time_max", "24h", "The longest a ban can become by doubling.", NULL,
      FIELD(guard.ban_time_max), KG_SETTING_SECONDS, SECOND, 30 * DAY },
    { "guard.ban_memory", "24h", "How long after its end a ban still counts for the doubling.", NULL,
      FIELD(guard.ban_memory), KG_SETTING_SECONDS, 0, 30 * DAY },
    { "guard.sources", "65536", "Most sources whose failures are counted at a time.", NULL,
      FIELD(guard.sources), KG_SETTING_COUNT, 16, 1 << 20 },
    { "guard.max_bans", "65536", "Most bans in the kernel at a time, for IPv4 and for IPv6 each.", NULL,
      FIELD(guard.max_bans), KG_SETTING_COUNT, 16, 1 << 20 },
    { "guard.max_allow", "1024", "Most networks on the allow-list, for IPv4 and for IPv6 each.", NULL,
      FIELD(guard.max_allow), KG_SETTING_COUNT, 16, 65536 },
    { "guard.consumer_slots", "1024", "Most consumers with counters of their own; all others share one set.",
      NULL, FIELD(guard.consumer_slots), KG_SETTING_COUNT, 16, KG_CONSUMER_SLOTS_MAX },
    { "guard.allow", "[]", "Addresses and networks that are never banned.", NULL, FIELD(guard.allow),
      KG_SETTING_NETWORKS, 0, 65536 },
};

_Static_assert(sizeof(kg_settings) / sizeof(kg_settings[0]) == KG_SETTINGS, "KG_SETTINGS counts the table");

const struct kg_setting *kg_setting_find(const char *path)
{
    for (size_t i = 0; i < KG_SETTINGS; i++) {
        if (strcmp(kg_settings[i].path, path) == 0)
            return &kg_settings[i];
    }
    return NULL;
}

bool kg_setting_is_group(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < KG_SETTINGS; i++) {
        if (strncmp(kg_settings[i].path, name, len) == 0 && kg_settings[i].path[len] == '.')
            return true;
    }
    return false;
}

static const char *leaf(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot ? dot + 1 : path;
}

const char *kg_setting_nearest(const char *path, char group[KG_SETTING_PATH_MAX + 1])
{
    unsigned limit = strlen(path) < 6 ? 2 : 3, best = limit + 1;
    const char *found = NULL;

    for (size_t i = 0; i < KG_SETTINGS; i++) {
        const char *known = kg_settings[i].path, *dot = strchr(known, '.');
        unsigned far = kg_distance(path, known);

        if (strcmp(leaf(path), leaf(known)) == 0 && far > 1)
            far = 1;
        if (far < best) {
            best = far;
            found = known;
        }
        snprintf(group, KG_SETTING_PATH_MAX + 1, "%.*s", dot ? (int)(dot - known) : 0, known);
        if (dot && kg_distance(path, group) < best)
            return group;
    }
    return found;
}
