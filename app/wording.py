"""Near-identical wording of different people: the 2x2 of text and target (wording x target), as findings with evidence.

Victims share templates too, so wording alone decides nothing and moves nothing: a finding tells a person where to look, and by what
the one is told from the other. Different wording writes nothing: about one target it is an incident, about several it is ordinary.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.database import Connection, to_array, to_json
from app.identity import new_id
from ml import text
from ml.tokens import Field

WINDOW_DAYS = 180
ALIKE = 0.7
LEAST_PEOPLE_OF_ONE_TARGET = 3
LEAST_PEOPLE_OF_SEVERAL = 3
LEAST_MERCHANTS = 2
_PER_BAND = 20  # the same text ten thousand times must stay cheap
_LISTED = 10
# A matter of one lane is only compared with its own lane's: evidence must not tell that a report exists (Art. 37).
_LANES = {"complaint": 0, "report": 0x5851F42D4C957F2D}

# Not FOR UPDATE: parties and findings that are just being written refer to the row.
_CLAIM = """
UPDATE matter m SET compared = true FROM (
  SELECT id FROM matter WHERE NOT compared ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
) AS waiting WHERE m.id = waiting.id RETURNING m.id, m.lane, m.signature, m.received_at
"""
_FIND = """
SELECT t.token, k.matter_id, k.at FROM unnest($1::text::bigint[]) AS t(token) CROSS JOIN LATERAL (
  SELECT matter_id, at FROM signature_key WHERE token = t.token AND at > $2 ORDER BY at DESC LIMIT $3
) AS k ORDER BY t.token, k.at DESC, k.matter_id DESC
"""
_STORE = """
INSERT INTO signature_key (token, matter_id, at) SELECT * FROM unnest($1::text::bigint[], $2::uuid[], $3::timestamptz[])
ON CONFLICT DO NOTHING
"""
_SIGNATURES = "SELECT id, lane, signature FROM matter WHERE id = ANY($1)"
# Whoever is merged stands for nothing any more: people and incidents by their current membership, merchants up the line.
_SAID = f"""
WITH RECURSIVE seen AS MATERIALIZED (
  SELECT id, merchant_id, order_token, amount_fen FROM matter WHERE id = ANY($1)
), up (id, home) AS (
  SELECT DISTINCT merchant_id, merchant_id FROM seen WHERE merchant_id IS NOT NULL
  UNION SELECT up.id, mc.merged_into FROM up JOIN merchant mc ON mc.id = up.home WHERE mc.merged_into IS NOT NULL
), home AS (
  SELECT up.id, up.home FROM up JOIN merchant mc ON mc.id = up.home WHERE mc.merged_into IS NULL
)
SELECT seen.id, home.home AS merchant_id, seen.order_token, seen.amount_fen, im.incident_id, who.people, who.phones, who.devices,
       EXISTS (SELECT 1 FROM finding f WHERE f.matter_id = seen.id AND f.code = 'R7') AS shares_identity
FROM seen LEFT JOIN home ON home.id = seen.merchant_id
LEFT JOIN incident_membership im ON im.matter_id = seen.id AND im.valid_to IS NULL AND im.is_primary
CROSS JOIN LATERAL (
  SELECT coalesce(array_agg(DISTINCT cm.complainant_id), '{{}}') AS people,
         coalesce(array_agg(DISTINCT t) FILTER (WHERE t & 63 = {Field.PHONE.value}), '{{}}') AS phones,
         coalesce(array_agg(DISTINCT t) FILTER (WHERE t & 63 = {Field.DEVICE.value}), '{{}}') AS devices
  FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  JOIN complainant_record r ON r.id = p.record_id LEFT JOIN LATERAL unnest(r.tokens) AS t ON true
  WHERE p.matter_id = seen.id AND p.role IN ('filer', 'principal')
) AS who
"""
_WRITE = """
INSERT INTO finding (id, matter_id, code, evidence)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]::jsonb[])
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a matter says besides its words. people: of the filer or principal, empty where nobody is named."""

    matter_id: uuid.UUID
    people: frozenset[uuid.UUID]
    merchant_id: uuid.UUID | None
    incident_id: uuid.UUID | None
    order: int | None
    amount_fen: int | None
    phones: frozenset[int]
    devices: frozenset[int]
    shares_identity: bool


async def compare_waiting(connection: Connection, limit: int = 200) -> int:
    """Looks for earlier letters in the words of those that wait, and writes at most one finding for each. Gives how many
    matters it took. One worker at a time: two would not see each other's."""
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('wording'))"):
        return 0
    claimed = sorted(await connection.fetch(_CLAIM, limit), key=lambda r: r["id"])
    waiting = [r for r in claimed if r["lane"] in _LANES and r["signature"]]
    if not waiting:
        return len(claimed)
    keys = {r["id"]: _keys(r["lane"], r["signature"]) for r in waiting}
    alike, cut = await _alike(connection, waiting, keys)
    await connection.execute(
        _STORE, to_array(k for r in waiting for k in keys[r["id"]]), [r["id"] for r in waiting for _ in keys[r["id"]]],
        [r["received_at"] for r in waiting for _ in keys[r["id"]]],
    )  # fmt: skip
    if not alike:
        return len(claimed)
    said = {r["id"]: _said(r) for r in await connection.fetch(_SAID, list(alike.keys() | {o for a in alike.values() for o in a}))}
    rows = []
    for matter_id, shares in alike.items():
        judged = judge(said[matter_id], [(said[o], share) for o, share in shares.items()], more=matter_id in cut)
        if judged is not None:
            rows.append((new_id(), matter_id, judged[0], to_json(judged[1])))
    if rows:
        await connection.execute(_WRITE, *map(list, zip(*rows, strict=True)))
    return len(claimed)


