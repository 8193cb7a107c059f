#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Misbehaving clients and a misbehaving upstream server around one keygated, at random from a seed.

    chaos.py PROXY-PORT UPSTREAM-PORT KEYGATED-PID ADMIN-SOCKET

Every request carries a token of its own, which the upstream echoes in a header and as the pattern of the body. Seen as a fault:
an answer to another request, a body that claims to be whole and is not, bytes that are no answer, an answer that never comes;
on the upstream's side a request that is malformed, unknown, pipelined, or whose whole body is not its own. At the end all
connections must be gone and keygated must not have grown. CHAOS_SEED repeats a run's decisions (not the scheduler's),
CHAOS_SECONDS sets its length. Exit status 1 and one line for each fault.
"""

import collections
import json
import os
import random
import re
import select
import socket
import struct
import sys
import threading
import time

PROXY, UPSTREAM, PID, ADMIN = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
SECONDS = float(os.environ.get("CHAOS_SECONDS") or 25)
CLIENTS = 12
PATIENCE_S = 8  # far more than the time-outs keygated runs with
RSS_MAX_KB = {False: 128 << 10, True: 768 << 10}  # sanitizers keep what was freed for a while

faults = []
counts = collections.Counter()
sent_tokens = {}
mangled = set()  # tokens of requests with garbage in their heads, which may be HTTP all the same
lock = threading.Lock()
end_at = time.monotonic() + SECONDS


def fault(text):
    with lock:
        if len(faults) < 20:
            faults.append(text)


def count(name):
    with lock:
        counts[name] += 1


def pattern(token, size):
    unit = (token + "|").encode()
    return (unit * (size // len(unit) + 1))[:size]


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Ended(Exception):
    """The connection is over: nothing more can be said about it."""


class Wire:
    """A socket with a buffer in front, and a random way to write."""

    def __init__(self, sock, rng):
        self.sock, self.rng, self.buffer = sock, rng, b""
        self.read_size = 65536
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fill(self):
        """False at the orderly end."""
        data = self.sock.recv(self.read_size)
        self.buffer += data
        return bool(data)

    def until(self, mark, limit=200000):
        while mark not in self.buffer:
            if len(self.buffer) > limit or not self.fill():
                raise Ended
        data, self.buffer = self.buffer.split(mark, 1)
        return data

    def take(self, size):
        while len(self.buffer) < size:
            if not self.fill():
                raise Ended
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def write(self, data):
        """At once, or in pieces with pauses."""
        rng = self.rng
        if rng.random() < 0.6:
            self.sock.sendall(data)
            return
        pieces = rng.randint(2, 6)
        for _ in range(pieces - 1):
            at = rng.randint(0, min(len(data), rng.choice((1, 3, 40, 5000))))
            self.sock.sendall(data[:at])
            data = data[at:]
            time.sleep(rng.choice((0, 0, 0.001, 0.01)))
        self.sock.sendall(data)


def chunked(rng, data, trailers=True):
    out = []
    while data:
        size = min(len(data), rng.choice((1, 2, 7, 100, 1000, 5000, 20000)) if len(data) < 3000 else rng.choice((700, 4096, 30000)))
        extension = rng.choice(("", "", ";a=b", ';q="x y"'))
        out.append(f"{rng.choice(('', '', '0'))}{size:{rng.choice('xX')}}{extension}\r\n".encode() + data[:size] + b"\r\n")
        data = data[size:]
    end = rng.choice((b"", b"", b"X-Trailer: a\r\n")) if trailers else b""
    return b"".join(out) + b"0\r\n" + end + b"\r\n"


# --- the upstream server ------------------------------------------------------------------------------------------------

REQUEST_LINE = re.compile(rb"(GET|HEAD|POST|PUT) /chaos/(t[0-9a-z-]+) HTTP/1\.1\r\n")
OK = b"HTTP/1.1 200 OK\r\nX-Token: @\r\nX-Length: 9\r\n"  # @ is the request's token
GARBAGE = (b"\0\1\2\3\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"hello\r\n\r\n", b"\r\n" * 3000, OK + b"Content-Length: -1\r\n\r\nx",
           OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OK + b"X: " + b"y" * 30000 + b"\r\n\r\n",
           OK + b"A: b\r\n" * 500 + b"\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
           b"HTTP/1.1 101 Switching Protocols\r\nX-Token: @\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
           b"HTTP/1.1 103 Early Hints\r\nX-Token: @\r\n\r\n" * 200)


class Upstream(Wire):
    def request(self):
        """Token, method, and how its body is framed."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                raise Ended
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        head += b"\r\n"
        line = REQUEST_LINE.match(head)
        if not line:
            fault(f"the upstream got a malformed request: {head[:200]}")
            raise Ended
        token = line[2].decode()
        names = re.findall(rb"\r\nX-Token: (\S+)\r\n", head)
        lengths = re.findall(rb"\r\nContent-Length: (\d+)\r\n", head)
        codings = re.findall(rb"\r\nTransfer-Encoding: chunked\r\n", head)
        if token in mangled:
            raise Ended
        if names != [line[2]] or len(lengths) + len(codings) > 1:
            fault(f"the upstream got a request that is mixed up: {head[:400]}")
        with lock:
            known = sent_tokens.get(token)
            sent_tokens[token] = (known or 0) + 1
        # Two tries (chaos.bats), and for each one more when it went out on a kept connection that had ended.
        if known is None or known >= (1 if line[1] == b"POST" else 4):
            fault(f"the upstream got {token} {'never sent' if known is None else 'once too often'}")
        return token, line[1].decode(), int(lengths[0]) if lengths else 0, bool(codings)

    def read_body(self, token, length, is_chunked):
        body = b""
        if is_chunked:
            while True:
                size = int(self.until(b"\r\n"), 16)
                if size == 0:
                    break
                body += self.take(size)
                if self.take(2) != b"\r\n":
                    fault(f"the chunks of {token} are no chunks")
                    raise Ended
            while trailer := self.until(b"\r\n"):
                if trailer != b"X-Trailer: a":
                    fault(f"a trailer of {token} is not its own: {trailer}")
        else:
            body = self.take(length)
        if body != pattern(token, len(body)):
            fault(f"the body of {token} is not its own")
        if self.buffer or select.select([self.sock], [], [], 0)[0] and self.sock.recv(1, socket.MSG_PEEK):
            fault(f"something is pipelined behind {token}: {self.buffer[:100]}")

    def head(self, token, status="200 OK", extra=""):
        return f"HTTP/1.1 {status}\r\nX-Token: {token}\r\n{extra}\r\n".encode()

    def interims(self, token):
        for _ in range(self.rng.choice((0, 0, 0, 0, 1, 2, 9, 30))):
            yield self.head(token, self.rng.choice(("100 Continue", "103 Early Hints")))

    def whole_answer(self, token, method):
        """A right answer, and whether it ends with the connection."""
        rng = self.rng
        size = rng.choice((0, 1, 10, 900, 1024, 5000, 20000, 150000))
        body = pattern(token, size)
        if rng.random() < 0.1:
            return self.head(token, rng.choice(("204 No Content", "304 Not Modified"))), False
        how = rng.choice(("length", "length", "chunked", "close"))
        mark = f"X-Length: {size}\r\n"
        if method == "HEAD":
            return self.head(token, extra=mark + rng.choice(("", f"Content-Length: {size}\r\n",
                                                             "Transfer-Encoding: chunked\r\n"))), False
        if how == "length":
            return self.head(token, extra=mark + f"Content-Length: {size}\r\n") + body, False
        if how == "chunked":
            return self.head(token, extra=mark + "Transfer-Encoding: chunked\r\n") + chunked(rng, body), False
        return self.head(token, extra=mark + "Connection: close\r\n") + body, True

    def serve(self):
        token, method, length, is_chunked = self.request()
        rng = self.rng = random.Random(f"{SEED} {token}")
        what = rng.choices(("good", "early", "cut", "garbage", "gone", "silent", "poison", "half"), (60, 8, 8, 6, 6, 1, 5, 6))[0]
        if what == "early":
            self.early(token, method)
        if what == "gone":
            (reset if rng.random() < 0.5 else socket.socket.close)(self.sock)
            raise Ended
        self.read_body(token, length, is_chunked)
        if what == "silent":
            time.sleep(1.5)
            raise Ended
        if what == "garbage":
            self.write(rng.choice(GARBAGE).replace(b"@", token.encode()))
            raise Ended
        answer, last = self.whole_answer(token, method)
        if what in ("cut", "half"):
            self.broken(answer, last, what)
        answer = b"".join(self.interims(token)) + answer
        if what == "poison" and not last and len(answer) < 16000:
            # In one piece with the answer, so that it can never come behind the next request.
            self.sock.sendall(answer + self.head("poison", extra="Content-Length: 6\r\n") + b"poison")
            return
        self.write(answer)
        if last or rng.random() < 0.1:
            raise Ended

    def early(self, token, method):
        """Answers with the body unread."""
        answer, _ = self.whole_answer(token, method)
        self.write(answer)
        if self.rng.random() < 0.3:
            reset(self.sock)
        elif self.rng.random() < 0.5:
            deadline = time.monotonic() + 0.2
            while time.monotonic() < deadline and self.fill():
                self.buffer = b""
        raise Ended

    def broken(self, answer, last, what):
        """Only a part; one that only the end of the connection would delimit ends by RST."""
        self.write(answer[:self.rng.randint(0, max(0, len(answer) - 1))])
        if last:
            time.sleep(0.05)
        if last or self.rng.random() < 0.5:
            reset(self.sock)
        elif what == "half":
            time.sleep(1.5)  # longer than keygated's patience
        raise Ended


