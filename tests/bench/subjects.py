# SPDX-License-Identifier: BSD-2-Clause
"""The programs of the benchmark: the upstream, and keygate, nginx, HAProxy and the relay in front of it, each set up for the
same job. All listen on 127.0.0.1 only, in a network namespace of their own."""

import collections
import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

PROXY_CPU, LOAD_CPU = 0, 1
UPSTREAM_PORT = 8000
ANSWER = "x" * 128
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
MANY = "many"
# What a subject is set up for: one route or many, few keys or many, plain or TLS.
Setup = collections.namedtuple("Setup", "routes keys tls", defaults=(1, "few", False))

UPSTREAM = """\
load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
daemon off;
pid {dir}/upstream.pid;
error_log {dir}/upstream.log warn;
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {dir}/upstream-body;
    client_body_buffer_size 32k;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    open_file_cache max=16;
    open_file_cache_valid 600s;
    sendfile on;
    tcp_nopush on;
    server {{
        listen 127.0.0.1:{upstream} backlog=4096;
        location / {{ return 200 "{answer}"; }}
        location /size/ {{ root {dir}; }}
        location /post {{ echo_read_request_body; echo_exec /posted; }}
        location /posted {{ return 200 "{answer}"; }}
        location /who {{ return 200 "$http_x_consumer_username"; }}
    }}
}}
"""

NGINX = """\
daemon off;
pid {dir}/{name}.pid;
error_log {dir}/{name}.log warn;
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {dir}/{name}-body;
    proxy_temp_path {dir}/{name}-proxy;
    client_body_buffer_size 32k;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    map_hash_max_size 65536;
    map_hash_bucket_size 128;
    map $http_apikey $consumer {{
        default "";
        include {dir}/nginx.map;
    }}
    upstream up {{
        server 127.0.0.1:{upstream};
        keepalive 512;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header X-Consumer-Username $consumer;
    proxy_buffers 8 16k;
    proxy_max_temp_file_size 0;
    server {{
        listen 127.0.0.1:{port}{tls} backlog=4096;
        ssl_certificate {dir}/tls.crt;
        ssl_certificate_key {dir}/tls.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        if ($consumer = "") {{ return 401; }}
{locations}
    }}
}}
"""

HAPROXY = """\
global
    nbthread 1
    maxconn {clients}
    stats maxconn 1
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    option http-keep-alive
    http-reuse always
frontend in
    bind 127.0.0.1:{port} backlog 4096{tls}
    http-request set-var(txn.who) req.hdr(apikey),map_str({dir}/haproxy.map)
    http-request return status 401 content-type application/json string "{{}}" unless {{ var(txn.who) -m found }}
    http-request set-header X-Consumer-Username %[var(txn.who)]
{routing}
backend up
    server up 127.0.0.1:{upstream} pool-max-conn 512
"""


class Failed(Exception):
    """A sentence for whoever ran the benchmark."""


def make_keys(count, seed):
    """Keys as keygate makes them: 32 letters and digits. The same in every run, as the figures should be."""
    dice = random.Random(seed)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return ["".join(dice.choices(letters, k=32)) for _ in range(count)]


def route_path(number):
    return f"/r/{number}/"


