"""Trains the engine of reading from marked texts, and scores readings against marks. Offline."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from ml import classification, dangers, tagging, training
from ml.corpus import Marked
from ml.facts import Fact
from ml.lexicon import stance
from ml.progress import Progress, quiet
from ml.reading import DEMANDS, FORMED, NO_VALUE, Engine, Prepared, Reading, load_engine, prepare, read
from ml.tagging import Span

FEATURES = 40_000
JUDGE_MIN_COUNT = 2
JUDGE_REGULARISATION = 1.0
JUDGE_THRESHOLD = 0.4


def train_engine(marked: Sequence[Marked], folder: Path, *, version: str, progress: Progress = quiet) -> Engine:
    """Writes classifier, judge and tagger into folder and loads them."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = [prepare(m.text, m.day) for m in marked]
    progress("classifier", 0, 3)
    classification.save(train_classifier(marked, seen, version=version), folder / "reading")
    progress("dangers", 1, 3)
    dangers.save_judge(train_judge(marked, seen, version=version), folder / "dangers.json")
    progress("tagger", 2, 3)
    train_tagger(marked, seen, folder / "facts.crfsuite")
    progress("tagger", 3, 3)
    return load_engine(folder)


def train_classifier(marked: Sequence[Marked], seen: Sequence[Prepared], *, version: str) -> classification.Classifier:
    texts = [training.Text(s.blank, tuple(s.context)) for s in seen]
    labels: dict[str, list[str | None]] = {
        "kind": [m.kind for m in marked],
        "goods": [m.goods or NO_VALUE for m in marked],
        "problem": [m.problem or NO_VALUE for m in marked],
        "department": [m.department for m in marked],
    }
    labels |= {f"demand.{d}": [str(int(d in m.demands)) for m in marked] for d in DEMANDS}
    return training.train(texts, labels, version=version, keep=FEATURES)


def train_judge(marked: Sequence[Marked], seen: Sequence[Prepared], *, version: str) -> dangers.Judge:
    rows: list[list[str]] = []
    truth: list[bool] = []
    for one, text in zip(marked, seen, strict=True):
        if not one.spans:
            continue
        meant = [(d.type, *_inside(text, d.start, d.end)) for d in one.dangers]
        types = {t for t, _, _ in meant}
        context = text.context
        same = Counter(c.type for c in text.candidates)
        for candidate in text.candidates:
            stood = stance(text.blank, candidate.start, candidate.end)
            if stood in ("denied", "feared"):
                continue
            right = any(t == candidate.type and s < candidate.end and candidate.start < e for t, s, e in meant)
            if not right and candidate.type in types:
                continue  # a danger is marked at its clearest words: another mention of it is neither right nor wrong
            rows.append(sorted(set(dangers.features(text.blank, candidate, stood, context, same[candidate.type]))))
            truth.append(right)
    counts = Counter(f for row in rows for f in row)
    vocabulary = sorted(f for f, n in counts.items() if n >= JUDGE_MIN_COUNT)
    index = {f: i for i, f in enumerate(vocabulary)}
    places = [(r, index[f]) for r, row in enumerate(rows) for f in row if f in index]
    matrix = sparse.csr_matrix((np.ones(len(places)), tuple(zip(*places, strict=True))), shape=(len(rows), len(vocabulary)))
    fitted = LogisticRegression(C=JUDGE_REGULARISATION, max_iter=1000).fit(matrix, truth)
    weights = {f: round(float(w), 3) for f, w in zip(vocabulary, fitted.coef_[0], strict=True) if abs(w) >= 0.01}
    return dangers.Judge(version, weights, round(float(fitted.intercept_[0]), 3), JUDGE_THRESHOLD)


def train_tagger(marked: Sequence[Marked], seen: Sequence[Prepared], path: Path) -> None:
    sequences = []
    for one, text in zip(marked, seen, strict=True):
        if not one.spans:
            continue
        lattice = tagging.lattice(text.blank, *text.cues)
        spans = [Span(f.type, *_inside(text, f.start, f.end)) for f in one.facts if f.type not in FORMED]
        sequences.append((lattice, tagging.encode(lattice.tokens, spans)))
    tagging.train(sequences, path)


def _inside(text: Prepared, start: int, end: int) -> tuple[int, int]:
    """A span of the text as given as one of the normalised text."""
    offsets = text.normal.offsets
    if offsets is None:
        return start, end
    inside = [i for i, o in enumerate(offsets) if start <= o < end]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


