"""Settled cases like this one: found by key, scored in bits with evidence, what became of them, and whether a new end lies far outside.

Nothing is decrypted and nothing is kept in step: four partial indexes on what is settled give the newest cases by merchant, product, class
and issue; their sum of bits ranks them. Settled is what is closed with an outcome, history too, copies (R1) apart.
"""

import math
import statistics
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import numpy as np

from app import codes
from app.acts import BODIES, STATE_LABELS
from app.calendar import SHANGHAI, local_day
from app.database import Connection, to_json
from app.errors import Invalid, NotFound
from app.identity import Principal, new_id
from app.partners import KINDS

# How much agreement in a field says, in bits: -log2 of how often two complaints agree in it, of the problem, the product, issues, demands
# and words among those of one class of goods (and one problem), for they come together. Measured on made-up complaints (make bench-similar
# prints the rates). They rank; they are no probability.
BITS = {"merchant": 6.3, "product": 3.8, "goods": 3.3, "demands": 2.4, "problem": 2.1, "issues": 1.6, "terms": 6.0}
LABELS = {
    "merchant": "经营者", "goods": "客体类别", "product": "商品", "problem": "问题类别", "issues": "具体问题", "demands": "诉求", "terms": "用词",
}  # fmt: skip
# Like enough to be counted: as much as one class of goods and one problem say.
LIKE_BITS = BITS["goods"] + BITS["problem"]
MOST = 100  # counted, the most like ones
LEAST = 5  # below so many no share and no quartile
MAX_ITEMS = 50

_PER_KEY, _PER_PAIR = 150, 20
_DEEP = 2_000  # of a key's newest cases, where a filter passes over most
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

# What an end may be held against: a mediation that ran to its end. Those without agreement recovered nothing where nothing is said.
_COMPARED = frozenset({"agreement", "no_agreement", "refused", "unreachable", "terminated", "other"})
_NOTHING_RECOVERED = frozenset({"no_agreement", "refused", "unreachable"})
_ENOUGH, _MOSTLY = 10, 0.8
_LEAST_SPREAD = 0.1  # of ratios: where nearly all got the same, a little less is not far outside
_NAMED = 10  # cases in a finding

