"""One incident, many people: candidates by key, join or open, fold.

A membership is an INSERT. The incident's profile is folded in at once where nobody else is at it, and by the worker
otherwise, so a thousand complaints on one incident don't queue for one row.
"""

import struct
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from app import runs
from app.database import STAGE_INCIDENT, Connection, lock, to_array, to_json
from app.errors import NotFound
from app.identity import new_id
from app.reading import ReadLetter
from app.runs import Moved
from ml import incidents as engine
from ml.incidents import Features, Profile
from ml.scorecards import Scorecard
from ml.tokens import Tokeniser

MAX_CANDIDATES = 8
_PER_KEY = 20
_WINDOW_DAYS = max(engine.IDLE_GAP_DAYS.values())
_LOCKED_TERMS = 4
_MOST_COUNTED = 32_767  # what a term's count holds in a row


@dataclass(frozen=True, slots=True)
class Assigned:
    incident_id: uuid.UUID
    opened: bool
    evidence: dict[str, Any]
    recurrence_of: uuid.UUID | None


def features(read: ReadLetter, merchant_id: uuid.UUID | None) -> Features:
    return Features(
        at=read.letter.event_at,
        merchant=str(merchant_id) if merchant_id else None,
        merchant_stated=bool(read.merchants and read.merchants[0].stated),
        shop=read.shop_token,
        issues=read.reading.issues,
        city=read.city,
        district=read.quarter,
        product=read.product_token,
        lot=read.lot_token,
        places=read.place_tokens,
        terms={t: w for t, w in read.terms.items() if t not in read.names},
        names={t: w for t, w in read.terms.items() if t in read.names},
    )


def keys(matter: Features, tokeniser: Tokeniser) -> tuple[list[int], list[int], list[int]]:
    """(keys to look up and store, their weights, the fewer to lock before opening). A merchant's matters all share one key."""
    found = engine.keys(matter)
    tokens = [tokeniser.opaque("key", "|".join(map(str, key))) for key in found]
    sure = [t for t, key in zip(tokens, found, strict=True) if key[0] in ("lot", "merchant")]
    vague = [t for t, key in zip(tokens, found, strict=True) if key[0] in ("place", "district issue", "term")]
    return tokens, [engine.KEY_WEIGHTS[str(key[0])] for key in found], sure or vague[: 2 + _LOCKED_TERMS]


_HIT = """
WITH hit AS (
  SELECT k.incident_id, sum(t.weight) AS shared FROM unnest($1::text::bigint[], $6::text::int[]) AS t(token, weight)
  CROSS JOIN LATERAL (
    SELECT incident_id FROM incident_key WHERE token = t.token AND last_at > $2 ORDER BY last_at DESC LIMIT $3
  ) AS k GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $4
)
"""
_CANDIDATES = (
    _HIT
    + """
SELECT i.id, i.state, i.first_at, greatest(i.last_at, i.reopened_at) AS last_at, i.profile, i.version, i.words
FROM hit JOIN incident i ON i.id = hit.incident_id
WHERE i.merged_into IS NULL AND NOT (i.id = ANY($5::uuid[]))
"""
)


_Known = dict[uuid.UUID, tuple[str, int, Profile]]


async def _candidates(
    connection: Connection, matter: Features, tokens: Sequence[int], weights: Sequence[int], seen: _Known
) -> _Known:  # fmt: skip
    """Without those seen: under the lock only what came meanwhile is new."""
    rows = await connection.fetch(
        _CANDIDATES,
        to_array(tokens),
        matter.at - timedelta(days=_WINDOW_DAYS),
        _PER_KEY,
        MAX_CANDIDATES,
        list(seen),
        to_array(weights),
    )
    return {r["id"]: (r["state"], r["version"], profile_of(r)) for r in rows}


