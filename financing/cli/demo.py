"""`demo`: the whole chain once, in the real topology, and then a story."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from financing import settings
from financing.city import real, run, story
from financing.cli import shared
from financing.words import t


@click.command(
    "demo",
    epilog="Example: financing demo --out /tmp/demo --lang en",
)
@click.option("--seed", "seed_number", default=1, show_default=True, help="Which city.")
@click.option(
    "--contracts",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Published records (OCDS) instead of the city; files or folders.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for what is made."
)
@click.argument("more", nargs=-1, metavar="[PATH…]", type=click.Path(exists=True, path_type=Path))
@shared.options
def demo(
    seed_number: int,
    contracts: tuple[Path, ...],
    out: Path | None,
    more: tuple[Path, ...],
    as_json: bool,
    lang: str,
) -> int:
    """The whole chain once, over real sockets: contract, packet, bank, payment, settlement."""
    if more and not contracts:
        raise click.UsageError("paths stand after --contracts")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything is stopped in order
    known = settings.from_environment()
    folder = out.absolute() if out else None
    if contracts:
        result = real.demo(known, (*contracts, *more), out=folder, lang=lang, say=shared.progress)
    else:
        result = run.demo(
            known, seed_number=seed_number, out=folder, lang=lang, say=shared.progress
        )
    ending = result.ending
    if as_json:
        shared.emit(story.document(ending))
    else:
        for line in story.text(ending, result.names, lang):
            shared.say(line)
        for line in story.after(ending, result.packets, result.ca, lang):
            shared.say(line)
        shared.say(
            t("story.written", lang, folder=str(result.folder), packets=len(result.packets),
              statements=result.statements)
        )  # fmt: skip
    return 0 if ending.is_good else 1
