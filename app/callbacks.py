"""Call-backs 回访 (Order 121 Art. 26): who is asked after a complaint ended, from which day and until when, what was answered.

Which share of which ending is drawn, and its days, is data (data/callbacks.json). The rows are kept here; what an answer brings about is
app.reviewing's.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

from app import acts, staff
from app.calendar import Calendar, end_of_day, local_day
from app.database import Connection
from app.errors import Conflict, NotFound
from app.identity import Principal, drawn, new_id

STATE_LABELS = {"open": "待回访", "done": "已回访", "unreachable": "多次联系未果", "lapsed": "不再回访"}
SATISFIED = {"very": "非常满意", "yes": "满意", "neutral": "一般", "no": "不满意"}
PERFORMED = {"yes": "已履行", "partly": "部分履行", "no": "未履行", "not_due": "履行期未到"}
# Of an agreement that was not kept.
UNPERFORMED = ("no", "partly")
# Who signed one of these handled the dispute: he is not the one to ask how it was handled.
_HANDLING = frozenset({
    "settle", "delegate", "mediate", "appraise", "suspend", "resume", "agree", "terminate", "refuse", "withdraw", "finish", "transfer_police",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """share: of those that end so, 0 to 1. after_days: natural days until one may ask; within_workdays: for it from then on. agreement:
    there is one, and whether it was performed is asked."""

    label: str
    share: float
    after_days: int
    within_workdays: int
    agreement: bool

    def days(self, calendar: Calendar, at: datetime) -> tuple[date, datetime]:
        """(first day, end of the last one)."""
        first = local_day(at) + timedelta(days=self.after_days)
        return first, end_of_day(calendar.add_working_days(first, self.within_workdays))


@dataclass(frozen=True, slots=True)
class Rules:
    """attempts: after so many calls that nobody answered it ends; apart: what comes sooner after the last is the same attempt."""

    endings: Mapping[str, Rule]
    repeat: Rule
    attempts: int
    apart: timedelta


@lru_cache(maxsize=1)
def rules() -> Rules:
    raw = json.loads((files("app") / "data" / "callbacks.json").read_text("utf-8"))
    endings = {name: Rule(**rule) for name, rule in raw["endings"].items()}
    return Rules(endings, Rule(**raw["repeat"]), raw["attempts"], timedelta(hours=raw["hours_apart"]))


def ending_label(ending: str) -> str:
    rule = rules().endings.get(ending)
    return rule.label if rule else acts.STATE_LABELS[ending]


def asks_performance(ending: str) -> bool:
    rule = rules().endings.get(ending)
    return rule is not None and rule.agreement


# -- opened and lapsed


async def follow(
    connection: Connection, calendar: Calendar, matter: Any, state: str, *, at: datetime, holder: str | None
) -> None:  # fmt: skip
    """What a complaint's new state means, its history written: one that ended may be drawn, one that goes on or ends anew is not asked for its
    former end. matter: as it stood, held; holder: who worked on it until now."""
    if matter["lane"] != "complaint" or matter["history"] or matter["copy_of"] is not None or state == matter["state"]:
        return
    if matter["state"] in acts.CLOSED and state != "archived":
        await connection.execute(
            "UPDATE callback SET state = 'lapsed', closed_at = $2 WHERE matter_id = $1 AND state = 'open'", matter["id"], at
        )
    if state not in rules().endings:  # every state that an ending can be is one
        return
    ending, handled_by = await _told(connection, matter["id"], state)
    rule, callback_id = rules().endings[ending], new_id()
    # Its own id draws, which nobody knew when he ended the matter; a matter's is known all along.
    if drawn(callback_id, rule.share):
        await _open(
            connection,
            callback_id,
            matter["id"],
            "ended",
            ending,
            {*handled_by, *filter(None, [holder])},
            *rule.days(calendar, at),
            at,
        )


async def ask_again(connection: Connection, calendar: Calendar, matter_id: uuid.UUID, state: str, *, at: datetime) -> None:
    """R2: the complainant of a matter that is closed (state) came again, so he is asked now."""
    first, due_at = rules().repeat.days(calendar, at)
    if await connection.fetchval(
        "UPDATE callback SET due_from = least(due_from, $2), due_at = least(due_at, $3) WHERE matter_id = $1 AND state = 'open' RETURNING true",
        matter_id, first, due_at,
    ):  # fmt: skip
        return
    ending, handled_by = await _told(connection, matter_id, state)
    await _open(connection, new_id(), matter_id, "repeat", ending, handled_by, first, due_at, at)


async def _open(
    connection: Connection, callback_id: uuid.UUID, matter_id: uuid.UUID, cause: str, ending: str, settled_by: set[str], due_from: date,
    due_at: datetime, at: datetime,
) -> None:  # fmt: skip
    await connection.execute(
        "INSERT INTO callback (id, matter_id, cause, ending, settled_by, due_from, due_at, opened_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
        "ON CONFLICT (matter_id) WHERE state = 'open' DO NOTHING",
        callback_id, matter_id, cause, ending, sorted(settled_by), due_from, due_at, at,
    )  # fmt: skip


async def _told(connection: Connection, matter_id: uuid.UUID, state: str = "") -> tuple[str, set[str]]:
    """(how it ended last, who handled it), by its history. state: where that says nothing of an end."""
    rows = await connection.fetch(
        "SELECT state, act, ground, detail ->> 'partner' AS partner, signed_by FROM state_change WHERE matter_id = $1 ORDER BY id",
        matter_id,
    )
    ending, before = state, None
    for row in rows:
        now = row["state"]
        if now in acts.CLOSED and now not in (before, "archived"):
            among_themselves = before == "settling" or row["ground"] == "23(1)(1)" or row["partner"] == "odr"
            agreed = now == "agreed" or (now == "terminated" and row["ground"] == "23(1)(1)")
            ending = "settled" if agreed and among_themselves else now
        before = now
    return ending, {subject for row in rows if row["act"] in _HANDLING for subject in row["signed_by"]}


async def handlers(connection: Connection, matter_id: uuid.UUID) -> list[str]:
    """Who handled and ended a matter."""
    return sorted((await _told(connection, matter_id))[1])


async def require_none(connection: Connection, matter_id: uuid.UUID) -> None:
    """Raises Conflict while somebody is still to be asked."""
    if await connection.fetchval("SELECT true FROM callback WHERE matter_id = $1 AND state = 'open'", matter_id):
        raise Conflict("归档：回访尚未完成")


# -- asked

# Also what the caller has already: whoever lost the answer asks again.
_TAKE = f"""
WITH picked AS (
  SELECT k.id FROM callback k JOIN matter m ON m.id = k.matter_id
  WHERE k.state = 'open' AND k.due_from <= $4 AND NOT $1 = ANY(k.settled_by) AND (k.taken_until IS NULL OR k.taken_until <= $5 OR k.taken_by = $1)
    AND (k.attempted_at IS NULL OR k.attempted_at <= $5 - $6::interval) AND m.closed_at IS NOT NULL
    AND m.lane = ANY($2) AND m.district ^@ ANY($3::text[]) AND starts_with(m.district, $7) AND NOT EXISTS ({staff.AWAY.format(subject="$1")})
    AND NOT EXISTS (SELECT 1 FROM recusal r WHERE r.matter_id = k.matter_id AND r.subject = $1)
  ORDER BY (k.taken_by = $1 AND k.taken_until > $5) IS TRUE DESC, k.due_at, k.id LIMIT $8 FOR UPDATE OF k SKIP LOCKED
)
UPDATE callback k SET taken_by = $1, taken_until = $5 + $9::interval FROM picked WHERE k.id = picked.id RETURNING k.id
"""


async def take(
    connection: Connection, principal: Principal, lanes: Sequence[str], *, now: datetime, district: str, limit: int, keep: timedelta
) -> list[dict[str, Any]]:  # fmt: skip
    """The first that the person may ask today and nobody else is asking, his for that long. Empty when there is none."""
    principal.require_person("call back")
    rows = await connection.fetch(
        _TAKE,
        principal.subject,
        list(lanes),
        list(principal.jurisdictions),
        local_day(now),
        now,
        rules().apart,
        district,
        limit,
        keep,
    )
    taken = await connection.fetch(
        f"{_ROWS} AND k.id = ANY($3) ORDER BY k.due_at, k.id", list(lanes), list(principal.jurisdictions), [r["id"] for r in rows]
    )
    return [view(row, principal, now) for row in taken]


async def give_back(connection: Connection, callback_id: uuid.UUID, principal: Principal) -> None:
    """Conflict where it is not his now."""
    given = await connection.fetchval(
        "UPDATE callback SET taken_by = NULL, taken_until = NULL WHERE id = $1 AND taken_by = $2 AND state = 'open' RETURNING true",
        callback_id, principal.subject,
    )  # fmt: skip
    if not given:
        raise Conflict("该回访现在不由您进行")


async def hold(connection: Connection, callback_id: uuid.UUID) -> Any:
    row = await connection.fetchrow("SELECT * FROM callback WHERE id = $1 FOR UPDATE", callback_id)
    if row is None:
        raise NotFound("no such call-back")
    return row


async def count_attempt(connection: Connection, row: Any, by: str, at: datetime) -> bool:
    """Nobody answered. False where it is the attempt that was counted just before; the last one ends the call-back."""
    if row["attempted_at"] is not None and at - row["attempted_at"] < rules().apart:
        return False
    last = row["attempts"] + 1 >= rules().attempts
    await connection.execute(
        "UPDATE callback SET attempts = attempts + 1, attempted_at = $2::timestamptz, taken_by = NULL, taken_until = NULL, state = CASE WHEN $3 THEN 'unreachable' ELSE state END, "
        "closed_at = CASE WHEN $3 THEN $2::timestamptz END, closed_by = CASE WHEN $3 THEN $4 END WHERE id = $1",
        row["id"], at, last, by,
    )  # fmt: skip
    return True


async def end(
    connection: Connection, callback_id: uuid.UUID, said: Mapping[str, Any], approval_id: uuid.UUID | None, *, by: str, at: datetime
) -> None:  # fmt: skip
    """said: satisfied, performed, wants_reopening, note."""
    await connection.execute(
        "UPDATE callback SET state = 'done', satisfied = $2, performed = $3, wants_reopening = $4, note = $5, approval_id = $6, closed_by = $7, "
        "closed_at = $8 WHERE id = $1",
        callback_id, said["satisfied"], said["performed"], said["wants_reopening"], said["note"], approval_id, by, at,
    )  # fmt: skip


# -- read


_ROWS = """
SELECT k.*, m.letter_id AS complaint_id, m.district, m.lane, m.state AS matter_state, m.track, m.goods, m.problem, m.amount_fen, m.recovered_fen,
       mc.name AS merchant, ARRAY(SELECT subject FROM recusal r WHERE r.matter_id = k.matter_id) AS recused