async def assign(
    connection: Connection, matter_id: uuid.UUID, matter: Features, tokeniser: Tokeniser, scorecard: Scorecard, title: str, *, counted: bool,
) -> Assigned:  # fmt: skip
    """Joins the open incident the matter belongs to, or opens one. Looks without a lock first: only opening needs it.
    counted: its terms are in the frequencies already (an import counts the whole file first)."""
    tokens, weights, locked = keys(matter, tokeniser)
    known = await _candidates(connection, matter, tokens, weights, {})
    winner, scored = _choose(matter, known, scorecard)
    if winner is None:
        await lock(connection, STAGE_INCIDENT, locked)
        later = await _candidates(connection, matter, tokens, weights, known)
        winner, others = _choose(matter, later, scorecard, known)
        known |= later
        scored = others if winner else [*scored, *others]
    evidence = {
        "parameters": scorecard.version,
        "joined": scored[0][1].as_json() if winner else None,
        "others": [{"incident_id": str(k), **e.as_json()} for k, e in scored[1 if winner else 0 :][:3]],
    }
    if winner is not None:
        _, version, profile = known[winner]
        profile.absorb(matter)
        await _join(connection, winner, version, profile, matter_id, tokens, evidence, counted)
        await _touch(connection, winner, known, scored, matter_id, scorecard)
        return Assigned(winner, False, evidence, None)
    closed = {k: p for k, (state, _, p) in known.items() if state == "closed"}
    recurs = engine.recurrence(matter, closed, scorecard)
    incident_id = new_id()
    await _open(connection, incident_id, engine.open_profile(matter), matter, matter_id, tokens, evidence, title, recurs, counted)
    return Assigned(incident_id, True, evidence, recurs)


async def _touch(
    connection: Connection, winner: uuid.UUID, known: Mapping[uuid.UUID, tuple[str, int, Profile]], scored: Sequence[tuple[Any, Any]],
    matter_id: uuid.UUID, scorecard: Scorecard,
) -> None:  # fmt: skip
    """A second membership where the matter belongs to an incident of another scope as well: a lot sold in a shop that has its own. It is
    counted there too and teaches it nothing."""
    scope = known[winner][2].scope
    for other, evidence in scored:
        if other != winner and evidence.joins and known[other][2].scope != scope and "lot" in (scope, known[other][2].scope):
            await connection.execute(
                "WITH grown AS (UPDATE incident SET version = version + 1 WHERE id = $2) "
                "INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted) "
                "VALUES ($1, $2, $3, false, 'auto', 'triage', $4, true, true)",
                new_id(), other, matter_id, to_json({"parameters": scorecard.version, "joined": evidence.as_json()}),
            )  # fmt: skip
            return


def _choose(
    matter: Features, known: Mapping[uuid.UUID, tuple[str, int, Profile]], scorecard: Scorecard,
    seen: Mapping[uuid.UUID, tuple[str, int, Profile]] | None = None,
) -> tuple[uuid.UUID | None, list[tuple[Any, Any]]]:  # fmt: skip
    """A closed incident takes no later matter: that would be a recurrence. One of its own time it still takes, so that
    history imported afterwards finds its place; too long a silence is the engine's rule."""
    fitting = {k: p for k, (state, _, p) in known.items() if state != "closed" or matter.at <= p.last_at}
    return engine.assign(matter, fitting, scorecard, {k: p for k, (_, _, p) in (seen or {}).items()})


_JOIN = """
WITH got AS (
  SELECT id FROM incident WHERE id = $1 AND version = $2 FOR NO KEY UPDATE SKIP LOCKED
), member AS (
  INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted)
  VALUES ($3, $1, $4, true, 'auto', 'triage', $5, EXISTS (SELECT 1 FROM got), $11)
), fresh AS (
  INSERT INTO incident_key (token, incident_id, last_at)
  SELECT t, $1, $6 FROM unnest($7::text::bigint[]) AS t, got ORDER BY t
  ON CONFLICT (token, incident_id) DO UPDATE SET last_at = excluded.last_at
  WHERE incident_key.last_at < excluded.last_at - interval '6 hours'
)
UPDATE incident SET version = version + 1, first_at = $8, last_at = $6, scope = $12, profile = $9, words = $10, complaints = complaints + 1
FROM got WHERE incident.id = got.id
"""


async def _join(
    connection: Connection, incident_id: uuid.UUID, version: int, profile: Profile, matter_id: uuid.UUID, tokens: Sequence[int],
    evidence: dict[str, Any], counted: bool,
) -> None:  # fmt: skip
    await connection.execute(
        _JOIN, incident_id, version, new_id(), matter_id, to_json(evidence), profile.last_at, to_array(tokens),
        profile.first_at, *_stored(profile), counted, profile.scope,
    )  # fmt: skip


