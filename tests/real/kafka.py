#!/usr/bin/env python3
"""Real Apache Kafka clusters on loopback, of one KRaft broker that others may join: fetched, formatted, started, stopped.

    tests/real/kafka.py start --data DIR --port 19092 [--version 4.1.0] [--advertise HOST:PORT] [--set key=value]...
    tests/real/kafka.py stop --data DIR [--kill]
    tests/real/kafka.py fetch [VERSION]

`start` returns when the broker answers and prints {"pid":..., "bootstrap":..., "cluster_id":...}. Started again on the
same folder it goes on with what stands there. `--advertise` is what clients are told instead of the port's own address
(for a name in DNS, or a proxy in front).
"""

import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402

ANSWER_SECONDS = 60
STOP_SECONDS = 20
HEAP = "320m"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address):
    """Whether something at the address answers ApiVersions as a Kafka broker does."""
    host, port = address.rsplit(":", 1)
    request = struct.pack(">hhih", 18, 0, 7, -1)
    try:
        with socket.create_connection((host, int(port)), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            head = connection.recv(10)
            return len(head) == 10 and struct.unpack(">iih", head)[1:] == (7, 0)
    except OSError:
        return False


class Kafka:
    """One broker in one folder: a cluster of its own, or broker NODE of the cluster whose first broker is BESIDE and runs."""

    def __init__(self, data, version=parts.KAFKA, port=None, advertise=None, settings=(), host="127.0.0.1", beside=None, node=1):
        self.data = Path(data).resolve()
        self.version = version
        self.host = host
        self.port = port or free_port()
        self.advertise = advertise
        self.settings = dict(settings)
        self.beside = beside
        self.node = node
        self.process = None
        self.cluster_id = None

    # Further words of the first `kafka-storage format`.
    format_words = ()

    @property
    def bootstrap(self):
        return f"{self.host}:{self.port}"

    def _java(self, heap, *words):
        jars = parts.kafka_jars(self.version)
        return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN",
                "-cp", f"{jars}/*", *words]

    def _properties(self):
        controller = int(((self.beside or self).data / "controller.port").read_text())
        listeners = [f"CLIENT://{self.bootstrap}"]
        if not self.beside:
            listeners.append(f"CONTROLLER://127.0.0.1:{controller}")
        advertised = [f"CLIENT://{self.advertise or self.bootstrap}"]
        properties = {
            "process.roles": "broker" if self.beside else "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": ",".join(listeners),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "log.dirs": self.data / "log",
            "num.partitions": "3",
            "offsets.topic.num.partitions": "8",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "200",
            "auto.create.topics.enable": "false",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "log.cleaner.dedupe.buffer.size": "8388608",
            **self.settings,
        }
        return "".join(f"{key}={value}\n" for key, value in properties.items())

    def _id(self, tool):
        if self.beside:
            return self.beside.cluster_id
        told = subprocess.run([*tool, "random-uuid"], capture_output=True, text=True, check=True).stdout
        return told.strip().splitlines()[-1]

    def start(self):
        """Starts the broker and waits until it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        port_file = self.data / "controller.port"
        if not port_file.exists():
            port_file.write_text(str(free_port()))
        properties = self.data / "server.properties"
        properties.write_text(self._properties())
        meta = self.data / "log" / "meta.properties"
        if not meta.exists():
            tool = self._java("128m", "kafka.tools.StorageTool")
            parts.run([*tool, "format", "-t", self._id(tool), "-c", properties, *self.format_words])
        self.cluster_id = next(
            line.split("=", 1)[1] for line in meta.read_text().splitlines() if line.startswith("cluster.id=")
        )
        output = open(self.data / "broker.log", "ab")
        self.process = subprocess.Popen(
            self._java(HEAP, "kafka.Kafka", str(properties)), stdout=output, stderr=output, start_new_session=True
        )
        (self.data / "pid").write_text(str(self.process.pid))
        deadline = time.monotonic() + ANSWER_SECONDS
        while not answers(self.bootstrap):
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.data / "broker.log").read_text(errors="replace")[-3000:]
                self.kill()
                raise SystemExit(f"kafka: {self.bootstrap} does not answer\n{tail}")
            time.sleep(0.1)
        return self

    def signal(self, what):
        os.kill(self.process.pid, what)

    def kill(self):
        """SIGKILL: what a dead region looks like."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


def stop(data, kill):
    pid = int((Path(data) / "pid").read_text())
    command = Path(f"/proc/{pid}/cmdline")
    if not command.exists() or b"kafka.Kafka" not in command.read_bytes():
        return
    os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while command.exists() and command.read_bytes():
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    fetching = verbs.add_parser("fetch")
    fetching.add_argument("version", nargs="?", default=parts.KAFKA)
    starting = verbs.add_parser("start")
    starting.add_argument("--data", required=True)
    starting.add_argument("--port", type=int)
    starting.add_argument("--version", default=parts.KAFKA)
    starting.add_argument("--advertise", metavar="HOST:PORT")
    starting.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    stopping = verbs.add_parser("stop")
    stopping.add_argument("--data", required=True)
    stopping.add_argument("--kill", action="store_true")
    given = parser.parse_args()
    if given.verb == "fetch":
        print(parts.kafka_jars(given.version))
    elif given.verb == "stop":
        stop(given.data, given.kill)
    else:
        settings = [pair.split("=", 1) for pair in given.set]
        kafka = Kafka(given.data, given.version, given.port, given.advertise, settings).start()
        print(json.dumps({"pid": kafka.process.pid, "bootstrap": kafka.bootstrap, "cluster_id": kafka.cluster_id}))


if __name__ == "__main__":
    main()
