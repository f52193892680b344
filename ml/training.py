"""Trains and examines the classifier. Offline: only the command line imports it.

Labelled texts in, a `Classifier` of plain arrays out. Figures come from cross-validation that keeps equal texts in one
fold and repeats every step, calibration too, inside each training part.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import minimize_scalar
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.svm import LinearSVC

from ml.classification import FAMILIES, Classifier, Field, features
from ml.progress import Progress, quiet

MIN_COUNT = 2
MAX_SHARE = 0.6
SMOOTHING = 0.03
REGULARISATION = 1.0
INNER_FOLDS = 3
PRECISION = 0.9

# What a wrong answer costs beside another wrong answer: true label -> factor. An emergency nobody sees, a dispute that
# gets no case.
COSTS: Mapping[str, float] = {"emergency": 20.0, "complaint": 5.0, "both": 5.0, "report": 5.0}

Labels = Sequence[str | None]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Text:
    """said: normalised, personal data blanked. found: what rules found in it."""

    said: str
    found: tuple[str, ...] = ()


def analyse(text: Text) -> list[str]:
    return [*features(text.said), *("x" + f for f in text.found)]


@dataclass(frozen=True, slots=True)
class _Space:
    """The vocabulary with its idf, and texts as a matrix in it."""

    vocabulary: list[str]
    idf: npt.NDArray[np.float64]

    def matrix(self, counts: Any) -> Any:
        """Counts -> sublinear tf-idf, each family of unit length times its weight. As `classification.weigh`."""
        weighed = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
        weighed.data = 1.0 + np.log(weighed.data)
        weighed = weighed @ sparse.diags(self.idf)
        family = np.array([f[0] for f in self.vocabulary])
        parts = []
        for name, weight in FAMILIES.items():
            chosen = weighed @ sparse.diags((family == name).astype(float))
            length = np.sqrt(np.asarray(chosen.multiply(chosen).sum(axis=1)).ravel())
            parts.append(sparse.diags(weight / np.where(length > 0, length, 1.0)) @ chosen)
        return sum(parts[1:], parts[0]).tocsr()


def _space(counts: Any, vocabulary: Sequence[str]) -> _Space:
    documents = np.asarray((counts > 0).sum(axis=0)).ravel()
    return _Space(list(vocabulary), np.log((1 + counts.shape[0]) / (1 + documents)) + 1)


def _fit(matrix: Any, truth: npt.NDArray[np.intp], classes: int) -> tuple[Scores, Scores]:
    """One against the rest: (weights features x classes, intercept), naive-Bayes scaling folded in."""
    weights = np.zeros((matrix.shape[1], classes))
    intercept = np.zeros(classes)
    for number in range(classes):
        own = truth == number
        if not own.any():  # a rare class may be missing from a fold; then nothing speaks for it
            intercept[number] = -1.0
            continue
        inside = np.asarray(matrix[own].sum(axis=0)).ravel() + SMOOTHING
        outside = np.asarray(matrix[~own].sum(axis=0)).ravel() + SMOOTHING
        ratio = np.log((inside / inside.sum()) / (outside / outside.sum()))
        machine = LinearSVC(C=REGULARISATION, class_weight="balanced", random_state=0).fit(matrix @ sparse.diags(ratio), own)
        weights[:, number] = ratio * machine.coef_[0]
        intercept[number] = machine.intercept_[0]
    return weights, intercept


def _chances(scores: Scores, temperature: float) -> Scores:
    scaled = scores * temperature
    risen: Scores = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    total: Scores = risen.sum(axis=1, keepdims=True)
    return risen / total


def _temperature(scores: Scores, truth: npt.NDArray[np.intp]) -> float:
    """The factor that makes softmax of out-of-fold scores most likely (Guo et al. 2017)."""

    def loss(log_factor: float) -> float:
        chances = _chances(scores, float(np.exp(log_factor)))
        return float(-np.log(chances[np.arange(len(truth)), truth] + 1e-12).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 4), method="bounded").x))


def _threshold(chances: Scores, truth: npt.NDArray[np.intp]) -> float:
    """The lowest probability above which PRECISION of the answers are right; where none is, .5."""
    best, right = chances.max(axis=1), chances.argmax(axis=1) == truth
    order = np.argsort(-best)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= PRECISION)
    return round(min(0.5, float(best[order][good[-1]])), 3) if len(good) else 0.5


def _same(texts: Sequence[Text]) -> list[int]:
    """A number per text, the same for equal ones."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(t.said, len(numbers)) for t in texts]


def _folds(count: int, truth: npt.NDArray[np.intp], groups: Sequence[int]) -> Any:
    smallest = min(Counter(truth.tolist()).values())
    if smallest < count:
        return GroupKFold(count).split(truth, truth, groups)
    return StratifiedGroupKFold(count, shuffle=True, random_state=0).split(np.zeros(len(truth)), truth, groups)


