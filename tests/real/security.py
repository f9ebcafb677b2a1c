#!/usr/bin/env python3
"""Security against real Kafka with an authorizer: TLS and SASL, the smallest sets of rights, `leeward check`, TLS between
Leeward's own processes and towards applications, and planted secrets that must appear nowhere.

    tests/real/security.py          the quick form
    tests/real/security.py --long   each right taken away alone and named by `check`; a mirror that has lost its disk, a region
                                    that is lost and returns with a tail: what of the listed rights nobody used is named
"""

import argparse
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
from cases import Suite, admin, check, create_topic, leeward, until  # noqa: E402
from certificates import Authority  # noqa: E402
from secured import Rule, SecuredKafka, SecuredProcess, rules_of_docs  # noqa: E402

PATIENCE = 45
# Each user's mechanism and password. The passwords are what is searched for.
USERS = {
    "leeward-mirror": ("SCRAM-SHA-512", "planted-mirror-pw-7f3a91"),
    "leeward-mirror-far": ("SCRAM-SHA-256", "planted-farmirror-pw-2c8e44"),
    "leeward-agent": ("SCRAM-SHA-256", "planted-agent-pw-b105d2"),
    "leeward-agent-far": ("SCRAM-SHA-512", "planted-faragent-pw-90ac17"),
    "leeward-controller": ("SCRAM-SHA-512", "planted-controller-pw-e6620f"),
}
WRONG = "planted-wrong-pw-55d0aa"
TSIG = base64.b64encode(b"planted-tsig-secret-0123456789ab").decode()
TOPIC, GROUP, RECORDS = "orders.secured", "app-secured", 60
# Records that only a lost region has.
TAIL = 40
REGIONS = ("eu", "us")


