"""What the broker does when a bank does what banks do: real sockets both ways, faults on demand.

`CASES` says for each situation between a broker and one bank, by its number, which test holds it.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from bank_adapters.port import Garbled, Receipt
from bank_adapters.registry import Door
from bank_adapters.rest_jws import RestJws
from financing import work
from financing.evidence.keys import Keys
from financing.evidence.webhook_key import Key
from financing.journeys import banks
from financing.values import ids
from financing.values.times import wall_now
from tests.conftest import Web
from tests.lending import Lending, lending
from tests.sandbox import wait_for
from tests.verifying import OPENING, SUPPLIER, World

T = TypeVar("T")

PLACES = {
    "HERE": "tests.faces.test_bank_faults",
    "ADAPTER": "tests.faces.test_rest_jws",
    "FORGED": "tests.faces.test_forged_events",
    "ANSWERS": "tests.journeys.test_answers",
    "KILLED": "tests.faults.test_killed_errand",
}
CASES = """
C01 HERE test_one_path_for_poll_and_event
C02 HERE test_one_path_for_poll_and_event
C03 HERE test_one_path_for_poll_and_event
C04 HERE test_what_is_missing_in_a_batch_is_asked_for
C05 KILLED test_a_submission_that_never_arrived_is_sent_again_after_two_questions
C06 HERE test_an_unknown_outcome_is_asked_for_and_found
C07 HERE test_an_unknown_outcome_is_asked_for_and_found
C08 HERE test_a_bank_that_cannot_be_reached_gets_the_same_request_later
C09 HERE test_a_bank_that_says_later_is_left_alone_until_then
C10 HERE test_a_bank_that_says_later_is_left_alone_until_then
C11 HERE test_a_late_event_is_ordered_in
C12 FORGED test_12_a_replay_with_another_body_is_refused_and_the_same_body_is_no_forgery
C13 ANSWERS test_a_repeated_event_is_one_event_in_effect
C14 HERE test_events_in_reverse_end_as_in_order
C15 HERE test_a_gap_is_closed_by_the_feed
C16 HERE test_a_bank_that_contradicts_itself_is_held
C17 HERE test_a_bank_that_goes_back_moves_nothing_and_is_told_of_once
C18 HERE test_a_word_nobody_knows_is_kept_counted_and_told_once
C19 ADAPTER test_a_fault_while_submitting_has_its_kind_and_the_bank_can_be_asked
C20 ADAPTER test_a_fault_while_submitting_has_its_kind_and_the_bank_can_be_asked
C21 ADAPTER test_a_fault_while_submitting_has_its_kind_and_the_bank_can_be_asked
C22 HERE test_a_badly_signed_event_is_refused_and_its_next_attempt_counts
C23 HERE test_a_badly_signed_event_is_refused_and_its_next_attempt_counts
C24 ANSWERS test_an_id_that_was_used_for_another_body_is_refused_and_kept_out
C25 HERE test_an_event_about_another_application_is_parked
C26 ANSWERS test_an_offer_on_something_else_than_was_sent_is_held
C28 HERE test_a_rotated_key_counts_once_it_is_registered
C29 HERE test_a_bank_that_does_not_take_our_key_stops_and_loses_nothing
C31 ANSWERS test_a_withdrawn_application_tells_the_bank_and_takes_no_offer
C33 ANSWERS test_an_offer_that_has_ended_cannot_be_accepted_and_expires_by_itself
C34 HERE test_an_offer_that_the_bank_calls_lapsed_frees_the_claim
C35 ANSWERS test_an_amended_offer_replaces_the_open_one_and_the_old_digest_is_worth_nothing
C37 KILLED test_an_acceptance_in_flight_makes_one_loan
C38 ANSWERS test_money_before_a_loan_is_held_and_books_nothing
C39 ANSWERS test_a_refusal_after_acceptance_frees_the_claim
C40 HERE test_payouts_in_parts_add_up_and_too_much_is_held
C41 HERE test_payouts_in_parts_add_up_and_too_much_is_held
C45 KILLED test_an_answer_that_was_read_and_not_written_down_is_asked_for
C48 HERE test_an_adapter_that_fails_or_answers_what_was_not_asked_is_garbled
C49 HERE test_a_badly_signed_event_is_refused_and_its_next_attempt_counts
"""


def test_every_case_names_a_test_that_exists() -> None:
    for line in CASES.split("\n")[1:-1]:
        case, place, name = line.split(" ")
        assert callable(getattr(importlib.import_module(PLACES[place]), name, None)), case


@pytest.fixture
def world(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(web.ctx, owner, set_clock)


@pytest.fixture
def lent(web: Web, world: World, tmp_path: Path) -> Iterator[Lending]:
    """A bank that sends events; its feed is read when a test asks."""
    with lending(world, tmp_path / "bank", broker_url=web.url) as made:
        yield made


@pytest.fixture
def quiet(world: World, tmp_path: Path) -> Iterator[Lending]:
    """A bank that answers by its feed alone."""
    with lending(world, tmp_path / "bank") as made:
        yield made


def working(known: Lending, found: Callable[[], T | None], what: str) -> T:
    """Do all that is due, again and again, until a condition gives something."""

    def once() -> T | None:
        work.run_due(known.world.ctx)
        return found()

    return wait_for(once, what)


def becomes(known: Lending, case: UUID, state: str) -> None:
    working(known, lambda: True if known.row(case).state == state else None, f"state {state}")


def poll(known: Lending) -> None:
    """Read the bank's feed now, and do what follows."""
    with known.world.owner.begin() as link:
        link.execute(
            text("INSERT INTO outbox (kind, bank, key, due) VALUES ('poll', :b, :k, now())"),
            {"b": known.house.name, "k": f"poll:test:{ids.show('rq', ids.new_id())}"},
        )
    work.run_due(known.world.ctx)


