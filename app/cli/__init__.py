"""`triage`: serve, worker, migrate, demo, import, export, read, link, relink, retokenise, train, evaluate, codes, policy, backtest,
clock, load-calendar, token."""

import logging
import sys

import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from app.cli import administering, files, linking, papers, policies, serving, training
from app.cli.base import console
from app.errors import TriageError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
for _part in (serving, linking, training, files, papers, policies, administering):
    app.add_typer(_part.commands)


def main() -> None:
    """Facts are told in a line; only faults of ours show a trace."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        app()
    except TriageError as error:
        console.print(f"[red]{error.title}[/]: {error.detail}", soft_wrap=True)
        for one in error.errors:
            console.print(f"  {one['field']}: {one['message']}", soft_wrap=True)
        sys.exit(1)
    except (DBAPIError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        console.print(f"[red]The database can't be used[/]: {reason}", soft_wrap=True)
        sys.exit(1)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            console.print(f"[red]setting {'.'.join(str(p) for p in problem['loc'])}[/]: {problem['msg']}")
        sys.exit(1)
