"""A mail server on a real socket that does as it is told: refuse, put off, hang up, or hold."""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from financing.settings import MailServer
from financing.values.times import wall_now

SENDER = "notices@platform.example"
USER, PASSWORD = "platform", "geheim-Wort+7%"
Step = str | Callable[[], str]  # a reply, `cut` the line, or what happens before the reply


@dataclass
class Mailbox:
    """What came in, and what to answer: for each verb a queue, then the usual reply."""

    port: int = 0
    answers: dict[str, deque[Step]] = field(default_factory=lambda: defaultdict(deque))
    came: list[tuple[str, bytes]] = field(default_factory=list)  # address, content
    lines: list[str] = field(default_factory=list)
    connections: int = 0
    tls: ssl.SSLContext | None = None
    offers: tuple[str, ...] = ("AUTH PLAIN",)

    def server(self, security: str = "plain", *, signs_in: bool = False) -> MailServer:
        named = (USER, PASSWORD) if signs_in else ("", "")
        return MailServer("127.0.0.1", self.port, security, SENDER, *named)

    @property
    def bodies(self) -> list[str]:
        return [mail.get_content().replace("\r\n", "\n") for mail in self.mails]

    @property
    def mails(self) -> list[EmailMessage]:
        return [
            message_from_bytes(content, policy=policy.default)  # type: ignore[misc]  # EmailMessage under this policy
            for _, content in self.came
        ]


class _Hung(Exception):
    """The server hangs up."""


class _Session(socketserver.StreamRequestHandler):
    box: Mailbox

    def handle(self) -> None:
        self.box = self.server.box  # type: ignore[attr-defined]  # set below
        self.box.connections += 1
        with contextlib.suppress(_Hung, OSError):
            self.say("greeting", "220 here")
            address = ""
            while line := self.rfile.readline():
                words = line.decode("utf-8").rstrip("\r\n")
                self.box.lines.append(words)
                verb = words.partition(" ")[0].upper()
                if verb == "RCPT":
                    address = words.partition("<")[2].partition(">")[0]
                if verb == "QUIT":
                    self.say(verb, "221 bye")
                    return
                self.turn(verb, words, address)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            self.request.close()

    def turn(self, verb: str, words: str, address: str) -> None:
        if verb == "EHLO":
            self.say(verb, "250-here", *(f"250-{offer}" for offer in self.box.offers), "250 HELP")
        elif verb == "AUTH":
            known = base64.b64decode(words.rpartition(" ")[2]) == f"\0{USER}\0{PASSWORD}".encode()
            self.say(verb, "235 welcome" if known else f"535 {words}")
        elif verb == "STARTTLS" and self.box.tls is not None:
            self.say(verb, "220 go on")
            self.request = self.box.tls.wrap_socket(self.request, server_side=True)
            self.setup()
        elif verb == "DATA":
            if self.say(verb, "354 write").startswith("354"):
                self.take(address)
        else:
            self.say(verb, "250 fine")

    def take(self, address: str) -> None:
        content = b""
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise _Hung
            content += line.removeprefix(b".") if line.startswith(b".") else line
        if self.say("content", "250 taken", keep=(address, content)) == "cut":
            raise _Hung

    def say(self, verb: str, *usual: str, keep: tuple[str, bytes] | None = None) -> str:
        steps = self.box.answers[verb]
        reply = steps.popleft() if steps else "\r\n".join(usual)
        if callable(reply):
            reply = reply() or "\r\n".join(usual)
        if keep is not None and not reply.startswith(("4", "5")):
            self.box.came.append(keep)
        if reply == "cut":
            raise _Hung
        self.wfile.write(reply.encode() + b"\r\n")
        return reply


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    box: Mailbox
    whole: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, object]:
        link, peer = super().get_request()
        return (self.whole.wrap_socket(link, server_side=True) if self.whole else link), peer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not like our certificate is no matter for the test's output."""


@contextmanager
def opened(box: Mailbox, *, whole: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """Serve until the end; a port that the box has already is taken again."""
    with _Server(("127.0.0.1", box.port), _Session) as server:
        server.box, server.whole = box, whole
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for 127.0.0.1, and the file of the authority that vouches for it."""
    from ipaddress import ip_address

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = wall_now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "mail.pem", folder / "mail.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
