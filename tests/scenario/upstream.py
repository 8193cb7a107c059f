#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""An upstream server that can do what well-behaved servers do not. One thread a connection; python3's own library only.

    upstream.py PORT [--tls CERT KEY CA]    with TLS: clients may show a certificate that leads to CA

It sees and says raw bytes. The last part of the path decides what it answers (whatever stands before it is a route's):
  /echo            JSON: the request as it came: line, headers in order, body's length, whether the body is the pattern, trailers;
                   our port
  /mirror          the body as it came
  /bytes:N         N bytes of the pattern with Content-Length        /chunked:N   the same, chunked
  /trickle:N       N bytes with Content-Length, ten a second
  /until-close:N   N bytes, ended by closing                         /sink        reads the body; JSON as /echo
  /gate-sink:NAME  reads the body only after /open:NAME              /open:NAME   opens that gate
  /status:N        an answer with this status and no body            /early       103 before the 200
  /silent          never answers                                     /die:N       announces N bytes, sends half, closes
  /die-chunked     one chunk, then closes                            /hop         hop-by-hop headers in the answer
  /no-upgrade      answers an Upgrade with a plain 200
  /trailers:NAME   a chunked answer with these trailers, see TRAILERS
  /raw:NAME        a malformed answer, see RAW
  /health          an empty answer with the status that /set-health:N has set
  /counts          JSON: connections, requests by last path part, bytes sent for /bytes and read for /gate-sink
"""

import collections
import json
import socket
import ssl
import sys
import threading
import time

import pattern

RAW = {
    "both": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "signed-length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "garbage": b"this is not HTTP at all\r\n\r\n",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "obs-fold": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    "big-head": b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 200000 + b"\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
    "head-cut": b"HTTP/1.1 200 OK\r\nContent-Len",
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x5\r\nworld\r\n0\r\n\r\n",
    "extra": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
}

TRAILERS = {
    "good": b"X-Sum: abc\r\nServer-Timing:  db;dur=5 \r\n",
    "bad": b"X-Consumer-Username: root\r\nx_consumer_id: 1\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\nX-Secret: 1\r\nX-Kept: yes\r\n",
    "none": b"Set-Cookie: a=b\r\n",
    "many": b"X-A: b\r\n" * 101,
}

lock = threading.Lock()
counts = {"connections": 0, "requests": collections.Counter(), "sent": 0, "read": 0}
gates = collections.defaultdict(threading.Event)
health = {"status": "200"}


def add(name, amount):
    with lock:
        counts[name] += amount


class Closed(Exception):
    """The peer has closed, or the answer ends by closing."""


class Connection:
    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.buffer = b""
        self.trailers = []

    def fill(self):
        data = self.sock.recv(262144)
        if not data:
            raise Closed
        self.buffer += data

    def take(self, size):
        """Between 1 and size bytes."""
        if not self.buffer:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def body(self, headers):
        """The body's pieces, decoded; trailers go to self.trailers."""
        self.trailers = []
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                left = int(self.line().split(b";")[0], 16)
                if left == 0:
                    break
                while left:
                    data = self.take(left)
                    left -= len(data)
                    yield data
                self.line()
            while True:
                line = self.line().decode("latin-1")
                if not line:
                    return
                self.trailers.append(line)
        left = int(headers.get("content-length", "0"))
        while left:
            data = self.take(left)
            left -= len(data)
            yield data

    def answer(self, body=b"", status="200 OK", headers=(), kind="application/json"):
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", f"Content-Type: {kind}", "Server: testbed"]
        self.sock.sendall("\r\n".join([*head, *headers, "", ""]).encode() + body)

    def stream(self, size, chunked=False):
        offset = 0
        while offset < size:
            part = pattern.piece(offset, min(262144, size - offset))
            if chunked:
                self.sock.sendall(b"%x\r\n%b\r\n" % (len(part), part))
            else:
                self.sock.sendall(part)
            offset += len(part)
            add("sent", len(part))
        if chunked:
            self.sock.sendall(b"0\r\n\r\n")

    def request(self):
        first = self.line().decode("latin-1")
        fields = []
        while True:
            line = self.line()
            if not line:
                break
            name, value = line.decode("latin-1").split(":", 1)
            fields.append([name, value.strip()])
        headers = {name.lower(): value for name, value in fields}
        method, target, version = first.split(" ")
        last = target.split("?")[0].rsplit("/", 1)[-1]
        with lock:
            counts["requests"][last] += 1
        what, _, argument = last.partition(":")
        request = {"method": method, "target": target, "version": version, "headers": fields,
                   "connection": self.number, "port": self.sock.getsockname()[1], "tls": tls_facts(self.sock)}
        getattr(self, "do_" + what.replace("-", "_"), self.do_echo)(request, headers, argument)
        return headers.get("connection", "").lower() != "close"

    # One method for each path.

    def do_echo(self, request, headers, _argument):
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length, right = 0, True
        for data in self.body(headers):
            right = right and pattern.matches(length, data)
            length += len(data)
        request["body"] = length
        request["is_pattern"] = right
        request["trailers"] = self.trailers
        body = b"" if request["method"] == "HEAD" else json.dumps(request).encode()
        self.answer(body)

    do_sink = do_echo

    def do_mirror(self, _request, headers, _argument):
        self.answer(b"".join(self.body(headers)), kind="application/octet-stream")

    def do_gate_sink(self, request, headers, argument):
        gates[argument].wait()
        self.do_echo(request, headers, argument)

    def do_open(self, request, headers, argument):
        gates[argument].set()
        self.do_echo(request, headers, argument)

    def do_bytes(self, request, headers, argument):
        collections.deque(self.body(headers), 0)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % int(argument))
        if request["method"] != "HEAD":
            self.stream(int(argument))

    def do_chunked(self, request, headers, argument):
        collections.deque(self.body(headers), 0)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if request["method"] != "HEAD":
            self.stream(int(argument), chunked=True)

    def do_trickle(self, _request, headers, argument):
        collections.deque(self.body(headers), 0)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % int(argument))
        for _ in range(int(argument)):
            time.sleep(0.1)
            self.sock.sendall(b"x")

    def do_until_close(self, _request, headers, argument):
        collections.deque(self.body(headers), 0)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        self.stream(int(argument))
        raise Closed

    def do_status(self, _request, headers, argument):
        collections.deque(self.body(headers), 0)
        extra = b"" if argument in ("204", "304") else b"Content-Length: 0\r\n"
        self.sock.sendall(b"HTTP/1.1 %b Some\r\nX-Up: yes\r\n%b\r\n" % (argument.encode(), extra))

    def do_health(self, request, headers, _argument):
        self.do_status(request, headers, health["status"])

    def do_set_health(self, request, headers, argument):
        health["status"] = argument
        self.do_status(request, headers, "200")

    def do_early(self, request, headers, argument):
        self.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        self.do_echo(request, headers, argument)

    def do_silent(self, _request, _headers, _argument):
        while True:
            self.fill()

    def do_die(self, _request, headers, argument):
        collections.deque(self.body(headers), 0)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % int(argument))
        self.stream(int(argument) // 2)
        raise Closed

    def do_die_chunked(self, _request, headers, _argument):
        collections.deque(self.body(headers), 0)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        raise Closed

    def do_hop(self, _request, headers, _argument):
        collections.deque(self.body(headers), 0)
        self.answer(b"hop", kind="text/plain", headers=[
            "Connection: X-Internal", "X-Internal: secret", "Keep-Alive: timeout=77", "Proxy-Connection: keep-alive",
            "Trailer: X-Late", "X-Kept: yes"])

    def do_trailers(self, _request, headers, argument):
        collections.deque(self.body(headers), 0)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\nConnection: X-Secret\r\n\r\n"
                          b"5\r\nhello\r\n0\r\n" + TRAILERS[argument] + b"\r\n")

    def do_no_upgrade(self, _request, headers, _argument):
        collections.deque(self.body(headers), 0)
        self.answer(b"no upgrade", kind="text/plain")

    def do_raw(self, _request, headers, argument):
        collections.deque(self.body(headers), 0)
        self.sock.sendall(RAW[argument])
        if argument == "extra":
            return
        raise Closed

    def do_counts(self, _request, headers, _argument):
        collections.deque(self.body(headers), 0)
        with lock:
            body = json.dumps(counts).encode()
        self.answer(body)


def tls_context(certificate, key, ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.sni_callback = lambda sock, name, _: setattr(sock, "asked_name", name)
    return context


def tls_facts(sock):
    """What the handshake told: the name asked for, and the common name of the client's certificate."""
    if not isinstance(sock, ssl.SSLSocket):
        return None
    subject = dict(pair for part in (sock.getpeercert() or {}).get("subject", ()) for pair in part)
    return {"server_name": getattr(sock, "asked_name", None), "client": subject.get("commonName")}


def serve(sock, number, context):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            sock = context.wrap_socket(sock, server_side=True)
        connection = Connection(sock, number)
        while connection.request():
            pass
    except (Closed, OSError):
        pass
    sock.close()


def main():
    context = tls_context(*sys.argv[3:6]) if sys.argv[2:3] == ["--tls"] else None
    if context:
        listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
    else:
        listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
    while True:
        sock, _ = listener.accept()
        with lock:
            counts["connections"] += 1
            number = counts["connections"]
        threading.Thread(target=serve, args=(sock, number, context), daemon=True).start()


main()
