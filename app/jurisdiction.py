"""Which bureau is competent for a letter, and by which article: pure, before any transaction.

A letter has several places: where the respondent really trades, where it is registered, the address it publishes on a platform, the domicile
of that platform, where an act was done. Order 121 says which of them count (Art. 13 for complaints, 29 to 32 for reports). Those that
count and are known are weighed in the order of the law; the first that lies in the deployment's own jurisdiction is the matter's, the others
are told beside it. Where only places of others count the matter stays with the intake desk: whether it is dispatched or refused under Art.
16(1) is a person's to say.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from app import law
from app.codes import find_district, find_elsewhere, region_name
from app.directories import Platforms
from app.intake import Respondent
from app.reading import ReadLetter

# The rule a decision names when its matter was kept at the desk for being another bureau's.
OUTSIDE = "outside"
COUNCIL = "consumer_council"

_LONG = 1500  # characters of a text that are looked through for who publishes what where
_PUBLISHED = re.compile(
    r"公示的?(?:经营|注册|联系)?(?:地址|住所|信息)?(?:[^,。;:]{0,4})?(?:显示|写的?)?(?:是|为|在|:)([^,。;]{2,40})"
)
_UNPUBLISHED = re.compile(
    r"(?:没有?|未|无|不)(?:在[^,。;]{0,10})?(?:依法)?(?:公示|公布|显示|标注|展示|填写)[^,。;!]{0,8}(?:地址|住所|经营信息|主体信息)"
    r"|(?:地址|住所)[^,。;]{0,6}(?:没有?|未)(?:公示|公布|显示|标注|填写)|(?:查|看|找)不到[^,。;]{0,8}(?:公示|公布)?的?(?:经营)?(?:地址|住所)"
)
_UNREACHABLE = re.compile(
    r"公示的?[^,。;]{0,6}(?:地址|住所|信息|联系方式|电话)[^。;]{0,24}(?:联系不[上到]|(?:无法|不能|没法)(?:取得)?联系|找不到|查无此|空号|不存在|虚假|假的"
    r"|打不通|没有?人|人去楼空|被?退回)|(?:按|照|根据|通过)[^,。;]{0,8}公示的?[^。;]{0,24}(?:联系不[上到]|(?:无法|不能|没法)(?:取得)?联系|找不到|查无此)"
)
_ACTUAL = re.compile(
    r"实际(?:上|的)?(?:是)?(?:经营|营业|发货|生产|办公)?(?:地址?|场所|地点)?(?:是|为|:)?(?:从|在|位于|设在)?([^,。;]{2,30})"
    r"|(?:经营地|经营场所|门店|店面|仓库|车间|作坊|窝点|厂房|工厂)(?:就|是|开)?(?:在|位于|设在)([^,。;]{2,30})|招牌上?写的?(?:是|着)?([^,。;]{2,12})"
)
_DONE_AT = re.compile(r"(?:地点|地址|现场)(?:就)?(?:在|是|为|:|位于)([^,。;]{2,30})|位于([^,。;]{2,30})")
_LICENSED = re.compile(
    r"(?:营业执照|执照|注册地址?|登记地|登记住所|住所地?)上?(?:写|登记|注册|显示)?的?(?:是|为|在)?([^,。;]{2,20})"
)
_PLATFORM_AT = re.compile(
    r"平台(?:经营者|运营方|运营公司|公司|企业)?(?:的)?(?:住所地?|注册地址?|总部|公司)?(?:是|为)?(?:在|位于|设在)([^,。;]{2,30})"
)
_OWN_SITE = re.compile(
    r"官网|官方网站|自建(?:的)?网站|独立站|自营网站|(?:品牌|官方|商家|公司|自己)的?(?:小程序|app|商城|公众号)", re.IGNORECASE
)
_MEDIA = re.compile(r"电视|广播|电台|报纸|日报|晚报|期刊|杂志|电影")
_PUBLISHER = re.compile(r"电视台|广播|电台|报社|日报|晚报|传媒|杂志|出版|影院")
_ONLINE = re.compile(r"网|平台|公众号|小程序|直播|朋友圈|微信|抖音|app|详情页|商品页|页面", re.IGNORECASE)
_BY_ITSELF = re.compile(
    r"(?:自己|自家|自有|自行|本店|店铺|网店|旗舰店|官方|该店|该公司|其)的?(?:网店|店铺|网页|页面|网站|官网|公众号|商品页|详情页|直播间|视频号|小程序|朋友圈)|官网|详情页"
)
_ADVERTISING = frozenset({"广告", "广告违法行为"})


@dataclass(frozen=True, slots=True)
class Competent:
    """district: six digits, of any province. basis: the article with its paragraph. reason: in Chinese."""

    district: str
    basis: str
    reason: str

    @property
    def name(self) -> str:
        return region_name(self.district) or self.district

    def as_json(self) -> dict[str, Any]:
        return {"district": self.district, "basis": self.basis, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """district: of the deployment's own; None where nobody said a place, or only another's is competent. outside: that other's.
    alternatives: who else is competent, or would be if what is uncertain proves so. uncertain: a person must look."""

    district: str | None
    basis: str
    reason: str
    alternatives: tuple[Competent, ...] = ()
    uncertain: bool = False
    outside: Competent | None = None

    def said(self, lane: str) -> list[dict[str, str]]:
        """Reasons of a decision."""
        found = [{"text": self.reason, "legal_basis": self.basis}]
        if lane == "complaint" and self.alternatives and not self.uncertain and not self.outside:
            names = "、".join(dict.fromkeys(a.name for a in self.alternatives))
            text = f"{names}的市场监督管理部门也有处理权限的，由先收到投诉的部门处理"
            found.append({"text": text, "legal_basis": _cite(14)})
        return found

    def as_json(self) -> dict[str, Any]:
        """What was weighed: codes, articles and their reasons; no words of the letter."""
        return {
            "district": self.district, "basis": self.basis, "uncertain": self.uncertain,
            "outside": self.outside.district if self.outside else None,
            "alternatives": [a.as_json() for a in self.alternatives],
            **({"proposal": _PROPOSAL} if self.outside else {}),
        }  # fmt: skip


# What a person may do with a matter that is another bureau's; the machine does neither.
_PROPOSAL = ["dispatch", "refuse:16(1)"]


@dataclass(frozen=True, slots=True)
class _Place:
    """One place that counts. sure: stated as such in the form or the register; else read from words, or presumed."""

    district: str
    basis: str
    reason: str
    sure: bool = True


def find(
    read: ReadLetter, lane: str, platforms: Platforms, home: str, on: date, *, registered: Sequence[str] = ()
) -> Jurisdiction | None:  # fmt: skip
    """None for what is neither complaint nor report. home: the deployment's region code. on: the day of receipt. registered: districts in
    which the register knows the respondent to trade; they count where there is one and the letter names no address."""
    if lane not in ("complaint", "report"):
        return None
    letter = _Letter(read, platforms, on, registered)
    places = list(_complained(letter) if lane == "complaint" else _reported(letter))
    presumed = _presumed(letter, lane)
    return _weigh([p for p in places if p.district], presumed, lane, home)


def _weigh(places: list[_Place], presumed: _Place | None, lane: str, home: str) -> Jurisdiction:
    told: dict[str, _Place] = {}
    for place in places:
        told.setdefault(place.district, place)
    known = list(told.values())
    first = next((p for p in known if _inside(p.district, home)), None)
    others = tuple(Competent(p.district, p.basis, p.reason) for p in known if p is not first)
    if first is not None:
        reason = first.reason
        if first is not known[0] and known[0].sure:
            reason += f"；{others[0].name}另有处理权限"
        return Jurisdiction(first.district, first.basis, reason, others, uncertain=not first.sure)
    if known and (known[0].sure or presumed is None or not _inside(presumed.district, home)):
        nearest = Competent(known[0].district, known[0].basis, known[0].reason)
        further = law.cite(law.ORDER_121, 16, item=1) if lane == "complaint" else law.cite(law.ORDER_121, 34)
        way = (
            "由工作人员决定分送有处理权限的部门，或者以本机关不具有处理权限不予受理"
            if lane == "complaint"
            else "由工作人员决定分送，或者告知举报人向有处理权限的部门提出"
        )
        return Jurisdiction(
            None, "、".join((nearest.basis, further, law.cite(law.ORDER_121, 41, 1))),
            f"{nearest.reason}，不在本机关管辖区域（应由{nearest.name}处理）：留统一接收机构，{way}", others[1:], uncertain=not known[0].sure, outside=nearest,
        )  # fmt: skip
    if presumed is not None and _inside(presumed.district, home):
        return Jurisdiction(presumed.district, presumed.basis, presumed.reason, others, uncertain=True)
    who = "被投诉人" if lane == "complaint" else "违法行为"
    basis = law.cite(law.ORDER_121, 13, 1) if lane == "complaint" else law.cite(law.ORDER_121, 29)
    text = f"来件没有写明{who}的地点，处理权限由统一接收机构查明"
    return Jurisdiction(None, basis, text, uncertain=True)


def _inside(district: str, home: str) -> bool:
    """A place known less exactly than the deployment's own may be its own."""
    ours, theirs = _trimmed(home), _trimmed(district)
    return theirs.startswith(ours) or ours.startswith(theirs)


