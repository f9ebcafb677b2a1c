#!/usr/bin/env python3
"""What the link adds between produce and consume: the same paced clients on one cluster, and across the mirror.

    tests/bench/run latency [--seconds 15] [--rounds 5] [--rate N]... [--warm-up 10]

One process of franz-go produces to the source at a steady rate and consumes on the target; each record is timed from when
it was due. The difference to the same clients on one cluster, in the same round, is what the link adds. Across the link the
same cores carry a second broker and the mirror as well.
"""

import argparse
import json
import statistics
import sys
import tempfile

import measure
from cases import create_topic
from regions import PARTITIONS, Arrival, Regions, franz

TOPIC = "paced"
RATES = (500, 20_000)
SHARES = ("p50", "p90", "p99", "p999")


def timed(written_to, read_from, rate, seconds, topic):
    return franz("latency", to=written_to, **{"from": read_from}, topic=topic, partitions=PARTITIONS, rate=rate,
                 seconds=seconds)


def one_round(regions, rate, seconds):
    source, target = regions.source.bootstrap, regions.target.bootstrap
    alone = timed(source, source, rate, seconds, "alone")
    across = timed(source, target, rate, seconds, TOPIC)
    return {"alone": alone, "across": across, "added": {share: across[share] - alone[share] for share in SHARES}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, action="append")
    parser.add_argument("--warm-up", type=float, default=10, help="seconds at the highest rate, for the brokers' compilers")
    given = parser.parse_args()
    opened = measure.opening()
    rates = {rate: [] for rate in given.rate or RATES}
    with tempfile.TemporaryDirectory(prefix="leeward-bench-") as folder, Regions(folder, TOPIC) as regions:
        create_topic(regions.source.bootstrap, "alone", PARTITIONS)
        create_topic(regions.source.bootstrap, TOPIC, PARTITIONS)
        mirror = regions.mirror()
        with mirror:
            with Arrival(regions, PARTITIONS, lambda: None) as arrival:
                franz("fill", to=regions.source.bootstrap, topic=TOPIC, partitions=PARTITIONS, records=PARTITIONS)
                arrival.wait(60)
            one_round(regions, max(rates), given.warm_up)
            for at in range(given.rounds):
                for rate, rounds in rates.items():
                    rounds.append(one_round(regions, rate, given.seconds))
                    print(f"round {at + 1}, {rate}/s: {json.dumps(rounds[-1])}", file=sys.stderr, flush=True)
    print(f"\nmilliseconds from due to consumed, records of about 900 bytes, {PARTITIONS} partitions; "
          f"medians of {given.rounds} rounds of {given.seconds:g} s, added: least and most of the rounds behind them\n")
    rows = []
    for rate, rounds in rates.items():
        for key, name in (("alone", "one cluster"), ("across", "across the link")):
            mid = measure.medians([each[key] for each in rounds])
            rows.append([str(rate), name, *(f"{mid[share]:.2f}" for share in SHARES)])
        added = {share: sorted(each["added"][share] for each in rounds) for share in SHARES}
        rows.append([str(rate), "**added**", *(f"**{statistics.median(of):.2f}** ({of[0]:.2f} to {of[-1]:.2f})"
                                               for of in added.values())])
    print(measure.table(["records/s", "", "p50", "p90", "p99", "p99.9"], rows), flush=True)
    measure.keep("latency", opened, {"seconds": given.seconds, "rates": rates})


if __name__ == "__main__":
    main()