def _keys(lane: str, signature: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(k ^ _LANES[lane] for k in text.bands(signature)))


_Shares = dict[uuid.UUID, dict[uuid.UUID, float]]


async def _alike(
    connection: Connection, waiting: Sequence[Any], keys: dict[uuid.UUID, list[int]]
) -> tuple[_Shares, set[uuid.UUID]]:
    """(matter -> earlier matters in nearly the same words, newest first, with the share; matters for which more were there than
    were looked at). Earlier is what was compared before, so of each pair one sees the other, whatever came in when."""
    since = min(r["received_at"] for r in waiting) - timedelta(days=WINDOW_DAYS)
    tokens = sorted({k for found in keys.values() for k in found})
    by_key: dict[int, list[tuple[datetime, uuid.UUID]]] = {}
    for row in await connection.fetch(_FIND, to_array(tokens), since, _PER_BAND):
        by_key.setdefault(row["token"], []).append((row["at"], row["matter_id"]))
    stored = list({matter_id for found in by_key.values() for _, matter_id in found})
    letters = {r["id"]: r for r in (*waiting, *(await connection.fetch(_SIGNATURES, stored) if stored else ()))}
    alike: _Shares = {}
    cut: set[uuid.UUID] = set()
    for row in waiting:
        matter_id, at = row["id"], row["received_at"]
        shares: dict[uuid.UUID, float] = {}
        candidates: set[tuple[datetime, uuid.UUID]] = set()
        for key in keys[matter_id]:
            candidates.update(by_key.get(key, ()))
            if len(by_key.get(key, ())) >= _PER_BAND:
                cut.add(matter_id)
        for earlier_at, other in sorted(candidates, reverse=True):
            # A person may have corrected the lane since.
            if abs(at - earlier_at) > timedelta(days=WINDOW_DAYS) or letters[other]["lane"] != row["lane"]:
                continue
            if (share := text.shared_wording(row["signature"], letters[other]["signature"])) >= ALIKE:
                shares[other] = share
        if shares:
            alike[matter_id] = shares
        for key in keys[matter_id]:
            by_key[key] = [(at, matter_id), *by_key.get(key, ())][:_PER_BAND]
    return alike, cut


def judge(own: Said, others: Sequence[tuple[Said, float]], *, more: bool = False) -> tuple[str, dict[str, Any]] | None:
    """(code, evidence) of a matter and the earlier ones in its words, newest first; None where too few people used them. R8
    疑似串联 where the target is one, else serial_wording. One person's own copies are R1, R3 or R4, and whoever names nobody
    can't be told from the others: neither counts here."""
    if not own.people:
        return None
    same: list[tuple[Said, float]] = []
    elsewhere: list[tuple[Said, float]] = []
    for other, share in others:
        if not other.people or other.people & own.people:
            continue
        if _is_same_target(own, other):
            same.append((other, share))
        elif own.merchant_id and other.merchant_id:  # without a merchant nobody knows that it is another
            elsewhere.append((other, share))
    if _people([own, *_matters(same)]) >= LEAST_PEOPLE_OF_ONE_TARGET:
        return "R8", {
            "quadrant": "undetermined", **_summary(own, same, more), "incident_id": str(own.incident_id) if own.incident_id else None,
            "distinguishing": _distinguishing([own, *_matters(same)]),
            "elsewhere": {"people": _people(_matters(elsewhere)), "merchants": _merchants(_matters(elsewhere))},
            **_together([own, *_matters(same)]),
        }  # fmt: skip
    every = [(o, share) for o, share in others if any(o is k for k, _ in (*same, *elsewhere))]
    merchants = _merchants([own, *_matters(every)])
    if elsewhere and merchants >= LEAST_MERCHANTS and _people([own, *_matters(every)]) >= LEAST_PEOPLE_OF_SEVERAL:
        return "serial_wording", {
            "quadrant": "serial", **_summary(own, every, more), "merchants": merchants, **_together([own, *_matters(every)]),
        }  # fmt: skip
    return None


def _is_same_target(one: Said, other: Said) -> bool:
    if one.incident_id is not None and one.incident_id == other.incident_id:
        return True
    return one.merchant_id is not None and one.merchant_id == other.merchant_id


def _matters(found: Iterable[tuple[Said, float]]) -> list[Said]:
    return [s for s, _ in found]


def _people(matters: Iterable[Said]) -> int:
    return len({p for m in matters for p in m.people})


