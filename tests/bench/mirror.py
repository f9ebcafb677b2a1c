#!/usr/bin/env python3
"""What mirroring costs: Leeward, MirrorMaker 2, a record-level mirror on franz-go and a plain TCP relay, in one run.

Two real Kafka clusters; the source holds the records before each mirror starts, the target is empty. CPU time is counted
until the last record is across: from the process's start, for MirrorMaker 2 from the first record across (its start alone
takes more than the others' whole work). Its ratio is printed both ways. It runs with its defaults, and once more with
larger batches. The relay moves as many bytes between two sockets.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

import measure
from regions import PARTITIONS, Arrival, MirrorMaker, Regions, franz

IDLE_SECONDS = 10
TUNED = {"b.producer.batch.size": "262144", "b.producer.linger.ms": "20"}
PIECE = 1 << 20
HEAD = ["mirror", "MB per CPU-second", "CPU-s", "CPU-s from its start", "target broker CPU-s", "wall s", "memory max MB",
        "first record s", "CPU-s until the first record", "idle % of a core", "rounds"]
NAMES = {"leeward": "Leeward", "mm2": "MirrorMaker 2, defaults", "mm2-tuned": "MirrorMaker 2, 256 KiB batches",
         "franz-go": "franz-go, record by record", "relay": "plain TCP relay"}


def measured(regions, mirror, size, records, from_first, idle):
    """Runs a mirror over everything that the source holds."""
    regions.wipe()
    at_first = {}
    began = time.time()
    broker = regions.target.process.pid

    def on_first():
        at_first["cpu"] = measure.cpu_seconds(mirror.process.pid)

    with Arrival(regions, records, on_first) as arrival:
        broker_before = measure.cpu_seconds(broker)
        began = time.time()
        mirror.start()
        try:
            times = arrival.wait()
            pid = mirror.process.pid
            cpu = measure.cpu_seconds(pid)
            broker_cpu = measure.cpu_seconds(broker) - broker_before
            work = cpu - at_first["cpu"] if from_first else cpu
            idle_percent = 0.0
            if idle:
                time.sleep(2)
                idle_percent = measure.idle_share(pid, IDLE_SECONDS)
            return {
                "mb_per_cpu_s": size / 1e6 / work, "cpu_s": work, "whole_cpu_s": cpu, "broker_cpu_s": broker_cpu,
                "wall_s": times["last"] - times["first"], "memory_mb": measure.rss_max(pid) / 1e6,
                "first_record_s": times["first"] - began, "start_cpu_s": at_first["cpu"], "idle_percent": idle_percent,
            }
        finally:
            mirror.kill()


class RecordMirror:
    """franz-go, record by record; it waits at its end until its figures are taken."""

    def __init__(self, regions, records, codec):
        self.words = ["mirror", "--from", regions.source.bootstrap, "--to", regions.target.bootstrap,
                      "--topic", regions.topic, "--records", str(records + 1), "--codec", codec]
        self.regions = regions
        self.process = None

    def start(self):
        from regions import create_topic
        create_topic(self.regions.target.bootstrap, self.regions.topic, PARTITIONS)
        self.process = subprocess.Popen([measure.franz(), *self.words])

    def kill(self):
        self.process.kill()
        self.process.wait()


def relayed(size):
    """Moves `size` bytes through the plain relay."""
    ends = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{end.getsockname()[1]}" for end in ends]

    def give():
        connection, _ = ends[0].accept()
        with connection:
            piece, left = os.urandom(PIECE), size
            while left > 0:
                left -= connection.send(piece[:min(left, PIECE)])

    def take():
        connection, _ = ends[1].accept()
        room = bytearray(PIECE)
        with connection:
            while connection.recv_into(room):
                pass

    peers = [threading.Thread(target=peer) for peer in (give, take)]
    for peer in peers:
        peer.start()
    began = time.monotonic()
    process = subprocess.Popen([measure.relay(), *addresses])
    _, _, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    for peer in peers:
        peer.join()
    for end in ends:
        end.close()
    cpu = usage.ru_utime + usage.ru_stime
    return {"mb_per_cpu_s": size / 1e6 / cpu, "cpu_s": cpu, "whole_cpu_s": cpu, "broker_cpu_s": 0.0, "wall_s": wall,
            "memory_mb": usage.ru_maxrss * 1024 / 1e6, "first_record_s": 0.0, "start_cpu_s": 0.0, "idle_percent": 0.0}


def rounds(regions, given, codec, size):
    """All rounds of all that take part; one round before them warms the target's broker up and is not counted."""
    records = given.records
    found = {name: [] for name in given.only}
    makers = {
        "leeward": lambda idle: measured(regions, regions.mirror(), size, records, False, idle),
        "mm2": lambda idle: measured(regions, MirrorMaker(regions, codec), size, records, True, idle),
        "mm2-tuned": lambda idle: measured(regions, MirrorMaker(regions, codec, TUNED), size, records, True, idle),
        "franz-go": lambda _: measured(regions, RecordMirror(regions, records, codec), size, records, False, False),
        "relay": lambda _: relayed(size),
    }
    makers["franz-go"](False)
    for at in range(given.rounds):
        for name in given.only:
            if name.startswith("mm2") and at >= given.mm2_rounds:
                continue
            found[name].append(makers[name](at == 0))
            print(f"{codec} round {at + 1} {name}: {json.dumps(found[name][-1])}", file=sys.stderr, flush=True)
    answer = {name: measure.medians(each) for name, each in found.items()}
    for name, each in found.items():
        # Idleness is measured in the first round only: it takes its time.
        answer[name]["idle_percent"] = each[0]["idle_percent"]
        answer[name]["rounds"] = len(each)
    return answer, found


def ratios(found):
    """Leeward's MB per CPU-second beside the others', by the medians; with the start counted on both sides as well."""
    ours = found["leeward"]
    for name in found:
        if name == "leeward":
            continue
        text = f"{ours['mb_per_cpu_s'] / found[name]['mb_per_cpu_s']:.2f} x {NAMES[name]}"
        if name.startswith("mm2"):
            text += (f" from its first record across, {found[name]['whole_cpu_s'] / ours['whole_cpu_s']:.2f} x with both"
                     f" counted from their start")
        yield text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mm2-rounds", type=int, default=3, help="it takes more than a minute each; 1 at least")
    parser.add_argument("--codec", action="append", choices=("none", "lz4"))
    parser.add_argument("--only", action="append", choices=tuple(NAMES), help="leave the others out")
    given = parser.parse_args()
    given.only = given.only or list(NAMES)
    opened = measure.opening()
    results = {"records": given.records, "codecs": {}}
    for codec in given.codec or ("none", "lz4"):
        with tempfile.TemporaryDirectory(prefix="leeward-bench-") as folder, Regions(folder, f"load-{codec}") as regions:
            size = regions.fill(given.records, codec)
            found, every = rounds(regions, given, codec, size)
        results["codecs"][codec] = {"stored_bytes": size, "medians": found, "rounds": every}
        print(f"\n{given.records} records of about 900 bytes, {PARTITIONS} partitions, codec {codec}, "
              f"{size / 1e6:.0f} MB stored; medians\n")
        print(measure.table(HEAD, [[NAMES[name], *found[name].values()] for name in given.only]))
        if "leeward" in found:
            print("\nLeeward's MB per CPU-second:\n" + "\n".join(f"- {ratio}" for ratio in ratios(found)) + "\n", flush=True)
        measure.keep("mirror" if not given.codec else f"mirror-{'-'.join(given.codec)}", opened, results)


if __name__ == "__main__":
    main()
