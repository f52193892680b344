"""Which merchant is meant: candidates by the sound of the brand and its city, join with evidence or open a new one.

A merchant's profile counts what its mentions said. It is written when a mention says something new, so a busy merchant's row stays cool.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app import directories, runs
from app.calendar import local_day
from app.database import STAGE_MERCHANT, Connection, lock, to_json
from app.errors import NotFound
from app.identity import new_id
from app.privacy import INCIDENT_TITLE
from app.reading import WrittenMerchant
from ml import merchants
from ml.merchants import Choice, Known, Mention, MerchantName
from ml.scorecards import Scorecard
from ml.tokens import sound

_PER_KEY = 20
_CANDIDATES_MOST = 12
_MOST_NAMED = 5
_COUNTED = 16  # mentions from which on more of the same are not written


@dataclass(frozen=True, slots=True)
class Resolved:
    """usccs: the merchant's own code and the one written. districts: where the register knows it to trade."""

    merchant_id: uuid.UUID
    written: WrittenMerchant
    evidence: dict[str, Any]
    usccs: tuple[str, ...]
    districts: tuple[str, ...] = ()


_FIND = """
WITH hit AS (
  SELECT k.merchant_id, count(*) + 100 * bool_or(starts_with(t.key, 'u:'))::int AS shared FROM unnest($1::text[]) AS t(key)
  CROSS JOIN LATERAL (SELECT merchant_id FROM merchant_key WHERE key = t.key ORDER BY standing DESC, merchant_id DESC LIMIT $2) AS k
  GROUP BY 1 ORDER BY 2 DESC, 1 DESC LIMIT $3
)
SELECT m.id, m.name, m.core, m.city, m.trade, m.uscc, m.chain, m.registered, m.profile, m.xmin::text AS version,
  CASE WHEN m.registered > 0 THEN (SELECT array_agg(DISTINCT s.district) FROM merchant_shop s WHERE s.merchant_id = m.id AND s.district IS NOT NULL) END AS districts
FROM hit JOIN merchant m ON m.id = hit.merchant_id
WHERE m.merged_into IS NULL ORDER BY hit.shared DESC, m.id DESC
"""


async def resolve(connection: Connection, written: Sequence[WrittenMerchant], scorecard: Scorecard) -> list[Resolved]:
    """One merchant for each that is named and can be told, the first being the matter's. Looks without locks first; then one ordered
    lock over all that somebody new may be made of."""
    wanted = [(one, keys) for one in written[:_MOST_NAMED] if (keys := _keys(one))]
    found = [await _find(connection, one, keys, scorecard) for one, keys in wanted]
    opening = [
        (one, keys) for (one, keys), resolved in zip(wanted, found, strict=True) if resolved is None and _opens(one) is not None
    ]
    if opening:
        await lock(connection, STAGE_MERCHANT, [key for _, keys in opening for key in keys if "|" not in key])
    return [
        known
        for (one, keys), resolved in zip(wanted, found, strict=True)
        if (known := resolved or await _find_or_open(connection, one, keys, scorecard)) is not None
    ]


async def _find_or_open(
    connection: Connection, written: WrittenMerchant, keys: Sequence[str], scorecard: Scorecard
) -> Resolved | None:  # fmt: skip
    """Under the lock: somebody may have opened it meanwhile."""
    mention = _opens(written)
    if mention is None:
        return None
    return await _find(connection, written, keys, scorecard) or await _open(connection, written, mention, keys)


def _keys(written: WrittenMerchant) -> list[str]:
    keys = [key for mention in written.mentions for key in merchants.keys(mention)]
    if written.uscc:
        keys.append(f"u:{written.uscc}")
    return list(dict.fromkeys(keys))


def _opens(written: WrittenMerchant) -> Mention | None:
    """A merchant nobody knew is opened for a name that stands as one, or a code alone."""
    if not written.mentions:
        return Mention(MerchantName(written.uscc, (written.uscc,)), uscc=written.uscc) if written.uscc else None
    return merchants.opens(written.mentions)


