"""Which work falls into which queue, and who may pull from it: data, for a track, a place, a desk, a skill, classes of goods or problems.

The narrowest active queue takes a matter: the one of the smaller place, then the one of fewer classes. What a person needs to pull from a
queue is one of its roles, its skill, and to be cleared for its lane; which of its items he gets, his jurisdictions say.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.codes import shipped
from app.database import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import ROLES, Principal

# As a name a client may ask for: what is most urgent in all queues he may pull from.
ANY = "any"
LANES = ("complaint", "report", "any")
_ID = re.compile(r"(?!\d+\.)[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*")
# 420106.t2 is the part of t2 that lies there. Of a province, a city or a district: to find nothing in half a city the whole queue is read.
_ASKED = re.compile(r"(?:(?P<district>(?:\d\d){1,3})\.)?(?P<queue>.{1,60})")
COLUMNS = "id, name, lane, track, district, desk, skill, goods, problems, roles, active"

# The queue a matter falls into; for `format`, which is given the SQL of its track, district, goods and problem.
PLACE = """(
  SELECT q.id FROM queue q WHERE q.track = {track} AND q.active AND starts_with({district}, q.district)
    AND (q.goods = '{{}}' OR {goods} = ANY(q.goods)) AND (q.problems = '{{}}' OR {problem} = ANY(q.problems))
  ORDER BY length(q.district) DESC, (q.goods <> '{{}}')::int + (q.problems <> '{{}}')::int DESC, q.id LIMIT 1)"""

# Whether a person with these roles, skills and clearance may pull from q.
MAY_PULL = """(q.roles && {roles} OR 'admin' = ANY({roles})) AND (q.skill IS NULL OR q.skill = ANY({skills}))
    AND (q.lane <> 'report' OR {reports})"""


def rights(principal: Principal) -> list[Any]:
    """The values MAY_PULL is asked with: roles, skills, whether cleared for reports."""
    return [sorted(principal.roles), list(principal.skills), "report" in principal.lanes]


def asked(name: str) -> tuple[str | None, str]:
    """(district or None, queue) of a name a client asks for. NotFound where it is none."""
    parts = _ASKED.fullmatch(name)
    if parts is None:
        raise NotFound(f"no queue {name}")
    return parts["district"], parts["queue"]


def within(principal: Principal, district: str | None) -> tuple[str, ...]:
    """The prefixes of region codes a person may pull from, those in `district` if one is named; none that another one covers. Forbidden
    where he has nothing there."""
    mine = principal.jurisdictions
    if district is not None:
        mine = tuple(
            {district if district.startswith(j) else j for j in mine if district.startswith(j) or j.startswith(district)}
        )
        if not mine:
            raise Forbidden(f"the queue of {district} is outside your jurisdiction")
    return tuple(sorted({j for j in mine if not any(o != j and j.startswith(o) for o in mine)}))


async def require(connection: Connection, queue: str, principal: Principal) -> Any:
    """The queue, which the person may pull from. NotFound, Forbidden otherwise."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS}, {MAY_PULL.format(roles='$2::text[]', skills='$3::text[]', reports='$4::boolean')} AS may FROM queue q WHERE id = $1",
        queue, *rights(principal),
    )  # fmt: skip
    if row is None or (row["lane"] == "report" and "report" not in principal.lanes and not principal.has(*row["roles"])):
        raise NotFound(f"no queue {queue}")
    if not row["may"]:
        needs = [f"one of the roles {', '.join(row['roles'])}"] + ([f"the skill {row['skill']}"] if row["skill"] else [])
        if row["lane"] == "report":
            needs.append("clearance for reports")
        raise Forbidden(f"to pull from {queue} needs {' and '.join(needs)}")
    return row


async def of(connection: Connection, principal: Principal) -> list[Any]:
    """Those a person may pull from."""
    may = MAY_PULL.format(roles="$1::text[]", skills="$2::text[]", reports="$3::boolean")
    return list(await connection.fetch(f"SELECT {COLUMNS} FROM queue q WHERE {may} ORDER BY id", *rights(principal)))


