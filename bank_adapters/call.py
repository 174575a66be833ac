"""The only socket towards banks: limits, signatures both ways, errors told apart, a transcript.

One request goes out and one answer comes back, or one of the kinds of `BankError`. Nothing is
ever sent a second time here: whether to send again is the host's decision, by request id.

What is signed, detached in the bank's signature header: of a request with a body the body, of one
without its target (`/applications?since=c_17`); of an answer its body.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from bank_adapters.port import (
    Answer,
    AuthFailed,
    BankConfig,
    BankError,
    Exchange,
    Garbled,
    Http,
    NotSent,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from financing.errors import FinancingError
from financing.values import strict_json
from financing.values.text import clean

_PIECE = 65_536
_LONGEST_WAIT_S = 86_400
_TOO_LONG = "the bank did not finish its answer in time"

Sign = Callable[[bytes], str]
Verify = Callable[[bytes, str], None]


# ── The cut ──────────────────────────────────────────────────────────────────────────────────


class _Watch:
    """Ends one request at its deadline, however slowly the other side drips.

    A time-out of the socket starts anew with each byte, so a bank that sends one byte a second
    would hold a worker for ever. The watch shuts the connection down from a timer's thread; a
    read that waits then ends at once.
    """

    def __init__(self, seconds: float) -> None:
        self.fired = False
        self.sends = 0  # 1 is the head of the request, more is its body
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(max(seconds, 0), self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Watch:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for known in self._sockets:
                known.close()
            self._sockets = []

    def follow(self, connected: socket.socket) -> None:
        # A descriptor of our own: a TLS socket takes over the plain one's during its handshake.
        own = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            self._sockets.append(own)
        if self.fired:
            self._shut(own)

    def _cut(self) -> None:
        with self._lock:
            self.fired = True
            for known in self._sockets:
                self._shut(known)

    @staticmethod
    def _shut(known: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other side may have gone already
            known.shutdown(socket.SHUT_RDWR)


_WATCH: ContextVar[_Watch | None] = ContextVar("watch", default=None)


class _Watched:
    """What both connection classes add: the current watch sees the socket and counts sends."""

    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]  # urllib3's, by mixin
        watch = _WATCH.get()
        if watch is not None:
            watch.follow(made)
        return made

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]  # before any send, so that sends count
        elif (watch := _WATCH.get()) is not None:
            watch.follow(self.sock)  # kept alive from an earlier request
        super().request(*args, **kwargs)  # type: ignore[misc]  # by mixin

    def send(self, data: Any) -> None:
        watch = _WATCH.get()
        if watch is not None:
            watch.sends += 1
        super().send(data)  # type: ignore[misc]  # by mixin


class _Plain(_Watched, HTTPConnection):
    pass


class _Tls(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


class _Pools(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy, no .netrc, no CA bundle from the environment
    session.headers.clear()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Pools(max_retries=0))
    return session


# ── The call ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Call:
    """A line to one bank; its connections are kept while it lives.

    Args:
        sign: detached signature of bytes, as the bank's signature header carries it.
        verify: raises when a signature is not the bank's over these bytes.
        now: the wall clock.
        record: takes each line of the transcript; called with no transaction open.
    """

    config: BankConfig
    sign: Sign
    verify: Verify
    now: Callable[[], datetime]
    record: Callable[[Exchange], None]
    _session: requests.Session = field(default_factory=_session, repr=False)
    _since: float = field(default_factory=time.perf_counter, repr=False)

    @property
    def http(self) -> Http:
        return self

    def renewed(self) -> Call:
        """The same line for one more verb: its deadline starts now."""
        return replace(self, _since=time.perf_counter())

    def close(self) -> None:
        """Close the connections that are kept."""
        self._session.close()

    def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one signed request; see `Http.request`."""
        began_at, began = self.now(), time.perf_counter()
        status: int | None = None
        received = 0
        outcome = "ok"
        try:
            status, headers, content = self._exchange(method, _target(path, query), body)
            received = len(content)
            return self._judged(status, headers, content)
        except BankError as problem:
            outcome = problem.slug
            raise
        finally:
            names = "&".join(f"{name}=…" for name in query or ())
            self.record(
                Exchange(
                    at=began_at,
                    bank=self.config.name,
                    method=method,
                    path=f"{path}?{names}" if names else path,
                    status=status,
                    ms=round((time.perf_counter() - began) * 1000),
                    sent_bytes=len(body),
                    received_bytes=received,
                    outcome=outcome,
                )
            )

    def _exchange(
        self, method: str, target: str, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        left = self.config.deadline_s - (time.perf_counter() - self._since)
        if left <= 0:
            raise NotSent("the time for this verb is used up before the request could leave")
        request = self._session.prepare_request(
            requests.Request(
                method,
                self.config.base_url.rstrip("/") + target,
                data=body or None,
                headers=self._headers(target, body),
            )
        )
        with _Watch(left) as watch:
            token = _WATCH.set(watch)
            try:
                return self._send(request, watch)
            except (requests.RequestException, HTTPError, OSError) as error:
                raise self._failure(error, watch, has_body=bool(body)) from error
            finally:
                _WATCH.reset(token)

    def _headers(self, target: str, body: bytes) -> dict[str, str]:
        headers = {
            "User-Agent": "financing",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # what is read is what is counted: no bombs
            self.config.signature_header: self.sign(body or target.encode("ascii")),
        }
        if body:
            headers["Content-Type"] = "application/json"
        return headers

    def _send(
        self, request: requests.PreparedRequest, watch: _Watch
    ) -> tuple[int, Mapping[str, str], bytes]:
        response = self._session.send(
            request,
            stream=True,
            timeout=self.config.timeout_s,
            verify=self.config.ca_file or True,
            allow_redirects=False,
        )
        with response:
            pieces: list[bytes] = []
            size = 0
            while piece := response.raw.read(_PIECE, decode_content=False):
                size += len(piece)
                if size > self.config.answer_limit:
                    raise Garbled(
                        f"the answer is longer than {self.config.answer_limit} bytes", where="body"
                    )
                pieces.append(piece)
            if watch.fired:  # an answer without a length looks complete when it is cut
                raise OutcomeUnknown(_TOO_LONG, where="deadline")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status_code, headers, b"".join(pieces)

    def _failure(self, error: Exception, watch: _Watch, *, has_body: bool) -> BankError:
        if watch.sends <= (1 if has_body else 0):
            return NotSent(
                f"the bank could not be reached: {type(error).__name__}",
                where=self.config.name,
                remedy="The request waits and goes out again by itself.",
            )
        if watch.fired:
            return OutcomeUnknown(_TOO_LONG, where="deadline")
        return OutcomeUnknown(
            f"the connection broke before the answer was whole: {type(error).__name__}",
            where=self.config.name,
        )

    # ── What the answer means ────────────────────────────────────────────────────────────────

    def _judged(self, status: int, headers: Mapping[str, str], content: bytes) -> Answer:
        if status in (401, 403):
            raise AuthFailed(
                f"the bank does not take our signature ({status})",
                where=self.config.name,
                remedy="Give the bank our current public key, then start its queue again.",
            )
        if status == 429:
            raise Throttled("the bank asks for fewer requests", retry_after_s=self._wait(headers))
        if status == 503:
            raise Unavailable("the bank is closed for now", retry_after_s=self._wait(headers))
        if status >= 500:
            raise OutcomeUnknown(f"the bank failed inside ({status})", where=f"status {status}")
        if status >= 400:
            raise self._rejection(status, headers, content)
        if not 200 <= status < 300:
            raise Garbled(f"the bank answered with status {status}", where=f"status {status}")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or "content-encoding" in headers:
            raise Garbled(f"the answer is {clean(kind)[:40] or 'of no type'}", where="content-type")
        try:
            self._verify(headers, content)
        except FinancingError as problem:
            raise Garbled(
                f"the answer's signature does not hold: {problem.detail}",
                where=self.config.signature_header,
                remedy="Compare the key registered for this bank with the one it signs with.",
            ) from problem
        return Answer(status, content, headers)

    def _verify(self, headers: Mapping[str, str], content: bytes) -> None:
        self.verify(content, headers.get(self.config.signature_header.lower(), ""))

    def _rejection(self, status: int, headers: Mapping[str, str], content: bytes) -> Rejected:
        """A code counts only where the bank has signed it: any proxy can answer 404."""
        code, text = "", ""
        with contextlib.suppress(FinancingError):
            self._verify(headers, content)
            problem = strict_json.loads(content)
            if isinstance(problem, dict):
                code, text = (str(problem.get(name) or "") for name in ("code", "detail"))
        return Rejected(
            clean(text)[:500] or f"the bank refuses the request ({status})",
            code=code,
            where=f"status {status}",
        )

    def _wait(self, headers: Mapping[str, str]) -> int | None:
        """`Retry-After` in either form, in seconds. Source: RFC 9110, section 10.2.3."""
        stated = headers.get("retry-after", "").strip()
        if stated.isascii() and stated.isdigit():
            return min(int(stated[:9]), _LONGEST_WAIT_S)
        try:
            until = parsedate_to_datetime(stated)
        except ValueError:
            return None
        if until.tzinfo is None:
            return None
        return min(max(int((until - self.now()).total_seconds()), 0), _LONGEST_WAIT_S)


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query, safe=',')}" if query else path