class Process:
    """A program pinned to one CPU, and everything it starts. It ends with us, whatever ends us."""

    def __init__(self, command, cpu, log):
        def in_child():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            os.sched_setaffinity(0, {cpu})

        self.log = log
        self.undo = None  # a command that takes away what the program leaves behind
        with open(log, "ab") as out:
            # A session of its own: Ctrl-C is for us alone, and we end it.
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=in_child,
                                          start_new_session=True)

    def pids(self):
        found, left = [], [self.child.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                    left += [int(word) for word in file.read().split()]
        return found

    def cpu_ns(self):
        """Time on a CPU of all threads, by the scheduler's own count."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        return total

    def rss(self):
        pages = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                pages += int(file.read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def check(self):
        if self.child.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                raise Failed(f"{self.child.args[0]} ended by itself: {file.read()[-2000:]}")

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class AdminConnection(http.client.HTTPConnection):
    """The Admin API on its UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def create(self, path, entity):
        self.request("POST", path, json.dumps(entity), {"Content-Type": "application/json"})
        answer = self.getresponse()
        body = answer.read()
        if answer.status != 201:
            raise Failed(f"POST {path}: {answer.status} {body.decode()}")


def answers(address):
    """Whether somebody listens on this port of 127.0.0.1, or UNIX socket."""
    family, at = (socket.AF_INET, ("127.0.0.1", address)) if isinstance(address, int) else (socket.AF_UNIX, address)
    with socket.socket(family) as client:
        client.settimeout(1)
        return client.connect_ex(at) == 0


class World:
    """All that runs, its files, and the keys."""

    def __init__(self, folder, build, files, keys, many_keys, routes, clients):
        self.folder, self.build, self.files, self.routes, self.clients = folder, build, files, routes, clients
        self.keys, self.key_count, self.many_keys = make_keys(keys, 1), many_keys, []
        self.running = []
        self.next_port = 9001
        self.write("right.keys", "".join(key + "\n" for key in self.keys[:1000]))
        self.write("wrong.keys", "".join(key + "\n" for key in make_keys(1000, 2)))
        self.write("nginx.map", "".join(f"{key} u{i};\n" for i, key in enumerate(self.keys)))
        self.write("haproxy.map", "".join(f"{key} u{i}\n" for i, key in enumerate(self.keys)))
        self.write("routes.map", "".join(f"{route_path(i)} up\n" for i in range(routes)))
        self.make_certificate()
        os.mkdir(f"{folder}/size")
        for name, size in ("64k", 65536), ("1m", 1048576):
            self.write(f"size/{name}", "x" * size)

    def make_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=bench", "-keyout", f"{self.folder}/tls.key", "-out", f"{self.folder}/tls.crt"],
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        with open(f"{self.folder}/tls.crt", encoding="ascii") as crt, open(f"{self.folder}/tls.key", encoding="ascii") as key:
            self.write("tls.pem", crt.read() + key.read())

    def keys_of(self, setup):
        if setup.keys != MANY:
            return self.keys
        if not self.many_keys:
            self.many_keys = make_keys(self.key_count, 3)
            self.write("many.keys", "".join(key + "\n" for key in self.many_keys[::max(1, self.key_count // 1000)]))
        return self.many_keys

    def describe(self, setup):
        routes, keys = (self.routes if setup.routes == MANY else 1), len(self.keys_of(setup))
        return f"{routes} route{'s' * (routes > 1)}, {keys} keys{', TLS' if setup.tls else ''}"

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def run(self, command, cpu, name):
        process = Process(command, cpu, f"{self.folder}/{name}.out")
        self.running.append(process)
        return process

    def stop(self, process):
        process.stop()
        self.running.remove(process)
        if process.undo:
            subprocess.run(process.undo, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)

    def stop_all(self):
        while self.running:
            self.stop(self.running[-1])

    def run_wrk(self, url, seconds, connections, method, path, body, keys):
        """What load.lua says of a load whose keys are in the file of this name."""
        wrk = self.run(
            ["wrk", "-t", "1", "-c", str(connections), "-d", str(seconds), "--timeout", "10", "--latency",
             "-s", f"{os.path.dirname(os.path.abspath(__file__))}/load.lua", url, "--",
             method, path, str(body), f"{self.folder}/{keys}.keys"], LOAD_CPU, "wrk")
        wrk.child.wait(seconds + 60)
        self.stop(wrk)
        with open(wrk.log, encoding="utf-8") as file:
            text = file.read()
        os.unlink(wrk.log)
        done = [line.split()[1:] for line in text.splitlines() if line.startswith("DONE ")]
        if not done:
            raise Failed(f"wrk failed: {text}")
        return tuple(int(word) for word in done[0])

    def await_listener(self, process, address):
        deadline = time.monotonic() + 30
        while not answers(address):
            process.check()
            if time.monotonic() > deadline:
                raise Failed(f"{process.child.args[0]} does not listen after 30 s")
            time.sleep(0.02)
        process.check()

    def text(self, template, name, port, **more):
        return template.format(dir=self.folder, name=name, port=port, upstream=UPSTREAM_PORT, answer=ANSWER,
                               files=self.files, connections=self.files - 200, clients=self.clients, **more)

    def start_upstream(self):
        config = self.write("upstream.conf", self.text(UPSTREAM, "upstream", 0))
        process = self.run(["nginx", "-p", self.folder, "-e", f"{self.folder}/upstream.log", "-c", config], LOAD_CPU, "upstream")
        self.await_listener(process, UPSTREAM_PORT)

    def start(self, subject, setup):
        """A fresh one: (process, port)."""
        port, self.next_port = self.next_port, self.next_port + 1
        process = getattr(self, "start_" + subject)(f"{subject}-{port}", port, setup)
        self.await_listener(process, port)
        return process, port

    def start_relay(self, name, port, setup):
        return self.run([f"{self.build}/bench/relay", str(port), str(UPSTREAM_PORT)], PROXY_CPU, name)

    def paths(self, setup):
        return ["/"] if setup.routes == 1 else [route_path(i) for i in range(self.routes)]

    def start_nginx(self, name, port, setup):
        locations = "\n".join(f"        location {path} {{ proxy_pass http://up; }}" for path in self.paths(setup))
        config = self.write(name + ".conf", self.text(NGINX, name, port, locations=locations, tls=" ssl" * setup.tls))
        return self.run(["nginx", "-p", self.folder, "-e", f"{self.folder}/{name}.log", "-c", config], PROXY_CPU, name)

    def start_haproxy(self, name, port, setup):
        routing = "    default_backend up"
        tls = f" ssl crt {self.folder}/tls.pem alpn http/1.1" * setup.tls
        if setup.routes == MANY:
            routing = f"    use_backend %[path,map_beg({self.folder}/routes.map)]"
        config = self.write(name + ".cfg", self.text(HAPROXY, name, port, routing=routing, tls=tls))
        return self.run(["haproxy", "-db", "-f", config], PROXY_CPU, name)

    def start_keygate(self, name, port, setup):
        """Begins with a copy of a state folder that holds the keys."""
        state = f"{self.folder}/state-{setup.keys}"
        if not os.path.exists(state):
            os.mkdir(state)
            subprocess.run([f"{self.build}/bench/fill_keys", state], input="".join(key + "\n" for key in self.keys_of(setup)),
                           encoding="ascii", check=True)
        shutil.copytree(state, f"{self.folder}/{name}")
        process = self.run_keygate(name, port, setup.tls)
        self.await_listener(process, f"{self.folder}/{name}.sock")
        admin = AdminConnection(f"{self.folder}/{name}.sock")
        admin.create("/services", {"name": "up", "url": f"http://127.0.0.1:{UPSTREAM_PORT}"})
        admin.create("/plugins", {"name": "key-auth"})
        for path in self.paths(setup):
            admin.create("/routes", {"service": {"name": "up"}, "paths": [path], "strip_path": False})
        admin.close()
        return process

    def run_keygate(self, name, port, tls=False):
        """On the state folder of this name."""
        # A BPF file system takes no dots.
        bpf_dir = f"/sys/fs/bpf/{os.path.basename(self.folder)}-{name}".replace(".", "-")
        settings = {
            "listen": f'["127.0.0.1:{port}{" ssl" * tls}"]', "workers": 1, "user": "nobody", "state_dir": f"{self.folder}/{name}",
            "admin.socket": f"{self.folder}/{name}.sock", "upstream.max_idle": 512, "upstream.idle_timeout": "10m",
            "http.keepalive_timeout": "10m", "http.keepalive_requests": 0, "http.max_connections": self.clients, "guard.threshold": 0,
            "xdp.bpf_dir": bpf_dir, "log_level": "warn", "admin.config_max_size": "256m",
            "tls.certificate": f"{self.folder}/tls.crt", "tls.certificate_key": f"{self.folder}/tls.key",
        }
        command = [f"{self.build}/keygated", "--config", self.write(name + ".yaml", "")]
        for setting, value in settings.items():
            command += ["--set", f"{setting}={value}"]
        process = self.run(command, PROXY_CPU, name)
        process.undo = [*command, "--detach"]
        return process
