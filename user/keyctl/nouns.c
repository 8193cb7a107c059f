/* SPDX-License-Identifier: BSD-2-Clause */
/* What keyctl knows about each noun, in tables: flags, columns, help. */
#include "keyctl/keyctl.h"

const char *const verb_names[VERBS] = { "create", "list", "get", "update", "delete", "health", "rotate" };

/* clang-format off */
#define TAGS { "tags", FLAG_LIST, ON_WRITE, "TAG", "mark it; may be repeated" }

static const struct flag service_flags[] = {
    { "name", FLAG_STRING, ON_WRITE, "NAME", "a name of its own" },
    { "url", FLAG_STRING, ON_WRITE, "URL", "protocol, host, port and path in one" },
    { "protocol", FLAG_STRING, ON_WRITE, "http|https", "how to talk to it" },
    { "host", FLAG_STRING, ON_WRITE, "HOST", "host name or address, or the name of an upstream" },
    { "port", FLAG_INTEGER, ON_WRITE, "PORT", "1 to 65535" },
    { "path", FLAG_STRING, ON_WRITE, "PATH", "put in front of each request's path" },
    { "retries", FLAG_INTEGER, ON_WRITE, "NUMBER", "further tries after the first (default 5)" },
    { "connect-timeout", FLAG_INTEGER, ON_WRITE, "MS", "milliseconds to wait for a connection" },
    { "write-timeout", FLAG_INTEGER, ON_WRITE, "MS", "milliseconds between two writes" },
    { "read-timeout", FLAG_INTEGER, ON_WRITE, "MS", "milliseconds between two reads" },
    { "enabled", FLAG_BOOLEAN, ON_WRITE, "true|false", "false takes its routes out of service" },
    { "tls-verify", FLAG_BOOLEAN, ON_WRITE, "true|false", "check its certificate (default as the settings say)" },
    { "tls-verify-depth", FLAG_INTEGER, ON_WRITE, "NUMBER", "how many certificates may stand between it and a CA" },
    { "ca-certificates", FLAG_LIST, ON_WRITE, "ID", "CA certificate to check it by; may be repeated" },
    { "client-certificate", FLAG_FOREIGN, ON_WRITE, "SNI|ID", "certificate to show it", "certificates", "snis" },
    TAGS,
    { 0 },
};

static const struct flag route_flags[] = {
    { "service", FLAG_FOREIGN, ON_WRITE | ON(VERB_LIST), "NAME|ID", "where its requests go", "services", "name" },
    { "name", FLAG_STRING, ON_WRITE, "NAME", "a name of its own" },
    { "paths", FLAG_LIST, ON_WRITE, "PATH", "path prefix that it answers, or ~/REGEX; may be repeated" },
    { "regex-priority", FLAG_INTEGER, ON_WRITE, "NUMBER", "of several regexes that match the one with more wins" },
    { "hosts", FLAG_LIST, ON_WRITE, "HOST", "host name that it answers; may be repeated" },
    { "methods", FLAG_LIST, ON_WRITE, "METHOD", "method that it answers; may be repeated" },
    { "headers", FLAG_MAP, ON_WRITE, "NAME=VALUE", "header that a request must have; may be repeated" },
    { "snis", FLAG_LIST, ON_WRITE, "NAME", "server name that a TLS client must have asked for; may be repeated" },
    { "protocols", FLAG_LIST, ON_WRITE, "http|https", "protocols that it answers; https alone: what comes over http is sent away" },
    { "https-redirect-status-code", FLAG_INTEGER, ON_WRITE, "426|301|302|307|308", "how (default 426)" },
    { "strip-path", FLAG_BOOLEAN, ON_WRITE, "true|false", "take the matched prefix away (default true)" },
    { "preserve-host", FLAG_BOOLEAN, ON_WRITE, "true|false", "send the client's Host on (default false)" },
    TAGS,
    { 0 },
};

static const struct flag consumer_flags[] = {
    { "username", FLAG_STRING, ON_WRITE, "NAME", "a name of its own" },
    { "custom-id", FLAG_STRING, ON_WRITE, "ID", "its id in a system of yours" },
    TAGS,
    { 0 },
};

