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
from estate import Up  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=parts.FAMILIES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leeward-gateway-") as folder, Up(Path(folder), "--no-load") as estate:
        suite = families.run(estate.gateway, "gateway", given.only, estate.region("eu-west"))
        with suite.case("Ctrl-C ends `leeward up` and leaves no process behind"):
            estate.stop()
    suite.close()


if __name__ == "__main__":
    main()
