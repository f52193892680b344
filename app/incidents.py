"""One incident, many people: candidates by key, join or open, fold.

A membership is an INSERT. The incident's profile is folded in at once where nobody else is at it, and by the worker
otherwise, so a thousand complaints on one incident don't queue for one row.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.codes import region_name
from app.database import STAGE_INCIDENT, Connection, lock, to_array, to_json
from app.errors import NotFound
from app.identity import new_id
from app.intake import open_letter
from app.privacy import Vault
from app.reading import Reader, ReadLetter
from ml import incidents as engine
from ml.incidents import Features, Profile
from ml.scorecards import Scorecard
from ml.tokens import Tokeniser

MAX_CANDIDATES = 12
_PER_KEY = 20
_WINDOW_DAYS = max(engine.IDLE_GAP_DAYS.values())
_LOCKED_TERMS = 4
_COUNTED_EXACTLY = 64
_MOST_COUNTED = 32_767  # what a term's count holds in a row


@dataclass(frozen=True, slots=True)
class Assigned:
    """people: distinct people over complaints, this matter's included."""

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
  SELECT k.incident_id, sum(t.weight) AS shared FROM unnest($1::bigint[], $6::int[]) AS t(token, weight)
  CROSS JOIN LATERAL (
    SELECT incident_id FROM incident_key WHERE token = t.token AND last_at > $2 ORDER BY last_at DESC LIMIT $3
  ) AS k GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $4
)
"""
_CANDIDATES = (
    _HIT
    + """
SELECT i.id, i.state, i.first_at, i.last_at, i.profile, i.version, i.terms, i.term_counts, i.term_weights
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
        _CANDIDATES, list(tokens), matter.at - timedelta(days=_WINDOW_DAYS), _PER_KEY, MAX_CANDIDATES, list(seen), list(weights)
    )
    return {r["id"]: (r["state"], r["version"], _profile(r)) for r in rows}


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
        winner, others = _choose(matter, later, scorecard)
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
        return Assigned(winner, False, evidence, None)
    closed = {k: p for k, (state, _, p) in known.items() if state == "closed"}
    recurs = engine.recurrence(matter, closed, scorecard)
    incident_id = new_id()
    await _open(connection, incident_id, engine.open_profile(matter), matter, matter_id, tokens, evidence, title, recurs, counted)
    return Assigned(incident_id, True, evidence, recurs)


def _choose(
    matter: Features, known: Mapping[uuid.UUID, tuple[str, int, Profile]], scorecard: Scorecard
) -> tuple[uuid.UUID | None, list[tuple[Any, Any]]]:
    """A closed incident takes no later matter: that would be a recurrence. One of its own time it still takes, so that
    history imported afterwards finds its place; too long a silence is the engine's rule."""
    fitting = {k: p for k, (state, _, p) in known.items() if state != "closed" or matter.at <= p.last_at}
    return engine.assign(matter, fitting, scorecard)


_JOIN = """
WITH got AS (
  SELECT id FROM incident WHERE id = $1 AND version = $2 FOR NO KEY UPDATE SKIP LOCKED
), member AS (
  INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted)
  VALUES ($3, $1, $4, true, 'auto', 'triage', $5, EXISTS (SELECT 1 FROM got), $13)
), fresh AS (
  INSERT INTO incident_key (token, incident_id, last_at)
  SELECT t, $1, $6 FROM unnest($7::bigint[]) AS t, got ORDER BY t
  ON CONFLICT (token, incident_id) DO UPDATE SET last_at = excluded.last_at
  WHERE incident_key.last_at < excluded.last_at - interval '6 hours'
)
UPDATE incident SET version = version + 1, first_at = $8, last_at = $6, scope = $14, profile = $9, terms = $10::text::bigint[], term_counts = $11::text::smallint[],
       term_weights = $12::text::real[], complaints = complaints + 1
FROM got WHERE incident.id = got.id
"""


async def _join(
    connection: Connection, incident_id: uuid.UUID, version: int, profile: Profile, matter_id: uuid.UUID, tokens: Sequence[int],
    evidence: dict[str, Any], counted: bool,
) -> None:  # fmt: skip
    stored = _stored(profile)
    await connection.execute(
        _JOIN, incident_id, version, new_id(), matter_id, to_json(evidence), profile.last_at, list(tokens),
        profile.first_at, *stored, counted, profile.scope,
    )  # fmt: skip


