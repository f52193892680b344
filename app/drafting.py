"""The journey of a policy: drafted by one person, proved, back-tested over what was decided, published by another.

Nothing here changes what is in force but `publish`, and that only from a day on that is not past. A roll-back is an earlier
version proposed by one person and published by another again. Rows of policy and policy_act are only ever added.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from app import audit, policy
from app.calendar import local_day
from app.codes import region_name
from app.database import Connection, to_json
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal
from app.policy import LADDER, TRACK_LABELS, Facts, Policy, proving
from app.policy.proving import Report
from app.triage import House

ALL_LANES = ("complaint", "report", "other")
MOST_FACTS = 100_000
_BATCH = 500
_SAMPLES = 10
_MERCHANTS = 50
_ROLES = ("policy", "admin")


# -- drafts


async def prove(house: House, content: Any) -> Report:
    """What is wrong with a policy, and what is to be looked at; for thresholds only, over what is in force around."""
    today = local_day(datetime.now(UTC))
    place = content.get("jurisdiction") if isinstance(content, dict) else None
    wider: list[Policy] = []
    if isinstance(place, str):
        wider = policy.chain_in_force([p for p in house.policies if p.jurisdiction != place], today, place)
    # A big table takes a second of search: not on the loop that answers requests.
    return await asyncio.to_thread(proving.prove, content, today=today, wider=wider)


async def draft(house: House, principal: Principal, content: Any, *, note: str | None = None) -> dict[str, Any]:
    """Keeps a version and proposes it. The same content again is the same version, proposed anew (`created` False)."""
    report = await prove(house, content)
    found = report.policy
    if report.errors or found is None:
        raise policy.refused(report.errors)
    _require(principal, found.jurisdiction)
    wanted = date.fromisoformat(content["valid_from"]) if content.get("valid_from") else None
    async with house.database.transaction() as connection:
        created = await connection.fetchval(
            "INSERT INTO policy (hash, name, jurisdiction, content, author) VALUES ($1, $2, $3, $4::text::jsonb, $5) "
            "ON CONFLICT (hash) DO NOTHING RETURNING true",
            found.hash, found.name, found.jurisdiction, to_json(dict(found.content)), principal.subject,
        )  # fmt: skip
        if not created and await connection.fetchval("SELECT content FROM policy WHERE hash = $1", found.hash) != dict(
            found.content
        ):
            raise Conflict("another content has this version's name")
        await _propose(connection, principal, found.hash, wanted, note)
        shown = await _version(connection, found.hash)
    return {**shown, "created": bool(created), "warnings": told(report.warnings)}


async def propose(
    house: House, principal: Principal, version: str, *, valid_from: date | None = None, note: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """The first half of publishing a version that is kept already: a roll-back, or what the program brought along."""
    async with house.database.transaction() as connection:
        held = await _content(connection, version)
        _require(principal, held["jurisdiction"])
        faults = proving.past(valid_from, local_day(datetime.now(UTC))) if valid_from else []
        if faults:
            raise policy.refused(faults)
        await _propose(connection, principal, version, valid_from, note)
        return await _version(connection, version)


async def _propose(connection: Connection, principal: Principal, version: str, valid_from: date | None, note: str | None) -> None:
    last = await connection.fetchrow(
        "SELECT act, actor, valid_from FROM policy_act WHERE policy_hash = $1 AND act <> 'backtested' ORDER BY id DESC LIMIT 1",
        version,
    )
    if last and (last["act"], last["actor"], last["valid_from"]) == ("proposed", principal.subject, valid_from):
        return  # said before
    await _act(connection, version, "proposed", principal.subject, valid_from, note)


async def _act(
    connection: Connection, version: str, act: str, actor: str, valid_from: date | None = None, note: str | None = None,
    report: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    await connection.execute(
        "INSERT INTO policy_act (policy_hash, act, actor, valid_from, note, report) VALUES ($1, $2, $3, $4, $5, $6::text::jsonb)",
        version, act, actor, valid_from, note, to_json(report) if report is not None else None,
    )  # fmt: skip
    await audit.record(
        connection,
        actor,
        {"proposed": "propose", "backtested": "backtest", "published": "publish"}[act],
        "policy",
        [version],
        purpose=note or "",
    )


def _require(principal: Principal, jurisdiction: str) -> None:
    principal.require(*_ROLES)
    principal.require_person()
    if not principal.covers(jurisdiction):
        raise Forbidden(f"the policy of {jurisdiction} is not within {', '.join(principal.jurisdictions)}")


# -- publication


async def publish(
    house: House, principal: Principal, version: str, valid_from: date, *, note: str | None = None
) -> dict[str, Any]:
    """The second person's act. Raises Forbidden for the first one, Conflict where no proposal or back-test stands, Invalid
    where the version no longer proves, there or in a place that only changes its thresholds."""
    today = local_day(datetime.now(UTC))
    async with house.database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('policy'))")
        held = await _content(connection, version)
        _require(principal, held["jurisdiction"])
        faults = proving.past(valid_from, today)
        if faults:
            raise policy.refused(faults)
        acts = await connection.fetch("SELECT act, actor, report FROM policy_act WHERE policy_hash = $1 ORDER BY id", version)
        since = max((n for n, a in enumerate(acts) if a["act"] == "published"), default=-1)
        proposers = [a["actor"] for a in acts[since + 1 :] if a["act"] == "proposed"]
        if not proposers:
            raise Conflict(f"{version}尚无人提议；须由一人提议、另一人发布")
        if any(_same(principal.subject, other) for other in (held["author"], *proposers)):
            raise Forbidden(f"{version}由{principal.subject}起草或者提议，须由另一人发布")
        current = await policy.load(connection, house.policies)
        against = [p.hash for p in policy.chain_in_force(current, today, held["jurisdiction"])]
        if not any(a["act"] == "backtested" and a["report"]["against"] == against for a in acts):
            raise Conflict(f"{version}尚未与现行版本{'、'.join(against) or '（无）'}回测")
        new = replace(policy.stored(held["content"], version), valid_from=valid_from)
        errors = await asyncio.to_thread(_misfits, new, current, today)
        if errors:
            raise policy.refused(errors)
        await _act(connection, version, "published", principal.subject, valid_from, note)
        shown = await _version(connection, version)
    async with house.database.connection() as connection:
        house.policies = await policy.load(connection, house.policies)
    return shown


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _misfits(new: Policy, current: Sequence[Policy], today: date) -> list[policy.Fault]:
    """The new version by itself and under every place that changes thresholds, on each day from which something else holds."""
    policies = [new, *current]
    days = sorted({new.valid_from, *(p.valid_from for p in current if p.valid_from > new.valid_from)})
    places = sorted({p.jurisdiction for p in policies if p.jurisdiction.startswith(new.jurisdiction)}, key=len)
    seen = set()
    for day in days:
        for place in places:
            chain = policy.chain_in_force(policies, day, place)
            names = tuple(p.hash for p in chain)
            if new.hash not in names or names in seen:
                continue
            seen.add(names)
            report = proving.prove(dict(chain[0].content), today=today, wider=chain[1:])
            if report.errors:
                where = "" if chain[0] is new else f"{place}的版本{chain[0].hash}："
                return [replace(f, message=where + f.message) for f in report.errors]
    return []


# -- back-test

_FACTS = """
SELECT d.matter_id, m.district, m.merchant_id, d.facts FROM decision d JOIN matter m ON m.id = d.matter_id
WHERE d.kind IN ('initial', 'reroute') AND d.rule <> 'R1' AND d.facts ? 'lane' AND m.lane = ANY($1::text[]) AND starts_with(m.district, $2)
ORDER BY d.id DESC LIMIT $3
"""


async def backtest(house: House, draft: Policy, *, lanes: Sequence[str] = ALL_LANES, limit: int = MOST_FACTS) -> dict[str, Any]:
    """Decides the newest stored facts of the draft's place anew, by what is in force and by the draft. Facts that an earlier
    version of the program stored have defaults for what they lack. One at a time; the loop is given back every few hundred."""
    started = time.perf_counter()
    today = local_day(datetime.now(UTC))
    tally = _Tally(house.policies, replace(draft, valid_from=today), today)
    async with house.database.connection() as connection, connection.transaction(readonly=True):
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('backtest'))"):
            raise Conflict("another back-test is running; try again")
        cursor = await connection.cursor(_FACTS, list(lanes), draft.jurisdiction, limit)
        while rows := await cursor.fetch(_BATCH):
            tally.add(rows)
        found = tally.report()
        names = await connection.fetch(
            "SELECT id, name FROM merchant WHERE id = ANY($1::uuid[])", [m["merchant_id"] for m in found["merchants"]]
        )
    named = {str(r["id"]): r["name"] for r in names}
    for merchant in found["merchants"]:
        merchant["name"] = named.get(merchant["merchant_id"])
    return {
        "version": draft.hash, "against": [p.hash for p in policy.chain_in_force(house.policies, today, draft.jurisdiction)],
        "jurisdiction": draft.jurisdiction, "as_of": today.isoformat(), "lanes": list(lanes), **found,
        "limited": found["facts"] == limit, "seconds": round(time.perf_counter() - started, 2),
    }  # fmt: skip


async def backtest_version(
    house: House, version: str, *, actor: str, principal: Principal | None = None, lanes: Sequence[str] = ALL_LANES, limit: int = MOST_FACTS
) -> dict[str, Any]:  # fmt: skip
    """Of a kept version; what was found is kept too, and lets it be published. principal: whose places must cover the version's."""
    async with house.database.connection() as connection:
        held = await _content(connection, version)
    if principal is not None and not principal.covers(held["jurisdiction"]):
        raise Forbidden(f"the policy of {held['jurisdiction']} is not within {', '.join(principal.jurisdictions)}")
    report = await backtest(house, policy.stored(held["content"], version), lanes=lanes, limit=limit)
    kept = report
    if "report" in lanes:
        # Who reads versions later may not know that a report exists (Art. 37): counts stay, whom they are about goes.
        kept = {**report, "merchants": [], "pairs": [{**p, "samples": []} for p in report["pairs"]]}
    async with house.database.transaction() as connection:
        await _act(connection, version, "backtested", actor, report=kept)
    return report


