"""What a policy must not say, each finding with the fact sheets that prove it.

Every cell compares a fact with a constant, so a field has only as many different values as its constants part: those
before, at and after each. Over these a row is a box (the values each field may have), and questions become searches for a
point of one box outside others: no point left, a row is never reached; a point in two boxes, rows overlap; a point of a
heavier row whose neighbour with more harm lies in a lighter one, a counter-example. The search is exact, not a sample.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations, pairwise, product
from typing import Any

from app.codes import shipped
from app.policy.content import Fault, read
from app.policy.language import FIELDS, LADDER, STATUSES, TRACK_LABELS, Cell, Facts, Field, Policy, Row
from app.policy.versions import overlay

# More of these is never lighter.
_WORSE = (
    "harm", "minors_harm", "safety_signal", "safety_goods", "incident_harm", "incident_people", "incident_districts", "incident_excess",
)  # fmt: skip
# One variable of the search, because a cell may ask about both at once (incident_significant).
_JOINED = ("incident_excess", "incident_harm")
_DERIVED = {"incident_significant": _JOINED}
_MOST_STEPS = 2_000_000
_MOST_OVERLAPS = 500
_MOST_FAULTS = 100


@dataclass
class Report:
    """policy: the one to be published; effective: with what it takes over from wider places; both None where there are errors
    of reading. What is in errors can't be published; warnings are to be looked at."""

    policy: Policy | None
    effective: Policy | None
    errors: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)


def prove(content: Any, *, today: date, wider: Sequence[Policy] = ()) -> Report:
    """today: in Shanghai. wider: what is in force around a place that is thresholds only, the narrowest first, the last whole."""
    policy, faults = read(content)
    if policy is not None and isinstance(content, dict) and "format" not in content:
        policy, faults = read(dict(policy.content))  # a version of before: a new one from now on
    errors = list(faults)
    if isinstance(content, dict) and not any(f.path[:1] == ("valid_from",) for f in faults) and content.get("valid_from"):
        errors += past(content["valid_from"], today)
    if policy is None:
        return Report(None, None, errors)
    shipped_now = shipped("policy")
    effective: Policy | None = policy
    if policy.whole:
        missing = [k for k in shipped_now["thresholds"] if k not in policy.thresholds]
        errors += [Fault(("thresholds",), k, f"缺少阈值{k}") for k in missing]
        errors += _missing_gates(policy, shipped_now)
    elif not wider or not wider[-1].whole:
        errors.append(Fault(("jurisdiction",), "", "上级地区没有施行中的政策，不能只调整阈值"))
        effective = None
    else:
        base = wider[-1]
        errors += [
            Fault(("thresholds", k), k, f"未知的阈值；上级政策{base.hash}没有{k}")
            for k in policy.thresholds
            if k not in base.thresholds
        ]
        effective, faults = read(overlay([policy, *wider]))
        errors += [Fault(("thresholds",), f.label, f"与上级政策{base.hash}不符：{f.place} {f.message}", f.sheets) for f in faults]
    if effective is None:
        return Report(policy, None, errors)
    try:
        found, warnings = _examine(effective)
    except _TooMany:
        found, warnings = [Fault(("rows",), "", "表过于复杂，无法证明没有矛盾；请减少条件")], []
    if not policy.whole:
        found = [Fault(("thresholds",), "", f"按此阈值，上级政策的{f.place}：{f.message}", f.sheets) for f in found]
    return Report(policy, effective, [*errors, *found], warnings)


def past(valid_from: str | date, today: date) -> list[Fault]:
    day = valid_from if isinstance(valid_from, date) else date.fromisoformat(valid_from)
    return [Fault(("valid_from",), "", f"施行日期{day}已过，不得早于{today}")] if day < today else []


def open_questions(policy: Policy) -> list[dict[str, Any]]:
    """What no law says or nobody verified, for the legal officer: [{place, id, name, value, status, source}]."""
    found = []
    for part in ("thresholds", "rows", "gates", "exclusions", "fallbacks", "notes"):
        held = policy.content.get(part, ())
        for one in ({"id": k, **v} for k, v in held.items()) if isinstance(held, Mapping) else held:
            status = one.get("status", "design_choice")
            if status != "law":
                name = one.get("id") or f"{one['track']}.{one.get('name') or one.get('cause')}"
                words = one.get("basis") or one.get("reason") or one.get("name") or name
                found.append(
                    {
                        "part": part, "id": name, "text": words, "value": one.get("value"), "status": status,
                        "status_label": STATUSES[status], "source": one.get("source", ""),
                    }
                )  # fmt: skip
    return found


