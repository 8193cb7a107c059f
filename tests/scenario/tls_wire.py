#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""One case of TLS on either side or both; client and upstream are of this program, so that what shares a record or a segment, and
who says close_notify, is exact.

    tls_wire.py CASE GATEWAY-PORT UPSTREAM-PORT CERTIFICATE KEY KEYGATED-PID

Exit status 0 when keygate did right; else the last line says what it did. The route is /wire, its service https on the upstream
port, without verification, one retry, read_timeout 2 s.
"""

import os
import re
import signal
import socket
import ssl
import sys
import time

from ends import ASK, CASE, GATEWAY, SWITCH, WAIT_S, answer, check, listener, ready, request

def context(protocol):
    made = ssl.SSLContext(protocol)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        made.load_cert_chain(sys.argv[4], sys.argv[5])
    return made


CLIENT, SERVER = context(ssl.PROTOCOL_TLS_CLIENT), context(ssl.PROTOCOL_TLS_SERVER)


class Tls:
    """One end: put() makes records, flush() sends them."""

    def __init__(self, sock, server, preface=b"", piece=65536):
        self.sock, self.received, self.made = ready(sock), ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (SERVER if server else CLIENT).wrap_bio(self.received, self.made, server, None if server else "gate.test")
        self.piece = piece
        self.made.write(preface)
        self.run(self.tls.do_handshake)

    def run(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if not data:
                    self.received.write_eof()
                self.received.write(data)
            finally:
                if step == self.tls.do_handshake:
                    self.flush()

    def put(self, data):
        self.tls.write(data)

    def flush(self):
        while self.made.pending:
            self.sock.sendall(self.made.read(self.piece))

    def send(self, data):
        for at in range(0, len(data), 16384):
            self.put(data[at:at + 16384])
        self.flush()

    def read(self, size=65536):
        """b"" at close_notify; "cut" at an end without one, "reset", or "open" when nothing comes."""
        try:
            return self.run(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""
        except (ssl.SSLEOFError, ssl.SSLError):
            return "cut"
        except ConnectionResetError:
            return "reset"
        except socket.timeout:
            return "open"

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.read(size - len(data))
            check(isinstance(more, bytes) and more, f"{more} after {data[-80:]}")
            data += more
        return data

    def head(self):
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self.exactly(1)
        return data.decode("latin-1")

    def all(self):
        data = b""
        while True:
            more = self.read()
            if not isinstance(more, bytes):
                return data, more
            if not more:
                return data, "closed"
            data += more

    def answer(self):
        head = self.head()
        length = re.search(r"content-length: (\d+)", head, re.I)
        return head.split()[1], self.exactly(int(length[1]) if length else 0)

    def goodbye(self):
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        self.flush()

    def end(self):
        """close_notify and FIN: the orderly half-close."""
        self.goodbye()
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()


def connect(receive=0):
    sock = socket.socket()
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.settimeout(WAIT_S)
    sock.connect(("127.0.0.1", GATEWAY))
    return Tls(sock, False)


def accept():
    return Tls(listener.accept()[0], True)


# --- whose answer it is -------------------------------------------------------------------------------------------------------


def stray(together, method="GET"):
    """Records behind an answer: whatever asks next must not get them."""
    client = connect()
    client.send(request())
    up = accept()
    up.head()
    up.put(answer(b"first"))
    if not together:
        up.flush()
        check(client.answer() == ("200", b"first"), "not the first answer")
    up.put(answer(b"stray"))
    up.flush()
    if together:
        check(client.answer() == ("200", b"first"), "not the first answer")
    else:
        time.sleep(0.1)  # it has to come while nobody asks
    client.send(request("second", method, body=b"body" if method == "POST" else b""))
    other = accept()
    check("/second" in other.head().split()[1], "not the second request")
    if method == "POST":
        other.exactly(4)
    other.send(answer(b"second"))
    check(client.answer() == ("200", b"second"), "not the second answer")


def case_stray_together():
    stray(True)
    stray(True, "POST")


def case_stray_later():
    stray(False)
    stray(False, "POST")


def case_stray_large():
    """The records end where the receive buffers do not; the next request waits already."""
    for size in range(32768 - 120, 32768 + 40, 13):
        client = connect()
        client.send(request("1") + request("2", "POST", body=b"body"))
        up = accept()
        up.head()
        data = answer(b"a" * size)
        up.put(data[:9000])
        cipher = up.made.read()
        up.sock.sendall(cipher[:-1])  # so that OpenSSL holds most of a record when the rest comes
        time.sleep(0.01)
        for at in range(9000, len(data), 8000):
            up.put(data[at:at + 8000])
        up.put(answer(b"stray"))
        up.sock.sendall(cipher[-1:] + up.made.read())
        check(client.answer() == ("200", b"a" * size), "not the first answer")
        other = accept()
        check(other.head().split()[1].endswith("/2"), "not the second request")
        other.exactly(4)
        other.send(answer(b"second"))
        check(client.answer() == ("200", b"second"), "not the second answer")


def case_records():
    """Requests share a record, or have a record for each byte."""
    client = connect()
    client.send(b"".join(request(str(n)) for n in range(5)))
    up = accept()
    for n in range(5):
        check(up.head().split()[1].endswith(f"/{n}"), "out of order")
        up.send(answer(b"%d" % n))
        check(client.answer() == ("200", b"%d" % n), "not its answer")
    for byte in request("slowly", "POST", body=b"0123456789"):
        client.put(bytes([byte]))
        client.flush()
    up.head()
    check(up.exactly(10) == b"0123456789", "another body")
    for byte in answer(b"done"):
        up.put(bytes([byte]))
    up.flush()
    check(client.answer() == ("200", b"done"), "not its answer")


# --- ends -----------------------------------------------------------------------------------------------------------------------


def case_early_answer():
    """An answer while the body is still coming arrives whole, with close_notify behind it."""
    for size in (100 * 1024, 1024 * 1024):
        client = connect()
        client.send(request("x", "POST", "Content-Length: 50000000\r\n") + b"b" * 100000)
        up = accept()
        up.head()
        up.send(answer(b"e" * size, extra="Connection: close\r\n"))
        head = client.head()
        for _ in range(20):
            try:
                client.send(b"b" * 50000)
            except OSError:
                break
        body, how = client.all()
        check(head.split()[1] == "200" and body == b"e" * size, f"{len(body)} bytes")
        check(how == "closed", how)
        up.close()


def case_slow_reader():
    """Where the end of the connection is that of the body, close_notify comes also to a client that reads slowly."""
    for size in range(600000, 640000, 4000):
        client = connect(4096)
        client.send(request("x", version="1.0"))
        up = accept()
        up.head()
        up.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"s" * size)
        up.end()
        time.sleep(0.05)
        client.head()
        body, how = client.all()
        check(len(body) == size and how == "closed", f"{how} after {len(body)} of {size} bytes")
        up.close()


def case_cut_upstream():
    """An end of the upstream without close_notify is no end of an answer that only it would delimit."""
    for version in ("1.0", "1.1"):
        client = connect()
        client.send(request("x", version=version))
        up = accept()
        up.head()
        up.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of it")
        client.head()
        time.sleep(0.05)
        up.sock.shutdown(socket.SHUT_RDWR)
        body, how = client.all()
        check(b"half of it" in body and b"0\r\n\r\n" not in body, body)
        check(version == "1.1" or how in ("cut", "reset"), f"{how} for HTTP/{version}")
        up.close()


def case_whole_upstream():
    for version in ("1.0", "1.1"):
        client = connect()
        client.send(request("x", version=version))
        up = accept()
        up.head()
        up.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
        up.end()
        client.head()
        body, how = client.all() if version == "1.0" else (client.exactly(len("9\r\nall of it\r\n0\r\n\r\n")), "closed")
        check(b"all of it" in body and how == "closed", f"{body}, {how}")
        up.close()


def case_client_ends():
    """A client that has said close_notify behind its request gets its answer; one that is cut off is given up."""
    client = connect()
    client.send(request())
    client.end()
    up = accept()
    up.head()
    time.sleep(0.05)
    up.send(answer(b"late", extra="Connection: close\r\n"))
    body, how = client.all()
    check(body.endswith(b"late") and how == "closed", f"{body}, {how}")
    client = connect()
    client.send(request("x", "POST", "Content-Length: 10\r\n") + b"half")
    up = accept()
    up.head()
    check(up.exactly(4) == b"half", "another body")
    client.sock.shutdown(socket.SHUT_WR)
    check(up.read() in (b"", "cut", "reset"), "the upstream hears nothing of the cut")
    check(client.all()[0] == b"", "an answer to half a request")


def case_failed_handshake():
    """A handshake that fails is a failed try; the next one has the whole request."""
    for how in ("fin", "garbage", "alert"):
        client = connect()
        client.send(request("x", "POST", body=b"the body"))
        first = listener.accept()[0]
        first.settimeout(WAIT_S)
        first.recv(100)
        if how == "garbage":
            first.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        if how == "alert":
            first.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        first.close()
        up = accept()
        up.head()
        check(up.exactly(8) == b"the body", "another body")
        up.send(answer(b"done", extra="Connection: close\r\n"))
        check(client.answer() == ("200", b"done"), "not its answer")
        up.close()


def case_proxy_header():
    """The header of the PROXY protocol and the handshake behind it, in one segment or a segment for each byte."""
    for piece in (65536, 1):
        for preface in (b"PROXY TCP4 192.0.2.9 192.0.2.1 1024 443\r\n",
                        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\x09\xc0\0\2\1\4\0\1\xbb"):
            sock = socket.create_connection(("127.0.0.1", GATEWAY + 1), WAIT_S)
            client = Tls(sock, False, preface, piece)
            client.send(request())
            up = accept()
            head = up.head()
            check("\r\nX-Real-IP: 192.0.2.9\r\n" in head, head)
            up.send(answer(b"done", extra="Connection: close\r\n"))
            check(client.answer() == ("200", b"done"), "not its answer")
            up.close()


def case_hold():
    """Half a ClientHello, and then nothing: prints how the gateway ends it."""
    sock = socket.create_connection(("127.0.0.1", GATEWAY), WAIT_S)
    sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    print("held", flush=True)
    sock.settimeout(60)
    try:
        print("closed" if not sock.recv(1) else "answered", flush=True)
    except ConnectionResetError:
        print("reset", flush=True)


def case_drain():
    """An orderly stop: who is idle gets close_notify, who waits gets the whole answer, told that it is the last."""
    idle = connect()
    idle.send(request())
    up = accept()
    up.head()
    up.send(answer(b"first"))
    check(idle.answer() == ("200", b"first"), "not the first answer")
    busy = connect()
    busy.send(request("last"))
    up.head()
    os.kill(int(sys.argv[6]), signal.SIGTERM)
    check(idle.all() == (b"", "closed"), "no orderly end of an idle connection")
    up.send(answer(b"last"))
    check("\r\nConnection: close\r\n" in busy.head(), "the client is not told")
    check(busy.all() == (b"last", "closed"), "not the last answer and an orderly end")


def case_resumption():
    """The next connection resumes the session, also when the one before is long gone."""
    resumed = []
    for _ in range(3):
        client = connect()
        client.send(request())
        up = accept()
        up.head()
        resumed.append(up.tls.session_reused)
        up.send(answer(b"done", extra="Connection: close\r\n"))
        client.answer()
        up.goodbye()
        up.close()
        client.close()
        time.sleep(0.05)
    check(resumed == [False, True, True], resumed)


# --- tunnels --------------------------------------------------------------------------------------------------------------------


def opened():
    client = connect()
    client.send(request("x", extra=ASK))
    up = accept()
    up.head()
    up.send(SWITCH)
    check(client.head().startswith("HTTP/1.1 101 "), "no 101")
    return client, up


def passes(one, other, data):
    one.send(data)
    check(other.exactly(len(data)) == data, "bytes changed")


def case_tunnel_half_close():
    for first, second in ((0, 1), (1, 0)):
        ends = opened()
        one, other = ends[first], ends[second]
        passes(one, other, b"to you")
        passes(other, one, b"and back")
        one.send(b"the last")
        one.end()
        check(other.exactly(8) == b"the last" and other.read() == b"", "no close_notify behind the last byte")
        passes(other, one, b"m" * 300000)
        other.end()
        check(one.read() == b"", "no close_notify at the other end")


def case_tunnel_cut():
    """An end without close_notify breaks the tunnel, visibly."""
    for first, second in ((0, 1), (1, 0)):
        ends = opened()
        ends[first].send(b"cut")
        ends[second].exactly(3)
        ends[first].sock.shutdown(socket.SHUT_WR)
        check(ends[second].read() in ("cut", "reset"), "an orderly end")


def case_tunnel_back_pressure():
    """Who does not read holds the other end back; nothing is lost when it does, the end included."""
    for first, second in ((0, 1), (1, 0)):
        ends = opened()
        one, other = ends[first], ends[second]
        block, sent = bytes(range(256)) * 64, 0
        one.sock.settimeout(0.5)
        left = b""
        try:
            while sent < 512 * 1024 * 1024:
                one.put(block)
                left = one.made.read()
                while left:
                    left = left[one.sock.send(left):]
                sent += len(block)
        except socket.timeout:
            pass
        check(sent < 64 * 1024 * 1024, f"{sent} bytes found room")
        one.sock.settimeout(WAIT_S)
        got = 0
        other.sock.settimeout(0.2)
        while got < sent:
            more = other.read()
            check(isinstance(more, bytes) and more, f"{more} after {got} of {sent}")
            check(more == (block * 8)[got % 256:][:len(more)] or len(more) > len(block) * 7, "bytes changed")
            got += len(more)
        other.sock.settimeout(WAIT_S)
        one.sock.sendall(left)
        one.end()
        rest, how = other.all()
        check(got + len(rest) == sent + len(block) and how == "closed", f"{how} after {got + len(rest)} of {sent + len(block)}")
        other.end()


globals()["case_" + CASE.replace("-", "_")]()
