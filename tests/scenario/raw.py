#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends exactly these bytes, for what curl is too polite to do, and tells what came back.

    raw.py [--show] [--split] [--wait-100] [--methods M,M,…] HOST PORT TEXT...

TEXT may hold the escapes \\r \\n \\t \\0 \\xHH and {N*c} for N times the character c. The TEXTs are sent one after the other; with
--split each in a segment of its own once the server had time to read the one before (it answers an ioctl, no sleep); with
--wait-100 a "100 Continue" must have come before the second is sent.
Printed: the status of each answer in order, then how it ended: "closed" (FIN), "reset" (RST), or "open" (nothing for 3 s).
--show prints everything received instead, as it came. --methods says what the requests are, as the answer to HEAD has no body.
"""

import argparse
import fcntl
import re
import socket
import struct
import sys
import termios
import time

QUIET_S = 3


def unescape(text):
    text = re.sub(r"\{(\d+)\*(.)\}", lambda m: m[2] * int(m[1]), text)
    names = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
    text = re.sub(r"\\(x[0-9a-fA-F]{2}|.)", lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" and len(m[1]) == 3
                  else names[m[1]], text)
    return text.encode("latin-1")


def drained(sock):
    """Waits until the peer's kernel has acknowledged all that was sent."""
    deadline = time.monotonic() + QUIET_S
    while time.monotonic() < deadline:
        unsent = struct.unpack("I", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]
        if unsent == 0:
            return
        time.sleep(0.001)


def read_until(sock, received, wanted):
    while wanted not in received:
        data = sock.recv(65536)
        if not data:
            return received, "closed"
        received += data
    return received, None


def read_all(sock, received):
    while True:
        try:
            data = sock.recv(65536)
        except socket.timeout:
            return received, "open"
        except ConnectionResetError:
            return received, "reset"
        if not data:
            return received, "closed"
        received += data


def body_end(head, rest, method, status):
    """How many bytes of rest belong to this answer; None when it is not whole."""
    if method == "HEAD" or status < 200 or status in (204, 304):
        return 0
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
    if length:
        return int(length[1]) if len(rest) >= int(length[1]) else None
    if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.I):
        at = 0
        while True:
            line = re.compile(rb"([0-9a-fA-F]+)\r\n").match(rest, at)
            if not line:
                return None
            at = line.end() + int(line[1], 16) + 2
            if int(line[1], 16) == 0:
                return at
    return len(rest)


def statuses(received, methods):
    found = []
    while received:
        head, blank, rest = received.partition(b"\r\n\r\n")
        line = re.match(rb"HTTP/1\.[01] (\d{3})(?: |\r|$)", head)
        if not blank or not line:
            found.append("garbage")
            break
        status = int(line[1])
        found.append(line[1].decode())
        end = body_end(head, rest, methods[0] if methods else "GET", status)
        if end is None:
            found.append("cut")
            break
        if status >= 200:
            methods = methods[1:]
        received = rest[end:]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--wait-100", action="store_true")
    parser.add_argument("--methods", default="")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("text", nargs="+")
    args = parser.parse_args()

    sock = socket.create_connection((args.host, args.port), timeout=QUIET_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces = [unescape(text) for text in args.text]
    received, end = b"", None
    if not args.split and not args.wait_100:
        pieces = [b"".join(pieces)]
    try:
        for number, piece in enumerate(pieces):
            if number and args.wait_100:
                received, end = read_until(sock, received, b"HTTP/1.1 100 Continue\r\n\r\n")
            if number and args.split:
                drained(sock)
            sock.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before all was sent; what was answered is still there to read
    except socket.timeout:
        sys.exit("raw.py: no answer while waiting to send on")
    if end is None:
        received, end = read_all(sock, received)
    if args.show:
        sys.stdout.buffer.write(received)
        return
    print(*statuses(received, [m for m in args.methods.split(",") if m]), end)


main()
