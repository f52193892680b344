"""One person, many complaints: candidates by key, join with evidence; and what people and batch runs regroup. Decrypts nothing.

A record joins the complainant it fits best, or opens one. Where it fits a second one too and the two fit each other, it has
shown that they are one: they are merged, as a run of its own that can be undone. Whoever moves records, a relink, a merge, a
split or their undoing, does so through `regroup`, the one place where memberships change.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app import runs
from app.database import STAGE_PERSON, Connection, lock, to_array, to_json
from app.errors import NotFound
from app.identity import new_id
from app.runs import Moved
from ml import linkage
from ml.linkage import COUNTED, Compiled, Evidence, Parameters, Profile
from ml.tokens import KEY_FIELDS, TOKEN_VERSION, Field, Tokens, keys_among

MAX_CANDIDATES = 60
_PER_KEY = 30
_MAX_TOKENS = 400  # of a complainant: more is somebody's database, not a person
_ATTEMPTS = 5
# A shared contact is Article 17(4)'s factor while it is shared, not when a number has found another owner years later.
_SHARED_DAYS = 365
_DAY = 86_400
_EVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Shared:
    """Another complainant with a contact in common. kind: household (address or surname in common too) or contact."""

    complainant_id: uuid.UUID
    fields: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Linked:
    """shared_with: complainants that share a contact but, by the rules, are other people."""

    record_id: uuid.UUID
    complainant_id: uuid.UUID
    role: str
    known: bool
    evidence: dict[str, Any]
    shared_with: tuple[Shared, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Parameters compiled for the store's size: made now and then, used for every complaint."""

    parameters: Parameters
    compiled: Compiled

    @classmethod
    def of(cls, parameters: Parameters, people: int) -> "Scale":
        fitted = parameters.at(people)
        return cls(fitted, linkage.compiled(fitted))


async def load_scale(connection: Connection, parameters: Parameters) -> Scale:
    """For the number of complainants as the planner knows it: a count would walk them all."""
    people = await connection.fetchval("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'complainant'::regclass")
    return Scale.of(parameters, people)


# Candidates, and in one more row how many people hold the record's commoner tokens. Where there are too many, those who share what
# few share come first: an agent's phone brings a crowd that must not push a namesake of the district out.
_LOOK_UP = """
WITH found AS (
  SELECT id FROM (
    SELECT k.complainant_id AS id, count(*) OVER (PARTITION BY t.token) AS holders FROM unnest($1::bigint[]) AS t(token)
    CROSS JOIN LATERAL (SELECT complainant_id FROM complainant_key WHERE token = t.token ORDER BY complainant_id DESC LIMIT $2) AS k
  ) AS every GROUP BY id ORDER BY sum(1.0 / holders) DESC, id LIMIT $3
)
SELECT c.id, c.tokens, floor(extract(epoch FROM c.first_at) / 86400)::int AS first_day,
       floor(extract(epoch FROM c.last_at) / 86400)::int AS last_day,
       c.pinned_at IS NOT NULL AS pinned, NULL::int[] AS people
FROM complainant c JOIN found USING (id) WHERE c.merged_into IS NULL
UNION ALL
SELECT NULL, array_agg(token), NULL, NULL, NULL, array_agg(people) FROM token_frequency WHERE token = ANY($4::bigint[])
"""

# Nothing is written where the complainant was merged away since it was read: the caller looks again.
_JOIN = """
WITH person AS (
  INSERT INTO complainant (id, tokens, records, first_at, last_at) VALUES ($7, $8::text::bigint[], 1, $13, $13)
  -- Two records of one person may share no key and so no lock: the union is made here, not from what was read.
  ON CONFLICT (id) DO UPDATE SET records = complainant.records + 1, first_at = least(complainant.first_at, excluded.first_at),
    last_at = greatest(complainant.last_at, excluded.last_at), tokens = ARRAY(
      SELECT DISTINCT t FROM unnest(excluded.tokens || complainant.tokens) AS t LIMIT $15)
  WHERE complainant.merged_into IS NULL
  RETURNING id
), record AS (
  INSERT INTO complainant_record (id, letter_id, role, tokens, token_version, key_id, uncounted)
  SELECT $1, $2, $3, $4::text::bigint[], $5, $6, nullif($14::text::bigint[], '{}') FROM person
), keys AS (
  INSERT INTO complainant_key (token, complainant_id, token_version)
  SELECT t, $7, $5 FROM person, unnest($9::bigint[]) AS t ON CONFLICT DO NOTHING
)
INSERT INTO complainant_membership (id, record_id, complainant_id, origin, actor, evidence)
SELECT $10, $1, $7, 'auto', $11, $12 FROM person
"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """people: token -> how many named complainants hold it, of the record's tokens. pinned: ids that nothing merges away."""

    profiles: list[Profile]
    people: dict[int, int]
    pinned: frozenset[uuid.UUID]