def polled(known: Lending, case: UUID, state: str) -> None:
    def found() -> bool | None:
        poll(known)
        return True if known.row(case).state == state else None

    working(known, found, f"state {state}")


def delivered(known: Lending, case: UUID, last: str) -> list[Any]:
    """The bank's changes of a case, once the last is this one and none is on its way any more."""

    def found() -> list[Any] | None:
        said = known.house.case(ids.show("ap", case))["changes"]
        ended = said and said[-1]["said"]["status"] == last
        over = all(one["delivery"] in ("done", "failed") for one in said)
        return said if ended and over else None

    return working(known, found, f"the bank to have told of {last}")


def now_due(known: Lending, kind: str) -> None:
    """Let the time pass that this kind of work waits for."""
    with known.world.owner.begin() as link:
        link.execute(
            text("UPDATE outbox SET due = now() WHERE kind = :kind AND done IS NULL"),
            {"kind": kind},
        )


# ── One path ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("told_by", ["poll", "event", "signed by RFC 9421", "both"])
def test_one_path_for_poll_and_event(web: Web, world: World, tmp_path: Path, told_by: str) -> None:
    signs = "rfc9421" if "9421" in told_by else "standard_webhooks"
    with lending(
        world,
        tmp_path / "bank",
        broker_url="" if told_by == "poll" else web.url,
        behaviour={"signs": signs},
    ) as known:
        if signs == "rfc9421":
            material = base64.b64decode(known.house.webhook_key[5:])
            key = Key("ed25519", material, wall_now(), name=known.house.key_name)
            with world.ctx.begin() as tx:
                banks.add_key(tx, known.bank_id, key)
        case = known.apply()
        reach = polled if told_by in ("poll", "both") else becomes
        reach(known, case, "offered")
        known.accept(case)
        reach(known, case, "drawn")
        if told_by == "both":
            delivered(known, case, "disbursed")
        assert world.events(case) == [
            "draft", "submit", "acked", "review", "offer", "accept_offer", "contract", "lock",
            "draw",
        ]  # fmt: skip
        assert world.count("SELECT count(*) FROM drawdown") == 1
        heard = world.count("SELECT count(*) FROM inbox")
        assert heard == (0 if told_by == "poll" else 7)
        known.assert_books_agree()


# ── Requests ─────────────────────────────────────────────────────────────────────────────────


