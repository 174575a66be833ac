"""`python -m bank_adapters.sandbox --config FILE`: one bank, until it is told to end.

It prints one line to stdout when it is open: its port, and the public keys for the broker's
register. It ends on SIGTERM or SIGINT, and with `--until-stdin-closes` when its starter is gone.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import requests
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from bank_adapters.sandbox import config as configuration
from bank_adapters.sandbox import control, interface, signing
from bank_adapters.sandbox.books import Books
from bank_adapters.sandbox.deliver import Messenger
from bank_adapters.sandbox.mind import Mind, pass_time

LOG = logging.getLogger("sandbox")


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A line per request would drown what is said when something fails."""


def main(arguments: list[str] | None = None) -> int:
    """Run the bank; returns its exit code."""
    reader = argparse.ArgumentParser(prog="python -m bank_adapters.sandbox")
    reader.add_argument("--config", type=Path, required=True)
    reader.add_argument("--until-stdin-closes", action="store_true")
    options = reader.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    try:
        config = configuration.load(options.config)
        config.data.mkdir(parents=True, exist_ok=True)
        keys = signing.keys(config)
    except (configuration.Misconfigured, OSError, ValueError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    if options.until_stdin_closes:
        threading.Thread(target=_watch_stdin, args=(ending,), daemon=True).start()
    _serve(config, keys, ending)
    return 0


def _watch_stdin(ending: threading.Event) -> None:
    sys.stdin.buffer.read()
    ending.set()


def _serve(config: configuration.Config, keys: signing.Keys, ending: threading.Event) -> None:
    books = Books(config.data / "books.sqlite", delivers=config.behaviour.webhooks)
    if config.now and books.one("SELECT 1 FROM fact WHERE name = 'now'") is None:
        books.set_clock(datetime.fromisoformat(config.now))
    bank = Mind(config, books)
    session = requests.Session()
    session.trust_env = False
    messenger = Messenger(config, books, keys, session)
    app = Flask("sandbox")
    interface.add_to(app, bank, keys, ending.wait)
    control.add_to(app, bank)
    server = make_server("127.0.0.1", config.port, app, threaded=True, request_handler=_Quiet)
    threads = [
        threading.Thread(target=server.serve_forever, name="web"),
        threading.Thread(target=_until, args=(ending, books, _clerk(bank)), name="clerk"),
        threading.Thread(target=_until, args=(ending, books, messenger.round), name="messenger"),
    ]
    for thread in threads:
        thread.start()
    line = {
        "port": server.server_port,
        "bank": config.name,
        "answer_key_pem": keys.answer_key_pem,
        "webhook_key": keys.webhook_key,
        "next_webhook_key": keys.next_webhook_key,
        "webhook_key_name": signing.key_name(keys.webhooks),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    ending.wait()
    server.shutdown()
    with books.rang:
        books.rang.notify_all()
    for thread in threads:
        thread.join()
    server.server_close()
    session.close()
    books.close()


def _clerk(bank: Mind) -> Callable[[], float]:
    def work() -> float:
        while bank.step():
            pass
        pass_time(bank)
        return 1  # offers lapse by a clock that runs where nobody has set it

    return work


def _until(ending: threading.Event, books: Books, work: Callable[[], float]) -> None:
    """Work, then wait until something was written or the pause that the work asked for is over.

    What fails is said and tried again: a bank does not stop because of one case.
    """
    while not ending.is_set():
        with books.rang:
            written = books.written
        try:
            pause = work()
        except Exception:
            LOG.exception("a step failed")
            pause = 1.0
        with books.rang:
            if not ending.is_set() and books.written == written:
                books.rang.wait(pause)


if __name__ == "__main__":
    sys.exit(main())