_OPEN = """
WITH opened AS (
  INSERT INTO incident (id, state, scope, title, merchant_id, first_at, last_at, recurrence_of, complaints, people_complaints,
                        people_all, unidentified, profile, version, terms, term_counts, term_weights)
  VALUES ($1, 'single', $2, $3, $4, $5, $5, $6, 1, 1, 1, 0, $7, 0, $8::text::bigint[], $9::text::smallint[], $10::text::real[])
), key AS (
  INSERT INTO incident_key (token, incident_id, last_at) SELECT t, $1, $5 FROM unnest($11::bigint[]) AS t
)
INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted)
VALUES ($12, $1, $13, true, 'auto', 'triage', $14, true, $15)
"""


async def _open(
    connection: Connection, incident_id: uuid.UUID, profile: Profile, matter: Features, matter_id: uuid.UUID, tokens: Sequence[int],
    evidence: dict[str, Any], title: str, recurrence_of: uuid.UUID | None, counted: bool,
) -> None:  # fmt: skip
    # A company that a text names in passing is evidence, but not what the incident is called by.
    merchant = uuid.UUID(str(matter.merchant)) if matter.merchant and matter.merchant_stated else None
    await connection.execute(
        _OPEN, incident_id, profile.scope, title, merchant, matter.at, recurrence_of, *_stored(profile),
        list(tokens), new_id(), matter_id, to_json(evidence), counted,
    )  # fmt: skip


async def follow(connection: Connection, incident_id: uuid.UUID, matter_id: uuid.UUID, evidence: dict[str, Any]) -> None:
    """A copy (R1) or the report half of a letter takes its original's incident, closed or not, and teaches it nothing."""
    await connection.execute(
        "INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted) "
        "VALUES ($1, $2, $3, true, 'auto', 'triage', $4, false, true)",
        new_id(), incident_id, matter_id, to_json(evidence),
    )  # fmt: skip


_PEOPLE = """
SELECT count(DISTINCT c.complainant_id) AS people, count(*) FILTER (WHERE c.complainant_id IS NULL) AS unidentified,
       (SELECT people_complaints FROM incident WHERE id = $1) AS folded
FROM (
  SELECT im.matter_id FROM incident_membership im JOIN matter m ON m.id = im.matter_id
  WHERE im.incident_id = $1 AND im.valid_to IS NULL AND m.lane = 'complaint' LIMIT $2
) AS member
LEFT JOIN LATERAL (
  SELECT cm.complainant_id FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  WHERE p.matter_id = member.matter_id AND p.role IN ('filer', 'principal')
) AS c ON true
"""


