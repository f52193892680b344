"""`make bench-reading`: the exam, CPU of a reading beside a peer in the same run; with FILE=... of labelled texts (label,
text columns, or a headerless XLSX of tokens and label) also cross-validation and the time of one training.

Peer: scikit-learn's own TF-IDF and linear SVM, one field, one text at a time.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rich.progress import track
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from app import learning
from ml import apprenticeship, corpus, reading, training

EXAM = Path("tests/exam/complaints.jsonl")
ROUNDS = 7


def cpu_ms(work: Callable[[str], Any], texts: list[str]) -> float:
    started = time.process_time()
    for text in texts:
        work(text)
    return (time.process_time() - started) / len(texts) * 1000


def speed(marked: list[corpus.Marked]) -> None:
    peer = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True), LinearSVC())
    peer.fit([m.text for m in marked], [m.kind for m in marked])
    on = date(2026, 11, 1)
    gc.collect()
    gc.freeze()  # as the web processes do
    gc.set_threshold(20_000, 20, 50)
    long = [m.text for m in marked if len(m.text) >= 200]
    for size in (200, 1000):
        texts = [t[:200] for t in long] if size == 200 else [(t * (size // len(t) + 1))[:size] for t in long]
        own, theirs = [], []
        for _ in track(range(ROUNDS), f"{size} characters"):
            own.append(cpu_ms(lambda t: reading.read(t, on=on), texts))
            theirs.append(cpu_ms(lambda t: peer.predict([t]), texts))
        mine, floor = statistics.median(own), statistics.median(theirs)
        print(f"{size} characters: reading {mine:.2f} ms CPU, peer (one field) {floor:.2f} ms, ratio {mine / floor:.2f}")


def petitions(file: Path) -> None:
    headerless = file.suffix == ".xlsx"
    columns = ("1", "2") if headerless else ("text", "label")
    data = learning.read_labelled([file], text=[columns[0]], labels=[columns[1]], header=not headerless)
    started = time.process_time()
    training.train(data.texts, data.labels, version="bench")
    seconds = time.process_time() - started
    for one in training.cross_validate(data.texts, data.labels):
        print(
            f"{file.name}: {one.texts} texts ({data.duplicates} repeated left out), macro-F1 {one.macro_f1:.4f}, "
            f"calibration error {one.ece:.4f}; one training {seconds:.0f} s CPU"
        )


def main() -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d}")
    marked = corpus.load([EXAM])
    found = learning.scores_of(apprenticeship.score(marked, apprenticeship.read_all(marked, reading.engine())))
    print("exam:", found["macro_f1"], "calibration error", found["expected_calibration_error"])
    for name in ("demands", "facts", "dangers"):
        print(f"{name}: precision {found[name]['all']['precision']}, recall {found[name]['all']['recall']}")
    speed(marked)
    for file in sys.argv[1:]:
        petitions(Path(file))


if __name__ == "__main__":
    main()
