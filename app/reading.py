"""What a letter says, ready to be linked, clustered and decided on. All CPU, no database: done before any transaction."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from stdnum.cn import uscc as uscc_number
from stdnum.exceptions import ValidationError

import ml.reading
from app.calendar import local_day
from app.codes import find_district, own_code, region_name
from app.database import Connection
from app.intake import Categories, Letter
from ml import merchants, text
from ml.facts import named_places
from ml.merchants import Mention, MerchantName
from ml.reading import SEVERITIES, Reading
from ml.text import Term
from ml.tokens import Mac, Tokeniser, Tokens, read_phones

_PRIOR_TEXTS = 2000  # how many texts the general dictionary counts for, against those seen
_SAFETY_GOODS = frozenset({"食品", "餐饮和住宿", "药械妆"})
# What the recall rules for consumer goods cover; food and medicines have their own.
_CONSUMER_PRODUCTS = frozenset({"服装鞋帽", "家居用品", "交通工具", "通讯产品", "家用电器", "宠物及宠物用品", "其他商品"})
# Article 9: complaint and report in one letter are two matters, and nothing else splits a letter.
LANES = {"complaint": ("complaint",), "report": ("report",), "both": ("complaint", "report")}
# Facts whose values are stored beside their spans: numbers, days and platforms. Names stay in the ciphertext.
_PLAIN_FACTS = frozenset({"amount", "claim", "date", "people", "platform"})


@dataclass(frozen=True, slots=True)
class WrittenMerchant:
    """stated: named in the form; otherwise only read from the text. uscc: valid or ''. mentions: ways to understand it, for a name that
    a text holds may be one of several known brands; none where only a code is given."""

    mentions: tuple[Mention, ...]
    uscc: str
    platform: str | None
    stated: bool
    contact: dict[str, str]

    @property
    def name(self) -> MerchantName | None:
        return self.mentions[0].name if self.mentions else None


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """terms: keyed term -> weight in bits, of the masked text; names: those no dictionary knows; words: what they were weighed from. people: (role, tokens) of
    whoever gave anything. places: named ones. city, quarter: where it happened, or where the complainant lives. shop_token: of the
    shop named. third_party: spans of personal data that are not the complainant's own. signature: of the wording as a whole."""

    letter: Letter
    reading: Reading
    places: tuple[str, ...]
    third_party: tuple[tuple[int, int], ...]
    terms: dict[int, float]
    names: frozenset[int]
    words: Mapping[int, Term]
    order_token: int | None
    lot_token: int | None
    product_token: int | None
    shop_token: int | None
    place_tokens: tuple[int, ...]
    signature: tuple[int, ...]
    city: str
    quarter: str
    people: tuple[tuple[str, Tokens], ...]
    merchants: tuple[WrittenMerchant, ...]
    district: str | None
    amount_fen: int | None
    missing: tuple[str, ...]

    @property
    def lanes(self) -> tuple[str, ...]:
        return LANES.get(self.reading.kind, ("other",))

    def as_json(self) -> dict[str, Any]:
        """What is stored beside the matter: names of classes, vocabulary words and offsets, no free text."""
        reading = self.reading
        return {
            "versions": dict(reading.versions),
            "goods": reading.goods, "problem": reading.problem, "department": reading.department,
            "punitive": reading.punitive, "tags": list(reading.tags), "words": dict(reading.words),
            "by": {name: a.by for name, a in reading.answers.items()},
            "answers": {
                name: {"rule": a.rule, "model": a.model, "probability": round(a.probability, 3), "words": list(a.words)}
                for name, a in reading.answers.items()
            },
            "dangers": [
                {"type": d.type, "severity": d.severity, "span": [d.start, d.end], "probability": d.probability, "heard": d.stance == "heard"}
                for d in reading.dangers
            ],
            "facts": [
                {"type": f.type, "span": [f.start, f.end], **({"value": f.value} if f.type in _PLAIN_FACTS else {})}
                for f in reading.facts
            ],
            "signals": [{"type": s.type, "span": [s.start, s.end]} for s in reading.signals],
            "flags": [{"type": f.name, "span": [f.start, f.end]} for f in reading.flags]
            + [{"type": "third_party", "span": list(span)} for span in self.third_party],
            "people_named": reading.fact("people"),
            "disagreements": [{"field": f, "operator": o, "read": r} for f, o, r in reading.disagreements],
            "missing": list(self.missing),
        }  # fmt: skip


