"""One JSON object a line to stderr, plain words on a terminal; ids only, never contents."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

# Names whose values never reach a log, whatever they hold.
SECRET_NAMES = re.compile(
    r"authorization|signature|secret|token|password|account_number|id_number|phone",
    re.IGNORECASE,
)
# Values that look like account numbers, tokens, or keys even under an innocent name.
SECRET_VALUES = re.compile(
    r"whs[ec]c?_\S+|whsk_\S+|-----BEGIN[^-]+-----|\b\d{12,}\b|eyJ[\w.-]{20,}"
)

_logger = logging.getLogger("financing")


def scrub(name: str, value: object) -> object:
    """Return the value as a log may hold it."""
    if SECRET_NAMES.search(name):
        return "…"
    return SECRET_VALUES.sub("…", value) if isinstance(value, str) else value


class _Line(logging.Formatter):
    def __init__(self, *, plain: bool) -> None:
        super().__init__()
        self.plain = plain

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = getattr(record, "facts", {})
        event = str(scrub("event", record.getMessage()))
        if self.plain:
            shown = " ".join(f"{name}={value}" for name, value in facts.items())
            line = f"{record.levelname.lower():7} {event} {shown}".rstrip()
        else:
            line = json.dumps(
                {
                    "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
                    "level": record.levelname.lower(),
                    "event": event,
                    **facts,
                },
                ensure_ascii=False,
                default=str,
            )
        if record.exc_info:
            line += "\n" + SECRET_VALUES.sub("…", self.formatException(record.exc_info))
        return line


def set_up(level: str) -> None:
    """Send the log to stderr at this level; called once per process."""
    door = logging.StreamHandler(sys.stderr)
    door.setFormatter(_Line(plain=sys.stderr.isatty()))
    _logger.handlers[:] = [door]
    _logger.setLevel(level.upper())
    _logger.propagate = False


def note(
    event: str,
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
    **facts: object,
) -> None:
    """Write one line: an event's name and ids, scrubbed."""
    cleaned = {name: scrub(name, value) for name, value in facts.items()}
    _logger.log(level, event, extra={"facts": cleaned}, exc_info=error)
