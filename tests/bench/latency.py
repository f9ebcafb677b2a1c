#!/usr/bin/env python3
"""What the link adds between produce and consume: the same paced clients on one cluster, and across the mirror.

One process of franz-go produces to the source at a steady rate and consumes on the target; each record is timed from when
it was due. The difference to the same clients on one cluster is what the link adds.
"""

import argparse
import tempfile

import measure
from cases import create_topic
from regions import PARTITIONS, Arrival, Regions, franz

TOPIC = "paced"
RATES = (500, 20_000)


def timed(to, source, rate, seconds, topic):
    return franz("latency", to=to, **{"from": source}, topic=topic, partitions=PARTITIONS, rate=rate, seconds=seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, action="append")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="leeward-bench-") as folder, Regions(folder, TOPIC) as regions:
        for side in (regions.source, regions.target):
            create_topic(side.bootstrap, "alone", PARTITIONS)
        create_topic(regions.source.bootstrap, TOPIC, PARTITIONS)
        mirror = regions.mirror()
        source, target = regions.source.bootstrap, regions.target.bootstrap
        with mirror:
            with Arrival(regions, 1, lambda: None) as arrival:
                franz("fill", to=source, topic=TOPIC, partitions=PARTITIONS, records=PARTITIONS)
                arrival.wait(60)
            # Once through everything, so that no JIT compiler is timed.
            timed(source, source, RATES[-1], 5, "alone")
            timed(source, target, RATES[-1], 5, TOPIC)
            for rate in given.rate or RATES:
                alone, across = [], []
                for _ in range(given.rounds):
                    alone.append(timed(source, source, rate, given.seconds, "alone"))
                    across.append(timed(source, target, rate, given.seconds, TOPIC))
                found[rate] = {"one cluster": measure.medians(alone), "across the link": measure.medians(across),
                               "rounds": {"one cluster": alone, "across the link": across}}
    print(f"\nmilliseconds from due to consumed, records of about 900 bytes, {PARTITIONS} partitions; "
          f"{measure.machine()}; medians of {given.rounds} rounds of {given.seconds:g} s\n")
    rows = []
    for rate, both in found.items():
        alone, across = both["one cluster"], both["across the link"]
        for what, figures in (("one cluster", alone), ("across the link", across),
                              ("added", {name: across[name] - alone[name] for name in across})):
            rows.append([str(rate), what, *(float(figures[name]) for name in ("p50", "p90", "p99", "p999"))])
    print(measure.table(["records/s", "", "p50", "p90", "p99", "p99.9"], rows), flush=True)
    measure.keep("latency", {"seconds": given.seconds, "rates": found})


if __name__ == "__main__":
    main()