_OPEN = """
WITH opened AS (
  INSERT INTO incident (id, state, scope, title, merchant_id, first_at, last_at, recurrence_of, complaints, people_complaints,
                        people_all, unidentified, profile, version, words)
  VALUES ($1, 'single', $2, $3, $4, $5, $5, $6, 1, 1, 1, 0, $7, 0, $8)
), key AS (
  INSERT INTO incident_key (token, incident_id, last_at) SELECT t, $1, $5 FROM unnest($9::text::bigint[]) AS t
)
INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted)
VALUES ($10, $1, $11, true, 'auto', 'triage', $12, true, $13)
"""


async def _open(
    connection: Connection, incident_id: uuid.UUID, profile: Profile, matter: Features, matter_id: uuid.UUID, tokens: Sequence[int],
    evidence: dict[str, Any], title: str, recurrence_of: uuid.UUID | None, counted: bool,
) -> None:  # fmt: skip
    # A company that a text names in passing is evidence, but not what the incident is called by.
    merchant = uuid.UUID(str(matter.merchant)) if matter.merchant and matter.merchant_stated else None
    await connection.execute(
        _OPEN, incident_id, profile.scope, title, merchant, matter.at, recurrence_of, *_stored(profile),
        to_array(tokens), new_id(), matter_id, to_json(evidence), counted,
    )  # fmt: skip


async def follow(connection: Connection, incident_id: uuid.UUID, matter_id: uuid.UUID, evidence: dict[str, Any]) -> None:
    """A copy (R1) or the report half of a letter takes its original's incident, closed or not, and teaches it nothing."""
    await connection.execute(
        "INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted) "
        "VALUES ($1, $2, $3, true, 'auto', 'triage', $4, false, true)",
        new_id(), incident_id, matter_id, to_json(evidence),
    )  # fmt: skip


# -- profiles in rows


def profile_of(row: Any) -> Profile:
    raw = row["profile"]
    terms, names, weights = _unpack(row["words"])
    return Profile(
        first_at=row["first_at"], last_at=row["last_at"], size=raw["size"], merchants=raw["merchants"],
        mentioned=raw["mentioned"], shops=_numbered(raw.get("shops", {})), issues=raw["issues"], cities=raw.get("cities", {}),
        districts=raw["districts"], products=_numbered(raw["products"]), lots=_numbered(raw["lots"]), places=_numbered(raw["places"]),
        terms=terms, names=names, weights=weights, memory=raw.get("memory", raw["size"]), norm=raw["norm"],
    )  # fmt: skip


def _numbered(raw: Any) -> dict[int, int]:
    """Counts by token; a list is from before lots were counted."""
    return {int(t): n for t, n in raw.items()} if isinstance(raw, dict) else dict.fromkeys(raw, 1)


def _stored(profile: Profile) -> tuple[str, bytes]:
    """(profile, words)"""
    raw = {
        "size": profile.size, "memory": profile.memory, "norm": round(profile.norm, 6), "merchants": profile.merchants, "mentioned": profile.mentioned,
        "shops": profile.shops, "issues": profile.issues, "cities": profile.cities, "districts": profile.districts,
        "products": profile.products, "lots": profile.lots, "places": profile.places,
    }  # fmt: skip
    return to_json(raw), _pack(profile)


# Words are most of a profile, read for each candidate of each complaint: packed, a row stays under 2 kB and is never moved out of its
# table, and a hundred words are read at once. Big-endian: how many terms and names; token, count and weight in bits of each.
@cache
def _words(held: int) -> struct.Struct:
    return struct.Struct(f">HH{held}q{held}h{held}f")


def _pack(profile: Profile) -> bytes:
    words = [*profile.terms, *profile.names]
    counts = [min(n, _MOST_COUNTED) for n in (*profile.terms.values(), *profile.names.values())]
    weights = profile.weights
    return _words(len(words)).pack(len(profile.terms), len(profile.names), *words, *counts, *[weights[w] for w in words])


def _unpack(packed: bytes) -> tuple[dict[int, int], dict[int, int], dict[int, float]]:
    """(counts of terms, counts of names, weights of both)"""
    terms = int.from_bytes(packed[:2], "big")
    held = terms + int.from_bytes(packed[2:4], "big")
    flat = _words(held).unpack(packed)
    words, counts = flat[2 : 2 + held], flat[2 + held : 2 + 2 * held]
    return (
        dict(zip(words[:terms], counts, strict=False)), dict(zip(words[terms:], counts[terms:], strict=True)),
        dict(zip(words, flat[2 + 2 * held :], strict=True)),
    )  # fmt: skip


