#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""WebSocket (RFC 6455) from both ends, with python3's own library only.

    websocket.py serve PORT             upgrades whoever asks rightly (any path), echoes messages, answers pings and Close
    websocket.py talk URL [HEADER...]   sends messages of all sizes, checks each echo, closes in order: prints "echoed N"
    websocket.py flood URL BYTES GATE   sends messages of BYTES in all, reads only once the file GATE exists: prints "echoed N"
    websocket.py hold URL [HEADER...]   opens, prints "open", then how it ended: "closed" or "reset"

URL is HOST:PORT/PATH. A handshake that is refused prints the status.
"""

import base64
import hashlib
import os
import re
import socket
import struct
import sys
import threading
import time

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PATIENCE_S = 20


class Ended(Exception):
    """The peer has sent its last byte."""


class Peer:
    """One end of a WebSocket connection; a client masks what it sends (RFC 6455, 5.3)."""

    def __init__(self, sock, masks):
        self.sock, self.masks, self.buffer = sock, masks, b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fill(self):
        data = self.sock.recv(262144)
        if not data:
            raise Ended
        self.buffer += data

    def take(self, size):
        while len(self.buffer) < size:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head.decode("latin-1")

    def send(self, kind, data):
        size = len(data)
        if size < 126:
            start = struct.pack("!BB", 0x80 | kind, self.masks << 7 | size)
        elif size < 65536:
            start = struct.pack("!BBH", 0x80 | kind, self.masks << 7 | 126, size)
        else:
            start = struct.pack("!BBQ", 0x80 | kind, self.masks << 7 | 127, size)
        self.sock.sendall(start + (b"\0\0\0\0" if self.masks else b"") + data)  # a mask of zeros changes nothing

    def receive(self):
        first, second = self.take(2)
        size = second & 127
        if size == 126:
            size = struct.unpack("!H", self.take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.take(8))[0]
        if bool(second & 128) == bool(self.masks):
            sys.exit("a frame is masked the wrong way round")
        if second & 128 and self.take(4) != b"\0\0\0\0":
            sys.exit("the mask has changed on the way")
        return first & 15, self.take(size)


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def header(name, head):
    found = re.search(rf"^{name}: *(.*?) *$", head.replace("\r", ""), re.I | re.M)
    return found[1] if found else ""


def serve_one(sock):
    peer = Peer(sock, False)
    try:
        head = peer.head()
        key = header("Sec-WebSocket-Key", head)
        if header("Upgrade", head).lower() != "websocket" or "upgrade" not in header("Connection", head).lower() or not key:
            sock.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
                     f"Sec-WebSocket-Accept: {accept_of(key)}\r\n\r\n".encode())
        while True:
            kind, data = peer.receive()
            peer.send(PONG if kind == PING else kind, data)
            if kind == CLOSE:
                return
    except (Ended, OSError):
        pass
    finally:
        sock.close()


def serve(port):
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True).start()


def shake_hands(url, headers=()):
    place, _, path = url.partition("/")
    host, port = place.rsplit(":", 1)
    key = base64.b64encode(os.urandom(16)).decode()
    peer = Peer(socket.create_connection((host, int(port)), timeout=PATIENCE_S), True)
    peer.sock.sendall("\r\n".join([f"GET /{path} HTTP/1.1", f"Host: {place}", "Connection: keep-alive, Upgrade", "Upgrade: websocket",
                                   "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers, "", ""]).encode())
    head = peer.head()
    status = head.split(" ")[1]
    if status != "101":
        print(status)
        sys.exit(0)
    if header("Sec-WebSocket-Accept", head) != accept_of(key):
        sys.exit(f"not the answer to this key: {head}")
    if header("Upgrade", head).lower() != "websocket" or header("Connection", head).lower() != "upgrade":
        sys.exit(f"not a client's idea of a 101: {head}")
    return peer


def close(peer):
    peer.send(CLOSE, struct.pack("!H", 1000))
    if peer.receive() != (CLOSE, struct.pack("!H", 1000)):
        sys.exit("no orderly Close")
    try:
        peer.take(1)
        sys.exit("bytes behind Close")
    except Ended:
        peer.sock.close()


def talk(url, headers):
    peer, total = shake_hands(url, headers), 0
    for size in (0, 1, 125, 126, 1000, 8192, 65535, 65536, 1000000):
        data = os.urandom(size)
        peer.send(BINARY, data)
        if peer.receive() != (BINARY, data):
            sys.exit(f"not the echo of {size} bytes")
        total += size
    peer.send(PING, b"are you there")
    if peer.receive() != (PONG, b"are you there"):
        sys.exit("no pong")
    close(peer)
    print("echoed", total)


def flood(url, total, gate):
    peer = shake_hands(url)
    data = os.urandom(65536)
    count = total // len(data)
    peer.sock.settimeout(None)

    def send():
        for _ in range(count):
            peer.send(BINARY, data)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    while not os.path.exists(gate):
        time.sleep(0.02)
    for _ in range(count):
        if peer.receive() != (BINARY, data):
            sys.exit("not the echo")
    sender.join()
    close(peer)
    print("echoed", count * len(data))


def hold(url, headers):
    peer = shake_hands(url, headers)
    peer.sock.settimeout(None)
    print("open", flush=True)
    try:
        while True:
            peer.receive()
    except Ended:
        print("closed", flush=True)
    except ConnectionResetError:
        print("reset", flush=True)


what, arguments = sys.argv[1], sys.argv[2:]
if what == "serve":
    serve(int(arguments[0]))
elif what == "talk":
    talk(arguments[0], arguments[1:])
elif what == "flood":
    flood(arguments[0], int(arguments[1]), arguments[2])
else:
    hold(arguments[0], arguments[1:])
