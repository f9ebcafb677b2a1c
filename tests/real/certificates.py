"""Authorities and certificates for suites, by openssl: PEM files in one folder."""

import subprocess
from pathlib import Path

import parts

DAYS = "30"
NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost"
USES = "extendedKeyUsage=serverAuth,clientAuth"


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"openssl {words[0]}: {done.stderr}")


class Authority:
    """Signs certificates; `NAME.pem` is a certificate, `NAME.key` its key (PKCS #8)."""

    def __init__(self, folder, name):
        parts.debian(["openssl"], ["openssl"])
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pem, self.key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS,
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.pem)

    def sign(self, name, file=None):
        """A certificate of this subject, for servers on loopback and for clients."""
        at = self.folder / (file or name)
        key, request, pem = at.with_suffix(".key"), at.with_suffix(".csr"), at.with_suffix(".pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-out", request)
        extensions = at.with_suffix(".ext")
        extensions.write_text(f"{NAMES}\n{USES}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial", "-days", DAYS,
                "-extfile", extensions, "-out", pem)
        return pem, key