async def _find(
    connection: Connection, written: WrittenMerchant, keys: Sequence[str], scorecard: Scorecard
) -> Resolved | None:  # fmt: skip
    rows = await candidates(connection, keys)
    if not rows:
        return None
    if not written.mentions:
        row = next((r for r in rows.values() if r["uscc"] == written.uscc), None)
        return _resolved(row, written, {"fields": {"uscc": ["same", merchants.USCC_WEIGHT]}}) if row else None
    known = {i: known_of(r) for i, r in rows.items()}
    choice = merchants.choose(written.mentions, known, scorecard)
    if choice.merchant is None or choice.mention is None or choice.evidence is None:
        return None
    row = rows[choice.merchant]
    await _learn(connection, row, known[choice.merchant], choice, written)
    return _resolved(row, written, _evidence(choice, scorecard))


async def candidates(connection: Connection, keys: Sequence[str]) -> dict[uuid.UUID, Any]:
    """Rows of the merchants that share most of the keys, for known_of."""
    return {r["id"]: r for r in await connection.fetch(_FIND, list(keys), _PER_KEY, _CANDIDATES_MOST)}


def _resolved(row: Any, written: WrittenMerchant, evidence: dict[str, Any]) -> Resolved:
    return Resolved(
        row["id"], written, evidence, tuple({c for c in (row["uscc"], written.uscc) if c}), tuple(row["districts"] or ())
    )


def _evidence(choice: Choice, scorecard: Scorecard) -> dict[str, Any]:
    assert choice.evidence is not None
    others = [{"merchant_id": str(m), **e.as_json()} for m, e in choice.others]
    return {"parameters": scorecard.version, "brand": choice.core, **choice.evidence.as_json(), "others": others}


def known_of(row: Any) -> Known:
    """What a merchant's row knows of it. Rows from before profiles speak for one mention."""
    if row["profile"] is not None:
        return Known.from_json(row["profile"], uscc=row["uscc"] or "", chain=row["chain"])
    known = Known(uscc=row["uscc"] or "", chain=row["chain"])
    name = merchants.parse_name(row["name"])
    known.learn(
        Mention(
            MerchantName(row["name"], name.cores, merchants.bare_city(row["city"] or "") or name.city, row["trade"] or name.trade)
        )
    )
    return known


_LEARN = """
WITH got AS (SELECT id FROM merchant WHERE id = $1 AND xmin::text = $8 FOR NO KEY UPDATE SKIP LOCKED),
brand AS (INSERT INTO merchant_brand (sound) SELECT s FROM unnest($10::text[]) AS s ON CONFLICT DO NOTHING),
fresh AS (INSERT INTO merchant_key (key, merchant_id, standing) SELECT k, $1, $11 FROM unnest($9::text[]) AS k ON CONFLICT DO NOTHING),
risen AS (UPDATE merchant_key SET standing = $11 WHERE merchant_id = $1 AND standing < $11 AND $12)
UPDATE merchant SET profile = $2, name = CASE WHEN registered = 1 THEN name ELSE $3 END, core = CASE WHEN registered = 1 THEN core ELSE $4 END,
  city = coalesce(city, $5), trade = coalesce(trade, $6),
  uscc = CASE WHEN uscc IS NULL AND NOT EXISTS (SELECT 1 FROM merchant o WHERE o.uscc = $7) THEN $7 ELSE uscc END
FROM got WHERE merchant.id = got.id
"""


