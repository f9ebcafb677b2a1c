"""Two real Kafka clusters as benches start them, and what mirrors from the first to the second."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import measure
import parts

sys.path.insert(0, str(measure.BENCH.parent / "real"))
from cases import check, create_topic  # noqa: E402
from estate import Process, cluster, topology  # noqa: E402
from kafka import Kafka, free_port  # noqa: E402

PARTITIONS = 8
PATIENCE = 240


class Broker(Kafka):
    """A broker with the heap and the compilers that one in production has."""

    def _java(self, heap, *words):
        heap = "1g" if "kafka.Kafka" in words else heap
        return ["java", f"-Xmx{heap}", "-Dlog4j2.level=WARN", "-cp", f"{parts.kafka_jars(self.version)}/*", *words]


def franz(verb, **options):
    """Runs a verb of the foreign client and returns its last line."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run([measure.franz(), verb, *words], capture_output=True, text=True, timeout=PATIENCE)
    check(done.returncode == 0, f"{verb}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


class Regions:
    """Source, target and the controller that gives the mirror leave; `topic` is what is mirrored."""

    def __init__(self, folder, topic):
        self.folder = Path(folder)
        self.topic = topic
        self.source = Broker(self.folder / "source")
        self.target = Broker(self.folder / "target")
        self.policy = self.folder / "policy.yaml"
        text = topology({"a": cluster(self.source.bootstrap), "b": cluster(self.target.bootstrap)})
        self.policy.write_text(text.replace('topics: {include: [{glob: "*"}]}', f'topics: {{include: [{{literal: {topic}}}]}}'))
        self.control = Process(self.folder / "control", self.policy, "--role", "controller")
        self.made = 0

    def mirror(self):
        """A mirror that has never run, not started yet."""
        self.made += 1
        mirror = Process(self.folder / f"mirror-{self.made}", self.policy, "--role", "mirror", "--region", "b")
        mirror.settings["LEEWARD_LISTEN__LINK"] = self.control.settings["LEEWARD_PEERS__MIRRORS__B"].split("//")[1]
        mirror.settings["LEEWARD_PEERS__CONTROLLER"] = self.control.settings["LEEWARD_PEERS__CONTROLLER"]
        return mirror

    def fill(self, records, codec):
        create_topic(self.source.bootstrap, self.topic, PARTITIONS, compression_type="producer")
        franz("fill", to=self.source.bootstrap, topic=self.topic, partitions=PARTITIONS, records=records, codec=codec)
        logs = (self.source.data / "log").glob(f"{self.topic}-*/*.log")
        return sum(log.stat().st_size for log in logs)

    def wipe(self):
        franz("wipe", to=self.target.bootstrap)

    def __enter__(self):
        self.control.settings |= {"LEEWARD_PEERS__MIRRORS__A": f"http://127.0.0.1:{free_port()}",
                                  "LEEWARD_PEERS__MIRRORS__B": f"http://127.0.0.1:{free_port()}"}
        try:
            for part in (self.source, self.target, self.control):
                part.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for part in (self.control, self.source, self.target):
            part.kill()


def mirror_maker_jars():
    """The folder with MirrorMaker 2 and all that it needs."""
    pom = measure.BENCH / "pom.xml"

    def build(folder):
        parts.java()
        parts.debian(["maven"], ["mvn"])
        parts.run(["mvn", "-q", "-B", "-f", pom, f"-Dkafka={parts.KAFKA}", "dependency:copy-dependencies",
                   f"-DoutputDirectory={folder}"])

    return parts.built(f"connect-mirror-{parts.KAFKA}", parts.key_of(pom) + parts.KAFKA, build)


class MirrorMaker:
    """MirrorMaker 2 in its dedicated mode, same names on both sides."""

    def __init__(self, regions, codec, more=()):
        self.file = regions.folder / "mm2.properties"
        lines = {
            "clusters": "a,b", "a.bootstrap.servers": regions.source.bootstrap,
            "b.bootstrap.servers": regions.target.bootstrap, "a->b.enabled": "true", "b->a.enabled": "false",
            "a->b.topics": regions.topic, "tasks.max": "2", "replication.factor": "1",
            "replication.policy.class": "org.apache.kafka.connect.mirror.IdentityReplicationPolicy",
            **{f"{name}.replication.factor": "1" for name in (
                "checkpoints.topic", "heartbeats.topic", "offset-syncs.topic", "offset.storage", "status.storage",
                "config.storage")},
        }
        if codec != "none":
            lines["b.producer.compression.type"] = codec
        lines |= dict(more)
        self.file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        self.log = regions.folder / "mm2.log"
        self.process = None

    def start(self):
        output = open(self.log, "ab")
        self.process = subprocess.Popen(
            ["java", "-Xms256m", "-Xmx2g", "-Dlog4j2.level=WARN", "-cp", f"{mirror_maker_jars()}/*",
             "org.apache.kafka.connect.mirror.MirrorMaker", str(self.file)], stdout=output, stderr=output)
        return self

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Arrival:
    """Watches the target's log ends: calls back at the first record and at the last."""

    def __init__(self, regions, records, on_first):
        self.watch = subprocess.Popen(
            [measure.franz(), "await", "--to", regions.target.bootstrap, "--topic", regions.topic,
             "--partitions", str(PARTITIONS), "--records", str(records)], stdout=subprocess.PIPE, text=True)
        self.times = {}
        self.on_first = on_first
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.watch.stdout:
            said = json.loads(line)
            if "first" in said:
                self.on_first()
            self.times |= said

    def wait(self, seconds=PATIENCE):
        self.reader.join(seconds)
        check("last" in self.times, f"not all records arrived within {seconds} s: {self.times}")
        return self.times

    def __enter__(self):
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        self.watch.kill()
        self.watch.wait()
