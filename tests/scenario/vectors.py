#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends the messages of tests/vectors over the wire, whole and in pieces, and looks at every byte that comes out on the other
side; what comes out is read by h11, which is nobody's code here.

    vectors.py requests|responses PROXY-PORT UPSTREAM-PORT TAG...

All lines with one of the tags are taken; the columns are explained at the top of each table. Both sides of keygate are sockets of
this program. Exit status 0 when keygate did right with all of them; else each wrong one is told, with the bytes.
"""

import fcntl
import pathlib
import re
import socket
import struct
import sys
import termios
import threading
import time

import h11

WAIT_S = 10
TABLES = pathlib.Path(__file__).resolve().parent.parent / "vectors"
NEXT = b"GET /up/next HTTP/1.1\r\nHost: a\r\n\r\n"
HOP = {"keep-alive", "proxy-connection", "proxy"}
IDENTITY = re.compile(r"x-consumer-|x-credential-identifier$|x-anonymous-consumer$")


class Fault(Exception):
    """keygate did wrong."""


def check(right, said):
    if not right:
        raise Fault(said)


def unescape(text):
    text = re.sub(r"\{(\d+)\*([^}]+)\}", lambda m: m[2] * int(m[1]), text)
    names = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
    text = re.sub(r"\\(x[0-9a-fA-F]{2}|.)", lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" and len(m[1]) == 3
                  else names[m[1]], text)
    return text.encode("latin-1")


def wait_for(condition, said):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        check(time.monotonic() < deadline, said)
        time.sleep(0.001)


def taken(sock):
    """The peer's kernel has acknowledged all that was sent, or the connection is no more."""
    open_states = (1, 8)  # TCP_ESTABLISHED and TCP_CLOSE_WAIT
    unsent = struct.unpack("I", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]
    return unsent == 0 or sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in open_states