async def _learn(connection: Connection, row: Any, known: Known, choice: Choice, written: WrittenMerchant) -> None:
    """Somebody else at the row since it was read will do: one count more or less decides nothing, but what a register told of a merchant
    meanwhile must not be written over."""
    mention = choice.mention
    assert mention is not None
    before, standing = names_of(known), known.standing
    new = known.learn(mention, choice.core)
    if not new and known.size > _COUNTED:
        return
    name = mention.name
    # The registered form is what a merchant is called by; whatever people write besides is in the profile.
    fuller = bool(name.form) and not merchants.parse_name(row["name"]).form and written.stated
    fresh = sorted({*_keys(written), *names_of(known)} - set(before)) if new else []
    await connection.execute(
        _LEARN, row["id"], to_json(known.as_json()), name.written if fuller else row["name"], known.main, name.city or None, name.trade or None,
        written.uscc or None, row["version"], fresh, spotted([choice.core or name.core]) if new else [], known.standing,
        known.standing > standing,
    )  # fmt: skip


def names_of(known: Known) -> list[str]:
    """Keys of a merchant itself: the sounds of its brands, alone and with its cities and its complainants'."""
    places = [*known.cities, *known.homes]
    return [f"p:{s}" for s in known.sounds] + [f"p:{s}|{c}" for s in {sound(b) for b in known.cores} for c in places]


async def remember(
    connection: Connection, merchant_id: uuid.UUID, standing: int, keys: Iterable[str], brands: Iterable[str]
) -> None:  # fmt: skip
    await connection.execute(
        "WITH brand AS (INSERT INTO merchant_brand (sound) SELECT s FROM unnest($3::text[]) AS s ON CONFLICT DO NOTHING) "
        "INSERT INTO merchant_key (key, merchant_id, standing) SELECT k, $2, $4 FROM unnest($1::text[]) AS k ON CONFLICT DO NOTHING",
        sorted(set(keys)), merchant_id, spotted(brands), standing,
    )  # fmt: skip


def spotted(brands: Iterable[str]) -> list[str]:
    """Sounds of the brands that texts are looked through for."""
    return sorted({sound(b) for b in brands if merchants.is_telling(b)})


_OPEN = """
WITH opened AS (INSERT INTO merchant (id, name, core, city, trade, uscc, registered, profile) VALUES ($1, $2, $3, $4, $5, $6, 0, $7)),
brand AS (INSERT INTO merchant_brand (sound) SELECT s FROM unnest($9::text[]) AS s ON CONFLICT DO NOTHING)
INSERT INTO merchant_key (key, merchant_id, standing) SELECT k, $1, 1 FROM unnest($8::text[]) AS k
"""


async def _open(connection: Connection, written: WrittenMerchant, mention: Mention, keys: Sequence[str]) -> Resolved:
    merchant_id = new_id()
    name = mention.name
    known = Known()
    known.learn(mention)
    await connection.execute(
        _OPEN, merchant_id, name.written, name.core, name.city or None, name.trade or None, written.uscc or None,
        to_json(known.as_json()), sorted({*keys, *names_of(known)}), spotted([name.core]),
    )  # fmt: skip
    return Resolved(merchant_id, written, {"opened": True}, (written.uscc,) if written.uscc else ())