def _trimmed(code: str) -> str:
    while len(code) > 2 and code.endswith("00"):
        code = code[:-2]
    return code


class _Letter:
    """A letter's places, each looked for at most once. seller: whom the letter is about; operator: the company that runs the
    platform, where it stands among the respondents."""

    def __init__(self, read: ReadLetter, platforms: Platforms, on: date, registered: Sequence[str]) -> None:
        self.registered = _whole(registered[0]) if len(set(registered)) == 1 else None
        self.body = read.letter.body
        self.said = read.reading.said
        self.reading = read.reading
        self.platforms, self.on = platforms, on
        self.respondents = list(self.body.respondents)
        self.seller = self.respondents[0] if self.respondents else None
        self.stated = (self.seller.platform or "").strip() if self.seller else ""
        read_name = read.reading.fact("platform")
        self.spoken = str(read_name) if read_name else ""
        self.platform = platforms.find(on, self.stated or self.spoken) or (
            platforms.named_in(self.said[:_LONG], on) if not self.stated else None
        )
        self.is_platform = self.seller is not None and self._runs(self.seller, alone=True)
        if self.is_platform and self.seller is not None:
            self.platform = platforms.find(on, self.seller.name, code=self.seller.uscc) or self.platform
        self.operator = next((r for r in self.respondents[1:] if self._runs(r, alone=False)), None)

    def _runs(self, one: Respondent, *, alone: bool) -> bool:
        """Whether a respondent is the platform itself. alone: of the first respondent, who else is a seller on it."""
        name = (one.name or "").strip()
        found = self.platforms.find(self.on, name, code=one.uscc)
        if found is not None:
            return alone or self.platform is None or found is self.platform
        if not self.stated or not name:
            return False
        return name == self.stated or (self.stated in name and name.endswith("公司"))

    def address(self, one: Respondent | None) -> str | None:
        return _place(one.address) if one is not None and one.address else None

    def spoken_place(self, pattern: re.Pattern[str]) -> str | None:
        """The first place that the words behind a pattern name."""
        for found in pattern.finditer(self.said[:_LONG]):
            if (place := _place(next((g for g in found.groups() if g), ""))) is not None:
                return place
        return None

    def says(self, pattern: re.Pattern[str]) -> bool:
        return pattern.search(self.said[:_LONG]) is not None

    def domicile(self) -> Iterator[tuple[str, bool, str]]:
        """(district, sure, how it is known) of the platform."""
        if self.platform is not None:
            yield _whole(self.platform.district), bool(self.stated) or self.is_platform, "按平台名录"
        if self.is_platform and (place := self.address(self.seller)):
            yield place, True, "按来件所写地址"
        if self.operator is not None and (place := self.address(self.operator)):
            yield place, True, "按来件所写地址"
        if place := self.spoken_place(_PLATFORM_AT):
            yield place, False, "按来件所述"

    def any_place(self) -> str | None:
        return find_district(self.said[:400])

    def own_place(self) -> str | None:
        who = self.body.complainant
        return find_district((who.city or "") + (who.district or ""), who.address or "")