def send(sock, data, in_pieces):
    """False when the peer would not have all of it."""
    size = max(1, len(data) // 150) if in_pieces else len(data)
    try:
        for at in range(0, len(data), size):
            if at and in_pieces:
                wait_for(lambda: taken(sock), "it reads nothing")
            sock.sendall(data[at:at + size])
    except OSError:
        return False
    return True


# --- the upstream ------------------------------------------------------------------------------------------------------------


class Upstream:
    """Records what it gets; answers each whole request by `answer`, which a table may change."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.answer = lambda connection, request: connection.say(b"ok")
        self.clear()
        threading.Thread(target=self.accept, daemon=True).start()

    def clear(self):
        self.connections, self.requests, self.faults = [], [], []

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Connection(self, sock).serve, daemon=True).start()

    def raw(self):
        return b"".join(connection.raw for connection in self.connections)


class Connection:
    def __init__(self, upstream, sock):
        self.upstream, self.sock = upstream, sock
        self.raw, self.ended, self.answered = b"", False, False

    def say(self, body, extra=b""):
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), extra, body))

    def serve(self):
        try:
            parser = h11.Connection(h11.SERVER)
            while self.serve_one(parser):
                parser.start_next_cycle()
        except h11.RemoteProtocolError as error:
            if not self.answered:
                self.upstream.faults.append(f"what the upstream got is no HTTP: {error}")
        except OSError:
            pass
        self.ended = True
        self.sock.close()

    def is_hurried(self, parser):
        """Whether more than one request has come; what would come in a pipeline has been sent by now, or nearly."""
        time.sleep(0.001)
        try:
            return bool(parser.trailing_data[0] or self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def serve_one(self, parser):
        head, body = None, b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = self.sock.recv(65536)
                if not data:
                    return False
                if self not in self.upstream.connections:
                    self.raw = b""
                    self.upstream.connections.append(self)
                self.raw += data
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        if self.is_hurried(parser):
            self.upstream.faults.append("the upstream got more before it answered: requests in a pipeline")
        request = {"method": head.method, "target": head.target, "version": head.http_version, "body": body, "connection": self,
                   "headers": fields_of(head.headers), "trailers": fields_of(event.headers)}
        self.upstream.requests.append(request)
        kept = self.upstream.answer(self, request)
        # For h11 the answer has been sent: what it was is nobody's business here.
        if parser.our_state is h11.SEND_RESPONSE:
            parser.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            parser.send(h11.EndOfMessage())
        return kept is not False


def fields_of(headers):
    return [(bytes(name).decode("latin-1").lower(), bytes(value)) for name, value in headers]


def check_request(request, body):
    """What keygate sent on: framed once, by keygate, with nothing in it that was not its to pass on."""
    headers = request["headers"]
    values = {name: [value for other, value in headers if other == name] for name, _ in headers}
    names = [name.replace("_", "-") for name, _ in headers + request["trailers"]]
    framing = {"host", "content-length", "transfer-encoding", "connection", "te", "upgrade"}

    check(request["target"].startswith(b"/up/"), f"the upstream got {request['target']}")
    check(request["version"] == b"1.1", "the upstream got another version")
    check(len(values.get("host", [])) == 1, "the upstream got more than one Host, or none")
    options = {"te": b"TE", "upgrade": b"Upgrade"}
    connection = b", ".join([b"keep-alive"] + [options[name] for name in options if name in values])
    check(values.get("connection") == [connection], f"the upstream got Connection: {values.get('connection')}")
    lengths, codings = values.get("content-length", []), values.get("transfer-encoding", [])
    check(len(lengths) + len(codings) <= 1, f"the upstream got lengths {lengths} and codings {codings}")
    check(codings in ([], [b"chunked"]), f"the upstream got Transfer-Encoding: {codings}")
    check(lengths in ([], [b"%d" % len(body)]), f"the upstream got Content-Length: {lengths}")
    check(not HOP & set(values), f"the upstream got {HOP & set(values)}")
    check(values.get("upgrade", [b"websocket"]) == [b"websocket"], "the upstream got an Upgrade that was not for it")
    check(values.get("te", [b"trailers"]) == [b"trailers"], "the upstream got a TE that was not for it")
    check(not [name for name in names if IDENTITY.match(name)], f"the upstream got an identity: {names}")
    check(not framing & {name for name, _ in request["trailers"]}, f"the upstream got the trailers {request['trailers']}")
    check(request["body"] == body, f"the upstream got the body {request['body']}")


# --- the client --------------------------------------------------------------------------------------------------------------


class Client:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest, self.seen, self.ended = b"", b"", False

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        except socket.timeout:
            raise Fault("no answer") from None
        self.ended = self.ended or not data
        self.seen += data
        return data

    def answer(self, method):
        """The next answer: a list of statuses, interim ones first; headers; body; whether it was whole."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        parser.send(h11.EndOfMessage())
        statuses, headers, body = [], {}, b""
        if self.rest:
            parser.receive_data(self.rest)
        while True:
            try:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    parser.receive_data(self.receive())
                    continue
            except h11.RemoteProtocolError as error:
                check(self.ended, f"what the client got is no HTTP: {error}")
                return statuses, headers, body, False
            if isinstance(event, (h11.InformationalResponse, h11.Response)):
                statuses.append(event.status_code)
                headers = {bytes(name).decode("latin-1").lower(): bytes(value) for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.rest = parser.trailing_data[0]
                return statuses, headers, body, True
            else:
                return statuses, headers, body, False

    def at_end(self):
        """The connection ends here, with not one byte more."""
        while not self.ended:
            self.rest += self.receive()
        check(self.rest == b"", f"behind the last answer comes {self.rest}")

    def close(self):
        self.sock.close()


# --- the two tables -------------------------------------------------------------------------------------------------------------


def split_wanted(text):
    """'100 + 200:hello:kept' as [('100', '', ''), ('200', 'hello', 'kept')]"""
    return [(part.split(":") + ["", ""])[:3] if part.count(":") < 3 else [part[:3], part[4:], ""] for part in text.split(" + ")]


def barrier(proxy):
    """Everything that keygate had to do before, it has done now: it has one worker."""
    client = Client(proxy)
    client.sock.sendall(b"GET /up/barrier HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check(client.answer("GET")[0] == [200], "the gateway is not well")
    client.close()


def one_request(upstream, proxy, fields, data, in_pieces):
    wanted = split_wanted(fields[1])
    method = data.strip().split(b" ")[0].decode("latin-1")
    client = Client(proxy)
    refused = wanted[-1][0] not in ("200", "404")

    upstream.clear()
    send(client.sock, data + NEXT, in_pieces)
    for status, _, _ in wanted:
        statuses, headers, _, whole = client.answer(method if method == "HEAD" else "GET")
        check(whole and statuses == [int(status)], f"answered with {statuses}")
    kept = not refused and headers.get("connection") != b"close"
    check(not refused or headers.get("connection") == b"close", "the refusal does not say that it is the end")
    if kept:
        check(client.answer("GET")[0] == [200], "the request behind it is not answered")
    else:
        client.at_end()
    client.close()
    barrier(proxy)
    bodies = [unescape(body) for status, body, _ in wanted if status == "200"] + [b""] * kept
    requests = [request for request in upstream.requests if request["target"] != b"/up/barrier"]
    check(not upstream.faults, upstream.faults)
    check(len(requests) == len(bodies), f"the upstream got {[request['target'] for request in requests]}")
    for request, body in zip(requests, bodies):
        check_request(request, body)
    check(not kept or requests[-1]["target"] == b"/up/next", "the request behind it is another one for the upstream")
    raw = upstream.raw()
    check(b"smuggled" not in raw, "the upstream got what was smuggled")
    check(not re.search(rb"(?<!\r)\n|\r(?!\n)|\r\n[ \t]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", raw), "the upstream got what is no text")
    # What was begun and then refused has ended there too, unfinished.
    half = [connection for connection in upstream.connections if connection not in [r["connection"] for r in upstream.requests]]
    wait_for(lambda: all(connection.ended for connection in half), "half a request stays open at the upstream")


def one_response(upstream, proxy, fields, data, in_pieces):
    wanted = split_wanted(fields[1])
    status, body, end = wanted[-1]
    method, then = fields[3], fields[4]
    target = []

    def answer(connection, request):
        if request["target"] != b"/up/vector":
            connection.say(request["target"].rsplit(b"/", 1)[-1], b"Connection: close\r\n")
            return False
        target.append(connection)
        connection.answered = True
        send(connection.sock, data, in_pieces)
        if then == "close":
            connection.sock.shutdown(socket.SHUT_WR)
            connection.sock.recv(1)
        return then != "close"

    upstream.answer = answer
    upstream.clear()
    client = Client(proxy)
    client.sock.sendall(method.encode() + b" /up/vector HTTP/1.1\r\nHost: a\r\n\r\n")
    statuses, headers, got, whole = client.answer(method)
    # Of an answer that is cut, keygate may still hold what came last, and even the head.
    check(statuses == [int(want[0].rstrip("*")) for want in wanted] or (end == "cut" and not statuses), f"the client got {statuses}")
    check(end or b'"message"' in got or method == "HEAD", "the refusal is not keygate's own")
    check(not end or got == body.encode() or (end == "cut" and body.encode().startswith(got)), f"the client got the body {got}")
    check(whole == (end != "cut"), "the client sees a whole answer" if whole else "the client sees no end of the answer")
    check(len(target) == 1, "the upstream got the request more than once")
    check(b"transfer-encoding" not in headers or "content-length" not in headers, "the client got both framings")
    if end != "kept":
        wait_for(lambda: target[0].ended, "the upstream's connection stays open")
    if not whole or headers.get("connection") == b"close":
        client.at_end()
        client.close()
        client = Client(proxy)
    client.sock.sendall(b"GET /up/after HTTP/1.1\r\nHost: a\r\n\r\n")
    statuses, _, got, _ = client.answer("GET")
    check(statuses == [200] and got == b"after", f"the next answer is {statuses} {got}")
    same = upstream.requests[-1]["connection"] is target[0]
    check(same == (end == "kept"), "the connection is used again" if same else "the connection is not used again")
    check(b"poison" not in client.seen, "the client got the poison")
    client.close()


def main():
    kind, proxy, port, tags = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), set(sys.argv[4:])
    one, columns = {"requests": (one_request, 5), "responses": (one_response, 7)}[kind]
    upstream = Upstream(port)
    count = faults = 0

    for line in (TABLES / f"{kind}.txt").read_text(encoding="utf-8").splitlines():
        fields = line.split(" | ", columns - 1)
        if line.startswith("#") or not tags & set(fields[0].split()):
            continue
        count += 1
        for in_pieces in (False, True):
            try:
                one(upstream, proxy, fields, unescape(fields[-1]), in_pieces)
            except Fault as fault:
                faults += 1
                print(f"{fields[-2]}{', in pieces' if in_pieces else ''}: {fault}\n    {fields[-1][:500]}")
    if not count:
        sys.exit(f"no line with a tag {tags}")
    sys.exit(faults > 0)


main()