class Estate:
    """Two clusters, and a policy for each process: who it is at each of them, and where its secret is."""

    def __init__(self, folder):
        self.folder = folder
        self.kafka_ca = Authority(folder / "kafka-ca", "kafka-ca")
        self.leeward_ca = Authority(folder / "leeward-ca", "leeward-ca")
        self.stranger_ca = Authority(folder / "stranger-ca", "stranger-ca")
        self.gateway_at_kafka = self.kafka_ca.sign("leeward-gateway")
        self.gateway_listener = self.leeward_ca.sign("gateway-listener")
        self.kafka = {name: SecuredKafka(folder / name, self.kafka_ca, USERS) for name in REGIONS}
        self.passwords = folder / "passwords"
        self.passwords.mkdir()
        for user, (_, password) in USERS.items():
            (self.passwords / user).write_text(password + "\n")
        self.processes, self.said = {}, []

    def start(self):
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda kafka: kafka.start(), self.kafka.values()))
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda kafka: kafka.rules("allow", rules_of_docs()), self.kafka.values()))

    def secret(self, user, how):
        file = self.passwords / user
        return {"env": f"{{fromEnv: {user.upper().replace('-', '_')}}}", "file": f"{{fromFile: {file}}}",
                "exec": f"{{fromExec: [cat, {file}]}}"}[how]

    def login(self, region, user, how, password=None):
        kafka = self.kafka[region]
        tls = f"tls: {{ca: {{fromFile: {self.kafka_ca.pem}}}}}"
        if user == "leeward-gateway":
            certificate, key = self.gateway_at_kafka
            return (f'{{bootstrap: ["127.0.0.1:{kafka.mtls_port}"], clusterId: {kafka.cluster_id}, tls: {{ca: {{fromFile: '
                    f"{self.kafka_ca.pem}}}, cert: {{fromFile: {certificate}}}, key: {{fromExec: [cat, {key}]}}}}}}")
        sasl = f"sasl: {{mechanism: {USERS[user][0]}, username: {user}, password: {password or self.secret(user, how)}}}"
        return f'{{bootstrap: ["127.0.0.1:{kafka.sasl_port}"], clusterId: {kafka.cluster_id}, {tls}, {sasl}}}'

    def policy(self, name, logins, **changes):
        certificate, key = self.gateway_listener
        lines = [
            "apiVersion: leeward/v1alpha1", "kind: Topology", "metadata: {name: secured}", "spec:",
            "  mode: active-passive", "  budgets: {rpo: 10s, rto: 2m}", "  regions:",
            f"  - {{name: eu, role: primary, kafka: {logins['eu']}}}",
            f"  - {{name: us, role: standby, kafka: {logins['us']}}}",
            "  replication:", '    topics: {include: [{prefix: "orders."}]}', "    sync: {every: 1s}",
            '    offsets: {groups: {include: [{prefix: "app-"}]}, every: 500ms}',
            f"  buffer: {{enabled: true, capacity: 64MiB, tls: {{cert: {{fromFile: {certificate}}}, key: {{fromFile: {key}}}, "
            f"clientCa: {{fromFile: {self.leeward_ca.pem}}}}}}}",
            *[f"  {key}: {value}" for key, value in changes.items()],
        ]
        file = self.folder / f"{name}.yaml"
        file.write_text("\n".join(lines) + "\n")
        return file

    def policies(self):
        both = lambda user, how: {region: self.login(region, user, how) for region in REGIONS}  # noqa: E731
        own = lambda region, other, role, how: {  # noqa: E731
            region: self.login(region, f"leeward-{role}", how), other: self.login(other, f"leeward-{role}-far", how)}
        detect = {"failover": "{detect: {every: 500ms, failAfter: 4, signals: [metadata, produce-canary, fetch-canary]}}"}
        return {
            "controller": self.policy("controller", both("leeward-controller", "exec"), **detect),
            "agent-eu": self.policy("agent-eu", own("eu", "us", "agent", "file"), **detect),
            "agent-us": self.policy("agent-us", own("us", "eu", "agent", "file"), **detect),
            "mirror-eu": self.policy("mirror-eu", own("eu", "us", "mirror", "env")),
            "mirror-us": self.policy("mirror-us", own("us", "eu", "mirror", "env")),
            "gateway": self.policy("gateway", both("leeward-gateway", "exec")),
        }

    def environment(self):
        return {user.upper().replace("-", "_"): password for user, (_, password) in USERS.items()}

    def check(self, policy, *words, **settings):
        """`leeward check` as JSON, and its exit code."""
        done = self.run("check", "-f", policy, "-o", "json", *words, **settings)
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    def run(self, *words, seconds=60, **settings):
        """A verb; what it said is searched later."""
        done = subprocess.run([leeward(), *map(str, words)], capture_output=True, text=True, timeout=seconds,
                              env={**os.environ, "RUST_BACKTRACE": "1", **self.environment(), **settings})
        self.said.append((" ".join(map(str, words)), done.stdout + done.stderr))
        return done

    def serve(self):
        policies = self.policies()
        for name, policy in policies.items():
            role, _, region = name.partition("-")
            where = ["--region", region] if region else []
            self.processes[name] = SecuredProcess(self.folder / f"process-{name}", policy, self.leeward_ca, "--role", role,
                                                  *where, **self.environment(), LEEWARD_LOG__FILTER="trace")
        control = self.processes["controller"]
        for process in self.processes.values():
            process.settings |= {
                "LEEWARD_PEERS__CONTROLLER": f"https://{control.settings['LEEWARD_LISTEN__CONTROL']}",
                **{f"LEEWARD_PEERS__MIRRORS__{region.upper()}":
                   f"https://{self.processes[f'mirror-{region}'].settings['LEEWARD_LISTEN__LINK']}" for region in REGIONS},
            }
        self.gateway = f"127.0.0.1:{free()}"
        self.processes["gateway"].settings["LEEWARD_LISTEN__GATEWAY"] = self.gateway
        # Agents first: whoever comes first to a region makes the canary's topic.
        for name in sorted(self.processes, key=lambda name: not name.startswith("agent")):
            self.processes[name].start()

    def status(self):
        process = self.processes["controller"]
        done = self.run("status", "-o", "json", **process.settings)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def stop(self):
        for process in self.processes.values():
            process.kill()
        for kafka in self.kafka.values():
            kafka.kill()