static const struct flag key_flags[] = {
    { "consumer", FLAG_FOREIGN, ON_ALL | ON(VERB_ROTATE), "NAME|ID", "whose key it is", "consumers", "username", true },
    { "grace", FLAG_DURATION, ON(VERB_ROTATE), "TIME", "how long the old key works on: 90s, 5m, 2h, 1d (default 1h); 0: not at all" },
    { "key-file", FLAG_KEY_FILE, ON_WRITE | ON(VERB_ROTATE), "FILE|-", "read the key from a file or from standard input; without, one is made" },
    { "ttl", FLAG_DURATION, ON_WRITE | ON(VERB_ROTATE), "TIME", "how long it is good for: 3600, 90s, 5m, 2h, 1d" },
    { "name", FLAG_STRING, ON_WRITE, "NAME", "what services are told instead of its id" },
    { "description", FLAG_STRING, ON_WRITE, "TEXT", "a note for people" },
    TAGS,
    { 0 },
};

static const struct flag jwt_flags[] = {
    { "consumer", FLAG_FOREIGN, ON_ALL, "NAME|ID", "whose it is", "consumers", "username", true },
    { "key", FLAG_STRING, ON_WRITE, "NAME", "what tokens name as their issuer; without, one is made" },
    { "algorithm", FLAG_STRING, ON_WRITE, "ALGORITHM", "how tokens are signed: HS256 (default), RS256, ES256, EdDSA, ..." },
    { "secret-file", FLAG_KEY_FILE, ON_WRITE, "FILE|-", "read the secret from a file or from standard input; without, one is made" },
    { "rsa-public-key-file", FLAG_PEM_FILE, ON_WRITE, "FILE|-", "the public key as PEM, for all algorithms but HS*" },
    TAGS,
    { 0 },
};

static const struct flag acl_flags[] = {
    { "consumer", FLAG_FOREIGN, ON_ALL, "NAME|ID", "who is in the group", "consumers", "username", true },
    { "group", FLAG_STRING, ON(VERB_UPDATE), "GROUP", "another group" },
    TAGS,
    { 0 },
};

static const struct flag plugin_flags[] = {
    { "name", FLAG_STRING, ON_WRITE, "PLUGIN", "which plugin, such as key-auth", NULL, NULL, true },
    { "instance-name", FLAG_STRING, ON_WRITE, "NAME", "a name of its own" },
    { "service", FLAG_FOREIGN, ON_WRITE | ON(VERB_LIST), "NAME|ID", "only for this service", "services", "name" },
    { "route", FLAG_FOREIGN, ON_WRITE | ON(VERB_LIST), "NAME|ID", "only for this route", "routes", "name" },
    { "consumer", FLAG_FOREIGN, ON_WRITE | ON(VERB_LIST), "NAME|ID", "only for this consumer", "consumers", "username" },
    { "config", FLAG_CONFIG, ON_WRITE, "NAME=VALUE", "a setting of the plugin; may be repeated; VALUE may be JSON" },
    { "protocols", FLAG_LIST, ON_WRITE, "PROTOCOL", "protocols that it looks at" },
    { "enabled", FLAG_BOOLEAN, ON_WRITE, "true|false", "false: as if it were not there" },
    TAGS,
    { 0 },
};

static const struct flag certificate_flags[] = {
    { "cert-file", FLAG_PEM_FILE, ON_WRITE, "FILE|-", "its PEM, and behind it what leads to its issuer", NULL, NULL, true },
    { "key-file", FLAG_PEM_FILE, ON_WRITE, "FILE|-", "its private key as PEM, without a passphrase", NULL, NULL, true },
    { "cert-alt-file", FLAG_PEM_FILE, ON_WRITE, "FILE|-", "one more of another type, such as ECDSA beside RSA" },
    { "key-alt-file", FLAG_PEM_FILE, ON_WRITE, "FILE|-", "and its private key" },
    { "snis", FLAG_LIST, ON_WRITE, "NAME", "server name that it is shown for; may be repeated" },
    TAGS,
    { 0 },
};

