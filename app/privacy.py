"""Keyed tokens, encryption, masking. The keys stay outside the database.

Personal values and free text are stored as SM4-GCM ciphertext bound to their row; linking works on HMAC-SM3 tokens
and decrypts nothing.
"""

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from app.embedded import write_secret
from app.errors import Unavailable
from app.settings import Settings
from ml.text import mask_personal

_NONCE, _TAG = 12, 16


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
        if (settings.data / "postgres" / "PG_VERSION").exists() and (settings.data / "loaded").exists():
            raise Unavailable(f"{path} is gone: what it encrypted can't be read any more. Restore it from your backup")
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


def mask_name(value: str | None) -> str | None:
    if not value:
        return None
    return value[0] + "*" * min(len(value) - 1, 2)


def mask_number(value: str | None) -> str | None:
    """138****5678; nothing but the ends of anything longer than seven."""
    if not value:
        return None
    return f"{value[:3]}****{value[-4:]}" if len(value) > 7 else "*" * len(value)


_MASKS: dict[str, Callable[[str], str | None]] = {
    "name": mask_name, "phone": mask_number, "id_no": mask_number, "wechat": mask_number, "account": mask_number,
    "email": lambda v: re.sub(r"^(.).*@", r"\1***@", v), "address": lambda v: re.sub(r"\d", "*", v),
}  # fmt: skip


def mask_person(person: Mapping[str, str | None]) -> dict[str, str | None]:
    return {k: (_MASKS[k](v) if v and k in _MASKS else v) for k, v in person.items() if v}


def mask_text(text: str) -> str:
    return mask_personal(text)


def ensure_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
