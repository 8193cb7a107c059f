#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""hold_tls.py HOST PORT NAME PATH FILE: one TLS connection with two requests: prints "ready" and the first status, waits for
FILE, prints the second."""

import http.client
import os
import socket
import ssl
import sys
import time

host, port, name, path, gate = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
connection = http.client.HTTPConnection(name)
connection.sock = context.wrap_socket(socket.create_connection((host, int(port)), 20), server_hostname=name)
for turn in range(2):
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    if turn == 0:
        print("ready", flush=True)
    print(answer.status, flush=True)
    deadline = time.monotonic() + 30
    while turn == 0 and not os.path.exists(gate):
        if time.monotonic() > deadline:
            sys.exit("the file never came")
        time.sleep(0.02)
    assert connection.sock is not None, "the connection was closed"
