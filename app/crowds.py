"""How many people stand behind an incident: distinct persons, never rows, and whoever shares a telephone or a document once.

Exactly for a matter that arrives (`situation`); for all by the worker (`recount`), which also marks what has grown.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.codes import common_region
from app.database import Connection, to_array
from ml.tokens import Field

_COUNTED_EXACTLY = 64
# What one person alone has (several names on it count once), and what a household shares: the latter only together.
_OWN_FIELDS = frozenset({Field.PHONE, Field.ID, Field.PASSPORT})
_HOUSE_FIELDS = frozenset({Field.ADDRESS, Field.DEVICE})
_COUNTED_BY = sorted(f.value for f in _OWN_FIELDS | _HOUSE_FIELDS)
SHARED_NAMES = 2


# Contacts that a member gave, but those his agent gave too (Art. 11): an agent's telephone makes his clients no one person.
_HELD = """
FROM member JOIN party p ON p.matter_id = member.matter_id AND p.role IN ('filer', 'principal')
JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
JOIN complainant_record r ON r.id = p.record_id
LEFT JOIN party a ON a.matter_id = member.matter_id AND a.role = 'agent' LEFT JOIN complainant_record ar ON ar.id = a.record_id
CROSS JOIN LATERAL unnest(r.tokens) AS t
WHERE t & 63 IN ({fields}) AND (ar.tokens IS NULL OR NOT t = ANY(ar.tokens))
""".format(fields=", ".join(map(str, _COUNTED_BY)))
_PEOPLE = f"""
WITH member AS MATERIALIZED (
  SELECT im.matter_id, m.district FROM incident_membership im JOIN matter m ON m.id = im.matter_id
  WHERE im.incident_id = $1 AND im.valid_to IS NULL AND m.lane = 'complaint' LIMIT $2
)
SELECT count(DISTINCT c.complainant_id) AS people, count(*) FILTER (WHERE c.complainant_id IS NULL) AS unidentified,
       coalesce(bool_or(c.complainant_id = $3), false) AS known,
       array_agg(DISTINCT member.district) FILTER (WHERE length(member.district) = 6 AND member.district NOT LIKE '%00') AS districts,
       (SELECT people_complaints FROM incident WHERE id = $1) AS folded, (SELECT harm FROM incident WHERE id = $1) AS harm,
       (SELECT excess FROM incident WHERE id = $1) AS excess,
       (SELECT jsonb_agg(jsonb_build_array(field, people)) FROM (
          SELECT token & 63 AS field, array_agg(DISTINCT complainant_id) AS people FROM (
            SELECT cm.complainant_id, t AS token {_HELD}
            UNION ALL SELECT $3::uuid, unnest($4::text::bigint[])
          ) AS held GROUP BY token HAVING count(DISTINCT complainant_id) > 1
        ) AS shared) AS shared
FROM member
LEFT JOIN LATERAL (
  SELECT cm.complainant_id FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  WHERE p.matter_id = member.matter_id AND p.role IN ('filer', 'principal')
) AS c ON true
"""


@dataclass(frozen=True, slots=True)
class Situation:
    """people: distinct, with a complaint there; who shares an identity counts once. harm: as the worker last counted. excess: more than
    its merchant's usual rate, None where nobody looked yet."""

    people: int = 0
    districts: frozenset[str] = frozenset()
    harm: bool = False
    excess: bool | None = None


