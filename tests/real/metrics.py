#!/usr/bin/env python3
"""A real Prometheus against a running estate.

    tests/real/metrics.py                                        # the files alone: rules, their tests, the dashboard
    tests/real/metrics.py --live                                 # starts `leeward up` with load, changes regions once
    tests/real/metrics.py --url http://127.0.0.1:9644/metrics... [--seconds 40]

The files: promtool checks the rules and runs their unit tests, every alert has a case that fires and one that does not
and a line in the runbook, the dashboard is what its script writes. With a running estate that failed over once: a real
Prometheus scrapes it, loads the rules without an error, every series that a rule or the dashboard names exists (but those
that wait for an event), and every expression of the dashboard gives a series.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
from cases import Failed, Suite, check, until  # noqa: E402
from estate import Up  # noqa: E402
from kafka import free_port  # noqa: E402

DEPLOY = parts.ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "leeward.rules.yml"
DASHBOARD = DEPLOY / "grafana" / "leeward.json"

READY_SECONDS = 30

# Series that are there only while, or once, what they tell has happened.
ON_EVENT = {
    "leeward_dns_resolver_agrees", "leeward_dns_update_errors_total", "leeward_failover_in_progress",
    "leeward_link_gap_records_total",
}


def tool(*words):
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True)
    check(done.returncode == 0, (done.stdout + done.stderr).strip()[-3000:])


def expressions():
    """(panel, expression) of the dashboard, with Grafana's own variables filled in."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "20s").replace("$topology", ".+")
            yield panel["title"], text


def files(suite):
    with suite.case("promtool accepts the rules"):
        tool("check", "rules", RULES)
    with suite.case("the rules pass their unit tests"):
        tool("test", "rules", RULES.with_name("leeward.rules.test.yml"))
    with suite.case("every alert has a test that fires, one that stays quiet, and a line in the runbook"):
        tests = RULES.with_name("leeward.rules.test.yml").read_text()
        runbook = RULES.with_name("RUNBOOK.md").read_text()
        for alert in re.findall(r"- alert: (\w+)", RULES.read_text()):
            check(f"- name: {alert} fires" in tests, f"{alert} has no firing test")
            check(f"- name: {alert} stays quiet" in tests, f"{alert} has no quiet test")
            check(f'id="{alert.lower()}"' in runbook, f"{alert} is not in the runbook")
    with suite.case("the dashboard is what its script writes"):
        sys.path.insert(0, str(DASHBOARD.parent))
        import dashboard
        check(dashboard.text() == DASHBOARD.read_text(), "run deploy/grafana/dashboard.py")


def named():
    """Every series of ours that the rules or the dashboard read."""
    return set(re.findall(r"(?<![:\w])leeward_\w+", RULES.read_text() + DASHBOARD.read_text()))


class Prometheus:
    """A real one, scraping some addresses, with the rules loaded."""

    def __init__(self, folder, urls):
        parts.prometheus()
        self.port = free_port()
        groups = []
        for url in urls:
            where = urllib.parse.urlsplit(url)
            groups.append({"targets": [where.netloc], "labels": {"__metrics_path__": where.path or "/metrics"}})
        config = {
            "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "leeward", "static_configs": groups}],
        }
        file = Path(folder) / "prometheus.yml"
        file.write_text(json.dumps(config))
        self.log = open(Path(folder) / "prometheus.log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise Failed(f"{query}: {error.read().decode()[:500]}") from error
        except (OSError, ValueError):
            return None

    def series(self, expression):
        found = self.get("/api/v1/query", query=expression)
        return len(found["result"]) if found else 0

    def ready(self):
        """Whether it answers questions: before, it says 503 to all of them."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def __enter__(self):
        try:
            until(READY_SECONDS, "Prometheus is ready", self.ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def scraped(suite, urls, seconds):
    with tempfile.TemporaryDirectory(prefix="leeward-prometheus-") as folder, Prometheus(folder, urls) as prometheus:
        with suite.case("Prometheus scrapes every process"):
            def healthy():
                found = prometheus.get("/api/v1/targets", state="active")
                return found and [target["health"] for target in found["activeTargets"]] == ["up"] * len(urls)

            until(seconds, lambda: str(prometheus.get("/api/v1/targets", state="active"))[:1500], healthy)
        with suite.case("every rule evaluates"):
            def evaluated():
                found = prometheus.get("/api/v1/rules")
                return found and all(rule["health"] == "ok" for group in found["groups"] for rule in group["rules"])

            until(seconds, lambda: str([rule for group in prometheus.get("/api/v1/rules")["groups"]
                                        for rule in group["rules"] if rule["health"] != "ok"])[:1500], evaluated)
        with suite.case("every series that a rule or the dashboard names exists"):
            def missing():
                found = prometheus.get("/api/v1/label/__name__/values")
                return named() - ON_EVENT - set(found or ())

            until(seconds, lambda: f"series {sorted(missing())}", lambda: not missing())
        deadline = time.monotonic() + seconds
        for panel, expression in expressions():
            with suite.case(f"panel {panel!r} has series"):
                until(max(1, deadline - time.monotonic()), expression, lambda: prometheus.series(expression), 0.5)


def live(suite, seconds):
    """A whole estate under load, in which the regions change places while Prometheus looks."""
    with tempfile.TemporaryDirectory(prefix="leeward-metrics-") as folder, Up(Path(folder)) as estate:
        with suite.case("the regions change places under load"):
            estate.command("switchover", "--to", "us-east")
        scraped(suite, estate.metrics, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", nargs="+", default=[])
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--seconds", type=float, default=40)
    given = parser.parse_args()
    parts.prometheus()
    suite = Suite("metrics")
    if given.live:
        live(suite, given.seconds)
    elif given.url:
        scraped(suite, given.url, given.seconds)
    else:
        files(suite)
    suite.close()


if __name__ == "__main__":
    main()
