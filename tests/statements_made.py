"""Bank statements as a bank would write them, in any version of the message, for the tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

ACCOUNT = "6222020200112233"
SPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001."


@dataclass(frozen=True)
class Line:
    """One line; `amount` is decimal text with its sign, as the account sees it."""

    amount: str
    text: str = ""
    ref: str = ""
    on: str = "2026-03-02"
    value: str | None = None
    name: str = "金水区教育局"
    account: str = ""
    end_to_end: str = ""
    status: str = "BOOK"
    reversal: bool = False
    returned: str = ""
    currency: str = ""
    parts: tuple[tuple[str, str], ...] = ()  # amount and text of each payment of a batch
    announced: int = 0
    raw: str = ""  # instead of everything else


@dataclass(frozen=True)
class Made:
    """One statement; opening and closing are decimal text, None leaves the balance out."""

    lines: tuple[Line, ...] = ()
    opening: str | None = "0.00"
    closing: str | None = None
    account: str = ACCOUNT
    kind: str = ""
    currency: str = "CNY"
    number: str = ""
    on: str = "2026-03-02"
    told: int | None = None
    balances_last: bool = False
    period: tuple[str, str] | None = None
    header: str = ""

    def of(self, *lines: Line, **changed: object) -> Made:
        return replace(self, lines=lines, **changed)  # type: ignore[arg-type]


def line_xml(one: Line, currency: str, version: int) -> str:
    if one.raw:
        return one.raw
    currency = one.currency or currency
    status = f"<Sts><Cd>{one.status}</Cd></Sts>" if version >= 7 else f"<Sts>{one.status}</Sts>"
    parts = one.parts or ((one.amount, one.text),)
    batch = f"<Btch><NbOfTxs>{one.announced}</NbOfTxs></Btch>" if one.announced else ""
    details = "".join(_detail(one, amount, text, currency, version) for amount, text in parts)
    held = f"{batch}{details}" if version == 1 else f"<NtryDtls>{batch}{details}</NtryDtls>"
    return (
        f"<Ntry>{_amount(one.amount, currency)}"
        + ("<RvslInd>true</RvslInd>" if one.reversal else "")
        + (status if one.status else "")
        + (f"<BookgDt><Dt>{one.on}</Dt></BookgDt>" if one.on else "")
        + (f"<ValDt><Dt>{one.value or one.on}</Dt></ValDt>" if one.value or one.on else "")
        + (f"<AcctSvcrRef>{one.ref}</AcctSvcrRef>" if one.ref else "")
        + f"<BkTxCd><Prtry><Cd>X</Cd></Prtry></BkTxCd>{held}</Ntry>"
    )


def _amount(signed: str, currency: str) -> str:
    side = "DBIT" if signed.startswith("-") else "CRDT"
    return f'<Amt Ccy="{currency}">{signed.lstrip("-")}</Amt><CdtDbtInd>{side}</CdtDbtInd>'


def _detail(one: Line, amount: str, text: str, currency: str, version: int) -> str:
    side = "Cdtr" if amount.startswith("-") else "Dbtr"
    name = f"<Nm>{escape(one.name)}</Nm>"
    party = f"<Pty>{name}</Pty>" if version >= 7 else name
    money = (
        _amount(amount, currency)
        if version >= 3
        else f'<AmtDtls><TxAmt><Amt Ccy="{currency}">{amount.lstrip("-")}</Amt></TxAmt></AmtDtls>'
    )
    said = "".join(f"<Ustrd>{escape(each)}</Ustrd>" for each in text.split("\n") if each)
    held = f"<{side}Acct><Id><Othr><Id>{one.account}</Id></Othr></Id></{side}Acct>"
    account = held if one.account else ""
    returned = f"<RtrInf><Rsn><Cd>{one.returned}</Cd></Rsn></RtrInf>" if one.returned else ""
    return (
        f"<TxDtls><Refs><EndToEndId>{one.end_to_end or 'NOTPROVIDED'}</EndToEndId></Refs>{money}"
        f"<RltdPties><{side}>{party}</{side}>{account}</RltdPties>"
        + (f"<RmtInf>{said}</RmtInf>" if said else "")
        + f"{returned}</TxDtls>"
    )


def statement_xml(made: Made, version: int) -> str:
    opening = "0" if made.opening in (None, "none") else str(made.opening)
    total = _cents(opening) + sum(
        _cents(each.amount)
        for each in made.lines
        if made.closing is None
        and not each.raw
        and each.status in ("BOOK", "")
        and not each.currency
    )
    closing = made.closing if made.closing is not None else _decimal(total)
    ends = ""
    for word, amount in (("OPBD", made.opening), ("CLBD", closing)):
        if amount is None or amount == "none":
            continue
        code = f"<Cd>{word}</Cd>"
        choice = code if version == 1 else f"<CdOrPrtry>{code}</CdOrPrtry>"
        ends += (
            f"<Bal><Tp>{choice}</Tp>{_amount(amount, made.currency)}"
            f"<Dt><Dt>{made.on}</Dt></Dt></Bal>"
        )
    lines = "".join(line_xml(each, made.currency, version) for each in made.lines)
    told = (
        f"<TxsSummry><TtlNtries><NbOfNtries>{made.told}</NbOfNtries></TtlNtries></TxsSummry>"
        if made.told is not None
        else ""
    )
    period = (
        f"<FrToDt><FrDtTm>{made.period[0]}</FrDtTm><ToDtTm>{made.period[1]}</ToDtTm></FrToDt>"
        if made.period
        else ""
    )
    return (
        "<Stmt><Id>S1</Id>"
        + (f"<ElctrncSeqNb>{made.number}</ElctrncSeqNb>" if made.number else "")
        + f"<CreDtTm>{made.on}T20:00:00+08:00</CreDtTm>{period}{made.header}"
        + f"<Acct><Id><Othr><Id>{made.account}</Id></Othr></Id>"
        + (f"<Tp><Prtry>{made.kind}</Prtry></Tp>" if made.kind else "")
        + f"<Ccy>{made.currency}</Ccy></Acct>"
        + (f"{told}{lines}{ends}" if made.balances_last else f"{ends}{told}{lines}")
        + "</Stmt>"
    )


def camt(*statements: Made, version: int = 8, message_id: str = "M1") -> bytes:
    """A camt.053 file with these statements."""
    name = "BkToCstmrStmtV01" if version == 1 else "BkToCstmrStmt"
    inner = "".join(statement_xml(each, version) for each in statements)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Document xmlns="{SPACE}{version:02}"><{name}>'
        f"<GrpHdr><MsgId>{message_id}</MsgId></GrpHdr>{inner}</{name}></Document>"
    ).encode()


def _cents(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    whole, _, part = text.lstrip("-").partition(".")
    return sign * (int(whole) * 100 + int(part[:2].ljust(2, "0") or 0))


def _decimal(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def told(made: Made, message: str, version: int = 8) -> bytes:
    """The same lines as an intraday report (052) or a notification (054)."""
    name, container = {
        "052": ("BkToCstmrAcctRpt", "Rpt"),
        "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
    }[message]
    return (
        camt(made, version=version)
        .replace(b"BkToCstmrStmt", name.encode())
        .replace(b"<Stmt>", f"<{container}>".encode())
        .replace(b"</Stmt>", f"</{container}>".encode())
        .replace(b"camt.053", f"camt.{message}".encode())
    )


def mt940(*statements: Made, width: int = 27, encoding: str = "utf-8") -> bytes:
    """The same statements as MT940; texts are structured and cut every `width` characters."""
    return "".join(_message(each, width) for each in statements).encode(encoding)


def _message(made: Made, width: int) -> str:
    opening = "0" if made.opening in (None, "none") else str(made.opening)
    total = _cents(opening) + sum(_cents(each.amount) for each in made.lines)
    closing = made.closing if made.closing is not None else _decimal(total)
    fields = [":20:M1", f":25:{made.account}"]
    fields += [f":28C:{made.number}/1"] if made.number else [":28C:0"]
    if made.opening not in (None, "none"):
        fields.append(f":60F:{_ending(str(made.opening), made)}")
    for each in made.lines:
        fields += [each.raw] if each.raw else [_booking(each), _text(each, width)]
    if closing != "none":
        fields.append(f":62F:{_ending(closing, made)}")
    return "\r\n".join([*fields, "-", ""])


def _six(day: str) -> str:
    return day[2:].replace("-", "")


def _ending(signed: str, made: Made) -> str:
    side = "D" if signed.startswith("-") else "C"
    amount = signed.lstrip("-").replace(".", ",")
    return f"{side}{_six(made.on)}{made.currency}{amount}"


def _booking(one: Line) -> str:
    side = "D" if one.amount.startswith("-") else "C"
    if one.reversal:
        side = "RD" if side == "C" else "RC"
    amount = one.amount.lstrip("-").replace(".", ",")
    days = _six(one.value or one.on) + (_six(one.on)[2:] if one.on else "")
    return f":61:{days}{side}{amount}NTRFNONREF" + (f"//{one.ref}" if one.ref else "")


def _text(one: Line, width: int) -> str:
    said = one.text.replace("\n", "")
    cut = [said[n : n + width] for n in range(0, len(said), width)] or [""]
    parts = "".join(f"?{20 + n}{part}" for n, part in enumerate(cut[:10]))
    label = f"?20EREF+{one.end_to_end}" if one.end_to_end else ""
    if label:
        parts = label + "?21SVWZ+" + "".join(cut)
    account = f"?31{one.account}" if one.account else ""
    return f":86:166?00TRANSFER{parts}{account}?32{one.name}"
