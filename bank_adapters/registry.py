"""Adapters by name, each behind a door that no adapter's fault passes.

Adapters are found by entry point `financing.bank_adapters`: one of ours and a stranger's package
are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar, cast

from bank_adapters.port import (
    Acceptance,
    Adapter,
    BankError,
    Call,
    Cancellation,
    Capabilities,
    Delivery,
    Garbled,
    PollPage,
    PollQuery,
    Receipt,
    Report,
    Submission,
)
from financing.errors import FinancingError, NotFound

GROUP = "financing.bank_adapters"

_T = TypeVar("_T")


@cache
def adapter(name: str) -> Adapter:
    """The adapter of this name, behind its door.

    Raises:
        NotFound: no installed package offers it.
    """
    for point in entry_points(group=GROUP):
        if point.name == name:
            return Door(cast(Adapter, point.load()()))
    raise NotFound(
        f"no bank adapter is called {name!r}",
        where="adapter",
        remedy=f"Installed are: {', '.join(names()) or 'none'}.",
    )


def names() -> tuple[str, ...]:
    """Names of all installed adapters, sorted."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP)))


@dataclass(frozen=True, slots=True)
class Door:
    """An adapter whose every fault is a `BankError` and whose receipts answer what was asked.

    Each verb gets a deadline of its own.
    """

    _adapter: Adapter

    @property
    def name(self) -> str:
        return self._adapter.name

    @property
    def capabilities(self) -> Capabilities:
        return self._adapter.capabilities

    def submit(self, call: Call, items: Sequence[Submission]) -> Sequence[Receipt]:
        receipts = self._safely(lambda: self._adapter.submit(call.renewed(), items))
        return self._asked(receipts, [item.request_id for item in items])

    def poll(self, call: Call, query: PollQuery) -> PollPage:
        page = self._safely(lambda: self._adapter.poll(call.renewed(), query))
        strangers = set(page.missing) - {case.request_id for case in query.cases}
        if strangers:
            raise Garbled(f"{self.name} misses requests that were not asked for", where="missing")
        return page

    def accept(self, call: Call, items: Sequence[Acceptance]) -> Sequence[Receipt]:
        receipts = self._safely(lambda: self._adapter.accept(call.renewed(), items))
        return self._asked(receipts, [item.request_id for item in items])

    def cancel(self, call: Call, items: Sequence[Cancellation]) -> Sequence[Receipt]:
        receipts = self._safely(lambda: self._adapter.cancel(call.renewed(), items))
        return self._asked(receipts, [item.request_id for item in items])

    def parse_event(self, delivery: Delivery) -> Sequence[Report]:
        return self._safely(lambda: self._adapter.parse_event(delivery))

    def _safely(self, verb: Callable[[], _T]) -> _T:
        try:
            return verb()
        except BankError:
            raise
        except FinancingError as problem:
            raise Garbled(
                f"{self.name}: {problem.detail}", where=problem.where, remedy=problem.remedy
            ) from problem
        except Exception as problem:  # a stranger's code: its fault stops its own bank only
            raise Garbled(f"the adapter {self.name} failed: {type(problem).__name__}") from problem

    def _asked(self, receipts: Sequence[Receipt], asked: Iterable[str]) -> Sequence[Receipt]:
        if {receipt.request_id for receipt in receipts} - set(asked):
            raise Garbled(f"{self.name} has receipts for what was not sent", where="receipts")
        return receipts