def _merchants(matters: Iterable[Said]) -> int:
    return len({m.merchant_id for m in matters if m.merchant_id})


def _summary(own: Said, found: Sequence[tuple[Said, float]], more: bool) -> dict[str, Any]:
    """more: the newest were counted, there are others."""
    return {
        "alike": [str(o.matter_id) for o, _ in found[:_LISTED]], "people": _people([own, *_matters(found)]),
        "shared": round(max(share for _, share in found), 3), "more": more,
    }  # fmt: skip


def _distinguishing(matters: Sequence[Said]) -> dict[str, int]:
    """By what victims with one template are told from a ring with one: own orders, payments, phones and devices."""
    orders = [m.order for m in matters if m.order is not None]
    amounts = [m.amount_fen for m in matters if m.amount_fen is not None]
    return {
        "matters": len(matters), "orders": len(orders), "distinct_orders": len(set(orders)),
        "amounts": len(amounts), "distinct_amounts": len(set(amounts)),
        "phones": len({p for m in matters for p in m.phones}), "devices": len({d for m in matters for d in m.devices}),
        "shared_identity": sum(m.shares_identity for m in matters),
    }  # fmt: skip


def _together(matters: Sequence[Said]) -> dict[str, Any]:
    """What more than their words ties people to one another: a telephone, a device or an order that several of them gave. Empty where
    nothing does; only where something does may the policy hear of it."""
    held: dict[tuple[str, int], list[Said]] = {}
    for m in matters:
        orders = frozenset() if m.order is None else frozenset([m.order])
        for name, values in (("phone", m.phones), ("device", m.devices), ("order", orders)):
            for value in values:
                held.setdefault((name, value), []).append(m)
    tied = {key: group for key, group in held.items() if _people(group) > 1}
    if not tied:
        return {}
    among = {m.matter_id: m for group in tied.values() for m in group}
    # Whoever used the words alone is not among them.
    ids = [str(m.matter_id) for m in matters if m.matter_id in among][:_LISTED]
    return {"together": {"people": _people(among.values()), "by": sorted({name for name, _ in tied}), "matters": ids}}


def _said(row: Any) -> Said:
    return Said(
        matter_id=row["id"], people=frozenset(row["people"]), merchant_id=row["merchant_id"], incident_id=row["incident_id"],
        order=row["order_token"], amount_fen=row["amount_fen"], phones=frozenset(row["phones"]), devices=frozenset(row["devices"]),
        shares_identity=row["shares_identity"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beside:
    """same, elsewhere: (matter, share of its wording) of other people in nearly the same words, about the same target and about others,
    newest first. more: there are others."""

    own: Said
    same: list[tuple[Said, float]]
    elsewhere: list[tuple[Said, float]]
    more: bool

    @property
    def distinguishing(self) -> dict[str, int]:
        return _distinguishing([self.own, *_matters(self.same)])

    @property
    def together(self) -> dict[str, Any]:
        found: dict[str, Any] = _together([self.own, *_matters(self.same)]).get("together", {})
        return found


async def beside(connection: Connection, matter_id: uuid.UUID, jurisdictions: Sequence[str]) -> Beside | None:
    """Who else wrote a matter's words, before it or after, within the window and those places. None where it has no words to compare."""
    own = await connection.fetchrow("SELECT id, lane, signature, received_at FROM matter WHERE id = $1", matter_id)
    if own is None or own["lane"] not in _LANES or not own["signature"]:
        return None
    keys = _keys(own["lane"], own["signature"])
    since = own["received_at"] - timedelta(days=WINDOW_DAYS)
    rows = await connection.fetch(_FIND, to_array(keys), since, _PER_BAND)
    ids = list({r["matter_id"] for r in rows} - {matter_id})
    letters = await connection.fetch(
        "SELECT id, lane, signature FROM matter WHERE id = ANY($1) AND lane = $2 AND EXISTS (SELECT 1 FROM unnest($3::text[]) j "
        "WHERE starts_with(district, j)) ORDER BY received_at DESC, id DESC",
        ids, own["lane"], list(jurisdictions),
    )  # fmt: skip
    shares = {r["id"]: text.shared_wording(own["signature"], r["signature"]) for r in letters}
    alike = [i for i, share in shares.items() if share >= ALIKE]
    said = {r["id"]: _said(r) for r in await connection.fetch(_SAID, [matter_id, *alike])}
    mine = said[matter_id]
    others = [(said[i], shares[i]) for i in alike if said[i].people and not said[i].people & mine.people]
    same = [(o, share) for o, share in others if _is_same_target(mine, o)]
    elsewhere = [(o, s) for o, s in others if not _is_same_target(mine, o) and o.merchant_id and mine.merchant_id]
    return Beside(mine, same, elsewhere, max(Counter(r["token"] for r in rows).values(), default=0) >= _PER_BAND)


async def forget(connection: Connection, now: datetime) -> None:
    """Keys of texts too old to be compared with."""
    await connection.execute("DELETE FROM signature_key WHERE at < $1", now - timedelta(days=WINDOW_DAYS))
