"""The journey of a dispute that ended: its complainant is called back (Order 121 Art. 26), or comes again by himself (R2). What he says is
kept and found; whether the matter is opened again a person decides, never whoever handled it and never a machine."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from app import acts, audit, callbacks, cases, law, settling, staff
from app.calendar import local_day
from app.callbacks import PERFORMED, SATISFIED, STATE_LABELS, UNPERFORMED
from app.database import Connection, to_json
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal, new_id
from app.settling import Done
from app.triage import House

_BASIS = law.cite(law.ORDER_121, 26)


@dataclass(frozen=True, slots=True)
class Answer:
    """satisfied, performed: by callbacks.SATISFIED and PERFORMED. wants_reopening: None: not asked. note: masked."""

    satisfied: str
    performed: str | None = None
    wants_reopening: bool | None = None
    note: str | None = None

    @property
    def findings(self) -> list[str]:
        found = {"callback_dissatisfied": self.satisfied == "no", "agreement_not_performed": self.performed in UNPERFORMED}
        return [code for code, holds in found.items() if holds]

    @property
    def proposes(self) -> bool:
        """Whether reopening is put before a supervisor. Against the complainant's own word nothing is taken up again."""
        return bool(self.findings) if self.wants_reopening is None else self.wants_reopening


# -- call-backs


async def attempt(
    house: House, callback_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], at: datetime | None = None
) -> dict[str, Any]:  # fmt: skip
    """Called, and nobody answered. counted: False where it is the attempt that was counted just before (a retry, a second caller)."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter, row = await _held(connection, callback_id, principal, lanes)
        _require_due(matter, row, now)
        counted = await callbacks.count_attempt(connection, row, principal.subject, now)
        if counted:
            number, most = row["attempts"] + 1, callbacks.rules().attempts
            note = f"{_BASIS}：第{number}次回访未能联系到投诉人" + ("，不再回访" if number >= most else "")
            await cases.remark(connection, matter["id"], "callback", actor=principal.subject, at=now, note=note)
            await audit.record(connection, principal.subject, "call_back", "matter", [matter["id"]], lane=matter["lane"])
        row = await callbacks.hold(connection, callback_id)
    left = max(callbacks.rules().attempts - row["attempts"], 0)
    return {
        "id": callback_id, "matter_id": matter["id"], "state": row["state"], "state_label": STATE_LABELS[row["state"]], "counted": counted,
        "attempts": row["attempts"], "attempts_left": left,
    }  # fmt: skip


async def record(
    house: House, callback_id: uuid.UUID, principal: Principal, said: Answer, *, lanes: Sequence[str], at: datetime | None = None
) -> dict[str, Any]:  # fmt: skip
    """What the complainant answered. The same again by the same person gives the same; Conflict for another, or another person's."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter, row = await _held(connection, callback_id, principal, lanes)
        if row["state"] == "done":
            kept = Answer(row["satisfied"], row["performed"], row["wants_reopening"], row["note"])
            if row["closed_by"] == principal.subject and kept == said:
                return _result(row["id"], matter["id"], said, row["approval_id"])
            raise Conflict("回访结果已经登记，不得更改")
        _require_due(matter, row, now)
        _check(row, said)
        evidence = {
            "callback_id": str(callback_id),
            "satisfied": said.satisfied,
            "performed": said.performed,
            "ending": row["ending"],
        }
        for code in said.findings:
            await connection.execute(
                "INSERT INTO finding (id, matter_id, code, evidence) VALUES ($1, $2, $3, $4)",
                new_id(), matter["id"], code, to_json(evidence),
            )  # fmt: skip
        satisfied = {"very": True, "yes": True, "no": False}.get(said.satisfied)
        await cases.note_satisfied(connection, matter["id"], satisfied)
        told = _told(said)
        await cases.remark(
            connection, matter["id"], "callback", actor=principal.subject, at=now, note=f"{_BASIS}：{told}", detail=evidence
        )
        approval_id = None
        if said.proposes and matter["state"] in acts.ACTS["reopen"].sources:
            approval_id = await _propose(
                connection, matter["id"], "reopen", _ground(row["ending"], said), f"回访：{told}", signed_by=[], handled_by=row["settled_by"],
                at=now, callback_id=callback_id,
            )  # fmt: skip
        await callbacks.end(connection, callback_id, asdict(said), approval_id, by=principal.subject, at=now)
        await audit.record(connection, principal.subject, "call_back", "matter", [matter["id"]], lane=matter["lane"])
    return _result(callback_id, matter["id"], said, approval_id)