def _place(text: str | None) -> str | None:
    """Of any province; another's only where the text begins with it."""
    if not text:
        return None
    return find_elsewhere(text) or find_district(text)


def _whole(code: str) -> str:
    return code.ljust(6, "0")


def _name(code: str) -> str:
    return region_name(code) or code


@lru_cache(maxsize=64)
def _cite(article: int, paragraph: int | None = None) -> str:
    return law.cite(law.ORDER_121, article, paragraph)


def _complained(letter: _Letter) -> Iterator[_Place]:
    basis = _cite(13, 2)
    if letter.is_platform:
        for district, sure, how in letter.domicile():
            yield _Place(
                district, basis, f"被投诉人为电子商务平台经营者，由其住所地{_name(district)}的市场监督管理部门处理（{how}）", sure
            )
        return
    if letter.stated:
        yield from _in_platform(letter)
        return
    if letter.says(_OWN_SITE) and not letter.spoken and (own := list(_own_site(letter, basis))):
        yield from own
        return
    yield from _at_its_place(letter)
    if letter.platform is not None:  # only spoken of: a person sees whether the sale was made there
        for district, _, how in letter.domicile():
            text = f"来件提到电子商务平台：属平台内经营的，平台经营者住所地{_name(district)}的市场监督管理部门也可处理（{how}）"
            yield _Place(district, basis, text, False)