static const struct flag upstream_flags[] = {
    { "name", FLAG_STRING, ON_WRITE, "NAME", "what services give as their host", NULL, NULL, true },
    { "algorithm", FLAG_STRING, ON_WRITE, "round-robin|least-connections|consistent-hashing", "how a target is chosen (default round-robin)" },
    { "hash-on", FLAG_STRING, ON_WRITE, "none|consumer|ip|header|cookie|path|query_arg", "what decides the target (default none)" },
    { "hash-fallback", FLAG_STRING, ON_WRITE, "none|consumer|ip|header|cookie|path|query_arg", "the same, for requests that lack the first" },
    { "hash-on-header", FLAG_STRING, ON_WRITE, "NAME", "header to hash on" },
    { "hash-fallback-header", FLAG_STRING, ON_WRITE, "NAME", "header to fall back on" },
    { "hash-on-cookie", FLAG_STRING, ON_WRITE, "NAME", "cookie to hash on; set where it is missing" },
    { "hash-on-cookie-path", FLAG_STRING, ON_WRITE, "PATH", "the path of that cookie (default /)" },
    { "hash-on-query-arg", FLAG_STRING, ON_WRITE, "NAME", "query argument to hash on" },
    { "hash-fallback-query-arg", FLAG_STRING, ON_WRITE, "NAME", "query argument to fall back on" },
    { "slots", FLAG_INTEGER, ON_WRITE, "NUMBER", "size of the hash ring, 10 to 65536 (default 10000)" },
    { "host-header", FLAG_STRING, ON_WRITE, "HOST", "the Host that targets are sent, instead of their own" },
    { "healthchecks", FLAG_RECORD, ON_WRITE, "NAME=VALUE", "such as active.healthy.interval=5; may be repeated; VALUE may be JSON" },
    TAGS,
    { 0 },
};

static const struct flag sni_flags[] = {
    { "name", FLAG_STRING, ON_WRITE, "NAME", "server name: a.com, *.a.com, a.*, or * for all others", NULL, NULL, true },
    { "certificate", FLAG_FOREIGN, ON_WRITE | ON(VERB_LIST), "SNI|ID", "what is shown for it", "certificates", "snis", true },
    TAGS,
    { 0 },
};

static const struct flag ca_certificate_flags[] = {
    { "cert-file", FLAG_PEM_FILE, ON_WRITE, "FILE|-", "its PEM", NULL, NULL, true },
    TAGS,
    { 0 },
};

static const struct flag target_flags[] = {
    { "upstream", FLAG_FOREIGN, ON_ALL, "NAME|ID", "whose target it is", "upstreams", "name", true },
    { "weight", FLAG_INTEGER, ON_WRITE, "NUMBER", "its share of the requests, 0 to 65535 (default 100); 0: none" },
    TAGS,
    { 0 },
};

static const struct flag ban_flags[] = {
    { "ttl", FLAG_DURATION, ON(VERB_CREATE), "TIME", "how long: 300, 90s, 5m, 2h, 1d; 0 = for ever" },
    { 0 },
};

static const struct flag allow_flags[] = {
    { "comment", FLAG_STRING, ON(VERB_CREATE), "TEXT", "a note for people" },
    { 0 },
};

static const struct flag no_flags[] = { { 0 } };

