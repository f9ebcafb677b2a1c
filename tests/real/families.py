#!/usr/bin/env python3
"""Five client families against anything that says it is Kafka.

    tests/real/families.py                         # a real Kafka: is the suite itself right?
    tests/real/families.py --bootstrap HOST:PORT   # the embedded region, or the gateway
    tests/real/families.py ... [--only FAMILY] [--name WHAT] [--topics-at HOST:PORT]

For each family: every codec it has to several partitions, idempotent and not; then a group in which a second member
joins while records flow, the first is killed, the survivor takes everything over, all is committed, and a restart reads
nothing twice and everything new. `--topics-at` names where topics are made when the bootstrap does not make any.
"""

import argparse
import sys
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
from cases import Client, Suite, admin, check, create_topic, until  # noqa: E402
from kafka import Kafka  # noqa: E402

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PRODUCES = {**{family: CODECS for family in parts.FAMILIES}, "kafkajs": ("none", "gzip", "snappy", "zstd")}
PARTITIONS = 4
PATIENCE = 60
AT_ONCE = 3


def unique(words):
    """How often each (partition, value) was seen."""
    seen = {}
    for fields in words:
        key = (fields["partition"], fields["value"])
        seen[key] = seen.get(key, 0) + 1
    return seen


def expected(route, first, count):
    """What COUNT records of a route in turn over the partitions look like."""
    return {(at % PARTITIONS, f"leeward-drill {route} {first + at // PARTITIONS}") for at in range(count)}


def every_codec(bootstrap, family, topic):
    """Produces with each codec and reads all of it back, each record once, in order."""
    wanted = set()
    for codec in PRODUCES[family]:
        idempotent = codec in ("none", "zstd")
        route = f"{family}-{codec}"
        with Client(family, "produce", bootstrap=bootstrap, topic=topic, partitions=PARTITIONS, records=200,
                    codec=codec, route=route, idempotent=idempotent) as producer:
            producer.ended_well(PATIENCE)
            check(len(producer.lines["acked"]) == 200, f"{codec}: not all acknowledged: {producer.says()}")
        wanted |= expected(route, 0, 200)
    with Client(family, "consume", bootstrap=bootstrap, topic=topic, group=f"{topic}-codecs", until=len(wanted),
                seconds=PATIENCE) as consumer:
        consumer.ended_well(PATIENCE + 20)
        seen = unique(consumer.lines["record"])
        check(set(seen) == wanted, f"read {len(seen)} of {len(wanted)} records: {consumer.says()}")
        check(all(count == 1 for count in seen.values()), "records were read twice")
        for partition in range(PARTITIONS):
            offsets = [line["offset"] for line in consumer.lines["record"] if line["partition"] == partition]
            check(offsets == sorted(offsets), f"partition {partition} was read out of order")


def group_life(bootstrap, family, topic, positions_at):
    """A group through a join, a death, a commit and a restart."""
    group = f"{topic}-group"
    shape = {"bootstrap": bootstrap, "topic": topic, "group": group, "session_ms": 6000}
    load = {"bootstrap": bootstrap, "topic": topic, "partitions": PARTITIONS, "route": family, "idempotent": True}
    with Client(family, "consume", **shape) as first, Client(family, "produce", **load, records=600, rate=100) as early:
        until(PATIENCE, lambda: f"the first member reads: {first.says()}", lambda: first.lines["record"])
        with Client(family, "consume", **shape) as second:
            until(PATIENCE, lambda: f"the second member gets partitions: {second.says()}",
                  lambda: any(line["partitions"] for line in second.lines["assigned"]))
            # Only what is written from here on is there for both, however long the second took to start.
            with Client(family, "produce", **load, records=600, rate=100, **{"from": 150}) as late:
                until(PATIENCE, lambda: f"both read: {first.says()}; {second.says()}", lambda: second.lines["record"])
                first.kill()
                before = list(first.lines["record"])
                for producer in (early, late):
                    producer.ended_well(PATIENCE)
                    check(len(producer.lines["acked"]) == 600, f"not all acknowledged: {producer.says()}")
            wanted = expected(family, 0, 1200)

            def whole():
                return set(unique(before + second.lines["record"])) == wanted

            until(PATIENCE, lambda: f"the survivor reads the rest: {second.says()}", whole)
            second.stop()
            alone = unique(second.lines["record"])
            check(all(count == 1 for count in alone.values()), "the survivor read a record twice")
    found = admin("positions", positions_at, group)[0]
    check(found == {f"{topic}/{partition}": 300 for partition in range(PARTITIONS)},
          f"committed {found}, not 300 in each of {PARTITIONS} partitions")
    with Client(family, "produce", **load, records=100, **{"from": 300}) as more:
        more.ended_well(PATIENCE)
    with Client(family, "consume", **shape, until=100, seconds=PATIENCE) as restarted:
        restarted.ended_well(PATIENCE + 20)
        seen = unique(restarted.lines["record"])
        check(set(seen) == expected(family, 300, 100), f"a restart read other records: {restarted.says()}")
        check(all(count == 1 for count in seen.values()), "a restart read records twice")


def one_family(suite, bootstrap, family, topics_at):
    tag = uuid.uuid4().hex[:6]
    with suite.case(f"{family} writes {', '.join(PRODUCES[family])} and reads each record once"):
        topic = f"families-{family}-codecs-{tag}"
        create_topic(topics_at, topic, PARTITIONS)
        every_codec(bootstrap, family, topic)
    with suite.case(f"{family} shares a group, takes over from a dead member, goes on from its commit"):
        topic = f"families-{family}-group-{tag}"
        create_topic(topics_at, topic, PARTITIONS)
        group_life(bootstrap, family, topic, topics_at)


def run(bootstrap, name, only=None, topics_at=None):
    suite = Suite(f"families/{name}")
    chosen = [family for family in parts.FAMILIES if only in (None, family)]
    for family in chosen:
        parts.client(family)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(one_family, suite, bootstrap, family, topics_at or bootstrap) for family in chosen]:
            done.result()
    return suite


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap")
    parser.add_argument("--topics-at")
    parser.add_argument("--name", default="kafka")
    parser.add_argument("--only", choices=parts.FAMILIES)
    given = parser.parse_args()
    if given.bootstrap:
        run(given.bootstrap, given.name, given.only, given.topics_at).close()
    with tempfile.TemporaryDirectory(prefix="leeward-families-") as folder, Kafka(folder) as kafka:
        suite = run(kafka.bootstrap, given.name, given.only)
    suite.close()


if __name__ == "__main__":
    main()
