"""Who matters are handed to: eight kinds of partner and what each is for, which partners there are, whether one is fit for a matter."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from app import audit, deliveries, directories, identity, law
from app.calendar import local_day
from app.database import Connection
from app.errors import Conflict, Invalid, NotFound
from app.identity import Principal, new_id
from app.privacy import Vault

RESULT_LABELS = {
    "agreement": "达成协议", "refused": "一方拒绝", "no_agreement": "未达成协议", "no_reply": "逾期未答复", "unreachable": "联系不到当事人",
    "not_ours": "不属于承办范围", "already_handled": "同一争议已经受理或者处理", "recusal": "应当回避", "incomplete": "材料不全",
    "accepted": "答复已采纳", "rejected": "未采纳", "case_opened": "立案", "case_not_opened": "不予立案", "handled": "已处理",
    "confirmed": "确认有效", "dismissed": "裁定驳回", "not_applied": "双方未共同申请", "suit_filed": "已提起公益诉讼",
    "suit_supported": "已支持起诉", "talked": "已约谈经营者", "declined": "不作为公益诉讼案件",
}  # fmt: skip
_BACK = ("not_ours", "incomplete")


@dataclass(frozen=True, slots=True)
class Kind:
    """lanes: of which matters; acts: the legal acts that hand over to it, none: it is handed to beside them; posted: it may be; clock: whose
    due day is the partner's; states: the matter's, in which the partner works on it, None: whichever; results: what it may say by state."""

    label: str
    lanes: tuple[str, ...]
    basis: tuple[tuple[str, int, int | None], ...]
    results: Mapping[str, tuple[str, ...]]
    acts: tuple[str, ...] = ()
    posted: bool = True
    clock: str | None = None
    states: frozenset[str] | None = None
    directory: str | None = None


_COMPLAINT, _ANY = ("complaint",), ("complaint", "report", "other")
_DELEGATION = ((law.ORDER_121, 19, None), (law.CONSUMER_REGULATION, 46, 4))
# After an appraisal a delegated mediation goes on as one under way.
_MEDIATED = frozenset({"delegated", "mediating", "appraising", "suspended"})
_MEDIATION_RESULTS = {
    "done": ("agreement",), "failed": ("refused", "no_agreement", "unreachable"), "returned": (*_BACK, "already_handled", "recusal"),
}  # fmt: skip
KINDS: Mapping[str, Kind] = {
    "odr": Kind(
        "在线消费纠纷解决（ODR）企业", _COMPLAINT, ((law.ORDER_121, 6, 3), (law.ORDER_121, 18, 2)),
        {"done": ("agreement",), "failed": ("refused", "no_agreement", "no_reply", "unreachable"), "returned": _BACK},
        ("settle",), False, "odr.settle", frozenset({"settling"}), "odr",
    ),
    "consumer_council": Kind(
        "消费者协会（消费者委员会）", _COMPLAINT, _DELEGATION, _MEDIATION_RESULTS, ("delegate",), True, "complaint.mediate", _MEDIATED, "mediation"
    ),
    "people_mediation": Kind(
        "人民调解委员会", _COMPLAINT, _DELEGATION, _MEDIATION_RESULTS, ("delegate",), False, "complaint.mediate", _MEDIATED, "mediation"
    ),
    "judicial_confirmation": Kind(
        "人民法院（司法确认）", _COMPLAINT, ((law.MEDIATION_LAW, 33, 1), (law.CIVIL_PROCEDURE_LAW, 205, None)),
        {"done": ("confirmed",), "failed": ("dismissed", "not_applied"), "returned": _BACK},
    ),
    "enforcement": Kind(
        "执法办案机构（案源）", ("report",), ((law.PENALTY_PROCEDURE, 18, None),),
        {"done": ("case_opened", "case_not_opened", "handled"), "failed": (), "returned": _BACK}, clock="clue.verify",
    ),
    "hotline_12345": Kind(
        "12345政务服务便民热线", _ANY, (), {"done": ("accepted",), "failed": ("rejected",), "returned": _BACK}, clock="hotline12345.reply"
    ),
    "department": Kind(
        "其他部门", _ANY, (), {"done": ("handled", "case_opened", "case_not_opened"), "failed": (), "returned": (*_BACK, "already_handled")},
        ("transfer",), directory="department",
    ),
    "public_interest": Kind(
        "公益诉讼（省级以上消费者协会、人民检察院）", _COMPLAINT,
        ((law.CONSUMER_LAW, 47, None), (law.CONSUMER_REGULATION, 41, None), (law.CIVIL_PROCEDURE_LAW, 58, None)),
        {"done": ("suit_filed", "suit_supported", "talked"), "failed": ("declined",), "returned": _BACK}, posted=False,
    ),
}  # fmt: skip
# On which sentence a department is written to: a report it has the power for, a matter that is none of the bureau's.
_DEPARTMENT_BASIS = {
    "complaint": (law.ORDER_121, 16, None, 1),
    "report": (law.ORDER_121, 34, None, None),
    "other": (law.ORDER_121, 44, None, None),
}
BY_ACT = {act: tuple(k for k, kind in KINDS.items() if act in kind.acts) for act in ("settle", "delegate", "transfer")}


def basis(kind: str, lane: str, *, act: str | None) -> str:
    """Chinese. A council that was not delegated to is asked whether it has the dispute already."""
    if kind == "department":
        return law.cite(*_DEPARTMENT_BASIS[lane])
    if kind == "hotline_12345":
        return "12345热线转办事项的答复（时限由地方规定，可配置）"
    if kind == "consumer_council" and act is None:
        return law.cite(law.ORDER_121, 16, item=2)
    return "、".join(law.cite(*one) for one in KINDS[kind].basis)


# -- which there are


def require_kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise Invalid.field("kind", f"must be one of {', '.join(KINDS)}")
    return KINDS[kind]


async def register(
    connection: Connection, vault: Vault, principal: Principal, *, kind: str, name: str, jurisdictions: Sequence[str],
    directory_key: str | None, url: str | None,
) -> dict[str, Any]:  # fmt: skip
    """A partner with its token and, where it is called, its secret: both shown once. Raises Invalid for one that its directory lacks."""
    wanted = require_kind(kind)
    if beyond := [j for j in jurisdictions if not principal.covers(j)]:
        raise Invalid.field("jurisdictions", f"not yours: {', '.join(beyond)}")
    if kind == "odr" and directory_key is None:
        raise Invalid.field("directory_key", "an ODR enterprise is known by its unified social credit code")
    if directory_key is not None:
        if wanted.directory is None:
            raise Invalid.field("directory_key", f"there is no directory of {kind}")
        if not await _in_directory(connection, wanted.directory, directory_key, local_day(datetime.now(UTC))):
            raise Invalid.field("directory_key", f"not in the directory {wanted.directory} today")
    partner_id = new_id()
    made = await connection.fetchval(
        "INSERT INTO partner (id, kind, name, directory_key, jurisdictions, created_by) VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (kind, directory_key) WHERE disabled_at IS NULL DO NOTHING RETURNING id",
        partner_id, kind, name, directory_key, list(jurisdictions or principal.jurisdictions), principal.subject,
    )  # fmt: skip
    if made is None:
        raise Conflict(f"a partner {kind} {directory_key} is registered already")
    secret = await deliveries.listen_as_partner(connection, vault, principal, partner_id, url) if url else None
    token = await identity.issue_to_partner(connection, partner_id)
    await audit.record(connection, principal.subject, "register", "partner", [partner_id])
    return {"id": partner_id, "kind": kind, "name": name, "token": token, "secret": secret}


async def _in_directory(connection: Connection, directory: str, key: str, on: date) -> bool:
    if directory == "odr":
        return (await directories.odr_status(connection, [key], on)).live is True
    return bool(
        await connection.fetchval(
            "SELECT 1 FROM organisation WHERE kind = $1 AND (key = $2 OR code = $2) AND valid_from <= $3 AND (valid_to IS NULL OR valid_to >= $3)",
            directory, key, on,
        )
    )  # fmt: skip


_PARTNERS = """
SELECT p.id, p.kind, p.name, p.directory_key, p.jurisdictions, p.created_by, p.created_at, p.disabled_at, w.url,
       (SELECT count(*) FROM handover h WHERE h.partner_id = p.id AND h.closed_at IS NULL) AS open,
       (SELECT count(*) FROM delivery d WHERE d.webhook_id = w.id AND d.state = 'failed') AS undelivered