async def lock_people(connection: Connection, people: Sequence[tuple[str, Tokens]]) -> None:
    """Before looking for candidates: 200 first complaints of 50 people filed at once are 50 people."""
    await lock(connection, STAGE_PERSON, [key for _, tokens in people for key in tokens.keys])


async def look_up(connection: Connection, tokens: Tokens) -> Candidates:
    counted = [t for t in tokens.comparison if (t & 0x3F) in COUNTED]
    rows = await connection.fetch(_LOOK_UP, list(tokens.keys), _PER_KEY, MAX_CANDIDATES, counted)
    profiles: list[Profile] = []
    people: dict[int, int] = {}
    for row in rows:
        if row["id"] is None:
            people = dict(zip(row["tokens"] or (), row["people"] or (), strict=True))
        else:
            first, last = row["first_day"], row["last_day"]
            if first is None:  # stored before times were kept: no silence can be told
                first, last = -_EVER, _EVER
            profiles.append(Profile(row["tokens"], key=row["id"], first_day=first, last_day=last))
    own = frozenset(tokens.comparison)
    # Who holds a key has been looked up by it, so nobody needs to keep count. Only named people count (`linkage.NAMED`).
    for profile in (p for p in profiles if p.named):
        for token in own & profile.tokens:
            if (token & 0x3F) not in COUNTED:
                people[token] = people.get(token, 0) + 1
    return Candidates(profiles, people, frozenset(r["id"] for r in rows if r["pinned"]))


async def link(
    connection: Connection, scale: Scale, letter_id: uuid.UUID, role: str, tokens: Tokens, *, at: datetime, key_id: int
) -> Linked:  # fmt: skip
    """Joins the record to the complainant it belongs to, or opens one. at: the event's time. The caller holds lock_people."""
    day = int(at.timestamp()) // _DAY
    record = Profile(tokens.comparison, first_day=day, last_day=day)
    record_id = new_id()
    for _ in range(_ATTEMPTS):
        found = await look_up(connection, tokens) if tokens.keys else Candidates([], {}, frozenset())
        scored = linkage.decide(record, found.profiles, scale.compiled, found.people)
        winner = scored[0][0] if scored and scored[0][1].joins else None
        complainant_id = winner.id if winner else new_id()
        evidence = {
            "parameters": scale.compiled.version,
            "join_bits": scale.parameters.join_bits,
            "token_version": TOKEN_VERSION,
            "joined": scored[0][1].as_json() if winner else None,
            "candidates": len(scored),
            # Why the strongest others were not joined: a rule, or too few bits.
            "others": [{"complainant_id": str(p.id), **e.as_json()} for p, e in scored[1 if winner else 0 :][:3]],
        }
        status: str = await connection.execute(
            _JOIN, record_id, letter_id, role, to_array(tokens.comparison), TOKEN_VERSION, key_id, complainant_id, to_array(tokens.comparison),
            list(tokens.keys), new_id(), "triage", to_json(evidence), at,
            to_array(_to_count(record, winner)), _MAX_TOKENS,
        )  # fmt: skip
        if status == "INSERT 0 1":
            break
    else:
        raise Moved("the complainant was merged away again and again")
    if winner is not None:
        complainant_id = await _bridge(connection, scale, found, winner, record, record_id, scored)
    return Linked(record_id, complainant_id, role, winner is not None, evidence, _shared(record, scored, complainant_id))


