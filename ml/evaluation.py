"""Scores of a clustering against a truth the code did not make. Offline: tests, benches and the command line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


def b_cubed(found: Sequence[object], truth: Sequence[object]) -> tuple[float, float]:
    """(precision, recall): of an item's cluster the share that truly belongs with it, and the other way, averaged."""
    both, by_found, by_truth = Counter(zip(found, truth, strict=True)), Counter(found), Counter(truth)
    precision = sum(n * n / by_found[f] for (f, _), n in both.items()) / len(found)
    recall = sum(n * n / by_truth[t] for (_, t), n in both.items()) / len(found)
    return precision, recall


def pairs(found: Sequence[object], truth: Sequence[object]) -> tuple[float, float]:
    """(precision, recall) over pairs of items in one cluster. With a second clustering for truth it is how far the two agree."""
    together = _pairs(Counter(zip(found, truth, strict=True)))
    in_found, in_truth = _pairs(Counter(found)), _pairs(Counter(truth))
    return together / in_found if in_found else 1.0, together / in_truth if in_truth else 1.0


def _pairs(sizes: Mapping[object, int]) -> float:
    return sum(n * (n - 1) / 2 for n in sizes.values())


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def kept(before: Mapping[str, str], after: Mapping[str, str]) -> float:
    """The share of records known to both clusterings that kept their cluster's id."""
    known = before.keys() & after.keys()
    return sum(before[r] == after[r] for r in known) / len(known) if known else 1.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Of a clustering: B-cubed and pairs as (precision, recall, F1); largest: records in its largest cluster."""

    records: int
    clusters: int
    largest: int
    b_cubed: tuple[float, float, float]
    pairs: tuple[float, float, float]


def score(found: Sequence[object], truth: Sequence[object]) -> Scores:
    sizes = Counter(found)
    cubed, paired = b_cubed(found, truth), pairs(found, truth)
    return Scores(len(found), len(sizes), max(sizes.values(), default=0), (*cubed, f1(*cubed)), (*paired, f1(*paired)))
