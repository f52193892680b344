"""Which merchant is meant: candidates by the sound of the brand and its city, join with evidence or open a new one.

A merchant's profile counts what its mentions said. It is written when a mention says something new, so a busy merchant's row stays cool.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from app.database import STAGE_MERCHANT, Connection, lock, to_json
from app.errors import NotFound
from app.identity import new_id
from app.reading import WrittenMerchant
from ml import merchants
from ml.merchants import Choice, Known, Mention, MerchantName
from ml.scorecards import Scorecard
from ml.tokens import sound

_PER_KEY = 20
_CANDIDATES_MOST = 12
_MOST_NAMED = 5
_COUNTED = 32  # mentions from which on more of the same are not written


@dataclass(frozen=True, slots=True)
class Resolved:
    """usccs: the merchant's own code and the one written."""

    merchant_id: uuid.UUID
    written: WrittenMerchant
    evidence: dict[str, Any]
    usccs: tuple[str, ...]


_FIND = """
WITH hit AS (
  SELECT k.merchant_id, count(*) + 100 * bool_or(starts_with(t.key, 'u:'))::int AS shared FROM unnest($1::text[]) AS t(key)
  CROSS JOIN LATERAL (SELECT merchant_id FROM merchant_key WHERE key = t.key ORDER BY standing DESC, merchant_id DESC LIMIT $2) AS k
  GROUP BY 1 ORDER BY 2 DESC, 1 DESC LIMIT $3
)
SELECT m.id, m.name, m.core, m.city, m.trade, m.uscc, m.chain, m.registered, m.profile FROM hit JOIN merchant m ON m.id = hit.merchant_id
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
    rows = {r["id"]: r for r in await connection.fetch(_FIND, list(keys), _PER_KEY, _CANDIDATES_MOST)}
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


def _resolved(row: Any, written: WrittenMerchant, evidence: dict[str, Any]) -> Resolved:
    return Resolved(row["id"], written, evidence, tuple({c for c in (row["uscc"], written.uscc) if c}))


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
WITH got AS (SELECT id FROM merchant WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED)
UPDATE merchant SET profile = $2, name = CASE WHEN registered = 1 THEN name ELSE $3 END, core = CASE WHEN registered = 1 THEN core ELSE $4 END,
  city = coalesce(city, $5), trade = coalesce(trade, $6),
  uscc = CASE WHEN uscc IS NULL AND NOT EXISTS (SELECT 1 FROM merchant o WHERE o.uscc = $7) THEN $7 ELSE uscc END
FROM got WHERE merchant.id = got.id
"""


async def _learn(connection: Connection, row: Any, known: Known, choice: Choice, written: WrittenMerchant) -> None:
    """Somebody else at the row just now will do: one count more or less decides nothing."""
    mention = choice.mention
    assert mention is not None
    before = set(_names_of(known))
    standing = known.standing
    new = known.learn(mention, choice.core)
    if not new and known.size > _COUNTED:
        return
    name = mention.name
    # The registered form is what a merchant is called by; whatever people write besides is in the profile.
    fuller = bool(name.form) and not merchants.parse_name(row["name"]).form and written.stated
    await connection.execute(
        _LEARN, row["id"], to_json(known.as_json()), name.written if fuller else row["name"], known.main, name.city or None, name.trade or None,
        written.uscc or None,
    )  # fmt: skip
    if known.standing > standing:
        await connection.execute("UPDATE merchant_key SET standing = $2 WHERE merchant_id = $1", row["id"], known.standing)
    if new:
        fresh = set(_names_of(known)) - before
        await _remember(connection, row["id"], known.standing, [*_keys(written), *fresh], [choice.core or name.core])


def _names_of(known: Known) -> list[str]:
    """Keys of a merchant itself: the sounds of its brands, alone and with its cities and its complainants'."""
    places = [*known.cities, *known.homes]
    return [f"p:{s}" for s in known.sounds] + [f"p:{s}|{c}" for s in {sound(b) for b in known.cores} for c in places]


async def _remember(
    connection: Connection, merchant_id: uuid.UUID, standing: int, keys: Iterable[str], brands: Iterable[str]
) -> None:  # fmt: skip
    await connection.execute(
        "WITH brand AS (INSERT INTO merchant_brand (sound) SELECT s FROM unnest($3::text[]) AS s ON CONFLICT DO NOTHING) "
        "INSERT INTO merchant_key (key, merchant_id, standing) SELECT k, $2, $4 FROM unnest($1::text[]) AS k ON CONFLICT DO NOTHING",
        sorted(set(keys)), merchant_id, spotted(brands), standing,
    )  # fmt: skip


def spotted(brands: Iterable[str]) -> list[str]:
    """Sounds of the brands that a text may be looked through for: one syllable is in every text."""
    return sorted({s for b in brands if " " in (s := sound(b))})


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
        to_json(known.as_json()), sorted({*keys, *_names_of(known)}), spotted([name.core]),
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
    if counts["first_at"] is None:
        raise NotFound("no such merchant")
    incidents = await connection.fetch(
        "SELECT i.id, i.title, i.state, count(*) AS complaints, min(m.event_at) AS first_at, max(m.event_at) AS last_at "
        "FROM incident i JOIN incident_membership im ON im.incident_id = i.id AND im.valid_to IS NULL JOIN matter m ON m.id = im.matter_id "
        f"WHERE i.merchant_id = $1 AND i.merged_into IS NULL AND {seen} GROUP BY i.id ORDER BY 6 DESC LIMIT 50",
        *scope,
    )
    figures = dict(counts)
    if "report" not in lanes:
        figures.pop("reports")
    return {
        "id": row["id"], "merged_into": None, "name": row["name"], "brand": row["core"], "city": row["city"],
        "uscc": row["uscc"], **figures, "names": [dict(n) for n in names], "incidents": [dict(i) for i in incidents],
    }  # fmt: skip