def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def missing(report, verdict="missing"):
    """(region, role, resource, operation) of every right that a report calls missing."""
    return {(region["region"], role["role"], right["resource"], right["operation"])
            for region in report["regions"] for role in region["roles"] for right in role["rights"]
            if right["verdict"] == verdict}


def told(rule):
    """A rule's thing as a report calls it."""
    _, _, kind, name, prefixed = rule
    return "the cluster" if kind == "CLUSTER" else f"{kind.lower()}s {name}*" if prefixed else f"{kind.lower()} {name}"


ROLES = [("controller", "controller", None), ("agent", "agent-eu", "eu"), ("mirror", "mirror-us", "us"),
         ("gateway", "gateway", None)]


def checks(suite, estate, long):
    policies = estate.policies()
    rules = rules_of_docs()
    for role, name, region in ROLES:
        words = ["--role", role, *(["--region", region] if region else [])]
        with suite.case(f"check finds every right of the {role} that docs/security.md lists"):
            code, report, said = estate.check(policies[name], *words)
            failures = [found["failed"] for at in report["regions"] for found in at["roles"] if "failed" in found] if report else []
            check(code == 0 and not missing(report), f"exit {code} {missing(report) if report else ''} {failures} {said}")
            for found in report["regions"]:
                steps = {key: found[key]["state"] for key in ("reachable", "tls", "sasl", "clusterId")}
                check(set(steps.values()) <= {"good", "off"}, f"{steps}")
        principals = {f"User:leeward-{role}", f"User:leeward-{role}-far"}
        theirs = [rule for rule in rules if rule[0] in principals]
        groups = [[rule] for rule in theirs] if long else [theirs]
        with suite.case(f"check names what the {role} lacks, {'one by one' if long else 'all of it'}"):
            for taken in groups:
                named(estate, policies[name], words, role, taken, principals, region)


def named(estate, policy, words, role, taken, principals, own):
    for kafka in estate.kafka.values():
        kafka.rules("forbid", taken)
    try:
        wanted = set()
        for at in REGIONS:
            here = f"User:leeward-{role}" if own in (None, at) else f"User:leeward-{role}-far"
            wanted |= {(at, role, told(rule), rule[1]) for rule in taken if rule[0] == here}

        def sees():
            code, report, _ = estate.check(policy, *words)
            if code != 77 or not report:
                return None
            # Without what brings Describe, a broker does not tell of the rest.
            found, hidden = missing(report), missing(report, "hidden")
            return found and found <= wanted <= found | hidden and report

        def differs():
            report = estate.check(policy, *words)[1]
            found, hidden = missing(report), missing(report, "hidden")
            return f"missing too many {sorted(found - wanted)}, not seen {sorted(wanted - found - hidden)}"

        report = until(10, differs, sees, every=0.2)
        adds = [right["add"] for region in report["regions"] for found in region["roles"] for right in found["rights"]
                if right["verdict"] in ("missing", "hidden")]
        # Which name a broker makes of a certificate is the broker's to say.
        named = principals if role != "gateway" else {"User:SUBJECT OF THE CERTIFICATE"}
        check(all(any(principal in add for principal in named) for add in adds), f"{adds}")
    finally:
        for kafka in estate.kafka.values():
            kafka.rules("allow", taken)


