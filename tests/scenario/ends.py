# SPDX-License-Identifier: BSD-2-Clause
"""Both ends of the gateway, for programs that are client and upstream at once, so that the order of events is exact. They are
called with CASE GATEWAY-PORT UPSTREAM-PORT before what is their own."""

import socket
import struct
import sys

CASE, GATEWAY, UPSTREAM = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
WAIT_S = 10
ASK = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept:  a B=\r\n\r\n"

listener = socket.create_server(("127.0.0.1", UPSTREAM), backlog=64)
listener.settimeout(WAIT_S)


def check(right, said):
    if not right:
        sys.exit(f"{CASE}: {said}")


def ready(sock):
    sock.settimeout(WAIT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def connect():
    return ready(socket.create_connection(("127.0.0.1", GATEWAY), timeout=WAIT_S))


def accept():
    return ready(listener.accept()[0])


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        check(more, f"ended early, after: {data[-80:]}")
        data += more
    return data


def read_head(sock):
    """Byte by byte, so that what follows is still there to read."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += read_exactly(sock, 1)
    return data.decode("latin-1")


def read_all(sock):
    """All that comes, and how it ended: closed, reset or open."""
    data = b""
    while True:
        try:
            more = sock.recv(65536)
        except ConnectionResetError:
            return data, "reset"
        except socket.timeout:
            return data, "open"
        if not more:
            return data, "closed"
        data += more


def request(path="x", method="GET", extra="", version="1.1", body=b""):
    if body:
        extra += f"Content-Length: {len(body)}\r\n"
    return f"{method} /wire/{path} HTTP/{version}\r\nHost: a\r\n{extra}\r\n".encode() + body


def answer(body, status="200 OK", extra=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body
