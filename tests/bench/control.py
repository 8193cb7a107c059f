#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Measures keygate's control plane with many consumers, keys and routes. Started by scripts/bench; docs/benchmarks.md says what
and how.

    control.py BUILD FOLDER     writes BUILD/bench/control.json (or BENCH_OUT), and a table for people to standard output
"""

import json
import os
import socket
import statistics
import subprocess
import threading
import time

import figures
from figures import number, say
from subjects import UPSTREAM_PORT, Failed, World, answers, make_keys, route_path

IMPORT, START, MEMORY, WRITES, LOAD = "import", "start", "memory", "writes", "load"
SUBJECT = "keygate"
WRITES_PER_ROUND = 200
RATE = 50  # writes a second beside the load
CONNECTIONS = 64
UNITS = {
    "import_s": "s", "import_cpu_s": "s", "start_s": "s", "start_cpu_s": "s",
    "rss_bytes_per_consumer": "bytes", "writes_per_second": "1/s", "p99_ms": "ms", "p99_with_writes_ms": "ms",
    "p99_ratio": "ratio",
    **{f"{what}_{part}_ms": "ms" for what in ("add", "add_to_auth", "delete", "delete_to_refuse") for part in ("p50", "p99", "max")},
}
# case, metric, at most. What is said of every write is judged by the slowest one.
TARGETS = [(IMPORT, "import_s", 60), (START, "start_s", 5), (MEMORY, "rss_bytes_per_consumer", 400), (WRITES, "add_to_auth_max_ms", 10),
           (WRITES, "delete_to_refuse_max_ms", 10), (LOAD, "p99_ratio", 1.1)]


class Client:
    """One connection, to a port or a UNIX socket, and no more work than must be: it shares its CPU with the load."""

    def __init__(self, address):
        if isinstance(address, int):
            self.sock = socket.create_connection(("127.0.0.1", address), 60)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(60)
            self.sock.connect(address)
        self.left = b""

    def receive(self):
        part = self.sock.recv(65536)
        if not part:
            raise Failed("a connection was closed before its answer")
        self.left += part

    def ask(self, method, path, header, body=""):
        """(status, body)"""
        self.sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        while b"\r\n\r\n" not in self.left:
            self.receive()
        head, self.left = self.left.split(b"\r\n\r\n", 1)
        lines = head.decode().lower().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
        while len(self.left) < length:
            self.receive()
        body, self.left = self.left[:length], self.left[length:]
        return int(lines[0].split()[1]), body

    def close(self):
        self.sock.close()


class Admin(Client):
    def add(self, consumer, key):
        """A key, and the id it got."""
        status, body = self.ask("POST", f"/consumers/u{consumer}/key-auth", "Content-Type: application/json",
                                json.dumps({"key": key}))
        if status != 201:
            raise Failed(f"adding a key was answered {status}: {body.decode()}")
        return json.loads(body)["id"]

    def delete(self, consumer, key_id):
        status, body = self.ask("DELETE", f"/consumers/u{consumer}/key-auth/{key_id}", "Accept: */*")
        if status != 204:
            raise Failed(f"deleting a key was answered {status}: {body.decode()}")


class Writer(threading.Thread):
    """Adds keys and deletes them again, so many writes a second, until it is stopped."""

    def __init__(self, address, consumers, keys):
        super().__init__(daemon=True)
        self.admin, self.consumers, self.keys = Admin(address), consumers, keys
        self.over, self.written, self.failure = threading.Event(), 0, None

    def run(self):
        begin, key_id = time.monotonic(), None
        try:
            while not self.over.wait(max(0, begin + self.written / RATE - time.monotonic())):
                consumer, key = self.written * 7919 % self.consumers, self.keys[self.written % len(self.keys)]
                if key_id is None:
                    owner, key_id = consumer, self.admin.add(consumer, key)
                else:
                    key_id = self.admin.delete(owner, key_id)
                self.written += 1
            if key_id is not None:
                self.admin.delete(owner, key_id)
        except (Failed, OSError) as why:
            self.failure = why
        self.admin.close()

    def stop(self, seconds):
        """It fails when it could not keep up: then the load had too few writes beside it."""
        self.over.set()
        self.join()
        if self.failure:
            raise Failed(f"a write beside the load failed: {self.failure}")
        if self.written < seconds * RATE * 0.9:
            raise Failed(f"only {self.written} writes in {seconds} s")


def parts(name, times):
    times = sorted(times)
    return {f"{name}_p50_ms": times[len(times) // 2] * 1e3, f"{name}_p99_ms": times[len(times) * 99 // 100] * 1e3,
            f"{name}_max_ms": times[-1] * 1e3}


class Bench:
    def __init__(self, world, seconds, rounds, consumers):
        self.world, self.seconds, self.rounds, self.consumers = world, seconds, rounds, consumers
        self.samples = {}
        self.spare = make_keys(WRITES_PER_ROUND, 4)
        self.keys = make_keys(consumers, 3)
        world.write("some.keys", "".join(key + "\n" for key in self.keys[::max(1, consumers // 1000)][:1000]))
        self.port = 9001

    def keep(self, case, **values):
        figures.keep(self.samples, case, SUBJECT, values)

    def admin_address(self):
        return f"{self.world.folder}/many.sock"

    def fill(self):
        say(f"bench: filling a database with {self.consumers} consumers, a key each, and {self.world.routes} routes")
        for name in ("many", "empty"):
            os.mkdir(f"{self.world.folder}/{name}")
        subprocess.run([f"{self.world.build}/bench/fill_keys", f"{self.world.folder}/many", str(self.world.routes), str(UPSTREAM_PORT)],
                       input="".join(key + "\n" for key in self.keys), encoding="ascii", check=True)

    def declare(self):
        """The name of a file that says all of it."""
        routes = "".join(f"  - paths: [{route_path(i)}]\n    name: r{i}\n" for i in range(self.world.routes))
        consumers = "".join(f"- username: u{i}\n  keyauth_credentials:\n  - key: {key}\n" for i, key in enumerate(self.keys))
        head = '_format_version: "3.0"\nplugins:\n- name: key-auth\nservices:\n- name: up\n  host: 127.0.0.1\n'
        return self.world.write("many.yml", f"{head}  port: {UPSTREAM_PORT}\n  routes:\n{routes}consumers:\n{consumers}")

    def measure_import(self):
        """Once: it takes as long as all else."""
        say(f"bench: {IMPORT}")
        os.mkdir(f"{self.world.folder}/import")
        process = self.world.run_keygate("import", self.port)
        self.world.await_listener(process, f"{self.world.folder}/import.sock")
        file, before = self.declare(), process.cpu_ns()
        begin = time.monotonic()
        told = subprocess.run([f"{self.world.build}/keyctl", "--socket", f"{self.world.folder}/import.sock", "sync", "--yes", file],
                              stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
        took, cpu = time.monotonic() - begin, (process.cpu_ns() - before) / 1e9
        if told.returncode != 0:
            raise Failed(f"the import failed: {told.stderr[-1000:]}")
        client = Client(self.port)
        if self.request(client, self.keys[self.consumers // 2]) != 200:
            raise Failed("a key that was imported does not authenticate")
        client.close()
        self.keep(IMPORT, import_s=took, import_cpu_s=cpu)
        self.world.stop(process)
        os.unlink(file)

    def request(self, client, key):
        return client.ask("GET", route_path(self.world.routes * 7 // 9), f"apikey: {key}")[0]

    def start(self):
        """keygate, which has answered one request, and how long that took."""
        begin = time.monotonic()
        process = self.world.run_keygate("many", self.port)
        while not answers(self.port):
            process.check()
            time.sleep(0.002)
        client = Client(self.port)
        status = self.request(client, self.keys[self.consumers // 2])
        took, cpu = time.monotonic() - begin, process.cpu_ns() / 1e9
        client.close()
        if status != 200:
            raise Failed(f"the first request was answered {status}")
        return process, {"start_s": took, "start_cpu_s": cpu}

    def empty_rss(self):
        process = self.world.run_keygate("empty", self.port)
        self.world.await_listener(process, f"{self.world.folder}/empty.sock")
        client = Client(self.port)
        client.ask("GET", "/", "Accept: */*")
        client.close()
        rss = process.rss()
        self.world.stop(process)
        return rss

    def measure_starts(self):
        """The last one stays."""
        process = None
        for turn in range(self.rounds):
            say(f"bench: {START}: round {turn + 1} of {self.rounds}")
            if process:
                self.world.stop(process)
            empty = self.empty_rss()
            process, times = self.start()
            self.keep(START, **times)
            self.keep(MEMORY, rss_bytes_per_consumer=max(process.rss() - empty, 0) / self.consumers)

    def until(self, client, key, status):
        """Asks again until the answer has this status."""
        begin = time.perf_counter()
        while self.request(client, key) != status:
            if time.perf_counter() - begin > 10:
                raise Failed(f"10 s after a write the answer still was not {status}")
        return time.perf_counter() - begin

    def measure_writes(self):
        """One write after the other, and after each a request that shows it."""
        admin, client = Admin(self.admin_address()), Client(self.port)
        for turn in range(self.rounds):
            say(f"bench: {WRITES}: round {turn + 1} of {self.rounds}")
            adds, auths, deletes, refusals = [], [], [], []
            for i, key in enumerate(self.spare):
                consumer = (turn * WRITES_PER_ROUND + i) * 7919 % self.consumers
                begin = time.perf_counter()
                key_id = admin.add(consumer, key)
                adds.append(time.perf_counter() - begin)
                auths.append(self.until(client, key, 200))
                begin = time.perf_counter()
                admin.delete(consumer, key_id)
                deletes.append(time.perf_counter() - begin)
                refusals.append(self.until(client, key, 401))
            self.keep(WRITES, **parts("add", adds), **parts("add_to_auth", auths), **parts("delete", deletes),
                      **parts("delete_to_refuse", refusals), writes_per_second=2 * len(adds) / (sum(adds) + sum(deletes)))
        admin.close()
        client.close()

    def load(self):
        requests, _, wrong, errors, _, p99 = self.world.run_wrk(f"http://127.0.0.1:{self.port}", self.seconds, CONNECTIONS, "GET",
                                                                route_path(self.world.routes * 7 // 9), 0, "some")
        if requests == 0 or wrong > 0 or errors > 0:
            raise Failed(f"{LOAD}: {requests} answers, {wrong} with an error status, and {errors} failures")
        return p99 / 1000

    def load_with_writes(self):
        writer = Writer(self.admin_address(), self.consumers, self.spare)
        writer.start()
        p99 = self.load()
        writer.stop(self.seconds)
        return p99

    def measure_load(self):
        """Without writes and with them, in turn, and the other way round in every other round."""
        for turn in range(self.rounds):
            say(f"bench: {LOAD}: round {turn + 1} of {self.rounds}")
            if turn % 2 == 0:
                without, beside = self.load(), self.load_with_writes()
            else:
                beside, without = self.load_with_writes(), self.load()
            self.keep(LOAD, p99_ms=without, p99_with_writes_ms=beside, p99_ratio=beside / without)

    def measure_rest(self, cases):
        """On a database that was filled past the daemon."""
        self.fill()
        if START in cases:
            self.measure_starts()
        else:
            self.start()
        if WRITES in cases:
            self.measure_writes()
        if LOAD in cases:
            self.measure_load()


def table(samples):
    yield "| case | metric | unit | median (least–most) | at most | |"
    yield "|---|---|---|---|---|---|"
    targets = {(case, metric): limit for case, metric, limit in TARGETS}
    for (case, _), metrics in samples.items():
        for metric, values in metrics.items():
            limit = targets.get((case, metric))
            verdict = "" if limit is None else "met" if statistics.median(values) <= limit else "missed"
            yield f"| {case} | {metric} | {UNITS[metric]} | {figures.spread(values)} | {limit or ''} | {verdict} |"


def run(build, folder):
    rounds, seconds = number("BENCH_ROUNDS", 5), number("BENCH_SECONDS", 4)
    cases = figures.chosen_cases([IMPORT, START, WRITES, LOAD])
    files = figures.take_place()
    world = World(folder, build, files, 1, 1, number("BENCH_ROUTES", 10000, 2), min(1000, files * 2 // 5))
    bench = Bench(world, seconds, rounds, number("BENCH_MANY_KEYS", 1000000))
    try:
        world.start_upstream()
        if IMPORT in cases:
            bench.measure_import()
        if cases != [IMPORT]:
            bench.measure_rest(cases)
    finally:
        world.stop_all()
    figures.write(bench.samples, UNITS, f"{build}/bench/control.json")
    print("\n".join(table(bench.samples)))


figures.main(run)
