"""Keyed tokens, encryption, masking. The keys stay outside the database.

Personal values and free text are stored as SM4-GCM ciphertext bound to their row; linking works on HMAC-SM3 tokens
and decrypts nothing.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from app.database import Connection
from app.embedded import write_secret
from app.errors import Unavailable
from app.settings import Settings
from ml.text import mask_personal, mask_values

_NONCE, _TAG = 12, 16
# What an incident i is called before the lanes $2 a reader may see; null: what only a report says of it (Art. 37). It is called by what its first
# letter said, until the worker or a person names it.
INCIDENT_TITLE = """
CASE WHEN i.titled_by IS NOT NULL OR 'report' = ANY($2) OR (
  SELECT m.lane FROM incident_membership im JOIN matter m ON m.id = im.matter_id WHERE im.incident_id = i.id AND im.valid_to IS NULL
  ORDER BY im.matter_id LIMIT 1
) <> 'report' THEN nullif(i.title, '') END AS title
"""


@dataclass(frozen=True)
class Keys:
    """key_id is stored beside every ciphertext, so keys can be rotated."""

    key_id: int
    token_key: bytes
    encryption_key: bytes


def load_keys(settings: Settings) -> Keys:
    """From settings; for the bundled database made once into the data folder (0600)."""
    if settings.token_key and settings.encryption_key:
        token, encryption = settings.token_key.get_secret_value(), settings.encryption_key.get_secret_value()
        return Keys(1, bytes.fromhex(token), bytes.fromhex(encryption)[:16])
    if not settings.bundled:
        raise Unavailable("TRIAGE_TOKEN_KEY and TRIAGE_ENCRYPTION_KEY must be set when DATABASE_URL is")
    path = settings.data / "keys.json"
    if not path.exists():
        write_secret(path, json.dumps({"key_id": 1, "token": secrets.token_hex(32), "encryption": secrets.token_hex(16)}))
    made = json.loads(path.read_text())
    return Keys(made["key_id"], bytes.fromhex(made["token"]), bytes.fromhex(made["encryption"]))


class Vault:
    """Encrypts and decrypts values bound to a context (the row they belong to), and makes MACs for tokens."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._mac = hmac.HMAC(keys.token_key, hashes.SM3())

    @property
    def key_id(self) -> int:
        return self._keys.key_id

    def mac(self, message: bytes) -> bytes:
        copy = self._mac.copy()  # the prepared key costs more than the hash
        copy.update(message)
        return copy.finalize()

    def fingerprint(self) -> bytes:
        """Says whether both keys are the same, and nothing about them."""
        return self.mac(b"check|" + hashlib.sha256(self._keys.encryption_key).digest())

    def encrypt(self, value: Mapping[str, Any] | str, context: str) -> bytes:
        plain = value.encode() if isinstance(value, str) else orjson.dumps(value)
        nonce = os.urandom(_NONCE)
        encryptor = Cipher(algorithms.SM4(self._keys.encryption_key), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(context.encode())
        return nonce + encryptor.update(plain) + encryptor.finalize() + encryptor.tag

    def decrypt(self, cipher: bytes, context: str) -> str:
        decryptor = Cipher(algorithms.SM4(self._keys.encryption_key), modes.GCM(cipher[:_NONCE], cipher[-_TAG:])).decryptor()
        decryptor.authenticate_additional_data(context.encode())
        try:
            return (decryptor.update(cipher[_NONCE:-_TAG]) + decryptor.finalize()).decode()
        except InvalidTag:
            raise Unavailable("a stored value can't be decrypted with the configured key") from None

    def decrypt_document(self, cipher: bytes, context: str) -> dict[str, Any]:
        loaded: dict[str, Any] = orjson.loads(self.decrypt(cipher, context))
        return loaded


async def check_keys(connection: Connection, vault: Vault) -> None:
    """Refuses keys other than those the database was filled with: letters would be unreadable, people strangers."""
    mac = vault.fingerprint()
    await connection.execute(
        "INSERT INTO key_check (key_id, mac) VALUES ($1, $2) ON CONFLICT (key_id) DO NOTHING", vault.key_id, mac
    )
    if await connection.fetchval("SELECT mac FROM key_check WHERE key_id = $1", vault.key_id) != mac:
        raise Unavailable(
            "the keys are not those this database was filled with; restore keys.json (or TRIAGE_TOKEN_KEY and "
            "TRIAGE_ENCRYPTION_KEY) from your backup"
        )


def mask_name(value: str | None) -> str | None:
    if not value:
        return None
    return value[0] + "*" * min(len(value) - 1, 2)


def mask_number(value: str | None) -> str | None:
    """138****5678; nothing but the ends of anything longer than seven."""
    if not value:
        return None
    return f"{value[:3]}****{value[-4:]}" if len(value) > 7 else "*" * len(value)


def _mask_email(value: str) -> str | None:
    return re.sub(r"^(.).*@", r"\1***@", value) if "@" in value else mask_number(value)


def _mask_address(value: str) -> str:
    return re.sub(r"[\d〇零一二三四五六七八九十]+(?=[\d号栋幢座单元室楼层-]|$)|\d", "*", value)


_SHOWN = frozenset({"province", "city", "district"})
_MASKS: dict[str, Callable[[str], str | None]] = {"name": mask_name, "email": _mask_email, "address": _mask_address}


def mask_person(person: Mapping[str, str | None]) -> dict[str, str | None]:
    """Whatever is not known to be harmless is masked as a number is."""
    return {k: v if k in _SHOWN else _MASKS.get(k, mask_number)(v) for k, v in person.items() if v}


def mask_text(text: str, *known: str | None) -> str:
    """known: values that stand elsewhere in the letter (a name, a phone), masked wherever the text repeats them. The
    length stays, so spans of a reading keep their places."""
    return mask_personal(mask_values(text, (v for v in known if v and len(v) >= 2)))
