#!/usr/bin/env python3
"""The gateway's cost: acknowledged records a second with fsync, beside the disk's own rate for groups of the same size.

    tests/bench/run gateway [--rounds 3] [--seconds 5] [--only SHAPE] [--no-client] [--dir DIR]

In each round a gateway in front of an embedded region takes what many producers offer and forwards it meanwhile; then
one thread writes and syncs groups of the size that the gateway had come to, first into a file whose blocks stand there
already (the disk's own rate), then through the journal alone. The cross-check is Kafka's own ProducerPerformance.
"""

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time

import measure
import programs
from measure import parts
from programs import Part, say

# Producers, batches of each on their way, records in a batch, bytes of a record, partitions.
SHAPES = {
    "many small": {"producers": 64, "window": 1, "records": 1, "bytes": 1024, "partitions": 16},
    "16 KiB": {"producers": 16, "window": 5, "records": 16, "bytes": 1000, "partitions": 16},
    "64 KiB": {"producers": 8, "window": 5, "records": 64, "bytes": 1000, "partitions": 8},
    "paced": {"producers": 16, "window": 5, "records": 1, "bytes": 1024, "partitions": 16, "rate": 125},
}
WARM_UP = 2
CLIENT_RECORDS = 600_000
HEAD_BYTES = 28 + 40


@contextlib.contextmanager
def gateway(program, folder):
    """A gateway before an embedded region."""
    with tempfile.TemporaryDirectory(prefix="leeward-gateway-", dir=folder) as place:
        with Part(program, "node", dir=f"{place}/node") as node, \
                Part(program, "serve", dir=f"{place}/buffer", region=node.address) as served:
            yield node, served


def once(program, folder, shape, seconds):
    with gateway(program, folder) as (node, served):
        before, cpu = served.counters(), (served.cpu, node.cpu)
        began = time.monotonic()
        seen = say(program, "load", address=served.address, topic="bench", seconds=seconds, warm_up=WARM_UP, **shape)
        took = time.monotonic() - began
        after = served.counters()
        cost = ((served.cpu - cpu[0]) / took, (node.cpu - cpu[1]) / took)
        memory = measure.rss_max(served.process.pid) / 1e6
    syncs = after["leeward_buffer_syncs_total"] - before["leeward_buffer_syncs_total"]
    batches = (after["leeward_buffer_accepted_records_total"] - before["leeward_buffer_accepted_records_total"]) / shape["records"]
    frame = seen["batch_bytes"] + HEAD_BYTES
    group = max(frame, round(batches / syncs * frame))
    seen |= {
        "group_bytes": group,
        "frames": max(1, round(batches / syncs)),
        "journal_bytes_a_second": seen["batches_a_second"] * frame,
        "unforwarded": after["unforwarded_records"],
        "gateway_cores": cost[0], "node_cores": cost[1], "memory_mb": memory,
    }
    raw = say(program, "raw", dir=folder, group=group, seconds=max(2, seconds // 2))
    journal = say(program, "journal", dir=folder, group=group, frames=seen["frames"], seconds=max(2, seconds // 2))
    return seen, raw, journal


def shape_row(name, shape, rounds):
    def mid(pick):
        return statistics.median([pick(*one) for one in rounds])

    ratio = mid(lambda seen, raw, _: seen["journal_bytes_a_second"] / raw["bytes_a_second"])
    own = mid(lambda _, raw, journal: journal["bytes_a_second"] / raw["bytes_a_second"])
    return [
        name,
        f"{mid(lambda seen, *_: seen['records_a_second']):,.0f}",
        f"{mid(lambda seen, *_: seen['bytes_a_second']) / 1e6:.1f}",
        f"{mid(lambda seen, *_: seen['p50_us']) / 1e3:.2f} / {mid(lambda seen, *_: seen['p99_us']) / 1e3:.2f}",
        f"{mid(lambda seen, *_: seen['group_bytes']) / 1024:.1f}",
        f"{mid(lambda _, raw, __: raw['bytes_a_second']) / 1e6:.1f}",
        f"{mid(lambda _, __, journal: journal['bytes_a_second']) / 1e6:.1f} ({own:.0%})",
        "-" if "rate" in shape else f"**{ratio:.0%}**",
        f"{mid(lambda seen, *_: seen['gateway_cores']):.2f} + {mid(lambda seen, *_: seen['node_cores']):.2f}",
        f"{mid(lambda seen, *_: seen['unforwarded']):,.0f}",
    ]


def java_client(program, folder):
    """Kafka's own producer against the gateway."""
    jars = parts.kafka_jars()
    with gateway(program, folder) as (node, served):
        say(program, "load", address=served.address, topic="bench", producers=1, window=1, records=1, bytes=10,
            partitions=8, seconds=1, warm_up=0)
        done = subprocess.run(
            ["java", "-Xmx512m", "-cp", f"{jars}/*", "org.apache.kafka.tools.ProducerPerformance", "--topic", "bench",
             "--num-records", str(CLIENT_RECORDS), "--record-size", "1000", "--throughput", "-1", "--producer-props",
             f"bootstrap.servers={served.address}", "acks=all", "batch.size=65536", "linger.ms=5"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    last = [line for line in done.stdout.splitlines() if "99th" in line]
    found = re.search(r"([\d.]+) records/sec \(([\d.]+) MB/sec\).* (\d+) ms 50th.* (\d+) ms 99th", last[-1] if last else "")
    if done.returncode != 0 or not found:
        raise SystemExit(f"ProducerPerformance ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return f"{float(found[1]):,.0f} records/s, {float(found[2]) * 1.048576:.1f} MB/s, p50 {found[3]} ms, p99 {found[4]} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=SHAPES)
    parser.add_argument("--no-client", action="store_true")
    parser.add_argument("--dir", default=str(measure.RUNS), help="on the file system that is measured")
    given = parser.parse_args()
    program = programs.bench("leeward-buffer", "gateway")
    opened = measure.opening(given.dir)
    rounds = {name: [] for name in given.only or SHAPES}
    for at in range(given.rounds):
        for name, found in rounds.items():
            found.append(once(program, given.dir, SHAPES[name], given.seconds))
            print(f"round {at + 1}, {name}: {json.dumps(found[-1])}", file=sys.stderr, flush=True)
    head = ["load", "records/s", "MB/s", "p50 / p99 ms", "group KiB", "disk MB/s", "journal alone MB/s", "of the disk",
            "cores: gateway + region", "not forwarded at the end"]
    print(measure.table(head, [shape_row(name, SHAPES[name], found) for name, found in rounds.items()]), flush=True)
    results = {"rounds": rounds}
    if not given.no_client:
        results["client"] = java_client(program, given.dir)
        print(f"\nProducerPerformance, 1 000-byte records, acks=all: {results['client']}")
    measure.keep("gateway", opened, results)


if __name__ == "__main__":
    main()
