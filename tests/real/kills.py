#!/usr/bin/env python3
"""Nothing acknowledged is lost anywhere: kill -9 of one process after the other at random moments under load, in the
middle of a failover too, and full disks.

    tests/real/kills.py                                        a few kills of each, fixed seed
    tests/real/kills.py --long                                 100 kills of each, and each step of a failover
    tests/real/kills.py --component gateway --kills 40 --seed 3
    tests/real/kills.py --only failover|steps|full

Clients that are not ours write through the gateway and past it, and read in a group. At the end every acknowledged
record is in both regions once and in order, the group stands at the end in both, and the controller counts one epoch and
no failover. A process that is killed must be ready again and carry on, each time.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cases import Suite, admin, check, create_topic, until  # noqa: E402
from sites import CALM, QUICK, Load, Site, fill, pause  # noqa: E402

COMPONENTS = ("node", "mirror", "gateway", "controller")
# The primary's node twice as often as the standby's.
VICTIMS = {"node": ("node-a", "node-a", "node-b"), "mirror": ("mirror-b",), "gateway": ("gateway",),
           "controller": ("controller",)}
QUICK_KILLS = 4
LONG_KILLS = 100
CARRY_ON_SECONDS = 25
# More than a failover has journal entries: some kills strike before an entry is durable, and it is written again.
FAILOVER_KILLS_MAX = 30
STEPS_MAX = 40
WRITTEN = "leeward_link_records_written_total"


def carries_on(site, load, component):
    """What must come true behind a kill: records flow on the way that the process is on."""
    acked = {topic: load.acked(topic) for topic in load.producers}
    written = site["mirror-b"].series(WRITTEN) if component != "mirror" else 0

    def flows():
        ways = ("through",) if component == "gateway" else tuple(acked)
        moved = all(load.acked(topic) > acked[topic] for topic in ways)
        return moved and site["mirror-b"].series(WRITTEN) > written and (component != "controller" or site.well())

    until(CARRY_ON_SECONDS, lambda: f"{component} carries on: {site.status()}\n{load.says()}\n{site.logs()}", flows)


def kill_again_and_again(site, load, component, kills, chance):
    for _ in range(kills):
        pause(chance.uniform(0.01, 0.9))
        part = site[chance.choice(VICTIMS[component])]
        part.kill()
        part.start()
        carries_on(site, load, component)


def journal_adds_up(site, recovered):
    """One epoch, no failover, no event twice or missing, and as many starts from the journal as there were."""
    until(20, lambda: f"all is well: {site.status()}", site.well)
    check(site.status()["epoch"] == 1, f"epoch {site.status()['epoch']}, though nothing failed over")
    events = site.events()
    counted = [event["number"] for event in events]
    check(counted == list(range(counted[0], counted[0] + len(counted))), "events are missing or doubled")
    told = [event["code"] for event in events]
    check("failover-started" not in told, f"a failover began: {told}")
    check(told.count("controller-recovered") == recovered, f"{told.count('controller-recovered')} recoveries of {recovered}")


def kills(suite, components, count, seed):
    """The components one after the other, in one estate."""
    with tempfile.TemporaryDirectory(prefix="leeward-kills-") as folder, Site(folder, CALM) as site, Load(site) as load:
        for component in components:
            with suite.case(f"{component}: {count} times kill -9 (seed {seed}), ready again and carrying on each time"):
                kill_again_and_again(site, load, component, count, random.Random(f"{seed} {component}"))
        with suite.case("the controller's journal adds up"):
            journal_adds_up(site, count if "controller" in components else 0)
        with suite.case(f"after {count} kills of {', '.join(components)}: 0 lost, 0 doubled, in order, positions carried"):
            print(f"       {load.settle()} acknowledged records are in both regions", flush=True)


def journal_changed(site):
    return (site["controller"].folder / "data" / "controller" / "decisions.redb").stat().st_mtime_ns


def lose_region(site):
    for name in ("node-a", "agent-a", "mirror-a"):
        site[name].kill()


def over(site):
    status = site.status()
    writable = [region["name"] for region in status.get("regions", ()) if region["writable"]]
    return status.get("phase") == "Steady" and status["actingPrimary"] == "b" and writable == ["b"]


def failover_under_kills(site, chance, strikes):
    """Loses region a, and kills the controller at those changes of its journal that `strikes` picks. How many there were."""
    lose_region(site)
    controller, changes, killed = site["controller"], 0, 0
    deadline = time.monotonic() + 120
    seen = journal_changed(site)
    while True:
        check(time.monotonic() < deadline, f"the failover does not end: {site.status()}\n{controller.log()[-3000:]}")
        look_until = time.monotonic() + 1
        while journal_changed(site) == seen and time.monotonic() < look_until:
            time.sleep(0.0003)
        if journal_changed(site) == seen:
            # To ask takes longer than many changes do.
            if over(site):
                return changes, killed
            continue
        seen = journal_changed(site)
        changes += 1
        if strikes(changes) and killed < FAILOVER_KILLS_MAX:
            pause(chance.uniform(0, 0.01))
            controller.kill()
            controller.start()
            killed += 1


def failed_over_once(site, load):
    check(site.status()["epoch"] == 2, f"epoch {site.status()['epoch']} after one failover")
    told = [event["code"] for event in site.events()]
    check(told.count("failover-started") <= 1 and told.count("failover-finished") <= 1, f"{told}")
    return load.settle(regions=("b",))


def failover(suite, seed):
    with tempfile.TemporaryDirectory(prefix="leeward-kills-") as folder, Site(folder, QUICK) as site, \
            Load(site, past=False) as load:
        with suite.case(f"a failover ends though the controller is killed at most changes of its journal (seed {seed})"):
            chance = random.Random(seed)
            changes, killed = failover_under_kills(site, chance, some_of_them(chance))
            print(f"       {changes} changes, {killed} kills", flush=True)
            check(killed > 1, f"only {killed} kills struck")
        with suite.case("that failover happened once: 0 lost, 0 doubled, in order, positions carried"):
            failed_over_once(site, load)


def steps(suite, seed):
    """One failover for each change of the journal, the controller killed at that one alone."""
    for step in range(1, STEPS_MAX):
        with tempfile.TemporaryDirectory(prefix="leeward-kills-") as folder, Site(folder, QUICK) as site, \
                Load(site, past=False) as load, suite.case(f"the controller is killed at change {step} of its journal"):
            changes, killed = failover_under_kills(site, random.Random(f"{seed} {step}"), lambda at, step=step: at == step)
            failed_over_once(site, load)
            if not killed:
                print(f"       a failover has {changes} changes", flush=True)
                return


def some_of_them(chance):
    """Strikes most changes and leaves some: killed at every one, nobody gets anywhere."""
    return lambda _: chance.random() < 0.6


def refuses_and_recovers(site, load, part, topic, refused):
    """A full disk: producers are told to try again, nobody gives up, and all goes on once there is room."""
    ballast = fill(part.folder / "data")
    try:
        until(30, lambda: f"{part.folder.name} refuses: {load.says()}\n{part.log()[-1500:]}", refused)
        before = load.acked(topic)
        pause(1)
        check(load.acked(topic) - before < 2000, "records are acknowledged though the disk is full")
    finally:
        ballast.unlink()
    carried = load.acked(topic)
    until(CARRY_ON_SECONDS, lambda: f"{part.folder.name} goes on: {load.says()}\n{part.log()[-1500:]}",
          lambda: load.acked(topic) > carried + 100)
    check(not part.ended(), f"{part.folder.name} ended by itself")


def full_buffers(suite):
    with tempfile.TemporaryDirectory(prefix="leeward-kills-") as folder, \
            Site(folder, CALM, full={"gateway": 64, "node-a": 64}) as site, Load(site, rate=300, size=1500) as load:
        with suite.case("gateway on a full disk: a retriable error, then it goes on by itself"):
            refuses_and_recovers(site, load, site["gateway"], "through", lambda: "the disk is full" in site["gateway"].log())
        with suite.case("embedded node on a full disk: a retriable error, then it goes on by itself"):
            refuses_and_recovers(site, load, site["node-a"], "past", lambda: "the disk is full" in site["node-a"].log())
        with suite.case("after full disks of gateway and node: 0 lost, 0 doubled, in order, positions carried"):
            load.settle()


def kept_up(part):
    """What a supervisor does: a process that ended is started again."""
    if part.ended():
        part.launch()
    return True


def supervised(part, seconds):
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        kept_up(part)
        pause(0.2)


def full_state(suite):
    with tempfile.TemporaryDirectory(prefix="leeward-kills-") as folder, \
            Site(folder, QUICK, full={"mirror-b": 8, "controller": 8}) as site, Load(site, past=False) as load:
        with suite.case("mirror on a full disk: it goes on; without its copy it says why it cannot start, and does once there is room"):
            mirror = site["mirror-b"]
            ballast = fill(mirror.folder / "data")
            create_topic(site.kafka["a"], "born-on-full-disk", 24)
            until(20, "the topic on b", lambda: "born-on-full-disk" in admin("topics", site.kafka["b"])[0], every=0.3)
            check(not mirror.ended(), "the mirror ended by itself")
            mirror.kill()
            shutil.rmtree(mirror.folder / "data" / "link")
            ballast = fill(mirror.folder / "data")
            supervised(mirror, 3)
            ballast.unlink()
            check("link.redb" in mirror.log(), f"the full disk did not bite:\n{mirror.log()[-2000:]}")
            until(25, lambda: f"mirroring goes on: {site.status()}", lambda: kept_up(mirror) and site.well(), every=0.2)
        with suite.case("controller on a full disk: no decision without a journal, one failover once there is room"):
            controller = site["controller"]
            ballast = fill(controller.folder / "data")
            lose_region(site)
            supervised(controller, 4)
            check(not over(site), "a failover ended without a journal")
            ballast.unlink()
            check("decisions.redb" in controller.log(), f"the full disk did not bite:\n{controller.log()[-2000:]}")
            until(40, lambda: f"failover: {site.status()}\n{controller.log()[-3000:]}",
                  lambda: kept_up(controller) and over(site), every=0.2)
        with suite.case("after full disks of mirror and controller: one failover, 0 lost, 0 doubled, in order"):
            failed_over_once(site, load)


def full(suite):
    full_buffers(suite)
    full_state(suite)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--component", action="append", choices=COMPONENTS)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", choices=("kills", "failover", "steps", "full"))
    given = parser.parse_args()
    suite = Suite("kills")
    count = given.kills or (LONG_KILLS if given.long else QUICK_KILLS)
    chosen = given.component or COMPONENTS
    only = given.only or ("kills" if given.component else None)
    if only in (None, "kills"):
        # Long runs keep logs that can be read again: one estate for each component.
        for components in ([chosen] if count < LONG_KILLS else [(component,) for component in chosen]):
            kills(suite, components, count, given.seed)
    if only in (None, "failover"):
        failover(suite, given.seed)
    if only == "steps" or (only is None and given.long):
        steps(suite, given.seed)
    if only in (None, "full"):
        full(suite)
    suite.close()


if __name__ == "__main__":
    main()
