"""The sheet of the factors of Art. 17 for the people who judge a complaint: figures with definition, period and the matters behind them.

It says what is known on each item of Art. 17(1) and what speaks against it. No score, no verdict: whether a factor is met is an act of
two natural persons, which keeps the sheet they saw. All figures are of what the reader may see: his places, and complaints only; that
somebody also reported is told apart, to those who may know (Art. 37).
"""

import hashlib
import itertools
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import orjson

from app import acts, audit, cases, intake, law, policy, repeats, wording
from app.calendar import local_day
from app.database import Connection, to_json
from app.errors import NotFound
from app.identity import new_id
from app.policy import Policy
from app.privacy import Vault
from ml import linkage
from ml.tokens import KEY_FIELDS, Field

PERIODS = (30, 90, 365)
_MOST = 500  # of a person's complaints
_READ = 10  # like purchases whose letters are read for their quantities
_LISTED = 40

NOTICE = "本表仅汇集与第十七条第一款各项因素有关的数字和材料，供工作人员判断时参考；不是评分，也不是认定。认定须由两名工作人员签署，不得由系统作出。"
COMMON = "多次投诉本身不是滥用：可能是同一问题未获解决、同一事项经不同渠道登记、与同一经营者发生的新争议。据两地市场监管部门自行统计，职业类投诉占投诉量的百分之十一至三十，多数不是。"