async def read(
    connection: Connection, merchant_id: uuid.UUID, *, lanes: Sequence[str], jurisdictions: Sequence[str]
) -> dict[str, Any]:
    row = await connection.fetchrow("SELECT * FROM merchant WHERE id = $1", merchant_id)
    if row is None:
        raise NotFound("no such merchant")
    if row["merged_into"]:
        return {"id": row["id"], "merged_into": row["merged_into"]}
    scope = (merchant_id, list(lanes), list(jurisdictions))
    seen = (
        "m.merchant_id = $1 AND m.lane = ANY($2) AND EXISTS (SELECT 1 FROM unnest($3::text[]) j WHERE starts_with(m.district, j))"
    )
    names = await connection.fetch(
        "SELECT r.written_name AS name, count(*) AS complaints, max(r.shop) AS shop FROM respondent r JOIN matter m ON m.id = r.matter_id "
        f"WHERE {seen} AND r.sequence = 1 AND r.valid_to IS NULL AND r.written_name IS NOT NULL "
        "GROUP BY r.written_name ORDER BY 2 DESC, 1 LIMIT 50",
        *scope,
    )
    counts = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE lane = 'complaint') AS complaints, count(*) FILTER (WHERE lane = 'report') AS reports, "
        "count(*) FILTER (WHERE lane = 'complaint' AND closed_at IS NOT NULL) AS closed, "
        "count(*) FILTER (WHERE outcome = 'agreement') AS agreements, min(received_at) AS first_at, max(received_at) AS last_at "
        f"FROM matter m WHERE {seen} AND copy_of IS NULL",
        *scope,
    )
    # Whom the register names is no secret; whom only complaints name is known to those who may see one.
    if counts["first_at"] is None and not row["registered"]:
        raise NotFound("no such merchant")
    incidents = await connection.fetch(
        f"SELECT i.id, {INCIDENT_TITLE}, i.state, count(*) AS complaints, min(m.event_at) AS first_at, max(m.event_at) AS last_at "
        "FROM incident i JOIN incident_membership im ON im.incident_id = i.id AND im.valid_to IS NULL JOIN matter m ON m.id = im.matter_id "
        f"WHERE i.merchant_id = $1 AND i.merged_into IS NULL AND {seen} GROUP BY i.id ORDER BY 6 DESC LIMIT 50",
        *scope,
    )
    told = await connection.fetch(
        "SELECT name, kind FROM merchant_name WHERE merchant_id = $1 ORDER BY kind = 'registered' DESC, name", merchant_id
    )
    shops = await connection.fetch(
        "SELECT name, district FROM merchant_shop WHERE merchant_id = $1 ORDER BY name, id LIMIT 200", merchant_id
    )
    odr = await directories.odr_status(connection, [row["uscc"]] if row["uscc"] else [], local_day(datetime.now(UTC)))
    figures = dict(counts)
    if "report" not in lanes:
        figures.pop("reports")
    return {
        "id": row["id"], "merged_into": None, "name": row["name"], "brand": row["core"], "city": row["city"],
        "uscc": row["uscc"], "registered": bool(row["registered"]), "industry": row["industry"], "chain": row["chain"], "odr": odr.live,
        "aliases": [dict(t) for t in told], "shops": [dict(s) for s in shops], **figures, "names": [dict(n) for n in names],
        "incidents": [{**i, "title": i["title"] or f"{row['core']} · {i['complaints']}件投诉"} for i in incidents],
    }  # fmt: skip


# -- what people say: which merchant is meant


@dataclass(frozen=True, slots=True)
class Meant:
    """Mentions that a merchant has: (respondent id, matter id, district, first named)."""

    merged_into: uuid.UUID | None
    mentions: list[tuple[uuid.UUID, uuid.UUID, str, bool]]


async def hold(connection: Connection, merchant_id: uuid.UUID) -> Meant | None:
    """Locks a merchant for this transaction; None where there is none."""
    row = await connection.fetchrow("SELECT merged_into FROM merchant WHERE id = $1 FOR UPDATE", merchant_id)
    if row is None:
        return None
    rows = await connection.fetch(
        "SELECT r.id, r.matter_id, m.district, r.sequence = 1 AS main FROM respondent r JOIN matter m ON m.id = r.matter_id "
        "WHERE r.merchant_id = $1 AND r.valid_to IS NULL ORDER BY r.id",
        merchant_id,
    )
    return Meant(row["merged_into"], [(r["id"], r["matter_id"], r["district"], r["main"]) for r in rows])


_RESAY = """
WITH said AS (
  UPDATE respondent r SET merchant_id = t.merchant, origin = $3, run_id = $4,
    evidence = jsonb_build_object('moved_from', r.merchant_id, 'before', r.evidence)
  FROM unnest($1::uuid[], $2::uuid[]) AS t(id, merchant) WHERE r.id = t.id AND r.valid_to IS NULL RETURNING r.matter_id, r.sequence, t.merchant
)
UPDATE matter SET merchant_id = said.merchant FROM said WHERE matter.id = said.matter_id AND said.sequence = 1
"""


