"""A learned classifier of texts: linear, calibrated, and able to say which words spoke.

The model is Wang and Manning's (2012): a linear support vector machine on features scaled by their naive-Bayes log-count
ratio, here on character n-grams, words and word pairs, once more for the opening, where people say what a letter is
about. Scaling and weights fold into one matrix, so classifying is one look-up per n-gram and one small sum. Training
(`ml.training`) is scikit-learn's; what runs here needs numpy alone and loads plain arrays.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ahocorasick_rs import AhoCorasick, MatchKind

from ml.text import tokenise

OPENING = 40  # characters
MAX_CHARACTERS = 3000
# Prefixes keep the families apart in one vocabulary; the second value is a family's weight beside the others: character
# n-grams and words of the whole text, those of its opening, and what rules found in it.
FAMILIES = {"c": 1.0, "w": 1.0, "C": 0.6, "W": 0.6, "x": 1.0}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Opinion:
    """label None: the classifier abstains. words: (word, weight) that spoke for `best`, the strongest first, in the
    units of its score."""

    label: str | None
    best: str
    probability: float
    probabilities: Mapping[str, float]
    words: tuple[tuple[str, float], ...] = ()

    def without(self, label: str) -> "Opinion":
        """The same where this label can't be the answer: the others share its probability."""
        rest = 1.0 - self.probabilities.get(label, 0.0)
        if label not in self.probabilities or rest <= 1e-9 or len(self.probabilities) < 2:
            return self
        chances = {c: p / rest for c, p in self.probabilities.items() if c != label}
        best = max(chances, key=lambda c: chances[c])
        words = self.words if best == self.best else ()
        answered = best if self.label is not None or chances[best] >= 0.5 else None
        return Opinion(answered, best, chances[best], chances, words)

    def read_as(self, label: str, other: str) -> "Opinion":
        """The same where this label means the other one, which takes its probability over."""
        if label not in self.probabilities or other not in self.probabilities:
            return self
        chances = {c: p for c, p in self.probabilities.items() if c != label}
        chances[other] += self.probabilities[label]
        best = max(chances, key=lambda c: chances[c])
        words = self.words if self.best in (best, label) else ()
        return Opinion(best if self.label is not None or chances[best] >= 0.5 else None, best, chances[best], chances, words)


@dataclass(frozen=True, slots=True)
class Field:
    """One question the classifier answers: its classes, its first column of the weights, its temperature (calibrates
    scores to probabilities) and the probability below which it abstains."""

    name: str
    classes: tuple[str, ...]
    column: int
    temperature: float
    threshold: float


def cut(text: str) -> list[str]:
    """Words. A text that is cut already keeps its cuts."""
    return [w for w in (tokenise(text) if text.count(" ") * 6 < len(text) else text.split()) if not w.isspace()]


def features(text: str) -> Iterator[str]:
    """Family and n-gram, run together, of a text with personal data blanked: what training counts."""
    words = cut(text[:MAX_CHARACTERS].lower())
    solid = "".join(words)
    for family, part in (("c", solid), ("C", solid[:OPENING])):
        for size in (1, 2, 3):
            for start in range(len(part) - size + 1):
                yield family + part[start : start + size]
    yield from _of_words(words)


def _of_words(words: Sequence[str]) -> Iterator[str]:
    seen = 0
    previous = ""
    for word in words:
        seen += len(word)
        yield "w" + word
        if previous:
            yield f"w{previous} {word}"
        if seen <= OPENING:
            yield "W" + word
        previous = word


@dataclass(frozen=True, slots=True)
class Classifier:
    """vocabulary: family and n-gram run together, by row; weights: features x columns, all fields' side by side, each
    field's centred on its classes' mean (which changes no probability), so a weight says what a feature adds to a class;
    grams: per family of character n-grams an automaton that finds them and their rows."""

    version: str
    vocabulary: Sequence[str]
    index: Mapping[str, int]
    idf: Floats
    family: npt.NDArray[np.intp]
    weights: Floats
    intercept: Floats
    fields: tuple[Field, ...]
    grams: Mapping[str, tuple[AhoCorasick, Sequence[int]]]
    by_name: Mapping[str, Field]

    @classmethod
    def of(
        cls, version: str, vocabulary: Sequence[str], idf: npt.ArrayLike, weights: npt.ArrayLike, intercept: npt.ArrayLike, fields: Sequence[Field]
    ) -> "Classifier":  # fmt: skip
        centred = np.array(weights, dtype=np.float32)
        for f in fields:
            own = centred[:, f.column : f.column + len(f.classes)]
            own -= own.mean(axis=1, keepdims=True)
        grams = {}
        for family in ("c", "C"):
            rows = [i for i, f in enumerate(vocabulary) if f[0] == family]
            grams[family] = (AhoCorasick([vocabulary[i][1:] for i in rows], matchkind=MatchKind.Standard), rows)
        return cls(
            version, vocabulary, {f: i for i, f in enumerate(vocabulary)}, np.asarray(idf, dtype=np.float32),
            np.array([_FAMILY[f[0]] for f in vocabulary], dtype=np.intp), centred, np.asarray(intercept, dtype=np.float32),
            tuple(fields), grams, {f.name: f for f in fields},
        )  # fmt: skip

    def classify(self, text: str, found: Sequence[str] = (), *, reasons: int = 0) -> dict[str, Opinion]:
        """Of a text with personal data blanked, by field name. found: what rules found in it, where it was trained with
        that. reasons: how many words to name."""
        scored = self.score(text, found)
        return {f.name: scored.opinion(f.name, reasons=reasons) for f in self.fields}

    def score(self, text: str, found: Sequence[str] = ()) -> "Scored":
        """As classify, for who asks only some fields."""
        rows, counts = np.unique(np.array(self._rows(text, found), dtype=np.intp), return_counts=True)
        values = self._weigh(rows, counts)
        weights = self.weights[rows]
        return Scored(self, (values @ weights + self.intercept).tolist(), rows, values, weights)

    def _rows(self, text: str, found: Sequence[str]) -> list[int]:
        """Rows of the features of `features`, as often as they stand; character n-grams by one automaton in one pass."""
        text = text[:MAX_CHARACTERS].lower()
        words = cut(text)
        solid = "".join(words)
        seen: list[int] = []
        for family, part in (("c", solid), ("C", solid[:OPENING])):
            automaton, rows = self.grams[family]
            seen += [rows[i] for i, _, _ in automaton.find_matches_as_indexes(part, overlapping=True)]
        look_up = self.index.get
        seen += [row for f in _of_words(words) if (row := look_up(f)) is not None]
        seen += [row for f in found if (row := look_up("x" + f)) is not None]
        return seen

    def _weigh(self, rows: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]) -> Floats:
        """Sublinear term frequency times inverse document frequency, each family of unit length times its weight."""
        values = (1.0 + np.log(counts)) * self.idf[rows]
        family = self.family[rows]
        length = np.sqrt(np.bincount(family, values * values, minlength=len(_FAMILY)))
        scale = np.array(list(FAMILIES.values())) / np.where(length > 0, length, 1.0)
        weighed: Floats = (values * scale[family]).astype(np.float32)
        return weighed


