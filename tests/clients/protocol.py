"""The command line and the output lines that the Python clients share (README.md)."""

import argparse
import json
import signal
import sys
import threading
import time

stopping = threading.Event()
_line = threading.Lock()


def now_us():
    return time.time_ns() // 1000


def emit(kind, **fields):
    text = json.dumps({kind: fields}, separators=(",", ":"))
    with _line:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def value(route, number, size):
    return f"leeward-drill {route} {number} ".encode().ljust(size, b".")


def prefix(raw):
    return " ".join((raw or b"").decode("utf-8", "replace").split(" ")[:3])


def options():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    produce = verbs.add_parser("produce")
    consume = verbs.add_parser("consume")
    for verb in (produce, consume):
        verb.add_argument("--bootstrap", required=True)
        verb.add_argument("--topic", required=True)
        verb.add_argument("--seconds", type=float)
    produce.add_argument("--partitions", type=int, default=1)
    produce.add_argument("--records", type=int)
    produce.add_argument("--rate", type=float, default=0)
    produce.add_argument("--size", type=int, default=128)
    produce.add_argument("--codec", default="none", choices=["none", "gzip", "snappy", "lz4", "zstd"])
    produce.add_argument("--acks", default="all", choices=["all", "1", "0"])
    produce.add_argument("--route", default="foreign")
    produce.add_argument("--from", dest="first", type=int, default=0)
    produce.add_argument("--idempotent", action="store_true")
    consume.add_argument("--group", required=True)
    consume.add_argument("--until", type=int)
    consume.add_argument("--session-ms", type=int, default=6000)
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return given


def paced(given):
    """Partition and number of each record to send, at the rate asked for."""
    began = time.monotonic()
    sent = 0
    while not stopping.is_set():
        if given.records is not None and sent >= given.records:
            return
        if given.seconds is not None and time.monotonic() - began >= given.seconds:
            return
        if given.rate > 0:
            wait = began + sent / given.rate - time.monotonic()
            if wait > 0:
                stopping.wait(wait)
        yield sent % given.partitions, given.first + sent // given.partitions
        sent += 1


class Reading:
    """When a consumer has read enough."""

    def __init__(self, given):
        self.until = given.until
        self.deadline = time.monotonic() + given.seconds if given.seconds is not None else None
        self.records = 0

    def over(self):
        enough = self.until is not None and self.records >= self.until
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return enough or late or stopping.is_set()