def refusals(suite, estate):
    """Each failure is found at its step, with its exit code."""
    good = estate.login("us", "leeward-mirror", "env")
    there = estate.login("eu", "leeward-mirror-far", "env")
    cases = [
        ("a wrong password is the login's", 77, "sasl", estate.login("eu", "leeward-mirror-far", "env", "{fromEnv: WRONG}")),
        ("an authority that did not sign is TLS's", 1, "tls", there.replace(str(estate.kafka_ca.pem), str(estate.stranger_ca.pem))),
        ("another cluster's id is the pin's", 1, "clusterId", there.replace(estate.kafka["eu"].cluster_id, "AAAAAAAAAAAAAAAAAAAAAA")),
        ("a port where nobody listens is not reachable", 1, "reachable", there.replace(str(estate.kafka["eu"].sasl_port), str(free()))),
    ]
    for claim, code, step, eu in cases:
        with suite.case(f"check: {claim}"):
            policy = estate.policy("refused", {"eu": eu, "us": good})
            found, report, said = estate.check(policy, "--role", "mirror", "--region", "us", WRONG=WRONG)
            check(report is not None, said)
            check(found == code and report["regions"][0][step]["state"] == "failed", f"exit {found} {report['regions'][0]}")
            estate.run("check", "-f", policy, WRONG=WRONG)


def secured(estate, verb, *words, certified=True):
    """librdkafka at the gateway over SSL."""
    certificate, key = estate.leeward_ca.folder / "gateway-listener.pem", estate.leeward_ca.folder / "gateway-listener.key"
    settings = {"bootstrap.servers": estate.gateway, "security.protocol": "SSL", "ssl.ca.location": str(estate.leeward_ca.pem),
                "socket.timeout.ms": 5000}
    if certified:
        settings |= {"ssl.certificate.location": str(certificate), "ssl.key.location": str(key)}
    done = subprocess.run([parts.venv(), parts.TESTS / "clients" / "secured.py", json.dumps(settings), verb, *map(str, words)],
                          capture_output=True, text=True, timeout=90)
    return json.loads(done.stdout) if done.returncode == 0 else {"errors": [done.stderr[-400:]]}


def java(estate, topic, records):
    """Kafka's own producer tool at the gateway over SSL."""
    certificate, key = estate.gateway_listener
    store, file = estate.folder / "java.pem", estate.folder / "java.properties"
    store.write_text(key.read_text() + certificate.read_text())
    file.write_text(f"security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={estate.leeward_ca.pem}\n"
                    f"ssl.keystore.type=PEM\nssl.keystore.location={store}\n")
    words = ["java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{parts.kafka_jars()}/*",
             "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", str(records),
             "--record-size", "100", "--throughput", "-1", "--producer.config", str(file), "--producer-props",
             f"bootstrap.servers={estate.gateway}", "acks=all"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=90)
    check(done.returncode == 0 and f"{records} records sent" in done.stdout, f"{done.stdout[-600:]}{done.stderr[-600:]}")


def count(kafka, topic):
    return len(admin("dump", kafka.bootstrap, topic)) if topic in admin("topics", kafka.bootstrap)[0] else 0


