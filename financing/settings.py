"""The environment, read once into one frozen value; nothing else reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from financing.errors import Invalid

PROFILES = ("zhengzhou", "generic")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over, and in whose name.

    Args:
        security: `plain` inside a network of one's own, `starttls` or `tls` elsewhere; neither
            ever falls back to plain.
        sender: address that mail comes from, and that bounces go to.
    """

    host: str
    port: int
    security: str
    sender: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set; every field names its variable in `from_environment`."""

    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    data: Path = Path("var")
    profile: str = "zhengzhou"
    url: str = "http://127.0.0.1:8080"
    keys: Path = Path("var/keys")
    log: str = "info"
    live: bool = False
    real_data: Path = Path("../shared/data")
    mail: MailServer | None = field(default=None, repr=False)


KNOWN = {
    "FINANCING_DATA": "folder of the embedded stores, keys, and output",
    "FINANCING_PROFILE": "jurisdiction profile of new contracts: zhengzhou or generic",
    "FINANCING_URL": "public address, for links and signatures",
    "FINANCING_KEYS": "folder of the key store",
    "FINANCING_LOG": "debug, info, warning, or error",
    "FINANCING_LIVE": "1 refuses embedded stores, the demo's clock, and secrets of machines",
    "FINANCING_MAIL_URL": "mail server: smtps://, smtp+starttls://, or smtp://",
    "FINANCING_MAIL_FROM": "address that mail comes from",
    "FINANCING_REAL_DATA": "folder of real data for the tests that use it",
}


def _choice(
    environment: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str
) -> str:
    value = environment.get(name, default)
    if value not in allowed:
        raise Invalid(
            f"{name} is {value!r}",
            where=name,
            remedy=f"Use one of: {', '.join(allowed)}.",
        )
    return value


def _database_url(given: str) -> str | None:
    """The address with the driver that this project brings, however its scheme was written."""
    if not given:
        return None
    scheme, found, rest = given.partition("://")
    if not found or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise Invalid(
            "DATABASE_URL is no address of a PostgreSQL server",
            where="DATABASE_URL",
            remedy="Give postgresql://user:password@host:port/database.",
        )
    return f"postgresql+psycopg://{rest}"


def _redis_url(given: str) -> str | None:
    if given and not given.startswith(("redis://", "rediss://", "unix://")):
        raise Invalid(
            "REDIS_URL is no address of a Redis server",
            where="REDIS_URL",
            remedy="Give redis://host:port/0.",
        )
    return given or None


MAIL_SCHEMES = {"smtp": ("plain", 25), "smtp+starttls": ("starttls", 587), "smtps": ("tls", 465)}
HERE = ("localhost", "127.0.0.1", "::1")


def _mail_server(url: str, sender: str) -> MailServer | None:
    """The mail server, whole or not at all; no refusal repeats the address, it holds a password."""
    if not url and not sender:
        return None
    if not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", sender):
        raise Invalid(
            "FINANCING_MAIL_FROM is no address",
            where="FINANCING_MAIL_FROM",
            remedy="Give the address that mail comes from, as in notices@example.org.",
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme not in MAIL_SCHEMES or not parts.hostname or parts.path.strip("/"):
        raise Invalid(
            "FINANCING_MAIL_URL is no address of a mail server",
            where="FINANCING_MAIL_URL",
            remedy="Give smtps://user:password@host:port, smtp+starttls://…, or smtp://host:port;"
            " write a special character of the password as %XX.",
        )
    security, usual = MAIL_SCHEMES[parts.scheme]
    if user and security == "plain" and parts.hostname not in HERE:
        raise Invalid(
            "FINANCING_MAIL_URL would send a password in clear",
            where="FINANCING_MAIL_URL",
            remedy="Use smtp+starttls:// or smtps://.",
        )
    if not (user + password).isascii() or not (user + password).isprintable():
        raise Invalid(
            "FINANCING_MAIL_URL has a name or password that SMTP cannot carry",
            where="FINANCING_MAIL_URL",
            remedy="Use printable ASCII characters.",
        )
    return MailServer(parts.hostname, port or usual, security, sender, user, password)


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        Invalid: an unknown `FINANCING_…` variable, or a value outside its limits.
    """
    environment = os.environ if environment is None else environment
    for name in environment:
        if name.startswith("FINANCING_") and name not in KNOWN:
            raise Invalid(
                f"the setting {name} does not exist",
                where=name,
                remedy=f"Settings are: {', '.join(KNOWN)}.",
            )
    url = environment.get("FINANCING_URL", "http://127.0.0.1:8080").rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise Invalid(
            f"FINANCING_URL is {url!r}",
            where="FINANCING_URL",
            remedy="Give http(s)://host[:port].",
        )
    data = Path(environment.get("FINANCING_DATA", "var")).absolute()
    keys = environment.get("FINANCING_KEYS")
    return Settings(
        database_url=_database_url(environment.get("DATABASE_URL", "")),
        redis_url=_redis_url(environment.get("REDIS_URL", "")),
        data=data,
        profile=_choice(environment, "FINANCING_PROFILE", PROFILES, "zhengzhou"),
        url=url,
        keys=Path(keys).absolute() if keys else data / "keys",
        log=_choice(environment, "FINANCING_LOG", ("debug", "info", "warning", "error"), "info"),
        live=_choice(environment, "FINANCING_LIVE", ("0", "1"), "0") == "1",
        mail=_mail_server(
            environment.get("FINANCING_MAIL_URL", ""), environment.get("FINANCING_MAIL_FROM", "")
        ),
        real_data=Path(environment.get("FINANCING_REAL_DATA", "../shared/data")),
    )


def terminal_language(environment: Mapping[str, str] | None = None) -> str:
    """Language of a person at a terminal, `zh` or `en`, from LANG."""
    environment = os.environ if environment is None else environment
    return "zh" if environment.get("LANG", "").lower().startswith("zh") else "en"