def test_what_is_missing_in_a_batch_is_asked_for(quiet: Lending) -> None:
    cases = [quiet.apply(n) for n in (1, 2, 3)]
    quiet.house.fault("batch-part", firm=SUPPLIER)
    work.run_due(quiet.world.ctx)
    quiet.house.control("DELETE", "/faults")
    states = sorted(quiet.row(case).state for case in cases)
    assert states == ["asking", "submitted", "submitted"], "the others do not wait"
    (asked,) = (case for case in cases if quiet.row(case).state == "asking")
    assert quiet.house.case(ids.show("ap", asked)) is None
    now_due(quiet, "ask")
    work.run_due(quiet.world.ctx)
    with quiet.world.owner.begin() as link:
        minute = "UPDATE application SET never_seen_at = never_seen_at - interval '61 seconds'"
        link.execute(text(minute))
    now_due(quiet, "ask")
    work.run_due(quiet.world.ctx)
    for case in cases:
        polled(quiet, case, "offered")
    assert len(quiet.house.control("GET", "/cases")["cases"]) == 3
    quiet.assert_books_agree()


@pytest.mark.parametrize("fault", ["error-after", "foreign-reference"])
def test_an_unknown_outcome_is_asked_for_and_found(quiet: Lending, fault: str) -> None:
    case = quiet.apply()
    quiet.house.fault(fault, firm=SUPPLIER)
    work.run_due(quiet.world.ctx)
    quiet.house.control("DELETE", "/faults")
    polled(quiet, case, "offered")
    happened = quiet.world.events(case)
    assert "unclear" in happened, "a bad answer is no refusal, and no yes"
    assert ("hold" in happened) == (fault == "foreign-reference")
    assert quiet.row(case).hold_at is None, "an answer that fits frees it"
    assert (quiet.calls("submit"), quiet.calls("ask")) == (1, 1)
    quiet.assert_books_agree()


def test_a_bank_that_cannot_be_reached_gets_the_same_request_later(quiet: Lending) -> None:
    with quiet.world.owner.begin() as link:
        link.execute(text("UPDATE bank SET base_url = 'http://127.0.0.1:9'"))
    case = quiet.apply()
    request_id = quiet.row(case).request_id
    work.run_due(quiet.world.ctx)
    assert quiet.row(case).state == "sending"
    left = "SELECT count(*) FROM outbox WHERE kind = 'submit' AND done IS NULL AND sent_at IS NULL"
    assert quiet.world.count(left) == 1, "not one byte left, so nobody has to be asked"
    with quiet.world.owner.begin() as link:
        link.execute(text("UPDATE bank SET base_url = :url"), {"url": quiet.house.url})
    now_due(quiet, "submit")
    work.run_due(quiet.world.ctx)
    polled(quiet, case, "offered")
    assert quiet.row(case).request_id == request_id
    quiet.assert_books_agree()


@pytest.mark.parametrize(("fault", "wait_s"), [("maintenance", 1800), ("busy", 90)])
def test_a_bank_that_says_later_is_left_alone_until_then(
    quiet: Lending, fault: str, wait_s: int
) -> None:
    case = quiet.apply()
    quiet.house.fault(fault, firm=SUPPLIER, seconds=wait_s)
    work.run_due(quiet.world.ctx)
    work.run_due(quiet.world.ctx)
    assert quiet.calls("submit") == 1, "no second try before the bank wants one"
    due = "SELECT extract(epoch FROM due - now()) FROM outbox WHERE kind = 'submit'"
    assert wait_s - 15 <= quiet.world.count(due) <= wait_s + 5
    quiet.house.control("DELETE", "/faults")
    now_due(quiet, "submit")
    work.run_due(quiet.world.ctx)
    polled(quiet, case, "offered")
    quiet.assert_books_agree()


def test_a_bank_that_does_not_take_our_key_stops_and_loses_nothing(
    quiet: Lending, tmp_path: Path
) -> None:
    case = quiet.apply()
    unknown_to_the_bank = replace(quiet.world.ctx, keys=Keys.open(tmp_path / "new"))
    work.run_lane(unknown_to_the_bank, "submit", quiet.house.name, "test")
    assert quiet.world.count("SELECT count(*) FROM bank WHERE stopped_at IS NOT NULL") == 1
    assert quiet.row(case).state == "sending"
    assert quiet.house.case(ids.show("ap", case)) is None
    now_due(quiet, "submit")
    work.run_due(quiet.world.ctx)
    assert quiet.calls("submit") == 1, "stopped until somebody has mended the key"
    with quiet.world.owner.begin() as link:
        link.execute(text("UPDATE bank SET stopped_at = NULL"))
    now_due(quiet, "submit")
    work.run_due(quiet.world.ctx)
    polled(quiet, case, "offered")
    quiet.assert_books_agree()


