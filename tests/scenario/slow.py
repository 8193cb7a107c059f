#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Slow clients, by the second: what became of them, and when.

    slow.py send HOST PORT PATH RATE [SECONDS]      a body of 1000000 bytes, RATE bytes a second, in ten pieces a second;
                                                    after SECONDS the rest at once
    slow.py send-chunked …                          the same in chunks
    slow.py read HOST PORT PATH RATE                GET; takes RATE bytes a second of the answer
    slow.py silent HOST PORT COUNT [TEXT]           COUNT connections that send TEXT once, or nothing

send and read print the status, or "reset", "closed" or "open" (after 20 s) where there is none, and "early" when that was
less than 0.8 s after the start. silent prints how many connections ended in each way, and after how many whole seconds the first of them.
"""

import collections
import select
import socket
import sys
import time

LIMIT_S = 20
BODY = 1000000


def connect(host, port):
    sock = socket.socket()
    # Acknowledged in small steps also on the loopback, as it would be on the way from far away.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.settimeout(LIMIT_S)
    sock.connect((host, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def head(method, path, extra=""):
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{extra}\r\n".encode()


def ended(sock):
    """A status line that waits, or the connection's end; None while there is neither."""
    events = dict(select_now(sock))
    if not events:
        return None
    try:
        data = sock.recv(65536)
    except ConnectionResetError:
        return "reset"
    return data.split(b" ", 2)[1].decode() if data else "closed"


def select_now(sock):
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll.poll(0)


def send(host, port, path, rate, seconds=LIMIT_S, chunked=False):
    sock = connect(host, port)
    framing = "Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {BODY}\r\n"
    sock.sendall(head("POST", path, framing))
    start, sent = time.monotonic(), 0
    while time.monotonic() < start + LIMIT_S:
        end = ended(sock)
        if end:
            return end, time.monotonic() - start
        late = time.monotonic() - start >= float(seconds)
        part = BODY - sent if late else min(max(int(rate) // 10, 1), BODY - sent)
        if part == 0:
            select.select([sock], [], [], LIMIT_S)
            continue
        data = b"x" * part
        sent += part
        if chunked:
            data = b"%x\r\n%b\r\n" % (part, data) + (b"0\r\n\r\n" if sent == BODY else b"")
        try:
            sock.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            return "reset", time.monotonic() - start
        if not late:
            select.select([sock], [], [], 0.1 if int(rate) >= 10 else 1 / int(rate))
    return "open", LIMIT_S


def read(host, port, path, rate):
    sock = connect(host, port)
    sock.sendall(head("GET", path, "Connection: close\r\n"))
    start, status, got = time.monotonic(), "", 0
    broken = select.poll()
    broken.register(sock, select.POLLERR)
    while time.monotonic() < start + LIMIT_S:
        if broken.poll(100):
            return "reset", time.monotonic() - start
        behind = int(float(rate) * (time.monotonic() - start)) - got
        if behind <= 0 or not select_now(sock):
            continue
        data = sock.recv(behind)
        if not data:
            return status, time.monotonic() - start
        status = status or data.split(b" ", 2)[1].decode()
        got += len(data)
    return "open", LIMIT_S


def silent(host, port, count, text=""):
    begun, ends = {}, collections.defaultdict(list)
    for _ in range(int(count)):
        start = time.monotonic()
        try:
            sock = connect(host, port)
            sock.sendall(text.encode().decode("unicode_escape").encode("latin-1"))
            begun[sock] = [start, ""]
        except (ConnectionResetError, BrokenPipeError):
            ends["reset"].append(time.monotonic() - start)
    last = time.monotonic() + LIMIT_S
    while begun and time.monotonic() < last:
        for sock in select.select(begun, [], [], LIMIT_S)[0]:
            end, (start, said) = ended(sock), begun[sock]
            if end not in ("closed", "reset"):
                begun[sock][1] = end + " "
                continue
            ends[said + end].append(time.monotonic() - start)
            del begun[sock]
    if begun:
        ends["open"] = [LIMIT_S] * len(begun)
    for end, times in sorted(ends.items()):
        print(f"{len(times)} {end} after {int(min(times))}")


def main():
    case, host, port, *rest = sys.argv[1:]
    if case == "silent":
        silent(host, int(port), *rest)
        return
    if case == "read":
        end, after = read(host, int(port), *rest)
    else:
        end, after = send(host, int(port), *rest, chunked=case == "send-chunked")
    print(end, *(["early"] if after < 0.8 else []))


main()