# -- scores


@dataclass(frozen=True, slots=True)
class Counted:
    """Right answers, answers too many, answers missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.right + other.right, self.wrong + other.wrong, self.missed + other.missed)


@dataclass(frozen=True, slots=True)
class Score:
    """macro_f1: of kind, goods and problem over the classes that the marks hold (goods and problem where one is marked);
    the others per type and, under 'all', together. A name is found where type and place agree, a number or day where type
    and value do. A danger counts once a text and type (marked are its clearest words, not every mention): right when the
    text has that danger and a finding touches its words."""

    macro_f1: Mapping[str, float]
    ece: Mapping[str, float]
    demands: Mapping[str, Counted]
    facts: Mapping[str, Counted]
    dangers: Mapping[str, Counted]


_BY_PLACE = frozenset({"merchant", "shop", "place", "product", "brand", "platform"})


def score(marked: Sequence[Marked], readings: Sequence[Reading]) -> Score:
    macro, ece = {}, {}
    for name in ("kind", "goods", "problem"):
        pairs = [(getattr(m, name), getattr(r, name) or "") for m, r in zip(marked, readings, strict=True) if getattr(m, name)]
        classes = sorted({t for t, _ in pairs})
        macro[name] = float(
            f1_score([t for t, _ in pairs], [a for _, a in pairs], labels=classes, average="macro", zero_division=0.0)
        )
        sure = [
            (r.answers[name].probability, t == a)
            for (t, a), r in zip(pairs, [r for m, r in zip(marked, readings, strict=True) if getattr(m, name)], strict=True)
        ]
        ece[name] = training.expected_calibration_error(np.array([p for p, _ in sure]), np.array([x for _, x in sure]))
    demands: Counter[tuple[str, str]] = Counter()
    facts: Counter[tuple[str, str]] = Counter()
    found_dangers: Counter[tuple[str, str]] = Counter()
    for m, r in zip(marked, readings, strict=True):
        _count(demands, set(m.demands), set(r.demands), lambda d: d)
        _match(facts, m.facts, r.facts, _same_fact)
        said, got = {d.type for d in m.dangers}, {d.type for d in r.dangers}
        placed = {a.type for a in m.dangers for b in r.dangers if a.type == b.type and a.start < b.end and b.start < a.end}
        for kind, types in (("right", placed), ("wrong", got - placed), ("missed", said - placed)):
            found_dangers.update((t, kind) for t in types)
    return Score(macro, ece, _table(demands), _table(facts), _table(found_dangers))


def _same_fact(marked: Fact, found: Fact) -> bool:
    if marked.type in _BY_PLACE:
        shared = min(marked.end, found.end) - max(marked.start, found.start)
        return shared * 2 >= max(marked.end - marked.start, found.end - found.start)
    said, got = (str(v).replace(" ", "").upper() for v in (marked.value, found.value))
    # 国药准字H20053456 and H20053456 are one number.
    return said == got or (marked.type == "approval_no" and (said.endswith(got) or got.endswith(said)))


def _count(counts: Counter[tuple[str, str]], said: set[str], got: set[str], name: Callable[[str], str]) -> None:
    for kind, items in (("right", said & got), ("wrong", got - said), ("missed", said - got)):
        for item in items:
            counts[name(item), kind] += 1


def _match(counts: Counter[tuple[str, str]], said: Iterable, got: Iterable, same: Callable) -> None:  # type: ignore[type-arg]
    """One mark may be named by several findings (it is one danger in two words); a finding without a mark is wrong."""
    marks, findings = list(said), list(got)
    for mark in marks:
        counts[mark.type, "right" if any(f.type == mark.type and same(mark, f) for f in findings) else "missed"] += 1
    for finding in findings:
        if not any(m.type == finding.type and same(m, finding) for m in marks):
            counts[finding.type, "wrong"] += 1


def _table(counts: Counter[tuple[str, str]]) -> dict[str, Counted]:
    found = {
        name: Counted(counts[name, "right"], counts[name, "wrong"], counts[name, "missed"])
        for name in sorted({n for n, _ in counts})
    }
    found["all"] = sum(found.values(), Counted())
    return found


def read_all(marked: Sequence[Marked], engine: Engine) -> list[Reading]:
    return [read(m.text, on=m.day, using=engine) for m in marked]