def signals(dangers: Sequence[tuple[str, str]], *, goods: str | None, issues: Sequence[str]) -> dict[str, Any]:
    """What a policy may know of dangers (type, severity): fields of policy.Facts. harm is the gravest that befell people;
    what is only heard is low."""

    def any_of(*types: str, at_least: str) -> bool:
        return any(t in types and SEVERITIES.index(s) >= SEVERITIES.index(at_least) for t, s in dangers)

    harms = [s for t, s in dangers if t in ("injury", "death", "food_poisoning")]
    return {
        "harm": max(harms, key=SEVERITIES.index) if harms else "none",
        "safety_goods": goods in _SAFETY_GOODS or any_of("special_equipment", "product_safety", "drug_safety", at_least="low"),
        "safety_signal": any_of(
            "food_safety", "drug_safety", "product_safety", "special_equipment", "food_poisoning", "poison", "explosion", at_least="medium"
        ),
        "merchant_vanished": any_of("merchant_vanished", at_least="high"),
        "prepaid": any_of("prepaid_run", "merchant_vanished", at_least="medium") or "预付退费" in issues,
        "vulnerable": any_of("minor", "elderly", "pregnant", at_least="medium"),
        "media": any_of("media", at_least="medium"),
        "group_action": any_of("group_action", at_least="medium"),
        "minors_harm": any_of("minor", at_least="medium") and any(s != "low" for s in harms),
    }  # fmt: skip


def may_be_defect(goods: str | None, dangers: Sequence[tuple[str, str]]) -> bool:
    """Death or grave injury from a consumer product, by goods class and dangers (type, severity): whether a defect is behind it a person
    judges (recall rules, Art. 8)."""
    return goods in _CONSUMER_PRODUCTS and any(t in ("death", "injury") and s == "high" for t, s in dangers)


def facts_of(types: Iterable[str]) -> dict[str, Any]:
    """What a policy may know of what the writer says, by types of `ml.signals`: fields of policy.Facts."""
    said = set(types)
    return {
        **{fact: name in said for fact, name in _SIGNALLED.items()},
        "failed_track": "t2" if "mediation_failed" in said else "t1" if "settlement_failed" in said else "none",
    }


_SIGNALLED = {
    "suspected_fraud": "suspected_fraud", "merchant_unreachable": "merchant_unreachable", "multi_department": "multi_department",
    "extortion_signal": "extortion", "new_economy": "new_economy", "mediation_wanted": "mediation_wanted",
}  # fmt: skip
# fact -> what of a stored reading says so: (list, types)
_SAID_BY: Mapping[str, tuple[str, frozenset[str]]] = {
    **{fact: ("signals", frozenset({name})) for fact, name in _SIGNALLED.items()},
    "failed_track": ("signals", frozenset({"settlement_failed", "mediation_failed"})),
    "harm": ("dangers", frozenset({"injury", "death", "food_poisoning"})),
    "minors_harm": ("dangers", frozenset({"minor", "injury", "death", "food_poisoning"})),
    "safety_signal": (
        "dangers", frozenset({"food_safety", "drug_safety", "product_safety", "special_equipment", "food_poisoning", "poison", "explosion"}),
    ),
    "safety_goods": ("dangers", frozenset({"special_equipment", "product_safety", "drug_safety"})),
    "merchant_vanished": ("dangers", frozenset({"merchant_vanished"})),
    "prepaid": ("dangers", frozenset({"prepaid_run", "merchant_vanished"})),
    "vulnerable": ("dangers", frozenset({"minor", "elderly", "pregnant"})),
    "media": ("dangers", frozenset({"media"})),
    "group_action": ("dangers", frozenset({"group_action"})),
    "amount_fen": ("facts", frozenset({"amount"})),
}  # fmt: skip


