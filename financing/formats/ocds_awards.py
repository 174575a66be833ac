"""Awards (中标结果) that stand alone: somebody won, and no contract of the record is under it yet.

1. `unsigned`   the awards of a record that its contracts leave open, with their places
2. `assert_one` whether such an award names its one winner
3. `count`      how many awards of one release stand alone in it

An award that says nothing of its status is decided: it names a winner. A pending one is not.

Source: OCDS 1.1 release schema, `awards`; an award to several suppliers is one to all of them
together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from financing.formats.ocds import Body
from financing.formats.ocds_fields import Parties, Unusable, get, list_of, text_of
from financing.values.contract_facts import ContractFacts, Party, award_key

DECIDED: Final = ("active", "")
ENDED: Final = ("cancelled", "unsuccessful")


def unsigned(
    body: Body, signed: Sequence[ContractFacts], unread: AbstractSet[str]
) -> Iterator[tuple[int, Body]]:
    """Decided and ended awards under which no contract stands, each with its place.

    A contract stands under an award that it names, or that is the only one it can be under, if
    it is with a winner of it. One that cannot be read may be under any, unless it names one.

    Args:
        signed: the contracts of the record.
        unread: the award ids, or nothing, that contracts name that cannot be read.
    """
    awards = [award for award in list_of(body.get("awards")) if isinstance(award, dict)]
    if unread - {text_of(award.get("id")) for award in awards if award.get("id")}:
        return
    covered = {award_key(facts) for facts in signed} | {("", name) for name in unread}
    seen: list[Body] = []
    for position, award in enumerate(list_of(body.get("awards"))):
        if not isinstance(award, dict) or text_of(award.get("status")) not in DECIDED + ENDED:
            continue
        if ("", text_of(award.get("id"))) in covered or award in seen:
            continue
        seen.append(award)
        yield position, award


def assert_one(award: Body, winners: Sequence[Party], body: Body, parties: Parties) -> None:
    """Refuse an award without an id of its own, or won by several together.

    Raises:
        Unusable: what is wrong with it.
    """
    name = text_of(award.get("id"))
    if not name:
        raise Unusable(
            ("id",), award.get("title"), "AWARD-ID: an award without id", "give each award an id"
        )
    if len(winners) > 1:
        raise Unusable(
            ("suppliers",),
            ", ".join(party.name for party in winners),
            "SUPPLIER-SEVERAL: several won together, and no contract names its own supplier",
            "name the contract's own supplier in `contracts[].suppliers`",
        )
    same = [one for one in list_of(body.get("awards")) if text_of(get(one, "id")) == name]
    if len({parties.all(one.get("suppliers")) for one in same}) > 1:
        raise Unusable(
            ("id",),
            name,
            "AWARD-AMBIGUOUS: several awards with this id name different suppliers",
            "give each award an id of its own",
        )


def count(body: Body) -> int:
    """How many awards of one release somebody won, and no contract of that release is under."""
    awards = [award for award in list_of(body.get("awards")) if isinstance(award, dict)]
    ids = {text_of(award.get("id")) for award in awards} - {""}
    named = {text_of(get(contract, "awardID")) for contract in list_of(body.get("contracts"))}
    if named - ids:
        return 0  # a contract that names none of them may be under any
    return sum(
        1
        for award in awards
        if text_of(award.get("status")) in DECIDED
        and list_of(award.get("suppliers"))
        and text_of(award.get("id")) not in named
    )
