#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""One case of a client or an upstream server that does the unexpected at the worst moment; both sides are raw sockets of this
program, so that the order of events is exact.

    wire.py CASE GATEWAY-PORT UPSTREAM-PORT KEYGATED-PID

Exit status 0 when keygate did right; else the last line says what it did.
"""

import os
import re
import select
import signal
import socket
import sys
import time

from ends import CASE, WAIT_S, accept, answer, check, connect, read_all, read_exactly, read_head, request, reset

PID = int(sys.argv[4])

def read_answer(sock):
    head = read_head(sock)
    length = re.search(r"Content-Length: (\d+)", head)
    return head, read_exactly(sock, int(length[1]) if length else 0)


def pooled(path="first"):
    """A client that has had an answer, and the upstream connection keygate keeps for the next."""
    client = connect()
    client.sendall(request(path))
    upstream = accept()
    read_head(upstream)
    upstream.sendall(answer(b"first"))
    check(read_answer(client)[1] == b"first", "the first answer did not come")
    return client, upstream


def serve_once(body):
    upstream = accept()
    read_head(upstream)
    upstream.sendall(answer(body))
    return upstream


def is_stopped():
    for task in os.listdir(f"/proc/{PID}/task"):
        with open(f"/proc/{PID}/task/{task}/stat", encoding="ascii") as stat:
            if stat.read().rpartition(") ")[2][0] != "T":
                return False
    return True


def frozen(*events):
    """Everything that happens while the daemon stands still is seen by it at once."""
    os.kill(PID, signal.SIGSTOP)
    try:
        while not is_stopped():  # a signal takes its time to reach every thread
            time.sleep(0.001)
        for event in events:
            event()
            time.sleep(0.02)
    finally:
        os.kill(PID, signal.SIGCONT)


# Upstream servers.


def interim_flood():
    """More interim answers at once than the send queue has room for, and a chunked answer behind them."""
    client = connect()
    client.sendall(request("flood"))
    upstream = accept()
    read_head(upstream)
    upstream.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 12 +
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    data = b""
    while b"0\r\n\r\n" not in data:
        more = client.recv(65536)
        check(more, f"the answer ended early: {data[-200:]}")
        data += more
    check(b"5\r\nhello\r\n0\r\n\r\n" in data, f"not the answer: {data[-200:]}")


def interim_endless():
    """Interim answers for ever are not waited out."""
    client = connect()
    client.sendall(request("endless"))
    upstream = accept()
    read_head(upstream)
    end = time.monotonic() + 5
    try:
        while time.monotonic() < end:
            upstream.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    except OSError:
        pass
    client.settimeout(1)
    data, _ = read_all(client)
    check(b"HTTP/1.1 502" in data, "it went on and on")


def stale_answer():
    """Bytes that lay in a kept connection before the next request was sent are not the answer to it."""
    client, upstream = pooled()
    frozen(lambda: client.sendall(request("second")), lambda: upstream.sendall(answer(b"poison")))
    serve_once(b"second")
    body = read_answer(client)[1]
    check(body == b"second", f"the second request got: {body}")


def stale_post():
    """A kept connection that the upstream has closed by the time a request comes is not used for it."""
    client, upstream = pooled()
    frozen(lambda: client.sendall(request("second", "POST", body=b"hi")), upstream.close)
    serve_once(b"second")
    head, body = read_answer(client)
    check(body == b"second", f"the second request got: {head[:40]}")


def early_answer():
    """An upstream that refuses a long body and resets the connection: its answer is what the client gets."""
    client = connect()
    client.sendall(request("early", "POST", "Content-Length: 1000000\r\n") + b"x" * 1000)
    upstream = accept()
    read_head(upstream)

    def refuse():
        upstream.sendall(answer(b"too much", "413 Payload Too Large"))
        reset(upstream)

    # In this order: keygate sends on a dead connection, and then hears of the answer.
    frozen(lambda: client.sendall(b"x" * 1000), refuse)
    head, body = read_answer(client)
    check(head.startswith("HTTP/1.1 413") and body == b"too much", f"the client got: {head[:60]}")


def cut_until_close():
    """A body that only the connection's end delimits, and the upstream's connection breaks: no clean end for the client."""
    client = connect()
    client.sendall(request("cut", version="1.0"))
    upstream = accept()
    read_head(upstream)
    upstream.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    data = b""
    while not data.endswith(b"half"):
        data += client.recv(65536)
    reset(upstream)
    _, end = read_all(client)
    check(end == "reset", f"the half answer ended as {end}")


def stall_until_close():
    """The same when the upstream falls silent."""
    client = connect()
    client.sendall(request("stall", version="1.0"))
    upstream = accept()
    read_head(upstream)
    upstream.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    data, end = read_all(client)
    check(data.endswith(b"half") and end == "reset", f"the half answer ended as {end}")


def interim_then_gone():
    """A kept connection that has said 103 and then closes was alive: no second try, whose answers would mix."""
    client, upstream = pooled()
    client.sendall(request("second"))
    read_head(upstream)
    upstream.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    check("103" in read_head(client), "no 103")
    upstream.close()
    head, _ = read_answer(client)
    check(head.startswith("HTTP/1.1 502"), f"the client got: {head[:60]}")


def retry():
    """A kept connection that closes without a word: GET is sent again, once."""
    client, upstream = pooled()
    client.sendall(request("second"))
    read_head(upstream)
    upstream.close()
    serve_once(b"second")
    check(read_answer(client)[1] == b"second", "no second try")


# Clients.


def drips_into_408(client, head):
    """Sends a head byte by byte, each well within the time for a whole one; the 408 comes all the same, and in time."""
    started = time.monotonic()
    for byte in head:
        if select.select([client], [], [], 0.3)[0]:
            break
        client.sendall(bytes([byte]))
    took = time.monotonic() - started
    data, _ = read_all(client)
    check(data.startswith(b"HTTP/1.1 408"), f"after {took:.1f} s: {data[:40]}")
    check(took < 2.5, f"408 after {took:.1f} s")


def slow_head():
    """header_timeout is from a head's first byte to its last, not from byte to byte."""
    client = connect()
    drips_into_408(client, b"GET /wire/slow HTTP/1.1\r\n")