static const struct column service_columns[] = {
    { "NAME", "name" }, { "PROTOCOL", "protocol" }, { "HOST", "host" }, { "PORT", "port" }, { "PATH", "path" },
    { "ENABLED", "enabled" }, { "ID", "id" }, { 0 },
};
static const struct column route_columns[] = {
    { "NAME", "name" }, { "METHODS", "methods" }, { "HOSTS", "hosts" }, { "PATHS", "paths" },
    { "STRIP_PATH", "strip_path" }, { "SERVICE", "service.id" }, { "ID", "id" }, { 0 },
};
static const struct column consumer_columns[] = {
    { "USERNAME", "username" }, { "CUSTOM_ID", "custom_id" }, { "CREATED", "created_at", COLUMN_TIME }, { "ID", "id" }, { 0 },
};
static const struct column key_columns[] = {
    { "KEY", "key", COLUMN_PLAIN, true }, { "NAME", "name" }, { "TTL", "ttl", COLUMN_FOREVER }, { "CREATED", "created_at", COLUMN_TIME },
    { "LAST_USED", "last_used_at", COLUMN_TIME }, { "CONSUMER", "consumer.id" }, { "ID", "id" }, { 0 },
};
static const struct column jwt_columns[] = {
    { "KEY", "key" }, { "ALGORITHM", "algorithm" }, { "SECRET", "secret", COLUMN_PLAIN, true }, { "ID", "id" },
    { "CONSUMER", "consumer.id" }, { "CREATED", "created_at", COLUMN_TIME }, { 0 },
};
static const struct column acl_columns[] = {
    { "GROUP", "group" }, { "CONSUMER", "consumer.id" }, { "TAGS", "tags" }, { "CREATED", "created_at", COLUMN_TIME },
    { "ID", "id" }, { 0 },
};
static const struct column plugin_columns[] = {
    { "NAME", "name" }, { "INSTANCE", "instance_name" }, { "SCOPE", "", COLUMN_SCOPE }, { "ENABLED", "enabled" },
    { "CONFIG", "config" }, { "ID", "id" }, { 0 },
};
static const struct column certificate_columns[] = {
    { "SNIS", "snis" }, { "TAGS", "tags" }, { "CREATED", "created_at", COLUMN_TIME }, { "ID", "id" }, { 0 },
};
static const struct column sni_columns[] = {
    { "NAME", "name" }, { "CERTIFICATE", "certificate.id" }, { "ID", "id" }, { 0 },
};
static const struct column ca_certificate_columns[] = {
    { "DIGEST", "cert_digest" }, { "TAGS", "tags" }, { "CREATED", "created_at", COLUMN_TIME }, { "ID", "id" }, { 0 },
};
static const struct column upstream_columns[] = {
    { "NAME", "name" }, { "ALGORITHM", "algorithm" }, { "HASH_ON", "hash_on" }, { "SLOTS", "slots" }, { "ID", "id" }, { 0 },
};
static const struct column target_columns[] = {
    { "TARGET", "target" }, { "WEIGHT", "weight" }, { "ID", "id" }, { 0 },
};
static const struct column health_columns[] = {
    { "TARGET", "target" }, { "WEIGHT", "weight" }, { "HEALTH", "health" }, { "ADDRESSES", "data.addresses", COLUMN_ADDRESSES }, { 0 },
};
static const struct column ban_columns[] = {
    { "ADDRESS", "address" }, { "REASON", "reason" }, { "SINCE", "since", COLUMN_TIME },
    { "EXPIRES_IN", "expires_in", COLUMN_FOREVER }, { "DROPS", "drops" }, { "OFFENCES", "offences" }, { 0 },
};
static const struct column allow_columns[] = {
    { "NETWORK", "network" }, { "SOURCE", "source" }, { "CREATED", "created_at", COLUMN_TIME }, { "COMMENT", "comment" }, { 0 },
};