NO_WORDS = _words(0).pack(0, 0)


# -- what the worker folds


# What a matter's row says of it, as the engine compares it.
FEATURES = """
m.event_at, m.merchant_id, m.shop_token, m.issues, m.city, m.quarter, m.product_token, m.lot_token, m.place_tokens, m.terms,
m.term_weights, m.name_tokens, coalesce(
  (SELECT r.stated FROM respondent r WHERE r.matter_id = m.id AND r.sequence = 1 AND r.valid_to IS NULL LIMIT 1), false) AS stated
"""
# Copies and the report half of a letter teach nothing.
TEACHES = "m.copy_of IS NULL AND m.sequence = 1"
_UNFOLDED = f"""
SELECT im.id, {TEACHES} AS teaches, {FEATURES} FROM incident_membership im JOIN matter m ON m.id = im.matter_id
WHERE im.incident_id = $1 AND NOT im.folded AND im.valid_to IS NULL ORDER BY im.id LIMIT $2
"""


def stored_features(row: Any) -> Features:
    names = set(row["name_tokens"])
    said = dict(zip(row["terms"], row["term_weights"], strict=True))
    return Features(
        at=row["event_at"], merchant=str(row["merchant_id"]) if row["merchant_id"] else None, merchant_stated=row["stated"],
        shop=row["shop_token"], issues=tuple(row["issues"]), city=row["city"], district=row["quarter"], product=row["product_token"],
        lot=row["lot_token"], places=tuple(row["place_tokens"]), terms={t: w for t, w in said.items() if t not in names},
        names={t: w for t, w in said.items() if t in names},
    )  # fmt: skip


async def unfolded(connection: Connection, limit: int) -> list[uuid.UUID]:
    rows = await connection.fetch("SELECT DISTINCT incident_id FROM incident_membership WHERE NOT folded LIMIT $1", limit)
    return [r["incident_id"] for r in rows]


async def fold(connection: Connection, incident_id: uuid.UUID, *, limit: int = 200) -> int:
    """Absorbs waiting members into the profile and recounts people. One folder an incident at a time."""
    row = await connection.fetchrow("SELECT * FROM incident WHERE id = $1 FOR NO KEY UPDATE", incident_id)
    members = await connection.fetch(_UNFOLDED, incident_id, limit)
    if not members:
        return 0
    profile = profile_of(row)
    for member in members:
        if not member["teaches"]:
            continue
        profile.absorb(stored_features(member))
    await connection.execute(
        "UPDATE incident SET version = version + 1, first_at = $2, last_at = $3, scope = $7, profile = $4, words = $5, "
        "complaints = complaints + $6 WHERE id = $1",
        incident_id, profile.first_at, profile.last_at, *_stored(profile), len(members), profile.scope,
    )  # fmt: skip
    # Keys know the day, not the second: a busy incident's index would be rewritten for every member.
    await connection.execute(
        "UPDATE incident_key SET last_at = $2 WHERE incident_id = $1 AND last_at < $2::timestamptz - interval '6 hours'",
        incident_id, profile.last_at,
    )  # fmt: skip
    await connection.execute("UPDATE incident_membership SET folded = true WHERE id = ANY($1)", [m["id"] for m in members])
    return len(members)


_COUNT_TERMS = """
WITH batch AS (
  SELECT id, matter_id FROM incident_membership WHERE NOT counted LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), done AS (
  UPDATE incident_membership SET counted = true WHERE id IN (SELECT id FROM batch) RETURNING id
), found AS (
  SELECT term, count(*)::int AS matters FROM batch JOIN matter m ON m.id = batch.matter_id, unnest(m.terms) AS term GROUP BY term
  UNION ALL SELECT 0, count(*)::int FROM batch HAVING count(*) > 0
)
INSERT INTO term_frequency (token, matters) SELECT term, matters FROM found ORDER BY term
ON CONFLICT (token) DO UPDATE SET matters = term_frequency.matters + excluded.matters
"""


async def count_terms(connection: Connection, limit: int = 500) -> None:
    """Adds new matters' terms to the frequencies. One worker at a time: the caller holds the job's lock."""
    await connection.execute(_COUNT_TERMS, limit)


_IDLE = "CASE scope " + " ".join(f"WHEN '{s}' THEN {d}" for s, d in engine.IDLE_GAP_DAYS.items()) + " END"


