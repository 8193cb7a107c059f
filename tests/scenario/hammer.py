#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Many connections that ask as fast as they can, all at once.

    hammer.py PORT PATH CONNECTIONS REQUESTS [HEADER...]

sends REQUESTS requests in all to 127.0.0.1, over CONNECTIONS that stay open, and prints how many answers had which status.
"%d" in a header becomes the request's number.
"""

import collections
import selectors
import socket
import sys
import time

DEADLINE_S = 60


class Connection:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.answer = b""

    def ask(self, text):
        self.answer = b""
        self.sock.sendall(text)

    def take(self):
        """The status, once the answer is whole."""
        more = self.sock.recv(65536)
        if not more:
            sys.exit("a connection was closed")
        self.answer += more
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end:
            return None
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        return lines[0].split()[1] if len(body) >= length else None


def main():
    port, path, connections, requests = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    headers = "".join(header + "\r\n" for header in sys.argv[5:])
    selector = selectors.DefaultSelector()
    statuses = collections.Counter()
    deadline = time.monotonic() + DEADLINE_S
    sent = 0

    def ask(connection):
        nonlocal sent
        sent += 1
        connection.ask(f"GET {path} HTTP/1.1\r\nHost: h\r\n{headers.replace('%d', str(sent))}\r\n".encode())

    everybody = [Connection(port) for _ in range(connections)]
    for connection in everybody:
        selector.register(connection.sock, selectors.EVENT_READ, connection)
        ask(connection)
    while statuses.total() < requests:
        if time.monotonic() > deadline:
            sys.exit(f"only {statuses.total()} answers came in {DEADLINE_S} s")
        for key, _ in selector.select(1):
            status = key.data.take()
            if status:
                statuses[status] += 1
                if sent < requests:
                    ask(key.data)
    for status, count in sorted(statuses.items()):
        print(status, count)


main()