def runs(suite, estate, long):
    """The whole estate under the listed rights, each process under its own principal, TLS everywhere."""
    eu, us = estate.kafka["eu"], estate.kafka["us"]
    create_topic(eu.bootstrap, TOPIC, 2)
    failed = suite.failed
    for kafka in (eu, us):
        kafka.forget_judged()
    with suite.case("six processes start with TLS on their own ports and only the listed rights"):
        estate.serve()

        def healthy():
            status = estate.status()
            return status and all(region["health"] == "healthy" for region in status["regions"]) and any(
                link["state"] == "running" and link["rpoMillis"] >= 0 for link in status["links"]) and any(
                gateway["forwardingTo"] == "eu" for gateway in status["gateways"])

        until(PATIENCE, lambda: f"healthy: {estate.status()}", healthy, every=0.5)
    if suite.failed > failed:
        return
    with suite.case("librdkafka and Java produce through the gateway over SSL, and a group reads"):
        made = secured(estate, "produce", TOPIC, RECORDS, 2)
        check(made.get("acked") == RECORDS, f"{made}")
        java(estate, TOPIC, RECORDS)
        read = secured(estate, "consume", TOPIC, GROUP, 2 * RECORDS)
        check(len(read.get("read", [])) == 2 * RECORDS, f"{len(read.get('read', []))} {read['errors']}")
    with suite.case("an application without a certificate gets nothing at the gateway"):
        refused = secured(estate, "produce", TOPIC, 1, certified=False)
        check(refused.get("acked", 0) == 0 and refused["errors"], f"{refused}")
    with suite.case("records and the group's position cross"):
        until(PATIENCE, lambda: f"{count(us, TOPIC)} of {2 * RECORDS}", lambda: count(us, TOPIC) == 2 * RECORDS, every=0.5)
        at = admin("positions", eu.bootstrap, GROUP)[0]
        until(PATIENCE, lambda: f"{at}: {admin('positions', us.bootstrap, GROUP)}",
              lambda: admin("positions", us.bootstrap, GROUP)[0] == at, every=0.5)
    with suite.case("a grown and reconfigured topic is followed"):
        grow(eu)
        until(PATIENCE, lambda: f"{admin('topics', us.bootstrap)}",
              lambda: admin("topics", us.bootstrap)[0].get(TOPIC) == 3, every=0.5)
    peers(suite, estate)
    moves(suite, estate)
    with suite.case("no broker refused anything that the listed rights should allow"):
        estate.run("events", "-o", "json", **estate.processes["controller"].settings)
        denied = {name: kafka.denied() for name, kafka in estate.kafka.items()}
        check(all(kafka.judged() for kafka in estate.kafka.values()), "an authorizer's log says nothing")
        check(not any(denied.values()), json.dumps(denied, indent=1))
    if long:
        returns(suite, estate)


def grow(kafka):
    """One more partition and a retention of its own, by Kafka's own word."""
    words = json.dumps({"bootstrap.servers": kafka.bootstrap})
    code = ("import json,sys\nfrom confluent_kafka.admin import *\na=AdminClient(json.loads(sys.argv[1]))\n"
            f"[f.result() for f in a.create_partitions([NewPartitions({TOPIC!r}, 3)]).values()]\n"
            f"r=ConfigResource(ConfigResource.Type.TOPIC, {TOPIC!r})\n"
            "r.add_incremental_config(ConfigEntry('retention.ms','86400000',incremental_operation=AlterConfigOpType.SET))\n"
            "[f.result() for f in a.incremental_alter_configs([r]).values()]\n")
    done = subprocess.run([parts.venv(), "-c", code, words], capture_output=True, text=True, timeout=30)
    check(done.returncode == 0, done.stderr[-600:])


def peers(suite, estate):
    """Who may connect to Leeward's own ports."""
    control = estate.processes["controller"]
    with suite.case("readers need no certificate at the http port, verbs do"):
        check(control.get("/metrics")[0] == 200 and control.get("/v1/status")[0] == 200, "readers")
        try:
            code = control.get("/v1/pause", method="POST")[0]
        except urllib.error.HTTPError as refused:
            code = refused.code
        check(code == 403, f"a verb without a certificate: {code}")
        code, said = control.get("/v1/resume", certified=True, method="POST")
        check(code == 200, f"a verb with one: {code} {said}")
    with suite.case("the control port takes no process of another authority, and no plain one"):
        certificate, key = estate.stranger_ca.sign("stranger")
        stranger = {**control.settings, "LEEWARD_TLS__CERT_FILE": str(certificate), "LEEWARD_TLS__KEY_FILE": str(key)}
        done = estate.run("status", **stranger)
        check(done.returncode != 0, f"a stranger's certificate: {done.stdout}")
        plain = {"LEEWARD_PEERS__CONTROLLER": f"http://{control.settings['LEEWARD_LISTEN__CONTROL']}"}
        done = estate.run("status", **plain)
        check(done.returncode != 0, f"plain: {done.stdout}")
        done = estate.run("status", LEEWARD_PEERS__CONTROLLER="https://127.0.0.1:1")
        check(done.returncode != 0 and "`tls`" in done.stderr, f"no certificates: {done.stderr}")
    with suite.case("a port beyond loopback without TLS stops the process and names the key"):
        policy = estate.folder / "mirror-us.yaml"
        for words, name in (({"LEEWARD_LISTEN__CONTROL": "0.0.0.0:0"}, "tls.cert_file"),
                            ({"LEEWARD_LISTEN__HTTP": "0.0.0.0:0"}, "tls.cert_file")):
            done = estate.run("serve", "-f", policy, "--data", estate.folder / "refused", "--role", "mirror", **words)
            check(done.returncode == 1 and name in done.stderr, f"{words}: {done.stderr}")
    with suite.case("certificates that are replaced are used without a restart"):
        replaced(estate)


