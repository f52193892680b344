"""A learned tagger of spans: which characters name the merchant, the place, the money that is claimed, the danger.

A linear-chain conditional random field (Lafferty et al. 2001; CRFsuite) over words, numbers and cues: spans that rules
propose. So rules find what has a form, and learning decides what it means where it stands (押金两千, 两千米).
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path

import pycrfsuite

from ml.text import tokenise

MAX_CHARACTERS = 2000
_PARTS = re.compile(r"\d+(?:[.,]\d+)*|[A-Za-z]+")
Cue = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """label over [start, end) of the tagged text."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lattice:
    """What taggers of one text share: its tokens and their features."""

    tokens: Sequence[tuple[int, int]]
    items: pycrfsuite.ItemSequence


def lattice(text: str, *families: Sequence[Cue]) -> Lattice:
    """Of a normalised text, personal data blanked. families: cues of one sort each; within a family the earlier wins
    where two share a character."""
    text = text[:MAX_CHARACTERS]
    spans = _tokens(text, families)
    return Lattice(spans, pycrfsuite.ItemSequence(_features(text, spans, families)))


def _tokens(text: str, families: Sequence[Sequence[Cue]]) -> list[tuple[int, int]]:
    """Words, cut again where numbers, Latin words and cues begin and end: no fact may start inside a token."""
    size = len(text)
    ends = {0, size, *accumulate(map(len, tokenise(text)))}
    for match in _PARTS.finditer(text):
        ends.update(match.span())
    for family in families:
        for _, start, end in family:
            ends.update((min(start, size), min(end, size)))
    places = sorted(ends)
    return [(start, end) for start, end in pairwise(places) if not text[start:end].isspace()]


def _features(text: str, spans: Sequence[tuple[int, int]], families: Sequence[Sequence[Cue]]) -> list[list[str]]:
    shapes = ["<<", "<", *(_shape(text[s:e]) for s, e in spans), ">", ">>"]
    found = []
    for two, one, own, next_, after in zip(shapes, shapes[1:], shapes[2:], shapes[3:], shapes[4:], strict=False):
        found.append(
            ["0" + own, "1" + one, "2" + next_, "3" + two, "4" + after, "5" + one + own, "6" + own + next_, "7" + own[0], "8" + own[-1]]
        )  # fmt: skip
    for mark, family in zip("xyz", families, strict=False):
        cues = _spread(family, len(text))
        before = ""
        for number, (start, _) in enumerate(spans):
            cue = cues[start]
            if cue:
                one, two = shapes[number + 1], shapes[number]
                found[number] += (mark + cue, mark + cue + one, mark + cue + two + one)
                if number:
                    found[number - 1].append(mark + ">" + cue)
            if before:
                found[number].append(mark + "<" + before)
            before = cue
    return found


def _spread(cues: Iterable[Cue], length: int) -> list[str]:
    spread = [""] * length
    for name, start, end in cues:
        for place in range(start, min(end, length)):
            if not spread[place]:
                spread[place] = ("B" if place == start else "I") + name
    return spread


@lru_cache(maxsize=50_000)
def _shape(token: str) -> str:
    """Numbers by their length: which number it is says nothing."""
    if token[0].isdigit():
        return "9" * min(len(token), 5) + ("." if "." in token else "")
    return token.lower() if len(token) == 1 or not token.isascii() else "A" + token.lower()[:6]


def encode(tokens: Sequence[tuple[int, int]], spans: Iterable[Span]) -> list[str]:
    """BIO labels for training."""
    labels = ["O"] * len(tokens)
    for span in spans:
        first = True
        for number, (start, end) in enumerate(tokens):
            if start < span.end and end > span.start:
                labels[number] = ("B-" if first else "I-") + span.label
                first = False
    return labels


def decode(tokens: Sequence[tuple[int, int]], labels: Sequence[str]) -> list[Span]:
    spans: list[Span] = []
    open_label, open_start, open_end = "", 0, 0
    for (start, end), label in zip(tokens, labels, strict=True):
        kind = label[2:]
        if label[0] == "I" and kind == open_label:
            open_end = end
            continue
        if open_label:
            spans.append(Span(open_label, open_start, open_end))
        open_label, open_start, open_end = kind, start, end
    if open_label:
        spans.append(Span(open_label, open_start, open_end))
    return spans


class Tagger:
    """Parameters are CRFsuite's own binary file: numbers and strings, no code."""

    def __init__(self, path: Path) -> None:
        self._tagger = pycrfsuite.Tagger()
        self._content = path.read_bytes()
        self._tagger.open_inmemory(self._content)
        # The format has no place for a name: its content names it.
        self.version = "tagger-" + hashlib.sha256(self._content).hexdigest()[:10]

    def tag(self, lattice: Lattice) -> list[Span]:
        if not lattice.tokens:
            return []
        return decode(lattice.tokens, self._tagger.tag(lattice.items))


def train(
    sequences: Iterable[tuple[Lattice, Sequence[str]]], path: Path, *, c1: float = 0.5, c2: float = 0.01, iterations: int = 120
) -> None:
    """c1, c2: the weights of the L1 and L2 penalties. L1 keeps the file small."""
    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    for seen, labels in sequences:
        if seen.tokens:
            trainer.append(seen.items, labels)
    trainer.set_params({"c1": c1, "c2": c2, "max_iterations": iterations, "feature.possible_transitions": True})
    trainer.train(str(path))