FROM callback k JOIN matter m ON m.id = k.matter_id LEFT JOIN merchant mc ON mc.id = m.merchant_id
WHERE m.lane = ANY($1) AND EXISTS (SELECT 1 FROM unnest($2::text[]) j WHERE starts_with(m.district, j))
"""


async def listed(
    connection: Connection, principal: Principal, lanes: Sequence[str], *, now: datetime, state: str = "open", due: bool = False,
    district: str = "", after: tuple[datetime, uuid.UUID] | None = None, limit: int = 50,
) -> list[dict[str, Any]]:  # fmt: skip
    """Due first. due: only those that may be asked today."""
    rows = await connection.fetch(
        f"{_ROWS} AND k.state = $3 AND (NOT $4 OR k.due_from <= $5) AND starts_with(m.district, $6) "
        "AND ($7::timestamptz IS NULL OR (k.due_at, k.id) > ($7, $8)) ORDER BY k.due_at, k.id LIMIT $9",
        list(lanes), list(principal.jurisdictions), state, due, local_day(now), district, *(after or (None, None)), limit,
    )  # fmt: skip
    return [view(row, principal, now) for row in rows]


async def find(
    connection: Connection, callback_id: uuid.UUID, principal: Principal, lanes: Sequence[str], *, now: datetime
) -> dict[str, Any]:  # fmt: skip
    row = await connection.fetchrow(f"{_ROWS} AND k.id = $3", list(lanes), list(principal.jurisdictions), callback_id)
    if row is None:
        raise NotFound("no such call-back")
    return view(row, principal, now)


def view(row: Any, principal: Principal, now: datetime) -> dict[str, Any]:
    """A row for people. may_ask: by the caller, today, while nobody else is asking."""
    others = row["taken_until"] is not None and row["taken_until"] > now and row["taken_by"] != principal.subject
    return {
        **{k: v for k, v in row.items() if k != "recused"}, "state_label": STATE_LABELS[row["state"]], "ending_label": ending_label(row["ending"]),
        "matter_state_label": acts.STATE_LABELS[row["matter_state"]], "asks_performance": asks_performance(row["ending"]),
        "attempts_left": rules().attempts - row["attempts"], "overdue": row["state"] == "open" and row["due_at"] < now,
        "may_ask": row["state"] == "open" and row["due_from"] <= local_day(now) and principal.natural_person
        and principal.subject not in row["settled_by"] and principal.subject not in row["recused"] and not others,
    }  # fmt: skip