def replaced(estate):
    """The controller's certificate is signed anew by the same authority under another name."""
    control = estate.processes["controller"]
    certificate, key = control.identity
    new = estate.leeward_ca.sign("renewed")
    shutil.copy(new[1], key)
    shutil.copy(new[0], certificate)

    def shown():
        context = control.context()
        with socket.create_connection(("127.0.0.1", control.http), timeout=3) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                return dict(part[0] for part in stream.getpeercert()["subject"])["commonName"]

    until(25, lambda: f"the renewed certificate: {shown()}", lambda: shown() == "renewed", every=0.5)


def moves(suite, estate):
    """Fence, promotion and failback with nothing but the listed rights."""
    control = estate.processes["controller"]
    with suite.case("a switchover fences, promotes, and the gateway forwards to the other region"):
        done = estate.run("switchover", "--to", "us", **control.settings)
        check(done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}\n{control.log()[-1500:]}")
        until(PATIENCE, lambda: f"{estate.status()}",
              lambda: any(gateway["forwardingTo"] == "us" for gateway in estate.status()["gateways"]), every=0.5)
        made = secured(estate, "produce", TOPIC, RECORDS, 2)
        check(made.get("acked") == RECORDS, f"{made}")
        until(PATIENCE, lambda: f"{count(estate.kafka['eu'], TOPIC)} of {3 * RECORDS} back",
              lambda: count(estate.kafka["eu"], TOPIC) == 3 * RECORDS, every=0.5)