class _Tally:
    """What changes, counted as it comes."""

    def __init__(self, current: Sequence[Policy], draft: Policy, today: date) -> None:
        self._current = current
        self._after = [draft, *(p for p in current if p.jurisdiction != draft.jurisdiction)]
        self._today = today
        self._pairs: dict[str, tuple[Policy, Policy]] = {}
        self._facts = 0
        self._moves: Counter[tuple[str, str, str, str]] = Counter()
        self._samples: dict[tuple[str, str], list[str]] = {}
        self._districts: dict[str, list[int]] = {}
        self._merchants: dict[Any, list[int]] = {}

    def _of(self, district: str) -> tuple[Policy, Policy]:
        after = policy.in_force(self._after, self._today, district)
        before = policy.chain_in_force(self._current, self._today, district)
        # The first policy of a place changes nothing that could be compared.
        return (policy.in_force(self._current, self._today, district) if before else after), after

    def add(self, rows: Sequence[Any]) -> None:
        self._facts += len(rows)
        for matter_id, district, merchant_id, stored in rows:
            pair = self._pairs.get(district)
            if pair is None:
                pair = self._pairs[district] = self._of(district)
            facts = Facts.from_stored(stored)
            before, rule_before = policy.track_of(pair[0], facts)
            after, rule_after = policy.track_of(pair[1], facts)
            moved = before != after
            for counts, key in ((self._districts, district), (self._merchants, merchant_id)):
                count = counts.get(key)
                if count is None:
                    count = counts[key] = [0, 0]
                count[0] += 1
                count[1] += moved
            if moved or rule_before != rule_after:
                self._moves[before, after, rule_before, rule_after] += 1
            if moved:
                samples = self._samples.setdefault((before, after), [])
                if len(samples) < _SAMPLES and str(matter_id) not in samples:
                    samples.append(str(matter_id))

    def report(self) -> dict[str, Any]:
        pairs: list[dict[str, Any]] = []
        for (before, after), samples in self._samples.items():
            rules = [
                {"from": b, "to": a, "facts": n} for (x, y, b, a), n in self._moves.most_common() if (x, y) == (before, after)
            ]
            pairs.append(
                {"from": before, "to": after, "facts": sum(r["facts"] for r in rules), "rules": rules, "samples": samples}
            )
        pairs.sort(key=lambda p: -p["facts"])
        same = [{"from": b, "to": a, "facts": n} for (x, y, b, a), n in self._moves.most_common() if x == y]
        heavier = sum(p["facts"] for p in pairs if LADDER[p["to"]] > LADDER[p["from"]])
        lighter = sum(p["facts"] for p in pairs if LADDER[p["to"]] < LADDER[p["from"]])
        return {
            "facts": self._facts, "changed": sum(p["facts"] for p in pairs), "heavier": heavier, "lighter": lighter, "pairs": pairs,
            "other_row_same_track": same,
            "districts": [
                {"district": d, "name": region_name(d), "facts": n, "changed": c}
                for d, (n, c) in sorted(self._districts.items(), key=lambda x: (-x[1][1], x[0]))
            ],
            "merchants": [
                {"merchant_id": str(m), "facts": n, "changed": c}
                for m, (n, c) in sorted(self._merchants.items(), key=lambda x: (-x[1][1], str(x[0]))) if c and m is not None
            ][:_MERCHANTS],
        }  # fmt: skip