def _to_count(record: Profile, winner: Profile | None) -> list[int]:
    """The tokens that a named complainant holds from now on and has not been counted with yet."""
    if winner is None or winner.named:
        fresh = record.tokens - winner.tokens if winner else record.tokens
        named = record.named or winner is not None
    else:
        fresh, named = record.tokens | winner.tokens, record.named
    return [t for t in fresh if (t & 0x3F) in COUNTED] if named else []


async def _bridge(
    connection: Connection, scale: Scale, found: Candidates, winner: Profile, record: Profile, record_id: uuid.UUID,
    scored: Sequence[tuple[Profile, Evidence]],
) -> uuid.UUID:  # fmt: skip
    """Merges others that the record fits as well into the winner, where they fit it. Gives the id that stays."""
    whole = Profile(
        winner.tokens | record.tokens, key=winner.id, first_day=min(winner.first_day, record.first_day),
        last_day=max(winner.last_day, record.last_day),
    )  # fmt: skip
    kept: uuid.UUID = winner.id
    for profile, fits in scored[1:]:
        if not fits.joins:
            break
        if found.pinned & {kept, profile.id}:
            continue
        evidence = linkage.is_one(whole, profile, scale.compiled, found.people)
        if not evidence.joins or await _kept_apart(connection, kept, profile.id):
            continue
        # The elder id stays: it is the one that people have seen.
        stays, goes = sorted((kept, profile.id), key=str)
        await _hold(connection, (stays, goes))  # nobody joins the one that goes while its records move
        moving = await connection.fetch(
            "SELECT record_id FROM complainant_membership WHERE complainant_id = $1 AND valid_to IS NULL", goes
        )
        run_id = await runs.open_run(connection, "bridge", "triage", parameters={"linkage": scale.compiled.version})
        shown_by = {"bridge": str(record_id), "joined": evidence.as_json()}
        await regroup(
            connection, run_id, {r["record_id"]: stays for r in moving}, origin="auto", actor="triage", evidence=shown_by
        )
        await runs.close_run(connection, run_id, {"merged": str(goes), "into": str(stays), "records": len(moving)})
        kept = stays
        whole = Profile(
            whole.tokens | profile.tokens, key=kept, first_day=min(whole.first_day, profile.first_day),
            last_day=max(whole.last_day, profile.last_day),
        )  # fmt: skip
    return kept


