"""Danger signals: candidates by word and by pattern, each judged where it stands.

Words and patterns are broad (artifacts/lexicon.json): they propose. A small linear model, learned from texts in which
people marked the dangers, decides from the words around whether a proposal is meant (住在医院对面, 跳楼价, 我妈陪我去).
What is denied or only feared is none; what is only heard is low. Beside the judge stands what a type
means: a chair's gas spring is no special equipment whatever the words around it weigh, and people whose age or kinship is said as
they buy are taken at their word.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from pathlib import Path

from ml.lexicon import Hit, stance

TYPES = (
    "injury", "death", "food_poisoning", "food_safety", "drug_safety", "product_safety", "special_equipment", "minor", "elderly",
    "pregnant", "self_harm", "poison", "explosion", "group_action", "media", "merchant_vanished", "prepaid_run",
)  # fmt: skip
SEVERITIES = ("low", "medium", "high")
MAX_OF_TYPE = 40  # who says a word six thousand times must not make everybody wait


@dataclass(frozen=True, slots=True)
class Danger:
    """A danger said at [start, end). probability: that it is meant. stance: '' or 'heard'."""

    type: str
    severity: str
    start: int
    end: int
    word: str
    probability: float
    stance: str


@dataclass(frozen=True, slots=True)
class Candidate:
    type: str
    severity: str
    start: int
    end: int
    cue: str


@dataclass(frozen=True, slots=True)
class _Pattern:
    """trigger: one of these must stand in the text before the expression is tried at all."""

    type: str
    severity: str
    triggers: frozenset[str]
    expression: re.Pattern[str]


@lru_cache(maxsize=1)
def _patterns() -> list[_Pattern]:
    raw = json.loads((files("ml") / "artifacts" / "lexicon.json").read_text("utf-8"))["danger_patterns"]
    return [_Pattern(p["type"], p["severity"], frozenset(p["triggers"]), re.compile(p["expression"])) for p in raw]


def candidates(text: str, hits: Sequence[Hit]) -> list[Candidate]:
    """Everything that may be a danger, the first MAX_OF_TYPE of each type; of one type the longest where spans overlap,
    the graver where they are equal."""
    by_type: dict[str, list[Candidate]] = {}
    for hit in hits:
        if hit.category == "dangers":
            by_type.setdefault(hit.name, []).append(Candidate(hit.name, hit.severity, hit.start, hit.end, hit.word))
    characters = set(text)
    for number, pattern in enumerate(_patterns()):
        if not pattern.triggers.isdisjoint(characters):
            by_type.setdefault(pattern.type, []).extend(
                Candidate(pattern.type, pattern.severity, m.start(), m.end(), f"#{number}")
                for m in islice(pattern.expression.finditer(text), MAX_OF_TYPE)
            )
    harmless = bytearray(len(text))
    for hit in hits:
        if hit.category == "harmless":
            harmless[hit.start : hit.end] = b"\x01" * (hit.end - hit.start)
    kept: list[Candidate] = []
    for found in by_type.values():
        own: list[Candidate] = []
        first = sorted(found, key=lambda c: c.start)[:MAX_OF_TYPE]
        for one in sorted(first, key=lambda c: (c.start - c.end, -SEVERITIES.index(c.severity), c.start)):
            if not all(harmless[one.start : one.end]) and not any(k.start < one.end and one.start < k.end for k in own):
                own.append(one)
        kept += own
    return sorted(kept, key=lambda c: (c.start, c.type))


# -- what a type means

# As the law lists it (特种设备), and what people call it; 电梯口 is a place.
_EQUIPMENT = re.compile(
    r"电梯(?![口旁间卡房厅边广票对])|扶梯|轿厢|货梯|客梯|锅炉|气瓶|钢瓶|煤气(?!灶|表|费|公司|管道)|液化(?:石油)?气|氧气瓶|压力容器|高压锅|压力锅|蒸汽|起重|吊车|塔吊|吊机|升降[台机平载]|举升机|立体车库|机械车[位库]|叉车|铲车|观光车|缆车|索道"
    r"|(?<!坐)(?<!像)过山车|大摆锤|摆锤|摩天轮|跳楼机|海盗船|木马|飞椅|卡丁车|蹦极|滑索|游乐|碰碰车|吊篮|滑道|滑梯|滑草|秋千|充气|蹦床|转盘|太空舱|飞船|天梯|玻璃桥|水上乐园|游艺|吊厢|(?:储|压力|煤气|氧气|反应)罐"
)
_AROUND = 80
# Of a thing that only breaks, what makes it a danger to people: it carries them, hangs over them, holds energy, or nearly hurt somebody.
_BROKEN = re.compile(r"[断掉脱松裂塌散碎崩胀鼓]|异响|死机|锁死|熄火|断电|没电|黑屏|漏[气油液出]|绝缘|气囊")
_ENERGY = re.compile(r"[火炸爆烟烫焦糊刹毛刺尖利]|电击|触电|漏电|带电|静电|发热|过热|甲醛|失控|失灵|一氧化碳|小零件|燃")
_HAZARD = re.compile(
    r"[车骑摔砸伤险梯刀烫扎割]|划[到破伤开]|电[池芯瓶]|充电|燃气|煤气|天然气|[煤燃]气灶|热水器|气瓶|[煤气]罐|轮胎|行驶|高速|刹|方向盘|护栏|栏杆|秋千|跑步机|玻璃[^,。;!?\n]{0,6}[碎炸爆裂崩]|吊[灯柜扇顶]|天花|高空|差[点一]|险些|吓|吞|卡住喉|儿童座椅|玩具|婴儿|宝宝|孩子|小孩"
)
_BODY_PART = re.compile(
    r"骨|韧带|脑|门牙|跟腱|筋|(?<![扶把拉助提])手(?!机|柄|表|提|环|推|轮|套|链)|(?<![桌椅床凳柜支镜架脚茶几])[腿脚](?!架|垫|轮|踏|手架)|胳膊|[手左右小上]臂|[手脚]指|[手脚]趾|腰|牙齿|大牙|鼻梁"
)
_OTHERS_SILENT = re.compile(r"客服|快递|骑手|物流|售后|司机|人工|驿站|配送|跑腿|热线|12315|12345|导购|机器人")
_SILENCE = re.compile(r"联系不上|没人接|打不通|占线|无人接听|找不到人|不见了|消失|拉黑|关机")
_OF_AGE_ONLY = re.compile(r"^[^,。;!?\n]{0,2}(?:以上|以下|以内|及以上)|^[^。;!?\n]{0,10}(?:寿宴|大寿|祝寿|寿酒|生日)")
_TALKS = re.compile(r"(?:谈|心态|系统|服务器|网站|平台|软件|程序|聊|[aA][pP][pP])$")
_FUEL = re.compile(r"(?:号|升|加|加了|加的|箱|买的)$")
_NO_STOMACH = re.compile(r"^(?:拉[杆链手]|吐司|跑步)")


def _is_equipment(text: str, one: Candidate) -> bool:
    return _EQUIPMENT.search(text, max(0, one.start - _AROUND), min(len(text), one.end + _AROUND)) is not None


def _is_hazard(text: str, one: Candidate) -> bool:
    said = text[one.start : one.end]
    if _ENERGY.search(said) or not _BROKEN.search(said):
        return True
    return _HAZARD.search(text, max(0, one.start - _AROUND), min(len(text), one.end + _AROUND)) is not None


def _is_bodily(text: str, one: Candidate) -> bool:
    """What broke is a bone, or the word says so itself."""
    said = text[one.start : one.end]
    if "断" not in said and "崩" not in said:
        return True
    return _BODY_PART.search(text, max(0, one.start - 6), one.end) is not None


def _is_merchants_silence(text: str, one: Candidate) -> bool:
    clause = _CLAUSE.split(text[max(0, one.start - 12) : one.start])[-1]
    return not (_SILENCE.search(text[one.start : one.end]) and _OTHERS_SILENT.search(clause))


def _is_person(text: str, one: Candidate) -> bool:
    return not _OF_AGE_ONLY.match(text[one.end : one.end + 14])


def _is_explosive(text: str, one: Candidate) -> bool:
    before, said = text[max(0, one.start - 4) : one.start], text[one.start : one.end]
    return not (("崩" in said and _TALKS.search(before)) or (said == "汽油" and _FUEL.search(before)))


def _is_stomach(text: str, one: Candidate) -> bool:
    return not _NO_STOMACH.match(text[one.start : one.end])


# That one's complaint is handled together with others' (Art. 12) is no gathering.
_JOINS = re.compile(r"(?:同意|愿意?|可以)[^,。;!?\n]{0,14}(?:共同|一起|一道|一同|合并)(?:投诉|处理|办理|反映)")


def _is_gathering(text: str, one: Candidate) -> bool:
    around = _JOINS.search(text, max(0, one.start - 16), min(len(text), one.end + 6))
    return around is None or not (around.start() < one.end and one.start < around.end())


_IS_SUCH: Mapping[str, Callable[[str, Candidate], bool]] = {
    "special_equipment": _is_equipment,
    "product_safety": _is_hazard,
    "injury": _is_bodily,
    "merchant_vanished": _is_merchants_silence,
    "elderly": _is_person,
    "explosion": _is_explosive,
    "food_poisoning": _is_stomach,
    "group_action": _is_gathering,
}

# Who buys, is talked into it, or is hurt, and is old or a child by what is said of him; food whose date was changed: no judge is asked.
_BUYS = r"(?:买|花|签|办|交|充|付|开通|报名|转账|下单|打赏|订购|订了|消费|购)"
_LED = r"(?:被|让|给|叫|遭|受)[^,。;!?\n]{0,8}(?:骗|忽悠|拉|推销|诱导|误导|说动|哄|洗脑|坑|怂恿|蒙|劝)"
_ELDER = r"(?:爷爷|奶奶|外婆|外公|姥姥|姥爷|爹爹|婆婆|老人家?|老年人|老太太?|老爷子|老伴|老母亲|老父亲|老两口|老头|嗲嗲|娭毑)"
_PARENT = r"(?:妈妈?|爸爸?|母亲|父亲|老妈|老爸|岳父|岳母|公公|丈母娘|本人|我|其|他|她|来电人)"
_OLD_AGE = r"(?:[6-9]\d(?:多)?|[六七八九]十[一二三四五六七八九多几]?)(?:周)?岁(?!以|及|的?生日|大寿)"
_CHILD = r"(?:儿子|女儿|孩子|小孩|小孩子|侄子|侄女|外甥|外甥女|孙子|孙女|弟弟|妹妹|娃|伢|闺女|未成年人?|小学生|初中生|学生)"
_SURE: Mapping[str, tuple[re.Pattern[str], ...]] = {
    "elderly": (
        re.compile(rf"(?:{_ELDER}|{_PARENT})[^,。;!?\n岁]{{0,4}},?{_OLD_AGE}|{_OLD_AGE}的?[^,。;!?\n]{{0,4}}(?:{_ELDER}|{_PARENT})"),
        re.compile(rf"{_ELDER}[^,。;!?\n家的不没刷]{{0,10}}{_BUYS}|{_ELDER}[^。;!?\n]{{0,20}}{_LED}"),
    ),
    "minor": (
        re.compile(rf"{_CHILD}[^,。;!?\n]{{0,4}}(?:自己|偷偷|擅自|私自|瞒着[^,。]{{0,4}}|趁[^,。]{{0,8}}|用我?[^,。]{{0,6}})[^。;!?\n]{{0,14}}{_BUYS}|{_CHILD}[^,。;!?\n]{{0,8}}{_LED}"),
        re.compile(
            rf"{_CHILD}[^,。;!?\n]{{0,8}}(?:[一二三四五六七八九]|1[0-7]|十[一二三四五六七]|[1-9])(?:周)?岁[^。;!?\n]{{0,18}}{_BUYS}"
        ),
        re.compile(rf"{_CHILD}[^,。;!?\n的]{{0,10}}(?:撞|摔|烫|划|夹|砸|磕|咬|割|压|烧|刮|扎)(?:[到伤肿破出了断]|得)"),
    ),
    # What is eaten or drunk under another day than its own.
    "food_safety": (
        re.compile(
            r"(?:换|改|涂|撕|贴|打|篡改|更改|抹|伪造|覆盖|盖)[了过上掉去]?[^,。;!?\n]{0,6}(?:生产日期|保质期|日期[标签贴码])"
            r"|日期[标签贴]?[^,。;!?\n]{0,3}(?:下面|底下|里面|下)[^,。;!?\n]{0,6}有[^,。;!?\n]{0,4}旧|旧的?(?:标签?|日期)[^,。;!?\n]{0,12}(?:到期|过期)"
        ),
    ),
}  # fmt: skip
# What else must be spoken of somewhere in the text.
_SURE_AMONG = {
    "food_safety": re.compile(r"[吃喝肉奶糕饼酒饮茶糖菜果鱼虾蛋粮油米面酱]|食品|零食|熟食|卤|超市|冷柜|冰柜|冰箱"),
}
# Without one of these no pattern of the type can match.
_SURE_WORDS = {
    "elderly": ("岁", "爷", "奶奶", "外婆", "外公", "姥", "爹爹", "婆婆", "老人", "老年人", "老太", "老伴", "老母亲", "老父亲", "老两口", "老头", "嗲嗲", "娭毑"),
    "food_safety": ("日期", "保质期", "旧标"),
    "minor": ("儿子", "女儿", "孩", "侄", "外甥", "孙", "弟弟", "妹妹", "娃", "伢", "闺女", "未成年", "学生", "初中生"),
}  # fmt: skip
_FOR_THEM = re.compile(r"(?:给|帮|替|为|送|带|跟|和|陪|与)(?:我)?(?:的|了|家|家里)?[^,。;!?\n]{0,4}$")
_SURE_PROBABILITY = 0.9


def _by_what_is_said(text: str, found: Sequence[Danger]) -> Iterator[Danger]:
    known = {d.type for d in found}
    for kind, patterns in _SURE.items():
        if kind in known or not any(word in text for word in _SURE_WORDS[kind]):
            continue
        if (among := _SURE_AMONG.get(kind)) and not among.search(text):
            continue
        for number, pattern in enumerate(patterns):
            for match in pattern.finditer(text):
                start, end = match.span()
                clause = _CLAUSE.split(text[max(0, start - 10) : start])[-1]
                if stance(text, start, end) or _OF_AGE_ONLY.match(text[end : end + 14]) or (number and _FOR_THEM.search(clause)):
                    continue
                yield Danger(kind, "medium", start, end, match.group(), _SURE_PROBABILITY, "")
                break
            else:
                continue
            break


def features(text: str, candidate: Candidate, stood: str, context: Sequence[str], same: int) -> list[str]:
    """What the judge sees of a candidate: its cue, the characters and the clause around it, what the whole text speaks
    of (context) and how many candidates of the type stand in it (same)."""
    kind, start, end = candidate.type, candidate.start, candidate.end
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    found = [
        kind,
        f"{kind}={candidate.cue}",
        f"{kind}!{candidate.severity}",
        f"?{stood}",
        f"{kind}?{stood}",
        f"{kind}n{min(same, 3)}",
    ]
    for size in (1, 2, 3, 4):
        if len(before) >= size:
            found += (f"{kind}<|{before[-size:]}", f"<|{before[-size:]}")
        if len(after) >= size:
            found += (f"{kind}>|{after[:size]}", f">|{after[:size]}")
    clause = (_CLAUSE.split(text[max(0, start - _FAR) : start])[-1], _CLAUSE.split(text[end : end + _FAR], 1)[0])
    for side, part in zip("[]i", (*clause, text[start:end]), strict=True):
        found += [f"{kind}{side}{c}" for c in part]
        for place in range(len(part) - 1):
            pair = part[place : place + 2]
            found += (f"{kind}{side}{pair}", f"{side}{pair}")
    return found + [f"{kind}@{c}" for c in context if c.startswith(_TELLING)]


_NEAR, _FAR = 8, 20
_CERTAIN = 0.85
_CLAUSE = re.compile(r"[,。;!?\n:、]")
_TELLING = ("danger:", "kinds:", "hints:")


@dataclass(frozen=True, slots=True)
class Judge:
    """A logistic regression as a plain table: feature -> weight. threshold: below it a candidate is dropped."""

    version: str
    weights: Mapping[str, float]
    intercept: float
    threshold: float

    def probability(self, seen: Sequence[str]) -> float:
        known = [w for f in set(seen) if (w := self.weights.get(f)) is not None]
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, self.intercept + sum(known)))))


def load_judge(path: Path) -> Judge:
    raw = json.loads(path.read_text("utf-8"))
    return Judge(raw["version"], raw["weights"], raw["intercept"], raw["threshold"])


def save_judge(judge: Judge, path: Path) -> None:
    raw = {"version": judge.version, "intercept": judge.intercept, "threshold": judge.threshold, "weights": dict(judge.weights)}
    path.write_text(json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


def find_dangers(text: str, proposed: Sequence[Candidate], judge: Judge, context: Sequence[str]) -> list[Danger]:
    """Of the candidates of a text those that are meant, in order: of each type the clearest, and others only where they
    are nearly certain."""
    found: list[Danger] = []
    same = Counter(c.type for c in proposed)
    for one in proposed:
        stood = stance(text, one.start, one.end)
        if stood in ("denied", "feared") or ((is_such := _IS_SUCH.get(one.type)) and not is_such(text, one)):
            continue
        probability = judge.probability(features(text, one, stood, context, same[one.type]))
        if probability >= judge.threshold:
            severity = "low" if stood == "heard" else one.severity
            found.append(Danger(one.type, severity, one.start, one.end, text[one.start : one.end], round(probability, 3), stood))
    clearest: dict[str, Danger] = {}
    for danger in found:
        if danger.type not in clearest or danger.probability > clearest[danger.type].probability:
            clearest[danger.type] = danger
    meant = [d for d in found if d is clearest[d.type] or d.probability >= _CERTAIN]
    return sorted([*meant, *_by_what_is_said(text, meant)], key=lambda d: (d.start, d.type))