async def close_idle(connection: Connection, now: datetime) -> int:
    """Closes what has been silent for longer than its scope allows."""
    rows = await connection.fetch(
        "UPDATE incident SET state = 'closed', closed_at = $1::timestamptz WHERE state <> 'closed' AND merged_into IS NULL "
        f"AND greatest(last_at, reopened_at) < $1::timestamptz - make_interval(days => {_IDLE}) RETURNING id",
        now,
    )
    return len(rows)


# -- moving members: merges, splits, moves, the nightly pass and what undoes them


async def homes(connection: Connection, matters: Iterable[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """matter -> its primary incident."""
    rows = await connection.fetch(
        "SELECT matter_id, incident_id FROM incident_membership WHERE matter_id = ANY($1) AND valid_to IS NULL AND is_primary",
        list(matters),
    )
    return {r["matter_id"]: r["incident_id"] for r in rows}


_FOLLOWERS = """
SELECT f.id, o.id AS original FROM matter o JOIN matter f ON f.copy_of = o.id OR (f.letter_id = o.letter_id AND f.sequence > o.sequence)
WHERE o.id = ANY($1)
"""


async def regroup(
    connection: Connection, tokeniser: Tokeniser, run_id: uuid.UUID, target: Mapping[uuid.UUID, uuid.UUID], *, origin: str, actor: str,
    evidence: Mapping[str, Any], expected: Mapping[uuid.UUID, uuid.UUID] | None = None,
) -> int:  # fmt: skip
    """Moves matters to incidents, known ids or new ones, with their copies and the other halves of their letters; profiles, keys,
    redirects of ids left empty and history follow. Gives how many moved.

    target: matter -> incident. expected: matter -> where it was when that was decided; Moved where it no longer is.
    """
    target = dict(target)
    for row in await connection.fetch(_FOLLOWERS, list(target)):
        target.setdefault(row["id"], target[row["original"]])
    before = await homes(connection, target)
    touched = sorted({*before.values(), *target.values()}, key=str)
    await connection.execute("SELECT 1 FROM incident WHERE id = ANY($1) ORDER BY id FOR UPDATE", touched)
    if await homes(connection, target) != before or any(before.get(m) != i for m, i in (expected or {}).items()):
        raise Moved("matters are no longer where they were")
    moving = {m: i for m, i in target.items() if m in before and before[m] != i}
    if not moving:
        return 0
    await connection.execute(
        "INSERT INTO incident (id, state, scope, title, first_at, last_at, complaints, people_complaints, people_all, unidentified, "
        "profile, version, words) SELECT i, 'single', 'merchant', '', now(), now(), 0, 0, 0, 0, '{}', 0, $2 "
        "FROM unnest($1::uuid[]) AS i ON CONFLICT DO NOTHING",
        sorted(set(moving.values()), key=str),
        NO_WORDS,
    )
    # One instant for the end of the old and the beginning of the new: what undoes it finds the pair by it.
    moment = datetime.now(UTC)
    await connection.execute(
        "UPDATE incident_membership SET valid_to = $2 WHERE matter_id = ANY($1) AND valid_to IS NULL AND is_primary",
        list(moving),
        moment,
    )
    # A second membership of the incident that a matter now belongs to first says nothing more.
    await connection.execute(
        "UPDATE incident_membership SET valid_to = $3 FROM unnest($1::uuid[], $2::uuid[]) AS t(matter, incident) "
        "WHERE matter_id = t.matter AND incident_id = t.incident AND valid_to IS NULL AND NOT is_primary",
        list(moving), list(moving.values()), moment,
    )  # fmt: skip
    await connection.executemany(
        "INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, run_id, evidence, folded, counted, valid_from) "
        "VALUES ($1, $2, $3, true, $4, $5, $6, $7, true, true, $8)",
        [
            (new_id(), i, m, origin, actor, run_id, to_json({**evidence, "moved_from": str(before[m])}), moment)
            for m, i in moving.items()
        ],
    )
    for incident_id in touched:
        await rebuild(connection, tokeniser, incident_id)
    await runs.redirect(connection, run_id, actor, [(before[m], i) for m, i in moving.items()], of="incident")
    return len(moving)


_MEMBER_FEATURES = f"""
SELECT m.id, {TEACHES} AS teaches, {FEATURES} FROM incident_membership im JOIN matter m ON m.id = im.matter_id
WHERE im.incident_id = $1 AND im.valid_to IS NULL AND im.is_primary ORDER BY m.event_at, m.id
"""


async def rebuild(connection: Connection, tokeniser: Tokeniser, incident_id: uuid.UUID) -> None:
    """Profile, keys and scope of an incident from its members as they are now. One without any keeps its row for whoever asks for it."""
    members = await connection.fetch(_MEMBER_FEATURES, incident_id)
    await connection.execute("DELETE FROM incident_key WHERE incident_id = $1", incident_id)
    await connection.execute(
        "UPDATE incident_membership SET folded = true WHERE incident_id = $1 AND NOT folded AND valid_to IS NULL", incident_id
    )
    if not members:
        await connection.execute(
            "UPDATE incident SET complaints = 0, people_complaints = 0, people_all = 0, version = version + 1, counted_version = version + 1 "
            "WHERE id = $1",
            incident_id,
        )
        return
    taught = [stored_features(m) for m in members if m["teaches"]] or [stored_features(members[0])]
    profile = engine.open_profile(taught[0])
    for member in taught[1:]:
        profile.absorb(member)
    merchant = max(profile.merchants, key=lambda k: (profile.merchants[k], str(k)), default=None)
    await connection.execute(
        "UPDATE incident SET version = version + 1, first_at = $2, last_at = $3, scope = $4, profile = $5, words = $6, complaints = $7, "
        "merchant_id = $8 WHERE id = $1",
        incident_id, profile.first_at, profile.last_at, profile.scope, *_stored(profile), len(members),
        uuid.UUID(str(merchant)) if merchant is not None else None,
    )  # fmt: skip
    last: dict[int, datetime] = {}
    for member in taught:
        for token in keys(member, tokeniser)[0]:
            last[token] = max(member.at, last.get(token, member.at))
    await connection.execute(
        "INSERT INTO incident_key (token, incident_id, last_at) SELECT t, $1, a FROM unnest($2::bigint[], $3::timestamptz[]) AS k(t, a)",
        incident_id, list(last), list(last.values()),
    )  # fmt: skip


_UNDO = """
SELECT DISTINCT ON (m.matter_id) m.matter_id, before.incident_id AS before, m.valid_to IS NULL AS current
FROM incident_membership m
JOIN incident_membership before ON before.matter_id = m.matter_id AND before.valid_to = m.valid_from AND before.is_primary
WHERE m.run_id = $1 ORDER BY m.matter_id, m.valid_from DESC
"""


async def undo(
    connection: Connection, tokeniser: Tokeniser, run_id: uuid.UUID, *, actor: str, reason: str | None = None
) -> dict[str, Any]:
    """Everything a run moved goes back where it was, what it closed or reopened is as before, and what it said of matters that must or
    cannot belong together is revoked. What somebody moved since stays. Raises NotFound, Conflict for a run that is undone already."""
    run = await connection.fetchrow(
        "SELECT id, kind, undone_at, parameters FROM link_run WHERE id = $1 AND object = 'incident' FOR UPDATE", run_id
    )
    if run is None:
        raise NotFound("no such run")
    undoing = await runs.begin_undo(connection, run, of="incident", actor=actor, reason=reason)
    pinned = [uuid.UUID(i) for i in run["parameters"].get("pinned", ())]
    await connection.execute("UPDATE incident SET pinned_by = NULL WHERE id = ANY($1)", pinned)
    if run["kind"] in ("close", "reopen"):
        incident_id = uuid.UUID(run["parameters"]["incident_id"])
        await set_closed(connection, incident_id, None if run["kind"] == "close" else actor)
    rows = await connection.fetch(_UNDO, run_id)
    back = {r["matter_id"]: r["before"] for r in rows if r["current"]}
    moved = 0
    if back:
        moved = await regroup(
            connection, tokeniser, undoing, back, origin="auto", actor=actor, evidence={"undone": str(run_id)}
        )  # fmt: skip
    summary = {"run_id": str(run_id), "matters": moved, "left": len(rows) - len(back)}
    await runs.close_run(connection, undoing, summary)
    return {"undo_id": undoing, **summary}


@dataclass(frozen=True, slots=True)
class Held:
    """matters: (id, district, lane) of all that belong to it first."""

    merged_into: uuid.UUID | None
    state: str
    matters: list[tuple[uuid.UUID, str, str]]


async def hold(connection: Connection, incident_id: uuid.UUID) -> Held | None:
    """Locks an incident for this transaction; None where there is none."""
    row = await connection.fetchrow("SELECT merged_into, state FROM incident WHERE id = $1 FOR UPDATE", incident_id)
    if row is None:
        return None
    members = await connection.fetch(
        "SELECT m.id, m.district, m.lane FROM incident_membership im JOIN matter m ON m.id = im.matter_id "
        "WHERE im.incident_id = $1 AND im.valid_to IS NULL AND im.is_primary ORDER BY m.id",
        incident_id,
    )
    return Held(row["merged_into"], row["state"], [(m["id"], m["district"], m["lane"]) for m in members])


async def pin(connection: Connection, incident_ids: Sequence[uuid.UUID], by: str) -> list[uuid.UUID]:
    """A person has said what belongs to these: nothing automatic moves their members from now on. Gives those that were not pinned."""
    rows = await connection.fetch(
        "UPDATE incident SET pinned_by = $2 WHERE id = ANY($1) AND pinned_by IS NULL RETURNING id", list(incident_ids), by
    )
    return [r["id"] for r in rows]


async def set_closed(connection: Connection, incident_id: uuid.UUID, by: str | None) -> None:
    """by None: reopened, and open for as long again as its scope allows."""
    if by is not None:
        await connection.execute(
            "UPDATE incident SET state = 'closed', closed_at = clock_timestamp(), closed_by = $2 WHERE id = $1", incident_id, by
        )
        return
    # Its state is counted anew by the worker.
    await connection.execute(
        "UPDATE incident SET state = 'single', closed_at = NULL, closed_by = NULL, reopened_at = clock_timestamp(), version = version + 1 "
        "WHERE id = $1",
        incident_id,
    )


async def outside(
    connection: Connection, run_id: uuid.UUID, lanes: Sequence[str], jurisdictions: Sequence[str]
) -> int | None:  # fmt: skip
    """How many matters that a run moved, closed or reopened the caller may not see; None where he sees none of them."""
    row = await connection.fetchrow(
        "SELECT count(*) AS every, count(*) FILTER (WHERE m.lane = ANY($2) AND EXISTS (SELECT 1 FROM unnest($3::text[]) j "
        "WHERE starts_with(m.district, j))) AS seen FROM link_run r JOIN incident_membership im ON im.run_id = r.id "
        "OR (im.incident_id = (r.parameters ->> 'incident_id')::uuid AND im.valid_to IS NULL) JOIN matter m ON m.id = im.matter_id WHERE r.id = $1",
        run_id, list(lanes), list(jurisdictions),
    )  # fmt: skip
    return None if not row["seen"] else row["every"] - row["seen"]


_CHOSEN = """
SELECT m.id, m.district, m.lane FROM incident_membership im JOIN matter m ON m.id = im.matter_id
LEFT JOIN respondent r ON r.matter_id = m.id AND r.sequence = 1 AND r.valid_to IS NULL
WHERE im.incident_id = $1 AND im.valid_to IS NULL AND im.is_primary
  AND ($2::uuid[] IS NULL OR m.id = ANY($2)) AND ($3::text IS NULL OR starts_with(m.district, $3)) AND ($4::text IS NULL OR r.shop = $4)
  AND ($5::uuid IS NULL OR m.merchant_id = $5) AND ($6::text IS NULL OR $6 = ANY(m.issues)) AND ($7::timestamptz IS NULL OR m.event_at >= $7)
  AND ($8::timestamptz IS NULL OR m.event_at < $8)
ORDER BY m.id
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which members of an incident; what is None does not restrict."""

    matters: Sequence[uuid.UUID] | None = None
    district: str | None = None
    shop: str | None = None
    merchant_id: uuid.UUID | None = None
    issue: str | None = None
    from_: datetime | None = None
    to: datetime | None = None


async def choose_members(connection: Connection, incident_id: uuid.UUID, chosen: Filter) -> list[tuple[uuid.UUID, str, str]]:
    """(id, district, lane) of the members that a filter picks."""
    rows = await connection.fetch(
        _CHOSEN, incident_id, list(chosen.matters) if chosen.matters is not None else None, chosen.district, chosen.shop,
        chosen.merchant_id, chosen.issue, chosen.from_, chosen.to,
    )  # fmt: skip
    return [(r["id"], r["district"], r["lane"]) for r in rows]
