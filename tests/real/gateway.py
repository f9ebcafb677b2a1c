#!/usr/bin/env python3
"""Five client families behind the durable gateway of `leeward up`; topics are made at the region behind it.

    tests/real/gateway.py [--only FAMILY]
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import families  # noqa: E402
import parts  # noqa: E402
from cases import admin, check, create_topic  # noqa: E402
from estate import Up, topology  # noqa: E402


def without_gateway(folder):
    """An estate whose clients talk to the regions themselves."""
    folder.mkdir()
    policy = folder / "policy.yaml"
    policy.write_text(topology({name: "{embedded: {}}" for name in ("a", "b")}, buffer="{enabled: false}"))
    with Up(folder / "up", "-f", str(policy)) as estate:
        check("bootstrap.servers" not in estate.said(), f"an address of a gateway is told:\n{estate.said()[-2000:]}")
        create_topic(estate.region("a"), "ledger", 1)
        check("ledger" in admin("topics", estate.region("a"))[0], "a topic that was made at the region is there")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=parts.FAMILIES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leeward-gateway-") as folder, Up(Path(folder), "--no-load") as estate:
        suite = families.run(estate.gateway, "gateway", given.only, estate.region("eu-west"))
        with suite.case("Ctrl-C ends `leeward up` and leaves no process behind"):
            estate.stop()
        with suite.case("`leeward up` starts an estate without a gateway"):
            without_gateway(Path(folder) / "bare")
    suite.close()


if __name__ == "__main__":
    main()
