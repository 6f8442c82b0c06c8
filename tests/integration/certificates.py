"""Certificates of a small authority of our own, made by openssl: good ones, ended ones, and those of a stranger."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

ENDED = ("20240101000000Z", "20240201000000Z")
_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -sha256 -noenc".split()
_CA = ["-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
_EXTENSIONS = """\
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=DNS:localhost,IP:127.0.0.1
"""
# `openssl ca` is the only command of it that makes a certificate which ended long ago.
_CA_SETTINGS = """\
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
email_in_dn = no
unique_subject = no
[any]
organizationName = optional
commonName = supplied
"""


@dataclass(frozen=True)
class Authority:
    """A folder with `ca.crt`, and NAME.crt, NAME.key and NAME.pem (both) of everybody it signed for."""

    folder: Path

    @classmethod
    def founded(cls, folder: Path) -> Authority:
        folder.mkdir(parents=True)
        here = cls(folder)
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(_CA_SETTINGS, encoding="ascii")
        (folder / "leaf.ext").write_text(_EXTENSIONS, encoding="ascii")
        here._openssl("req", "-x509", *_KEY, "-days", "3650", "-subj", "/O=jakwatch test/CN=test CA", *_CA,
                      "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip
        return here

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def cert(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def sign(self, name: str, common_name: str | None = None, valid: tuple[str, str] | None = None) -> None:
        """A certificate with its key, from today for a year, or of days long gone."""
        subject = f"/O=jakwatch test/CN={common_name or name}"
        self._openssl("req", "-new", *_KEY, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        when = ["-days", "365"] if valid is None else ["-startdate", valid[0], "-enddate", valid[1]]
        self._openssl("ca", "-batch", "-config", "ca.cnf", "-preserveDN", "-cert", "ca.crt", "-keyfile", "ca.key",
                      "-extfile", "leaf.ext", "-notext", *when,
                      "-in", f"{name}.csr", "-out", f"{name}.crt")  # fmt: skip
        both = self.key(name).read_bytes() + self.cert(name).read_bytes()
        (self.folder / f"{name}.pem").write_bytes(both)

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(  # noqa: PLW1510  its words are needed where it failed
            ["openssl", *arguments],  # noqa: S607  the system's own
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