def returns(suite, estate):
    """A mirror starts without its disk; the primary is lost and comes back with records that nobody else has."""
    eu, us = estate.kafka["eu"], estate.kafka["us"]
    control, mirror = estate.processes["controller"], estate.processes["mirror-eu"]
    with suite.case("a mirror that has lost its disk goes on where it was"):
        mirror.kill()
        mirror.forget()
        mirror.start()
        made = secured(estate, "produce", TOPIC, RECORDS, 2)
        check(made.get("acked") == RECORDS, f"{made}")
        until(PATIENCE, lambda: f"{count(eu, TOPIC)} of {4 * RECORDS}", lambda: count(eu, TOPIC) == 4 * RECORDS, every=0.5)
    topics = [rule for rule in rules_of_docs() if rule[1:3] == ("Read", "TOPIC") and TOPIC.startswith(rule[3])]
    reads = [rule for rule in topics if rule[0] == "User:leeward-mirror-far"]
    commits = [rule for rule in topics if rule[0] == "User:leeward-mirror"]
    with suite.case("the primary is lost with a tail that a group has read, and the survivor is promoted"):
        us.rules("forbid", reads)
        # Nor may it commit: the last positions are the controller's to write.
        eu.rules("forbid", commits)
        until(PATIENCE, lambda: f"the mirror may not read: {us.denied()}",
              lambda: any(found[:3] == ("User:leeward-mirror-far", "READ", "Topic") for found in us.denied()), every=0.5)
        past(us, "produce", TAIL, 2)
        past(us, "consume", GROUP, 2 * RECORDS + TAIL)

        def waits():
            words = ["group", "list", "--link", "us-to-eu", "--agent", f"https://{mirror.settings['LEEWARD_LISTEN__LINK']}"]
            return "waiting" in estate.run(*words, **mirror.settings).stdout

        until(PATIENCE, lambda: estate.said[-1][1], waits, every=0.5)
        us.kill()
        until(PATIENCE, lambda: f"{estate.status()}",
              lambda: any(region["health"] != "healthy" for region in estate.status()["regions"]), every=0.5)
        done = estate.run("failover", "--to", "eu", "--accept-loss", "unbounded", **control.settings)
        check(done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}\n{control.log()[-1500:]}")
        until(PATIENCE, lambda: f"{estate.status()}",
              lambda: any(gateway["forwardingTo"] == "eu" for gateway in estate.status()["gateways"]), every=0.5)
        ends = Counter(f"{TOPIC}/{line[0]}" for line in admin("dump", eu.bootstrap, TOPIC))
        at = admin("positions", eu.bootstrap, GROUP)[0]
        check({key: at.get(key) for key in ends} == ends, f"a group that had read the tail goes on at the end {ends}: {at}")
        eu.rules("allow", commits)
    with suite.case("it returns, its tail is kept, and it is the primary again"):
        us.start()
        us.rules("allow", reads)

        def back():
            done = estate.run("failback", "--to", "us", **control.settings)
            return done.returncode == 0

        until(2 * PATIENCE, lambda: f"{estate.said[-1][1]}\n{estate.status()}", back, every=2)
        kept = [topic for topic in admin("topics", eu.bootstrap)[0] if "quarantine" in topic]
        check(sum(count(eu, topic) for topic in kept) == TAIL, f"{[(topic, count(eu, topic)) for topic in kept]}")
        check(count(us, TOPIC) == 4 * RECORDS, f"{count(us, TOPIC)} of {4 * RECORDS}")


def past(kafka, verb, *words):
    """Writes or reads at a region directly, as somebody who may."""
    settings = json.dumps({"bootstrap.servers": kafka.bootstrap})
    done = subprocess.run([parts.venv(), parts.TESTS / "clients" / "secured.py", settings, verb, TOPIC, *map(str, words)],
                          capture_output=True, text=True, timeout=60)
    check(done.returncode == 0 and not json.loads(done.stdout)["errors"], f"{done.stdout}{done.stderr[-600:]}")


def secrets(suite, estate):
    """Nothing that was planted may be found in what was said, logged or shown."""
    dns = ("{dns: [{name: kafka.example.com, type: CNAME, ttl: 5s, targets: {eu: a.example.com, us: b.example.com}, "
           'provider: {rfc2136: {server: "127.0.0.1:1", zone: example.com, tsig: {name: leeward, algorithm: hmac-sha256, '
           "secret: {fromEnv: TSIG}}}}}]}")
    logins = {"eu": estate.login("eu", "leeward-controller", "env", "{fromEnv: WRONG}"),
              "us": estate.login("us", "leeward-controller", "env")}
    with suite.case("a controller with a wrong password and an unreachable DNS server goes on and complains"):
        policy = estate.policy("complains", logins, failover=dns)
        lonely = SecuredProcess(estate.folder / "process-lonely", policy, estate.leeward_ca, "--role", "controller,agent",
                                **estate.environment(), WRONG=WRONG, TSIG=TSIG, LEEWARD_LOG__FILTER="trace",
                                LEEWARD_PEERS__MIRRORS__EU="https://127.0.0.1:1", LEEWARD_PEERS__MIRRORS__US="https://127.0.0.1:1")
        estate.processes["lonely"] = lonely
        lonely.start()
        until(PATIENCE, lambda: lonely.log()[-1500:], lambda: "SASL" in lonely.log() and "127.0.0.1:1" in lonely.log())
        estate.run("status", "-o", "json", **lonely.settings)
    with suite.case("a secret command that fails, floods or hangs is named, and what it printed is not"):
        for words, what in (("[sh, -c, 'echo planted-exec-leak; exit 3']", "exit status: 3"),
                            ("[sh, -c, 'yes planted-exec-leak']", "longer than"), ("[sleep, '60']", "longer than 15 s")):
            logins["eu"] = estate.login("eu", "leeward-controller", "env", f"{{fromExec: {words}}}")
            done = estate.run("check", "-f", estate.policy("exec", logins))
            check(done.returncode == 1 and what in done.stderr and "kafka.sasl.password" in done.stderr, f"{done.stderr}")
    with suite.case("planted passwords, TSIG secret and keys are in no log, error, metric, status, event or shown policy"):
        searched = search(estate)
        print(f"       searched {searched['texts']} texts, {searched['bytes'] / 1e6:.1f} MB", flush=True)


