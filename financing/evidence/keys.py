"""The key store: a folder of files that only its owner may read.

Made on first use. Two processes that start at once make one store: the folder is locked, and the
mark is written last, so an incomplete store without its mark was never used and is begun again. A
marked store that has lost a file is never filled up silently: everything signed or sealed with the
lost key would be orphaned.

    ca.pem              root certificate: what others need to check our packets
    root.key            signs signing certificates; not read after the store is made
    packet.pem, .key    signing certificate of packets and its key
    request.pub, .key   P-256 key that signs requests to banks
    master              secret from which the keys of sealed fields and of sign-in are derived
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from financing.errors import Invalid, Unreachable
from financing.evidence import certificates, jws
from financing.evidence.cms import Signer
from financing.values.times import wall_now

MARK: Final = "made"
CA: Final = "ca.pem"
_FILES: Final = (
    CA,
    "root.key",
    "packet.pem",
    "packet.key",
    "request.pub",
    "request.key",
    "master",
)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one process; secrets do not appear in its `repr`."""

    ca_pem: bytes = field(repr=False)
    signer: Signer
    request_public_pem: str
    request_kid: str
    _request_key: EllipticCurvePrivateKey = field(repr=False)
    _master: bytes = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> Keys:
        """Open the key store, making it where there is none.

        Raises:
            Unreachable: the folder cannot be made or read, or a file of the store is missing.
            Invalid: a file is readable by others, or holds something else.
        """
        try:
            if not (folder / MARK).exists():
                _make(folder)
            held = {name: _read(folder / name) for name in _FILES if name != "root.key"}
        except OSError as problem:
            raise Unreachable(
                f"the key store cannot be read: {problem.strerror or problem}",
                where=str(problem.filename or folder),
                remedy="Restore the folder from a backup, or set FINANCING_KEYS.",
            ) from problem
        try:
            packet = x509.load_pem_x509_certificate(held["packet.pem"])
            return cls(
                ca_pem=held[CA],
                signer=Signer.of(packet.public_bytes(Encoding.DER), _private(held["packet.key"])),
                request_public_pem=held["request.pub"].decode(),
                request_kid=_kid(held["request.pub"]),
                _request_key=_private(held["request.key"]),
                _master=bytes.fromhex(held["master"].decode()),
            )
        except ValueError as problem:
            raise Invalid(
                "a file of the key store does not hold a key",
                where=str(folder),
                remedy="Restore the folder from a backup.",
            ) from problem

    def sign_request(self, body: bytes) -> str:
        """Detached JWS over the body of a request to a bank, by our request key."""
        return jws.sign_detached(body, self._request_key, self.request_kid)

    def subkey(self, purpose: str) -> bytes:
        """32 bytes for one purpose; keys of different purposes tell nothing of each other.

        Source: RFC 5869, section 2.3 (HKDF-Expand, one block, over a uniformly random key).
        """
        return hmac.digest(self._master, purpose.encode() + b"\x01", hashlib.sha256)


def files_of(folder: Path) -> list[Path]:
    """Every file of the key store, in order of name; none where no store was made."""
    if not (folder / MARK).exists():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        if (folder / MARK).exists():  # another process was faster
            return
        if not all((folder / name).exists() for name in _FILES):
            for name, content in _fresh().items():
                _write(folder / name, content)
        _write(folder / MARK, b"1\n")


def _fresh() -> dict[str, bytes]:
    now = wall_now().replace(microsecond=0)
    root_key, packet_key, request_key = (generate_private_key(SECP256R1()) for _ in range(3))
    root = certificates.make_root(root_key, now)
    packet = certificates.make_signing(root, root_key, packet_key.public_key(), now)
    return {
        CA: root.public_bytes(Encoding.PEM),
        "root.key": _pem(root_key),
        "packet.pem": packet.public_bytes(Encoding.PEM),
        "packet.key": _pem(packet_key),
        "request.pub": request_key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ),
        "request.key": _pem(request_key),
        "master": secrets.token_hex(32).encode() + b"\n",
    }


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    handle, unfinished = tempfile.mkstemp(dir=path.parent)  # 0600 from the first byte on
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(unfinished).replace(path)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise Invalid(
                "others on this machine may read a file of the key store",
                where=str(path),
                remedy=f"chmod 600 {path}",
            )
        return file.read()


def _private(pem: bytes) -> EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError("not an elliptic-curve key")
    return key


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _kid(public_pem: bytes) -> str:
    """A short name for a public key, the same wherever it is computed."""
    return hashlib.sha256(public_pem).hexdigest()[:16]