async def situation(
    connection: Connection, incident_id: uuid.UUID, *, person: uuid.UUID | None = None, contacts: Iterable[int] = (), counted: bool = False,
    names: float = SHARED_NAMES,
) -> Situation:  # fmt: skip
    """Exact up to some 64 complaints, the folded count beyond. Letters without any identity count as one person together: nobody can
    tell them apart. person, contacts: who is about to complain there, counted too; counted: known to be a member already. names: on one
    contact, from which they count once."""
    own = [t for t in contacts if (t & 0x3F) in _COUNTED_BY]
    row = await connection.fetchrow(_PEOPLE, incident_id, _COUNTED_EXACTLY, person, to_array(own))
    joins = person is not None and not counted and not row["known"]
    shared = [(field, frozenset(people)) for field, people in row["shared"] or ()]
    exact: int = row["people"] + joins - counted_twice(shared, names) + (1 if row["unidentified"] else 0)
    people = max(exact, row["folded"] + joins if exact >= _COUNTED_EXACTLY // 2 else 0)
    return Situation(people, frozenset(row["districts"] or ()), row["harm"], row["excess"])


def is_one_identity(fields: Iterable[str]) -> bool:
    """Whether what is shared, by names of fields, makes several names one: a telephone or document does, an address only with a device."""
    held = {f.lower() for f in fields}
    own, house = ({f.name.lower() for f in some} for some in (_OWN_FIELDS, _HOUSE_FIELDS))
    return bool(held & own) or house <= held


def counted_twice(shared: Iterable[tuple[int, frozenset[Any]]], names: float = SHARED_NAMES) -> int:
    """How many too many a count of people is. shared: (field, those who hold one value of it). One telephone or document with so many
    names on it is one identity (Art. 17(1)(4)); an address alone is a family's, with a device in common too it is one. Order says nothing."""
    alike: list[frozenset[Any]] = []
    houses: dict[bool, list[frozenset[Any]]] = {True: [], False: []}
    for field, people in shared:
        if len(people) < max(names, 2):
            continue
        if field in _OWN_FIELDS:
            alike.append(people)
        elif field in _HOUSE_FIELDS:
            houses[field == Field.ADDRESS].append(people)
    alike += [both for at in houses[True] for by in houses[False] if len(both := at & by) >= max(names, 2)]
    home: dict[Any, Any] = {}

    def find(one: Any) -> Any:
        while home.setdefault(one, one) != one:
            home[one] = home[home[one]]
            one = home[one]
        return one

    joined = 0
    for people in alike:
        first, *others = people
        for other in others:
            if (a := find(first)) != (b := find(other)):
                home[b] = a
                joined += 1
    return joined


# People are counted after linking; a letter that names nobody is counted apart.
_COUNTS = """
SELECT im.incident_id,
  count(DISTINCT im.matter_id) FILTER (WHERE m.lane = 'complaint') AS complaints,
  count(DISTINCT im.matter_id) AS matters,
  count(DISTINCT cm.complainant_id) FILTER (WHERE m.lane = 'complaint') AS people,
  count(DISTINCT cm.complainant_id) AS people_all,
  count(DISTINCT im.matter_id) FILTER (WHERE m.lane = 'complaint' AND cm.complainant_id IS NULL) AS unidentified,
  coalesce(array_agg(DISTINCT m.district) FILTER (
    WHERE m.lane = 'complaint' AND length(m.district) = 6 AND m.district NOT LIKE '%00'), '{}') AS districts,
  coalesce(bool_or(m.lane <> 'report' AND EXISTS (
    SELECT 1 FROM jsonb_array_elements(m.reading -> 'dangers') AS d
    WHERE d ->> 'severity' = 'high' AND d ->> 'type' IN ('injury', 'death', 'food_poisoning', 'poison', 'explosion')
  )), false) AS harm
FROM incident_membership im
JOIN matter m ON m.id = im.matter_id
LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
WHERE im.valid_to IS NULL AND im.incident_id = ANY($1) GROUP BY im.incident_id
"""

_SHARED = f"""
WITH member AS MATERIALIZED (
  SELECT im.incident_id, im.matter_id, m.lane FROM incident_membership im JOIN matter m ON m.id = im.matter_id
  WHERE im.valid_to IS NULL AND im.incident_id = ANY($1)
)
SELECT incident_id, token & 63 AS field, array_agg(DISTINCT complainant_id) AS people,
       coalesce(array_agg(DISTINCT complainant_id) FILTER (WHERE lane = 'complaint'), '{{}}') AS complaining
FROM (SELECT member.incident_id, member.lane, cm.complainant_id, t AS token {_HELD}) AS held
GROUP BY incident_id, token HAVING count(DISTINCT complainant_id) > 1
"""


async def uncounted(connection: Connection, limit: int) -> list[uuid.UUID]:
    rows = await connection.fetch("SELECT id FROM incident WHERE version <> counted_version LIMIT $1", limit)
    return [r["id"] for r in rows]


async def recount(
    connection: Connection, incident_ids: Sequence[uuid.UUID], thresholds_of: Callable[[str], Mapping[str, float]]
) -> None:  # fmt: skip
    """Distinct people, whoever shares an identity once, districts, harm, and the state they make: single, watch, open (many people, or somebody was hurt). Closed stays
    closed. One that outgrew what its matters were routed for is marked as grown. thresholds_of: of a place, here what the codes of all
    its districts begin with."""
    versions = await connection.fetch(
        "SELECT id, version FROM incident WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", list(incident_ids)
    )
    version_of = {r["id"]: r["version"] for r in versions}
    every: dict[uuid.UUID, list[tuple[int, frozenset[uuid.UUID]]]] = {}
    complaining: dict[uuid.UUID, list[tuple[int, frozenset[uuid.UUID]]]] = {}
    for row in await connection.fetch(_SHARED, list(incident_ids)):
        every.setdefault(row["incident_id"], []).append((row["field"], frozenset(row["people"])))
        complaining.setdefault(row["incident_id"], []).append((row["field"], frozenset(row["complaining"])))
    for row in await connection.fetch(_COUNTS, list(incident_ids)):
        thresholds = thresholds_of(common_region(row["districts"]))
        names = thresholds.get("identity.shared", SHARED_NAMES)
        people = row["people"] - counted_twice(complaining.get(row["incident_id"], ()), names)
        people_all = row["people_all"] - counted_twice(every.get(row["incident_id"], ()), names)
        counted = people + (1 if row["unidentified"] else 0)
        many = counted >= thresholds["cluster.group"] or row["harm"]
        state = "open" if many else "watch" if counted >= thresholds["cluster.watch"] else "single"
        await connection.execute(
            "UPDATE incident SET people_complaints = $2, people_all = $3, unidentified = $4, complaints = $5, harm = $8, districts = $9, "
            "grown = $2 > greatest(routed_people, 1) OR ($9 > routed_districts AND $2 > 1) OR ($8 AND NOT routed_harm), "
            "state = CASE WHEN state = 'closed' THEN state ELSE $6 END, counted_version = $7 WHERE id = $1",
            row["incident_id"], people, people_all, row["unidentified"], row["matters"], state,
            version_of.pop(row["incident_id"]), row["harm"], len(row["districts"]),
        )  # fmt: skip
    # Of nobody any more.
    await connection.execute(
        "UPDATE incident SET people_complaints = 0, people_all = 0, unidentified = 0, complaints = 0, harm = false, districts = 0, "
        "grown = false, counted_version = version WHERE id = ANY($1)",
        list(version_of),
    )