def train(
    texts: Sequence[Text], labels: Mapping[str, Labels], *, version: str, keep: int | None = None, progress: Progress = quiet
) -> Classifier:  # fmt: skip
    """labels: field name -> a label per text, None where that field has none. keep: at most so many
    features, those with the largest weights; None: all."""
    counter = CountVectorizer(analyzer=analyse, min_df=MIN_COUNT, max_df=MAX_SHARE)
    counts = counter.fit_transform(texts)
    vocabulary = counter.get_feature_names_out().tolist()
    space = _space(counts, vocabulary)
    made = _train(counts, space, texts, labels, version, progress)
    if keep is not None and keep < len(vocabulary):
        strength = np.abs(made.weights).max(axis=1) / space.idf**0.5
        chosen = np.sort(np.argsort(-strength)[:keep])
        space = _Space([vocabulary[i] for i in chosen], space.idf[chosen])
        made = _train(counts[:, chosen], space, texts, labels, version, progress)
    return made


def _train(
    counts: Any, space: _Space, texts: Sequence[Text], labels: Mapping[str, Labels], version: str, progress: Progress
) -> Classifier:  # fmt: skip
    matrix = space.matrix(counts)
    fields: list[Field] = []
    all_weights, all_intercepts = [], []
    for done, (name, given) in enumerate(labels.items()):
        progress("train", done, len(labels))
        rows = np.array([i for i, label in enumerate(given) if label is not None])
        classes = sorted({str(given[i]) for i in rows})
        truth = np.array([classes.index(str(given[i])) for i in rows])
        groups = _same([texts[i] for i in rows])
        own = matrix[rows]
        scores = np.zeros((len(rows), len(classes)))
        for inside, outside in _folds(INNER_FOLDS, truth, groups):
            weights, intercept = _fit(own[inside], truth[inside], len(classes))
            scores[outside] = own[outside] @ weights + intercept
        temperature = _temperature(scores, truth)
        weights, intercept = _fit(own, truth, len(classes))
        all_weights.append(weights)
        all_intercepts.append(intercept)
        column = sum(len(f.classes) for f in fields)
        fields.append(Field(name, tuple(classes), column, temperature, _threshold(_chances(scores, temperature), truth)))
    progress("train", len(labels), len(labels))
    return Classifier.of(version, space.vocabulary, space.idf, np.hstack(all_weights), np.hstack(all_intercepts), fields)


# -- the examination


@dataclass(frozen=True, slots=True)
class Mistake:
    row: int
    truth: str
    answer: str
    probability: float
    cost: float


@dataclass(frozen=True, slots=True)
class Examined:
    """ece: expected calibration error over ten bins of the answer's probability. coverage, accuracy_answered: with
    abstention. confusion: rows truth, columns answer, in the order of classes. mistakes: the costliest first."""

    field: str
    texts: int
    classes: tuple[str, ...]
    macro_f1: float
    accuracy: float
    ece: float
    coverage: float
    accuracy_answered: float
    f1: Mapping[str, float]
    confusion: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]


def cross_validate(
    texts: Sequence[Text], labels: Mapping[str, Labels], *, folds: int = 5, keep: int | None = None, progress: Progress = quiet
) -> list[Examined]:  # fmt: skip
    """Every field by out-of-fold answers."""
    found = []
    for name, given in labels.items():
        rows = [i for i, label in enumerate(given) if label is not None]
        said = [texts[i] for i in rows]
        classes = sorted({str(given[i]) for i in rows})
        truth = np.array([classes.index(str(given[i])) for i in rows])
        chances = np.zeros((len(rows), len(classes)))
        answered = np.zeros(len(rows), dtype=bool)
        for done, (inside, outside) in enumerate(_folds(folds, truth, _same(said))):
            progress(f"fold of {name}", done, folds)
            made = train([said[i] for i in inside], {name: [classes[truth[i]] for i in inside]}, version="fold", keep=keep)
            for i in outside.tolist():
                opinion = made.classify(said[i].said, said[i].found)[name]
                chances[i] = [opinion.probabilities.get(c, 0.0) for c in classes]
                answered[i] = opinion.label is not None
        progress(f"fold of {name}", folds, folds)
        found.append(examine(name, classes, truth, chances, answered, rows))
    return found


def examine(
    name: str, classes: Sequence[str], truth: npt.NDArray[np.intp], chances: Scores, answered: npt.NDArray[np.bool_], rows: Sequence[int]
) -> Examined:  # fmt: skip
    answer, best = chances.argmax(axis=1), chances.max(axis=1)
    right = answer == truth
    each = f1_score(truth, answer, labels=range(len(classes)), average=None, zero_division=0.0)
    mistakes = [
        Mistake(
            rows[int(i)],
            classes[truth[i]],
            classes[answer[i]],
            float(best[i]),
            COSTS.get(classes[truth[i]], 1.0) * float(best[i]),
        )
        for i in np.flatnonzero(~right)
    ]
    return Examined(
        name, len(truth), tuple(classes), float(each.mean()), float(right.mean()), expected_calibration_error(best, right),
        float(answered.mean()), float(right[answered].mean()) if answered.any() else 0.0,
        dict(zip(classes, each.tolist(), strict=True)),
        tuple(tuple(r) for r in confusion_matrix(truth, answer, labels=range(len(classes))).tolist()),
        tuple(sorted(mistakes, key=lambda m: -m.cost)),
    )  # fmt: skip


def expected_calibration_error(probability: Scores, right: npt.NDArray[np.bool_], bins: int = 10) -> float:
    """Mean distance of accuracy and probability over equal bins, weighted by their size (Naeini et al. 2015)."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(right[place == b].mean() - probability[place == b].mean()) * (place == b).mean()
            for b in range(bins)
            if (place == b).any()
        )
    )
