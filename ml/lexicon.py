"""Words that say something: one dictionary (artifacts/lexicon.json) matched in a single pass, with what the words around
take back: denial (没有受伤), fear and supposition (怕吃出病来), hearsay (听说有人住院)."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from ahocorasick_rs import AhoCorasick, MatchKind

from ml.text import lowered


@dataclass(frozen=True, slots=True)
class Hit:
    """A dictionary word at [start, end). severity: only of dangers. Categories: goods, issues, demands, punitive, kinds,
    departments, dangers, tags, evidence, flags, platforms."""

    category: str
    name: str
    severity: str
    start: int
    end: int
    word: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    version: str
    problem_of: dict[str, str]
    campaigns: dict[str, dict[str, list[str]]]
    _automaton: AhoCorasick
    # pattern index -> [(category, name, severity)]
    _meanings: list[list[tuple[str, str, str]]]
    _words: list[str]

    def find(self, text: str) -> list[Hit]:
        """All hits by place; of one meaning only the longest where words overlap (医院 in 送到医院)."""
        found: dict[tuple[str, str, int], Hit] = {}
        for index, start, end in self._automaton.find_matches_as_indexes(lowered(text), overlapping=True):
            word = self._words[index]
            for category, name, severity in self._meanings[index]:
                key = (category, name, start)
                kept = found.get(key)
                if kept is None or kept.end < end:
                    found[key] = Hit(category, name, severity, start, end, word)
        ordered = sorted(found.values(), key=lambda h: (h.start, -h.end, h.category, h.name))
        last: dict[tuple[str, str], int] = {}
        kept_hits = []
        for hit in ordered:
            if last.get((hit.category, hit.name), -1) < hit.end:
                last[(hit.category, hit.name)] = hit.end
                kept_hits.append(hit)
        return kept_hits


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    raw = json.loads((files("ml") / "artifacts" / "lexicon.json").read_text("utf-8"))
    meanings: dict[str, list[tuple[str, str, str]]] = {}

    def teach(category: str, name: str, words: list[str], severity: str = "") -> None:
        for word in words:
            meanings.setdefault(word.lower(), []).append((category, name, severity))

    for category in (
        "goods",
        "demands",
        "punitive",
        "kinds",
        "hints",
        "issue_hints",
        "departments",
        "tags",
        "flags",
        "platforms",
    ):
        for name, words in raw[category].items():
            teach(category, name, words)
    for issue, spec in raw["issues"].items():
        teach("issues", issue, spec["words"])
    for danger, by_severity in raw["dangers"].items():
        for severity, words in by_severity.items():
            teach("dangers", danger, words, severity)
    teach("evidence", "evidence", raw["evidence"])
    teach("harmless", "harmless", raw["harmless"])
    words = sorted(meanings)
    return Lexicon(
        raw["version"], {issue: spec["problem"] for issue, spec in raw["issues"].items()}, raw["campaigns"],
        AhoCorasick(words, matchkind=MatchKind.Standard), [meanings[w] for w in words], words,
    )  # fmt: skip


_CLAUSE = re.compile(r"[,。;!?\n:、]")
_DENIED = re.compile(
    r"(?:没有?|未|无|冇得?|不是|并非|不会|未见|未曾|不曾|不存在|没得|不算|避免|防止|免得|省得|以免|差点儿?|险些|差一点|幸亏|幸好|好在|万幸|侥幸|不至于|不一定|哪有)"
    r"(?:有人|人员|造成|发生|出现|任何|任何人|什么|引起|导致|发现|再|被|把|到|人|让|给|是|去|谁|过|真|真的|摔|被人){0,3}$"
)
_DENIED_AFTER = re.compile(
    r"^(?:的?(?:情况|现象|迹象|人员|事|问题))?(?:倒是|倒|是|都|也|暂时|目前|暂)?(?:没有|冇得|没得|未发生|不存在|没发生|无)"
)
_FEARED = re.compile(
    r"(?:怕|担心|害怕|万一|如果|要是|假如|恐怕|会不会|生怕|唯恐|假设|倘若|若是|若|一旦|可能会?|说不定|容易|就怕|搞不好|弄不好|难免|难保|随时会?|早晚会?|迟早会?|哪天|存在.{0,4}(?:风险|隐患)|不排除|谁知道会不会|是否会?|能不能)[^,。;!?]{0,10}$"
)
_HEARD = re.compile(
    r"(?:听说|据说|听[^,。;]{1,6}(?:说|讲)|网上[^,。;]{0,4}说|有人说|群里[^,。;]{0,3}说|传闻|传言|说是|据传|网传|刷到|看到网上)[^。;!?]{0,14}$"
)


def stance(text: str, start: int, end: int) -> str:
    """How the words around mean [start, end): 'denied', 'feared', 'heard', or '' for said as a fact."""
    before = text[max(0, start - 24) : start]
    clause = _CLAUSE.split(before)[-1]
    if _DENIED.search(clause) or _DENIED_AFTER.search(text[end : end + 8]):
        return "denied"
    if _FEARED.search(clause):
        return "feared"
    return "heard" if _HEARD.search(before) else ""