def with_spans(reason: Mapping[str, Any], reading: Mapping[str, Any]) -> dict[str, Any]:
    """A reason with `spans`: where the letter says what it rests on. reading: as stored (`ReadLetter.as_json`)."""
    spans = []
    for fact in reason.get("facts", ()):
        part, types = _SAID_BY.get(fact, ("", frozenset()))
        spans += [
            {"fact": fact, "type": one["type"], "span": one["span"]}
            for one in reading.get(part, ()) if one["type"] in types and one.get("span")
        ]  # fmt: skip
    return {**reason, "spans": spans} if spans else dict(reason)


@dataclass
class TermFrequencies:
    """How many matters hold a term. Kept in the database, folded in batches; a process reads it now and then."""

    matters: int = 0
    counts: dict[int, int] = field(default_factory=dict)

    def weight(self, token: int, prior_rate: float) -> float:
        return text.weight((self.counts.get(token, 0) + _PRIOR_TEXTS * prior_rate) / (self.matters + _PRIOR_TEXTS))

    def weigh(self, words: Mapping[int, Term]) -> dict[int, float]:
        """Keyed term -> weight in bits."""
        return {t: round(self.weight(t, word.rate) * word.emphasis, 2) for t, word in words.items()}

    def add(self, words: Mapping[int, Term]) -> None:
        self.matters += 1
        for token in words:
            self.counts[token] = self.counts.get(token, 0) + 1