DEFINITIONS = {
    "settled": "已结案件：已办结且有办理结果的事项，历史导入中有结果的计入，重复登记（R1）的不计；与本件同为投诉或者同为举报",
    "similar": f"相似：各项相同之处的比特数之和不少于{LIKE_BITS:.1f}（相当于同一客体类别、同一问题类别），最多计最相似的{MOST}件；按条件检索的，计符合条件的最近办结的，最多{MOST}件",
    "outcomes": "各办理结果的件数和占比",
    "recovered": "有挽回金额记录的件数n、其中挽回金额大于零的件数；未达成协议、一方拒绝、联系不到且未登记金额的按零计，其他未登记金额的不计",
    "ratio": "挽回金额÷涉及金额；挽回金额和涉及金额均大于零的案件的四分位数",
    "recovered_fen": "挽回金额（分）；挽回金额大于零的案件的四分位数",
    "days": "自收到之日至办结之日的自然日数；历史导入只计平台写明办结日期的",
    "satisfied": "有满意度记录的件数n、其中满意的件数",
    "least": f"不足{LEAST}件的只列件数，不列占比和四分位数",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What cases are held against: a matter, or what a search names. terms: keyed, with weights. least: bits below which a case is not
    like it. without: the matter itself."""

    lane: str
    merchant_id: uuid.UUID | None = None
    product: int | None = None
    goods: str | None = None
    problem: str | None = None
    issues: tuple[str, ...] = ()
    demands: tuple[str, ...] = ()
    terms: Mapping[int, float] = field(default_factory=dict)
    least: float = LIKE_BITS
    without: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters. closed_after: that day counts."""

    merchant_id: uuid.UUID | None = None
    goods: str | None = None
    problem: str | None = None
    demand: str | None = None
    outcome: str | None = None
    closed_after: date | None = None

    @property
    def since(self) -> datetime:
        """Raises Invalid for a year that is none of ours."""
        if self.closed_after is None:
            return _EARLIEST
        if not 2000 <= self.closed_after.year <= 2100:
            raise Invalid.field("closed_after", "must lie between 2000 and 2100")
        return datetime.combine(self.closed_after, datetime.min.time(), SHANGHAI)


@dataclass(frozen=True, slots=True)
class Case:
    """evidence: fields that agree, with their bits; their sum is the score."""

    row: Any
    evidence: tuple[Mapping[str, Any], ...]
    score: float

    @classmethod
    def of(cls, row: Any, evidence: Sequence[Mapping[str, Any]]) -> "Case":
        return cls(row, tuple(evidence), round(math.fsum(e["bits"] for e in evidence), 2))

    @property
    def recovered(self) -> int | None:
        """Fen; None where nobody said."""
        return recovered(self.row["outcome"], self.row["recovered_fen"])

    @property
    def ratio(self) -> float | None:
        """Of the sum in dispute; None unless both are more than nothing."""
        return _ratio(self.recovered, self.row["amount_fen"])

    @property
    def days(self) -> int | None:
        ended: datetime | None = self.row["ended_at"]
        return (local_day(ended) - local_day(self.row["received_at"])).days if ended else None


def recovered(outcome: str, recovered_fen: int | None) -> int | None:
    return recovered_fen if recovered_fen is not None else 0 if outcome in _NOTHING_RECOVERED else None


def _ratio(recovered_fen: int | None, amount_fen: int | None) -> float | None:
    return recovered_fen / amount_fen if recovered_fen and amount_fen else None


# -- finding


# What the partial indexes hold, word for word as in models.matter: else the planner does not know them again.
_SETTLED = "closed_at IS NOT NULL AND outcome IS NOT NULL AND copy_of IS NULL"


_SAME = {
    "merchant": "merchant_id = $1", "product": "product_token = $2", "goods": "goods = $15", "problem": "problem = $16", "issues": "issue = $5",
}  # fmt: skip


def _newest(key: str, limit: str) -> str:
    """Of one key, newest first. The inner limit bounds what a rare filter passes over."""
    return (
        f"(SELECT id, closed_at, merchant_id, product_token, goods, problem, issues[1] AS issue FROM (SELECT * FROM matter WHERE {key} AND {_SETTLED} AND closed_at >= $7 ORDER BY closed_at DESC LIMIT {_DEEP}) s "
        "WHERE lane = $6 AND id IS DISTINCT FROM $8 AND ($9::uuid IS NULL OR merchant_id = $9) AND ($10::text IS NULL OR goods = $10) "
        "AND ($11::text IS NULL OR problem = $11) AND ($12::text IS NULL OR $12 = ANY(demands)) AND ($13::text IS NULL OR outcome = $13) "
        f"LIMIT {limit})"
    )


def _codes(name: str, given: str, other: str) -> str:
    """The class itself; where only the other is known, every one of its list."""
    return (
        f"(SELECT {given}::text AS code WHERE {given} IS NOT NULL UNION ALL "
        f"SELECT code FROM code WHERE list = '{name}' AND {given}::text IS NULL AND {other}::text IS NOT NULL)"
    )


# Chosen are the most like by class, of equals the newest; only of these more is read.
_FIND = f"""
WITH found AS (
  {_newest("merchant_id = $1", str(_PER_KEY))}
  UNION {_newest("product_token = $2", str(_PER_KEY))}
  UNION {_newest("(issues[1]) = $5::text", str(_PER_KEY))}
  UNION SELECT n.* FROM {_codes("goods", "$3", "$4")} g CROSS JOIN {_codes("problem", "$4", "$3")} p
    CROSS JOIN LATERAL {_newest("goods = g.code AND problem = p.code", "$14")} n
), chosen AS (
  SELECT id FROM found ORDER BY
    {" + ".join(f"CASE WHEN {same} THEN {BITS[name]} ELSE 0 END" for name, same in _SAME.items())} DESC, closed_at DESC, id DESC
  LIMIT {MOST}
)
SELECT m.id, m.letter_id, m.lane, m.district, m.merchant_id, m.product_token, m.goods, m.problem, m.issues, m.demands, m.amount_fen, m.outcome,
       m.recovered_fen, m.satisfied, m.received_at, m.closed_at, m.authority, array_send(m.terms) AS terms, array_send(m.term_weights) AS weights,
       CASE WHEN m.history THEN (SELECT max(s.ended_at) FROM platform_state s WHERE s.letter_id = m.letter_id) ELSE m.closed_at END AS ended_at
FROM chosen JOIN matter m USING (id)
"""


async def search(connection: Connection, probe: Probe, wanted: Wanted) -> list[Case]:
    """The settled cases like it, the most like first and of equals the newest; MOST at most."""
    goods, problem = wanted.goods or probe.goods, wanted.problem or probe.problem
    rows = await connection.fetch(
        _FIND, probe.merchant_id, probe.product, goods, problem, probe.issues[0] if probe.issues else None, probe.lane, wanted.since,
        probe.without, wanted.merchant_id, wanted.goods, wanted.problem, wanted.demand, wanted.outcome,
        _PER_KEY if goods and problem else _PER_PAIR, probe.goods, probe.problem,
    )  # fmt: skip
    words = _words(probe.terms, rows)
    cases = [Case.of(row, _agreed(probe, row) + said) for row, said in zip(rows, words, strict=True)]
    cases.sort(key=lambda c: (c.score, c.row["closed_at"], c.row["id"]), reverse=True)
    return [c for c in cases if c.score >= probe.least]


def _say(name: str, share: float, **more: Any) -> list[Mapping[str, Any]]:
    bits = round(BITS[name] * share, 2)
    return [{"field": name, "label": LABELS[name], "bits": bits, **more}] if bits > 0 else []


def _agreed(probe: Probe, row: Any) -> list[Mapping[str, Any]]:
    """By class. Of lists the share that is common."""
    found: list[Mapping[str, Any]] = []
    for name, mine, theirs in (
        ("merchant", probe.merchant_id, row["merchant_id"]), ("goods", probe.goods, row["goods"]),
        ("product", probe.product, row["product_token"]), ("problem", probe.problem, row["problem"]),
    ):  # fmt: skip
        if mine is not None and mine == theirs:
            found += _say(name, 1)
    for name, ours in (("issues", probe.issues), ("demands", probe.demands)):
        if shared := sorted(set(ours) & set(row[name])):
            found += _say(name, len(shared) / len(set(ours) | set(row[name])), shared=shared)
    return found


# An array of numbers as the database sends it: twenty bytes of its form, twelve where it is empty; each number after its length.
_TOKEN, _WEIGHT = (np.dtype([("length", ">i4"), ("value", kind)]) for kind in (">i8", ">f4"))


def _words(terms: Mapping[int, float], rows: Sequence[Any]) -> list[list[Mapping[str, Any]]]:
    """Of each row, by the cosine of the keyed terms. The rate at which pairs reach one falls as its root grows."""
    if not terms or not rows:
        return [[] for _ in rows]
    own = np.array(sorted(terms), dtype=np.int64)
    own_weights = np.array([terms[t] for t in own.tolist()])
    tokens, weights = (
        [np.frombuffer(r[name], kind, offset=20)["value"] if len(r[name]) > 20 else np.empty(0, kind["value"]) for r in rows]
        for name, kind in (("terms", _TOKEN), ("weights", _WEIGHT))
    )
    of = np.repeat(np.arange(len(rows)), [len(t) for t in tokens])
    theirs, theirs_weights = np.concatenate(tokens).astype(np.int64), np.concatenate(weights).astype(np.float64)
    at = np.minimum(np.searchsorted(own, theirs), len(own) - 1)
    same = own[at] == theirs

    def summed(values: Any) -> Any:
        return np.bincount(of, values, len(rows))

    norms = np.sqrt(np.square(own_weights).sum() * summed(np.square(theirs_weights)))
    cosines = np.divide(summed(theirs_weights * own_weights[at] * same), norms, out=np.zeros(len(rows)), where=norms > 0)
    return [
        _say("terms", math.sqrt(cosine), cosine=round(cosine, 3), shared=int(shared))
        for cosine, shared in zip(np.minimum(cosines, 1).tolist(), summed(same).tolist(), strict=True)
    ]


# -- what became of them


def spread(cases: Sequence[Case]) -> dict[str, Any]:
    """Figures over them as JSON, each with its n; None where fewer than LEAST."""
    outcomes: dict[str, int] = {}
    for case in cases:
        outcomes[case.row["outcome"]] = outcomes.get(case.row["outcome"], 0) + 1
    known = [fen for c in cases if (fen := c.recovered) is not None]
    judged = [c.row["satisfied"] for c in cases if c.row["satisfied"] is not None]
    return {
        "n": len(cases), "least": LEAST,
        "outcomes": [
            {"outcome": o, "label": outcome_label(o), "count": n, "share": _share(n, len(cases))}
            for o, n in sorted(outcomes.items(), key=lambda one: (-one[1], one[0]))
        ],
        "recovered": _counted(sum(fen > 0 for fen in known), len(known)),
        "ratio": _quartiles([r for c in cases if (r := c.ratio) is not None], 4),
        "recovered_fen": _quartiles([fen for fen in known if fen > 0], 0),
        "days": _quartiles([d for c in cases if (d := c.days) is not None], 1),
        "satisfied": _counted(sum(judged), len(judged)),
    }  # fmt: skip


def _share(count: int, n: int) -> float | None:
    return round(count / n, 4) if n >= LEAST else None


def _counted(count: int, n: int) -> dict[str, Any]:
    return {"n": n, "count": count, "share": _share(count, n)}


def _quartiles(values: Sequence[float], digits: int) -> dict[str, Any]:
    """By linear interpolation between the ordered values."""
    q1, median, q3 = (
        (round(q, digits) for q in statistics.quantiles(values, n=4, method="inclusive"))
        if len(values) >= LEAST
        else (None, None, None)
    )
    return {"n": len(values), "q1": q1, "median": median, "q3": q3}


def outcome_label(outcome: str) -> str:
    return _outcomes().get(outcome) or STATE_LABELS.get(outcome, outcome)


@lru_cache(maxsize=1)
def _outcomes() -> dict[str, str]:
    return dict(codes.shipped("codes")["lists"]["outcome"])


# The body an end came about before: as the end says, else whom the matter was with last.
_SHOWN = """
SELECT m.id, mc.name, (
  SELECT coalesce(s.detail ->> 'through', s.detail ->> 'partner', CASE s.act WHEN 'delegate' THEN s.detail ->> 'to' WHEN 'settle' THEN 'odr' END)
  FROM state_change s WHERE s.matter_id = m.id AND (s.act IN ('delegate', 'settle', 'mediate', 'accept', 'reopen') OR s.detail ?| '{through,partner}')
  ORDER BY s.id DESC LIMIT 1
) AS through
FROM matter m LEFT JOIN merchant mc ON mc.id = m.merchant_id WHERE m.id = ANY($1)
"""
_THROUGH = {"bureau": "市场监督管理部门", "platform": "全国12315平台"}


async def _shown(connection: Connection, cases: Sequence[Case], principal: Principal) -> list[dict[str, Any]]:
    """As JSON. Of another place's case no more than its classes, merchant, dates and outcome: no id that opens it."""
    rows = {r["id"]: r for r in await connection.fetch(_SHOWN, [c.row["id"] for c in cases])}
    told = []
    for case in cases:
        row, more = case.row, rows[case.row["id"]]
        own = principal.covers(row["district"])
        through = more["through"] or ("platform" if row["authority"] == "platform" else "bureau")
        told.append(
            {
                "matter_id": row["id"] if own else None, "complaint_id": row["letter_id"] if own else None,
                "district": row["district"] if own else None, "lane": row["lane"],
                "merchant_id": row["merchant_id"], "merchant_name": more["name"], "goods": row["goods"], "problem": row["problem"],
                "issues": row["issues"], "demands": row["demands"], "amount_fen": row["amount_fen"],
                "outcome": row["outcome"], "outcome_label": outcome_label(row["outcome"]), "recovered_fen": row["recovered_fen"],
                "ratio": None if (r := _ratio(row["recovered_fen"], row["amount_fen"])) is None else round(r, 4),
                "satisfied": row["satisfied"], "received_on": local_day(row["received_at"]), "closed_on": local_day(row["closed_at"]),
                "days": case.days, "through": through, "through_label": _through_label(through), "score": case.score,
                "evidence": case.evidence,
            }
        )  # fmt: skip
    return told


def _through_label(code: str) -> str:
    return _THROUGH.get(code) or BODIES.get(code) or (KINDS[code].label if code in KINDS else code)


# -- what people ask


_MATTER = (
    "SELECT id, lane, district, merchant_id, product_token, goods, problem, issues, demands, terms, term_weights, amount_fen, outcome, "
    "recovered_fen, closed_at, history FROM matter WHERE id = $1"
)


def _probe(row: Any) -> Probe:
    return Probe(
        row["lane"], row["merchant_id"], row["product_token"], row["goods"], row["problem"], tuple(row["issues"]), tuple(row["demands"]),
        dict(zip(row["terms"], row["term_weights"], strict=True)), without=row["id"],
    )  # fmt: skip


async def of_matter(
    connection: Connection, matter_id: uuid.UUID, wanted: Wanted, principal: Principal, *, lanes: Sequence[str], same_merchant: bool, limit: int
) -> dict[str, Any]:  # fmt: skip
    """The settled cases most like a matter, and their spread, as JSON. same_merchant: only of its own. Raises NotFound for a matter that
    is not the caller's to see."""
    row = await connection.fetchrow(_MATTER, matter_id)
    if row is None or not principal.covers(row["district"]) or row["lane"] not in lanes:
        raise NotFound("no such matter")
    probe = _probe(row)
    if not same_merchant:
        cases = await search(connection, probe, wanted)
    elif probe.merchant_id is None:
        cases = []
    else:
        cases = await search(connection, probe, replace(wanted, merchant_id=probe.merchant_id))
    return {"matter_id": matter_id, **await _answer(connection, cases, principal, limit)}


async def of_search(
    connection: Connection, wanted: Wanted, principal: Principal, *, lane: str, lanes: Sequence[str], limit: int
) -> dict[str, Any]:
    """The settled cases that a search names, newest first, and their spread, as JSON. A lane that is not the caller's to know of holds
    nothing. Raises Invalid where nothing is named that cases are kept by."""
    if wanted.merchant_id is None and wanted.goods is None and wanted.problem is None:
        raise Invalid.field("merchant_id", "one of merchant_id, goods and problem must be given")
    if wanted.merchant_id is not None:  # one that was merged is the one it went into
        home = await connection.fetchval("SELECT coalesce(merged_into, id) FROM merchant WHERE id = $1", wanted.merchant_id)
        wanted = replace(wanted, merchant_id=home or wanted.merchant_id)
    probe = Probe(lane, wanted.merchant_id, None, wanted.goods, wanted.problem, least=0)
    cases = await search(connection, probe, wanted) if lane in lanes else []
    return await _answer(connection, cases, principal, limit)


async def _answer(connection: Connection, cases: Sequence[Case], principal: Principal, limit: int) -> dict[str, Any]:
    return {
        "as_of": datetime.now(UTC), "items": await _shown(connection, cases[:limit], principal), "spread": spread(cases),
        "definitions": DEFINITIONS,
    }  # fmt: skip


# -- an end that lies far outside


def unusual(outcome: str, recovered_fen: int | None, amount_fen: int | None, cases: Sequence[Case]) -> dict[str, Any] | None:
    """The figures by which an end lies far outside those of like cases, as JSON with a sentence; None where it does not, or they are too
    few. Of money only: how much is right is for people."""
    mine = recovered(outcome, recovered_fen)
    if outcome not in _COMPARED or mine is None:
        return None
    known = [(c, fen) for c in cases if (fen := c.recovered) is not None and c.row["outcome"] in _COMPARED]
    got = sum(fen > 0 for _, fen in known)
    share = got / len(known) if known else 0.0
    counted = {"n": len(known), "count": got, "share": round(share, 4)}
    like_mine = len(known) - got if mine == 0 else got
    if len(known) >= _ENOUGH and len(known) - like_mine >= _MOSTLY * len(known):
        kind, said = ("nothing_recovered", "未挽回损失") if mine == 0 else ("recovered_where_few", "挽回了损失")
        text = f"与本件相似的已结案件中，有挽回金额记录的{len(known)}件里{got}件挽回了损失（{share:.0%}），本件{said}。"
        return {"kind": kind, "recovered": counted, "text": text + _ASIDE, "cases": [c for c, _ in known]}
    ratio = _ratio(mine, amount_fen)
    ratios = [r for c, _ in known if (r := c.ratio) is not None]
    if ratio is None or len(ratios) < _ENOUGH:
        return None
    q1, _, q3 = statistics.quantiles(ratios, n=4, method="inclusive")
    reach = 1.5 * max(q3 - q1, _LEAST_SPREAD)
    if q1 - reach <= ratio <= q3 + reach:
        return None
    kind, said = ("ratio_low", "明显偏低") if ratio < q1 else ("ratio_high", "明显偏高")
    text = f"与本件相似且挽回了损失的{len(ratios)}件已结案件中，挽回金额占涉及金额的比例多在{q1:.0%}至{q3:.0%}之间，本件为{ratio:.0%}，{said}。"
    return {
        "kind": kind, "ratio": round(ratio, 4), "fences": [round(q1 - reach, 4), round(q3 + reach, 4)],
        "ratios": {"n": len(ratios), "q1": round(q1, 4), "q3": round(q3, 4)}, "text": text + _ASIDE,
        "cases": [c for c, _ in known if c.ratio is not None],
    }  # fmt: skip


_ASIDE = "仅供核对，不影响办理结果。"


async def note_unusual(connection: Connection, matter_id: uuid.UUID) -> None:
    """Writes a finding where the end that was just written lies far outside those of like cases. About the case, not about anybody, and
    it stops nothing. Ids only of cases of the matter's own place: who may see the finding may see them."""
    row = await connection.fetchrow(_MATTER, matter_id)
    if row["lane"] != "complaint" or row["history"] or row["outcome"] not in _COMPARED:
        return
    found = unusual(row["outcome"], row["recovered_fen"], row["amount_fen"], await search(connection, _probe(row), Wanted()))
    if found is None:
        return
    near = [c.row["id"] for c in found.pop("cases") if c.row["district"] == row["district"]]
    evidence = {**found, "outcome": row["outcome"], "ended_at": row["closed_at"], "matters": near[:_NAMED]}
    await connection.execute(
        "INSERT INTO finding (id, matter_id, code, evidence) VALUES ($1, $2, 'outcome_unusual', $3)",
        new_id(),
        matter_id,
        to_json(evidence),
    )


async def unusual_end(connection: Connection, matter_id: uuid.UUID) -> list[dict[str, Any]]:
    """What was found of the matter's present end."""
    rows = await connection.fetch(
        "SELECT f.code, f.evidence FROM finding f JOIN matter m ON m.id = f.matter_id "
        "WHERE f.matter_id = $1 AND f.code = 'outcome_unusual' AND (f.evidence ->> 'ended_at')::timestamptz = m.closed_at",
        matter_id,
    )
    return [dict(r) for r in rows]
