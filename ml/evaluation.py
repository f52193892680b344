"""Scores of a clustering against a truth the code did not make. Offline: tests, benches and the command line."""

from collections import Counter
from collections.abc import Sequence


def b_cubed(found: Sequence[object], truth: Sequence[object]) -> tuple[float, float]:
    """(precision, recall): of an item's cluster the share that truly belongs with it, and the other way, averaged."""
    both, by_found, by_truth = Counter(zip(found, truth, strict=True)), Counter(found), Counter(truth)
    precision = sum(n * n / by_found[f] for (f, _), n in both.items()) / len(found)
    recall = sum(n * n / by_truth[t] for (_, t), n in both.items()) / len(found)
    return precision, recall