def _missing_gates(policy: Policy, now: Mapping[str, Any]) -> Iterator[Fault]:
    """Gates the law itself demands (acceptance, both sides' consent) can't be edited away."""
    for gate in now["gates"]:
        if gate["status"] == "law":
            held = next((g for g in policy.gates.get(gate["track"], ()) if g.name == gate["name"]), None)
            if held is None:
                yield Fault(("gates",), "", f"{TRACK_LABELS[gate['track']]}缺少法定前提{gate['name']}（{gate['basis']}）")
            elif held.fact not in (None, gate.get("fact")):
                yield Fault(("gates",), "", f"{TRACK_LABELS[gate['track']]}的{gate['name']}不能由{held.fact}决定")


# -- the search

_Box = dict[str, int]  # variable -> bits of the values it may have; a variable that is not named may have any


class _TooMany(Exception):
    """The search took too long to be waited for."""


class _Space:
    """The variables of a policy, the values of each that differ for some cell, and rows as boxes over them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        cells = [c for r in rows for c in r.cells]
        asked = {name for c in cells for name in _DERIVED.get(c.field, (c.field,))}
        if asked & set(_JOINED):
            asked |= set(_JOINED)
        constants: dict[str, set[Any]] = {}
        for cell in cells:
            constants.setdefault(cell.field, set()).update(cell.limits)
        values = {name: _values(FIELDS[name], constants.get(name, set())) for name in FIELDS if name in asked}
        self.values: dict[str, list[dict[str, Any]]] = {n: [{n: v} for v in vs] for n, vs in values.items() if n not in _JOINED}
        if asked & set(_JOINED):
            pairs = product(*(values[n] for n in _JOINED))
            self.values["+".join(_JOINED)] = [dict(zip(_JOINED, pair, strict=True)) for pair in pairs]
        self.variable_of = {name: variable for variable, held in self.values.items() for name in held[0]}
        self.variable_of |= {name: self.variable_of[parts[0]] for name, parts in _DERIVED.items() if parts[0] in self.variable_of}
        self.all = {variable: (1 << len(held)) - 1 for variable, held in self.values.items()}
        self.steps = 0

    def box(self, cells: Iterable[Cell]) -> _Box:
        found: _Box = {}
        for cell in cells:
            variable = self.variable_of[cell.field]
            bits = sum(1 << n for n, v in enumerate(self.values[variable]) if cell.matches(_sheet(v)))
            found[variable] = found.get(variable, self.all[variable]) & bits
        return found

    def empty(self, box: _Box) -> bool:
        return not all(box.values())

    def both(self, one: _Box, other: _Box) -> _Box | None:
        found = dict(one)
        for variable, bits in other.items():
            found[variable] = found.get(variable, self.all[variable]) & bits
        return None if self.empty(found) else found

    def outside(self, box: _Box, others: Sequence[_Box]) -> _Box | None:
        """A part of box (not an empty one) that lies in none of the others, None where they cover it."""
        self.steps += len(others) + 1
        if self.steps > _MOST_STEPS:
            raise _TooMany
        touching: list[tuple[list[tuple[str, int]], _Box]] = []
        for other in others:
            ways = self._ways_out(box, other)
            if ways is None:
                continue
            if not ways:
                return None
            touching.append((ways, other))
        if not touching:
            return box
        # The one with the fewest ways out first: where there is only one, it is no choice but a consequence.
        ways, first = min(touching, key=lambda t: len(t[0]))
        rest = [o for _, o in touching if o is not first]
        for variable, bits in ways:
            found = self.outside({**box, variable: bits}, rest)
            if found is not None:
                return found
            box = {**box, variable: box.get(variable, self.all[variable]) & ~bits}
        return None

    def _ways_out(self, box: _Box, other: _Box) -> list[tuple[str, int]] | None:
        """What of each variable lies in box but not in other; None where they don't touch."""
        ways = []
        for variable, bits in other.items():
            held = box.get(variable, self.all[variable])
            if not held & bits:
                return None
            if held & ~bits:
                ways.append((variable, held & ~bits))
        return ways

    def sheet(self, box: _Box) -> dict[str, Any]:
        """A fact sheet of the box: what may be as usual is left out."""
        found: dict[str, Any] = {"lane": "complaint", "kind": "complaint"}
        for variable, bits in box.items():
            usual = _usual(variable.split("+"))
            at = [v for n, v in enumerate(self.values[variable]) if bits >> n & 1]
            found |= max(at, key=lambda v: sum(v[k] == x for k, x in usual.items()))
        return {k: v for k, v in found.items() if k in ("lane", "kind") or v != getattr(_sheet({}), k)}

    def worse(self) -> Iterator[tuple[str, int, int]]:
        """(variable, value, value that is one step worse), by their numbers."""
        for variable, held in self.values.items():
            for name in variable.split("+"):
                if name not in _WORSE:
                    continue
                order = [_rank(name, v[name]) for v in held]
                rest = [{k: x for k, x in v.items() if k != name} for v in held]
                for ranks in pairwise(sorted(set(order))):
                    for n, m in product(range(len(held)), repeat=2):
                        if (order[n], order[m]) == ranks and rest[n] == rest[m]:
                            yield variable, n, m


