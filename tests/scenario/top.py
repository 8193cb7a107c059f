#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""keyctl top on a terminal of its own, and what its screen shows: top.py COMMAND... <STEPS

Each line of STEPS is one of: `type TEXT` (\\t is known), `see REGEX` (waits until a line of the screen is like it),
`order REGEX REGEX` (waits until a line like the first is above one like the second), `size ROWS COLUMNS`, `signal NAME`,
`end STATUS` (waits for the end: the exit status, or -SIGNAL). At the end the terminal must be as it was before.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

LIMIT = 20  # seconds for a step


class Screen:
    """As much of a terminal as ncurses asks for with TERM=xterm: cursor movements, erasing, text."""

    def __init__(self, rows, columns):
        self.resize(rows, columns)
        self.rest = self.last = b""

    def resize(self, rows, columns):
        self.rows, self.columns, self.y, self.x = rows, columns, 0, 0
        self.lines = [[" "] * columns for _ in range(rows)]

    def text(self):
        return ["".join(line).rstrip() for line in self.lines]

    def feed(self, data):
        data = self.rest + data
        self.rest = b""
        at = 0
        while at < len(data):
            match = re.compile(rb"\x1b\[([?0-9;]*)([A-Za-z@])|\x1b[()][A-Z0-9]|\x1b[=>78]").match(data, at)
            if match:
                self.control(match[1] or b"", (match[2] or b"").decode())
                at = match.end()
            elif data[at] == 0x1B:
                if len(data) - at < 16:
                    self.rest = data[at:]
                    return
                sys.exit(f"an unknown sequence {data[at:at + 16]}")
            else:
                at += self.put(data[at:])

    def control(self, arguments, what):
        numbers = [int(n) if n else 0 for n in arguments.lstrip(b"?").split(b";")]
        first = numbers[0] or 1
        if what in "Hf" and what:
            self.y = min(first, self.rows) - 1
            self.x = min((numbers[1] if len(numbers) > 1 else 1) or 1, self.columns) - 1
        elif what == "d":
            self.y = min(first, self.rows) - 1
        elif what == "G":
            self.x = min(first, self.columns) - 1
        elif what == "A":
            self.y = max(self.y - first, 0)
        elif what == "B":
            self.y = min(self.y + first, self.rows - 1)
        elif what == "C":
            self.x = min(self.x + first, self.columns - 1)
        elif what == "D":
            self.x = max(self.x - first, 0)
        elif what == "J":
            for y in range(self.y if numbers[0] == 0 else 0, self.rows):
                start = self.x if y == self.y and numbers[0] == 0 else 0
                self.lines[y][start:] = [" "] * (self.columns - start)
        elif what == "K":
            start, end = (self.x, self.columns) if numbers[0] == 0 else (0, self.x + 1)
            self.lines[self.y][start:end] = [" "] * (end - start)
        elif what == "X":
            end = min(self.x + first, self.columns)
            self.lines[self.y][self.x : end] = [" "] * (end - self.x)
        elif what == "P":
            line = self.lines[self.y]
            self.lines[self.y] = (line[: self.x] + line[self.x + first :] + [" "] * first)[: self.columns]
        elif what == "@":
            line = self.lines[self.y]
            self.lines[self.y] = (line[: self.x] + [" "] * first + line[self.x :])[: self.columns]
        elif what == "b":
            for _ in range(first):
                self.put(self.last)

    def put(self, data):
        """One character; how many bytes it had."""
        size = 1 if data[0] < 0xC0 else 2 if data[0] < 0xE0 else 3 if data[0] < 0xF0 else 4
        char = data[:size].decode("utf-8", "replace")
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self.y = min(self.y + 1, self.rows - 1)
        elif char == "\b":
            self.x = max(self.x - 1, 0)
        elif char >= " ":
            if self.x >= self.columns:
                self.x, self.y = 0, min(self.y + 1, self.rows - 1)
            self.lines[self.y][self.x] = char
            self.x += 1
            self.last = data[:size]
        return size


class Top:
    def __init__(self, command):
        self.screen, self.seen = Screen(24, 120), b""
        self.master, self.slave = pty.openpty()
        self.size(24, 120)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm"},
        )

    def size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            data = os.read(self.master, 65536)
            self.seen += data
            self.screen.feed(data)

    def until(self, condition, what):
        limit = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > limit:
                sys.exit(f"not over after {LIMIT} s: {what}\n" + "\n".join(self.screen.text()))
            self.read(0.1)

    def like(self, regex):
        return any(re.search(regex, line) for line in self.screen.text())

    def ordered(self, first, second):
        text = "\n".join(self.screen.text())
        return re.search(f"(?ms){first}.*{second}", text)

    def end(self, status):
        self.until(lambda: self.process.poll() is not None, "the end")
        self.read(0.1)
        if self.process.returncode != status:
            sys.exit(f"exit status {self.process.returncode}, wanted {status}\n{self.seen.decode(errors='replace')}")
        if termios.tcgetattr(self.slave) != self.before:
            sys.exit("the terminal is not as it was")
        if self.seen.rfind(b"\x1b[?1049h") > self.seen.rfind(b"\x1b[?1049l"):
            sys.exit("the screen is not given back")

    def step(self, line):
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "type":
            os.write(self.master, rest.replace("\\t", "\t").encode())
        elif word == "see":
            self.until(lambda: self.like(rest), line)
        elif word == "order":
            self.until(lambda: self.ordered(*rest.split()), line)
        elif word == "size":
            self.size(*map(int, rest.split()))
        elif word == "signal":
            self.process.send_signal(getattr(signal, rest))
        elif word == "end":
            self.end(int(rest))
        else:
            sys.exit(f"an unknown step: {line}")


top = Top(sys.argv[1:])
try:
    for step in sys.stdin:
        top.step(step)
finally:
    if top.process.poll() is None:
        top.process.kill()
