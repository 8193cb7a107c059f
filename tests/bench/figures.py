# SPDX-License-Identifier: BSD-2-Clause
"""What the benchmarks share: their variables, their figures as JSON and in tables, and how they start and end."""

import json
import os
import resource
import signal
import statistics
import sys

from subjects import LOAD_CPU, PROXY_CPU, Failed


def number(name, default, least=1):
    text = os.environ.get(name, "") or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= 1000000:
        raise Failed(f"{name}={text}: a whole number from {least} on is wanted")
    return int(text)


def chosen_cases(known):
    names = os.environ.get("BENCH_CASES", "").replace(",", " ").split() or known
    for name in names:
        if name not in known:
            raise Failed(f"BENCH_CASES: no case {name}; there are {' '.join(known)}")
    return [name for name in known if name in names]


def say(text):
    print(text, file=sys.stderr, flush=True)


def keep(samples, name, subject, values):
    """samples: (case, subject) → metric → one value for each round."""
    kept = samples.setdefault((name, subject), {})
    for metric, value in values.items():
        kept.setdefault(metric, []).append(value)


def write(samples, units, file_name):
    """As a list of JSON objects, into BENCH_OUT or this file."""
    figures = [{"case": case, "subject": subject, "metric": metric, "unit": units[metric],
                "median": statistics.median(values), "min": min(values), "max": max(values)}
               for (case, subject), metrics in samples.items() for metric, values in metrics.items()]
    with open(os.environ.get("BENCH_OUT") or file_name, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)
        file.write("\n")


def digits(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def spread(values):
    return f"{digits(statistics.median(values))} ({digits(min(values))}–{digits(max(values))})"


def take_place():
    """On the CPU of the load; how many files may be open."""
    if not {PROXY_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        raise Failed(f"CPUs {PROXY_CPU} and {LOAD_CPU} are needed, one for the proxy and one for all else")
    os.sched_setaffinity(0, {LOAD_CPU})
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    return files


def main(run):
    """run(BUILD, FOLDER), until it has ended or a signal comes."""
    def ended(signum, frame):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(128 + signum)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, ended)
    try:
        run(sys.argv[1], sys.argv[2])
    except Failed as why:
        sys.exit(f"bench: {why}")
