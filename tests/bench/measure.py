#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Measures keygate beside nginx, HAProxy and a bare relay. Started by scripts/bench; docs/benchmarks.md says what and how.

    measure.py BUILD FOLDER     writes BUILD/bench/http.json (or BENCH_OUT), and a table for people to standard output
"""

import collections
import http.client
import os
import socket
import ssl
import statistics
import struct
import subprocess

import figures
import handshakes
from figures import number, say
from subjects import ANSWER, MANY, Failed, Setup, World, route_path

ALL = ("keygate", "nginx", "haproxy", "relay")
PROXIES = ALL[:3]  # those that know HTTP
KEYGATE = ALL[:1]

# The requests of a case; `keys` is the file they come from. `client`: wrk on connections that stay, or a new TLS connection for
# each request, with a whole handshake or a resumed session.
Case = collections.namedtuple("Case", "connections path length subjects method body keys status setup client",
                              defaults=("GET", 0, "right", 200, Setup(), "wrk"))
MANY_ROUTES, MANY_KEYS, TLS = Setup(routes=MANY), Setup(keys=MANY), Setup(tls=True)
LOADS = {
    "get_1": Case(1, "/", 128, ALL),
    "get_64": Case(64, "/", 128, ALL),
    "get_512": Case(512, "/", 128, ALL),
    "wrong_key": Case(64, "/", None, PROXIES, keys="wrong", status=401),
    "answer_64k": Case(64, "/size/64k", 65536, ALL),
    "answer_1m": Case(16, "/size/1m", 1048576, ALL),
    "post_16k": Case(64, "/post", 128, ALL, method="POST", body=16384),
    "routes_1": Case(64, "ROUTE", 128, PROXIES),
    "routes_10000": Case(64, "ROUTE", 128, PROXIES, setup=MANY_ROUTES),
    "keys_10000": Case(64, "/", 128, KEYGATE),
    "keys_1000000": Case(64, "/", 128, KEYGATE, keys="many", setup=MANY_KEYS),
    "tls_get_64": Case(64, "/", 128, PROXIES, setup=TLS),
    "tls_new": Case(1, "/", 128, PROXIES, setup=TLS, client="new"),
    "tls_resumed": Case(1, "/", 128, PROXIES, setup=TLS, client="resumed"),
}
IDLE = "idle"
TOGETHER = [{"routes_1", "routes_10000"}, {"keys_10000", "keys_1000000"}]  # compared with each other, so measured in the same rounds

UNITS = {"cpu_us_per_request": "us", "added_cpu_us": "us", "requests_per_second": "1/s", "p50_ms": "ms", "p99_ms": "ms",
         "rss_bytes_per_connection": "bytes"}

# case, other subject (or case of keygate), metric, at most
TARGETS = [
    ("get_64", "nginx", "cpu_us_per_request", 0.70), ("get_512", "nginx", "cpu_us_per_request", 0.70),
    ("get_64", "haproxy", "cpu_us_per_request", 0.65), ("get_512", "haproxy", "cpu_us_per_request", 0.65),
    ("get_64", "relay", "cpu_us_per_request", 1.15), ("get_512", "relay", "cpu_us_per_request", 1.15),
    ("wrong_key", "nginx", "cpu_us_per_request", 0.60),
    ("answer_64k", "nginx", "cpu_us_per_request", 0.85),
    ("answer_1m", "haproxy", "cpu_us_per_request", 1.00),
    ("routes_10000", "routes_1", "cpu_us_per_request", 1.05),
    ("keys_1000000", "keys_10000", "cpu_us_per_request", 1.05),
    ("tls_get_64", "nginx", "cpu_us_per_request", 0.80),
    *((case, "nginx", "p99_ms", 1.00) for case in LOADS if "nginx" in LOADS[case].subjects),
]
IDLE_TARGET = 1024
# What each policy adds to a request, in microseconds, at most; None: to be known only. Measured by policies.c.
POLICIES = {"policy_key_auth": 0.6, "policy_jwt_hs256": 3.0, "policy_rate_limiting": 0.4, "policy_acl": None,
            "policy_ip_restriction": None, "policy_request_size_limiting": None, "policy_correlation_id": None}


class Bench:
    def __init__(self, world, seconds, rounds):
        self.world, self.seconds, self.rounds = world, seconds, rounds
        self.subjects = {}  # (subject, setup) → (process, port)
        self.samples = {}  # (case, subject) → metric → one value for each round

    def subject(self, name, setup):
        if (name, setup) not in self.subjects:
            say(f"bench: starting {name}, {self.world.describe(setup)}")
            self.subjects[name, setup] = self.world.start(name, setup)
        return self.subjects[name, setup]

    def path(self, case):
        return route_path(self.world.routes * 7 // 9) if case.path == "ROUTE" else case.path

    def check(self, name, subject):
        """It does the job: the right answer to this request, and the upstream is told who asks."""
        case = LOADS[name]
        _, port = self.subject(subject, case.setup)
        right = self.world.keys_of(case.setup)[0]
        if case.setup.tls:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=ssl._create_unverified_context())
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

        def ask(path, method="GET", body=None, key="wrong" if case.keys == "wrong" else right):
            connection.request(method, path, body, {"apikey": key})
            answer = connection.getresponse()
            return answer.status, answer.read()

        status, body = ask(self.path(case), case.method, "x" * case.body if case.body else None)
        if status != case.status or (case.length is not None and len(body) != case.length):
            raise Failed(f"{name}: {subject} answered {status} with {len(body)} bytes")
        if subject != "relay":
            if case.setup.routes == 1 and ask("/who", key=right) != (200, b"u0"):
                raise Failed(f"{name}: {subject} does not tell the upstream who asks")
            if ask(self.path(case), key="no such key")[0] != 401:
                raise Failed(f"{name}: {subject} lets a wrong key in")
        connection.close()

    def load(self, name, subject, seconds):
        case = LOADS[name]
        process, port = self.subject(subject, case.setup)
        before = process.cpu_ns()
        run = self.run_wrk if case.client == "wrk" else self.run_handshakes
        requests, us, wrong, errors, p50, p99 = run(case, port, seconds)
        cpu = process.cpu_ns() - before
        process.check()
        wanted_wrong = requests if case.status >= 400 else 0
        if requests == 0 or errors > 0 or wrong != wanted_wrong:
            raise Failed(f"{name}: {subject} gave {requests} answers, {wrong} with an error status, and failed {errors} times")
        return {"cpu_us_per_request": cpu / 1000 / requests, "requests_per_second": requests * 1e6 / us,
                "p50_ms": p50 / 1000, "p99_ms": p99 / 1000}

    def run_handshakes(self, case, port, seconds):
        requests, took, failed, times = handshakes.run(port, case.path, self.world.keys[:1000], case.length, seconds,
                                                       case.client == "resumed")
        return requests, took * 1e6, 0, failed, times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6

    def run_wrk(self, case, port, seconds):
        return self.world.run_wrk(f"http{'s' * case.setup.tls}://127.0.0.1:{port}", seconds, case.connections, case.method,
                                  self.path(case), case.body, case.keys)

    def measure(self, names):
        """These cases in the same rounds: each round has every subject of every case once."""
        turns = [(name, subject) for subject in ALL for name in names if subject in LOADS[name].subjects]
        for name, subject in turns:
            self.check(name, subject)
        for turn in range(self.rounds):
            say(f"bench: {' and '.join(names)}: round {turn + 1} of {self.rounds}")
            for name, subject in turns:
                figures.keep(self.samples, name, subject, self.load(name, subject, self.seconds))

    def measure_idle(self):
        """Memory for each client that was answered once and stays."""
        count = min(10000, self.world.clients)
        for turn in range(min(self.rounds, 2)):
            say(f"bench: {IDLE}: {count} connections, round {turn + 1} of {min(self.rounds, 2)}")
            for subject in PROXIES:
                process, port = self.world.start(subject, Setup())
                before = process.rss()
                clients = open_clients(port, count, self.world.keys)
                grown = process.rss() - before
                process.check()
                for client in clients:
                    client.close()
                self.world.stop(process)
                figures.keep(self.samples, IDLE, subject, {"rss_bytes_per_connection": max(grown, 0) / count})


    def measure_policies(self, names, keys):
        say(f"bench: {' and '.join(names)}: {keys} keys, {self.rounds} rounds")
        done = subprocess.run([f"{self.world.build}/bench/policies", str(keys), str(self.rounds)], stdout=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"policies ended with {done.returncode}")
        for line in done.stdout.splitlines():
            name, added = line.split()
            if f"policy_{name}" in names:
                figures.keep(self.samples, f"policy_{name}", "keygate", {"added_cpu_us": float(added)})


def open_clients(port, count, keys):
    clients = []
    for index in range(count):
        client = socket.create_connection(("127.0.0.1", port), 20)
        # Ends by a reset: tens of thousands of closed ones would else keep the ports.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        clients.append(client)
        client.sendall(f"GET / HTTP/1.1\r\nHost: bench\r\napikey: {keys[index % len(keys)]}\r\n\r\n".encode())
        answer = b""
        while ANSWER.encode() not in answer:
            part = client.recv(4096)
            if not part:
                raise Failed(f"{IDLE}: connection {index} was closed: {answer.decode()}")
            answer += part
    return clients


def table(samples):
    yield "| case | subject | CPU µs/request | requests/s | p50 ms | p99 ms | CPU busy |"
    yield "|---|---|---|---|---|---|---|"
    for (case, subject), metrics in samples.items():
        if case == IDLE or case in POLICIES:
            continue
        cells = [figures.spread(values) for values in metrics.values()]
        busy = statistics.median(metrics["cpu_us_per_request"]) * statistics.median(metrics["requests_per_second"]) / 1e4
        yield f"| {case} | {subject} | {' | '.join(cells)} | {busy:.0f} % |"
    policies = [(case, metrics) for (case, _), metrics in samples.items() if case in POLICIES]
    if policies:
        yield ""
        yield "| case | CPU µs added to a request |"
        yield "|---|---|"
    for case, metrics in policies:
        yield f"| {case} | {figures.spread(metrics['added_cpu_us'])} |"
    idle = {subject: metrics for (case, subject), metrics in samples.items() if case == IDLE}
    if idle:
        yield ""
        yield "| case | subject | bytes of memory/connection |"
        yield "|---|---|---|"
    for subject, metrics in idle.items():
        values = metrics["rss_bytes_per_connection"]
        yield f"| {IDLE} | {subject} | {statistics.median(values):.0f} ({min(values):.0f}–{max(values):.0f}) |"


def targets(samples):
    """Medians of the ratios of the same rounds."""
    rows = []
    for case, other, metric, limit in TARGETS:
        ours = samples.get((case, "keygate"))
        theirs = samples.get((other, "keygate") if other in LOADS else (case, other))
        if ours and theirs:
            ratio = statistics.median(a / b for a, b in zip(ours[metric], theirs[metric]))
            rows.append((case, metric, other, f"{ratio:.2f}", f"{limit:.2f}", ratio <= limit))
    if (IDLE, "keygate") in samples:
        size = statistics.median(samples[IDLE, "keygate"]["rss_bytes_per_connection"])
        rows.append((IDLE, "rss_bytes_per_connection", "-", f"{size:.0f}", str(IDLE_TARGET), size <= IDLE_TARGET))
    for case, limit in POLICIES.items():
        if limit and (case, "keygate") in samples:
            added = statistics.median(samples[case, "keygate"]["added_cpu_us"])
            rows.append((case, "added_cpu_us", "-", f"{added:.2f}", f"{limit:.2f}", added <= limit))
    yield "| case | metric | keygate against | ratio | at most | |"
    yield "|---|---|---|---|---|---|"
    for *cells, good in rows:
        yield f"| {' | '.join(cells)} | {'met' if good else 'missed'} |"


def groups(names):
    left = [name for name in names if name in LOADS]
    while left:
        group = next((group for group in TOGETHER if left[0] in group), {left[0]})
        yield [name for name in left if name in group]
        left = [name for name in left if name not in group]


def run(build, folder):
    rounds, seconds, cases = number("BENCH_ROUNDS", 5), number("BENCH_SECONDS", 1), figures.chosen_cases([*LOADS, *POLICIES, IDLE])
    files = figures.take_place()
    # HAProxy wants two descriptors for each client it may have.
    clients = min(10000, files * 2 // 5)
    many = number("BENCH_MANY_KEYS", 1000000)
    world = World(folder, build, files, number("BENCH_KEYS", 10000), many,
                  number("BENCH_ROUTES", 10000, 2), clients)
    bench = Bench(world, seconds, rounds)
    try:
        world.start_upstream()
        for names in groups(cases):
            bench.measure(names)
        policies = [name for name in cases if name in POLICIES]
        if policies:
            bench.measure_policies(policies, many)
        if IDLE in cases:
            bench.measure_idle()
    finally:
        world.stop_all()
    figures.write(bench.samples, UNITS, f"{build}/bench/http.json")
    print("\n".join([*table(bench.samples), "", *targets(bench.samples)]))


figures.main(run)
