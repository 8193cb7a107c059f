# SPDX-License-Identifier: BSD-2-Clause
"""One TLS connection after the other, each with one request: what a new client costs. wrk resumes no sessions."""

import socket
import ssl
import struct
import time


def connect(port, context, session):
    sock = socket.create_connection(("127.0.0.1", port), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Ends by a reset: thousands of closed ones would else keep the ports.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return context.wrap_socket(sock, session=session)


def ask(sock, path, key, length):
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\napikey: {key}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < length:
        part = sock.recv(65536)
        if not part:
            break
        answer += part
    return answer.startswith(b"HTTP/1.1 200 ")


def run(port, path, keys, length, seconds, resume):
    """(requests, seconds they took, those that failed, sorted times of each in seconds); a session that should have been
    resumed and was not is a failure."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    session, failed, times, start = None, 0, [], time.monotonic()
    while time.monotonic() - start < seconds:
        begun = time.monotonic()
        with connect(port, context, session) as sock:
            good = ask(sock, path, keys[len(times) % len(keys)], length)
            good = good and sock.session_reused == (session is not None)
            if resume:
                session = sock.session
        times.append(time.monotonic() - begun)
        failed += not good
    return len(times), time.monotonic() - start, failed, sorted(times)