@dataclass(frozen=True, slots=True)
class Scored:
    """A text's scores in all columns, asked field by field."""

    classifier: Classifier
    scores: Sequence[float]
    rows: npt.NDArray[np.intp]
    values: Floats
    weights: Floats

    def chance(self, name: str) -> float:
        """Of the second class of a field of two."""
        field = self.classifier.by_name[name]
        first, second = self.scores[field.column : field.column + 2]
        return 1.0 / (1.0 + math.exp(max(-30.0, min(30.0, (first - second) * field.temperature))))

    def opinion(self, name: str, *, reasons: int = 0) -> Opinion:
        field = self.classifier.by_name[name]
        own = [s * field.temperature for s in self.scores[field.column : field.column + len(field.classes)]]
        most = max(own)
        risen = [math.exp(s - most) for s in own]
        total = sum(risen)
        chances = [r / total for r in risen]
        best = own.index(most)
        words: tuple[tuple[str, float], ...] = ()
        if reasons and len(self.rows):
            shares = self.values * self.weights[:, field.column + best]
            strongest = np.argpartition(-shares, min(4 * reasons, len(shares) - 1))[: 4 * reasons]
            words = _strongest([self.classifier.vocabulary[self.rows[i]] for i in strongest], shares[strongest], reasons)
        label = field.classes[best] if chances[best] >= field.threshold and len(self.rows) else None
        return Opinion(label, field.classes[best], chances[best], dict(zip(field.classes, chances, strict=True)), words)


_FAMILY = {name: number for number, name in enumerate(FAMILIES)}


def _strongest(names: Sequence[str], shares: Floats, most: int) -> tuple[tuple[str, float], ...]:
    """Words and pairs, and character n-grams of two and three where no word says the same."""
    total: dict[str, float] = {}
    for name, share in zip(names, shares.tolist(), strict=True):
        if share > 0 and len(name) > 2 and name[0] != "x":
            word = name[1:].replace(" ", "")
            total[word] = total.get(word, 0.0) + share
    kept: list[tuple[str, float]] = []
    for word, share in sorted(total.items(), key=lambda w: (-w[1], w[0])):
        if not any(word in k or k in word for k, _ in kept):
            kept.append((word, round(share, 3)))
        if len(kept) == most:
            break
    return tuple(kept)


# -- plain arrays on disk: <name>.npz holds arrays only (loaded with allow_pickle=False), <name>.json the rest


def save(classifier: Classifier, path: Path) -> None:
    """path without suffix. Half precision: it changes no decision that a probability of .01 would not."""
    np.savez_compressed(
        path.with_suffix(".npz"),
        vocabulary=np.frombuffer("\n".join(classifier.vocabulary).encode(), dtype=np.uint8),
        idf=classifier.idf.astype(np.float16), weights=classifier.weights.astype(np.float16), intercept=classifier.intercept,
    )  # fmt: skip
    described = {
        "version": classifier.version,
        "fields": [
            {"name": f.name, "classes": list(f.classes), "temperature": round(f.temperature, 4), "threshold": f.threshold}
            for f in classifier.fields
        ],
    }
    path.with_suffix(".json").write_text(json.dumps(described, ensure_ascii=False, indent=1) + "\n", "utf-8")


def load(path: Path) -> Classifier:
    """path without suffix. Loads arrays only: a file that holds objects is refused."""
    described = json.loads(path.with_suffix(".json").read_text("utf-8"))
    fields, column = [], 0
    for raw in described["fields"]:
        fields.append(Field(raw["name"], tuple(raw["classes"]), column, raw["temperature"], raw["threshold"]))
        column += len(raw["classes"])
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        vocabulary = bytes(arrays["vocabulary"]).decode().split("\n")
        return Classifier.of(described["version"], vocabulary, arrays["idf"], arrays["weights"], arrays["intercept"], fields)