FROM partner p LEFT JOIN webhook w ON w.partner_id = p.id AND w.disabled_at IS NULL
WHERE $1::uuid IS NULL OR p.id = $1 ORDER BY p.id
"""


async def listed(connection: Connection, partner_id: uuid.UUID | None = None) -> list[dict[str, Any]]:
    """All, or one. open: hand-overs it has; undelivered: events its address did not take for good."""
    return [{**dict(r), "label": KINDS[r["kind"]].label} for r in await connection.fetch(_PARTNERS, partner_id)]


async def disable(connection: Connection, partner_id: uuid.UUID, principal: Principal) -> None:
    """It reads and says nothing more; what it has stays with it until somebody recalls it."""
    await _require_active(connection, partner_id, principal)
    await connection.execute("UPDATE partner SET disabled_at = clock_timestamp() WHERE id = $1", partner_id)
    await identity.revoke(connection, f"{identity.PARTNER}:{partner_id}")
    for row in await connection.fetch("SELECT id FROM webhook WHERE partner_id = $1 AND disabled_at IS NULL", partner_id):
        await deliveries.disable(connection, row["id"], principal)
    await audit.record(connection, principal.subject, "disable", "partner", [partner_id])


async def renew_token(connection: Connection, partner_id: uuid.UUID, principal: Principal) -> str:
    await _require_active(connection, partner_id, principal)
    await audit.record(connection, principal.subject, "renew_token", "partner", [partner_id])
    return await identity.issue_to_partner(connection, partner_id)


async def readdress(connection: Connection, vault: Vault, partner_id: uuid.UUID, url: str, principal: Principal) -> str:
    """Its new address; what the old one did not take is sent there. Gives the new secret."""
    await _require_active(connection, partner_id, principal)
    return await deliveries.listen_as_partner(connection, vault, principal, partner_id, url)


async def _require_active(connection: Connection, partner_id: uuid.UUID, principal: Principal) -> None:
    """Holds it. A partner of places beyond the caller's is not his to change."""
    places = await connection.fetchval(
        "SELECT jurisdictions FROM partner WHERE id = $1 AND disabled_at IS NULL FOR UPDATE", partner_id
    )
    if places is None or not all(principal.covers(p) for p in places):
        raise NotFound("no such partner, or it is disabled")


