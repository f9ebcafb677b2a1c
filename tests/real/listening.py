"""What an estate's processes listen on, and the memory that they hold, as the kernel tells it."""

import socket
from pathlib import Path

LISTENS = "0A"


def name_of(pid):
    """The role and region of a `leeward serve`, or the verb of another."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    options = dict(zip(words, words[1:]))
    parts = [options.get("--role", words[1] if len(words) > 1 else "?"), options.get("--region", "")]
    return " ".join(part for part in parts if part)


def sockets_of(pid):
    """Inodes of the process's sockets."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            link = str(entry.readlink())
        except OSError:
            continue
        if link.startswith("socket:["):
            found.add(link[8:-1])
    return found


def listening(pids):
    """`(pid, "tcp" or "udp", host, port)` of each socket that others can send to."""
    found = []
    for protocol in ("tcp", "udp"):
        table = Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]
        rows = [row.split() for row in table]
        # A UDP socket of a question that was sent has a peer; a server's has none.
        open_rows = [row for row in rows if (row[3] == LISTENS if protocol == "tcp" else row[2] == "00000000:0000")]
        for pid in pids:
            own = sockets_of(pid)
            found += [(pid, protocol, *address(row[1])) for row in open_rows if row[9] in own]
    return sorted(found)


def address(text):
    """Host and port as `/proc/net` writes them: the host's bytes backwards."""
    host, port = text.split(":")
    return socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)


def resident_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