def _result(callback_id: uuid.UUID, matter_id: uuid.UUID, said: Answer, approval_id: uuid.UUID | None) -> dict[str, Any]:
    return {
        "id": callback_id, "matter_id": matter_id, "state": "done", "state_label": STATE_LABELS["done"], **asdict(said),
        "findings": said.findings, "approval_id": approval_id,
    }  # fmt: skip


def _told(said: Answer) -> str:
    wants = {True: "要求重新办理", False: "不要求重新办理", None: None}[said.wants_reopening]
    parts = [f"投诉人{SATISFIED[said.satisfied]}", said.performed and f"协议{PERFORMED[said.performed]}", wants]
    return "，".join(part for part in parts if part)


def _ground(ending: str, said: Answer) -> str:
    """Which of the three it would be; a supervisor who sees another reopens by that one himself."""
    if said.performed in UNPERFORMED:
        return "agreement_not_performed"
    return "handled_by_merchant_or_odr_only" if ending == "settled" else "own_error"


def _check(row: Any, said: Answer) -> None:
    for field, value, allowed in (("satisfied", said.satisfied, SATISFIED), ("performed", said.performed, PERFORMED)):
        if value is not None and value not in allowed:
            raise Invalid.field(field, f"must be one of {', '.join(allowed)}")
    if callbacks.asks_performance(row["ending"]) and said.performed is None:
        raise Invalid.field("performed", f"{callbacks.ending_label(row['ending'])}：须询问协议是否履行")
    if not callbacks.asks_performance(row["ending"]) and said.performed is not None:
        raise Invalid.field("performed", f"{callbacks.ending_label(row['ending'])}：没有须履行的协议")


def _require_due(matter: Any, row: Any, now: datetime) -> None:
    if row["state"] != "open" or matter["closed_at"] is None:
        raise Conflict(f"{STATE_LABELS[row['state']] if row['state'] != 'open' else '重新办理中'}，无须回访")
    if local_day(now) < row["due_from"]:
        raise Conflict(f"自{row['due_from']}起方可回访")


async def _held(
    connection: Connection, callback_id: uuid.UUID, principal: Principal, lanes: Sequence[str]
) -> tuple[Any, Any]:  # fmt: skip
    """(matter, call-back), the matter locked first as everywhere, for one who may ask."""
    principal.require_person("call back")
    matter_id = await connection.fetchval("SELECT matter_id FROM callback WHERE id = $1", callback_id)
    if matter_id is None:
        raise NotFound("no such call-back")
    matter = await cases.hold(connection, matter_id)
    if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
        raise NotFound("no such call-back")
    await staff.require_free(connection, matter_id, principal.subject)
    row = await callbacks.hold(connection, callback_id)
    if principal.subject in row["settled_by"]:
        raise Forbidden("回访须由承办人员以外的人员进行，您办理过该投诉")
    return matter, row


async def _propose(
    connection: Connection, matter_id: uuid.UUID, act: str, ground: str, reason: str, *, signed_by: Sequence[str], handled_by: Sequence[str],
    at: datetime, **detail: uuid.UUID,
) -> uuid.UUID:  # fmt: skip
    """An act that a supervisor decides on who did not handle the dispute. Where the act waits for the matter already, that one."""
    approval_id = new_id()
    if await cases.propose(
        connection, approval_id, matter_id, kind="review", act=act, ground=ground, reason=reason,
        detail={**{k: str(v) for k, v in detail.items()}, "handled_by": list(handled_by)}, persons=len(signed_by) + 1, signed_by=signed_by, at=at,
    ):  # fmt: skip
        return approval_id
    waiting: uuid.UUID = await connection.fetchval(
        "SELECT id FROM approval WHERE matter_id = $1 AND act = $2 AND state = 'open'", matter_id, act
    )
    return waiting


