"""Whatever the other side of the socket does, a call ends in time, with the right kind of error."""

from __future__ import annotations

import gzip
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bank_adapters.call import Call
from bank_adapters.port import (
    AuthFailed,
    BankConfig,
    BankError,
    Exchange,
    Garbled,
    NotSent,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from financing.errors import Untrusted

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
Talk = Callable[[socket.socket, threading.Event], None]


@contextmanager
def server(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that lets `talk` do what it likes with each connection."""
    ending = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain, suppress(OSError):
                if context is None:
                    talk(plain, ending)
                    continue
                with context.wrap_socket(plain, server_side=True) as secure:
                    talk(secure, ending)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ending.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def answers(status: str, body: bytes, *headers: str, length: bool = True) -> Talk:
    """Read one request, give one answer."""

    def talk(connection: socket.socket, _: threading.Event) -> None:
        read_request(connection)
        lines = [f"HTTP/1.1 {status}", *headers, "Connection: close"]
        if length:
            lines.append(f"Content-Length: {len(body)}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    return talk


def read_request(connection: socket.socket) -> bytes:
    held = b""
    while b"\r\n\r\n" not in held:
        held += connection.recv(65_536)
    head, _, body = held.partition(b"\r\n\r\n")
    for header in head.decode().split("\r\n"):
        name, _, value = header.partition(":")
        if name.lower() == "content-length":
            while len(body) < int(value):
                body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def check(body: bytes, signature: str) -> None:
    """Stands in for the bank's key: the signature is good when it says so."""
    if signature != f"good-{len(body)}":
        raise Untrusted("not over these bytes")


def call(url: str, seen: list[Exchange] | None = None, **config: object) -> Call:
    return Call(
        config=BankConfig(name="bank-x", adapter="rest_jws", base_url=url, **config),  # type: ignore[arg-type]
        sign=lambda body: f"ours-{len(body)}",
        verify=check,
        now=lambda: NOW,
        record=(seen if seen is not None else []).append,
    )


JSON = "Content-Type: application/json"


def good(body: bytes) -> Talk:
    return answers("200 OK", body, JSON, f"X-JWS-Signature: good-{len(body)}")


def test_a_good_answer_comes_through_and_the_transcript_holds_no_content() -> None:
    seen: list[Exchange] = []
    with server(good(b'{"a":1}')) as url:
        answer = call(url, seen).http.request(
            "GET", "/applications", query={"request_id": "rq_secret", "limit": "5"}
        )
    assert (answer.status, answer.body) == (200, b'{"a":1}')
    (line,) = seen
    assert (line.method, line.status, line.received_bytes, line.outcome) == ("GET", 200, 7, "ok")
    assert line.path == "/applications?request_id=…&limit=…"
    assert (line.at, line.bank, line.sent_bytes) == (NOW, "bank-x", 0)


def test_a_request_is_signed_over_its_body_or_its_target() -> None:
    requests: list[bytes] = []

    def talk(connection: socket.socket, ending: threading.Event) -> None:
        requests.append(read_request(connection))
        body = b"{}"
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-JWS-Signature: good-2\r\n"
            b"Content-Length: 2\r\nConnection: close\r\n\r\n" + body
        )

    with server(talk) as url:
        line = call(url)
        line.http.request("POST", "/applications", body=b'{"items":[]}')
        line.http.request("GET", "/applications", query={"since": "c_17", "limit": "200"})
    assert b"x-jws-signature: ours-12\r\n" in requests[0]
    assert b"GET /applications?since=c_17&limit=200 HTTP/1.1\r\n" in requests[1]
    assert (
        b"x-jws-signature: ours-%d\r\n" % len("/applications?since=c_17&limit=200") in requests[1]
    )


LONG = b" " * 70_000  # good in everything but its length: the limit below is 65,536
LONG_SIGNED = f"X-JWS-Signature: good-{len(LONG)}"
SIGNED_NO = b'{"code":"R14","detail":"not here"}'


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        (answers("200 OK", b"<html>", "Content-Type: text/html"), Garbled),
        (answers("200 OK", b"{}"), Garbled),
        (answers("200 OK", b"{}", JSON), Garbled),
        (answers("200 OK", b"{}", JSON, "X-JWS-Signature: good-3"), Garbled),
        (
            answers(
                "200 OK",
                gzip.compress(b" " * 100),
                JSON,
                "Content-Encoding: gzip",
                f"X-JWS-Signature: good-{len(gzip.compress(b' ' * 100))}",
            ),
            Garbled,
        ),
        (answers("302 Found", b"", "Location: /elsewhere"), Garbled),
        (answers("200 OK", LONG, JSON, LONG_SIGNED), Garbled),
        (answers("200 OK", LONG, JSON, LONG_SIGNED, length=False), Garbled),
        (answers("401 Unauthorized", b""), AuthFailed),
        (answers("403 Forbidden", b""), AuthFailed),
        (answers("404 Not Found", b"<html>"), Rejected),
        (answers("422 No", SIGNED_NO, JSON), Rejected),
        (answers("429 Slow", b"", "Retry-After: 7"), Throttled),
        (answers("503 Closed", b"", "Retry-After: 1800"), Unavailable),
        (answers("500 Broken", b""), OutcomeUnknown),
        (answers("502 Gate", b""), OutcomeUnknown),
        (answers("504 Gate", b""), OutcomeUnknown),
        (lambda connection, _: None, OutcomeUnknown),  # takes the connection, hangs up
        (lambda connection, _: connection.sendall(b"rubbish\r\n\r\n"), OutcomeUnknown),
    ],
)
def test_each_bad_answer_has_its_kind(talk: Talk, kind: type[BankError]) -> None:
    seen: list[Exchange] = []
    with server(talk) as url, pytest.raises(BankError) as caught:
        call(url, seen, answer_limit=65_536).http.request("POST", "/applications", body=b"{}")
    assert type(caught.value) is kind
    assert [line.outcome for line in seen] == [kind.slug]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1800", 1800),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 0),
        ("99999999999999999999", 86_400),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_in_both_forms(said: str, seconds: int | None) -> None:
    closed = answers("503 Closed", b"", f"Retry-After: {said}")
    with server(closed) as url, pytest.raises(Unavailable) as caught:
        call(url).http.request("GET", "/applications")
    assert caught.value.retry_after_s == seconds