def _own_site(letter: _Letter, basis: str) -> Iterator[_Place]:
    for one in letter.respondents:
        if district := letter.address(one):
            text = f"通过自建网站或者其他网络服务经营，由其住所地{_name(district)}的市场监督管理部门处理"
            yield _Place(district, basis, text)


def _in_platform(letter: _Letter) -> Iterator[_Place]:
    basis = _cite(13, 2)
    told = letter.spoken_place(_PUBLISHED)
    published = told or letter.address(letter.seller)
    unpublished = told is None and letter.says(_UNPUBLISHED)
    unreachable = letter.says(_UNREACHABLE)
    if published and not unpublished and not unreachable:
        yield _Place(published, basis, f"平台内经营者在平台公示的地址在{_name(published)}，由该地的市场监督管理部门处理", True)
    why = (
        "通过平台公示的地址无法取得联系" if unreachable and published and not unpublished
        else "未在平台依法公示地址" if unpublished or not published else ""
    )  # fmt: skip
    for district, _, how in letter.domicile():
        text = f"平台内经营者{why}，由平台经营者住所地{_name(district)}的市场监督管理部门处理（{how}）" if why else (
            f"平台经营者住所地{_name(district)}的市场监督管理部门也有处理权限（{how}）"
        )  # fmt: skip
        yield _Place(district, basis, text, unpublished or not (unreachable and published))
    if published and (unpublished or unreachable):
        # What the letter says of it is to be verified: then it counts after all.
        yield _Place(published, basis, f"来件所写地址在{_name(published)}；公示地址可以联系的，该地也有处理权限", False)