class Reader:
    """code_map: (list of another system, its code) -> our code; read from the database now and then."""

    def __init__(self, mac: Mac, *, use_devices: bool = False) -> None:
        self.tokeniser = Tokeniser(mac, use_devices=use_devices)
        self.signer = text.Signer(mac)
        self.frequencies = TermFrequencies()
        self.brands = merchants.Brands()
        self.code_map: Mapping[tuple[str, str], str] = {}
        self._term_tokens: dict[str, int] = {}

    def read(self, letter: Letter) -> ReadLetter:
        body = letter.body
        categories = self._categories(body.categories)
        reading = ml.reading.read(body.text, on=local_day(letter.received_at), product=body.product or "", categories=categories)
        if body.declared_kind and reading.kind in ("complaint", "report", "enquiry", "other_department"):
            # A registration is a legal fact; only 'both' and what needs another desk is read against it.
            declared = replace(reading.answers["kind"], value=body.declared_kind, probability=0.95, by="operator")
            reading = replace(
                reading, kind=body.declared_kind, probability=0.95, answers={**reading.answers, "kind": declared},
                disagreements=reading.disagreements
                + ((("kind", body.declared_kind, reading.kind),) if reading.kind != body.declared_kind else ()),
            )  # fmt: skip
        order, lot = body.order_no or reading.fact("order_no"), body.lot_no or reading.fact("lot_no")
        places = named_places(reading.said)
        amount = body.amount_fen if body.amount_fen is not None else reading.amount_fen
        complainant = body.complainant
        district = find_district(
            *(r.address or r.name or "" for r in body.respondents), reading.said[:400],
            (complainant.city or "") + (complainant.district or ""), complainant.address or "",
        )  # fmt: skip
        city, quarter = _where(letter, district)
        product = self.tokeniser.opaque("product", body.product.strip()) if body.product else None
        written = self._merchants(letter, reading, home=merchants.bare_city(city), product=product)
        shop = next((m.name.shop for w in written[:1] for m in w.mentions if m.name.shop), "")
        words = self._words(_without_names(reading.said, written))
        return ReadLetter(
            letter=letter,
            reading=reading,
            places=tuple(places),
            third_party=_third_party(letter, reading),
            terms=self.frequencies.weigh(words),
            names=frozenset(t for t, word in words.items() if word.name),
            words=words,
            order_token=self.tokeniser.opaque("order", str(order).strip().upper()) if order else None,
            lot_token=self.tokeniser.opaque("lot", str(lot).strip().upper()) if lot else None,
            product_token=product,
            shop_token=self.tokeniser.opaque("shop", shop) if shop else None,
            signature=self.signer.sign(reading.said),
            city=city,
            quarter=quarter,
            place_tokens=tuple(dict.fromkeys(self.tokeniser.opaque("place", p[-4:]) for p in places)),
            people=self._people(letter),
            merchants=tuple(written),
            district=district,
            amount_fen=amount,
            missing=_missing(letter, reading, bool(written)),
        )

    def _categories(self, filed: Categories) -> dict[str, str]:
        """The operator's categories in our codes, where the cross-walk or the names themselves know them."""
        found: dict[str, str] = {}
        for name in ("goods", "problem"):
            if code := own_code(name, getattr(filed, name) or "", self.code_map):
                found[name] = code
        return found

    def _words(self, masked: str) -> dict[int, Term]:
        """Keyed term -> what is known of it."""
        tokens = self._term_tokens
        if len(tokens) > 300_000:
            tokens.clear()
        found: dict[int, Term] = {}
        for word, term in text.terms(masked).items():
            token = tokens.get(word)
            if token is None:
                token = tokens[word] = self.tokeniser.opaque("term", word)
            found[token] = term
        return found

    def words(self, letter: Letter, tokens: Container[int]) -> dict[int, str]:
        """Readable words behind some of a letter's terms: titles need them, storage does not."""
        said = ml.reading.prepare(letter.body.text, local_day(letter.received_at)).blank
        return {t: w for w in text.terms(said) if (t := self.tokeniser.opaque("term", w)) in tokens}

    def _people(self, letter: Letter) -> tuple[tuple[str, Tokens], ...]:
        person = self.tokeniser.person(letter.body.complainant.__dict__)
        agent = self.tokeniser.person(letter.body.agent.__dict__) if any(letter.body.agent.__dict__.values()) else Tokens()
        roles = [("principal" if agent else "filer", person), ("agent", agent)]
        return tuple((role, tokens) for role, tokens in roles if tokens)

    def _merchants(
        self, letter: Letter, reading: Reading, *, home: str, product: int | None
    ) -> list[WrittenMerchant]:  # fmt: skip
        spoken = merchants.brands_in_text(reading.said, self.brands)
        found: list[WrittenMerchant] = []
        for respondent in letter.body.respondents:
            code = _valid_uscc(respondent.uscc)
            if not (respondent.name or code):
                continue
            phone = next((p.number for p in read_phones(respondent.phone) if p.number), "")
            place = region_name((find_district(respondent.address or "") or "")[:4] + "00")
            mentions: tuple[Mention, ...] = ()
            if respondent.name:
                name = merchants.parse_name(respondent.name)
                if place and not name.city:  # the merchant's own place, as good as if its name said so
                    name = replace(name, city=merchants.bare_city(place))
                one = Mention(
                    name, "form", home, product, code, self.tokeniser.opaque("phone", phone) if phone else None
                )  # fmt: skip
                mentions = (merchants.complete(one, spoken),)
            contact = {k: v for k, v in respondent.__dict__.items() if v and k in ("phone", "address")}
            found.append(WrittenMerchant(mentions, code, respondent.platform, True, contact))
        if not found:
            codes = [str(c) for c in reading.values("uscc") if _valid_uscc(str(c))]
            code = codes[0] if codes else ""
            named = merchants.names_in_text(reading.said)[:1]
            stated = [Mention(merchants.parse_name(n), "written", home, product, code) for n in named]
            mentions = tuple(merchants.complete(m, spoken) for m in stated) or tuple(
                replace(m, home=home, product=product, uscc=code) for m in spoken
            )
            if mentions or code:
                found.append(WrittenMerchant(mentions, code, None, False, {}))
        return found


def _without_names(said: str, written: Sequence[WrittenMerchant]) -> str:
    """What is complained about, not whom: 火锅店 is in every complaint about 桂禾坊火锅店."""
    for name in (m.name for w in written for m in w.mentions):
        for spelling in (name.written, name.core + name.words, name.core):
            if len(spelling) >= 2 and spelling in said:
                said = said.replace(spelling, "*" * len(spelling))
    return said


def _where(letter: Letter, district: str | None) -> tuple[str, str]:
    """(city, code or name of the quarter in it), '' where nobody said: as incidents are compared, all over the country."""
    if district and len(district) > 2:
        return region_name(district[:4] + "00") or district[:4], district if not district.endswith("00") else ""
    who = letter.body.complainant
    city, quarter = (who.city or "").strip(), (who.district or "").strip()
    return city, f"{city}{quarter}" if quarter else ""


def _valid_uscc(value: str | None) -> str:
    try:
        return str(uscc_number.validate(value or ""))
    except ValidationError:
        return ""


