"""Distinguished Encoding Rules, as much as a signature needs.

Source: ITU-T X.690 § 10.
"""

from __future__ import annotations


def tlv(tag: int, content: bytes) -> bytes:
    """One element: tag, definite length in its shortest form, content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def seq(*items: bytes) -> bytes:
    """SEQUENCE of encoded elements."""
    return tlv(0x30, b"".join(items))


def set_of(*items: bytes) -> bytes:
    """SET OF encoded elements, sorted as DER demands."""
    return tlv(0x31, b"".join(sorted(items)))


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    out = bytearray()
    for number in (first * 40 + second, *rest):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(0x80 | number & 0x7F)
        out += bytes(reversed(septets))
    return tlv(0x06, bytes(out))


def integer(value: int) -> bytes:
    """INTEGER, two's complement in the fewest octets; value ≥ 0."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(0x04, content)
