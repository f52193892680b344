"""What a claimed item brings: all that is needed to begin, told from the matter as it is shown and from what surrounds it.

Only looks (and records who looked). Whoever may not know of reports learns of none here (Art. 37): every count is of the lanes he may
see. What lies outside the reader's jurisdiction is a count and no more. Nothing here is a score or a mark on a person.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from app import (
    acts,
    audit,
    bursts,
    contacts,
    crowds,
    directories,
    documents,
    joint,
    law,
    reconciling,
    rerouting,
    settling,
    similar,
    work,
)
from app.acts import STATE_LABELS
from app.calendar import Calendar, light, local_day
from app.codes import region_name, shipped
from app.database import Connection
from app.drawing import FIELD_LABELS, FORMS
from app.errors import Conflict
from app.identity import Principal
from app.partners import KINDS
from app.policy import TERMINATE, TRACK_LABELS
from app.privacy import INCIDENT_TITLE, Vault
from app.triage import House

_FILED = ("filer", "principal")
_MOST = 2_000  # of a person's matters, of an incident's newest members
_MOST_OF_MERCHANT = 5_000
_NEWEST = 10
_LISTED = 10
_LIGHTS = {"green": "正常", "yellow": "临近期限", "red": "今日到期或者已逾期", "grey": "暂停计算"}


async def read(
    house: House, connection: Connection, matter: Mapping[str, Any], principal: Principal, *, lanes: Sequence[str], letter_id: uuid.UUID,
    flags: Sequence[str] = (), now: datetime,
) -> dict[str, Any]:  # fmt: skip
    """The sections beside the complaint itself. matter: as cases.read_matters gives it and this reader is shown it. flags: of its item."""
    places = list(principal.jurisdictions)
    around = await crowds.situation(connection, matter["incident_id"]) if matter["incident_id"] else None
    joined = await _joint_matters(connection, matter, places)
    people, theirs = await _people(connection, matter, lanes, places, letter_id)
    found = {
        "missing": _missing(house.calendar, matter, now),
        "clocks": _clocks(matter),
        "why": _why(house, matter, around, flags, lanes, now),
        "complainant": people,
        "incident": await _incident(connection, matter, around, joined, lanes, places, now),
        "merchant": await _merchant(connection, matter, joined, lanes, places, now),
        "law": _law(matter),
        "documents": await _documents(connection, house.vault, matter),
        "acts": await _acts(connection, matter, principal, lanes, letter_id, now),
        "handling": await _handling(connection, matter["id"]),
        **await contacts.of_matter(connection, matter["id"]),
        "similar": await _similar(connection, matter, principal, lanes),
    }
    await audit.record(connection, principal.subject, "read_dossier", "matter", [matter["id"], *theirs], lane=matter["lane"])
    return found


async def _similar(
    connection: Connection, matter: Mapping[str, Any], principal: Principal, lanes: Sequence[str]
) -> dict[str, Any] | None:
    """The three settled cases most like it, and how such cases end. None outside the reader's places: what he holds there is being moved."""
    if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
        return None
    wanted = similar.Wanted()
    return await similar.of_matter(connection, matter["id"], wanted, principal, lanes=lanes, same_merchant=False, limit=3)


# -- what Art. 10 asks for

# Of each: what it is called, and the item of Art. 10(1) that asks for it; None: what the item's facts usually rest on.
_MISSING: dict[str, tuple[str, int, bool]] = {
    "complainant.name": ("姓名", 1, True), "complainant.phone": ("联系电话", 1, True), "complainant.address": ("联系地址", 1, True),
    "respondents.name": ("被投诉人名称", 2, True), "respondents.address": ("被投诉人地址", 2, True), "demand": ("具体的投诉请求", 3, True),
    "event_date": ("争议发生日期", 3, False), "amount_fen": ("消费金额", 3, False), "evidence": ("凭证（小票、合同、照片等）", 3, False),
}  # fmt: skip
MISSING_LABELS = {code: label for code, (label, _, _) in _MISSING.items()}


def _lacks(codes: Iterable[str]) -> list[dict[str, Any]]:
    """required: Art. 10(1) names it itself; else it is a part of the facts."""
    return [
        {
            "code": code, "label": label, "required": required, "who": "投诉人", "legal_basis": law.cite(law.ORDER_121, 10, 1, item),
            "sentence": law.sentence(law.ORDER_121, 10, item, 1),
        }
        for code, (label, item, required) in _MISSING.items() if code in set(codes)
    ]  # fmt: skip


