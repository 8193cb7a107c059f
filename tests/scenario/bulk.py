#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Large bodies of the pattern, checked byte for byte.

    bulk.py get URL [FILE]         reads the body; with FILE reads nothing of it before FILE exists
    bulk.py put URL SIZE           sends SIZE bytes with Content-Length; prints the answer's body
    bulk.py put-chunked URL SIZE   the same, chunked
    bulk.py hold URL               one request, then prints "ready" and waits on the idle connection: prints "reset", "closed"
                                   or, after 10 s, "open"

get prints how many bytes of the pattern came, or fails and says what was wrong.
"""

import os
import socket
import sys
import time
import urllib.parse

import pattern

DEADLINE_S = 120
PIECE = 262144


def connect(url, small_window=False):
    parts = urllib.parse.urlsplit(url)
    family = socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if small_window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.settimeout(DEADLINE_S)
    sock.connect((parts.hostname, parts.port))
    return sock, parts


def head(sock):
    """The answer's head in lower case, and what came of the body with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        if not more:
            sys.exit("the connection was closed before the answer's head was whole")
        data += more
    top, rest = data.split(b"\r\n\r\n", 1)
    return top.decode("latin-1").lower(), rest


def field(top, name):
    for line in top.split("\r\n")[1:]:
        key, value = line.split(":", 1)
        if key == name:
            return value.strip()
    return None


def get(url, gate=None):
    sock, parts = connect(url, small_window=gate is not None)
    sock.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    if gate:
        deadline = time.monotonic() + DEADLINE_S
        while not os.path.exists(gate):
            if time.monotonic() > deadline:
                sys.exit("nobody opened the gate")
            time.sleep(0.02)
    top, data = head(sock)
    if " 200 " not in top.split("\r\n")[0]:
        sys.exit(top)
    length = int(field(top, "content-length"))
    got = 0
    while True:
        if not pattern.matches(got, data):
            sys.exit(f"wrong bytes after offset {got}")
        got += len(data)
        if got >= length:
            break
        data = sock.recv(PIECE)
        if not data:
            sys.exit(f"closed after {got} of {length} bytes")
    print(got)


def put(url, size, chunked=False):
    sock, parts = connect(url)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    sock.sendall(f"PUT {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{framing}\r\n\r\n".encode())
    offset = 0
    while offset < size:
        part = pattern.piece(offset, min(PIECE, size - offset))
        if chunked:
            sock.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        else:
            sock.sendall(part)
        offset += len(part)
    if chunked:
        sock.sendall(b"0\r\n\r\n")
    top, data = head(sock)
    length = int(field(top, "content-length"))
    while len(data) < length:
        more = sock.recv(PIECE)
        if not more:
            sys.exit("the answer was cut off")
        data += more
    print(data.decode())


def hold(url):
    sock, parts = connect(url)
    sock.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    top, data = head(sock)
    length = int(field(top, "content-length"))
    while len(data) < length:
        data += sock.recv(PIECE)
    print("ready", flush=True)
    sock.settimeout(10)
    try:
        print("closed" if not sock.recv(1) else "more bytes")
    except ConnectionResetError:
        print("reset")
    except socket.timeout:
        print("open")


def main():
    command, url, *rest = sys.argv[1:]
    if command == "get":
        get(url, *rest)
    elif command == "put":
        put(url, int(rest[0]))
    elif command == "put-chunked":
        put(url, int(rest[0]), chunked=True)
    elif command == "hold":
        hold(url)
    else:
        sys.exit(__doc__)


main()
