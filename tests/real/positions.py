#!/usr/bin/env python3
"""Exact group positions between two real Apache Kafka clusters: groups far behind and close to the end, groups that are followed live,
a source with transactions, a restart without local state, a group that lives on the target, a source that hides its commits.

    tests/real/positions.py
    tests/real/positions.py --long     follows longer, and waits until a right that was taken away and given back is used again

Figures are printed and not asserted: the machine decides them. What is asserted is that positions come, that they are exact, and
which way they came.
"""

import argparse
import itertools
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
from cases import Suite, Tool, check, create_topic, tool, until  # noqa: E402
from mirror import Pair  # noqa: E402

PARTITIONS = 4
RECORDS = 200_000
EACH = RECORDS // PARTITIONS
SHARES = (2, 37, 98)
TOPIC = "orders"
LINK = "a-to-b"
PATIENCE = 60
# One partition for all commits: an open transaction of one group stands in front of everybody else's.
SOURCE = {
    "offsets.topic.num.partitions": "1",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


class Watch(Tool):
    """Positions of groups on the target, each with the time when it was first seen."""

    def __init__(self, pair, topic, partitions, *groups):
        self.pair = pair
        super().__init__("groups", "watch", pair.target.bootstrap, topic, partitions, *groups)

    def seen(self, group, topic, partition=0):
        """[(offset, time)] in the order of their coming."""
        at = f"{topic}/{partition}"
        return [(offset, when) for name, place, offset, when in list(self.lines) if (name, place) == (group, at)]

    def now(self, group, topic, partition=0):
        return (self.seen(group, topic, partition) or [(None, None)])[-1][0]

    def missing(self, group, offsets):
        mirror = self.pair.mirror
        standing = [row for row in mirror.groups(LINK) if row[0] == group]
        return (f"{group} at {offsets}; on the target {self.lines[-8:]} {self.noise[-3:]}, standing {standing}, "
                f"link {mirror.link(LINK)}\n{mirror.log()[-2500:]}")

    def arrival(self, group, topic, offsets):
        """When the last of a group's positions came, partition by partition."""
        def all_there():
            return all(self.now(group, topic, at) == offset for at, offset in enumerate(offsets))

        until(PATIENCE, lambda: self.missing(group, offsets), all_there, every=0.005)
        return max(self.seen(group, topic, at)[-1][1] for at in range(len(offsets)))


def commit(pair, group, topic, *offsets):
    """Sets positions at the source; when that was acknowledged."""
    return tool("groups", "commit", pair.source.bootstrap, group, topic, *offsets)


def share(percent):
    return [EACH * percent // 100] * PARTITIONS


def seconds(text, value):
    print(f"       {text}: {value * 1000:.0f} ms", flush=True)


def at_rest(pair):
    """Groups committed before the link runs; then again while it runs."""
    create_topic(pair.source.bootstrap, TOPIC, PARTITIONS)
    tool("load", pair.source.bootstrap, TOPIC, PARTITIONS, "--records", RECORDS)
    for percent in SHARES:
        commit(pair, f"at-{percent}", TOPIC, *share(percent))
    with Watch(pair, TOPIC, PARTITIONS, *(f"at-{percent}" for percent in SHARES)) as watch:
        for process in (*pair.others, pair.mirror):
            process.start()
        began = time.time()
        arrived = {percent: watch.arrival(f"at-{percent}", TOPIC, share(percent)) for percent in SHARES}
        for percent, when in arrived.items():
            seconds(f"group at {percent} %, committed before: exact after the link was started and its records copied", when - began)


def goes_on(pair):
    """A foreign consumer goes on at the target: its first record is the next one, its last is the last."""
    readers = {percent: Tool("groups", "next", pair.target.bootstrap, f"at-{percent}", TOPIC) for percent in SHARES}
    for percent, reader in readers.items():
        with reader:
            found = reader.ended(PATIENCE)
        first = share(percent)[0]
        for partition in range(PARTITIONS):
            check(found.get(str(partition)) == [first, first, EACH - first, True],
                  f"group at {percent} %, partition {partition}: expected offset {first} with record {first} and {EACH - first} "
                  f"records, found {found.get(str(partition))}")
        print(f"       group at {percent} %: goes on with record {first} of {EACH}: 0 re-read, 0 skipped", flush=True)


def while_it_runs(pair):
    until(PATIENCE, lambda: f"the log of commits is followed: {pair.mirror.link(LINK)}", lambda: way(pair) == "tail", every=0.1)
    with Watch(pair, TOPIC, PARTITIONS, *(f"run-{percent}" for percent in SHARES)) as watch:
        for percent in SHARES:
            committed = commit(pair, f"run-{percent}", TOPIC, *share(percent))
            arrived = watch.arrival(f"run-{percent}", TOPIC, share(percent))
            seconds(f"group at {percent} %, committed while the link runs: exact on the target", arrived - committed)


def way(pair):
    """How the link says that it follows groups, the same in its metrics."""
    said = (pair.mirror.link(LINK) or {}).get("groupsBy")
    with urllib.request.urlopen(pair.mirror.metrics, timeout=5) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line.startswith("leeward_offsets_followed{")]
    taken = [line for line in lines if line.endswith(" 1")]
    return said if len(taken) == 1 and f'way="{said}"' in taken[0] else None


def live(pair, extent):
    """A group that commits every 500 records under load: the last position exactly, none beyond what it took, and all that it took
    exactly except where the link was behind the group: there as far as its records were copied."""
    topic, group = "live", "live-group"
    create_topic(pair.source.bootstrap, topic, 1)
    with Tool("load", pair.source.bootstrap, topic, 1, "--rate", 5000, "--seconds", extent["follow"]) as load:
        with Tool("groups", "follow", pair.source.bootstrap, group, topic, 500) as member, Watch(pair, topic, 1, group) as watch:
            records = sum(load.ended(extent["follow"] + 60)["acked"])
            until(PATIENCE, lambda: f"the group reads on: {member.lines[-2:]}",
                  lambda: member.lines and member.lines[-1][1] >= records - 500, every=0.1)
            member.stop()
            asked = {offset: when for _, offset, when, _ in member.lines}
            committed = {offset: when for _, offset, _, when in member.lines}
            last = max(committed)
            watch.arrival(group, topic, [last])
            seen = watch.seen(group, topic)
    behind = [(offset, when) for offset, when in seen if offset not in committed]
    beyond = [offset for offset, when in behind if offset > max((of for of, then in asked.items() if then < when), default=0)]
    check(not beyond, f"positions beyond what the group had taken: {beyond[:5]}")
    check([offset for offset, _ in seen] == sorted(offset for offset, _ in seen), "a position went back")
    late = sorted(when - committed[offset] for offset, when in seen if offset in committed)
    print(f"       {len(committed)} commits, {len(late)} of them seen on the target and {len(behind)} as far as copied, "
          f"last at {last} of {records}", flush=True)
    seconds("commit at the source until exact on the target, median", late[len(late) // 2])
    seconds("the same, longest", late[-1])


def restarted(pair):
    """Local state is deleted while groups move on."""
    pair.mirror.kill()
    pair.mirror.forget()
    moved = {2: 5, 37: 41, 98: 99}
    for percent, to in moved.items():
        commit(pair, f"at-{percent}", TOPIC, *share(to))
    with Watch(pair, TOPIC, PARTITIONS, *(f"at-{percent}" for percent in SHARES)) as watch:
        pair.mirror.start()
        began = time.time()
        for percent, to in moved.items():
            seconds(f"group moved to {to} %: exact after the restart", watch.arrival(f"at-{percent}", TOPIC, share(to)) - began)


def gaps(pair):
    """Positions on records, on markers and on aborted records of a topic that is written in transactions."""
    topic = "ledger"
    create_topic(pair.source.bootstrap, topic, PARTITIONS)
    tool("load", pair.source.bootstrap, topic, PARTITIONS, "--records", 20_000, "--transactions", 1000)

    def equal():
        told = tool("compare", pair.source.bootstrap, pair.target.bootstrap, topic)
        return told if told["target"] == told["source"] else None

    told = until(PATIENCE, "all records of the transactions on the target", equal, every=0.5)
    check(not any(told[claim] for claim in ("lost", "duplicated", "out_of_order", "different")), f"{told}")
    check(told["source"] == 20_000 and len(told["gaps"]) >= PARTITIONS, f"no gaps: {told}")
    ends = [[partition, source, target] for partition, source, target in told["ends"]]
    wanted = {at: [] for at in range(PARTITIONS)}
    for partition, source, target in (*told["places"], *told["gaps"], *ends):
        wanted[partition].append((source, target))
    # Each group holds one position of each partition.
    rounds = list(itertools.zip_longest(*wanted.values(), fillvalue=(0, 0)))
    with Watch(pair, topic, PARTITIONS, *(f"gap-{at}" for at in range(len(rounds)))) as watch:
        for at, positions in enumerate(rounds):
            commit(pair, f"gap-{at}", topic, *(source for source, _ in positions))
        for at, positions in enumerate(rounds):
            watch.arrival(f"gap-{at}", topic, [target for _, target in positions])
    print(f"       {len(told['places'])} positions on records, {len(told['gaps'])} in gaps, {len(ends)} at ends: all exact", flush=True)


def transactional_commits(pair):
    """A commit within a transaction counts once that is committed; one that stays open holds nobody back."""
    groups = ("txn-committed", "txn-aborted", "txn-open", "txn-nobody")
    for group in groups:
        commit(pair, group, TOPIC, 100)
    with Watch(pair, TOPIC, 1, *groups) as watch:
        for group in groups:
            watch.arrival(group, TOPIC, [100])
        with Tool("groups", "transact", pair.source.bootstrap, "txn-open", TOPIC, 900, "open") as opened:
            until(PATIENCE, "an open transaction", lambda: opened.lines)
            tool("groups", "transact", pair.source.bootstrap, "txn-aborted", TOPIC, 900, "abort")
            committed = tool("groups", "transact", pair.source.bootstrap, "txn-committed", TOPIC, 900, "commit")
            seconds("commit within a transaction: exact on the target", watch.arrival("txn-committed", TOPIC, [900]) - committed)
            commit(pair, "txn-nobody", TOPIC, 901)
            watch.arrival("txn-nobody", TOPIC, [901])
            check(way(pair) == "tail", f"the log is not followed: {pair.mirror.link(LINK)}")
        for group in ("txn-open", "txn-aborted"):
            check(watch.seen(group, TOPIC)[-1][0] == 100, f"{group} is at {watch.seen(group, TOPIC)}")


def left_alone(pair):
    """A group with members on the target keeps its own position, and so does one that is further there."""
    live, ahead = "lives-there", "further-there"
    tool("groups", "commit", pair.target.bootstrap, live, TOPIC, 700)
    tool("groups", "commit", pair.target.bootstrap, ahead, TOPIC, 2000)
    with Tool("groups", "join", pair.target.bootstrap, live, TOPIC) as member, Watch(pair, TOPIC, 1, live, ahead, "beside") as watch:
        until(PATIENCE, "a member on the target", lambda: "joined" in member.lines)
        for group in (live, ahead, "beside"):
            commit(pair, group, TOPIC, 1500)
        for group, state in ((live, "skipped-active"), (ahead, "skipped-ahead")):
            until(PATIENCE, lambda: f"{group} is left alone: {standing(pair, group)}",
                  lambda: standing(pair, group) == {state}, every=0.2)
        watch.arrival("beside", TOPIC, [1500])
        for group, own in ((live, 700), (ahead, 2000)):
            check([offset for offset, _ in watch.seen(group, TOPIC)] == [own], f"{group}: {watch.seen(group, TOPIC)}")


def standing(pair, group):
    return {row[5] for row in pair.mirror.groups(LINK) if row[0] == group}


def hidden(pair, extent):
    """Where the log of commits may not be read, positions are polled, and the link says so and why."""
    tool("groups", "forbid", pair.source.bootstrap)
    until(PATIENCE, lambda: f"the link polls: {pair.mirror.link(LINK)}", lambda: way(pair) == "poll", every=0.2)
    why = pair.mirror.link(LINK)["groupsWhy"]
    check("TOPIC_AUTHORIZATION_FAILED" in why, f"groups are polled because {why!r}")
    with Watch(pair, TOPIC, PARTITIONS, "polled") as watch:
        committed = commit(pair, "polled", TOPIC, *share(50))
        seconds("commit found by polling: exact on the target", watch.arrival("polled", TOPIC, share(50)) - committed)
    tool("groups", "forbid", pair.source.bootstrap, "lift")
    if extent["regain"]:
        until(PATIENCE, lambda: f"the log is followed again: {pair.mirror.link(LINK)}", lambda: way(pair) == "tail", every=0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    given = parser.parse_args()
    extent = {"follow": 60, "regain": True} if given.long else {"follow": 5, "regain": False}
    suite = Suite("positions")
    with tempfile.TemporaryDirectory(prefix="leeward-positions-") as folder, Pair(folder, parts.KAFKA, SOURCE) as pair:
        with suite.case(f"groups at 2 %, 37 % and 98 % of {RECORDS} records, committed before the link runs, arrive"):
            at_rest(pair)
        if suite.failed:
            suite.close()
        with suite.case("foreign consumers go on exactly where their groups were: 0 re-read, 0 skipped"):
            goes_on(pair)
        with suite.case("groups that commit while the link runs are followed by the log of commits"):
            while_it_runs(pair)
        with suite.case("a group that commits every 500 records is followed live and becomes exact"):
            live(pair, extent)
        with suite.case("a restart with local state deleted finds every group's new position"):
            restarted(pair)
        with suite.case("positions in a topic of transactions are exact, in its gaps too"):
            gaps(pair)
        with suite.case("commits within transactions count from their marker on and hold nobody back"):
            transactional_commits(pair)
        with suite.case("a group that lives, or is further, on the target is left alone"):
            left_alone(pair)
        with suite.case("where the log of commits may not be read, positions are polled"):
            hidden(pair, extent)
    suite.close()


if __name__ == "__main__":
    main()