_OF = """
SELECT DISTINCT cm.complainant_id, p.role FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
WHERE p.matter_id = $1 AND p.role IN ('filer', 'principal') ORDER BY 1
"""
# From the people outward, as cases.earlier. Merchants that were merged are one.
_HISTORY = """
WITH RECURSIVE own AS MATERIALIZED (
  SELECT DISTINCT m.id FROM complainant_membership cm JOIN party p ON p.record_id = cm.record_id AND p.role IN ('filer', 'principal')
  JOIN matter m ON m.id = p.matter_id
  WHERE cm.complainant_id = ANY($1) AND cm.valid_to IS NULL AND m.copy_of IS NULL AND m.event_at + interval '0' >= $2
    AND EXISTS (SELECT 1 FROM unnest($3::text[]) j WHERE starts_with(m.district, j))
), up (id, home) AS (
  SELECT DISTINCT m.merchant_id, m.merchant_id FROM own JOIN matter m USING (id) WHERE m.merchant_id IS NOT NULL
  UNION SELECT up.id, mc.merged_into FROM up JOIN merchant mc ON mc.id = up.home WHERE mc.merged_into IS NOT NULL
), home AS (SELECT up.id, up.home FROM up JOIN merchant mc ON mc.id = up.home WHERE mc.merged_into IS NULL)
SELECT m.id, m.letter_id, m.lane, m.event_at, m.event_on, m.received_at, m.goods, m.problem, m.issues, home.home AS merchant_id, m.product_token,
       m.order_token, m.amount_fen, m.state, m.closed_at, m.outcome, m.recovered_fen, m.reading, m.history,
       (SELECT count(*) FROM attachment a WHERE a.letter_id = m.letter_id) AS attachments,
       EXISTS (SELECT 1 FROM state_change s WHERE s.matter_id = m.id AND s.ground = '16(3)') AS refused_16_3,
       EXISTS (SELECT 1 FROM state_change s WHERE s.matter_id = m.id AND s.ground = '23(1)(6)') AS ended_23_6
FROM own JOIN matter m USING (id) LEFT JOIN home ON home.id = m.merchant_id ORDER BY m.event_at DESC, m.id DESC LIMIT $4
"""
_SHARED = """
WITH mine AS (SELECT DISTINCT t AS token FROM complainant c, unnest(c.tokens) AS t WHERE c.id = ANY($1) AND t & 63 = ANY($2))
SELECT k.token & 63 AS field, k.complainant_id, array_agg(DISTINCT m.id) AS matters
FROM mine JOIN complainant_key k ON k.token = mine.token
JOIN complainant_membership cm ON cm.complainant_id = k.complainant_id AND cm.valid_to IS NULL
JOIN party p ON p.record_id = cm.record_id AND p.role IN ('filer', 'principal')
JOIN matter m ON m.id = p.matter_id AND m.lane = 'complaint' AND m.event_at >= $3
WHERE NOT k.complainant_id = ANY($1) AND EXISTS (SELECT 1 FROM unnest($4::text[]) j WHERE starts_with(m.district, j))
GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 500
"""
_FIELD_LABELS = {
    Field.PHONE: "电话号码", Field.ID: "身份证号", Field.PASSPORT: "其他证件号", Field.ADDRESS: "通讯地址", Field.STREET: "街道门牌",
    Field.WECHAT: "微信号", Field.EMAIL: "邮箱", Field.ACCOUNT: "平台账号", Field.DEVICE: "设备", Field.OPENID: "微信标识",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sheet:
    """content: as JSON. hash: of it but its moment and what it tells of reports: the same facts have the same."""

    content: dict[str, Any]

    @property
    def hash(self) -> str:
        return str(self.content["hash"])


async def sheet(
    connection: Connection, vault: Vault, matter_id: uuid.UUID, *, lanes: Sequence[str], jurisdictions: Sequence[str], at: datetime
) -> Sheet:  # fmt: skip
    """Of a complaint. Decrypts its letter and those of like purchases for the quantities they state, and shows nothing of them but those.
    Raises NotFound for what is no complaint, or none of the reader's."""
    matter = await connection.fetchrow(
        "SELECT m.*, im.incident_id FROM matter m LEFT JOIN incident_membership im ON im.matter_id = m.id AND im.valid_to IS NULL "
        "AND im.is_primary WHERE m.id = $1",
        matter_id,
    )
    if (
        matter is None
        or matter["lane"] != "complaint"
        or "complaint" not in lanes
        or not any(matter["district"].startswith(j) for j in jurisdictions)
    ):
        raise NotFound("no such matter")
    filers = await connection.fetch(_OF, matter_id)
    people = [r["complainant_id"] for r in filers]
    since = matter["event_at"] - timedelta(days=max(PERIODS))
    rows = await connection.fetch(_HISTORY, people, since, list(jurisdictions), _MOST) if people else []
    every = [r for r in rows if r["lane"] == "complaint"]
    own = next((r for r in every if r["id"] == matter_id), None)
    if own is None:  # nobody is named, or it is a copy: it stands for itself
        own = {
            **dict(matter), "attachments": await connection.fetchval("SELECT count(*) FROM attachment WHERE letter_id = $1", matter["letter_id"]),
            "refused_16_3": False, "ended_23_6": False,
        }  # fmt: skip
        every = [own, *every]
    shared = await _sharing(connection, people, since, jurisdictions)
    texts = await wording.beside(connection, matter_id, jurisdictions)
    counted = None
    if matter["incident_id"] is not None:
        counted = await connection.fetchrow(
            "SELECT people_complaints + least(unidentified, 1) AS people FROM incident WHERE id = $1", matter["incident_id"]
        )
    in_incident = int(counted["people"]) if counted else 0
    others = [r for r in every if r["id"] != matter_id]
    content: dict[str, Any] = {
        "matter_id": str(matter_id),
        "filers": [{"complainant_id": str(r["complainant_id"]), "role": r["role"]} for r in filers],
        "scope": {
            "jurisdictions": sorted(jurisdictions), "lane": "complaint", "periods_days": list(PERIODS), "matter_on": _day(own["event_at"]),
            "text": "期间自本件之日向前计算，本件之后的也计入；只统计查阅人权限范围内的投诉，重复登记的（R1）不计。",
        },
        "notice": NOTICE,
        "chapeau": {"cite": law.cite(law.ORDER_121, 17, 1), "sentence": law.sentence(law.ORDER_121, 17, paragraph=1).split("\n")[0]},
        "items": [
            await _quantity(connection, vault, own, others),
            _one_target(own, every, texts, in_incident),
            _proof(own),
            _contacts(shared),
            _other(own, every),
        ],
        "findings": await _findings(connection, matter_id),
        "common": COMMON,
    }  # fmt: skip
    if "report" in lanes:
        reports = [r for r in rows if r["lane"] == "report"]
        content["reports"] = _figure(
            "reports", "同一投诉人的举报件数", reports, "同一人提出的举报，重复登记的不计；只对可以知悉举报的人员显示", 365
        )
    told = {k: v for k, v in content.items() if k != "reports"}
    content["hash"] = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
    content["as_of"] = at.isoformat()
    return Sheet(content)


def _day(at: datetime) -> str:
    return local_day(at).isoformat()


def _figure(
    name: str, label: str, rows: Iterable[Any], definition: str, days: int | None = None, *, value: Any = None, unit: str = "件"
) -> dict[str, Any]:  # fmt: skip
    """A number with what it counts, its period in days before the matter (None: of the matter itself) and the matters behind it."""
    ids = [str(r["id"]) for r in rows]
    return {
        "name": name, "label": label, "value": len(ids) if value is None else value, "unit": unit, "definition": definition,
        "days": days, "matters": ids[:_LISTED], "more": max(len(ids) - _LISTED, 0),
    }  # fmt: skip


def _item(number: int, text: str, figures: Sequence[Mapping[str, Any]], against: Sequence[str], **more: Any) -> dict[str, Any]:
    """against: what speaks against it, in Chinese."""
    return {
        "factor": f"17({number})", "cite": law.cite(law.ORDER_121, 17, 1, number), "sentence": law.sentence(law.ORDER_121, 17, number, 1),
        "text": text, "figures": list(figures), "against": list(against), **more,
    }  # fmt: skip


def _by_period(
    name: str, label: str, rows: Sequence[Any], definition: str, own: Any, periods: Sequence[int] = PERIODS
) -> list[dict[str, Any]]:
    return [
        _figure(f"{name}_{days}", f"{label}（{days}日内）", repeats.within(rows, own["event_at"], days), definition, days)
        for days in periods
    ]  # fmt: skip


# -- the items


async def _quantity(connection: Connection, vault: Vault, own: Any, others: Sequence[Any]) -> dict[str, Any]:
    """(一) quantity, times and frequency against shelf life and habit."""
    like = [r for r in others if _same_goods(own, r)]
    stated = []
    for row in [own, *like[:_READ]]:
        text = (await intake.open_letter(connection, vault, row["letter_id"])).body.text
        seen = repeats.bought(text)
        if seen.counts or seen.times or seen.shelf_days_left:
            stated.append(
                {"matter_id": str(row["id"]), "day": _day(row["event_at"]), "amount_fen": row["amount_fen"], **seen.as_json()}
            )
    figures = _by_period(
        "like_purchases", "同类商品或者服务的投诉", [own, *like], "同一投诉人就同一商品名称，或者同一客体类别（“其他”类不计）提出的投诉，含本件", own
    )  # fmt: skip
    days = sorted(_on(r) for r in [own, *like])
    gaps = [(b - a).days for a, b in itertools.pairwise(days)]
    if gaps:
        figures.append(
            _figure("shortest_gap", "两次同类消费的最短间隔", [own, *like], "按争议发生日计算，无争议发生日的按收到日", 365, value=min(gaps), unit="日")
        )  # fmt: skip
    mine = [s for s in stated if s["matter_id"] == str(own["id"])]
    against = []
    if not any(s["quantities"] for s in mine):
        against.append("本件来件未写明购买数量")
    if any(s["explained"] for s in mine):
        against.append("来件有单位、聚餐、送礼等用语，数量可能有正常原因，宜询问")
    if not like:
        against.append("未见同一投诉人就同类商品或者服务的其他投诉")
    text = f"本件及同类投诉共{len(like) + 1}件；来件写明的购买数量、次数、剩余保质期见stated，均为来件自述，未经核实。"
    return _item(1, text, figures, against, stated=stated)


def _one_target(own: Any, every: Sequence[Any], texts: wording.Beside | None, in_incident: int) -> dict[str, Any]:
    """(二) one person on one merchant, goods and problem; or different people with one wording: the 2x2 with what tips it."""
    at_one = [
        r for r in every if r["id"] == own["id"] or (own["merchant_id"] is not None and r["merchant_id"] == own["merchant_id"])
    ]
    goods = [r for r in at_one if r["id"] == own["id"] or _same_goods(own, r)]
    problem = [r for r in goods if r["id"] == own["id"] or _same_problem(own, r)]
    figures = [
        *_by_period("merchant", "对同一经营者的投诉", at_one, "同一投诉人对同一经营者的投诉，含本件，重复登记的不计", own),
        *_by_period("merchant_goods", "其中同一类商品或者服务", goods, "商品名称相同或者客体类别相同（“其他”类不计）", own),
        *_by_period(
            "merchant_goods_problem", "其中又属同一类问题", problem, "问题类别相同或者具体问题有重合（“其他”类不计）", own
        ),
    ]
    against = []
    if len(problem) == 1:
        against.append("未见同一投诉人就同一经营者、同一类商品或者服务、同一类问题的其他投诉")
    solved = [r for r in at_one if r["id"] != own["id"] and r["closed_at"] is None]
    if solved:
        against.append(f"对同一经营者的其他投诉中有{len(solved)}件尚未办结，可能是同一问题未获解决")
    table, tipping = None, None
    if texts is not None:
        same, elsewhere = [o for o, _ in texts.same], [o for o, _ in texts.elsewhere]
        alike = len({p for o in same for p in o.people})
        own_words = max(in_incident - alike - 1, 0)
        table = {
            "same_target": {
                "near_identical": _cell(same, "待定：文字雷同、对象相同，仍计入同一事件的人数"), "own_words": {"people": own_words, "reading": "同一事件中文字不同的其他投诉人"},
            },
            "different_targets": {
                "near_identical": _cell(elsewhere, "文字雷同、对象不同，供按第五项参考"), "own_words": {"people": None, "reading": "文字不同、对象不同，属通常情形，不统计"},
            },
            "window_days": wording.WINDOW_DAYS, "alike_from": wording.ALIKE, "more": texts.more,
        }  # fmt: skip
        if same:
            d = texts.distinguishing
            tipping = {**d, "together": texts.together}
            if d["distinct_orders"] > 1 and d["distinct_orders"] == d["orders"]:
                against.append(f"文字雷同的来件中有{d['orders']}件载明订单号且各不相同")
            if d["phones"] >= alike + 1:
                against.append("文字雷同的投诉人各自使用不同的电话号码")
            if own_words:
                against.append(f"同一事件中另有{own_words}人用自己的文字投诉同一对象；受害人也会共用模板")
    text = (
        f"同一投诉人一年内对同一经营者投诉{len(repeats.within(at_one, own['event_at'], 365))}件，其中同类商品或者服务、同类问题"
        f"{len(repeats.within(problem, own['event_at'], 365))}件。“恶意串通”须有文字以外的证据，不得仅凭文字雷同认定。"
    )
    return _item(2, text, figures, against, wording=table, tipping=tipping)


def _cell(found: Sequence[wording.Said], reading: str) -> dict[str, Any]:
    return {
        "people": len({p for o in found for p in o.people}), "merchants": len({o.merchant_id for o in found if o.merchant_id}),
        "matters": [str(o.matter_id) for o in found[:_LISTED]], "reading": reading,
    }  # fmt: skip


def _proof(own: Any) -> dict[str, Any]:
    """(三) whether purchase and harm can be proved: what is there and what is not."""
    harm = sorted({d["type"] for d in own["reading"].get("dangers", ()) if d["type"] in _HARMS and d["severity"] != "low"})
    held = {
        "order_no": own["order_token"] is not None, "attachments": int(own["attachments"]), "amount": own["amount_fen"] is not None,
        "event_day": own["event_on"] is not None, "harm_stated": harm,
    }  # fmt: skip
    figures = [
        _figure("order_no", "载明订单号", [own] if held["order_no"] else [], "表单或者来件中的订单号"),
        _figure("attachments", "附件", [own] if held["attachments"] else [], "随来件提交的材料，内容未经识别", value=held["attachments"], unit="个"),
        _figure("amount", "载明消费金额", [own] if held["amount"] else [], "表单或者来件中的金额"),
        _figure("harm", "诉称人身伤害", [own] if harm else [], "来件所述，被否认或者仅属听说的不计"),
    ]  # fmt: skip
    against = [
        words
        for held_now, words in (
            (held["order_no"], "载明订单号，可以据此核实购买事实"),
            (held["attachments"], f"已提交附件{held['attachments']}个，须先查看"),
            (harm, "诉称受到人身伤害"),
        )
        if held_now
    ]
    absent = [
        w for present, w in ((held["order_no"], "订单号"), (held["attachments"], "附件"), (held["amount"], "金额")) if not present
    ]
    if absent:
        against.append("缺少材料不等于不能证明，应先要求补正（第十条）")
    text = f"来件{'未载明或者未提交' + '、'.join(absent) if absent else '载明订单号、金额并提交了附件'}；登记材料缺项：{'、'.join(own['reading'].get('missing', ())) or '无'}。"
    return _item(3, text, figures, against, material=held)


_HARMS = frozenset({"injury", "death", "food_poisoning", "poison"})


async def _sharing(
    connection: Connection, people: Sequence[uuid.UUID], since: datetime, jurisdictions: Sequence[str]
) -> list[Any]:  # fmt: skip
    if not people:
        return []
    fields = [f.value for f in KEY_FIELDS if linkage.CONTACTS >> f.value & 1]
    return list(await connection.fetch(_SHARED, list(people), fields, since, list(jurisdictions)))


def _contacts(shared: Sequence[Any]) -> dict[str, Any]:
    """(四) who else complains with the same telephone, address or document: how many, by which; no value is shown."""
    figures = []
    by_field: dict[int, list[Any]] = {}
    for row in shared:
        by_field.setdefault(row["field"], []).append(row)
    for field, rows in sorted(by_field.items()):
        label = _FIELD_LABELS.get(Field(field), Field(field).name.lower())
        behind = [{"id": i} for row in rows for i in row["matters"]]
        figures.append(
            {
                **_figure(Field(field).name.lower(), f"{label}相同的其他投诉人", behind, "一年内以同一联系方式提出投诉的其他人，按关联后的人数", 365, value=len(rows), unit="人"),
                "complainants": [str(row["complainant_id"]) for row in rows[:_LISTED]],
            }
        )  # fmt: skip
    people = len({row["complainant_id"] for row in shared})
    only_address = bool(by_field) and set(by_field) <= {Field.ADDRESS.value, Field.STREET.value}
    against = []
    if not people:
        against.append("未见其他投诉人使用相同的电话、地址或者证件")
    if only_address:
        against.append("仅地址相同，可能是家庭成员或者同住人")
    elif people:
        against.append("家庭成员、代理人代为填写也会共用联系方式，须询问")
    text = f"一年内另有{people}人以相同的联系方式投诉。" if people else "一年内没有其他人以相同的联系方式投诉。"
    return _item(4, text, figures, against)


def _other(own: Any, every: Sequence[Any]) -> dict[str, Any]:
    """(五) what else may be considered: withdrawals, settlements with money, earlier decisions, purchases after damages."""
    year = repeats.within(every, own["event_at"], 365)
    withdrawn = [r for r in year if r["outcome"] == "withdrawn" or r["state"] == "withdrawn"]
    ended = [r for r in year if r["closed_at"] is not None and not r["history"]]
    paid = [r for r in year if (r["recovered_fen"] or 0) > 0]
    refused = [r for r in year if r["refused_16_3"] or r["ended_23_6"]]
    after = [r for r in year if any(_bought_after(r, p) for p in paid)]
    figures = [
        *_by_period("complaints", "投诉总数", every, "同一投诉人的全部投诉，含本件，重复登记的不计", own),
        _figure("withdrawn", "撤回", withdrawn, "投诉人撤回的投诉", 365),
        _figure("withdrawal_rate", "撤回率", ended, "撤回件数除以已办结件数（历史导入的不计）", 365, value=round(len([r for r in withdrawn if not r["history"]]) / len(ended), 3) if ended else None, unit="比例"),
        _figure("paid", "经调解、和解获得款项", paid, "办结时登记的挽回损失大于零", 365),
        _figure("paid_fen", "其中金额合计", paid, "登记的挽回损失合计", 365, value=sum(r["recovered_fen"] or 0 for r in paid), unit="分"),
        _figure("not_for_consumption", "曾按第十六条第三项或者第二十三条第一款第六项处理", refused, "由工作人员签署的决定", 365),
        _figure("bought_after_paid", "获得款项后又对同一经营者投诉的消费", after, "争议发生日晚于此前获得款项之日", 365),
    ]  # fmt: skip
    against = []
    if len(year) == 1:
        against.append("一年内仅有本件投诉")
    if paid:
        against.append("获得款项也可能说明投诉有理由")
    if withdrawn and not paid:
        against.append("撤回可能是因为争议已经自行解决")
    text = f"同一投诉人一年内投诉{len(year)}件，撤回{len(withdrawn)}件，获得款项{len(paid)}件，曾按第十六条第三项等处理{len(refused)}件。"
    return _item(5, text, figures, against)


def _same_goods(a: Any, b: Any) -> bool:
    if a["product_token"] is not None and a["product_token"] == b["product_token"]:
        return True
    return a["goods"] not in repeats.CATCH_ALL and a["goods"] == b["goods"]


def _same_problem(a: Any, b: Any) -> bool:
    return bool(set(a["issues"]) & set(b["issues"])) or (a["problem"] not in repeats.CATCH_ALL and a["problem"] == b["problem"])


def _on(row: Any) -> date:
    day: date = row["event_on"] or local_day(row["received_at"])
    return day


def _bought_after(row: Any, paid: Any) -> bool:
    """Of one merchant, after damages for an earlier purchase."""
    same = row["id"] != paid["id"] and row["merchant_id"] is not None and row["merchant_id"] == paid["merchant_id"]
    return bool(same and paid["closed_at"] is not None and _on(row) > local_day(paid["closed_at"]))


async def _findings(connection: Connection, matter_id: uuid.UUID) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        "SELECT code, evidence, created_at FROM finding WHERE matter_id = $1 AND code = ANY($2) ORDER BY created_at, id",
        matter_id, ["R3", "R4", "R7", "R8", "serial_wording", "unusual_quantity", "factor17_review", "ART17"],
    )  # fmt: skip
    return [
        {"code": r["code"], "found_on": _day(r["created_at"]), "legal_basis": cases.finding_basis(r["code"], r["evidence"])}
        for r in rows
    ]


