"""How long work tells how far it is: stage, done, total."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]


def quiet(_stage: str, _done: int, _total: int) -> None:
    """For whoever does not want to know."""
