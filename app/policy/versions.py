"""Which version holds where and when."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

from app.codes import shipped
from app.database import Connection
from app.errors import Invalid, Unavailable
from app.policy.content import parse, read, refused
from app.policy.language import Policy


async def seed(connection: Connection) -> None:
    """Adds the shipped default. It holds at once where nothing was published, or only what was shipped before."""
    content = shipped("policy")
    policy = parse(content)
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('policy'))")
    added = await connection.fetchval(
        "INSERT INTO policy (hash, name, jurisdiction, content, author) VALUES ($1, $2, $3, $4::text::jsonb, 'shipped') "
        "ON CONFLICT (hash) DO NOTHING RETURNING hash",
        policy.hash, policy.name, policy.jurisdiction, json.dumps(dict(policy.content), ensure_ascii=False),
    )  # fmt: skip
    published = await connection.fetch("SELECT DISTINCT actor FROM policy_act WHERE act = 'published'")
    if not published or (added and {r["actor"] for r in published} == {"shipped"}):
        await connection.execute(
            "INSERT INTO policy_act (policy_hash, act, actor, valid_from) "
            "VALUES ($1, 'published', 'shipped', CASE WHEN $2 THEN $3 ELSE (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date END)",
            policy.hash, not published, policy.valid_from,
        )  # fmt: skip


_PUBLISHED = """
SELECT p.hash, a.valid_from, CASE WHEN p.hash = ANY($1::text[]) THEN NULL ELSE p.content END AS content
FROM policy_act a JOIN policy p ON p.hash = a.policy_hash WHERE a.act = 'published' ORDER BY a.valid_from DESC, a.id DESC
"""


async def load(connection: Connection, known: Sequence[Policy] = ()) -> list[Policy]:
    """All publications, the latest valid first; one version may stand there more than once. known: what was loaded before
    is not read again."""
    held = {(p.hash, p.valid_from): p for p in known}
    contents = {p.hash: p for p in known}
    found = []
    for row in await connection.fetch(_PUBLISHED, list(contents)):
        version, valid_from = row["hash"], row["valid_from"]
        policy = held.get((version, valid_from))
        if policy is None:
            whole = contents.get(version) or stored(row["content"], version)
            policy = replace(whole, valid_from=valid_from)
            contents[version] = policy
        found.append(policy)
    return found


def stored(content: Any, version: str) -> Policy:
    """A version as it was kept. Raises Unavailable where its content is not what its name says."""
    found, faults = read(content)
    if found is None or found.hash != version:
        why = refused(faults).errors[:1] if faults else "its content was changed"
        raise Unavailable(f"policy {version} can't be used: {why}")
    return found


def in_force(policies: Sequence[Policy], on: date, jurisdiction: str) -> Policy:
    """The date of decision picks the policy: the latest of the narrowest jurisdiction. Where that is thresholds only, they are
    laid over the next wider ones. policies: as `load` orders them."""
    chain = chain_in_force(policies, on, jurisdiction)
    if not chain or not chain[-1].whole:
        raise Unavailable(f"no policy is in force on {on} for {jurisdiction}")
    return chain[0] if len(chain) == 1 else merged(tuple(chain))


def chain_in_force(policies: Sequence[Policy], on: date, jurisdiction: str) -> list[Policy]:
    """The narrowest first, up to the first that has rows."""
    latest: dict[str, Policy] = {}
    for policy in policies:
        if policy.valid_from <= on and jurisdiction.startswith(policy.jurisdiction):
            best = latest.get(policy.jurisdiction)
            if best is None or policy.valid_from > best.valid_from:
                latest[policy.jurisdiction] = policy
    chain = []
    for place in sorted(latest, key=len, reverse=True):
        chain.append(latest[place])
        if latest[place].whole:
            break
    return chain


def overlay(chain: Sequence[Policy]) -> dict[str, Any]:
    """The content that thresholds of narrower places (first) over a whole policy (last) come to. What the whole one doesn't
    know is left out."""
    base = chain[-1]
    thresholds = dict(base.content["thresholds"])
    for narrower in reversed(chain[:-1]):
        for key, given in narrower.content["thresholds"].items():
            if key in thresholds:
                thresholds[key] = {**thresholds[key], **given}
    return {**base.content, "thresholds": thresholds}


@lru_cache(maxsize=512)
def merged(chain: tuple[Policy, ...]) -> Policy:
    found, faults = read(overlay(chain))
    if found is None:
        raise Unavailable(f"policy {chain[0].hash} does not fit {chain[-1].hash}: {faults[0].place} {faults[0].message}")
    return replace(
        found, hash=chain[0].hash, name=chain[0].name, jurisdiction=chain[0].jurisdiction, valid_from=max(p.valid_from for p in chain),
        versions=tuple(p.hash for p in chain),
    )  # fmt: skip


def version_in_force(policies: Sequence[Policy], version: str, on: date, jurisdiction: str) -> Policy:
    """The policy of that day and place if it is this version. Raises Invalid saying why it is not."""
    current = in_force(policies, on, jurisdiction)
    if version == current.hash:
        return current
    published = [p for p in policies if p.hash == version]
    if not published:
        why = "尚未发布，不能据以决定"
    elif not any(jurisdiction.startswith(p.jurisdiction) for p in published):
        why = f"适用于{published[0].jurisdiction}，不适用于{jurisdiction}"
    elif not any(p.valid_from <= on for p in published):
        why = f"自{min(p.valid_from for p in published)}起施行，{on}尚未施行"
    else:
        why = f"{on}已不再施行，当日施行的是{current.hash}"
    raise Invalid.field("version", f"{version}{why}")