def _values(asked: Field, constants: set[Any]) -> list[Any]:
    if asked.type == "flag":
        return [False, True]
    if asked.type == "maybe":
        return [None, False, True]
    if asked.choices:
        return list(asked.choices)
    if asked.type == "count":
        return sorted({0, *(max(c + d, 0) for c in constants for d in (-1, 0, 1))})
    edges = sorted({0, 1, *constants})
    return [None, *sorted({*edges, *((a + b) / 2 for a, b in pairwise(edges))})]


def _sheet(values: Mapping[str, Any]) -> Facts:
    return Facts(**{"lane": "complaint", "kind": "complaint", **values})


def _usual(names: Iterable[str]) -> dict[str, Any]:
    return {n: getattr(_sheet({}), n) for n in names}


def _rank(name: str, value: Any) -> int:
    choices = list(FIELDS[name].choices)
    return choices.index(value) if choices else int(value)


# -- the questions


def _examine(policy: Policy) -> tuple[list[Fault], list[Fault]]:
    rows = policy.rows
    exclusions = [x for held in policy.exclusions.values() for x in held]
    space = _Space([*rows, *exclusions])
    boxes = [space.box(r.cells) for r in rows]
    errors = list(_unreachable(space, rows, boxes))
    dead = {f.path[1] for f in errors}
    errors += _lighter(space, rows, boxes)
    errors += _passing_exclusions(space, policy)
    warnings = [*_overlaps(space, rows, boxes, dead), *_overruled(space, policy, boxes)]
    return errors, warnings


def _unreachable(space: _Space, rows: Sequence[Row], boxes: Sequence[_Box]) -> Iterator[Fault]:
    for n, (row, box) in enumerate(zip(rows, boxes, strict=True)):
        if space.empty(box):
            yield Fault(("rows", n, "when"), row.id, "条件互相矛盾，任何事实都不符合")
        elif space.outside(box, boxes[:n]) is None:
            by = [rows[k].id for k in _needed(space, box, boxes[:n])]
            yield Fault(("rows", n, "when"), row.id, f"永远到不了：符合这一行的事实都已先符合{'、'.join(by)}")


def _needed(space: _Space, box: _Box, earlier: Sequence[_Box]) -> list[int]:
    """Which of the earlier rows it takes to cover the box: one that does alone, else all that touch it and can't be spared."""
    touching = [k for k, other in enumerate(earlier) if space.both(box, other) is not None]
    for k in touching:
        if space.outside(box, [earlier[k]]) is None:
            return [k]
    for k in list(touching):
        rest = [j for j in touching if j != k]
        if space.outside(box, [earlier[j] for j in rest]) is None:
            touching = rest
    return touching


