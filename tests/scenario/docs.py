#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The examples of README.md and docs/*.md: lists them, and runs them as a reader would.

    docs.py list PAGE...    one line for each fenced sh block: "run PAGE:LINE", or "make" or "not-run" with its lines
    docs.py run PAGE        runs the page's blocks in one shell, in order, in the current folder
    docs.py links PAGE...   names every link to a file or a heading that is not there
    docs.py step PAGE NAME  prints the blocks of the walkthrough with this name, for its scenario to run

A block of the language sh is run; every command in it must succeed. `sh exit=N` wants the last failing command to end
with N instead. A text block right behind it says what must be seen: its lines, in this order, among the lines of the
output; `…` stands for anything, and how wide a gap is does not count. Blocks without a language are drawings and
excerpts. Not run are `sh not-run` and those in which every line calls make; readme.bats knows each of their lines. Blocks
marked `sh walkthrough=NAME` are run by the scenario of that document (walkthrough.bash).
"""

import os
import re
import signal
import subprocess
import sys
import tempfile

TIME_LIMIT = 100  # seconds for a page


class Block:
    def __init__(self, page, line, info, lines):
        self.page, self.line, self.lines, self.wanted = page, line, lines, []
        self.language, _, self.marks = info.partition(" ")

    def commands(self):
        return [line for line in self.lines if line.strip() and not line.startswith("#")]

    def walkthrough(self):
        match = re.fullmatch(r"walkthrough=([\w.-]+)", self.marks)
        return match[1] if match else None

    def kind(self):
        if self.walkthrough():
            return "walkthrough"
        if self.marks == "not-run":
            return "not-run"
        if all(line.split()[0] == "make" for line in self.commands()):
            return "make"
        return "run"

    def exit_status(self):
        match = re.fullmatch(r"exit=(\d+)", self.marks)
        return int(match[1]) if match else 0


def stop(page, line, text):
    sys.exit(f"{page}:{line}: {text}")


def fences(page):
    """All fenced blocks of a page."""
    block, at = None, 0
    for number, line in enumerate(open(page, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        if not line.startswith("```"):
            if "```" in line:
                stop(page, number, "a fence that does not begin its line")
            if block is not None:
                block.lines.append(line)
            continue
        if block is None:
            block, at = Block(page, number, line[3:], []), number
            continue
        if line != "```":
            stop(page, number, "a fence inside a fence")
        yield block, number
        block = None
    if block is not None:
        stop(page, at, "a fence that is not closed")


def examples(page):
    """The sh blocks, each with what its text block wants."""
    found, last, last_end = [], None, 0
    for block, end in fences(page):
        if block.language == "text":
            if last is None or block.line > last_end + 2:
                stop(page, block.line, "a text block that no sh block is right before")
            last.wanted = [line for line in block.lines if line.strip()]
        elif block.language == "sh":
            if block.marks not in ("", "not-run") and not re.fullmatch(r"exit=[1-9]\d*|walkthrough=\w+(-\w+)*", block.marks):
                stop(page, block.line, f"an unknown mark '{block.marks}'")
            if not block.commands():
                stop(page, block.line, "an example without a command")
            found.append(block)
        elif block.language not in ("", "yaml"):
            stop(page, block.line, f"a block of the language '{block.language}'")
        last, last_end = (block, end) if block.language == "sh" else (None, 0)
    return found


def list_blocks(pages):
    for page in pages:
        for block in examples(page):
            if block.kind() in ("run", "walkthrough"):
                print(f"{block.kind()} {block.walkthrough() or f'{page}:{block.line}'}")
                continue
            if block.wanted:
                stop(page, block.line, "wants to see the output of what is not run")
            for line in block.commands():
                print(block.kind(), line)


def print_step(page, name):
    found = [block for block in examples(page) if block.walkthrough() == name]
    if not found:
        sys.exit(f"{page}: no block of the walkthrough {name}")
    for block in found:
        print("\n".join(block.lines))


def squeeze(line):
    return " ".join(line.split())


def pattern(line):
    parts = [re.escape(squeeze(part)) for part in line.split("…")]
    return re.compile(r"\s*.*\s*".join(parts))


def missing(block, output):
    """The first wanted line that is not seen, or None."""
    seen = iter([squeeze(line) for line in output.splitlines()])
    for wanted in block.wanted:
        if not any(pattern(wanted).fullmatch(line) for line in seen):
            return wanted
    return None


SHELL = """
set -o pipefail
trap 'rc=$?' ERR
for n in {numbers}; do
    rc=0
    eval "$(<"$DOCS_WORK/$n.sh")" >"$DOCS_WORK/$n.out" 2>&1
    echo "$rc" >"$DOCS_WORK/$n.rc"
done
"""


def run_shell(blocks, work):
    numbers = " ".join(str(n) for n in range(len(blocks)))
    shell = subprocess.Popen(
        ["bash", "-c", SHELL.replace("{numbers}", numbers)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DOCS_WORK": work},
        start_new_session=True,
    )
    try:
        shell.wait(TIME_LIMIT)
    except subprocess.TimeoutExpired:
        print(f"not over after {TIME_LIMIT} s")
    # What an example left running ends with its page.
    try:
        os.killpg(shell.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    shell.wait()


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def complaint(block, output, status):
    if status == "":
        return "did not end"
    if int(status) != block.exit_status():
        return f"exit status {status}, wanted {block.exit_status()}"
    wanted = missing(block, output)
    return f"not seen: {wanted}" if wanted else None


def run_page(page):
    blocks, failed = [block for block in examples(page) if block.kind() == "run"], 0
    with tempfile.TemporaryDirectory() as work:
        for n, block in enumerate(blocks):
            with open(f"{work}/{n}.sh", "w", encoding="utf-8") as file:
                file.write("\n".join(block.lines) + "\n")
        run_shell(blocks, work)
        for n, block in enumerate(blocks):
            output = read(f"{work}/{n}.out")
            wrong = complaint(block, output, read(f"{work}/{n}.rc").strip())
            if wrong:
                failed += 1
                print(f"{page}:{block.line}: {wrong}")
            if wrong or os.environ.get("DOCS_SHOW"):
                print("\n".join(f"    $ {line}" for line in block.lines))
                print("\n".join(f"    {line}" for line in output.splitlines()))
    print(f"{page}: {len(blocks)} examples run, {failed} failed")
    return 1 if failed or not blocks else 0


def anchors(page):
    """Headings as GitHub names them."""
    for line in open(page, encoding="utf-8"):
        if re.match(r"#+ ", line):
            text = line.lstrip("#").strip().lower()
            yield re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def check_links(pages):
    wrong = 0
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
            if "://" in target:
                continue
            name, _, anchor = target.partition("#")
            path = os.path.join(os.path.dirname(page), name) if name else page
            if not os.path.exists(path) or (anchor and anchor not in anchors(path)):
                print(f"{page}: {target} is not there")
                wrong = 1
    return wrong


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("list", "run", "links", "step"):
        sys.exit(__doc__)
    if sys.argv[1] == "list":
        list_blocks(sys.argv[2:])
        return 0
    if sys.argv[1] == "links":
        return check_links(sys.argv[2:])
    if sys.argv[1] == "step":
        print_step(*sys.argv[2:])
        return 0
    return run_page(sys.argv[2])


if __name__ == "__main__":
    sys.exit(main())
