#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that take their time with a body, or leave in the middle of it.

    bodies.py late HOST PORT HEAD GATE REST     sends HEAD, and REST once the file GATE is there
    bodies.py drip HOST PORT HEAD RATE          sends HEAD, then RATE bytes a second, in ten pieces a second
    bodies.py gone HOST PORT HEAD COUNT         COUNT connections that send HEAD and end, every other one after its FIN was answered

HEAD may hold the escapes \\r \\n. late and drip print the status that comes, gone nothing.
"""

import pathlib
import select
import socket
import sys
import time

LIMIT_S = 20


def connect(host, port, head):
    sock = socket.create_connection((host, int(port)), timeout=LIMIT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(head.encode().decode("unicode_escape").encode("latin-1"))
    return sock


def status(sock):
    return sock.recv(65536).split(b" ", 2)[1].decode()


def late(host, port, head, gate, rest):
    sock = connect(host, port, head)
    deadline = time.monotonic() + LIMIT_S
    while not pathlib.Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    sock.sendall(rest.encode())
    print(status(sock))


def drip(host, port, head, rate):
    sock = connect(host, port, head)
    deadline = time.monotonic() + LIMIT_S
    while not select.select([sock], [], [], 0.1)[0] and time.monotonic() < deadline:
        sock.sendall(b"x" * (int(rate) // 10))
    print(status(sock))


def gone(host, port, head, count):
    for number in range(int(count)):
        sock = connect(host, port, head)
        if number % 2:
            sock.shutdown(socket.SHUT_WR)
            if sock.recv(1):
                sys.exit("bodies.py: half a body was answered")
        sock.close()


def main():
    {"late": late, "drip": drip, "gone": gone}[sys.argv[1]](*sys.argv[2:])


main()