def readable(report: Mapping[str, Any]) -> str:
    """A back-test as lines."""
    total = report["facts"]
    share = f"{report['changed'] / total:.1%}" if total else "-"
    lines = [
        f"回测：版本 {report['version']} 对比现行 {'、'.join(report['against']) or '（无）'}，地区 {report['jurisdiction']}，{report['as_of']}",
        f"事实 {total} 份{'（只取最近的）' if report['limited'] else ''}，分流改变 {report['changed']} 份（{share}）："
        f"变重 {report['heavier']}，变轻 {report['lighter']}；用时 {report['seconds']} 秒",
    ]
    for pair in report["pairs"]:
        lines.append(f"\n{TRACK_LABELS[pair['from']]} → {TRACK_LABELS[pair['to']]}：{pair['facts']} 份")
        lines += [f"  {r['from']} → {r['to']}：{r['facts']}" for r in pair["rules"][:10]]
        lines.append(f"  例：{'、'.join(pair['samples'][:3])}")
    for title, key in (("区县", "districts"), ("经营者", "merchants")):
        changed = [x for x in report[key] if x["changed"]][:20]
        if changed:
            lines.append(f"\n{title}（改变/全部）")
            lines += [
                f"  {x.get('name') or x.get('district') or x.get('merchant_id')}：{x['changed']}/{x['facts']}" for x in changed
            ]
    if report["other_row_same_track"]:
        lines.append(
            "\n轨道不变、规则行改变："
            + "，".join(f"{r['from']} → {r['to']} {r['facts']}" for r in report["other_row_same_track"][:20])
        )
    return "\n".join(lines)


