# SPDX-License-Identifier: BSD-2-Clause
"""Reads Prometheus' text format 0.0.4 from standard input, strictly: fails on whatever is not exactly it, else prints each
sample as NAME{LABELS} VALUE with labels as JSON."""

import json
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')


def labels_of(text):
    labels = {}
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match and match[1] not in labels, f"labels: {text}"
        labels[match[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2])
        assert not (match[3] == "," and match.end() == len(text)), f"comma at the end: {text}"
        at = match.end()
    return labels


def main():
    data = sys.stdin.buffer.read().decode("utf-8")
    assert data.endswith("\n"), "no line feed at the end"
    current, kind, seen, done = None, None, set(), set()
    for line in data[:-1].split("\n"):
        if line.startswith("# HELP "):
            match = re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line)
            assert match and match[1] not in done, line
            current, kind = match[1], None
            done.add(current)
            continue
        if line.startswith("# TYPE "):
            match = re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line)
            assert match and match[1] == current and kind is None, line
            kind = match[2]
            assert current.endswith("_total") == (kind == "counter"), f"name and type: {line}"
            continue
        match = re.fullmatch(rf"({NAME})(?:{{(.*)}})? (\d+)", line)
        assert match and match[1] == current and kind, line
        labels = labels_of(match[2] or "")
        key = (match[1], json.dumps(labels, sort_keys=True))
        assert key not in seen, f"twice: {line}"
        seen.add(key)
        print(f"{key[0]} {key[1]} {match[3]}")


main()