async def find_partner(
    connection: Connection, partner_id: uuid.UUID, kinds: Sequence[str], matter: Any, on: date
) -> Any:  # fmt: skip
    """The partner, fit for the matter: of one of the kinds, active, of its place and in its directory on the day; an ODR enterprise is the
    merchant itself. Raises Invalid for another, Conflict where the directory says no."""
    row = await connection.fetchrow("SELECT * FROM partner WHERE id = $1 FOR SHARE", partner_id)
    if row is None or row["kind"] not in kinds:
        raise Invalid.field("partner_id", f"must be a partner of the kind {' or '.join(kinds)}")
    kind = KINDS[row["kind"]]
    if row["disabled_at"] is not None:
        raise Conflict(f"{row['name']}: disabled")
    if not any(matter["district"].startswith(j) for j in row["jurisdictions"]):
        raise Invalid.field("partner_id", "does not serve the matter's place")
    if matter["lane"] not in kind.lanes:
        raise Conflict(f"{kind.label}: only for {', '.join(kind.lanes)}; this matter is {matter['lane']}")
    if kind.directory and row["directory_key"] and not await _in_directory(connection, kind.directory, row["directory_key"], on):
        raise Conflict(f"{row['name']}: 已不在名录（{directories.DIRECTORIES[kind.directory].label}）")
    if row["kind"] == "odr" and not await connection.fetchval(_IS_RESPONDENT, matter["id"], row["directory_key"]):
        raise Conflict(f"{row['name']}: 不是本件的被投诉人（统一社会信用代码不符）")
    return row


_IS_RESPONDENT = """
SELECT 1 FROM merchant mc WHERE mc.uscc = $2 AND mc.id IN (
  SELECT merchant_id FROM matter WHERE id = $1 UNION ALL SELECT merchant_id FROM respondent WHERE matter_id = $1 AND valid_to IS NULL
)
"""