def _at_its_place(letter: _Letter) -> Iterator[_Place]:
    """Art. 13(1): where it really trades, or its domicile."""
    basis = _cite(13, 1)
    abroad: list[_Place] = []
    found = False
    for one in letter.respondents:
        district = letter.address(one) if one.address else find_district(one.name or "")
        if not district:
            continue
        how = "地址" if one.address else "名称所示地点"
        place = _Place(
            district,
            basis,
            f"被投诉人{how}在{_name(district)}，由其实际经营地或者住所地的市场监督管理部门处理",
            bool(one.address),
        )
        # A maker's address elsewhere, a shop of ours in the words: the shop is where it really trades.
        if find_elsewhere(one.address or ""):
            abroad.append(place)
        else:
            found = True
            yield place
    if not found and letter.registered:
        found = True
        text = f"被投诉人登记的经营地点在{_name(letter.registered)}，由该地的市场监督管理部门处理"
        yield _Place(letter.registered, basis, text)
    for pattern, what in ((_ACTUAL, "实际经营地"), (_LICENSED, "登记住所")):
        if district := letter.spoken_place(pattern):
            yield _Place(district, basis, f"来件所述{what}在{_name(district)}，由该地的市场监督管理部门处理", False)
    spoken = None if found else letter.any_place()
    if spoken and not (abroad and _same_city(spoken, letter.own_place())):
        yield _Place(spoken, basis, f"来件所述地点在{_name(spoken)}，按实际经营地由该地的市场监督管理部门处理", False)
    yield from abroad


def _same_city(one: str, other: str | None) -> bool:
    """A place that may be the complainant's own says nothing of the respondent's."""
    return other is not None and (one == other or (one.endswith("00") and one[:4] == other[:4]))


def _reported(letter: _Letter) -> Iterator[_Place]:
    """Where the act was done, with the articles on platforms and advertisements."""
    if _advertised(letter):
        yield from _advertisement(letter)
    elif letter.is_platform:
        for district, sure, how in letter.domicile():
            yield _Place(
                district,
                _cite(31, 1),
                f"被举报人为电子商务平台经营者，由其住所地{_name(district)}的市场监督管理部门处理（{how}）",
                sure,
            )
    elif letter.stated:
        basis = _cite(31, 2)
        actual, stated = letter.spoken_place(_ACTUAL), letter.address(letter.seller)
        if actual:
            yield _Place(actual, basis, f"平台内经营者的实际经营地在{_name(actual)}（来件所述），由该地的市场监督管理部门处理")
        if stated:
            yield _Place(
                stated, basis, f"平台内经营者地址在{_name(stated)}，按实际经营地由该地的市场监督管理部门处理", actual is None
            )
        for district, _, how in letter.domicile():
            text = f"平台经营者住所地{_name(district)}的市场监督管理部门先行收到举报的，也可以予以处理（{how}）"
            yield _Place(district, basis, text)
    elif letter.says(_OWN_SITE) and not letter.spoken and (own := list(_own_site(letter, _cite(31, 1)))):
        yield from own
    else:
        yield from _done_at(letter)


def _done_at(letter: _Letter) -> Iterator[_Place]:
    basis = _cite(29)
    for pattern in (_ACTUAL, _DONE_AT):
        if spoken := letter.spoken_place(pattern):
            yield _Place(spoken, basis, f"被举报行为发生在{_name(spoken)}（来件所述），由该地的市场监督管理部门处理")
    for one in letter.respondents:
        district = letter.address(one) if one.address else find_district(one.name or "")
        if district:
            yield _Place(
                district, basis, f"被举报人在{_name(district)}，按被举报行为发生地由该地的市场监督管理部门处理", bool(one.address)
            )
    if letter.registered and not any(letter.address(r) for r in letter.respondents):
        text = f"被举报人登记的经营地点在{_name(letter.registered)}，按被举报行为发生地由该地的市场监督管理部门处理"
        yield _Place(letter.registered, basis, text, False)
    if named := letter.any_place():
        yield _Place(named, basis, f"来件所述地点在{_name(named)}，按被举报行为发生地由该地的市场监督管理部门处理", False)


def _advertised(letter: _Letter) -> bool:
    about = letter.reading.problem in _ADVERTISING or "虚假广告" in letter.reading.issues
    return about and (letter.says(_MEDIA) or letter.says(_ONLINE) or bool(letter.stated))