# -- the same dispute again (R2)


CHOICES: Mapping[str, str] = {"reopen": "重新办理此前的投诉", "refuse": "不予受理", "new": "按新的争议办理"}


async def choose(
    house: House, matter_id: uuid.UUID, principal: Principal, choice: str, *, reason: str, lanes: Sequence[str], ground: str | None = None,
    at: datetime | None = None,
) -> Done:  # fmt: skip
    """What a person makes of a letter that was found to be of a dispute that had ended (R2). reopen: the earlier matter goes on, by one of the
    three grounds, and the letter stands for it without a clock of its own; refuse: under 16(2), its decision telling the other ways of
    Art. 39; new: the finding was wrong, it is a dispute of its own. A mediator's choice, but `new`, which hurts nobody, waits for a supervisor."""
    if choice not in CHOICES:
        raise Invalid.field("choice", f"must be one of {', '.join(CHOICES)}")
    if (choice == "reopen") != (ground is not None) or (ground is not None and ground not in acts.REOPENING_GROUNDS):
        raise Invalid.field("ground", f"reopen needs one of {', '.join(acts.REOPENING_GROUNDS)}, the others none")
    principal.require("intake", "supervisor", "mediator")
    principal.require_person("choose")
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await cases.hold(connection, matter_id)
        if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
            raise NotFound("no such matter")
        earlier_id = await cases.repeated(connection, matter_id)
        if earlier_id is None:
            raise Conflict("该投诉没有办结后再次投诉（R2）的发现")
        for one in (matter_id, earlier_id):
            await staff.require_free(connection, one, principal.subject)
        cases.require_open(matter)
        if await connection.fetchval("SELECT true FROM state_change WHERE matter_id = $1 AND act = 'repeat_new'", matter_id):
            raise Conflict("已认定按新的争议办理")
        if choice == "new":
            await cases.remark(
                connection, matter_id, "repeat_new", actor=principal.subject, at=now, note=f"不是同一争议，{CHOICES['new']}；{reason}",
                signed_by=[principal.subject], detail={"earlier": str(earlier_id)},
            )  # fmt: skip
            await audit.record(connection, principal.subject, "repeat_new", "matter", [matter_id], lane=matter["lane"])
            return Done(matter_id, "new", matter["state"])
        handled_by = await callbacks.handlers(connection, earlier_id)
        if choice == "refuse" and principal.subject in handled_by:
            raise Forbidden("您办理过此前的投诉，不予受理须由其他人员决定")
        if not principal.has("intake", "supervisor", "admin"):
            return await _wait(connection, matter, earlier_id, principal, choice, ground, reason, handled_by, now)
    if choice == "refuse":
        return await settling.perform(house, matter_id, principal, "refuse", lanes=lanes, ground="16(2)", reason=reason, at=now)
    return await settling.perform(
        house, earlier_id, principal, "reopen", lanes=lanes, ground=ground, reason=reason, detail={"again": str(matter_id)}, at=now
    )  # fmt: skip


async def _wait(
    connection: Connection, matter: Any, earlier_id: uuid.UUID, principal: Principal, choice: str, ground: str | None, reason: str,
    handled_by: Sequence[str], now: datetime,
) -> Done:  # fmt: skip
    on, act, ground, detail = matter, "refuse", ground or "16(2)", {"earlier": earlier_id}
    if choice == "reopen":
        on, act, detail = await cases.hold(connection, earlier_id), "reopen", {"again": matter["id"]}
        if not principal.covers(on["district"]):
            raise NotFound("no such matter")
    acts.require(act, on, ground)
    before = await connection.fetchval(
        "SELECT true FROM approval WHERE matter_id = $1 AND act = $2 AND state = 'open'", on["id"], act
    )
    if before:
        raise Conflict(f"{acts.ACTS[act].label} waits for a signature already; see GET /v1/approvals")
    approval_id = await _propose(
        connection, on["id"], act, ground, reason, signed_by=[principal.subject], handled_by=handled_by, at=now, **detail
    )
    await audit.record(connection, principal.subject, f"propose_{act}", "matter", [on["id"]], lane=matter["lane"])
    return Done(on["id"], act, on["state"], approval_id, 1)