const struct noun nouns[] = {
    { .name = "service", .collection = "services", .named_by = "name", .argument = "NAME|ID", .verbs = ON_ALL,
      .summary = "an upstream that requests can be sent to", .flags = service_flags, .columns = service_columns,
      .examples = { "--name httpbin --url http://127.0.0.1:8000", "", "httpbin", "httpbin --read-timeout 5000", "httpbin" } },
    { .name = "route", .collection = "routes", .named_by = "name", .argument = "NAME|ID", .verbs = ON_ALL,
      .summary = "which requests go to which service", .flags = route_flags, .columns = route_columns,
      .examples = { "--service httpbin --name anything --paths /anything --strip-path false", "--service httpbin", "anything",
                    "anything --methods GET --methods POST", "anything" } },
    { .name = "consumer", .collection = "consumers", .named_by = "username", .argument = "NAME|ID", .verbs = ON_ALL,
      .summary = "somebody who makes requests", .flags = consumer_flags, .columns = consumer_columns,
      .examples = { "--username alice --custom-id 42", "", "alice", "alice --custom-id 43", "alice" } },
    { .name = "key", .collection = "key-auths", .nested = "key-auth", .argument = "ID", .verbs = ON_ALL | ON(VERB_ROTATE), .by_id = true,
      .summary = "a consumer's API key", .flags = key_flags, .columns = key_columns,
      .examples = { "--consumer alice --ttl 30d", "--consumer alice", "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10",
                    "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10 --ttl 1d", "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10 --consumer alice", NULL,
                    "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10 --consumer alice --grace 1d" } },
    { .name = "jwt", .collection = "jwts", .named_by = "key", .nested = "jwt", .argument = "KEY|ID", .verbs = ON_ALL,
      .summary = "what a consumer's JWTs are signed with", .flags = jwt_flags, .columns = jwt_columns,
      .examples = { "--consumer alice --key alice-app", "--consumer alice", "alice-app", "alice-app --secret-file new.secret",
                    "alice-app" } },
    { .name = "acl", .collection = "acls", .named_by = "group", .argument = "GROUP|ID", .create_field = "group", .nested_only = true, .lists_all = true, .verbs = ON_ALL,
      .summary = "a group that a consumer is in", .flags = acl_flags, .columns = acl_columns,
      .examples = { "staff --consumer alice", "--consumer alice", "staff --consumer alice", "staff --consumer alice --tags temporary",
                    "staff --consumer alice" } },
    { .name = "plugin", .collection = "plugins", .named_by = "instance_name", .argument = "NAME|ID", .verbs = ON_ALL,
      .summary = "a policy on a service, on a route, or everywhere", .flags = plugin_flags, .columns = plugin_columns,
      .examples = { "--name key-auth --route anything --config key_names=apikey,x-key --config hide_credentials=true",
                    "--route anything", "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10",
                    "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10 --enabled false", "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10" } },
    { .name = "certificate", .collection = "certificates", .named_by = "snis", .argument = "SNI|ID", .verbs = ON_ALL,
      .summary = "what is shown to TLS clients, or to a service", .flags = certificate_flags, .columns = certificate_columns,
      .examples = { "--cert-file example.pem --key-file example.key --snis example.com,*.example.com", "", "example.com",
                    "example.com --cert-file new.pem --key-file new.key", "example.com" } },
    { .name = "sni", .collection = "snis", .named_by = "name", .argument = "NAME|ID", .verbs = ON_ALL,
      .summary = "a server name and the certificate for it", .flags = sni_flags, .columns = sni_columns,
      .examples = { "--name www.example.com --certificate example.com", "--certificate example.com", "www.example.com",
                    "www.example.com --certificate other.example.com", "www.example.com" } },
    { .name = "ca-certificate", .collection = "ca_certificates", .argument = "ID", .verbs = ON_ALL,
      .summary = "whose certificates are trusted", .flags = ca_certificate_flags, .columns = ca_certificate_columns,
      .examples = { "--cert-file ca.pem", "", "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10",
                    "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10 --tags internal", "7e4c4c3e-2f1b-4d0e-9d55-3a1f0c2b8a10" } },
    { .name = "upstream", .collection = "upstreams", .named_by = "name", .argument = "NAME|ID", .verbs = ON_ALL | ON(VERB_HEALTH),
      .summary = "a name that stands for several targets", .flags = upstream_flags, .columns = upstream_columns,
      .examples = { "--name pool --hash-on ip --healthchecks active.healthy.interval=5", "", "pool", "pool --algorithm least-connections",
                    "pool", "pool" } },
    { .name = "target", .collection = "targets", .named_by = "target", .argument = "HOST[:PORT]|ID", .create_field = "target", .nested_only = true, .verbs = ON_ALL,
      .summary = "an address that an upstream's requests go to", .flags = target_flags, .columns = target_columns,
      .examples = { "127.0.0.1:8000 --upstream pool --weight 50", "--upstream pool", "127.0.0.1:8000 --upstream pool",
                    "127.0.0.1:8000 --upstream pool --weight 0", "127.0.0.1:8000 --upstream pool" } },
    { .name = "ban", .collection = "bans", .named_by = "address", .argument = "ADDRESS", .create_field = "address", .missing_is_404 = true, .no_dry_run = true,
      .verbs = ON(VERB_CREATE) | ON(VERB_LIST) | ON(VERB_GET) | ON(VERB_DELETE),
      .summary = "a source whose packets are dropped", .flags = ban_flags, .columns = ban_columns,
      .examples = { "192.0.2.7 --ttl 5m", "", "192.0.2.7", NULL, "192.0.2.7" } },
    { .name = "allow", .collection = "allow", .named_by = "network", .argument = "NETWORK", .create_field = "network", .missing_is_404 = true, .no_dry_run = true,
      .verbs = ON(VERB_CREATE) | ON(VERB_LIST) | ON(VERB_DELETE),
      .summary = "a network that is never banned", .flags = allow_flags, .columns = allow_columns,
      .examples = { "10.0.0.0/8 --comment office", "", NULL, NULL, "10.0.0.0/8" } },
    { 0 },
};

const struct noun health_noun = { .name = "upstream", .collection = "upstreams", .flags = no_flags, .columns = health_columns };
/* clang-format on */

const struct noun *find_noun(const char *name)
{
    for (const struct noun *noun = nouns; noun->name; noun++) {
        if (strcmp(noun->name, name) == 0)
            return noun;
    }
    return NULL;
}

enum verb find_verb(const char *name)
{
    for (int verb = 0; verb < VERBS; verb++) {
        if (strcmp(verb_names[verb], name) == 0)
            return (enum verb)verb;
    }
    return VERBS;
}
