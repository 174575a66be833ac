"""`serve`: web, worker, sandbox banks, and embedded stores until interrupted."""

from __future__ import annotations

import signal
import time

import click

from financing import settings
from financing.city import run
from financing.city.processes import Crew
from financing.cli import shared
from financing.web.session import DEMO_PASSWORD
from financing.words import t

LOOK_S = 0.5


@click.command("serve", epilog="Example: financing serve --port 8080")
@click.option("--port", default=8080, show_default=True, help="Port on 127.0.0.1.")
@click.option(
    "--lang",
    type=click.Choice(["zh", "en"]),
    default=settings.terminal_language,
    help="Language of what people read (default: from LANG).",
)
def serve(port: int, lang: str) -> None:
    """Everything until interrupted; an empty embedded store is given a small city to try."""
    known = settings.from_environment()

    def say(url: str) -> None:
        shared.say(t("serve.open", lang, url=url))
        if known.database_url is None:
            shared.say(t("serve.hint", lang, password=DEMO_PASSWORD))
        shared.say(t("serve.stop", lang))

    def until(crew: Crew) -> None:
        while True:
            crew.assert_alive()
            time.sleep(LOOK_S)

    # A service manager ends us by SIGTERM: like Ctrl-C, so that everything is stopped in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run.serve(known, port=port, say=say, until=until)