async def _kept_apart(connection: Connection, a: uuid.UUID, b: uuid.UUID) -> bool:
    """Whether a person has parted a record of the one from a record of the other."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM link_constraint c "
            "JOIN complainant_membership x ON x.record_id = c.first_id AND x.valid_to IS NULL "
            "JOIN complainant_membership y ON y.record_id = c.second_id AND y.valid_to IS NULL "
            "WHERE c.object = 'complainant' AND c.kind = 'cannot' AND c.revoked_at IS NULL "
            "AND (x.complainant_id, y.complainant_id) IN (($1, $2), ($2, $1)))",
            a, b,
        )
    )  # fmt: skip


def _shared(
    record: Profile, scored: Sequence[tuple[Profile, Evidence]], complainant_id: uuid.UUID
) -> tuple[Shared, ...]:  # fmt: skip
    found = []
    for profile, evidence in scored:
        if profile.id == complainant_id or not evidence.shared or not evidence.forbidden_by or record.gap(profile) > _SHARED_DAYS:
            continue
        surnames = any(evidence.fields.get(c, ("disagree", 0))[0] != "disagree" for c in ("surname", "masked_surname"))
        kind = "household" if "address" in evidence.shared or surnames else "contact"
        found.append(Shared(profile.id, evidence.shared, kind))
    return tuple(found[:5])


# -- how many people hold what


async def count_tokens(connection: Connection, *, limit: int = 500) -> int:
    """Counts what new records brought. Ordered by token, so two counters never wait for each other; gives the records."""
    rows = await connection.fetch(
        "UPDATE complainant_record r SET uncounted = NULL FROM (SELECT id, uncounted FROM complainant_record "
        "WHERE uncounted IS NOT NULL LIMIT $1 FOR UPDATE SKIP LOCKED) w WHERE r.id = w.id RETURNING w.uncounted",
        limit,
    )
    if rows:
        await connection.execute(
            "INSERT INTO token_frequency (token, people) SELECT t, count(*) FROM unnest($1::text::bigint[]) AS t GROUP BY t ORDER BY t "
            "ON CONFLICT (token) DO UPDATE SET people = token_frequency.people + excluded.people",
            to_array(t for r in rows for t in r["uncounted"]),
        )
    return len(rows)


async def recount_tokens(connection: Connection) -> None:
    """From the complainants themselves: merges and splits leave the running counts a little off."""
    fields = ", ".join(str(int(f)) for f in sorted(COUNTED))
    named = ", ".join(str(f) for f in range(64) if linkage.NAMED >> f & 1)
    await connection.execute("LOCK TABLE token_frequency IN SHARE ROW EXCLUSIVE MODE")
    await connection.execute("UPDATE complainant_record SET uncounted = NULL WHERE uncounted IS NOT NULL")
    await connection.execute("DELETE FROM token_frequency")
    await connection.execute(
        "INSERT INTO token_frequency (token, people) SELECT t, count(*) FROM complainant, unnest(tokens) AS t "
        f"WHERE merged_into IS NULL AND t & 63 IN ({fields}) AND EXISTS (SELECT 1 FROM unnest(tokens) n WHERE n & 63 IN ({named})) GROUP BY t"
    )


# -- moving records: merges, splits, relinks and what undoes them


async def places(connection: Connection, records: Iterable[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """record -> the complainant it belongs to now."""
    rows = await connection.fetch(
        "SELECT record_id, complainant_id FROM complainant_membership WHERE record_id = ANY($1) AND valid_to IS NULL",
        list(records),
    )
    return {r["record_id"]: r["complainant_id"] for r in rows}


async def _hold(connection: Connection, ids: Iterable[uuid.UUID]) -> None:
    await connection.execute("SELECT 1 FROM complainant WHERE id = ANY($1) ORDER BY id FOR UPDATE", list(ids))


async def regroup(
    connection: Connection, run_id: uuid.UUID, target: Mapping[uuid.UUID, uuid.UUID], *, origin: str, actor: str,
    evidence: Mapping[str, Any], expected: Mapping[uuid.UUID, uuid.UUID] | None = None,
) -> int:  # fmt: skip
    """Moves records to complainants, known ids or new ones, and brings everything that hangs on it along: profiles and keys,
    redirects of ids left without a record, history, incidents to be counted anew. Gives how many moved.

    target: record -> complainant. expected: record -> where it was when that was decided; Moved where it no longer is.
    """
    before = await places(connection, target)
    touched = sorted({*before.values(), *target.values()}, key=str)
    await _hold(connection, touched)
    if await places(connection, target) != before or any(before.get(r) != c for r, c in (expected or {}).items()):
        raise Moved("records are no longer where they were")
    moving = {r: c for r, c in target.items() if before.get(r) != c}
    if not moving:
        return 0
    await connection.execute(
        "INSERT INTO complainant (id, tokens, records) SELECT unnest($1::uuid[]), '{}', 0 ON CONFLICT DO NOTHING",
        sorted(set(moving.values()), key=str),
    )
    # One instant for the end of the old and the beginning of the new: what undoes it finds the pair by it.
    moment = datetime.now(UTC)
    await connection.execute(
        "UPDATE complainant_membership SET valid_to = $2 WHERE record_id = ANY($1) AND valid_to IS NULL", list(moving), moment
    )
    await connection.executemany(
        "INSERT INTO complainant_membership (id, record_id, complainant_id, origin, actor, run_id, evidence, valid_from) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (
                new_id(),
                r,
                c,
                origin,
                actor,
                run_id,
                to_json({**evidence, "moved_from": str(before[r]) if r in before else None}),
                moment,
            )
            for r, c in moving.items()
        ],
    )
    await rebuild(connection, touched)
    await runs.redirect(connection, run_id, actor, [(before[r], c) for r, c in moving.items() if r in before], of="complainant")
    await connection.execute(
        "UPDATE incident SET version = version + 1 WHERE id IN (SELECT im.incident_id FROM party p JOIN incident_membership im "
        "ON im.matter_id = p.matter_id AND im.valid_to IS NULL WHERE p.record_id = ANY($1))",
        list(moving),
    )
    return len(moving)


_REBUILD = """
UPDATE complainant c SET records = coalesce(n.records, 0), tokens = coalesce(n.tokens, '{}'), first_at = n.first_at, last_at = n.last_at
FROM unnest($1::uuid[]) AS t(id)
LEFT JOIN LATERAL (
  SELECT count(*) AS records, min(at) AS first_at, max(at) AS last_at, (
    SELECT array_agg(token) FROM (SELECT DISTINCT u AS token FROM complainant_membership m JOIN complainant_record r ON r.id = m.record_id,
      unnest(r.tokens) AS u WHERE m.complainant_id = t.id AND m.valid_to IS NULL ORDER BY 1 LIMIT $2) AS held) AS tokens
  FROM (SELECT l.event_at AS at FROM complainant_membership m JOIN complainant_record r ON r.id = m.record_id
        LEFT JOIN letter l ON l.id = r.letter_id WHERE m.complainant_id = t.id AND m.valid_to IS NULL) AS own
) n ON true
WHERE c.id = t.id
"""


async def rebuild(connection: Connection, ids: Sequence[uuid.UUID]) -> None:
    """Profiles and keys of these complainants, from their records."""
    await _hold(connection, ids)
    await connection.execute(_REBUILD, ids, _MAX_TOKENS)
    await connection.execute("DELETE FROM complainant_key WHERE complainant_id = ANY($1)", ids)
    rows = await connection.fetch(
        "SELECT m.complainant_id, r.tokens, r.token_version FROM complainant_membership m JOIN complainant_record r ON r.id = m.record_id "
        "WHERE m.complainant_id = ANY($1) AND m.valid_to IS NULL",
        ids,
    )
    keys = sorted({(key, str(r["complainant_id"]), r["token_version"]) for r in rows for key in keys_among(r["tokens"])})
    await connection.execute(
        "INSERT INTO complainant_key (token, complainant_id, token_version) "
        "SELECT * FROM unnest($1::text::bigint[], $2::text[]::uuid[], $3::int[]) ON CONFLICT DO NOTHING",
        to_array(k for k, _, _ in keys), [c for _, c, _ in keys], [v for _, _, v in keys],
    )  # fmt: skip


_UNDO = """
SELECT DISTINCT ON (m.record_id) m.record_id, m.complainant_id, before.complainant_id AS before, m.valid_to IS NULL AS current
FROM complainant_membership m
JOIN complainant_membership before ON before.record_id = m.record_id AND before.valid_to = m.valid_from
WHERE m.run_id = $1 ORDER BY m.record_id, m.valid_from DESC
"""


async def undo(connection: Connection, run_id: uuid.UUID, *, actor: str, reason: str | None = None) -> dict[str, Any]:
    """Everything a run moved goes back where it was, and what it said of records that must or cannot belong together is revoked.
    Records that somebody moved since stay where they are now. Raises NotFound, Conflict for a run that is undone already."""
    run = await connection.fetchrow(
        "SELECT id, kind, undone_at FROM link_run WHERE id = $1 AND object = 'complainant' FOR UPDATE", run_id
    )
    if run is None:
        raise NotFound("no such run")
    undoing = await runs.begin_undo(connection, run, of="complainant", actor=actor, reason=reason)
    if run["kind"] in ("pin", "unpin"):
        await connection.execute(
            "UPDATE complainant SET pinned_by = CASE WHEN $2 THEN NULL ELSE $3 END, pinned_at = CASE WHEN $2 THEN NULL ELSE clock_timestamp() END "
            "WHERE id = (SELECT (parameters ->> 'complainant_id')::uuid FROM link_run WHERE id = $1)",
            run_id, run["kind"] == "pin", actor,
        )  # fmt: skip
    rows = await connection.fetch(_UNDO, run_id)
    back = {r["record_id"]: r["before"] for r in rows if r["current"]}
    moved = 0
    if back:
        moved = await regroup(
            connection,
            undoing,
            back,
            origin="person" if actor != "triage" else "auto",
            actor=actor,
            evidence={"undone": str(run_id)},
        )
    summary = {"run_id": str(run_id), "records": moved, "left": len(rows) - len(back)}
    await runs.close_run(connection, undoing, summary)
    return {"undo_id": undoing, **summary}


# -- what people say


@dataclass(frozen=True, slots=True)
class Held:
    """matters: (district, lane) of all."""

    merged_into: uuid.UUID | None
    records: list[uuid.UUID]
    matters: list[tuple[str, str]]


async def hold(connection: Connection, complainant_id: uuid.UUID) -> Held | None:
    """Locks a complainant for this transaction; None where there is none."""
    row = await connection.fetchrow("SELECT merged_into FROM complainant WHERE id = $1 FOR UPDATE", complainant_id)
    if row is None:
        return None
    members = await connection.fetch(
        "SELECT record_id FROM complainant_membership WHERE complainant_id = $1 AND valid_to IS NULL ORDER BY record_id",
        complainant_id,
    )
    matters = await connection.fetch(
        "SELECT m.district, m.lane FROM party p JOIN matter m ON m.id = p.matter_id WHERE p.record_id = ANY($1)",
        [r["record_id"] for r in members],
    )
    return Held(row["merged_into"], [r["record_id"] for r in members], [(m["district"], m["lane"]) for m in matters])


async def pin(connection: Connection, complainant_id: uuid.UUID, by: str | None) -> bool:
    """by None: unpins. False where nothing changes."""
    status: str = await connection.execute(
        "UPDATE complainant SET pinned_by = $2, pinned_at = CASE WHEN $2::text IS NULL THEN NULL ELSE clock_timestamp() END "
        "WHERE id = $1 AND (pinned_at IS NULL) = ($2::text IS NOT NULL)",
        complainant_id, by,
    )  # fmt: skip
    return status == "UPDATE 1"


async def outside(
    connection: Connection, run_id: uuid.UUID, lanes: Sequence[str], jurisdictions: Sequence[str]
) -> int | None:  # fmt: skip
    """How many matters that a run moved the caller may not see; None where he sees none of them, or there is no such run."""
    row = await connection.fetchrow(
        "SELECT count(*) AS every, count(*) FILTER (WHERE m.lane = ANY($2) AND EXISTS (SELECT 1 FROM unnest($3::text[]) j "
        "WHERE starts_with(m.district, j))) AS seen FROM link_run r LEFT JOIN complainant_membership cm ON cm.run_id = r.id "
        "LEFT JOIN party p ON p.record_id = cm.record_id LEFT JOIN matter m ON m.id = p.matter_id OR m.id IN "
        "(SELECT q.matter_id FROM party q JOIN complainant_membership c2 ON c2.record_id = q.record_id AND c2.valid_to IS NULL "
        "WHERE c2.complainant_id = (r.parameters ->> 'complainant_id')::uuid) WHERE r.id = $1",
        run_id, list(lanes), list(jurisdictions),
    )  # fmt: skip
    return None if not row["seen"] else row["every"] - row["seen"]


# -- what people read

LEVEL_LABELS = {
    "id": "身份证号一致", "id_head": "身份证号地区与出生日期一致", "id_tail": "身份证号出生日期与末位一致", "id_masked": "身份证号前六后四位一致",
    "passport": "其他证件号一致", "phone": "电话号码一致", "phone_masked": "电话前三后四位一致", "name": "姓名一致", "name_pinyin": "姓名同音", "name_less_one": "姓名仅差一字", "name_masked": "姓名首尾字一致",
    "pinyin_district": "同名且同区县", "pinyin_city": "同名且同城市", "phone_surname": "同号且同姓", "masked_phone_surname": "同号段且同姓",
    "openid": "微信标识一致", "account": "平台账号一致", "wechat": "微信号一致", "email": "邮箱一致", "device": "设备一致",
    "address": "住址门牌一致", "street": "街道门牌一致",
}  # fmt: skip
COMPARISON_LABELS = {
    "id": "身份证号", "masked_id": "部分身份证号", "passport": "其他证件号", "phone": "电话", "masked_phone": "部分电话号码", "name": "姓名",
    "masked_name": "部分姓名", "place": "居住地", "surname": "姓氏", "masked_surname": "姓氏", "openid": "微信标识", "account": "平台账号",
    "wechat": "微信号", "email": "邮箱", "device": "设备", "address": "住址", "street": "街道",
}  # fmt: skip
RULE_LABELS = {
    "different_id": "身份证号不同，不予合并", "different_name": "姓名不同，不予合并", "different_surname": "同一号码但姓氏不同，不予合并",
    "housemate": "仅联系方式相同，可能是家庭成员或同一代理人的其他委托人，不予合并", "stale_contact": "仅联系方式相同且相隔三年以上，号码可能已换主，不予合并",
}  # fmt: skip


def explain(evidence: Mapping[str, Any], join_bits: float) -> list[str]:
    """A link's evidence (`Evidence.as_json`) in Chinese: field by field with bits, then the rule that allowed or forbade it. join_bits:
    what a join took when it was decided."""
    lines = []
    for name, found in sorted(evidence["fields"].items(), key=lambda item: -abs(item[1]["bits"])):
        label = (
            LEVEL_LABELS.get(found["level"])
            or f"{COMPARISON_LABELS.get(name, name)}{'不一致' if found['level'] == 'disagree' else '一致'}"
        )
        lines.append(f"{label}（{found['bits']:+.1f}比特）")
    total = f"合计{evidence['bits']:.1f}比特，合并需{join_bits:.1f}比特"
    if evidence["forbidden_by"]:
        lines.append(f"{total}；{RULE_LABELS[evidence['forbidden_by']]}")
    else:
        lines.append(f"{total}；{'证据充分，且无冲突规则' if evidence['joins'] else '证据不足'}")
    return lines


_HISTORY = """
SELECT m.id, m.letter_id, m.lane, m.kind, m.goods, m.problem, m.issues, m.state, m.track, m.received_at, m.closed_at,
       m.merchant_id, p.role, m.district
