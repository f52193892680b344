"""What a letter says, ready to be linked, clustered and decided on. All CPU, no database: done before any transaction."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stdnum.cn import uscc as uscc_number
from stdnum.exceptions import ValidationError

from app.codes import find_district, region_name
from app.database import Connection
from app.intake import Letter
from app.privacy import Vault
from ml import classification, merchants, text
from ml.classification import Reading
from ml.merchants import MerchantName
from ml.tokens import Field, Tokeniser, Tokens, normalise_phone

_PRIOR_TEXTS = 2000  # how many texts the general dictionary counts for, against those seen
_SAFETY_GOODS = frozenset({"食品", "餐饮和住宿", "药械妆"})
_MAX_READ = 6000  # characters; what a letter is about stands before that


@dataclass(frozen=True, slots=True)
class WrittenMerchant:
    """stated: named in the form; otherwise only read from the text. uscc: valid or ''."""

    name: MerchantName | None
    city: str
    uscc: str
    phone_token: int | None
    platform: str | None
    stated: bool
    contact: dict[str, str]


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """terms: keyed term -> weight in bits, of the masked text; names: those no dictionary knows. people: (role, tokens) of whoever gave anything."""

    letter: Letter
    masked_text: str
    reading: Reading
    terms: dict[int, float]
    names: frozenset[int]
    order_token: int | None
    lot_token: int | None
    product_token: int | None
    place_tokens: tuple[int, ...]
    people: tuple[tuple[str, Tokens], ...]
    merchants: tuple[WrittenMerchant, ...]
    district: str | None
    amount_fen: int | None
    missing: tuple[str, ...]

    @property
    def lanes(self) -> tuple[str, ...]:
        """Article 9: complaint and report in one letter are two matters, and nothing else splits a letter."""
        return {"complaint": ("complaint",), "report": ("report",), "both": ("complaint", "report")}.get(
            self.reading.kind, ("other",)
        )

    @property
    def safety_goods(self) -> bool:
        return self.reading.goods in _SAFETY_GOODS or self.reading.has_danger(
            "special_equipment", "product_safety", "drug_safety"
        )

    def as_json(self) -> dict[str, Any]:
        """What is stored beside the matter: dictionary words and offsets, no free text."""
        reading = self.reading
        return {
            "version": classification.lexicon().version,
            "goods": reading.goods, "problem": reading.problem, "department": reading.department,
            "punitive": reading.punitive, "tags": list(reading.tags), "words": reading.words,
            "dangers": [
                {"type": d.type, "severity": d.severity, "span": [d.start, d.end], "word": d.word} for d in reading.dangers
            ],
            "people_named": reading.facts.get("people"),
            "missing": list(self.missing),
        }  # fmt: skip


@dataclass
class TermFrequencies:
    """How many matters hold a term. Kept in the database, folded in batches; a process reads it now and then."""

    matters: int = 0
    counts: dict[int, int] = field(default_factory=dict)

    def weight(self, token: int, prior_rate: float) -> float:
        return text.weight((self.counts.get(token, 0) + _PRIOR_TEXTS * prior_rate) / (self.matters + _PRIOR_TEXTS))


class Reader:
    def __init__(self, vault: Vault, *, use_devices: bool = False) -> None:
        self.tokeniser = Tokeniser(vault.mac, use_devices=use_devices)
        self.frequencies = TermFrequencies()
        self._term_tokens: dict[str, int] = {}

    def read(self, letter: Letter) -> ReadLetter:
        body = letter.body
        masked = text.mask_personal(text.normalise(body.text[: 2 * _MAX_READ]))[:_MAX_READ]
        reading = classification.read(masked, product=body.product or "")
        if body.declared_kind and reading.kind in ("complaint", "report", "enquiry", "other_department"):
            # A registration is a legal fact; only 'both' and what needs another desk is read against it.
            reading = replace(reading, kind=body.declared_kind, probability=0.95)
        facts = reading.facts
        order, lot = body.order_no or facts.get("order_no"), body.lot_no or facts.get("lot_no")
        written = self._merchants(letter, masked, facts)
        places = tuple(self.tokeniser.opaque("place", p[-4:]) for p in facts.get("places", ()))
        amount = body.amount_fen if body.amount_fen is not None else facts.get("amount_fen")
        complainant = body.complainant
        district = find_district(
            *(r.address or r.name or "" for r in body.respondents), masked[:400],
            (complainant.city or "") + (complainant.district or ""), complainant.address or "",
        )  # fmt: skip
        terms, names = self._weigh(masked)
        return ReadLetter(
            letter=letter,
            masked_text=masked,
            reading=reading,
            terms=terms,
            names=names,
            order_token=self.tokeniser.opaque("order", order.strip().upper()) if order else None,
            lot_token=self.tokeniser.opaque("lot", lot.strip().upper()) if lot else None,
            product_token=self.tokeniser.opaque("product", body.product.strip()) if body.product else None,
            place_tokens=places,
            people=self._people(letter),
            merchants=tuple(written),
            district=district,
            amount_fen=amount,
            missing=_missing(letter, reading, bool(written)),
        )

    def _weigh(self, masked: str) -> tuple[dict[int, float], frozenset[int]]:
        """(keyed term -> weight in bits, those that are names)"""
        tokens = self._term_tokens
        if len(tokens) > 300_000:
            tokens.clear()
        weighed: dict[int, float] = {}
        names: list[int] = []
        for word, term in text.terms(masked).items():
            token = tokens.get(word)
            if token is None:
                token = tokens[word] = self.tokeniser.opaque("term", word)
            weighed[token] = round(self.frequencies.weight(token, term.rate) * term.emphasis, 2)
            if term.name:
                names.append(token)
        return weighed, frozenset(names)

    def words(self, letter: Letter, tokens: Container[int]) -> dict[int, str]:
        """Readable words behind some of a letter's terms: titles need them, storage does not."""
        masked = text.mask_personal(text.normalise(letter.body.text[: 2 * _MAX_READ]))[:_MAX_READ]
        return {t: w for w in text.terms(masked) if (t := self.tokeniser.opaque("term", w)) in tokens}

    def _people(self, letter: Letter) -> tuple[tuple[str, Tokens], ...]:
        person = self.tokeniser.person(letter.body.complainant.__dict__)
        agent = self.tokeniser.person(letter.body.agent.__dict__) if any(letter.body.agent.__dict__.values()) else Tokens()
        roles = [("principal" if agent else "filer", person), ("agent", agent)]
        return tuple((role, tokens) for role, tokens in roles if tokens)

    def _merchants(self, letter: Letter, masked: str, facts: Mapping[str, Any]) -> list[WrittenMerchant]:
        found: list[WrittenMerchant] = []
        for respondent in letter.body.respondents:
            code = _valid_uscc(respondent.uscc)
            if not (respondent.name or code):
                continue
            name = merchants.parse_name(respondent.name) if respondent.name else None
            phone, _ = normalise_phone(respondent.phone)
            place = region_name((find_district(respondent.address or "") or "")[:4] + "00")
            found.append(
                WrittenMerchant(
                    name, (name.city if name else "") or place or "", code,
                    self.tokeniser.token(Field.PHONE, phone) if phone else None, respondent.platform, True,
                    {k: v for k, v in respondent.__dict__.items() if v and k in ("phone", "address")},
                )
            )  # fmt: skip
        if not found:
            codes = [c for c in facts.get("uscc", ()) if _valid_uscc(c)]
            for written in merchants.names_in_text(masked)[:1] or ([""] if codes else []):
                name = merchants.parse_name(written) if written else None
                found.append(WrittenMerchant(name, name.city if name else "", codes[0] if codes else "", None, None, False, {}))
        return found


def _valid_uscc(value: str | None) -> str:
    try:
        return str(uscc_number.validate(value or ""))
    except ValidationError:
        return ""


def _missing(letter: Letter, reading: Reading, names_merchant: bool) -> tuple[str, ...]:
    """What Art. 10 asks for and the letter does not give. A report may be anonymous (Art. 28)."""
    body = letter.body
    missing: list[str] = []
    if reading.kind not in ("report",):
        for name in ("name", "phone", "address"):
            if not getattr(body.complainant, name, None):
                missing.append(f"complainant.{name}")
        if not reading.demands:
            missing.append("demand")
    if not names_merchant:
        missing.append("respondents.name")
    if not any(r.address for r in body.respondents):
        missing.append("respondents.address")
    if body.event_date is None:
        missing.append("event_date")
    if reading.kind in ("complaint", "both") and body.amount_fen is None and "amount_fen" not in reading.facts:
        missing.append("amount_fen")
    if not body.attachments and not reading.evidence:
        missing.append("evidence")
    return tuple(missing)


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