async def people(connection: Connection, incident_id: uuid.UUID) -> int:
    """Distinct people with a complaint there: exact up to some 64 complaints, the folded count beyond. Letters
    without any identity count as one person together: nobody can tell them apart."""
    row = await connection.fetchrow(_PEOPLE, incident_id, _COUNTED_EXACTLY)
    counted: int = row["people"] + (1 if row["unidentified"] else 0)
    return max(counted, row["folded"] if counted >= _COUNTED_EXACTLY // 2 else 0)


# -- profiles in rows


def _profile(row: Any) -> Profile:
    raw = row["profile"]
    terms, names = row["terms"], raw.get("names", {})
    said = {int(w): bits for w, (_, bits) in names.items()}
    return Profile(
        first_at=row["first_at"], last_at=row["last_at"], size=raw["size"], merchants=raw["merchants"],
        mentioned=raw["mentioned"], shops=_numbered(raw.get("shops", {})), issues=raw["issues"], cities=raw.get("cities", {}),
        districts=raw["districts"], products=_numbered(raw["products"]), lots=_numbered(raw["lots"]), places=_numbered(raw["places"]),
        terms=dict(zip(terms, row["term_counts"], strict=True)), names={int(w): n for w, (n, _) in names.items()},
        weights=dict(zip(terms, row["term_weights"], strict=True)) | said, memory=raw.get("memory", raw["size"]), norm=raw["norm"],
    )  # fmt: skip


def _numbered(raw: Any) -> dict[int, int]:
    """Counts by token; a list is from before lots were counted."""
    return {int(t): n for t, n in raw.items()} if isinstance(raw, dict) else dict.fromkeys(raw, 1)


def _stored(profile: Profile) -> tuple[str, str, str, str]:
    """(profile, terms, term_counts, term_weights) as literals"""
    raw = {
        "size": profile.size, "memory": profile.memory, "norm": round(profile.norm, 6), "merchants": profile.merchants, "mentioned": profile.mentioned,
        "shops": profile.shops, "issues": profile.issues, "cities": profile.cities, "districts": profile.districts,
        "products": profile.products, "lots": profile.lots, "places": profile.places,
        "names": {w: [n, round(profile.weights[w], 2)] for w, n in profile.names.items()},
    }  # fmt: skip
    terms = list(profile.terms)
    return (
        to_json(raw), to_array(terms), to_array(min(profile.terms[t], _MOST_COUNTED) for t in terms),
        to_array(round(profile.weights[t], 2) for t in terms),
    )  # fmt: skip


# -- what the worker folds


# What a matter's row says of it, as the engine compares it.
_FEATURES = """
m.event_at, m.merchant_id, m.shop_token, m.issues, m.city, m.quarter, m.product_token, m.lot_token, m.place_tokens, m.terms,
m.term_weights, m.name_tokens, coalesce(
  (SELECT r.stated FROM respondent r WHERE r.matter_id = m.id AND r.sequence = 1 AND r.valid_to IS NULL LIMIT 1), false) AS stated
"""
# Copies and the report half of a letter teach nothing.
_TEACHES = "m.copy_of IS NULL AND m.sequence = 1"
_UNFOLDED = f"""
SELECT im.id, {_TEACHES} AS teaches, {_FEATURES} FROM incident_membership im JOIN matter m ON m.id = im.matter_id
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
    profile = _profile(row)
    for member in members:
        if not member["teaches"]:
            continue
        profile.absorb(stored_features(member))
    await connection.execute(
        "UPDATE incident SET version = version + 1, first_at = $2, last_at = $3, scope = $9, profile = $4, terms = $5::text::bigint[], "
        "term_counts = $6::text::smallint[], term_weights = $7::text::real[], complaints = complaints + $8 WHERE id = $1",
        incident_id, profile.first_at, profile.last_at, *_stored(profile), len(members), profile.scope,
    )  # fmt: skip
    # Keys know the day, not the second: a busy incident's index would be rewritten for every member.
    await connection.execute(
        "UPDATE incident_key SET last_at = $2 WHERE incident_id = $1 AND last_at < $2::timestamptz - interval '6 hours'",
        incident_id, profile.last_at,
    )  # fmt: skip
    await connection.execute("UPDATE incident_membership SET folded = true WHERE id = ANY($1)", [m["id"] for m in members])
    return len(members)


# People are counted after linking; a letter that names nobody is counted apart.
_FIGURES = """
  count(DISTINCT im.matter_id) FILTER (WHERE m.lane = 'complaint') AS complaints,
  count(DISTINCT im.matter_id) AS matters,
  count(DISTINCT cm.complainant_id) FILTER (WHERE m.lane = 'complaint') AS people,
  count(DISTINCT cm.complainant_id) AS people_all,
  count(DISTINCT im.matter_id) FILTER (WHERE m.lane = 'complaint' AND cm.complainant_id IS NULL) AS unidentified
FROM incident_membership im
JOIN matter m ON m.id = im.matter_id
LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
WHERE im.valid_to IS NULL
"""
_COUNTS = f"SELECT im.incident_id, {_FIGURES} AND im.incident_id = ANY($1) GROUP BY im.incident_id"
_SEEN = f"""
SELECT {_FIGURES} AND im.incident_id = $1 AND m.lane = ANY($2)
  AND EXISTS (SELECT 1 FROM unnest($3::text[]) j WHERE starts_with(m.district, j))
"""


async def uncounted(connection: Connection, limit: int) -> list[uuid.UUID]:
    rows = await connection.fetch("SELECT id FROM incident WHERE version <> counted_version LIMIT $1", limit)
    return [r["id"] for r in rows]


async def recount(connection: Connection, incident_ids: Sequence[uuid.UUID], thresholds: Mapping[str, float]) -> list[uuid.UUID]:
    """Distinct people, and the state they make: single, watch, open. Closed stays closed. Gives the incidents that
    are big enough for a name of their own."""
    big: list[uuid.UUID] = []
    versions = await connection.fetch(
        "SELECT id, version FROM incident WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", list(incident_ids)
    )
    version_of = {r["id"]: r["version"] for r in versions}
    for row in await connection.fetch(_COUNTS, list(incident_ids)):
        counted = row["people"] + (1 if row["unidentified"] else 0)
        state = (
            "open" if counted >= thresholds["cluster.group"] else "watch" if counted >= thresholds["cluster.watch"] else "single"
        )
        await connection.execute(
            "UPDATE incident SET people_complaints = $2, people_all = $3, unidentified = $4, complaints = $5, "
            "state = CASE WHEN state = 'closed' THEN state ELSE $6 END, counted_version = $7 WHERE id = $1",
            row["incident_id"], row["people"], row["people_all"], row["unidentified"], row["matters"], state,
            version_of[row["incident_id"]],
        )  # fmt: skip
        if row["people_all"] >= thresholds["cluster.watch"]:
            big.append(row["incident_id"])
    return big


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
        f"AND last_at < $1::timestamptz - make_interval(days => {_IDLE}) RETURNING id",
        now,
    )
    return len(rows)


def title(read: ReadLetter, merchant_name: str | None) -> str:
    """Who or where, and what: from the form, the dictionary and place names only."""
    reading = read.reading
    subject = merchant_name or next(iter(read.places), None) or region_name(read.district)
    what = (reading.issues or (reading.problem or reading.goods or "其他",))[0]
    return " · ".join(p for p in (subject, what) if p)


_SAMPLE = """
SELECT DISTINCT ON (cm.complainant_id) m.letter_id FROM incident_membership im JOIN matter m ON m.id = im.matter_id
JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
WHERE im.incident_id = $1 AND im.valid_to IS NULL AND m.copy_of IS NULL ORDER BY cm.complainant_id LIMIT 8
"""
_LEAST_PEOPLE = 3


async def retitle(connection: Connection, vault: Vault, reader: Reader, incident_id: uuid.UUID) -> None:
    """Names an incident without a merchant by the words that its members share. Stored terms can't be read back: the
    words come from some letters, and only those that at least three people use leave them."""
    row = await connection.fetchrow("SELECT * FROM incident WHERE id = $1", incident_id)
    if row["merchant_id"] is not None:
        return
    weighed = zip(row["terms"], row["term_counts"], row["term_weights"], strict=True)
    # Said by most, telling, and long enough to mean something.
    shared = {t: c * c * w for t, c, w in weighed if c >= _LEAST_PEOPLE}
    words: dict[int, str] = {}
    users: dict[int, int] = {}
    for sample in await connection.fetch(_SAMPLE, incident_id):
        for token, word in reader.words(await open_letter(connection, vault, sample["letter_id"]), shared).items():
            words[token] = word
            users[token] = users.get(token, 0) + 1
    best: list[str] = []
    for token in sorted(words, key=lambda t: (-shared[t] * len(words[t]), t)):
        if users[token] >= _LEAST_PEOPLE and not any(words[token] in b or b in words[token] for b in best):
            best.append(words[token])
    issue = next(iter(ranked(row["profile"]["issues"])), None)
    if best:
        parts = [*best[:2], *([issue[0]] if issue else [])]
        await connection.execute("UPDATE incident SET title = $2 WHERE id = $1", incident_id, " · ".join(dict.fromkeys(parts)))


_MEMBERS = """
SELECT im.matter_id, m.letter_id, m.lane, m.kind, m.state, m.track, m.district, m.received_at, m.event_at, m.copy_of,
       im.is_primary, im.origin, im.actor, im.evidence,
       (SELECT cm.complainant_id FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
        WHERE p.matter_id = m.id AND p.role IN ('filer', 'principal') LIMIT 1) AS complainant_id
FROM incident_membership im JOIN matter m ON m.id = im.matter_id
WHERE im.incident_id = $1 AND im.valid_to IS NULL AND m.lane = ANY($2)
  AND EXISTS (SELECT 1 FROM unnest($5::text[]) j WHERE starts_with(m.district, j))
ORDER BY m.event_at, m.id LIMIT $3 OFFSET $4
"""


async def read(
    connection: Connection,
    incident_id: uuid.UUID,
    *,
    lanes: Sequence[str],
    jurisdictions: Sequence[str],
    limit: int = 100,
    offset: int = 0,
) -> dict[str, Any]:
    """Members with evidence, of the lanes and places the caller may see; an incident without any of those is not there
    for him, or it would tell that a report exists (Art. 37)."""
    row = await connection.fetchrow("SELECT * FROM incident WHERE id = $1", incident_id)
    if row is None:
        raise NotFound("no such incident")
    if row["merged_into"]:
        return {"id": row["id"], "merged_into": row["merged_into"]}
    counts = await connection.fetchrow(_SEEN, incident_id, list(lanes), list(jurisdictions))
    if not counts["matters"]:
        raise NotFound("no such incident")
    members = await connection.fetch(_MEMBERS, incident_id, list(lanes), limit, offset, list(jurisdictions))
    figures = {k: counts[k] for k in ("complaints", "people", "unidentified")}
    if "report" in lanes:
        figures |= {"matters": counts["matters"], "people_all": counts["people_all"]}
    profile = row["profile"]
    return {
        "id": row["id"], "merged_into": None, "state": row["state"], "scope": row["scope"], "title": row["title"],
        "merchant_id": row["merchant_id"], "first_at": row["first_at"], "last_at": row["last_at"], "closed_at": row["closed_at"],
        "recurrence_of": row["recurrence_of"], **figures,
        "issues": ranked(profile["issues"]),
        "districts": [{"code": c, "name": region_name(c), "matters": n} for c, n in ranked(profile["districts"])],
        "members": [
            {**dict(m), **({} if "report" in lanes else {"kind": m["lane"]})} for m in members
        ],
    }  # fmt: skip


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:10]
