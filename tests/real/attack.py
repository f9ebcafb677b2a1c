"""What is sent to a port to break it: by the protocol that is spoken there, and whatever that is."""

import contextlib
import select
import socket
import struct
import threading
import time

ANSWER_SECONDS = 5
# Bytes that a peer who never reads sends at most; the server stops taking them long before.
UNREAD_BYTES = 4 << 20
# A topic that holds more than the answer to one fetch: what those ask for who never read.
BALLAST = "ballast"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def kafka(api, version, body=b"", correlation=7):
    request = struct.pack(">hhih", api, version, correlation, -1) + body
    return struct.pack(">i", len(request)) + request


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def dns(name, kind=1, operation=0):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 9, operation << 11, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


QUESTION = dns("kafka.example.test")
METADATA = kafka(3, 1, struct.pack(">i", -1))
FETCH = kafka(1, 4, struct.pack(">iiiib", -1, 0, 1, 50 << 20, 0) + struct.pack(">i", 1) + text(BALLAST)
              + struct.pack(">i", 1) + struct.pack(">iqi", 0, 0, 50 << 20))
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
# What each protocol's server answers, and how its answer begins.
KINDS = {
    "http": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200"),
    "kafka": (kafka(18, 0), b""),
    "grpc": (PREFACE, b""),
    "dns": (struct.pack(">H", len(QUESTION)) + QUESTION, b""),
}


def connect(address, small=False):
    peer = socket.socket()
    if small:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.settimeout(ANSWER_SECONDS)
    peer.connect(address)
    return peer


def crowd(address, count):
    """That many connections, made at once."""
    peers = []
    for _ in range(count):
        peer = socket.socket()
        peer.setblocking(False)
        peer.connect_ex(address)
        peers.append(peer)
    deadline = time.monotonic() + ANSWER_SECONDS
    waiting = select.poll()
    for peer in peers:
        waiting.register(peer, select.POLLOUT)
    by_number = {peer.fileno(): peer for peer in peers}
    while by_number and time.monotonic() < deadline:
        for number, _ in waiting.poll(100):
            waiting.unregister(number)
            by_number.pop(number)
    if by_number:
        raise OSError(f"{len(by_number)} of {count} connections are not taken")
    return peers


def is_answer(kind, answer):
    if kind == "http":
        return answer.startswith(KINDS["http"][1])
    if kind == "kafka":
        return len(answer) >= 8 and struct.unpack(">i", answer[4:8])[0] == 7
    if kind == "grpc":
        return len(answer) >= 9 and answer[3] == 4
    return len(answer) >= 14 and answer[2:4] == QUESTION[:2]


def good_answer(kind, address):
    """Seconds that a good request takes; raises where there is no good answer."""
    began = time.monotonic()
    if kind == "dns-udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(ANSWER_SECONDS)
            peer.sendto(QUESTION, address)
            if peer.recv(4096)[:2] != QUESTION[:2]:
                raise OSError("another answer")
            return time.monotonic() - began
    with connect(address) as peer:
        peer.sendall(KINDS[kind][0])
        answer = b""
        while len(answer) < 16 and (piece := peer.recv(65536)):
            answer += piece
        if not is_answer(kind, answer):
            raise OSError(f"answer {answer[:40]!r}")
    return time.monotonic() - began


def requests_of(kind, random):
    """Bytes that are wrong beyond doubt, by name: an error or a closed connection must follow at once."""
    noise = random.randbytes(4096)
    if kind == "kafka":
        good = KINDS["kafka"][0]
        return {
            "negative length": b"\xff\xff\xff\xff" + noise,
            "smallest length": b"\x80\0\0\0" + noise,
            "length 2^31-1": b"\x7f\xff\xff\xff" + noise,
            "another protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "TLS hello": b"\x16\3\1\2\0\1\0\1\xfc\3\3" + noise,
            "unknown API": kafka(999, 0, noise),
            "garbage body": kafka(3, 1, b"\x7f\xff\xff\xff" + noise),
            "a hundred million topics": kafka(3, 1, struct.pack(">i", 100_000_000) + noise),
            "garbage behind a good request": good + b"\xff" * 64,
        }
    if kind == "http":
        return {
            "noise": b"\0" + noise,
            "no HTTP": b"\x7f\xff\xff\xff" + noise + b"\r\n\r\n",
            "a megabyte of headers": b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: %s\r\n" % (at, b"y" * 1000) for at in range(1000)),
            "a thousand short headers": b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % at for at in range(1000)) + b"\r\n",
            "an address without end": b"GET /" + b"a" * (1 << 20),
            "impossible length": b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "negative length": b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            "length 2^31-1": b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 2147483647\r\n\r\n" + noise,
            "garbage behind a good request": KINDS["http"][0] + b"\xff" * 64 + b"\r\n\r\n",
        }
    if kind == "grpc":
        return {
            "noise": noise,
            "another protocol": kafka(18, 0) + noise,
            "a frame of 16 MiB": PREFACE + b"\xff\xff\xff\0\0\0\0\0\1" + noise,
            "garbage behind a good beginning": PREFACE + b"\0\0\x04\x01\x04\0\0\0\1\xff\xff\xff\xff" + noise,
            "a body without a request": PREFACE + b"\0\0\x05\0\1\0\0\0\1\0\x7f\xff\xff\xff",
        }
    return {
        "noise": b"\x01\x00" + noise,
        "a name that points at itself": struct.pack(">H", 18) + QUESTION[:12] + b"\xc0\x0c\0\1\0\1",
        "65535 questions": struct.pack(">H", 16) + QUESTION[:4] + b"\xff" * 8 + b"\0\0\1\0",
    }