def _missing(letter: Letter, reading: Reading, names_merchant: bool) -> tuple[str, ...]:
    """What Art. 10 asks for and neither form nor text give. A report may be anonymous (Art. 28)."""
    body = letter.body
    given = {f"complainant.{name}" for name in ("name", "phone", "address") if getattr(body.complainant, name, None)}
    given |= {name for name in ("event_date", "amount_fen") if getattr(body, name) is not None}
    if names_merchant:
        given.add("respondents.name")
    if any(r.address for r in body.respondents):
        given.add("respondents.address")
    if body.attachments:
        given.add("evidence")
    return _absent(reading, given)


def missing_in_text(reading: Reading) -> tuple[str, ...]:
    """The same where there is no form, only a text."""
    given = {f"complainant.{p.kind}" for p in reading.personal}
    if reading.fact("merchant"):
        given.add("respondents.name")
    if reading.fact("place"):
        given.add("respondents.address")
    return _absent(reading, given)


def _absent(reading: Reading, given: Set[str]) -> tuple[str, ...]:
    asked = ["respondents.name", "respondents.address", "event_date"]
    if reading.kind != "report":
        asked = ["complainant.name", "complainant.phone", "complainant.address", "demand", *asked]
    if reading.kind in ("complaint", "both"):
        asked.append("amount_fen")
    said = {
        "demand": bool(reading.demands), "event_date": bool(reading.values("date")), "amount_fen": reading.amount_fen is not None,
        "evidence": bool(reading.evidence),
    }  # fmt: skip
    return tuple(name for name in (*asked, "evidence") if name not in given and not said.get(name))


_OWN = re.compile(r"(?:我|本人|来电人|投诉人|联系电话|联系方式|手机|回电|致电|电话号码|身份证号?)[^,。;，；]{0,6}$")


def _third_party(letter: Letter, reading: Reading) -> tuple[tuple[int, int], ...]:
    """Spans of personal data that are neither in the form nor introduced as the writer's own."""
    body = letter.body
    own = {"".join(filter(str.isalnum, v)) for p in (body.complainant, body.agent) for v in p.__dict__.values() if v}
    found = []
    for one in reading.personal:
        written = body.text[one.start : one.end]
        if "".join(filter(str.isalnum, written)) in own or one.kind == "name":
            continue
        if not _OWN.search(body.text[max(0, one.start - 12) : one.start]):
            found.append((one.start, one.end))
    return tuple(found)


async def load_frequencies(connection: Connection, *, at_least: int = 3, most: int = 100_000) -> TermFrequencies:
    """Terms that come back; the rest count as unseen, which is nearly what they are. Token 0 holds the total."""
    rows = await connection.fetch(
        "SELECT token, matters FROM term_frequency WHERE matters >= $1 OR token = 0 ORDER BY matters DESC LIMIT $2",
        at_least,
        most,
    )
    counts = {r["token"]: r["matters"] for r in rows}
    return TermFrequencies(counts.pop(0, 0), counts)


async def count_terms(connection: Connection, counts: Mapping[int, int], matters: int) -> None:
    """Adds to the stored frequencies. Ordered by token, so that two counters never wait for each other."""
    items = sorted({**counts, 0: matters}.items())
    await connection.execute(
        "INSERT INTO term_frequency (token, matters) SELECT * FROM unnest($1::bigint[], $2::int[]) "
        "ON CONFLICT (token) DO UPDATE SET matters = term_frequency.matters + excluded.matters",
        [t for t, _ in items], [n for _, n in items],
    )  # fmt: skip


async def load_brands(connection: Connection, brands: merchants.Brands, since: datetime | None) -> datetime | None:
    """Adds the brands that became known since; gives the time to ask from next. A minute is read twice: transactions that were open
    then may have committed later."""
    row = await connection.fetchrow(
        "SELECT max(added_at) AS latest, coalesce(array_agg(sound), '{}') AS sounds FROM merchant_brand WHERE $1::timestamptz IS NULL OR added_at > $1",
        since,
    )  # fmt: skip
    brands.update(row["sounds"])
    latest: datetime | None = row["latest"]
    return latest - timedelta(minutes=1) if latest else since