def _overlaps(space: _Space, rows: Sequence[Row], boxes: Sequence[_Box], dead: set[Any]) -> Iterator[Fault]:
    """Rows of different tracks that one fact sheet matches: the earlier one decides. The default row overlaps by its nature."""
    found = 0
    for first, second in combinations(range(len(rows) - 1), 2):
        if rows[first].track == rows[second].track or {first, second} & dead:
            continue
        shared = space.both(boxes[first], boxes[second])
        point = space.outside(shared, boxes[:first]) if shared else None
        if point is None:
            continue
        found += 1
        if found > _MOST_OVERLAPS:
            yield Fault(("rows",), "", f"重叠超过{_MOST_OVERLAPS}处，其余不再列出")
            return
        one, other = rows[first], rows[second]
        how = "是其特例" if space.both(boxes[first], boxes[second]) == boxes[first] else "部分重叠"
        yield Fault(
            ("rows", first, "when"), one.id,
            f"与{other.id}（{TRACK_LABELS[other.track]}）{how}，以先列的{one.id}（{TRACK_LABELS[one.track]}）为准", (space.sheet(point),),
        )  # fmt: skip


def _lighter(space: _Space, rows: Sequence[Row], boxes: Sequence[_Box]) -> Iterator[Fault]:
    """Two fact sheets that differ in one worse fact, of which the worse one gets the lighter track. Failed gates keep the
    order (they only lead upwards, and no worse fact decides them), exclusions are looked at by themselves."""
    told: set[tuple[str, str]] = set()
    for variable, better, worse in space.worse():
        without = [{v: b for v, b in box.items() if v != variable} for box in boxes]
        bits = [box.get(variable, space.all[variable]) for box in boxes]
        at_better = [bool(b >> better & 1) for b in bits]
        at_worse = [bool(b >> worse & 1) for b in bits]
        live = [not space.empty(b) for b in boxes]
        if at_better == at_worse:
            continue
        for i, j in product(range(len(rows)), repeat=2):
            # The better sheet is row i's and the worse one row j's: so i does not match the worse sheet, or j, which stands
            # before i, does not match the better one.
            if (
                not (at_better[i] and at_worse[j] and LADDER[rows[i].track] > LADDER[rows[j].track])
                or (rows[i].id, rows[j].id) in told
            ):
                continue
            if (at_worse[i] and (at_better[j] or j > i)) or not (live[i] and live[j]):
                continue
            shared = space.both(without[i], without[j])
            if shared is None:
                continue
            before = [without[k] for k in range(i) if at_better[k]] + [without[k] for k in range(j) if at_worse[k]]
            point = space.outside(shared, before)
            if point is None:
                continue
            if len(told) == _MOST_FAULTS:
                yield Fault(("rows",), "", f"超过{_MOST_FAULTS}处，其余不再列出")
                return
            told.add((rows[i].id, rows[j].id))
            sheets = tuple(space.sheet({**point, variable: 1 << n}) for n in (better, worse))
            yield Fault(
                ("rows", j, "track"), rows[j].id,
                f"情形更重反而更轻：前者按{rows[i].id}为{TRACK_LABELS[rows[i].track]}，后者按{rows[j].id}为{TRACK_LABELS[rows[j].track]}", sheets,
            )  # fmt: skip


def _passing_exclusions(space: _Space, policy: Policy) -> Iterator[Fault]:
    """An exclusion that ends when things get worse would do what no row may."""
    number = {x["id"]: n for n, x in enumerate(policy.content["exclusions"])}
    for rule in (x for held in policy.exclusions.values() for x in held):
        box = space.box(rule.cells)
        if space.empty(box):
            yield Fault(("exclusions", number[rule.id], "when"), rule.id, "条件互相矛盾，任何事实都不符合")
            continue
        for variable, better, worse in space.worse():
            bits = box.get(variable, space.all[variable])
            if bits >> better & 1 and not bits >> worse & 1:
                sheets = tuple(space.sheet({**box, variable: 1 << n}) for n in (better, worse))
                yield Fault(("exclusions", number[rule.id], "when"), rule.id, "情形更重时不再排除", sheets)
                break


def _overruled(space: _Space, policy: Policy, boxes: Sequence[_Box]) -> Iterator[Fault]:
    """Rows that propose what an exclusion takes back: better said in the rows."""
    for n, row in enumerate(policy.rows):
        for rule in policy.exclusions.get(row.track, ()):
            shared = space.both(boxes[n], space.box(rule.cells))
            point = space.outside(shared, boxes[:n]) if shared else None
            if point is not None:
                to = policy.fallbacks[row.track, "gate_failed"].to
                yield Fault(
                    ("rows", n, "track"), row.id,
                    f"{row.id}的{TRACK_LABELS[row.track]}会被{rule.id}（{rule.name}）排除，转为{TRACK_LABELS.get(to, to)}", (space.sheet(point),),
                )  # fmt: skip
