"""Gets what the suites need and a fresh machine lacks, once, into the project's cache folder.

Each function returns the way to use the part (a folder, a command) and does nothing where it stands already. A part is
complete when its mark is there: a broken download never looks like a whole one.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
CACHE = Path(os.environ.get("LEEWARD_CACHE", ROOT / ".cache"))

KAFKA_VERSIONS = ("4.1.0", "3.9.2", "4.3.0")
KAFKA = KAFKA_VERSIONS[0]
# For the slf4j and log4j of KAFKA.
KAFKA_LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"
GO_OLDEST = (1, 26)
GO_TOOLCHAIN = "go1.26.0"
FAMILIES = ("java", "librdkafka", "franz-go", "kafka-python", "kafkajs")


def say(text):
    print(f"parts: {text}", file=sys.stderr, flush=True)


def run(command, **options):
    """Runs quietly; shows everything it said where it failed."""
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise SystemExit(f"parts: {' '.join(map(str, command))} ended with {done.returncode}")
    return done.stdout


@contextlib.contextmanager
def locked(name):
    """One process at a time builds a part."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def built(name, key, build):
    """The folder of a part, built by `build(folder)` unless the same key was built before."""
    folder = CACHE / name
    mark = folder / ".complete"
    with locked(name.replace("/", "-")):
        if not (mark.exists() and mark.read_text() == key):
            say(f"building {name}")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            build(folder)
            mark.write_text(key)
    return folder


def key_of(*files):
    digest = hashlib.sha256()
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def debian(packages, commands):
    """Installs Debian packages unless all commands are there."""
    if all(shutil.which(command) for command in commands):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise SystemExit(f"parts: {', '.join(commands)} missing; install {' '.join(packages)} (Debian names)")
    with locked("apt"):
        say(f"installing {' '.join(packages)}")
        quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        run(["apt-get", "-qq", "update"], **quiet)
        run(["apt-get", "-qq", "-y", "--no-install-recommends", "install", *packages], **quiet)


def java():
    debian(["openjdk-17-jdk-headless"], ["java", "javac"])


def kafka_jars(version=KAFKA):
    """The folder with the jars of one Kafka version."""
    pom = TESTS / "real" / "pom.xml"

    def build(folder):
        java()
        debian(["maven"], ["mvn"])
        run(
            ["mvn", "-q", "-B", "-f", pom, f"-Dkafka={version}", "dependency:copy-dependencies",
             f"-DoutputDirectory={folder}"]
        )

    java()
    return built(f"kafka-{version}", key_of(pom) + version, build)


def kafka_logging():
    """The folder with what a broker needs to log: the jars above come without it."""
    def build(folder):
        java()
        debian(["maven"], ["mvn"])
        run(["mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy", f"-Dartifact={KAFKA_LOGGING}",
             f"-DoutputDirectory={folder}"])

    return built("kafka-logging", KAFKA_LOGGING, build)


def venv():
    """A Python with the Kafka clients that PyPI has."""
    wanted = TESTS / "clients" / "requirements.txt"

    def build(folder):
        base = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
        if subprocess.run([base, "-c", "import ensurepip, venv"], capture_output=True).returncode != 0:
            debian(["python3-venv"], ["no-such-command"])
        run([base, "-m", "venv", folder])
        run([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "-r", wanted])

    return built("venv", key_of(wanted), build) / "bin" / "python"


def java_client():
    source = TESTS / "clients" / "java" / "Client.java"
    jars = kafka_jars()

    def build(folder):
        run(["javac", "-nowarn", "-cp", f"{jars}/*", "-d", folder, source])

    classes = built("client-java", key_of(source) + KAFKA, build)
    return ["java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            "-Dsun.net.inetaddr.ttl=1", "-Dsun.net.inetaddr.negative.ttl=0",
            "-cp", f"{classes}:{TESTS / 'clients' / 'java'}:{jars}/*", "Client"]


def go():
    """A Go that is new enough: the machine's own, or the toolchain module by way of Debian's older one."""
    def recent(command):
        words = subprocess.run([command, "env", "GOVERSION"], capture_output=True, text=True, cwd="/",
                               env={**os.environ, "GOTOOLCHAIN": "local"})
        numbers = words.stdout.strip().removeprefix("go").split(".")[:2]
        return words.returncode == 0 and tuple(int(number) for number in numbers) >= GO_OLDEST

    for command in ("go", "/usr/local/go/bin/go"):
        if shutil.which(command) and recent(command):
            return command

    def build(folder):
        debian(["golang-go", "ca-certificates"], ["go"])
        modules = folder / "modules"
        module = f"golang.org/toolchain@v0.0.1-{GO_TOOLCHAIN}.linux-amd64"
        run(["go", "mod", "download", module], cwd="/",
            env={**os.environ, "GOMODCACHE": str(modules), "GOFLAGS": "-modcacherw"})
        for tool in [*(modules / module).glob("bin/*"), *(modules / module).glob("pkg/tool/*/*")]:
            tool.chmod(0o755)
        (folder / "go").symlink_to(modules / module / "bin" / "go")

    return str(built("go", GO_TOOLCHAIN, build) / "go")


def franz_client():
    sources = TESTS / "clients" / "franz-go"

    def build(folder):
        run([go(), "build", "-trimpath", "-buildvcs=false", "-o", folder / "client", "."], cwd=sources,
            env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})

    return [str(built("client-franz-go", key_of(*sorted(sources.glob("*.*"))), build) / "client")]


def kafkajs_client():
    sources = TESTS / "clients" / "kafkajs"
    parts = [sources / name for name in ("package.json", "package-lock.json", "client.js")]

    def build(folder):
        debian(["nodejs", "npm"], ["node", "npm"])
        for part in parts:
            shutil.copy(part, folder)
        run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)

    return ["node", str(built("client-kafkajs", key_of(*parts), build) / "client.js")]


def client(family):
    """The command of a family's client; `produce ...` or `consume ...` follows it."""
    if family == "java":
        return java_client()
    if family == "franz-go":
        return franz_client()
    if family == "kafkajs":
        return kafkajs_client()
    if family in ("librdkafka", "kafka-python"):
        return [str(venv()), str(TESTS / "clients" / family / "client.py")]
    raise SystemExit(f"parts: no client family {family!r}; there are {', '.join(FAMILIES)}")


def prometheus():
    debian(["prometheus"], ["prometheus", "promtool"])


def bind():
    debian(["bind9", "bind9-dnsutils"], ["named", "dig", "nsupdate"])


def everything():
    for version in KAFKA_VERSIONS[:2]:
        kafka_jars(version)
    for family in FAMILIES:
        client(family)
    prometheus()
    bind()


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"] and len(sys.argv) > 2:
        command = client(sys.argv[2]) + sys.argv[3:]
        os.execvp(command[0], command)
    if len(sys.argv) > 1:
        raise SystemExit("usage: parts.py [client FAMILY produce|consume ...]")
    everything()
