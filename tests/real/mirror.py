#!/usr/bin/env python3
"""The mirror between two real Apache Kafka clusters: `leeward serve --role mirror`, clients that are not ours."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
from cases import Client, Suite, admin, check, create_topic, until  # noqa: E402
from estate import Process, cluster, topology  # noqa: E402
from kafka import Kafka  # noqa: E402

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONS = 3
EACH = 150
PATIENCE = 40
# What the newest source goes through; older ones get less of the same.
WHOLE = {"codecs": ("java", "librdkafka"), "groups": ("java", "kafka-python"), "kills": 5}
SHORT = {"codecs": ("java",), "groups": ("kafka-python",), "kills": 2}


class Pair:
    """Two clusters, the mirror from the first to the second, and what gives it leave."""

    def __init__(self, folder, version, settings=()):
        self.folder = Path(folder)
        self.source = Kafka(self.folder / "source", version, settings=settings)
        self.target = Kafka(self.folder / "target", parts.KAFKA)
        policy = self.folder / "policy.yaml"
        policy.write_text(topology({"a": cluster(self.source.bootstrap), "b": cluster(self.target.bootstrap)}))
        self.mirror = Process(self.folder / "mirror-b", policy, "--role", "mirror", "--region", "b")
        self.back = Process(self.folder / "mirror-a", policy, "--role", "mirror", "--region", "a")
        self.control = Process(self.folder / "control", policy, "--role", "controller,agent")
        self.others = (self.control, self.back)
        for process in (self.mirror, *self.others):
            process.settings |= {
                "LEEWARD_PEERS__CONTROLLER": f"http://{self.control.settings['LEEWARD_LISTEN__CONTROL']}",
                "LEEWARD_PEERS__MIRRORS__A": f"http://{self.back.settings['LEEWARD_LISTEN__LINK']}",
                "LEEWARD_PEERS__MIRRORS__B": f"http://{self.mirror.settings['LEEWARD_LISTEN__LINK']}",
            }

    def topics(self):
        return admin("topics", self.target.bootstrap)[0]

    def both(self, topic):
        return (admin("dump", self.source.bootstrap, topic), admin("dump", self.target.bootstrap, topic))

    def __enter__(self):
        try:
            for part in (self.source, self.target):
                part.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for part in (self.mirror, *self.others, self.source, self.target):
            part.kill()


def without_offset(records):
    return [[partition, *rest] for partition, _, *rest in records]


def equal(pair, topic, count, seconds=PATIENCE):
    """Waits until both sides hold as many records, then compares them one by one, in order."""
    kept = []

    def arrived():
        if topic not in pair.topics():
            return False
        kept[:] = pair.both(topic)
        return len(kept[1]) >= count

    def progress():
        counts = [len(side) for side in kept] or "no such topic on the target"
        return f"{count} records of {topic} on the target: {counts}\n{pair.mirror.log()[-1500:]}"

    until(seconds, progress, arrived, every=0.5)
    source, target = kept
    check(len(source) == count, f"the source itself holds {len(source)} of {count} records of {topic}")
    check(len(target) == count, f"{topic}: {len(target)} records on the target, {count} at the source")
    for theirs, ours in zip(without_offset(source), without_offset(target)):
        check(theirs == ours, f"{topic}: {theirs} at the source, {ours} on the target")
    return source, target


def produce(pair, family, topic, **options):
    with Client(family, "produce", bootstrap=pair.source.bootstrap, topic=topic, partitions=PARTITIONS,
                **options) as producer:
        producer.ended_well(60)
        check(not [line for line in producer.lines["error"] if "number" in line], producer.says())
        return len(producer.lines["acked"])


def codecs(pair, family):
    """Half of the records stand there before the mirror comes, half come while it runs."""
    for codec in CODECS:
        topic = f"codec-{family}-{codec}"
        produce(pair, family, topic, records=EACH, codec=codec, route="late", **{"from": EACH // PARTITIONS})
        equal(pair, topic, 2 * EACH)
        check(pair.topics()[topic] == PARTITIONS, f"{topic} has {pair.topics()[topic]} partitions on the target")


def before(pair, families):
    for family in families:
        for codec in CODECS:
            topic = f"codec-{family}-{codec}"
            create_topic(pair.source.bootstrap, topic, PARTITIONS)
            produce(pair, family, topic, records=EACH, codec=codec, route="early", idempotent=codec == "lz4")


def new_topic(pair):
    create_topic(pair.source.bootstrap, "born-later", 5)
    until(PATIENCE, "the topic on the target", lambda: pair.topics().get("born-later") == 5, every=0.5)


def transactions(pair):
    create_topic(pair.source.bootstrap, "transactions", 1)
    admin("transact", pair.source.bootstrap, "transactions", 30)
    equal(pair, "transactions", 60)


def group(pair, family):
    """A group that reads half at the source goes on with exactly the other half on the target."""
    topic, name = f"group-{family}", f"group-of-{family}"
    create_topic(pair.source.bootstrap, topic, PARTITIONS)
    produce(pair, family, topic, records=600, route=family, codec="zstd")
    with Client(family, "consume", bootstrap=pair.source.bootstrap, topic=topic, group=name, seconds=PATIENCE,
                until=300) as reader:
        reader.ended_well(PATIENCE + 20)
        first = {(line["partition"], line["value"]) for line in reader.lines["record"]}
    equal(pair, topic, 600)
    at_source = admin("positions", pair.source.bootstrap, name)[0]
    until(PATIENCE, lambda: f"{at_source} on the target: {admin('positions', pair.target.bootstrap, name)}",
          lambda: admin("positions", pair.target.bootstrap, name)[0] == at_source, every=0.5)
    with Client(family, "consume", bootstrap=pair.target.bootstrap, topic=topic, group=name, seconds=15) as reader:
        reader.ended_well(PATIENCE + 20)
        second = [(line["partition"], line["value"]) for line in reader.lines["record"]]
    check(not first & set(second), f"{len(first & set(second))} records were read again")
    check(len(first | set(second)) == 600, f"{600 - len(first | set(second))} records were skipped")


def killed(pair, kills):
    """kill -9 of the mirror, again and again, under load of two clients."""
    counts, clients = {}, []
    for family in ("java", "librdkafka"):
        create_topic(pair.source.bootstrap, f"killed-{family}", PARTITIONS)
        clients.append(Client(family, "produce", bootstrap=pair.source.bootstrap, topic=f"killed-{family}",
                              partitions=PARTITIONS, seconds=kills * 3, rate=400, codec="lz4", idempotent=True,
                              route=family))
    try:
        for _ in range(kills):
            time.sleep(1.5)
            pair.mirror.kill()
            pair.mirror.start()
        for client in clients:
            client.ended_well(60)
            counts[client.family] = len(client.lines["acked"])
    finally:
        for client in clients:
            client.kill()
    for family, count in counts.items():
        equal(pair, f"killed-{family}", count, 60)


def of_version(suite, version, extent):
    with tempfile.TemporaryDirectory(prefix="leeward-mirror-") as folder, Pair(folder, version) as pair:
        with suite.case(f"{version}: the mirror starts"):
            before(pair, extent["codecs"])
            for process in (*pair.others, pair.mirror):
                process.start()
            until(PATIENCE, lambda: f"a first topic crosses:\n{pair.mirror.log()[-3000:]}\n{pair.control.log()[-3000:]}",
                  lambda: "codec-java-none" in pair.topics(), every=0.5)
        if suite.failed:
            return
        for family in extent["codecs"]:
            with suite.case(f"{version}: topics of {family} in all codecs appear and are equal"):
                codecs(pair, family)
        with suite.case(f"{version}: a topic made later appears with its partitions"):
            new_topic(pair)
        with suite.case(f"{version}: committed transactions cross, aborted ones do not"):
            transactions(pair)
        for family in extent["groups"]:
            with suite.case(f"{version}: a group of {family} goes on exactly where it was"):
                group(pair, family)
        with suite.case(f"{version}: {extent['kills']} times kill -9 of the mirror under load: 0 lost, 0 doubled, in order"):
            killed(pair, extent["kills"])
        with suite.case(f"{version}: the mirror stops on SIGTERM"):
            pair.mirror.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", action="append", help="the source's; the target is the newest")
    given = parser.parse_args()
    suite = Suite("mirror")
    for version in given.version or parts.KAFKA_VERSIONS[:2]:
        of_version(suite, version, WHOLE if version == parts.KAFKA else SHORT)
    suite.close()


if __name__ == "__main__":
    main()