FROM complainant_membership cm
JOIN party p ON p.record_id = cm.record_id
JOIN matter m ON m.id = p.matter_id
WHERE cm.complainant_id = $1 AND cm.valid_to IS NULL
ORDER BY m.received_at DESC, m.id LIMIT 200
"""

# Who filed for this person, and for whom this person filed.
_FILED = """
SELECT other.complainant_id, mine.role AS role, count(DISTINCT mine.matter_id) AS matters,
       (SELECT count(DISTINCT c2.complainant_id) FROM complainant_membership a JOIN party pa ON pa.record_id = a.record_id AND pa.role = 'agent'
        JOIN party pp ON pp.matter_id = pa.matter_id AND pp.role = 'principal'
        JOIN matter pm ON pm.id = pa.matter_id AND pm.lane = ANY($2) JOIN complainant_membership c2
        ON c2.record_id = pp.record_id AND c2.valid_to IS NULL
        WHERE a.complainant_id = CASE mine.role WHEN 'agent' THEN $1 ELSE other.complainant_id END AND a.valid_to IS NULL) AS clients
FROM complainant_membership cm
JOIN party mine ON mine.record_id = cm.record_id AND mine.role IN ('agent', 'principal')
JOIN party theirs ON theirs.matter_id = mine.matter_id AND theirs.role = CASE mine.role WHEN 'agent' THEN 'principal' ELSE 'agent' END
JOIN matter m ON m.id = mine.matter_id AND m.lane = ANY($2)
JOIN complainant_membership other ON other.record_id = theirs.record_id AND other.valid_to IS NULL
WHERE cm.complainant_id = $1 AND cm.valid_to IS NULL
GROUP BY other.complainant_id, mine.role ORDER BY matters DESC, other.complainant_id LIMIT 50
"""

_RUNS = """
SELECT DISTINCT r.id, r.kind, r.actor, r.reason, r.started_at, r.undone_at FROM link_run r
JOIN complainant_membership m ON m.run_id = r.id WHERE m.complainant_id = $1 ORDER BY r.started_at DESC, r.id LIMIT 50
"""


async def read(
    connection: Connection, complainant_id: uuid.UUID, *, lanes: Sequence[str], jurisdictions: Sequence[str], parameters: Parameters
) -> dict[str, Any]:  # fmt: skip
    """Members, evidence in bits and in Chinese, history, agents, who shares a contact, and the runs that moved its records. A merged
    id answers with merged_into. lanes: what the caller may see; that a report exists is hidden from everyone else (Art. 37)."""
    row = await connection.fetchrow(
        "SELECT id, records, merged_into, created_at, pinned_by, pinned_at, tokens FROM complainant WHERE id = $1", complainant_id
    )
    if row is None:
        raise NotFound("no such complainant")
    if row["merged_into"]:
        return {"id": row["id"], "merged_into": row["merged_into"]}
    matters = [dict(r) for r in await connection.fetch(_HISTORY, complainant_id) if r["lane"] in lanes]
    matters = [m for m in matters if any(m["district"].startswith(j) for j in jurisdictions)]
    if not matters:
        raise NotFound("no such complainant")
    if "report" not in lanes:
        matters = [{**m, "kind": m["lane"]} for m in matters]
    members = await connection.fetch(
        "SELECT cm.record_id, cm.origin, cm.actor, cm.run_id, cm.evidence, cm.valid_from, r.letter_id, r.role "
        "FROM complainant_membership cm JOIN complainant_record r ON r.id = cm.record_id "
        "WHERE cm.complainant_id = $1 AND cm.valid_to IS NULL ORDER BY cm.valid_from, cm.id LIMIT 200",
        complainant_id,
    )
    visible = {m["letter_id"] for m in matters}
    records = []
    for member in members:
        if member["letter_id"] in visible:
            joined = member["evidence"].get("joined")
            needed = member["evidence"].get("join_bits", parameters.join_bits)
            others = [
                {"complainant_id": o["complainant_id"], "explanation": explain(o, needed)}
                for o in member["evidence"].get("others", ())
            ]
            records.append({**dict(member), "explanation": explain(joined, needed) if joined else [], "not_joined": others})
    return {
        "id": row["id"],
        "merged_into": None,
        "created_at": row["created_at"],
        "pinned_by": row["pinned_by"],
        "pinned_at": row["pinned_at"],
        "complaints": sum(m["lane"] == "complaint" for m in matters),
        "matters": matters,
        "records": records,
        "filed": [dict(r) for r in await connection.fetch(_FILED, complainant_id, list(lanes))],
        "shares_with": await _shares_with(connection, complainant_id, row["tokens"], lanes),
        "runs": [dict(r) for r in await connection.fetch(_RUNS, complainant_id)],
    }


async def _shares_with(
    connection: Connection, complainant_id: uuid.UUID, tokens: Iterable[int], lanes: Sequence[str]
) -> list[dict[str, Any]]:  # fmt: skip
    """Other complainants with a contact in common (Art. 17(4)): facts for a person to weigh, never a mark. Who only reported is not
    shown to those who may not know of reports."""
    contacts = [t for t in tokens if linkage.CONTACTS >> (t & 0x3F) & 1 and (t & 0x3F) in KEY_FIELDS]
    rows = await connection.fetch(
        "SELECT k.complainant_id, array_agg(DISTINCT (k.token & 63)::int) AS fields FROM complainant_key k "
        "WHERE k.token = ANY($1) AND k.complainant_id <> $2 AND EXISTS (SELECT 1 FROM complainant_membership cm JOIN party p ON p.record_id = cm.record_id "
        "JOIN matter m ON m.id = p.matter_id WHERE cm.complainant_id = k.complainant_id AND cm.valid_to IS NULL AND m.lane = ANY($3)) "
        "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 50",
        contacts, complainant_id, list(lanes),
    )  # fmt: skip
    return [{"complainant_id": r["complainant_id"], "fields": sorted(Field(f).name.lower() for f in r["fields"])} for r in rows]
