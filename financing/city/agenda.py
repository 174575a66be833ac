"""What happens on which day: a heap of dated happenings that moves the business clock.

Happenings of one instant come in the order in which they were put down. A happening may put down
others, never in its past.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Agenda:
    """The demo's calendar.

    Args:
        move_to: called with each instant before what happens then.
    """

    move_to: Callable[[datetime], None]
    now: datetime
    _heap: list[tuple[datetime, int, Callable[[], object]]] = field(default_factory=list)
    _count: int = 0

    def put(self, when: datetime, happening: Callable[[], object]) -> None:
        """Put down what is to happen; what should have happened already happens now."""
        self._count += 1
        heapq.heappush(self._heap, (max(when, self.now), self._count, happening))

    def run(self) -> None:
        """Let everything happen in order, moving the clock from instant to instant."""
        while self._heap:
            when, _, happening = heapq.heappop(self._heap)
            if when > self.now:
                self.now = when
                self.move_to(when)
            happening()
