#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""One case of a request that asks for a tunnel; client and upstream server are raw sockets of this program, so that the order of
events is exact.

    tunnel.py CASE GATEWAY-PORT UPSTREAM-PORT

Exit status 0 when keygate did right; else the last line says what it did. The route is /tunnel, its read_timeout 1 s.
"""

import re
import select
import socket
import time

from ends import ASK, CASE, SWITCH, accept, answer, check, connect, read_all, read_exactly, read_head, reset

def passes(one, other, data):
    one.sendall(data)
    got = read_exactly(other, len(data))
    check(got == data, f"{data} became {got}")


def request(extra=ASK, method="GET", version="1.1"):
    return f"{method} /tunnel/x HTTP/{version}\r\nHost: a\r\n{extra}\r\n".encode()


def header(name, head):
    return re.findall(rf"^{name}: (.*)\r$", head, re.I | re.M)


def opened():
    """Both ends of a tunnel."""
    client = connect()
    client.sendall(request())
    upstream = accept()
    read_head(upstream)
    upstream.sendall(SWITCH)
    check(read_head(client).startswith("HTTP/1.1 101 "), "no 101")
    return client, upstream


def answered(asked, given):
    """What a client gets who sends `asked` to an upstream that answers `given` to the first head and no more."""
    client = connect()
    client.sendall(asked)
    upstream = accept()
    head = read_head(upstream)
    upstream.sendall(given)
    return client, upstream, head


def heads():
    """Each side gets the heads it needs, and no byte of the Sec-WebSocket headers changes."""
    client, upstream, asked = answered(request(ASK + "Sec-WebSocket-Extensions: a;  b=\"c, d\"\r\n"), SWITCH)
    check(header("Connection", asked) == ["keep-alive, Upgrade"] and header("Upgrade", asked) == ["websocket"], asked)
    check("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" in asked, asked)
    check('\r\nSec-WebSocket-Extensions: a;  b="c, d"\r\n' in asked, asked)
    head = read_head(client)
    check(head.startswith("HTTP/1.1 101 Switching Protocols\r\n"), head)
    check(header("Connection", head) == ["Upgrade"] and header("Upgrade", head) == ["websocket"], head)
    check("\r\nSec-WebSocket-Accept: a B=\r\n" in head, head)
    check(header("X-Request-Id", head) == header("X-Request-Id", asked) != [], head)
    check(header("X-Keygate-Upstream-Latency", head) and header("X-Keygate-Proxy-Latency", head), head)
    check(header("Via", head) == ["1.1 keygate"], head)
    check(not header("Content-Length", head) and not header("Transfer-Encoding", head), head)
    passes(client, upstream, b"ping")


def bytes_pass():
    """Nothing is parsed: bytes pass whatever they look like, both ways."""
    client, upstream = opened()
    for data in (b"\0\1\2\xff\r\n\r\n", b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", bytes(range(256)) * 1000):
        passes(client, upstream, data)
        passes(upstream, client, data)
    passes(upstream, client, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def upstream_early():
    """What the upstream says right behind its 101 reaches the client."""
    client, upstream, _ = answered(request(), SWITCH + b"first words")
    read_head(client)
    check(read_exactly(client, 11) == b"first words", "other words")
    passes(client, upstream, b"and back")


def upstream_cut():
    """A 101 that comes byte by byte, and bytes behind it."""
    client, upstream, _ = answered(request(), b"")
    for byte in SWITCH + b"words":
        upstream.sendall(bytes([byte]))
    read_head(client)
    check(read_exactly(client, 5) == b"words", "other words")
    passes(client, upstream, b"and back")


def client_early():
    """What the client says behind its request waits for the 101, then goes on in order."""
    early = b"GET /tunnel/early HTTP/1.1\r\nHost: a\r\n\r\n" + bytes(range(256)) * 200
    client, upstream, _ = answered(request() + early, b"HTTP/1.1 103 Early Hints\r\n\r\n")
    check(read_head(client).startswith("HTTP/1.1 103"), "no 103")
    check(not select.select([upstream], [], [], 0.2)[0], "bytes of a tunnel that is none")
    upstream.sendall(SWITCH)
    check(read_head(client).startswith("HTTP/1.1 101"), "no 101")
    client.sendall(b"later")
    got = read_exactly(upstream, len(early) + 5)
    check(got == early + b"later", "not in order")


def refused():
    """Without a 101 the connection goes on as HTTP: what follows is the next request, and answered as that."""
    client, upstream, _ = answered(request() + request("X-Second: yes\r\n"), answer(b"no"))
    check(read_head(client).startswith("HTTP/1.1 200") and read_exactly(client, 2) == b"no", "not the refusal")
    second = read_head(upstream)
    check(header("X-Second", second) == ["yes"] and not header("Upgrade", second), second)
    upstream.sendall(answer(b"yes"))
    read_head(client)
    check(read_exactly(client, 3) == b"yes", "not the second answer")
    client.sendall(request())
    read_head(upstream)
    upstream.sendall(SWITCH)
    check(read_head(client).startswith("HTTP/1.1 101"), "no tunnel later on either")
    passes(client, upstream, b"ping")


def refused_frames():
    """A client that took the tunnel for granted: its first frame is no request, and reaches nobody."""
    client, upstream, _ = answered(request() + b"\x82\x85\0\0\0\0hello\r\n\r\n", answer(b"no"))
    data, end = read_all(client)
    check(data.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 400 " in data and end in ("closed", "reset"), f"{data}, {end}")
    upstream.settimeout(0.2)
    check(read_all(upstream)[0] == b"", "the frame went to the upstream")


def no_switch(asked, given=SWITCH):
    """The upstream saw no Upgrade, or switches to what was not asked for: 502, and its connection is not used again."""
    client, upstream, head = answered(asked, given + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    got = read_head(client)
    check(got.startswith("HTTP/1.1 502 "), got)
    read_exactly(client, int(header("Content-Length", got)[0]))
    # RST is an end too: it is what close(2) makes of bytes that nobody has read.
    check(read_all(upstream)[1] in ("closed", "reset"), "the upstream's connection lives on")
    client.close()
    return head


def not_asked():
    """A 101 to a request that asks for nothing, or for something else, or in a way that does not count."""
    for ask in ("", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n",
                "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", "Connection: Upgrade\r\nUpgrade: websocket/13\r\n"):
        head = no_switch(request(ask))
        check(header("Connection", head) == ["keep-alive"] and not header("Upgrade", head), head)


def not_now():
    """HTTP/1.0, a body or another method: no tunnel, and the upstream does not hear of an Upgrade."""
    for asked in (request(version="1.0"), request(ASK + "Content-Length: 5\r\n") + b"hello", request(method="OPTIONS"),
                  request(ASK + "Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", request(ASK + "Content-Length: 2\r\n", "POST") + b"hi",
                  request(method="HEAD")):
        client, upstream, head = answered(asked, b"")
        check(not header("Upgrade", head) and header("Connection", head) == ["keep-alive"], head)
        upstream.sendall(SWITCH)
        check(read_head(client).startswith("HTTP/1.1 502 "), f"a tunnel for {asked}")


def other_protocol():
    """A 101 for another protocol than the one asked for, or for none."""
    for name in ("Upgrade: h2c\r\n", "Upgrade: websocket2\r\n", "Upgrade: h2c, websocket\r\n", ""):
        no_switch(request(), f"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n{name}\r\n".encode())
    no_switch(request(), SWITCH.replace(b"Connection: upgrade\r\n", b""))
    no_switch(request(), SWITCH.replace(b"HTTP/1.1", b"HTTP/1.0"))


def half_close(one, other):
    """One side has said its last; the other goes on, and then ends."""
    one.sendall(b"last words")
    one.shutdown(socket.SHUT_WR)
    check(read_all(other) == (b"last words", "closed"), "not the last words and the end of the first side")
    passes(other, one, b"still here")
    passes(other, one, b"and here")
    other.sendall(b"bye")
    other.close()
    check(read_all(one) == (b"bye", "closed"), "not the last words and the end of the second side")


def half_close_client():
    half_close(*opened())


def half_close_upstream():
    client, upstream = opened()
    half_close(upstream, client)


def half_close_early():
    """A client that ends its side before the 101 still gets what the upstream has to say."""
    client = connect()
    client.sendall(request() + b"early")
    client.shutdown(socket.SHUT_WR)
    upstream = accept()
    read_head(upstream)
    upstream.sendall(SWITCH + b"hello")
    check(read_all(upstream) == (b"early", "closed"), "not the early bytes and the end")
    upstream.close()
    read_head(client)
    check(read_all(client) == (b"hello", "closed"), "not the upstream's words and its end")


def half_close_full():
    """The end of one side comes behind all its bytes, however slowly they are read."""
    client, upstream = opened()
    data = bytes(range(256)) * 8192
    upstream.setblocking(False)
    sent = 0
    while True:
        try:
            sent += upstream.send(data)
        except BlockingIOError:
            if not select.select([], [upstream], [], 0.3)[1]:
                break
    upstream.shutdown(socket.SHUT_WR)
    got, end = read_all(client)
    check(len(got) == sent and end == "closed", f"{len(got)} of {sent} bytes, {end}")


def reset_one(one, other):
    """One side's reset is one for the other."""
    passes(one, other, b"ping")
    reset(one)
    check(read_all(other) == (b"", "reset"), "no reset")


