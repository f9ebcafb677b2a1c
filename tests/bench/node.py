#!/usr/bin/env python3
"""The embedded region beside Apache Kafka: Kafka's own perf tools and kcat against both, in one run, on the same cores.

    tests/bench/run node [--rounds 3] [--records 1000000] [--dir DIR]

Neither side syncs on its own: the node leaves writing back to the operating system, as Apache Kafka does. Both are measured
once more with every batch synced before it is acknowledged (`log.flush.interval.messages=1` there, `--sync` here).
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
import programs
from kafka import Kafka
from measure import parts
from programs import Part

PARTITIONS = 8
BYTES = 1000
PACED = 5000


class Broker:
    """One side: its bootstrap address and its process."""

    def __init__(self, bootstrap, pid):
        self.bootstrap, self.pid = bootstrap, pid


@contextlib.contextmanager
def node(program, folder, sync):
    with Part(program, "node", dir=f"{folder}/node", sync=int(sync)) as part:
        yield Broker(part.address, part.process.pid)


class WholeKafka(Kafka):
    """With the heap and the compilers that a broker in earnest has."""

    def _java(self, heap, *words):
        return ["java", "-Xmx1g", "-Xms1g", "-XX:+UseG1GC", "-Dlog4j2.level=WARN", "-cp",
                f"{parts.kafka_jars(self.version)}/*", *words]


@contextlib.contextmanager
def kafka(folder, sync):
    settings = {"log.flush.interval.messages": "1"} if sync else {}
    with WholeKafka(Path(folder) / "kafka", settings=settings) as broker:
        yield Broker(broker.bootstrap, broker.process.pid)


def tool(name, *options, heap="512m"):
    done = subprocess.run(["java", f"-Xmx{heap}", "-Dlog4j2.level=ERROR", "-cp", f"{parts.kafka_jars()}/*", name,
                           *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout


def create(broker, topic):
    tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", broker.bootstrap, "--create", "--topic", topic,
         "--partitions", PARTITIONS)


def produce(broker, topic, records, throughput=-1):
    """Records a second, MB a second, p50, p99 of ProducerPerformance."""
    said = tool("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", records,
                "--record-size", BYTES, "--throughput", throughput, "--producer-props",
                f"bootstrap.servers={broker.bootstrap}", "acks=all", "batch.size=65536",
                f"linger.ms={5 if throughput < 0 else 0}")
    found = re.findall(r"([\d.]+) records/sec \(([\d.]+) MB/sec\).* (\d+) ms 50th.* (\d+) ms 99th", said)
    if not found:
        raise SystemExit(f"ProducerPerformance printed no figures:\n{said[-2000:]}")
    records, mebibytes, p50, p99 = found[-1]
    return {"records": float(records), "mb": float(mebibytes) * 1.048576, "p50": int(p50), "p99": int(p99)}


def consume(broker, topic, records):
    """MB a second of ConsumerPerformance, without the time that joining the group took."""
    said = tool("org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", broker.bootstrap, "--topic", topic,
                "--messages", records, "--timeout", 60000)
    lines = said.splitlines()
    head = next((at for at, line in enumerate(lines) if line.startswith("start.time")), None)
    if head is None or head + 1 >= len(lines):
        raise SystemExit(f"ConsumerPerformance printed no figures:\n{said[-2000:]}")
    row = dict(zip(lines[head].split(", "), lines[head + 1].split(", ")))
    if int(row["data.consumed.in.nMsg"]) < records:
        raise SystemExit(f"only {row['data.consumed.in.nMsg']} of {records} records were read")
    return float(row["fetch.MB.sec"]) * 1.048576


def kcat(broker, topic, folder, records):
    """MB a second of librdkafka, written from a file and read back."""
    lines = Path(folder) / "lines"
    lines.write_bytes((b"x" * (BYTES - 1) + b"\n") * records)
    began = time.monotonic()
    with open(lines, "rb") as source:
        subprocess.run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-X", "acks=all", "-X", "linger.ms=5", "-X",
                        "batch.size=65536", "-X", "queue.buffering.max.messages=500000"], stdin=source, check=True)
    wrote = time.monotonic() - began
    began = time.monotonic()
    # One byte a record: what this program takes in would slow it down otherwise.
    done = subprocess.run(["kcat", "-C", "-q", "-b", broker.bootstrap, "-t", topic, "-o", "beginning", "-e", "-f", "."],
                          stdout=subprocess.PIPE, check=True)
    read = time.monotonic() - began
    if len(done.stdout) != records:
        raise SystemExit(f"kcat read {len(done.stdout)} of {records} records")
    size = records * (BYTES - 1) / 1e6
    return size / wrote, size / read


def once(broker, folder, records):
    create(broker, "bench")
    produce(broker, "bench", records // 4)
    before = measure.cpu_seconds(broker.pid)
    wrote = produce(broker, "bench", records)
    middle = measure.cpu_seconds(broker.pid)
    read = consume(broker, "bench", records)
    after = measure.cpu_seconds(broker.pid)
    create(broker, "paced")
    paced = produce(broker, "paced", PACED * 8, PACED)
    create(broker, "kcat")
    kcat_wrote, kcat_read = kcat(broker, "kcat", folder, records)
    size = records * BYTES / 1e6
    return {
        "produce": wrote["mb"], "p50": wrote["p50"], "p99": wrote["p99"], "consume": read,
        "paced_p50": paced["p50"], "paced_p99": paced["p99"], "kcat_produce": kcat_wrote, "kcat_consume": kcat_read,
        "produce_cpu": size / max(0.01, middle - before), "consume_cpu": size / max(0.01, after - middle),
        "memory_mb": measure.rss_max(broker.pid) / 1e6,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--sync", action="store_true", help="both sync every batch before it is acknowledged")
    parser.add_argument("--dir", default=str(measure.RUNS))
    given = parser.parse_args()
    parts.debian(["kcat"], ["kcat"])
    program = programs.bench("leeward-buffer", "gateway")
    opened = measure.opening(given.dir)
    sides = {"embedded node": lambda folder: node(program, folder, given.sync),
             "Apache Kafka 4.1.0": lambda folder: kafka(folder, given.sync)}
    seen = {name: [] for name in sides}
    for at in range(given.rounds):
        # Who comes first changes; what the one before left to be written back is not the next one's.
        for name, start in list(sides.items())[::-1 if at % 2 else 1]:
            os.sync()
            with tempfile.TemporaryDirectory(prefix="leeward-node-", dir=given.dir) as folder, start(folder) as broker:
                seen[name].append(once(broker, folder, given.records))
            print(f"round {at + 1}, {name}: {json.dumps(seen[name][-1])}", file=sys.stderr, flush=True)

    def row(name):
        mid = measure.medians(seen[name])
        return [name, f"{mid['produce']:.0f}", f"{mid['p50']:.0f} / {mid['p99']:.0f}", f"{mid['consume']:.0f}",
                f"{mid['paced_p50']:.0f} / {mid['paced_p99']:.0f}", f"{mid['kcat_produce']:.0f}", f"{mid['kcat_consume']:.0f}",
                f"{mid['produce_cpu']:.0f}", f"{mid['consume_cpu']:.0f}", f"{mid['memory_mb']:.0f}"]

    head = ["", "produce MB/s", "p50 / p99 ms", "consume MB/s", f"p50 / p99 ms at {PACED}/s", "kcat produce MB/s",
            "kcat consume MB/s", "produce MB / CPU-s", "consume MB / CPU-s", "memory max MB"]
    print(measure.table(head, [row(name) for name in seen]))
    measure.keep("node-sync" if given.sync else "node", opened, {"rounds": seen})


if __name__ == "__main__":
    main()
