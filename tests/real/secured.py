"""Real Kafka with an authorizer, TLS and SASL; Leeward's own processes with TLS; the access rules of docs/security.md."""

import json
import os
import re
import shlex
import ssl
import subprocess
import urllib.request
from pathlib import Path

import parts
from cases import check
from estate import Process
from kafka import Kafka, free_port

DOCS = parts.ROOT / "docs" / "security.md"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
# As an access rule's operation is called by kafka-acls, in Kafka's log, and by librdkafka.
OPERATIONS = {"Read": "READ", "Write": "WRITE", "Create": "CREATE", "Delete": "DELETE", "Alter": "ALTER",
              "Describe": "DESCRIBE", "DescribeConfigs": "DESCRIBE_CONFIGS", "AlterConfigs": "ALTER_CONFIGS"}

LOG4J = """\
status=WARN
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=OUT
logger.rules.name=kafka.authorizer.logger
logger.rules.level=DEBUG
"""


class Rule(tuple):
    """(principal, operation, TOPIC|GROUP|CLUSTER, name, prefixed)"""

    def librdkafka(self):
        principal, operation, kind, name, prefixed = self
        kind = {"CLUSTER": "BROKER"}.get(kind, kind)
        return json.dumps([principal, OPERATIONS[operation], kind, "kafka-cluster" if kind == "BROKER" else name, prefixed])

    def __str__(self):
        principal, operation, kind, name, prefixed = self
        return f"{principal} {operation} {kind.lower()} {name}{'*' if prefixed else ''}"


def rules_of_docs():
    """Every access rule that docs/security.md tells people to add."""
    text = DOCS.read_text().replace("\\\n", " ")
    rules = []
    for line in re.findall(r"^kafka-acls .*$", text, re.MULTILINE):
        words = shlex.split(line)
        after = lambda flag: [words[at + 1] for at, word in enumerate(words) if word == flag]  # noqa: E731
        principals, operations = after("--allow-principal"), after("--operation")
        check(len(principals) == 1 and operations, f"not readable: {line}")
        prefixed = after("--resource-pattern-type") == ["prefixed"]
        things = [("TOPIC", name) for name in after("--topic")] + [("GROUP", name) for name in after("--group")]
        things += [("CLUSTER", "cluster")] if "--cluster" in words else []
        rules += [Rule((principals[0], operation, kind, name, prefixed and kind != "CLUSTER"))
                  for operation in operations for kind, name in things]
    check(rules, f"{DOCS} names no access rules")
    return rules


class SecuredKafka(Kafka):
    """Refuses what no rule allows. `bootstrap` is a plain listener for the suite, which is a super user there."""

    def __init__(self, data, authority, users, **options):
        super().__init__(data, **options)
        self.sasl_port, self.mtls_port = free_port(), free_port()
        self.judged_from = 0
        self.data.mkdir(parents=True, exist_ok=True)
        certificate, key = authority.sign(f"kafka-{self.data.name}")
        store = self.data / "server.pem"
        store.write_text(key.read_text() + certificate.read_text())
        (self.data / "log4j2.properties").write_text(LOG4J)
        self.format_words = [word for name, (mechanism, password) in users.items()
                             for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")]
        sasl, mtls = f"SASL://{self.host}:{self.sasl_port}", f"MTLS://{self.host}:{self.mtls_port}"
        (self.data / "controller.port").write_text(str(free_port()))
        controller = (self.data / "controller.port").read_text()
        self.settings |= {
            "listeners": f"CLIENT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller},{sasl},{mtls}",
            "advertised.listeners": f"CLIENT://{self.bootstrap},{sasl},{mtls}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MTLS:SSL",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-256.sasl.jaas.config": SCRAM,
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": SCRAM,
            "ssl.keystore.type": "PEM", "ssl.keystore.location": store,
            "ssl.truststore.type": "PEM", "ssl.truststore.location": authority.pem,
            "listener.name.mtls.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        }

    def _java(self, heap, *words):
        told = {"-Dlog4j2.level=WARN": f"-Dlog4j2.configurationFile={self.data / 'log4j2.properties'}",
                f"{parts.kafka_jars(self.version)}/*": f"{parts.kafka_jars(self.version)}/*:{parts.kafka_logging()}/*"}
        return [told.get(word, word) for word in super()._java(heap, *words)]

    def rules(self, verb, rules):
        settings = json.dumps({"bootstrap.servers": self.bootstrap})
        done = subprocess.run([parts.venv(), parts.TESTS / "clients" / "secured.py", settings, verb], text=True,
                              input="".join(f"{rule.librdkafka()}\n" for rule in rules), capture_output=True, timeout=60)
        check(done.returncode == 0, f"{verb}: {done.stderr[-800:]}")

    def forget_judged(self):
        """What is judged counts from here on."""
        self.judged_from = (self.data / "broker.log").stat().st_size

    def judged(self):
        """What the authorizer's log says of principals that are not super users: (principal, verdict, operation, kind, name,
        request, rule)."""
        log = (self.data / "broker.log").read_bytes()[self.judged_from:].decode(errors="replace")
        pattern = (r"Principal = (User:\S+) is (Allowed|Denied) operation = (\w+) from host = \S+ on resource = "
                   r"(\w+):LITERAL:(\S*) for request = (\w+).*? based on rule (.*)$")
        return [match.groups() for match in re.finditer(pattern, log, re.MULTILINE) if match[1] != "User:ANONYMOUS"]

    def used(self):
        """Rules that allowed something, as (principal, operation, kind, name, prefixed)."""
        found = set()
        names = {value: key for key, value in OPERATIONS.items()}
        for principal, verdict, _, _, _, _, rule in self.judged():
            acl = re.search(r"resourceType=(\w+), resourceName=([^,]*), patternType=(\w+).*?operation=(\w+)", rule)
            if verdict == "Allowed" and acl:
                kind, name, pattern, operation = acl.groups()
                name = "cluster" if kind == "CLUSTER" else name
                found.add((principal, names.get(operation, operation), kind, name, pattern == "PREFIXED"))
        return found

    def denied(self):
        return sorted({(principal, operation, kind, name, request)
                       for principal, verdict, operation, kind, name, request, _ in self.judged() if verdict == "Denied"})


class SecuredProcess(Process):
    """`leeward serve` whose own ports speak TLS, with a certificate of the processes' authority."""

    def __init__(self, folder, policy, authority, *words, **settings):
        super().__init__(folder, policy, *words, **settings)
        name = Path(folder).name
        certificate, key = authority.sign(name)
        self.authority = authority
        self.identity = (certificate, key)
        self.settings |= {
            "LEEWARD_TLS__CERT_FILE": str(certificate), "LEEWARD_TLS__KEY_FILE": str(key),
            "LEEWARD_TLS__CA_FILE": str(authority.pem), "LEEWARD_NAME": name,
            "LEEWARD_PEERS__CONTROLLER": f"https://{self.settings['LEEWARD_LISTEN__CONTROL']}",
        }

    def context(self, certified=False):
        context = ssl.create_default_context(cafile=str(self.authority.pem))
        if certified:
            context.load_cert_chain(*map(str, self.identity))
        return context

    def get(self, path, certified=False, method="GET"):
        request = urllib.request.Request(f"https://127.0.0.1:{self.http}{path}", method=method)
        with urllib.request.urlopen(request, timeout=3, context=self.context(certified)) as answer:
            return answer.status, answer.read().decode()

    def ready(self):
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def environment(self):
        return {**os.environ, **self.settings}