# -- reading versions


async def versions(connection: Connection, *, after: tuple[datetime, str] | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Newest first, with what was done to each. after: (created_at, hash) of the last one seen."""
    rows = await connection.fetch(
        f"{_VERSIONS} WHERE $2::timestamptz IS NULL OR (p.created_at, p.hash) < ($2, $3) ORDER BY p.created_at DESC, p.hash DESC LIMIT $4",
        local_day(datetime.now(UTC)), after[0] if after else None, after[1] if after else None, limit,
    )  # fmt: skip
    return [_shown(r) for r in rows]


async def find(connection: Connection, version: str) -> dict[str, Any]:
    """One version with its content and its back-tests. Raises NotFound."""
    held = await _content(connection, version)
    tests = await connection.fetch(
        "SELECT at, actor, report FROM policy_act WHERE policy_hash = $1 AND act = 'backtested' ORDER BY id DESC LIMIT 5", version
    )
    return {**await _version(connection, version), "content": held["content"], "backtests": [dict(t) for t in tests]}


async def load_version(connection: Connection, version: str) -> Policy:
    """Raises NotFound."""
    return policy.stored((await _content(connection, version))["content"], version)


async def _content(connection: Connection, version: str) -> Any:
    row = await connection.fetchrow("SELECT jurisdiction, author, content FROM policy WHERE hash = $1", version)
    if row is None:
        raise NotFound("no such version")
    return row


_VERSIONS = """
SELECT p.hash, p.name, p.jurisdiction, p.content ? 'rows' AS whole, p.author, p.created_at, f.policy_hash = p.hash AS holds,
       coalesce((SELECT jsonb_agg(jsonb_build_object('act', a.act, 'actor', a.actor, 'at', a.at, 'valid_from', a.valid_from, 'note', a.note) ORDER BY a.id)
                 FROM policy_act a WHERE a.policy_hash = p.hash), '[]') AS acts
FROM policy p LEFT JOIN LATERAL (
  SELECT a.policy_hash FROM policy_act a JOIN policy q ON q.hash = a.policy_hash
  WHERE a.act = 'published' AND q.jurisdiction = p.jurisdiction AND a.valid_from <= $1 ORDER BY a.valid_from DESC, a.id DESC LIMIT 1
) f ON true
"""


async def _version(connection: Connection, version: str) -> dict[str, Any]:
    row = await connection.fetchrow(f"{_VERSIONS} WHERE p.hash = $2", local_day(datetime.now(UTC)), version)
    return _shown(row)


def _shown(row: Any) -> dict[str, Any]:
    """state: draft, backtested, scheduled, in_force, superseded."""
    acts = row["acts"]
    days = [a["valid_from"] for a in acts if a["act"] == "published"]
    if row["holds"]:
        state = "in_force"
    elif days:
        state = "scheduled" if max(days) > local_day(datetime.now(UTC)).isoformat() else "superseded"
    else:
        state = "backtested" if any(a["act"] == "backtested" for a in acts) else "draft"
    keep = ("hash", "name", "jurisdiction", "whole", "author", "created_at")
    acts = [{**a, "at": datetime.fromisoformat(a["at"])} for a in acts]
    return {**{k: row[k] for k in keep}, "state": state, "acts": acts}


def told(faults: Sequence[policy.Fault]) -> list[dict[str, Any]]:
    return [{"field": f.place, "message": f.message, "sheets": [dict(s) for s in f.sheets]} for f in faults]


# -- trying a fact sheet


def decide(
    house: House, facts: Any, *, on: date | None = None, jurisdiction: str | None = None, version: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """What a fact sheet would get. version: must be in force on that day and place, Invalid says why it is not."""
    read = policy.read_facts(facts)
    day = on or local_day(datetime.now(UTC))
    place = jurisdiction or house.settings.jurisdiction
    if not place.isdigit():
        raise Invalid.field("jurisdiction", "must be digits")
    current = (
        policy.version_in_force(house.policies, version, day, place) if version else policy.in_force(house.policies, day, place)
    )
    found = policy.decide(current, read)
    return {
        "track": found.track, "track_label": TRACK_LABELS[found.track], "rule": found.rule, "reasons": found.reasons,
        "gates": [{"name": g.name, "state": g.state, "basis": g.basis} for g in found.gates], "alternative": found.alternative,
        "sign": found.sign, "versions": list(current.versions),
    }  # fmt: skip