async def define(connection: Connection, principal: Principal, queue_id: str, values: Mapping[str, Any]) -> Any:
    """Makes a queue, or changes one. values: by COLUMNS, what is absent stays or is empty. Work that lies in one stays there until it is
    claimed or decided anew; a queue that is active no more takes none. Raises Invalid with the field's name."""
    if _ID.fullmatch(queue_id) is None or len(queue_id) > 60 or queue_id == ANY:
        raise Invalid.field(
            "id", "must be of lower-case letters, digits, - _ and dots, at most 60, and not begin with a region's code"
        )
    for field in ("lane", "district", "goods", "problems", "roles", "active"):
        if values.get(field, "") is None:
            raise Invalid.field(field, "must not be null; what is absent stays as it is")
    known = await connection.fetchrow(f"SELECT {COLUMNS} FROM queue WHERE id = $1 FOR UPDATE", queue_id)
    empty: dict[str, Any] = {
        "lane": "complaint",
        "track": None,
        "district": "",
        "desk": None,
        "skill": None,
        "goods": [],
        "problems": [],
    }
    wanted = {**empty, "roles": ["mediator", "supervisor"], "active": True, **(known or {}), **values, "id": queue_id}
    if not wanted.get("name"):
        raise Invalid.field("name", "must be given")
    if wanted["lane"] not in LANES:
        raise Invalid.field("lane", f"must be one of {', '.join(LANES)}")
    own = {q["id"]: q["lane"] for q in shipped("queues")}
    if wanted["track"] is not None and wanted["track"] not in own:
        raise Invalid.field("track", f"must be one of {', '.join(own)}, or null: only what is sent there by hand")
    if wanted["track"] is not None and own[wanted["track"]] not in ("any", wanted["lane"]):
        raise Invalid.field("lane", f"what falls into {wanted['track']} is {own[wanted['track']]}")
    if queue_id in own and (
        not wanted["active"] or wanted["district"] or wanted["goods"] or wanted["problems"] or wanted["track"] != queue_id
    ):
        raise Invalid.field("id", f"{queue_id} takes what no other queue takes: its place, classes and track stay open")
    if unknown := sorted(set(wanted["roles"]) - set(ROLES)) or (not wanted["roles"] and ["none given"]):
        raise Invalid.field("roles", f"unknown: {', '.join(unknown)}")
    places = {wanted["district"], known["district"] if known else wanted["district"]}
    if not principal.has("admin") and not all(principal.covers(place) for place in places):
        raise Forbidden("a queue of that place is outside your jurisdiction")
    for name, field in (("goods", "goods"), ("problem", "problems")):
        codes = {r["code"] for r in await connection.fetch("SELECT code FROM code WHERE list = $1", name)}
        if strange := sorted(set(wanted[field]) - codes):
            raise Invalid.field(field, f"no such class: {', '.join(strange)}")
    names = COLUMNS.split(", ")
    return await connection.fetchrow(
        f"INSERT INTO queue ({COLUMNS}) VALUES ({', '.join(f'${n}' for n in range(1, len(names) + 1))}) ON CONFLICT (id) DO UPDATE SET "
        f"{', '.join(f'{n} = excluded.{n}' for n in names[1:])} RETURNING {COLUMNS}",
        *[wanted[n] for n in names],
    )  # fmt: skip


async def require_fit(connection: Connection, queue_id: str, items: Sequence[Any]) -> Any:
    """The queue work may be sent to by hand within its bureau and its track. items: {lane, district, track} of each. What another bureau or
    another track should have goes another way: Conflict, Invalid say which."""
    queue = await connection.fetchrow(f"SELECT {COLUMNS} FROM queue WHERE id = $1 AND active", queue_id)
    if queue is None:
        raise Invalid.field("queue", "no such queue")
    if queue["track"] == "intake":
        raise Invalid.field("queue", "to the intake desk work is returned: POST .../return")
    for item in items:
        if queue["lane"] not in ("any", item["lane"]):
            raise Invalid.field("queue", f"{queue_id} takes {queue['lane']}, this is {item['lane']}")
        if not item["district"].startswith(queue["district"]):
            raise Conflict(f"{queue_id} works for {queue['district']}: another bureau's goes through the intake desk (return)")
        if queue["track"] not in (None, item["track"]):
            raise Conflict(f"{queue_id} is of another track: a harder one is reached by escalate")
    return queue