def upstream_connection(sock, number):
    sock.settimeout(PATIENCE_S)
    wire = Upstream(sock, random.Random(f"{SEED} upstream {number}"))
    try:
        while True:
            wire.serve()
    except (Ended, OSError):
        pass
    except ValueError as error:
        fault(f"the upstream got a request that cannot be read: {error!r}")
    sock.close()


def upstream_server(listener):
    number = 0
    while True:
        sock, _ = listener.accept()
        number += 1
        threading.Thread(target=upstream_connection, args=(sock, number), daemon=True).start()


# --- the clients ----------------------------------------------------------------------------------------------------------


class Request:
    def __init__(self, rng, token):
        self.token = token
        self.method = rng.choice(("GET", "GET", "GET", "HEAD", "POST", "POST", "PUT"))
        self.version = rng.choice(("1.1",) * 6 + ("1.0",))
        self.close = self.version == "1.0" or rng.random() < 0.1
        fields = [f"Host: {rng.choice(('a', 'b.example:80'))}", f"X-Token: {token}"]
        if self.close and self.version == "1.1":
            fields.append("Connection: close")
        body = b""
        if self.method in ("POST", "PUT"):
            data = pattern(token, rng.choice((0, 1, 17, 1024, 4000, 70000, 300000)))
            if self.version == "1.1" and rng.random() < 0.5:
                fields.append("Transfer-Encoding: chunked")
                body = chunked(rng, data)
            else:
                fields.append(f"Content-Length: {len(data)}")
                body = data
        if rng.random() < 0.2:
            fields.append("X-Filler: " + "f" * rng.choice((10, 900, 3000)))
        self.head = "\r\n".join([f"{self.method} /chaos/{token} HTTP/{self.version}", *fields, "", ""]).encode()
        self.bytes = self.head + body