def _advertisement(letter: _Letter) -> Iterator[_Place]:
    online = not letter.says(_MEDIA)
    publisher = next((r for r in letter.respondents if _PUBLISHER.search(r.name or "")), None)
    advertiser = next((r for r in letter.respondents if r is not publisher and r is not letter.operator), None)
    theirs = letter.address(advertiser)
    if online and theirs and letter.says(_BY_ITSELF):
        yield _Place(theirs, _cite(32, 3), f"广告主自行发布互联网广告，由广告主所在地{_name(theirs)}的市场监督管理部门处理")
        return
    if published := letter.address(publisher):
        yield _Place(published, _cite(32, 1), f"广告发布者在{_name(published)}，由该地的市场监督管理部门处理")
    elif online:
        for district, _, how in letter.domicile():
            yield _Place(
                district,
                _cite(32, 1),
                f"广告在平台发布，由广告发布者所在地{_name(district)}的市场监督管理部门处理（{how}）",
                bool(letter.stated),
            )
    if theirs and online:
        yield _Place(
            theirs, _cite(32, 2), f"互联网广告的广告主在{_name(theirs)}，该地的市场监督管理部门先行收到举报的，也可以予以处理"
        )
    elif theirs:
        yield _Place(theirs, _cite(32, 1), f"广告发布者所在地来件没有写明，暂按广告主所在地{_name(theirs)}登记，需核实", False)


def _presumed(letter: _Letter, lane: str) -> _Place | None:
    """What nobody said: where the words or the complainant are."""
    place = letter.any_place() or letter.own_place()
    if place is None:
        return None
    basis = _cite(13, 1) if lane == "complaint" else _cite(29)
    what = "来件没有写明被投诉人的地址" if lane == "complaint" else "来件没有写明被举报行为的发生地"
    if letter.stated:
        basis = _cite(13, 2) if lane == "complaint" else _cite(31, 2)
        what += "，平台经营者住所地未知（请查明并登记平台名录）"
    return _Place(place, basis, f"{what}，暂按来件或者提交人所在地{_name(place)}登记，处理权限需核实", False)


# -- copies: two bureaux, one dispute (Art. 14)


def copied(lane: str, here: str, original: Mapping[str, Any], *, accepted: bool, earlier: bool) -> dict[str, str]:
    """The reason why a copy starts nothing of its own. here: its own competent place. original: with district. accepted: the original was
    accepted or handled, so that the dispute is one of Art. 16(2). earlier: this copy was received before its original."""
    if lane == "report":
        return {
            "text": "同一举报人就同一涉嫌违法事实重复举报同一被举报人，不再另行处理，不另行起算期限", "legal_basis": law.cite(law.ORDER_121, 35, 2),
        }  # fmt: skip
    cited = []
    text = "与此前收到的投诉为同一事项，合并办理，不另行起算期限"
    if _trimmed(here) != _trimmed(original["district"]):
        first, second = (here, original["district"]) if earlier else (original["district"], here)
        text = f"同一争议已由{_name(first)}的市场监督管理部门先收到，{_name(second)}不再另行处理：合并办理，不另行起算期限"
        cited.append(law.cite(law.ORDER_121, 14))
    if accepted:
        cited.append(law.cite(law.ORDER_121, 16, item=2))
    if earlier:
        text += "；本件收到日期更早，由谁处理、期限自何时起算由工作人员决定"
        cited = [law.cite(law.ORDER_121, 14), *(c for c in cited if c != law.cite(law.ORDER_121, 14))]
    return {"text": text, "legal_basis": "、".join(cited or [law.cite(law.ORDER_121, 15, 1)])}


def of_council(row: Mapping[str, Any]) -> bool:
    """Whether an earlier matter is the consumer council's own: received through it, or imported from it."""
    return COUNCIL in (row["channel"], row["source"])