def slow_head_pipelined():
    """The same for a head that begins behind another request."""
    client = connect()
    client.sendall(request("a") + b"G")
    upstream = accept()
    read_head(upstream)
    upstream.sendall(answer(b"a"))
    read_answer(client)
    drips_into_408(client, b"ET /wire/slow HTTP/1.1\r\n")


def pipelined_close():
    """Bytes behind the last request do not make the end of the connection destroy its answer."""
    client = connect()
    client.sendall(request("last", extra="Connection: close\r\n"))
    upstream = accept()
    read_head(upstream)
    client.setblocking(False)
    try:
        while True:
            client.send(request("never") * 1000)
    except BlockingIOError:
        client.settimeout(WAIT_S)
    upstream.sendall(answer(b"x" * 60000))
    time.sleep(0.3)
    data, end = read_all(client)
    check(end == "closed" and len(data) > 60000, f"{len(data)} bytes of the answer came, then {end}")


def pipelined_post():
    """The same behind a body, after which nothing more is asked of the kernel."""
    client = connect()
    client.sendall(request("last", "POST", "Connection: close\r\n", body=b"hi"))
    upstream = accept()
    while b"hi" not in upstream.recv(65536):
        pass
    client.sendall(b"\r\n" + request("never"))
    time.sleep(0.1)
    upstream.sendall(answer(b"x" * 60000))
    time.sleep(0.3)
    data, end = read_all(client)
    check(end == "closed" and len(data) > 60000, f"{len(data)} bytes of the answer came, then {end}")


def half_close():
    """A client that ends its side after the request still gets the answer."""
    client = connect()
    client.sendall(request("half"))
    client.shutdown(socket.SHUT_WR)
    serve_once(b"whole")
    check(read_answer(client)[1] == b"whole", "no answer")
    check(read_all(client) == (b"", "closed"), "the connection did not end")


globals()[CASE.replace("-", "_")]()
