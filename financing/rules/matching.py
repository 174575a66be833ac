"""What speaks for a payment belonging to a contract, as a table of weights, and the decision.

A match never claims more than its evidence: below the threshold, or with a rival close behind, a
person decides and sees the candidates. An account alone is no evidence: it says where money came,
not what for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

Word = Literal["matched", "diverted", "exception", "unmatched"]


@dataclass(frozen=True, slots=True)
class Weight:
    """One kind of evidence; of a group only the heaviest counts."""

    name: str
    points: int
    group: str


WEIGHTS: Final = (
    Weight("number", 80, "number"),  # the contract's number stands in the text by itself
    Weight("number-loose", 40, "number"),  # it stands there, but inside a longer one
    Weight("amount", 40, "amount"),  # exactly what is due, or a milestone, or all that is open
    Weight("payer", 40, "payer"),  # the purchaser's name
    Weight("payer-cut", 20, "payer"),  # the beginning of it: banks cut names
    # The account is this contract's alone, and payer and supplier have no other open contract.
    Weight("only-contract", 40, "only"),
    Weight("other-account", 0, "account"),  # another account of the supplier is designated
)
POINTS: Final = {weight.name: weight.points for weight in WEIGHTS}
GROUP: Final = {weight.name: weight.group for weight in WEIGHTS}

THRESHOLD: Final = 80
LEAD: Final = 20  # points by which the best must lead the next
CERTAIN: Final = 100  # for an alarm: the number and one thing more
WORTH_A_LOOK: Final = 60  # on an account that is nobody's designated one
SHORTEST_CUT: Final = 8  # characters of a name that still say something


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contract that a payment may belong to, and what speaks for it.

    Args:
        account: `here` where the payment's account is the designated one on the value date,
            `elsewhere` where another account is, `none` where the contract has none.
        usable: False where the contract's price or currency forbids a match.
    """

    contract_id: UUID
    account_version_id: UUID | None
    account: Literal["here", "elsewhere", "none"]
    evidence: tuple[str, ...]
    usable: bool = True

    @property
    def score(self) -> int:
        best: dict[str, int] = {}
        for name in self.evidence:
            best[GROUP[name]] = max(best.get(GROUP[name], 0), POINTS[name])
        return sum(best.values())


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a payment; `rule` names the evidence that decided."""

    word: Word
    chosen: Candidate | None
    rule: str
    candidates: tuple[Candidate, ...]


def decide(candidates: Sequence[Candidate], *, is_designated: bool) -> Decision:
    """Decide one payment from all that speaks for each contract.

    Args:
        is_designated: the account is the designated one of some contract on the value date: what
            comes in there needs a home, so doubt is a case and not silence.
    """
    ranked = sorted(candidates, key=lambda each: (-each.score, str(each.contract_id)))
    shown = tuple(each for each in ranked if each.score)[:5]
    best = ranked[0] if ranked else None
    if best is not None:
        is_ahead = len(ranked) < 2 or best.score - ranked[1].score >= LEAD
        is_sure = is_ahead and best.usable and best.score >= THRESHOLD
        is_alarm = is_sure and best.score >= CERTAIN and "number" in best.evidence
        rule = "+".join(best.evidence)
        if is_sure and best.account == "here":
            return Decision("matched", best, rule, shown)
        if is_alarm and best.account == "elsewhere":
            return Decision("diverted", best, rule, shown)
    is_case = is_designated or (best is not None and best.score >= WORTH_A_LOOK)
    return Decision("exception" if is_case else "unmatched", None, "", shown)


def stands_alone(number: str, text: str) -> bool | None:
    """Whether a number is in a text by itself; None where it is not in it at all.

    A digit before or after it may belong to a longer number.
    """
    found = None
    at = text.find(number)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(number) : at + len(number) + 1]
        if not (_alike(before, number[0]) or _alike(after, number[-1])):
            return True
        found = False
        at = text.find(number, at + 1)
    return found


def _alike(neighbour: str, edge: str) -> bool:
    """Whether a neighbour continues a number: a digit after a digit, a letter after a letter."""
    if not neighbour.isascii() or not edge.isascii():
        return False
    return (neighbour.isdigit() and edge.isdigit()) or (neighbour.isalpha() and edge.isalpha())


def payer_evidence(payer_key: str, purchaser_key: str) -> str | None:
    """`payer` for the purchaser's name, `payer-cut` for the beginning of it."""
    if not payer_key or not purchaser_key:
        return None
    if payer_key == purchaser_key:
        return "payer"
    shorter, longer = sorted((payer_key, purchaser_key), key=len)
    is_cut = len(shorter) >= SHORTEST_CUT and longer.startswith(shorter)
    return "payer-cut" if is_cut else None