# -- opened later: a withdrawal or a link made it true

_PEOPLE_OF = "SELECT DISTINCT cm.complainant_id FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id \
AND cm.valid_to IS NULL WHERE p.matter_id = ANY($1) AND p.role IN ('filer', 'principal')"
_MOVED = """
SELECT DISTINCT cm.complainant_id FROM link_run r JOIN complainant_membership cm ON cm.run_id = r.id AND cm.valid_to IS NULL
JOIN complainant c ON c.id = cm.complainant_id AND c.records > 1 WHERE r.object = 'complainant' AND r.started_at > $1 LIMIT 5000
"""


async def review_people_of(
    connection: Connection, policies: Sequence[Policy], matters: Iterable[uuid.UUID], now: datetime
) -> int:
    """After a withdrawal: see _review."""
    rows = await connection.fetch(_PEOPLE_OF, list(matters))
    return sum([await _review(connection, policies, r["complainant_id"], now) for r in rows])


async def review_moved(connection: Connection, policies: Sequence[Policy], since: datetime, now: datetime) -> int:
    """After records were joined to people: see _review."""
    rows = await connection.fetch(_MOVED, since)
    return sum([await _review(connection, policies, r["complainant_id"], now) for r in rows])


async def _review(connection: Connection, policies: Sequence[Policy], complainant_id: uuid.UUID, now: datetime) -> bool:
    """Opens the sheet on the person's newest open complaint where its numbers, by the thresholds of its place, are reached by now. Where
    none is open there is nothing to judge: the next one that arrives is asked again."""
    newest = await cases.earlier(connection, complainant_id, now - timedelta(days=366), now + timedelta(days=1), 200)
    mine = [r for r in newest if r["lane"] == "complaint" and r["state"] not in acts.CLOSED]
    if not mine:
        return False
    district = await connection.fetchval("SELECT district FROM matter WHERE id = $1", mine[0]["id"])
    thresholds = policy.in_force(policies, local_day(now), district).thresholds
    own = repeats.complained(mine[0])
    found = repeats.review([repeats.complained(r) for r in newest if r["lane"] == "complaint"], own, thresholds)
    if found is None:
        return False
    written = await connection.fetchval(
        "INSERT INTO finding (id, matter_id, code, evidence) SELECT $1, $2, 'factor17_review', $3 WHERE NOT EXISTS "
        "(SELECT 1 FROM finding WHERE matter_id = $2 AND code = 'factor17_review') RETURNING id",
        new_id(), own.id, to_json(found),
    )  # fmt: skip
    return written is not None


# -- what an act keeps


async def snapshot(
    connection: Connection, vault: Vault, matter_id: uuid.UUID, jurisdictions: Sequence[str], at: datetime
) -> dict[str, Any]:
    """The sheet as it stands, for the record of an act: of complaints alone, for whoever signs may not know of reports."""
    return (await sheet(connection, vault, matter_id, lanes=("complaint",), jurisdictions=jurisdictions, at=at)).content


async def read(
    connection: Connection, vault: Vault, matter_id: uuid.UUID, *, reader: str, lanes: Sequence[str], jurisdictions: Sequence[str], at: datetime
) -> dict[str, Any]:  # fmt: skip
    """The sheet for one reader; that he read it is recorded."""
    found = await sheet(connection, vault, matter_id, lanes=lanes, jurisdictions=jurisdictions, at=at)
    read_too = {s["matter_id"] for s in found.content["items"][0]["stated"]} - {str(matter_id)}
    await audit.record(connection, reader, "read_factors", "matter", [matter_id, *sorted(read_too)], lane="complaint")
    return found.content