async def resay(
    connection: Connection, run_id: uuid.UUID, target: Mapping[uuid.UUID, uuid.UUID], *, origin: str
) -> None:  # fmt: skip
    """Mentions (respondent rows) mean other merchants from now on; what was thought before stays in their evidence."""
    touched = await connection.fetch("SELECT DISTINCT merchant_id FROM respondent WHERE id = ANY($1)", list(target))
    await connection.execute(_RESAY, list(target), list(target.values()), origin, run_id)
    for merchant_id in sorted({r["merchant_id"] for r in touched} | set(target.values()), key=str):
        await rebuild(connection, merchant_id)


_SAID = """
SELECT coalesce(r.written_name, '') AS name, m.city, m.product_token FROM respondent r JOIN matter m ON m.id = r.matter_id
WHERE r.merchant_id = $1 AND r.valid_to IS NULL ORDER BY r.valid_from DESC LIMIT $2
"""
_RELEARNED = 500  # mentions that a profile is made of anew


async def rebuild(connection: Connection, merchant_id: uuid.UUID) -> None:
    """Profile and keys from its mentions and registered names as they are now. Merged away without any: it answers no look-up."""
    row = await connection.fetchrow("SELECT * FROM merchant WHERE id = $1", merchant_id)
    known = Known(uscc=row["uscc"] or "", chain=row["chain"])
    # What a register or a person gave: names, shops, the city.
    given = [
        merchants.parse_name(r["name"])
        for r in await connection.fetch("SELECT name FROM merchant_name WHERE merchant_id = $1", merchant_id)
    ]
    if row["registered"]:
        city = merchants.bare_city(row["city"] or "")
        given = [replace(name, city=name.city or city) for name in (merchants.parse_name(row["name"]), *given)]
    for name in given:
        for _ in range(_GIVEN_COUNTS):
            known.learn(Mention(name))
    shops = await connection.fetch("SELECT name FROM merchant_shop WHERE merchant_id = $1 LIMIT 24", merchant_id)
    known.shops |= {s["name"]: _GIVEN_COUNTS for s in shops}
    for said in await connection.fetch(_SAID, merchant_id, _RELEARNED):
        if said["name"]:
            home = merchants.bare_city(said["city"]) if said["city"] else ""
            known.learn(Mention(merchants.parse_name(said["name"]), "form", home, said["product_token"]))
    await connection.execute("DELETE FROM merchant_key WHERE merchant_id = $1", merchant_id)
    if row["merged_into"] is not None:
        return
    if not known.size:
        known.learn(Mention(merchants.parse_name(row["name"])))
    await connection.execute("UPDATE merchant SET profile = $2 WHERE id = $1", merchant_id, to_json(known.as_json()))
    keys = [*names_of(known), *([f"u:{row['uscc']}"] if row["uscc"] else []), *(f"t:{t}" for t in known.phones)]
    await remember(connection, merchant_id, known.standing, keys, known.cores)


async def adopt(connection: Connection) -> None:
    """Merchants of a store from before profiles: theirs, and keys of today's form, from their names and mentions."""
    for row in await connection.fetch("SELECT id FROM merchant WHERE profile IS NULL AND merged_into IS NULL ORDER BY id"):
        async with connection.transaction():
            await rebuild(connection, row["id"])


_GIVEN_COUNTS = 8  # how many mentions a name that a register or a person gave counts for