def test_an_adapter_that_fails_or_answers_what_was_not_asked_is_garbled(quiet: Lending) -> None:
    class Faulty(RestJws):
        def submit(self, call: Any, items: Any) -> Any:
            raise ZeroDivisionError

        def accept(self, call: Any, items: Any) -> Any:
            return [Receipt("rq_of_nobody", "taken")]

    with quiet.world.ctx.begin() as tx:
        row = banks.by_code(tx, quiet.house.name)
    _, call = banks.line(quiet.world.ctx, row, "test")
    door = Door(Faulty())
    with pytest.raises(Garbled, match="rest_jws failed: ZeroDivisionError"):
        door.submit(call, [])
    with pytest.raises(Garbled, match="not sent"):
        door.accept(call, [])


# ── Events ───────────────────────────────────────────────────────────────────────────────────


def test_a_late_event_is_ordered_in(lent: Lending) -> None:
    lent.house.fault("late", firm=SUPPLIER, seconds=3600)
    case = lent.apply()
    becomes(lent, case, "submitted")
    lent.house.reaches(ids.show("ap", case), "offered")
    lent.house.control("DELETE", "/faults")
    polled(lent, case, "offered")
    before = lent.world.events(case)
    lent.house.set_clock(OPENING.date() + timedelta(days=1))
    delivered(lent, case, "offered")
    work.run_due(lent.world.ctx)
    assert lent.world.events(case) == before, "hours late, and nothing to do any more"
    assert lent.world.count("SELECT count(*) FROM inbox WHERE outcome = 'confirmed'") == 3


def test_events_in_reverse_end_as_in_order(lent: Lending) -> None:
    lent.house.fault("reordered", next=3)
    case = lent.apply()
    becomes(lent, case, "offered")
    assert lent.world.events(case) == ["draft", "submit", "acked", "review", "offer"]


def test_a_gap_is_closed_by_the_feed(lent: Lending) -> None:
    lent.house.fault("late", next=1, seconds=10**6)  # the first event does not come
    case = lent.apply()
    delivered_two = "SELECT count(*) FROM inbox"
    working(lent, lambda: lent.world.count(delivered_two) == 2 or None, "the other two")
    assert lent.row(case).state == "submitted"
    poll(lent)
    now_due(lent, "answer")
    work.run_due(lent.world.ctx)
    assert lent.row(case).state == "offered"
    assert lent.world.count("SELECT count(*) FROM inbox WHERE outcome IS NULL") == 0


def test_a_bank_that_contradicts_itself_is_held(lent: Lending) -> None:
    lent.house.fault("contradict", firm=SUPPLIER)
    case = lent.apply()
    becomes(lent, case, "refused")
    poll(lent)  # the feed says offered under the same number
    assert lent.row(case).state == "refused"
    assert lent.world.count("SELECT count(*) FROM offer") == 0
    assert words(lent) == {"two answers under sequence 3, refused": 1}
    assert told(lent) == 1


def test_a_bank_that_goes_back_moves_nothing_and_is_told_of_once(lent: Lending) -> None:
    lent.house.fault("status-back", firm=SUPPLIER)
    case = lent.apply()
    becomes(lent, case, "offered")
    lent.accept(case)
    delivered(lent, case, "reviewing")
    work.run_due(lent.world.ctx)
    assert lent.row(case).state == "drawn"
    assert words(lent) == {"reviewing after drawn": 1}
    assert told(lent) == 1


def test_a_word_nobody_knows_is_kept_counted_and_told_once(lent: Lending) -> None:
    operator(lent)
    for n in (1, 2):
        lent.house.fault("unknown-status", firm=SUPPLIER)
        case = lent.apply(n)
        becomes(lent, case, "offered")
        lent.house.control("DELETE", "/faults")
    work.run_due(lent.world.ctx)
    (word,) = words(lent)
    assert "precheck_passed" in word and words(lent)[word] == 2
    assert lent.world.count("SELECT count(*) FROM inbox WHERE outcome = 'kept'") == 2
    assert lent.world.count("SELECT count(*) FROM notice WHERE kind = 'NEW-WORD'") == 1


def operator(known: Lending) -> None:
    known_id = ids.new_id()
    with known.world.owner.begin() as link:
        link.execute(
            text(
                "INSERT INTO organisation (id, kind, scheme, identifier, name, name_key,"
                " created_at) VALUES (:id, 'platform', 'name', 'p', 'p', 'p', now())"
            ),
            {"id": known_id},
        )