def reset_client():
    reset_one(*opened())


def reset_upstream():
    client, upstream = opened()
    reset_one(upstream, client)


def idle():
    """A tunnel in which nothing moves for read_timeout ends, for both."""
    client, upstream = opened()
    started = time.monotonic()
    check(read_all(client) == (b"", "closed"), "the client's side did not end")
    took = time.monotonic() - started
    check(read_all(upstream) == (b"", "closed"), "the upstream's side did not end")
    check(0.9 <= took < 5, f"ended after {took:.1f} s")


def not_idle():
    """Bytes in either direction keep it open."""
    client, upstream = opened()
    for one, other in ((client, upstream), (upstream, client)):
        started = time.monotonic()
        while time.monotonic() - started < 1.6:
            passes(one, other, b".")
            time.sleep(0.2)
    passes(client, upstream, b"ping")


def not_pooled():
    """Its upstream connection carries no other request, however it ends."""
    client, upstream = opened()
    passes(upstream, client, answer(b"poison"))
    client.close()
    check(read_all(upstream) == (b"", "closed"), "the end was not passed on")
    upstream.close()
    client, upstream, _ = answered(request(""), answer(b"fresh"))
    read_head(client)
    check(read_exactly(client, 5) == b"fresh", "not the answer")


globals()[CASE.replace("-", "_")]()