async def merge_into(connection: Connection, merchant_id: uuid.UUID, into: uuid.UUID | None) -> None:
    """Redirects, or with None takes a redirect back. Its names go along as aliases, its credit code with it and back again."""
    if into is None:
        await connection.execute(
            "WITH away AS (UPDATE merchant h SET uscc = NULL FROM merchant m WHERE m.id = $1 AND h.id = m.merged_into AND h.uscc = m.former_uscc "
            "RETURNING m.former_uscc) SELECT 1 FROM away",
            merchant_id,
        )
        await connection.execute(
            "UPDATE merchant SET merged_into = NULL, uscc = former_uscc, former_uscc = NULL WHERE id = $1", merchant_id
        )
    else:
        code = await connection.fetchval("SELECT uscc FROM merchant WHERE id = $1", merchant_id)
        await connection.execute(
            "UPDATE merchant SET merged_into = $2, former_uscc = uscc, uscc = NULL WHERE id = $1", merchant_id, into
        )
        await connection.execute("UPDATE merchant SET uscc = coalesce(uscc, $2) WHERE id = $1", into, code)
        await connection.execute("UPDATE merchant SET merged_into = $2 WHERE merged_into = $1 AND id <> $2", merchant_id, into)
        await connection.execute(
            "INSERT INTO merchant_name (merchant_id, name, kind, source) SELECT $2, name, 'alias', 'merge' FROM merchant WHERE id = $1 "
            "ON CONFLICT DO NOTHING",
            merchant_id, into,
        )  # fmt: skip


async def open_like(connection: Connection, respondent_id: uuid.UUID) -> uuid.UUID:
    """A merchant of its own for a mention that means nobody known."""
    written = await connection.fetchval("SELECT written_name FROM respondent WHERE id = $1", respondent_id)
    name = merchants.parse_name(written or "未具名商家")
    merchant_id = new_id()
    await connection.execute(
        "INSERT INTO merchant (id, name, core, city, trade, registered) VALUES ($1, $2, $3, $4, $5, 0)",
        merchant_id, name.written, name.core, name.city or None, name.trade or None,
    )  # fmt: skip
    return merchant_id


async def outside(
    connection: Connection, run_id: uuid.UUID, lanes: Sequence[str], jurisdictions: Sequence[str]
) -> int | None:  # fmt: skip
    """How many matters that a run moved the caller may not see; None where he sees none of them."""
    row = await connection.fetchrow(
        "SELECT count(*) AS every, count(*) FILTER (WHERE m.lane = ANY($2) AND EXISTS (SELECT 1 FROM unnest($3::text[]) j "
        "WHERE starts_with(m.district, j))) AS seen FROM respondent r JOIN matter m ON m.id = r.matter_id WHERE r.run_id = $1",
        run_id, list(lanes), list(jurisdictions),
    )  # fmt: skip
    return None if not row["seen"] else row["every"] - row["seen"]


async def undo(connection: Connection, run_id: uuid.UUID, *, actor: str, reason: str | None = None) -> dict[str, Any]:
    """Mentions mean whom they meant before; merged ids answer for themselves again. What somebody moved since stays."""
    run = await connection.fetchrow(
        "SELECT id, kind, undone_at, parameters FROM link_run WHERE id = $1 AND object = 'merchant' FOR UPDATE", run_id
    )
    if run is None:
        raise NotFound("no such run")
    undoing = await runs.begin_undo(connection, run, of="merchant", actor=actor, reason=reason)
    for merged in run["parameters"].get("merged", ()):
        await merge_into(connection, uuid.UUID(merged), None)
    rows = await connection.fetch(
        "SELECT id, (evidence ->> 'moved_from')::uuid AS before FROM respondent WHERE run_id = $1 AND valid_to IS NULL", run_id
    )
    back = {r["id"]: r["before"] for r in rows}
    if back:
        await resay(connection, undoing, back, origin="person")
    for merged in run["parameters"].get("merged", ()):
        await rebuild(connection, uuid.UUID(merged))
    summary = {"run_id": str(run_id), "mentions": len(back)}
    await runs.close_run(connection, undoing, summary)
    return {"undo_id": undoing, **summary}