def words(known: Lending) -> dict[str, int]:
    with known.world.owner.connect() as link:
        return {row.word: row.times for row in link.execute(text("SELECT * FROM bank_word"))}


def told(known: Lending) -> int:
    return known.world.count("SELECT count(*) FROM outbox WHERE key LIKE 'notify:word:%'")


@pytest.mark.parametrize(
    ("fault", "slug"),
    [("bad-signature", "signature-mismatch"), ("old-timestamp", "timestamp-too-old")],
)
@pytest.mark.parametrize("signs", ["standard_webhooks", "rfc9421"])
def test_a_badly_signed_event_is_refused_and_its_next_attempt_counts(
    web: Web, world: World, tmp_path: Path, signs: str, fault: str, slug: str
) -> None:
    with lending(world, tmp_path / "bank", broker_url=web.url, behaviour={"signs": signs}) as known:
        material = base64.b64decode(known.house.webhook_key[5:])
        with world.ctx.begin() as tx:
            key = Key("ed25519", material, wall_now(), name=known.house.key_name)
            banks.add_key(tx, known.bank_id, key)
        known.house.fault(fault, next=1)
        case = known.apply()
        becomes(known, case, "offered")
        with world.owner.connect() as link:
            refused = link.execute(text("SELECT slug, sum(times) FROM refused_event GROUP BY 1"))
            assert [tuple(row) for row in refused] == [(slug, 1)]
        assert world.count("SELECT count(*) FROM inbox") == 3


def test_an_event_about_another_application_is_parked(lent: Lending) -> None:
    lent.house.fault("foreign-reference", firm=SUPPLIER)  # receipt and events alike
    case = lent.apply()
    delivered(lent, case, "offered")
    becomes(lent, case, "offered")
    assert lent.row(case).hold_at is None, "the bank was asked, and its answer fits"
    put_aside = "SELECT count(*) FROM parked WHERE reason LIKE 'APPLICATION-UNKNOWN%'"
    assert lent.world.count(put_aside) == 3
    assert lent.world.count("SELECT count(*) FROM inbox WHERE outcome = 'parked'") == 3


def test_a_rotated_key_counts_once_it_is_registered(lent: Lending) -> None:
    lent.house.fault("rotate-key", next=1)
    first = lent.apply(1)
    becomes(lent, first, "offered")
    refused = "SELECT coalesce(sum(times), 0) FROM refused_event"
    assert lent.world.count(refused) == 1, "a key that nobody registered; then the old one again"
    new = base64.b64decode(lent.house.next_webhook_key[5:])
    with lent.world.ctx.begin() as tx:
        banks.add_key(tx, lent.bank_id, Key("v1a", new, wall_now()))
    lent.house.fault("rotate-key", next=1)
    second = lent.apply(2)
    becomes(lent, second, "offered")
    assert lent.world.count(refused) == 1
    assert lent.world.count("SELECT count(DISTINCT key_id) FROM inbox") == 2


# ── Lending ──────────────────────────────────────────────────────────────────────────────────


def test_an_offer_that_the_bank_calls_lapsed_frees_the_claim(world: World, tmp_path: Path) -> None:
    with lending(world, tmp_path / "bank", behaviour={"valid_s": 3600}) as known:
        case = known.apply()
        polled(known, case, "offered")
        known.house.set_clock(OPENING.date() + timedelta(days=1))
        known.accept(case)
        polled(known, case, "failed")
        assert known.row(case).reason_code == "R82"
        assert world.count("SELECT held_fen FROM contract") == 0


@pytest.mark.parametrize(
    ("fault", "draws", "held"), [("partial-payout", 2, False), ("over-payout", 0, True)]
)
def test_payouts_in_parts_add_up_and_too_much_is_held(
    quiet: Lending, fault: str, draws: int, held: bool
) -> None:
    quiet.house.fault(fault, firm=SUPPLIER)
    case = quiet.apply()
    polled(quiet, case, "offered")
    quiet.accept(case)
    polled(quiet, case, "locked" if held else "drawn")
    quiet.house.reaches(ids.show("ap", case), "drawn")
    poll(quiet)
    assert quiet.world.count("SELECT count(*) FROM drawdown") == draws
    assert (quiet.row(case).hold_at is not None) == held
    if not held:
        quiet.assert_books_agree()