def test_only_a_signed_refusal_carries_its_code() -> None:
    signed = answers("422 No", SIGNED_NO, JSON, f"X-JWS-Signature: good-{len(SIGNED_NO)}")
    for talk, code in ((signed, "R14"), (answers("422 No", SIGNED_NO, JSON), "")):
        with server(talk) as url, pytest.raises(Rejected) as caught:
            call(url).http.request("POST", "/applications", body=b"{}")
        assert caught.value.code == code


def test_a_closed_port_means_that_nothing_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotSent):
        call(f"http://127.0.0.1:{port}").http.request("POST", "/applications", body=b"{}")


def slowly(first: bytes, then: bytes) -> Talk:
    def talk(connection: socket.socket, ending: threading.Event) -> None:
        read_request(connection)
        connection.sendall(first)
        while not ending.wait(0.05):
            connection.sendall(then)

    return talk


@pytest.mark.parametrize(
    ("talk", "secure"),
    [
        pytest.param(slowly(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"), False, id="head"),
        pytest.param(
            slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "), False, id="body"
        ),
        pytest.param(slowly(b"HTTP/1.1 200 OK\r\n\r\n", b" "), False, id="body without length"),
        pytest.param(
            slowly(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
            False,
            id="chunks",
        ),
        pytest.param(slowly(b"", b""), False, id="silence"),
        pytest.param(slowly(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"), True, id="head under TLS"),
        pytest.param(slowly(b"HTTP/1.1 200 OK\r\n\r\n", b" "), True, id="body under TLS"),
    ],
)
def test_a_dripping_bank_is_cut_at_the_deadline(
    talk: Talk, secure: bool, certificate: tuple[ssl.SSLContext, Path]
) -> None:
    context, ca = certificate
    with server(talk, context if secure else None) as url:
        line = call(url, ca_file=str(ca), deadline_s=1, timeout_s=(5, 20))
        began = monotonic()
        with pytest.raises(OutcomeUnknown) as caught:
            line.http.request("POST", "/applications", body=b"{}")
        assert caught.value.where == "deadline"
        assert 0.9 < monotonic() - began < 2


def test_a_verb_that_is_over_sends_nothing_more_and_a_new_one_does() -> None:
    with server(good(b"{}")) as url:
        line = call(url, deadline_s=0)
        with pytest.raises(NotSent):
            line.http.request("GET", "/applications")
        spent = call(url, deadline_s=5)
        assert spent.renewed().http.request("GET", "/applications").body == b"{}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context, and the file of the only authority that vouches for it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "server.pem").write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, folder / "ca.pem"


def test_a_certificate_nobody_vouches_for_is_not_spoken_to(
    certificate: tuple[ssl.SSLContext, Path],
) -> None:
    context, ca = certificate
    with server(good(b"{}"), context) as url:
        assert call(url, ca_file=str(ca)).http.request("GET", "/health").body == b"{}"
        with pytest.raises(NotSent):
            call(url).http.request("POST", "/applications", body=b"{}")


def test_no_setting_of_the_environment_bends_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with server(good(json.dumps({}).encode())) as url:
        assert call(url).http.request("GET", "/health").status == 200
