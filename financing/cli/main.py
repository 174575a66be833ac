"""The command line: one table of verbs, grouped by who uses them.

Exit: 0 done · 1 done, and the answer is no · 2 the call or its input was wrong, nothing was
changed · 3 cannot be known · 4 a component cannot be reached · 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from importlib import import_module

import click

from financing import log, settings
from financing.errors import FinancingError


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: imported when it is called, so that `verify` never waits for a database driver."""

    name: str
    group: str
    at: str  # module:command
    help: str


VERBS = (
    Verb("demo", "Everybody", "financing.cli.demo:demo", "The whole chain once, then ends."),
    Verb("serve", "Everybody", "financing.cli.serve:serve", "Everything until interrupted."),
    Verb("contracts", "Everybody", "financing.cli.contracts:contracts", "What may be financed."),
    Verb("verify", "Everybody", "financing.cli.verify:verify", "Check a packet, offline."),
    Verb("statement", "Operator", "financing.cli.statement:statement", "What it would book."),
    Verb("import", "Operator", "financing.cli.intake:import_files", "Read records, statements."),
    Verb("parked", "Operator", "financing.cli.intake:parked", "What could not be used; replay."),
    Verb("migrate", "Operator", "financing.cli.processes:migrate", "Bring the schema up to date."),
    Verb("web", "Operator", "financing.cli.processes:web", "The web process, in the foreground."),
    Verb("worker", "Operator", "financing.cli.processes:worker", "The worker, in the foreground."),
    Verb("backup", "Operator", "financing.cli.backup:backup", "Keep database and keys."),
    Verb("restore", "Operator", "financing.cli.backup:restore", "Bring a backup back."),
    Verb("doctor", "Operator", "financing.cli.doctor:doctor", "What this machine lacks."),
    Verb("people", "Operator", "financing.cli.people:people", "Who may sign in."),
    Verb("bounces", "Operator", "financing.cli.bounces:bounces", "Read mail that came back."),
    Verb("banks", "Operator", "financing.cli.banks:banks", "Banks, and keys of their events."),
    Verb("machines", "Operator", "financing.cli.machines:machines", "Software that asks the API."),
    Verb("check", "Auditor", "financing.cli.check:check", "Recompute invariants and chains."),
    Verb("late", "Auditor", "financing.cli.late:late", "What is late against dated rules."),
    Verb("figures", "Auditor", "financing.cli.figures:figures", "The bureau's figures."),
)


class Verbs(click.Group):
    """Shows the table by group; loads a verb's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb.name for verb in VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for verb in VERBS:
            if verb.name == cmd_name:
                module, name = verb.at.split(":")
                command: click.Command = getattr(import_module(module), name)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group in dict.fromkeys(verb.group for verb in VERBS):
            with formatter.section(group):
                formatter.write_dl([(v.name, v.help) for v in VERBS if v.group == group])


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each verb has its own --help with an example. --json prints one document on stdout.",
)
def cli() -> None:
    """Broker for government-procurement contract financing (政府采购合同融资)."""


def main() -> None:
    """Run a verb; every error becomes one line, or one document, and an exit code."""
    as_json = "--json" in sys.argv[1:]
    try:
        log.set_up(settings.from_environment().log)
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except BrokenPipeError:
        # The reader of our output went away; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Exception as problem:
        code = 130 if _interrupted(problem) else _told(problem, as_json)
    sys.exit(code or 0)


def _interrupted(problem: BaseException) -> bool:
    """Whether Ctrl-C is behind it: what breaks while everything is stopped has it as context.

    The cancelling of a query, for one, may reach the server one statement late and then fail the
    rollback.
    """
    behind: BaseException | None = problem
    while behind is not None:
        if isinstance(behind, (KeyboardInterrupt, click.Abort)):
            return True
        behind = behind.__context__
    return False


def _told(problem: Exception, as_json: bool) -> int:
    """Say what was wrong and return the exit code; what nobody foresaw is raised again."""
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        click.echo(problem.format_message(), err=True)  # a group of verbs without its verb
        return 2
    if isinstance(problem, click.ClickException):
        return _complain("usage", problem.format_message(), "", "See --help.", 2, as_json)
    if isinstance(problem, FinancingError):
        return _complain(
            problem.slug, problem.detail, problem.where, problem.remedy, problem.exit_code, as_json
        )
    raise problem


def _complain(slug: str, detail: str, where: str, remedy: str, code: int, as_json: bool) -> int:
    if as_json:
        document = {
            "type": f"/problems/{slug}",
            "title": slug,
            "detail": detail,
            "where": where,
            "remedy": remedy,
        }
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        place = f" ({where})" if where else ""
        click.echo(f"error: {slug}{place}: {detail.rstrip('.。')}. {remedy}".rstrip(), err=True)
    return code
