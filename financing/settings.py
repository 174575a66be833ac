"""The environment, read once into one frozen value; nothing else reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from financing.errors import Invalid

PROFILES = ("zhengzhou", "generic")


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


KNOWN = {
    "FINANCING_DATA": "folder of the embedded stores, keys, and output",
    "FINANCING_PROFILE": "jurisdiction profile of new contracts: zhengzhou or generic",
    "FINANCING_URL": "public address, for links and signatures",
    "FINANCING_KEYS": "folder of the key store",
    "FINANCING_LOG": "debug, info, warning, or error",
    "FINANCING_LIVE": "1 refuses embedded stores, the demo's clock, and secrets of machines",
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
        real_data=Path(environment.get("FINANCING_REAL_DATA", "../shared/data")),
    )


def terminal_language(environment: Mapping[str, str] | None = None) -> str:
    """Language of a person at a terminal, `zh` or `en`, from LANG."""
    environment = os.environ if environment is None else environment
    return "zh" if environment.get("LANG", "").lower().startswith("zh") else "en"
