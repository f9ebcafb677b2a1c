#!/usr/bin/env python3
"""The embedded region (`leeward serve --role node`) against clients that are not ours."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import families  # noqa: E402
import parts  # noqa: E402
from cases import Client, Suite, admin, check, create_topic, until  # noqa: E402
from estate import Process, cluster, topology  # noqa: E402
from kafka import free_port  # noqa: E402

KILLS = 4


def node(folder):
    port = free_port()
    policy = Path(folder) / "policy.yaml"
    policy.write_text(topology({
        "a": f'{{embedded: {{listen: "127.0.0.1:{port}"}}}}', "b": cluster("127.0.0.1:1"),
    }))
    process = Process(Path(folder) / "node", policy, "--role", "node", "--region", "a")
    process.bootstrap = f"127.0.0.1:{port}"
    return process


def killed_under_load(region, family):
    """Kills the region while a client writes: what was acknowledged is there, once, in order."""
    topic = f"killed-{family}"
    create_topic(region.bootstrap, topic, 3)
    with Client(family, "produce", bootstrap=region.bootstrap, topic=topic, partitions=3, seconds=KILLS * 3,
                rate=300, route=family, idempotent=True) as producer:
        for _ in range(KILLS):
            heard = len(producer.lines["acked"])
            until(30, lambda: f"acknowledgements go on: {producer.says()}",
                  lambda: len(producer.lines["acked"]) > heard + 50)
            region.kill()
            time.sleep(0.2)
            region.start()
        producer.ended_well(60)
        acked = {(line["partition"], line["number"]) for line in producer.lines["acked"]}
        sent = {(line["partition"], line["number"]) for line in producer.lines["sent"]}
    found = [(partition, int(value.split(" ")[2])) for partition, value in
             ((line[0], line[5]) for line in admin("dump", region.bootstrap, topic))]
    check(acked <= set(found), f"{len(acked - set(found))} of {len(acked)} acknowledged records are lost")
    check(len(found) == len(set(found)), f"{len(found) - len(set(found))} records stand twice")
    check(set(found) <= sent, "records stand there that nobody sent")
    for partition in range(3):
        numbers = [number for where, number in found if where == partition]
        check(numbers == sorted(numbers), f"partition {partition} is out of order")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=parts.FAMILIES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leeward-embedded-") as folder, node(folder) as region:
        suite = families.run(region.bootstrap, "embedded", given.only)
        for family in ("java", "librdkafka"):
            if given.only in (None, family):
                with suite.case(f"{KILLS} times kill -9 under a {family} producer: nothing acknowledged is lost or doubled"):
                    killed_under_load(region, family)
        with suite.case("it stops on SIGTERM within its time"):
            region.stop()
    suite.close()


if __name__ == "__main__":
    main()
