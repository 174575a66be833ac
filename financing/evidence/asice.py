"""The container of a packet: ASiC-E with CAdES, every byte prescribed.

A stored ZIP without dates, extra fields, or comments: the same parts and signature give the same
bytes, so a reader checks a container by building it again (`verify.py`).

Source: ETSI EN 319 162-1 (ASiC-E), APPNOTE 6.3 (ZIP).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from financing.errors import Invalid

MEDIA_TYPE: Final = "application/vnd.etsi.asic-e+zip"
MANIFEST: Final = "META-INF/ASiCManifest001.xml"
SIGNATURE: Final = "META-INF/signature001.p7s"
FIRST: Final = "packet.json"

MOST_ENTRIES: Final = 64
MOST_BYTES: Final = 64 << 20
MOST_MANIFEST: Final = 1 << 20
MOST_SIGNATURE: Final = 64 << 10

# Titles live inside parts, never in names: no spelling, case, or encoding can then differ between
# readers, and a shell recipe works.
NAME: Final = re.compile(
    r"(?=.{1,120}\Z)(?:[a-z0-9][a-z0-9._-]{0,63}/){0,2}[a-z0-9][a-z0-9._-]{0,63}"
)
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9]+/[a-z0-9.+-]+")
# An OFD document (GB/T 33190) is a ZIP file by its standard; any other ZIP inside could hide parts.
_MAY_BE_ZIP: Final = "application/ofd"

_LOCAL: Final = Struct("<4s5H3I2H")
_CENTRAL: Final = Struct("<4s6H3I5H2I")
_END: Final = Struct("<4s4H2IH")
_DAY: Final = 0x21  # 1980-01-01, the first day that the format knows
_MADE_BY: Final = 0x0314
_MODE: Final = 0o100644 << 16


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a packet.

    Args:
        digest: SHA-256 of `data`, 32 bytes; computed once, when the part is made.
    """

    name: str
    media_type: str
    data: bytes
    digest: bytes

    @classmethod
    def of(cls, name: str, media_type: str, data: bytes) -> Part:
        """Take a file into a packet.

        Raises:
            Invalid: a name or media type outside the profile, or a ZIP inside.
        """
        if NAME.fullmatch(name) is None or name == "mimetype":
            raise Invalid(f"{name!r} is no name of a part", where=name, remedy="Use [a-z0-9._-].")
        if _MEDIA_TYPE.fullmatch(media_type) is None:
            raise Invalid(f"{media_type!r} is no media type", where=name)
        if data.startswith(b"PK\x03\x04") and media_type != _MAY_BE_ZIP:
            raise Invalid("a part may not be a ZIP file", where=name, remedy="Add its files.")
        return cls(name, media_type, data, hashlib.sha256(data).digest())


def manifest(parts: Sequence[Part]) -> bytes:
    """The signed list of the parts with their digests; `packet.json` stands first.

    Raises:
        Invalid: another part first, a name twice, or more parts than a container takes.
    """
    names = [part.name for part in parts]
    if not names or names[0] != FIRST:
        raise Invalid(f"the first part is not {FIRST}", where=FIRST)
    if len(set(names)) != len(names):
        raise Invalid("two parts have the same name", where="parts")
    if len(names) + 3 > MOST_ENTRIES:
        raise Invalid(f"more than {MOST_ENTRIES - 3} parts", where="parts")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#"'
        ' xmlns:ds="http://www.w3.org/2000/09/xmldsig#">\n'
        f'<asic:SigReference MimeType="application/pkcs7-signature" URI="{SIGNATURE}"/>\n'
    ]
    for part in parts:
        root = ' Rootfile="true"' if part.name == FIRST else ""
        lines.append(
            f'<asic:DataObjectReference MimeType="{part.media_type}"{root} URI="{part.name}">\n'
            '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>\n'
            f"<ds:DigestValue>{b64encode(part.digest).decode()}</ds:DigestValue>\n"
            "</asic:DataObjectReference>\n"
        )
    lines.append("</asic:ASiCManifest>\n")
    return "".join(lines).encode()


def identity(manifest_bytes: bytes) -> str:
    """What a packet is called everywhere: the digest of its signed manifest."""
    return "sha-256:" + hashlib.sha256(manifest_bytes).hexdigest()


def container(parts: Sequence[Part], manifest_bytes: bytes, signature: bytes) -> bytes:
    """The packet as a file: the same parts, manifest, and signature give the same bytes.

    Raises:
        Invalid: larger than a packet may be.
    """
    entries = [(b"mimetype", MEDIA_TYPE.encode())]
    entries += [(part.name.encode(), part.data) for part in parts]
    entries += [(MANIFEST.encode(), manifest_bytes), (SIGNATURE.encode(), signature)]
    pieces, directory, offset = [], [], 0
    for name, data in entries:
        crc, size = zlib.crc32(data), len(data)
        common = (20, 0, 0, 0, _DAY, crc, size, size, len(name), 0)
        pieces += [_LOCAL.pack(b"PK\x03\x04", *common), name, data]
        directory += [
            _CENTRAL.pack(b"PK\x01\x02", _MADE_BY, *common, 0, 0, 0, _MODE, offset),
            name,
        ]
        offset += _LOCAL.size + len(name) + size
    listing = b"".join(directory)
    count = len(entries)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(listing), offset, 0)
    whole = b"".join((*pieces, listing, end))
    if (
        len(whole) > MOST_BYTES
        or len(manifest_bytes) > MOST_MANIFEST
        or len(signature) > MOST_SIGNATURE
    ):
        raise Invalid(
            f"the packet would have {len(whole)} bytes",
            where="parts",
            remedy=f"Keep it within {MOST_BYTES} bytes.",
        )
    return whole