class Client(Wire):
    def answer(self, request):
        """One final answer: True when the connection goes on."""
        while True:
            try:
                head = self.until(b"\r\n\r\n")
            except Ended:
                if self.buffer:
                    fault(f"{request.token}: not an answer: {self.buffer[:200]}")
                raise
            line = re.match(rb"HTTP/1\.1 (\d{3}) [^\r\n]*$", head.split(b"\r\n")[0])
            if not line:
                fault(f"{request.token}: not an answer: {head[:200]}")
                raise Ended
            status, head = int(line[1]), head + b"\r\n"
            tokens = re.findall(rb"\r\nX-Token: (\S+)\r\n", head)
            ours = b"\r\nServer: keygate\r\n" in head and status in (400, 408, 502, 503, 504)
            if tokens != [request.token.encode()] and not (ours and not tokens):
                fault(f"{request.token} got an answer to something else: {head[:300]}")
                raise Ended
            if status >= 200:
                break
        count(f"{status}")
        self.body(request, status, head, ours)
        return not request.close and b"\r\nConnection: close\r\n" not in head

    def body(self, request, status, head, ours):
        length = re.findall(rb"\r\nContent-Length: (\d+)\r\n", head)
        is_chunked = b"\r\nTransfer-Encoding: chunked\r\n" in head
        if len(length) + is_chunked > 1:
            fault(f"{request.token}: two kinds of framing: {head[:300]}")
        if request.method == "HEAD" or status in (204, 304):
            return
        if is_chunked:
            body = b""
            while True:
                size = int(self.until(b"\r\n"), 16)
                body += self.take(size)
                if self.take(2) != b"\r\n":
                    fault(f"{request.token}: the answer's chunks are no chunks")
                    raise Ended
                if size == 0:
                    break
        elif length:
            body = self.take(int(length[0]))
        else:
            while self.fill():
                pass
            body, self.buffer = self.buffer, b""
        if ours:
            return
        wanted = int(re.search(rb"\r\nX-Length: (\d+)\r\n", head)[1])
        if body != pattern(request.token, wanted):
            fault(f"{request.token}: the body claims to be whole and is not: {len(body)} of {wanted} bytes")
        count("whole")

    def talk(self, requests):
        """Sends them all, at once or one by one, and reads the answers."""
        rng = self.rng
        pipeline = rng.random() < 0.4
        if pipeline:
            self.send(b"".join(request.bytes for request in requests))
        if pipeline and rng.random() < 0.3:
            self.sock.shutdown(socket.SHUT_WR)
        for request in requests:
            if not pipeline:
                self.send(request.bytes)
            if rng.random() < 0.1:
                time.sleep(0.1)  # reads late
            if not self.answer(request):
                self.no_more(request)
                return

    def send(self, data):
        """Reads nothing meanwhile; what cannot be sent because the other side is full is sent by a helper thread."""
        if len(data) < 20000:
            self.write(data)
            return
        threading.Thread(target=self.send_quietly, args=(data,), daemon=True).start()

    def send_quietly(self, data):
        try:
            self.write(data)
        except OSError:
            pass

    def no_more(self, request):
        """Behind an answer that ends the connection comes nothing."""
        if self.buffer or self.fill():
            fault(f"{request.token}: bytes behind the last answer: {self.buffer[:200]}")

    def misbehave(self, requests):
        rng = self.rng
        data = b"".join(request.bytes for request in requests)
        what = rng.choice(("cut", "cut", "garbage", "slow", "deaf", "bad-chunk", "smuggle"))
        if what == "cut":
            self.send(data[:rng.randint(0, len(data))])
        if what == "garbage":
            at = rng.randint(requests[0].head.index(b" HTTP/"), len(requests[0].head))
            mangled.update(request.token for request in requests)
            self.send(data[:at] + bytes(rng.randrange(256) for _ in range(rng.randint(1, 50))) + data[at:][:100])
        if what == "slow":
            for byte in data[:12]:
                self.sock.sendall(bytes([byte]))
                time.sleep(0.01)
        if what == "deaf":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.send(data)
            time.sleep(0.3)
        if what == "bad-chunk":
            self.send(f"POST /chaos/{requests[0].token} HTTP/1.1\r\nHost: a\r\nX-Token: {requests[0].token}\r\nTransfer-Encoding: "
                      f"chunked\r\n\r\n".encode() + rng.choice((b"0x1\r\na\r\n", b"1\r\nab\r\n", b"-1\r\n", b"\r\n", b"1;\0\r\n")))
        if what == "smuggle":
            self.send(f"POST /chaos/{requests[0].token} HTTP/1.1\r\nHost: a\r\nX-Token: {requests[0].token}\r\nContent-Length: 5\r\n"
                      f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /chaos/smuggled HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        time.sleep(rng.choice((0, 0, 0.005, 0.05)))
        (reset if rng.random() < 0.5 else socket.socket.close)(self.sock)
        raise Ended


def client_thread(index):
    rng = random.Random(f"{SEED} client {index}")
    number = 0
    while time.monotonic() < end_at and not faults:
        requests = []
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            number += 1
            requests.append(Request(rng, f"t{index}-{number}-{rng.randrange(1 << 32):x}"))
            with lock:
                sent_tokens[requests[-1].token] = 0
            if requests[-1].close:
                break
        try:
            sock = socket.create_connection(("127.0.0.1", PROXY), timeout=PATIENCE_S)
        except OSError as error:
            fault(f"client {index} cannot connect: {error}")
            return
        wire = Client(sock, random.Random(rng.random()))
        wire.read_size = rng.choice((1, 100, 4096, 65536, 65536)) if requests[0].method == "HEAD" else rng.choice((700, 65536))
        count("connections")
        try:
            if rng.random() < 0.2:
                wire.misbehave(requests)
            wire.talk(requests)
        except socket.timeout:
            fault(f"client {index} waited {PATIENCE_S} s in vain, about {requests[0].token} to {requests[-1].token}")
        except (Ended, OSError):
            pass
        except (ValueError, TypeError) as error:
            fault(f"{requests[0].token} to {requests[-1].token}: an answer that cannot be read: {error!r}")
        sock.close()


# --- the daemon, from outside ---------------------------------------------------------------------------------------------


def status():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(ADMIN)
        sock.sendall(b"GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while True:
            more = sock.recv(65536)
            if not more:
                break
            data += more
    return json.loads(data.partition(b"\r\n\r\n")[2])["server"]


def resident_kb():
    with open(f"/proc/{PID}/status", encoding="ascii") as lines:
        return int(re.search(r"VmRSS:\s+(\d+)", lines.read())[1])


def is_sanitized():
    with open(f"/proc/{PID}/maps", encoding="ascii") as lines:
        return "libasan" in lines.read()


def check_daemon():
    deadline = time.monotonic() + PATIENCE_S
    while status()["connections_active"] and time.monotonic() < deadline:
        time.sleep(0.1)
    seen = status()
    if seen["connections_active"]:
        fault(f"{seen['connections_active']} connections are open after all clients have gone")
    resident = resident_kb()
    if resident > RSS_MAX_KB[is_sanitized()]:
        fault(f"keygated has grown to {resident} kB")
    print({"rss_kb": resident, "fds": len(os.listdir(f"/proc/{PID}/fd")), **seen})


def main():
    print(f"CHAOS_SEED={SEED}", flush=True)
    listener = socket.create_server(("127.0.0.1", UPSTREAM), backlog=512)
    threading.Thread(target=upstream_server, args=(listener,), daemon=True).start()
    clients = [threading.Thread(target=client_thread, args=(index,), daemon=True) for index in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(SECONDS + 4 * PATIENCE_S)
        if client.is_alive():
            fault("a client never ended")
    try:
        check_daemon()
    except (OSError, ValueError, KeyError) as error:
        fault(f"the daemon does not answer: {error!r}")
    print(dict(sorted(counts.items())))
    if not counts["whole"]:
        fault("no answer came whole")
    for text in faults:
        print(f"fault: {text}")
    sys.exit(1 if faults else 0)


main()