def refusal(kind, address, sent):
    """What follows on wrong bytes: `closed`, or how the answer begins; raises where nothing does."""
    with connect(address) as peer:
        answer = b""
        try:
            peer.sendall(sent)
            while piece := peer.recv(65536):
                answer += piece
                if kind == "dns" and len(answer) > 5 and answer[5] & 15:
                    return f"error {answer[5] & 15}"
            return answer[9:12].decode(errors="replace") if kind == "http" and answer else "closed"
        except ConnectionError:
            return "closed"
        except TimeoutError:
            # A server that keeps the connection has to have said what was wrong with the request.
            if kind == "http" and b"HTTP/1.1 4" in answer:
                return answer[9:12].decode()
            raise TimeoutError(f"neither an error nor closed after {ANSWER_SECONDS} s: {answer[:60]!r}") from None


def flood(address, count):
    """Connects and hangs up at once."""
    for at in range(count):
        with contextlib.suppress(OSError), socket.socket() as peer:
            peer.setblocking(False)
            peer.connect_ex(address)
            if at % 2:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def datagrams(address, random, count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for at in range(count):
            noise = random.randbytes(random.randrange(1, 1400))
            with contextlib.suppress(OSError):
                peer.sendto([noise, QUESTION[:12] + noise, QUESTION + noise, QUESTION[: at % len(QUESTION)]][at % 4],
                            address)


class Attackers:
    """Peers who stay: cut off in the middle, a byte at a time, or never reading. Held until they are let go."""

    def __init__(self, ports, each):
        self.slow, self.cut, self.deaf = [], [], []
        self.over = threading.Event()
        for kind, address in ports:
            long = {"kafka": METADATA, "http": SCRAPE, "grpc": PREFACE, "dns": KINDS["dns"][0]}[kind]
            asks = {"kafka": METADATA + FETCH, "http": SCRAPE, "grpc": PREFACE + b"\0\0\x08\6\0\0\0\0\0" + b"p" * 8,
                    "dns": KINDS["dns"][0]}[kind]
            for _ in range(each):
                self.slow.append((kind, address, connect(address), long, [0]))
                half = connect(address)
                half.sendall(long[: len(long) // 2])
                self.cut.append((kind, address, half))
            for _ in range(max(1, each // 2)):
                deaf = connect(address, small=True)
                deaf.setblocking(False)
                self.deaf.append((kind, address, deaf, asks, [0]))
        self.thread = threading.Thread(target=self._press, daemon=True)
        self.thread.start()

    def _press(self):
        while not self.over.wait(0.5):
            for _, _, peer, long, at in self.slow:
                # The last byte never comes.
                if at[0] < len(long) - 1:
                    with contextlib.suppress(OSError):
                        at[0] += peer.send(long[at[0]: at[0] + 1])
            for _, _, peer, asks, sent in self.deaf:
                with contextlib.suppress(OSError):
                    while sent[0] < UNREAD_BYTES:
                        sent[0] += peer.send(asks * 16)

    def still_open(self):
        """Addresses at which half a request, or a slow one, still holds its connection, by kind."""
        held = {}
        for kind, address, peer, *_ in self.cut + self.slow:
            peer.setblocking(False)
            try:
                open_ = bool(peer.recv(65536)) and bool(peer.recv(65536))
            except BlockingIOError:
                open_ = True
            except OSError:
                open_ = False
            if open_:
                held.setdefault(kind, set()).add(address)
        return held

    def close(self):
        self.over.set()
        self.thread.join(5)
        for one in self.slow + self.cut + self.deaf:
            one[2].close()