def _missing(calendar: Calendar, matter: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """As it was read on arrival; a report may be anonymous, and nobody is asked for what Art. 10 asks of complaints."""
    items = _lacks(matter["reading"].get("missing", ())) if matter["lane"] == "complaint" else []
    if matter["lane"] == "complaint" and any(p["role"] == "agent" for p in matter["parties"]):
        items.append(
            {
                "code": "agent.authority", "label": "授权委托书原件、受托人身份证明（附件须查看后确认）", "required": True, "who": "投诉人、受托人",
                "legal_basis": law.cite(law.ORDER_121, 11, 1), "sentence": law.sentence(law.ORDER_121, 11, paragraph=1),
            }
        )  # fmt: skip
    return {
        "items": items, "note": "以来件收到时为准；其后补充的材料见来件的补充", "request": _request(calendar, matter, items, now) if items else None,
    }  # fmt: skip


def _request(
    calendar: Calendar, matter: Mapping[str, Any], items: Sequence[Mapping[str, Any]], now: datetime
) -> dict[str, Any] | None:
    """The request for material, ready to send, by the term for acceptance, which it does not stop. None once that was decided."""
    if matter["state"] not in acts.WAITING:
        return None
    due = next((c["due_on"] for c in matter["clocks"] if c["key"] == "complaint.accept" and c["stopped_at"] is None), None)
    by = calendar.working_days_before(due, 1) if due else None
    by = by if by and by > local_day(now) else None
    lists = "；".join(f"{n}. {i['label']}" for n, i in enumerate(items, 1))
    basis = "、".join(dict.fromkeys(i["legal_basis"] for i in items))
    until = f"请于{by.year}年{by.month}月{by.day}日前补充" if by else "请尽快补充"
    text = f"您的投诉尚缺下列材料：{lists}。{until}。依据：{basis}。补充材料的时间不影响七个工作日的受理期限。"
    identity = [i["label"] for i in items if str(i["code"]).startswith("complainant.")]
    return {
        "text": text, "by": by,
        "act": _call(matter, "ask_material", {"reason": text}) if matter["state"] == "pending_acceptance" else None,
        # Form 4 asks for proof of identity alone (Art. 10(3)).
        "document": _draft(matter, 4, {"materials": "、".join(identity), **({"provide_by": by.isoformat()} if by else {})}) if identity else None,
    }  # fmt: skip


def _call(matter: Mapping[str, Any], act: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"method": "POST", "path": f"/v1/matters/{matter['id']}/{act}", **({"body": body} if body else {})}


def _draft(matter: Mapping[str, Any], form: int, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return _call(matter, "documents", {"form": form, "values": dict(values or {})})


# -- clocks


def _clocks(matter: Mapping[str, Any]) -> dict[str, Any]:
    running = [
        {
            **{k: c[k] for k in ("key", "name", "light", "due_on", "due_at", "provisional", "working_days_left", "reason")},
            "light_label": _LIGHTS[c["light"]], "paused": c["paused_at"] is not None, "paused_at": c["paused_at"],
            "paused_days": c["paused_days"], "extended": c["extended"],
        }
        for c in matter["clocks"] if c["stopped_at"] is None
    ]  # fmt: skip
    running.sort(key=lambda c: (c["paused"], c["due_at"]))
    return {"running": running, "next": next((c for c in running if not c["paused"]), None)}


# -- why this track


def known_reasons(reasons: Sequence[Mapping[str, Any]], lane: str, lanes: Sequence[str]) -> list[Any]:
    """Those that do not tell of a report: of a complaint only what else stands in the letter makes its kind a reason."""
    return [r for r in reasons if "report" in lanes or lane != "complaint" or "kind" not in r.get("facts", ())]


_GATE_STATES = {"open": "待定", "passed": "已满足", "failed": "未满足"}
_GATE_NAMES = {"accepted": "已受理"}


def _why(
    house: House, matter: Mapping[str, Any], around: crowds.Situation | None, flags: Sequence[str], lanes: Sequence[str], now: datetime
) -> dict[str, Any]:  # fmt: skip
    decision = matter["decision"]
    track = matter["track"]
    instead = decision and decision["alternative"]
    return {
        "track": track, "label": TRACK_LABELS[track], "rule": decision and decision["rule"],
        "decided_at": decision and decision["decided_at"], "decided_by": decision and decision["actor"],
        "reasons": [
            {
                "text": r["text"], "legal_basis": r["legal_basis"],
                "words": list(dict.fromkeys(s["word"] for s in r.get("spans") or () if s.get("word"))),
            }
            for r in known_reasons(decision["reasons"] if decision else (), matter["lane"], lanes)
        ],
        "gates": [_gate(g, track) for g in sorted(matter["gates"], key=lambda g: g["track"] != track)],
        "changes": _changes(house, matter, around, now) if matter["state"] not in acts.CLOSED else [],
        "alternative": {"track": instead, "label": TRACK_LABELS[instead], "text": f"本轨道的前提未满足时，改为建议{TRACK_LABELS[instead]}"}
        if instead else None,
        "flags": [{"flag": f, "text": flag_text(f)} for f in flags],
    }  # fmt: skip


def _gate(gate: Mapping[str, Any], track: str) -> dict[str, Any]:
    name = contacts.CONSENTS.get((gate["track"], gate["name"]), _GATE_NAMES.get(gate["name"], gate["basis"]))
    told = f"{TRACK_LABELS.get(gate['track'], gate['track'])}的前提：{name}，{_GATE_STATES[gate['state']]}"
    if gate["at"]:
        told += f"（{local_day(gate['at'])}，{gate['actor']}）"
    return {
        **{k: gate[k] for k in ("track", "name", "state", "actor", "at", "basis")}, "state_label": _GATE_STATES[gate["state"]],
        "current": gate["track"] == track, "text": told,
    }  # fmt: skip


_GROWTH = {"cluster.watch": "关注", "cluster.group": "群体", "cluster.major": "重大"}


def _changes(
    house: House, matter: Mapping[str, Any], around: crowds.Situation | None, now: datetime
) -> list[dict[str, Any]]:  # fmt: skip
    """What would make the track another one, by the policy in force at the place now."""
    current = house.policy_at(matter["district"], now)
    found = []
    for (track, cause), down in current.fallbacks.items():
        if track == matter["track"]:
            ends = down.to == TERMINATE
            basis = acts.cite_ground(f"23(1)({down.ground})") if ends and down.ground else down.legal_basis
            to = "由工作人员决定是否终止调解" if ends else f"改为建议{TRACK_LABELS[down.to]}"
            found.append(
                {"cause": cause, "to": None if ends else down.to, "text": f"{down.reason}的，{to}", "legal_basis": basis}
            )
    if matter["lane"] == "complaint" and around is not None:
        for key, label in _GROWTH.items():
            least = current.thresholds.get(key)
            if least is not None and least > around.people:
                text = f"同一事件的投诉人达到{least:g}人（{label}级，现{around.people}人）且超过该经营者平日水平的，重新建议分流"
                found.append({"cause": "incident_grew", "to": None, "text": text, "legal_basis": None})
    return found


_FLAGS = {
    "earlier_receipt": "另有机关更早收到同一投诉，须核对由谁办理", "clue_found": "调解中发现的违法线索并入本件核查", "report_merged": "另有举报并入本件",
    "urge": "投诉人催办", "supervise": "上级督办，优先办理", "escalated": "承办人认为难以解决，提请上级过问", "returned": "承办单位退回本件", "answer_rejected": "12345热线未接受答复，须重新答复",
}  # fmt: skip


def flag_text(flag: str) -> str:
    """A flag of an item as a Chinese sentence."""
    cause, _, about = flag.partition(":")
    if cause == "rerouted":
        return f"已重新建议{TRACK_LABELS.get(about, about)}；现由您办理，不自动转走"
    if cause == "platform":
        return f"全国12315平台的状态与本系统不一致：{reconciling.CAUSES.get(about, about)}"
    told = _FLAGS.get(cause) or rerouting.REASONS.get(cause) or f"其他提示（{cause}）"
    if about in TRACK_LABELS:
        return f"{told}：建议{TRACK_LABELS[about]}"
    return f"{told}（{KINDS[about].label}）" if about in KINDS else told


# -- who complains

_INSIDE = "EXISTS (SELECT 1 FROM unnest($3::text[]) j WHERE starts_with(m.district, j))"
_HISTORY = f"""
WITH theirs AS MATERIALIZED (
  SELECT DISTINCT cm.complainant_id, p.matter_id, p.role = 'agent' AS agent FROM complainant_membership cm JOIN party p ON p.record_id = cm.record_id
  WHERE cm.complainant_id = ANY($1) AND cm.valid_to IS NULL
)
SELECT theirs.complainant_id, theirs.agent, m.id, m.letter_id, m.lane, m.state, m.outcome, m.goods, m.problem, m.received_at, m.closed_at,
       m.merchant_id, mc.name AS merchant, {_INSIDE} AS inside
FROM theirs JOIN matter m ON m.id = theirs.matter_id LEFT JOIN merchant mc ON mc.id = m.merchant_id
WHERE m.letter_id <> $4 AND m.copy_of IS NULL AND m.lane = ANY($2) AND m.lane <> 'other' ORDER BY m.received_at DESC, m.id DESC LIMIT $5
"""
_ROLES = {"filer": "投诉人", "principal": "委托人", "agent": "代理人", "representative": "代表人"}
_FINDINGS = {
    "R1": "同一事项重复登记", "R2": "办结后就同一争议再次投诉", "R3": "对同一经营者的新争议", "R4": "就同类商品或者服务、同类问题投诉多个经营者",
    "R5": "就同一事实再次举报", "R6": "就同一事实补充举报", "R7": "与他人共用联系方式或者证件号", "R8": "多人以近似文字投诉同一对象",
}  # fmt: skip


async def _people(
    connection: Connection, matter: Mapping[str, Any], lanes: Sequence[str], places: list[str], letter_id: uuid.UUID
) -> tuple[dict[str, Any], list[uuid.UUID]]:  # fmt: skip
    """Each person of the matter with the others of his matters, and the ids that were listed."""
    roles: dict[uuid.UUID, list[str]] = {}
    for party in matter["parties"]:
        if party["complainant_id"] is not None:
            roles.setdefault(party["complainant_id"], []).append(party["role"])
    rows = await connection.fetch(_HISTORY, list(roles), list(lanes), places, letter_id, _MOST) if roles else []
    people = [
        {
            "complainant_id": person, "roles": own, "label": "、".join(_ROLES[r] for r in own),
            **_history([r for r in rows if r["complainant_id"] == person], matter["merchant_id"], lanes),
        }
        for person, own in roles.items()
    ]  # fmt: skip
    listed = [m["id"] for p in people for m in (*p["newest"], *p["open"], *p.get("reports", {}).get("newest", ()))]
    return {
        "people": people, "complete": len(rows) < _MOST,
        "findings": [
            {"code": f["code"], "text": _FINDINGS[f["code"]], "legal_basis": f["legal_basis"]}
            for f in matter["findings"] if f["code"] in _FINDINGS
        ],
        "note": "所列均为事实，供判断时参考；不是评分，也不是认定" if people else "来件没有可以辨认的身份信息",
    }, list(dict.fromkeys(listed))  # fmt: skip


def _history(rows: Sequence[Any], merchant_id: uuid.UUID | None, lanes: Sequence[str]) -> dict[str, Any]:
    """Of one person: what he filed himself, beside this letter; as somebody's agent apart."""
    own = [r for r in rows if r["lane"] == "complaint" and not r["agent"]]
    inside = [r for r in own if r["inside"]]
    at_one = [r for r in inside if merchant_id is not None and r["merchant_id"] == merchant_id]
    found: dict[str, Any] = {
        "complaints": len(inside), "elsewhere": len(own) - len(inside),
        "by_state": _counted((r["state"] for r in inside), STATE_LABELS, "state"),
        "by_outcome": _counted((r["outcome"] or r["state"] for r in inside if r["closed_at"]), _outcome_labels(), "outcome"),
        "same_merchant": len(at_one), "same_merchant_open": sum(r["state"] not in acts.CLOSED for r in at_one),
        "open": [_told(r) for r in inside if r["state"] not in acts.CLOSED][:_LISTED],
        "newest": [_told(r) for r in inside[:_NEWEST]],
        "as_agent": sum(r["agent"] and r["lane"] == "complaint" for r in rows),
    }  # fmt: skip
    if "report" in lanes:
        reports = [r for r in rows if r["lane"] == "report" and not r["agent"]]
        near = [r for r in reports if r["inside"]]
        found["reports"] = {
            "total": len(near),
            "elsewhere": len(reports) - len(near),
            "newest": [_told(r) for r in near[:_NEWEST]],
        }
    return found


def _told(row: Any) -> dict[str, Any]:
    return {
        **{k: row[k] for k in ("id", "lane", "merchant_id", "merchant", "goods", "problem", "state", "outcome", "received_at", "closed_at")},
        "complaint_id": row["letter_id"], "state_label": STATE_LABELS[row["state"]],
        "outcome_label": _outcome_labels().get(row["outcome"], row["outcome"]) if row["outcome"] else None,
    }  # fmt: skip


def _counted(values: Iterable[str], labels: Mapping[str, str], name: str) -> list[dict[str, Any]]:
    counts = Counter(values)
    return [{name: v, "label": labels.get(v, v), "count": counts[v]} for v in sorted(counts, key=lambda v: (-counts[v], v))]


@lru_cache(maxsize=1)
def _outcome_labels() -> dict[str, str]:
    listed: list[list[str]] = shipped("codes")["lists"]["outcome"]
    return {**STATE_LABELS, **{code: label for code, label in listed}}  # noqa: C416 - pairs that are lists


# -- the incident

# The newest members by their time-ordered ids: a hot incident costs no more than another.
_MEMBERS = f"""
WITH newest AS MATERIALIZED (
  SELECT im.matter_id FROM incident_membership im JOIN matter m ON m.id = im.matter_id
  WHERE im.incident_id = $1 AND im.valid_to IS NULL AND m.lane = ANY($2) ORDER BY im.matter_id DESC LIMIT $5
), seen AS MATERIALIZED (
  SELECT DISTINCT ON (m.id) m.lane = 'complaint' AS complaint, m.lane = 'report' AS report, m.event_at AS at, m.district, cm.complainant_id AS person,
    {_INSIDE} AS inside
  FROM newest JOIN matter m ON m.id = newest.matter_id LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
  LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  ORDER BY m.id, cm.complainant_id
)
SELECT i.state, {INCIDENT_TITLE}, i.scope, (SELECT core FROM merchant WHERE id = i.merchant_id) AS brand, count(*) FILTER (WHERE complaint) AS complaints, count(*) FILTER (WHERE complaint AND inside) AS inside,
  count(*) FILTER (WHERE report) AS reports, count(DISTINCT person) AS people_all, min(at) AS first_at, max(at) AS last_at,
  count(*) FILTER (WHERE complaint AND at > $4::timestamptz - interval '7 days') AS last_7,
  count(*) FILTER (WHERE complaint AND at <= $4::timestamptz - interval '7 days' AND at > $4::timestamptz - interval '14 days') AS before_7,
  count(*) FILTER (WHERE complaint AND at > $4::timestamptz - interval '30 days') AS last_30,
  count(*) FILTER (WHERE complaint AND at <= $4::timestamptz - interval '30 days' AND at > $4::timestamptz - interval '60 days') AS before_30,
  (SELECT jsonb_object_agg(district, n) FROM (SELECT district, count(*) AS n FROM seen WHERE complaint GROUP BY 1) AS d) AS districts,
  (SELECT count(*) FROM newest) AS newest,
  (SELECT o.id FROM incident o WHERE o.id = i.recurrence_of AND EXISTS (
    SELECT 1 FROM incident_membership im JOIN matter m ON m.id = im.matter_id WHERE im.incident_id = o.id AND im.valid_to IS NULL
      AND m.lane = ANY($2) AND {_INSIDE})) AS recurrence_of
FROM incident i LEFT JOIN seen ON true WHERE i.id = $1 GROUP BY i.id
"""
_INCIDENT_STATES = {"single": "单件", "watch": "关注", "open": "群体性", "closed": "已结束"}
_ALERTS = """
SELECT * FROM burst WHERE kind = 'merchant' AND key = $1 AND (last_on IS NULL OR last_on >= $2) ORDER BY found_at DESC, id DESC LIMIT 5
"""
_ALERT_DAYS = 30


async def _incident(
    connection: Connection, matter: Mapping[str, Any], around: crowds.Situation | None, joined: Sequence[Mapping[str, Any]],
    lanes: Sequence[str], places: list[str], now: datetime,
) -> dict[str, Any] | None:  # fmt: skip
    """None: it stands alone. people, complaints: over complaints, wherever they lie."""
    if around is None:
        return None
    row = await connection.fetchrow(_MEMBERS, matter["incident_id"], list(lanes), places, now, _MOST)
    alerts = []
    if matter["merchant_id"] is not None:
        since = local_day(now) - timedelta(days=_ALERT_DAYS)
        alerts = await connection.fetch(_ALERTS, str(matter["merchant_id"]), since)
    return {
        "id": matter["incident_id"], "title": row["title"] or f"{row['brand'] or region_name(matter['district'])} · {_what(matter)}", "state": row["state"], "state_label": _INCIDENT_STATES[row["state"]],
        "scope": row["scope"], "people": around.people, "complaints": row["complaints"], "elsewhere": row["complaints"] - row["inside"],
        "districts": [
            {"code": code, "name": region_name(code), "complaints": n}
            for code, n in sorted((row["districts"] or {}).items(), key=lambda d: (-d[1], d[0]))
        ],
        "harm": around.harm, "exceeds_usual": around.excess, "first_at": row["first_at"], "last_at": row["last_at"],
        "growth": {
            "last_7_days": row["last_7"], "previous_7_days": row["before_7"], "last_30_days": row["last_30"],
            "previous_30_days": row["before_30"],
        },
        "complete": row["newest"] < _MOST, "recurrence_of": row["recurrence_of"],
        "joint": next((j for j in joined if j["id"] == matter.get("joint_matter_id")), None),
        "alerts": [
            {"id": a["id"], "found_on": a["found_on"], "running": a["last_on"] is None, "text": bursts.sentence(a)} for a in alerts
        ],
        **({"reports": row["reports"], "people_all": row["people_all"]} if "report" in lanes else {}),
    }  # fmt: skip


def _what(matter: Mapping[str, Any]) -> str:
    return str((*matter["issues"], matter["problem"] or matter["goods"] or "其他")[0])


_JOINT = f"""
SELECT j.id, j.state, count(*) AS members, count(*) FILTER (WHERE jm.consent = 'given') AS given, count(*) FILTER (WHERE jm.consent = 'open') AS asked,
  bool_or(m.merchant_id = $2) AS merchant
FROM joint_matter j JOIN joint_member jm ON jm.joint_matter_id = j.id AND jm.left_at IS NULL JOIN matter m ON m.id = jm.matter_id AND m.lane = 'complaint'
WHERE j.state <> 'ended' AND j.id IN (
  SELECT o.joint_matter_id FROM joint_member o JOIN matter own ON own.id = o.matter_id
  WHERE o.left_at IS NULL AND (own.id = $1 OR own.merchant_id = $2)
)
GROUP BY j.id HAVING bool_or({_INSIDE} OR m.id = $1) ORDER BY j.id DESC LIMIT {_LISTED}
"""
_JOINT_STATES = {"proposed": "征求同意中", "joined": "已按共同投诉处理"}


async def _joint_matters(
    connection: Connection, matter: Mapping[str, Any], places: list[str]
) -> list[dict[str, Any]]:  # fmt: skip
    """The matter's own and those against its merchant."""
    if matter["lane"] != "complaint":
        return []
    rows = await connection.fetch(_JOINT, matter["id"], matter["merchant_id"], places)
    return [
        {
            "id": r["id"], "state": r["state"], "label": _JOINT_STATES[r["state"]], "members": r["members"], "consented": r["given"],
            "asked": r["asked"], "of_merchant": bool(r["merchant"]),
        }
        for r in rows
    ]  # fmt: skip


# -- the merchant

_MERCHANT = f"""
SELECT mc.id, mc.name, mc.core, mc.uscc, mc.registered = 1 AS registered, mc.industry,
  (SELECT array_agg(DISTINCT n.name) FROM merchant_name n WHERE n.merchant_id = mc.id) AS names,
  (SELECT jsonb_agg(to_jsonb(i)) FROM (
    SELECT i.id, {INCIDENT_TITLE}, i.state, i.people_complaints + least(i.unidentified, 1) AS people FROM incident i
    WHERE i.merchant_id = mc.id AND i.merged_into IS NULL AND i.state IN ('watch', 'open') AND EXISTS (
      SELECT 1 FROM incident_membership im JOIN matter m ON m.id = im.matter_id
      WHERE im.incident_id = i.id AND im.valid_to IS NULL AND m.lane = ANY($2) AND {_INSIDE})
    ORDER BY i.last_at DESC, i.id LIMIT {_LISTED}
  ) AS i) AS incidents
FROM merchant mc WHERE mc.id = $1
"""
_RECORD = f"""
WITH lately AS MATERIALIZED (
  SELECT m.received_at, m.lane = 'report' AS report, CASE WHEN m.closed_at IS NOT NULL THEN coalesce(m.outcome, m.state) END AS outcome, m.demands,
    m.recovered_fen, {_INSIDE} AS inside
  FROM matter m WHERE m.merchant_id = $1 AND m.lane = ANY($2) AND m.lane <> 'other' AND m.copy_of IS NULL AND m.received_at > $4::timestamptz - interval '365 days'
  ORDER BY m.received_at DESC LIMIT $5
), own AS (SELECT * FROM lately WHERE inside AND NOT report)
SELECT (SELECT count(*) FROM lately) AS looked_at, (SELECT count(*) FROM own) AS complaints,
  (SELECT count(*) FROM lately WHERE NOT inside AND NOT report) AS elsewhere, (SELECT count(*) FROM lately WHERE report AND inside) AS reports,
  (SELECT count(*) FROM own WHERE received_at > $4::timestamptz - interval '90 days') AS last_90,
  (SELECT count(*) FROM own WHERE received_at <= $4::timestamptz - interval '90 days' AND received_at > $4::timestamptz - interval '180 days') AS before_90,
  (SELECT jsonb_object_agg(month, n) FROM (
    SELECT to_char(received_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM') AS month, count(*) AS n FROM own GROUP BY 1) AS x) AS months,
  (SELECT jsonb_object_agg(outcome, n) FROM (SELECT outcome, count(*) AS n FROM own WHERE outcome IS NOT NULL GROUP BY 1) AS x) AS outcomes,
  (SELECT jsonb_agg(to_jsonb(x)) FROM (
    SELECT demand, count(*) AS settled, count(*) FILTER (WHERE outcome = 'agreement') AS agreed FROM own, unnest(demands) AS demand
    WHERE outcome = ANY($6) GROUP BY 1 ORDER BY 3 DESC, 2 DESC, 1 LIMIT {_LISTED}) AS x) AS demands,
  (SELECT jsonb_build_object('named', count(*), 'median_fen', round(percentile_cont(0.5) WITHIN GROUP (ORDER BY recovered_fen))::bigint)
   FROM own WHERE outcome = 'agreement' AND recovered_fen IS NOT NULL) AS recovered
"""
# How a mediation that took place may end.
_SETTLED = ("agreement", "no_agreement", "refused", "unreachable", "terminated", "other")
_RATE = "达成协议件数÷（达成协议、未达成协议、一方拒绝、联系不到、终止调解及其他方式结束的件数）；撤回、不予受理的不计"


async def _merchant(
    connection: Connection, matter: Mapping[str, Any], joined: Sequence[Mapping[str, Any]], lanes: Sequence[str], places: list[str],
    now: datetime,
) -> dict[str, Any] | None:  # fmt: skip
    """Its record of twelve months at the reader's places, elsewhere as a number. None: nobody was named."""
    if matter["merchant_id"] is None:
        return None
    row = await connection.fetchrow(_MERCHANT, matter["merchant_id"], list(lanes), places)
    record = await connection.fetchrow(
        _RECORD, matter["merchant_id"], list(lanes), places, now, _MOST_OF_MERCHANT, list(_SETTLED)
    )
    odr = await directories.odr_status(connection, [row["uscc"]] if row["uscc"] else [], local_day(now))
    outcomes: dict[str, int] = record["outcomes"] or {}
    ended = sum(outcomes.get(o, 0) for o in _SETTLED)
    labels = _outcome_labels()
    return {
        "id": row["id"], "name": row["name"], "uscc": row["uscc"], "registered": row["registered"], "industry": row["industry"],
        "names": sorted({*(row["names"] or ()), *(r["written_name"] for r in matter["respondents"] if r["written_name"])} - {row["name"]}),
        "odr": {
            "live": odr.live, "label": {True: "在册ODR企业", False: "不是在册ODR企业", None: "是否ODR企业不明"}[odr.live],
            "reply_rate": odr.reply_rate, "success_rate": odr.success_rate, "exit_on": odr.exit_on,
        },
        "complaints": record["complaints"], "elsewhere": record["elsewhere"], "days": 365,
        "complete": record["looked_at"] < _MOST_OF_MERCHANT,
        "trend": {
            "last_90_days": record["last_90"], "previous_90_days": record["before_90"],
            "months": [{"month": m, "complaints": n} for m, n in sorted((record["months"] or {}).items())],
        },
        "outcomes": [
            {"outcome": o, "label": labels.get(o, o), "count": n} for o, n in sorted(outcomes.items(), key=lambda x: (-x[1], x[0]))
        ],
        "settlement": {
            "agreed": outcomes.get("agreement", 0), "ended": ended,
            "rate": round(outcomes.get("agreement", 0) / ended, 3) if ended else None, "definition": _RATE,
        },
        "demands": record["demands"] or [], "recovered": record["recovered"],
        "incidents": [{**i, "title": i["title"] or f"{row['core']} · {i['people']}人投诉"} for i in row["incidents"] or ()],
        "joint_matters": [j for j in joined if j["of_merchant"]],
        **({"reports": record["reports"]} if "report" in lanes else {}),
    }  # fmt: skip


# -- the law


@lru_cache(maxsize=1)
def problem_law() -> dict[str, Any]:
    """app/data/problem-law.json: which articles help with which class of problem, goods, issue or fact."""
    return dict(shipped("problem-law"))


def _law(matter: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The most particular first; each article once, with its sentence and what it is good for."""
    if matter["lane"] == "other":
        return []
    table, problem, goods = problem_law(), matter["problem"], matter["goods"]
    facts = (matter["decision"] or {}).get("facts") or {}
    chosen = [
        *((f"具体问题：{i}", e) for i in matter["issues"] for e in table["issues"].get(i, ())),
        *(
            ("预付款" if f == "prepaid" else "要求惩罚性赔偿", e)
            for f in table["facts"]
            if facts.get(f)
            for e in table["facts"][f]
        ),
        *((f"投诉问题：{problem}", e) for e in table["problems"].get(problem, ())),
        *((f"客体类别：{goods}", e) for e in table["goods"].get(goods, ()) if problem in e["problems"]),
        *(("各类投诉", e) for e in table["every"] if matter["lane"] == "complaint"),
    ]
    found: dict[str, dict[str, Any]] = {}
    for why, entry in chosen:
        where = (entry["law"], entry["article"], entry.get("paragraph"), entry.get("item"))
        cite = law.cite(*where)
        found.setdefault(
            cite,
            {
                "law": where[0], "article": where[1], "paragraph": where[2], "item": where[3], "cite": cite,
                "sentence": law.sentence(where[0], where[1], where[3], where[2]), "use": entry["use"], "because": why,
            },
        )  # fmt: skip
    return list(found.values())


# -- documents

_UNTIL_DECIDED = acts.WAITING | acts.MEDIATION
# When the form is of use: by its number the states its matter may be in.
_FORM_STATES: dict[int, frozenset[str]] = {
    1: _UNTIL_DECIDED, 2: frozenset({"registered", "verifying", "pending_dispatch", "case_opened"}),
    3: acts.WAITING | {"verifying", "registered"}, 4: acts.WAITING, 5: acts.WAITING | acts.MEDIATION, 6: acts.WAITING | {"not_accepted"},
    7: acts.MEDIATION, 8: acts.MEDIATION | {"terminated", "withdrawn"}, 9: acts.MEDIATION | {"agreed"},
    10: frozenset({"verified", "case_opened", "case_decided", "case_not_opened", "transferred", "not_handled_again"}),
}  # fmt: skip


async def _documents(connection: Connection, vault: Vault, matter: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What may be drafted now: what the file fills, what is left to write, and the call. Names of fields only, none of their values."""
    ready = await documents.filled(connection, vault, matter["id"])
    drawn = await documents.listed(connection, matter["id"])
    found = []
    for number, names in ready.items():
        form = FORMS[number]
        if matter["state"] not in _FORM_STATES[number]:
            continue
        made = next((d for d in drawn if d["form"] == number and d["state"] != "void"), None)
        lacking = [name for name in form.fields if name not in names]
        found.append(
            {
                "form": number, "title": form.title, "filled": _fields(n for n in form.fields if n in names),
                "lacking": _fields(lacking), "must": _fields(n for n in lacking if n in form.required),
                "drawn": {k: made[k] for k in ("id", "state", "state_label", "number")} if made else None, "call": _draft(matter, number),
            }
        )  # fmt: skip
    return found


def _fields(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"field": n, "label": FIELD_LABELS[n]} for n in names]


# -- what may be done


async def owed(connection: Connection, calendar: Calendar, matter_id: uuid.UUID) -> list[dict[str, Any]]:
    """The terms that run on after a matter's end, of which no queue reminds, each with the act that ends it: both sides are to be told."""
    rows = await connection.fetch(
        "SELECT key, due_on, due_at FROM clock WHERE matter_id = $1 AND stopped_at IS NULL ORDER BY due_at, key", matter_id
    )
    found = []
    for row in rows:
        term = calendar.terms.terms.get(row["key"])
        ends = next(((name, act) for name, act in acts.ACTS.items() if act.stops == row["key"]), None)
        found.append(
            {
                **dict(row), "name": term.name if term else row["key"],
                "act": {"act": ends[0], "label": ends[1].label, "call": _call({"id": matter_id}, ends[0])} if ends else None,
            }
        )  # fmt: skip
    return found


_OPEN_APPROVALS = (
    "SELECT act, ground, persons, signed_by FROM approval WHERE matter_id = $1 AND state = 'open' AND kind <> 'sample'"
)


async def _acts(
    connection: Connection, matter: Mapping[str, Any], principal: Principal, lanes: Sequence[str], letter_id: uuid.UUID, now: datetime
) -> list[dict[str, Any]]:  # fmt: skip
    """The legal acts that may start from the matter's state and that the caller's role may do, each with what still stops it. An act that
    would end a clock is there only while that runs."""
    if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
        return []
    running = {c["key"]: c for c in matter["clocks"] if c["stopped_at"] is None}
    gates = {(g["track"], g["name"]): g["state"] for g in matter["gates"]}
    waiting = {(r["act"], r["ground"]): r for r in await connection.fetch(_OPEN_APPROVALS, matter["id"])}
    found = []
    for name, act in acts.ACTS.items():
        if matter["lane"] not in act.lanes or matter["state"] not in act.sources or not _may(principal, name, act):
            continue
        if act.stops and act.stops not in running:
            continue
        stopped = [] if principal.natural_person or not act.person else ["须由自然人办理，系统令牌不能办理"]
        stopped += settling.absent_consents(gates, act)
        grounds: list[dict[str, Any]] = []
        for ground in act.grounds or (None,):
            signing = acts.signing(name, ground)
            why = await _hindered(connection, matter, name, ground, running, now)
            if signing.persons > 1 and any(a == name for a, _ in waiting):
                why.append("同一行为已提出，待另一人签署")
            if signing.persons == 1 and signing.last and not principal.has(signing.last):
                why.append("须由部门负责人签署")
            grounds.append(
                {
                    "ground": ground, "label": _ground_text(ground) if ground else None,
                    "legal_basis": acts.cite_ground(ground) if ground and ground not in acts.GROUND_LABELS else act.cited,
                    "persons": signing.persons, "sampled": signing.sampled, "last": signing.last, "stopped": why,
                }
            )  # fmt: skip
        if not act.grounds:
            stopped += grounds[0]["stopped"]
        found.append(
            {
                "act": name, "label": act.label, "legal_basis": act.cited or None, "persons": max(g["persons"] for g in grounds),
                "last": grounds[0]["last"], "grounds": grounds if act.grounds else [], "reason_needed": act.reasoned, "needs": list(act.needs),
                "takes": list(act.takes), "stopped": stopped, "ready": not stopped and any(not g["stopped"] for g in grounds),
                "call": {"method": "POST", "path": f"/v1/complaints/{letter_id}/withdraw"} if name == "withdraw" else _call(matter, name),
            }
        )  # fmt: skip
    return found


def _ground_text(ground: str) -> str:
    if ground in acts.GROUND_LABELS:
        return acts.GROUND_LABELS[ground]
    article, *where = (int(n) for n in ground.replace(")", "").split("("))
    return law.sentence(law.ORDER_121, article, where[-1], where[0] if len(where) > 1 else None)


def _may(principal: Principal, name: str, act: acts.Act) -> bool:
    if name == "withdraw":  # the complainant's own, through his portal or at the desk; a mediator writes it as the outcome
        return principal.has("intake", "admin")
    return principal.has(*act.roles, "admin")


async def _hindered(
    connection: Connection, matter: Mapping[str, Any], act: str, ground: str | None, running: Mapping[str, Any], now: datetime
) -> list[str]:  # fmt: skip
    """What a ground waits for: its sixty days (Art. 23(1)(5)), a represented person's word (Art. 12(2))."""
    why = []
    mediate = running.get("complaint.mediate")
    if ground == "23(1)(5)" and mediate and local_day(now) <= mediate["due_on"]:
        why.append(f"六十日期限至{mediate['due_on']}届满，此前不得以该情形终止")
    if (kinds := settling.ASSENTS.get((act, ground))) and matter.get("joint_matter_id"):
        try:
            await joint.require_assent(connection, matter["id"], kinds)
        except Conflict as lacking:
            why.append(lacking.detail.rpartition(":")[0])
    return why


# -- who had it before

_HANDLED = {
    "release": "放回队列", "finish": "办结", "return": "退回统一接收机构", "transfer": "转交", "assign": "指派", "recall": "主管收回", "expire": "到时未续，收回",
    "hold": "搁置", "rested": "搁置期满", "recuse": "因回避放回队列", "deputise": "转由代理人办理", "absent": "因请假放回队列", "escalate": "升级",
    "reopen": "重新办理", "reroute": "改变轨道或者队列", "flag": "标记", "join": "并入共同投诉", "merged": "并入另一事项", "platform_ended": "平台已办结",
}  # fmt: skip
_HANDLING = (
    "holder", "claimed_at", "from", "queue", "to", "reason", "outcome", "recovered_fen", "satisfied", "for", "until", "flag",
)  # fmt: skip
_HANDLINGS = 30


async def _handling(connection: Connection, matter_id: uuid.UUID) -> list[dict[str, Any]]:
    """What whoever takes it on asks first: who had it, and why he gave it away. The newest first."""
    found = []
    for event in await work.history(connection, matter_id, _HANDLINGS):
        name, detail = event["act"], event["detail"] or {}
        act = acts.ACTS.get(name)
        told = {k: detail[k] for k in _HANDLING if detail.get(k) is not None}
        told |= {k: datetime.fromisoformat(told[k]) for k in ("claimed_at", "until") if k in told}
        if "outcome" in told:
            told["outcome_label"] = _outcome_labels().get(told["outcome"], told["outcome"])
        found.append(
            {
                "act": name,
                "label": _HANDLED.get(name) or (act.label if act else name),
                "at": event["at"],
                "actor": event["actor"],
                **told,
            }
        )
    return found


# -- in short, for many

_COLUMNS = {
    "id": "m.id", "complaint_id": "m.letter_id", "lane": "m.lane", "kind": "m.kind", "state": "m.state", "track": "m.track",
    "district": "m.district", "goods": "m.goods", "problem": "m.problem", "issues": "m.issues", "demands": "m.demands",
    "amount_fen": "m.amount_fen", "received_at": "m.received_at", "merchant_id": "m.merchant_id", "merchant": "mc.name",
    "missing": "m.reading -> 'missing'", "reasons": "d.reasons", "incident_people": "i.people", "earlier_complaints": "earlier.complaints",
    "clocks": "k.running",
}  # fmt: skip
_BRIEF = """(SELECT brief FROM (
SELECT {columns}
FROM matter m LEFT JOIN merchant mc ON mc.id = m.merchant_id
LEFT JOIN LATERAL (SELECT reasons FROM decision WHERE matter_id = m.id ORDER BY decided_at DESC, id DESC LIMIT 1) d ON true
LEFT JOIN LATERAL (
  SELECT greatest(i.people_complaints + least(i.unidentified, 1), CASE WHEN m.lane = 'complaint' THEN 1 ELSE 0 END) AS people
  FROM incident_membership im JOIN incident i ON i.id = im.incident_id WHERE im.matter_id = m.id AND im.valid_to IS NULL AND im.is_primary LIMIT 1
) i ON true
LEFT JOIN LATERAL (
  SELECT count(DISTINCT o.id) AS complaints FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  JOIN complainant_membership c2 ON c2.complainant_id = cm.complainant_id AND c2.valid_to IS NULL
  JOIN party p2 ON p2.record_id = c2.record_id AND p2.role IN ({filed}) JOIN matter o ON o.id = p2.matter_id
  WHERE p.matter_id = m.id AND p.role IN ({filed}) AND o.lane = 'complaint' AND o.copy_of IS NULL AND o.letter_id <> m.letter_id
    AND o.received_at < m.received_at
) earlier ON true
LEFT JOIN LATERAL (
  SELECT jsonb_agg(jsonb_build_array(key, due_on, due_at, started_at, paused_at, paused_days, provisional) ORDER BY due_at) AS running
  FROM clock WHERE matter_id = m.id AND stopped_at IS NULL
) k ON true
WHERE m.id = {matter} AND m.lane IN ({lanes})
) brief)"""


@lru_cache
def brief_sql(matter: str, lanes: tuple[str, ...]) -> str:
    """One value of a statement: the matter in short, for `brief` to tell; null where it is outside the lanes. matter: SQL of its id. A claim reads
    it with what it leases, for a statement of its own costs a quarter of a claim."""

    def texts(values: Sequence[str]) -> str:
        return ", ".join(f"'{v}'" for v in values)

    columns = ", ".join(f"{sql} AS {name}" for name, sql in _COLUMNS.items())
    return _BRIEF.format(columns=columns, filed=texts(_FILED), matter=matter, lanes=texts(lanes))


def brief(calendar: Calendar, row: Sequence[Any] | None, lanes: Sequence[str], *, now: datetime) -> dict[str, Any] | None:
    """What it is about, what lacks, clocks with lights, reasons, people of the incident, the person's earlier complaints, the merchant. row: what
    `brief_sql` gave for the same lanes."""
    if row is None:
        return None
    found = dict(zip(_COLUMNS, row, strict=True))
    lane = found["lane"]
    return {
        **found,
        "missing": [
            {"code": code, "label": MISSING_LABELS[code]}
            for code in found["missing"] or () if code in MISSING_LABELS and lane == "complaint"
        ],
        "clocks": [_running(calendar, now, *clock) for clock in found["clocks"] or ()],
        "reasons": [
            {"text": one["text"], "legal_basis": one.get("legal_basis")}
            for one in known_reasons(found["reasons"] or (), lane, lanes)
        ],
    }  # fmt: skip


def _running(
    calendar: Calendar, now: datetime, key: str, due_on: str, due_at: str, started_at: str, paused_at: str | None, paused_days: int, provisional: bool
) -> dict[str, Any]:  # fmt: skip
    paused, ends = paused_at is not None, datetime.fromisoformat(due_at)
    term = calendar.terms.terms.get(key)
    shown = light(now, ends, datetime.fromisoformat(started_at), calendar, paused=paused, paused_days=paused_days)
    left = None if paused else calendar.working_days_between(local_day(now), date.fromisoformat(due_on))
    return {
        "key": key, "name": term.name if term else key, "light": shown, "light_label": _LIGHTS[shown], "due_on": due_on, "due_at": ends,
        "provisional": provisional, "paused": paused, "working_days_left": left,
    }  # fmt: skip
