"""What an :86: field says of a payment, in the three ways in which banks write it.

1. structured: a business code, then `?20` … `?34` (Germany, Poland, and others)
2. slashes: `/NAME/…/REMI/…` (Netherlands, SEPA)
3. free lines

Lines fold in the middle of a word, so a text is joined without a blank where the field has parts
of its own.

Source: SWIFT user handbook, MT940 field 86; DFÜ-Abkommen, Anlage 3 (structured field 86).
"""

from __future__ import annotations

import re
from typing import Final

from financing.formats.mt940_line import counterparty_iban, reference
from financing.formats.statement import Detail

_STRUCTURED: Final = re.compile(r"\s*([0-9]{3})([^0-9A-Za-z\s/,.;:-])(?=[0-9]{2})")
_LABEL: Final = re.compile(r"(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC|COAM|OAMT|PURP)\+")
_CODE: Final = re.compile(
    r"/(TRTP|IBAN|BIC|NAME|REMI|EREF|CNTP|MARF|CSID|ORDP|BENM|ISDT|SVCL|PURP|ULTD|ULTC|ULTB|PREF"
    r"|KREF|RTRN|TRCD|ADDR|ISSR|IACC|CHGS|OCMT|EXCH|SUM)/"
)
_RETURNED: Final = {"108": "GVC-108", "109": "GVC-109", "159": "GVC-159"}  # business codes


def detail(field: str, *, code: str, entry_ref: str | None, supplement: str) -> Detail:
    """The payment that an :86: field describes, with what its :61: field knows besides.

    Args:
        field: the text with its line breaks; empty where the bank writes none.
        code: transaction type of the :61: field.
        supplement: the line below the :61: field.
    """
    glued = field.replace("\n", "")
    said: dict[str, str | None]
    if (head := _STRUCTURED.match(glued)) is not None:
        said, free = _structured(glued, head)
    elif _CODE.match(glued.lstrip()) is not None:
        said, free = _slashes(glued)
    else:
        said, free = {}, tuple(line.strip() for line in field.split("\n") if line.strip())
    returned = said.get("returned") or ("RTI" if code == "NRTI" else None)
    return Detail(
        amount_fen=None,
        end_to_end=reference(said.get("end_to_end") or ""),
        uetr=None,
        instruction=reference(said.get("instruction") or ""),
        mandate=reference(said.get("mandate") or ""),
        counterparty=said.get("name") or None,
        counterparty_account=said.get("account") or counterparty_iban(entry_ref),
        counterparty_bank=said.get("bank") or None,
        ultimate=said.get("ultimate") or None,
        free=free,
        structured=(),
        bank_text=" ".join(each for each in (said.get("bank_text"), supplement) if each) or None,
        return_code=returned,
        purpose=said.get("purpose") or None,
    )


def _structured(glued: str, head: re.Match[str]) -> tuple[dict[str, str | None], tuple[str, ...]]:
    separator = re.escape(head[2])
    parts = re.split(f"{separator}([0-9]{{2}})", glued[head.end() - 1 :])
    by_code: dict[str, str] = {}
    texts: list[str] = []
    for key, value in zip(parts[1::2], parts[2::2], strict=False):
        if "20" <= key <= "29" or "60" <= key <= "63":
            texts.append(value)
        by_code[key] = by_code.get(key, "") + value
    said: dict[str, str | None] = {
        "bank_text": by_code.get("00"),
        "bank": by_code.get("30"),
        "account": by_code.get("38") or by_code.get("31"),
        "name": (by_code.get("32", "") + by_code.get("33", "")).strip(),
        "returned": _RETURNED.get(head[1]),
    }
    whole = "".join(texts)
    if _LABEL.search(whole) is None:
        return said, tuple(text for text in texts if text.strip())
    labelled = re.split(_LABEL, whole)
    values = dict(zip(labelled[1::2], labelled[2::2], strict=False))
    said |= {
        "end_to_end": values.get("EREF"),
        "instruction": values.get("KREF"),
        "mandate": values.get("MREF"),
        "ultimate": values.get("ABWA") or values.get("ABWE"),
        "purpose": values.get("PURP"),
    }
    free = (labelled[0], values.get("SVWZ", ""))
    return said, tuple(text for text in free if text.strip())


def _slashes(glued: str) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Cut at known codes only: the text itself contains slashes and dates."""
    parts = re.split(_CODE, glued)
    values: dict[str, str] = {}
    for key, value in zip(parts[1::2], parts[2::2], strict=False):
        values.setdefault(key, value.strip().strip("/") if key != "CNTP" else value)
    party = [each.strip() for each in values.get("CNTP", "").split("/")] + [""] * 3
    remittance = re.sub(r"^(USTD/+|STRD/(CUR/)?)", "", values.get("REMI", ""))
    said: dict[str, str | None] = {
        "account": party[0] or values.get("IBAN"),
        "bank": party[1] or values.get("BIC"),
        "name": party[2] or values.get("NAME"),
        "end_to_end": values.get("EREF"),
        "instruction": values.get("PREF") or values.get("KREF"),
        "mandate": values.get("MARF"),
        "ultimate": values.get("ULTD") or values.get("ULTC") or values.get("ULTB"),
        "purpose": values.get("PURP"),
        "returned": values.get("RTRN"),
        "bank_text": values.get("TRTP"),
    }
    return said, tuple(each for each in (remittance.strip(),) if each)
