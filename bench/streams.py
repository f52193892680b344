"""`make bench-streams FILE=...`: the engine of incidents on streams of short English texts, beside published figures.

Each line of a file is {"textCleaned", "clusterNo"}, in order of the stream. Nothing but the text is used: all are told to lie in one
district, so that wording may identify (among complaints it may not), and a position is a time. The matter is decided when it comes, by
what came before it, as the service does. The scorecard is learned from what is not scored: News and News-T (the same texts in two orders)
by the labels of Tweets and Tweets-T, and the other way round.
"""

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

from app.reading import TermFrequencies
from ml.grouping import group, teach_incidents
from ml.incidents import ORDERS, Features
from ml.scorecards import Scorecard, learn
from ml.text import terms

START, A_DAY = datetime(2026, 1, 1, tzinfo=UTC), 1000
TAUGHT = 10_000  # texts of each stream that a scorecard is learned from
THRESHOLD_BITS = -0.5  # that of the shipped scorecard
# NMI of MStreamF and MStream (Yin et al., KDD 2018).
PUBLISHED = {"News": (0.797, 0.834), "News-T": (0.873, 0.850), "Tweets": (0.823, 0.844), "Tweets-T": (0.923, 0.882)}


@dataclass(frozen=True, slots=True)
class Stream:
    name: str
    features: list[Features]
    truth: list[int]

    @property
    def texts(self) -> str:
        """News and News-T hold the same texts."""
        return self.name.removesuffix("-T")


def read(file: Path) -> Stream:
    """Weights as the service has them: by what was counted before each text."""
    frequencies, numbers = TermFrequencies(), dict[str, int]()
    features: list[Features] = []
    truth: list[int] = []
    with file.open(encoding="utf-8") as lines:
        for place, line in enumerate(lines):
            row = json.loads(line)
            said, weighed, names = terms(row["textCleaned"]), dict[int, float](), dict[int, float]()
            for word, term in said.items():
                token = numbers.setdefault(word, len(numbers))
                (names if term.name else weighed)[token] = round(frequencies.weight(token, term.rate) * term.emphasis, 2)
            at = START + timedelta(days=place / A_DAY)
            features.append(Features(at=at, district="the stream", terms=weighed, names=names))
            truth.append(row["clusterNo"])
            for token in (*weighed, *names):
                frequencies.counts[token] = frequencies.counts.get(token, 0) + 1
            frequencies.matters += 1
    return Stream(file.stem, features, truth)


def taught_by(streams: list[Stream]) -> Scorecard:
    samples = [s for stream in streams for s in teach_incidents(stream.features[:TAUGHT], stream.truth[:TAUGHT])]
    source = " ".join(stream.name for stream in streams)
    return learn(samples, ORDERS, version="streams", source=source, threshold_bits=THRESHOLD_BITS)


def main() -> None:
    given = [Path(argument) for argument in sys.argv[1:]]
    files = [file for path in given for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
    streams: defaultdict[str, list[Stream]] = defaultdict(list)
    for file in files:
        stream = read(file)
        streams[stream.texts].append(stream)
    if len(streams) < 2:
        sys.exit(
            "Give streams of two sets of texts, such as News.jsonl and Tweets.jsonl: each is scored by what the others teach."
        )
    table = Table(
        "stream", "texts", "NMI", "MStreamF", "MStream", "each alone", "NMI arith.", "AMI", "ARI", "found", "true", "seconds"
    )
    for texts, scored in streams.items():
        scorecard = taught_by([s for other, those in streams.items() if other != texts for s in those])
        for stream in scored:
            truth, begun = stream.truth, perf_counter()
            found = group(stream.features, scorecard, sweeps=0)
            seconds = perf_counter() - begun
            scores = (
                normalized_mutual_info_score(truth, found, average_method="geometric"),
                *PUBLISHED.get(stream.name, ("", "")),
                normalized_mutual_info_score(truth, range(len(truth)), average_method="geometric"),
                normalized_mutual_info_score(truth, found),
                adjusted_mutual_info_score(truth, found),
                adjusted_rand_score(truth, found),
            )
            told = [f"{s:.3f}" if isinstance(s, float) else s for s in scores]
            table.add_row(
                stream.name, str(len(truth)), *told, str(len(set(found))), str(len(set(truth))), f"{seconds:.1f}"
            )  # fmt: skip
    console = Console(width=130)
    console.print(table)
    console.print(
        "NMI over the geometric mean of the entropies, and over the arithmetic. Both are kind to many small clusters ('each alone':"
    )
    console.print(
        "what a cluster for every text gets); AMI and ARI are not. Each set was scored by what labels of the other set teach;"
    )
    console.print("MStream and MStreamF use no labels.")


if __name__ == "__main__":
    main()