def planted(estate):
    keys = [estate.gateway_at_kafka[1], estate.gateway_listener[1], *[process.identity[1] for process in estate.processes.values()]]
    found = {password for _, password in USERS.values()} | {WRONG, TSIG, "planted-tsig-secret", "planted-exec-leak"}
    for key in keys:
        lines = key.read_text().splitlines()
        found |= {line for line in lines[1:-1] if len(line) > 40}
        der = base64.b64decode("".join(lines[1:-1]))
        # The private number itself, however it might be printed.
        at = der.find(b"\x04\x20") + 2
        found |= {der[at:at + 32].hex(), ", ".join(str(byte) for byte in der[at:at + 32])}
    return found


def search(estate):
    texts = {f"log of {name}": process.log() for name, process in estate.processes.items()}
    for name, process in estate.processes.items():
        if process.process and process.process.poll() is None:
            texts[f"metrics of {name}"] = process.get("/metrics")[1]
            texts[f"readiness of {name}"] = process.get("/readyz")[1]
    for path in ("/v1/status", "/v1/events"):
        texts[path] = estate.processes["controller"].get(path)[1]
    for policy in estate.folder.glob("*.yaml"):
        estate.run("policy", "show", "--defaults", policy)
    texts |= {f"leeward {words} #{at}": said for at, (words, said) in enumerate(estate.said)}
    check(any(" TRACE " in text or '"TRACE"' in text for text in texts.values()), "nothing was logged at trace")
    check("leeward-controller" in "".join(texts.values()), "the search finds user names, so it would find passwords")
    leaks = [f"{secret[:24]}... in {name}: ...{text[max(0, text.find(secret) - 200):text.find(secret) + 40]}"
             for secret in planted(estate) for name, text in texts.items() if secret in text]
    check(not leaks, "\n".join(leaks[:10]))
    return {"texts": len(texts), "bytes": sum(map(len, texts.values()))}


def smallest(suite, estate):
    """Every listed right was used by somebody in this run."""
    with suite.case("every right of docs/security.md is used: the sets are the smallest"):
        used = set().union(*[kafka.used() for kafka in estate.kafka.values()])
        unused = [rule for rule in rules_of_docs() if tuple(rule) not in used]
        check(not unused, f"never needed: {[str(Rule(rule)) for rule in unused]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leaves logs and data where they are, and says where")
    given = parser.parse_args()
    suite = Suite("security")
    folder = Path(tempfile.mkdtemp(prefix="leeward-security-"))
    estate = Estate(folder)
    try:
        with suite.case("two clusters with an authorizer take the rights of docs/security.md"):
            estate.start()
        if not suite.failed:
            checks(suite, estate, given.long)
            refusals(suite, estate)
            runs(suite, estate, given.long)
            secrets(suite, estate)
            if given.long:
                smallest(suite, estate)
    finally:
        estate.stop()
        if given.keep:
            print(f"kept in {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    suite.close()


if __name__ == "__main__":
    main()
