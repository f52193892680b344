"""Settings from the environment (and .env), read once at the edge and passed down."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every variable is in the README's settings table."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True)

    data: Path = Field(Path("./.triage"), validation_alias="TRIAGE_DATA")
    host: str = Field("127.0.0.1", validation_alias="HOST")
    port: int = Field(8000, validation_alias="PORT", ge=0, le=65535)
    web_processes: int = Field(0, validation_alias="WEB_PROCESSES", ge=0, description="0: one per core, at most 8")
    # Unset: the bundled PostgreSQL in the data folder.
    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    migration_database_url: SecretStr | None = Field(None, validation_alias="MIGRATION_DATABASE_URL")
    pool_size: int = Field(8, validation_alias="TRIAGE_POOL_SIZE", ge=1, le=64)
    # 32 bytes and 16 bytes, hexadecimal. Made on first start beside the bundled database, demanded otherwise.
    token_key: SecretStr | None = Field(None, validation_alias="TRIAGE_TOKEN_KEY")
    encryption_key: SecretStr | None = Field(None, validation_alias="TRIAGE_ENCRYPTION_KEY")
    jurisdiction: str = Field("42", validation_alias="TRIAGE_JURISDICTION")
    use_devices: bool = Field(False, validation_alias="TRIAGE_USE_DEVICES")
    linkage: Path | None = Field(None, validation_alias="TRIAGE_LINKAGE", description="Parameters of `triage train linkage`")
    merchants: Path | None = Field(None, validation_alias="TRIAGE_MERCHANTS", description="Scorecard of `triage train merchants`")
    incidents: Path | None = Field(None, validation_alias="TRIAGE_INCIDENTS", description="Scorecard of `triage train incidents`")
    terms: Path | None = Field(
        None, validation_alias="TRIAGE_TERMS", description="Terms a bureau sets itself, over the shipped ones"
    )
    triage_seconds: float = Field(2.0, validation_alias="TRIAGE_SECONDS", gt=0)
    history_days: int = Field(30, validation_alias="TRIAGE_HISTORY_DAYS", ge=0)
    report_timeout_seconds: int = Field(15, validation_alias="TRIAGE_REPORT_TIMEOUT", ge=1)
    # statutory: only 法定节假日 move the end of a natural-day term; notice: the notice's rest block; any: any rest day.
    due_mode: str = Field("statutory", validation_alias="TRIAGE_DUE_MODE", pattern="^(statutory|notice|any)$")

    @field_validator("token_key", "encryption_key")
    @classmethod
    def _hexadecimal(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                length = len(bytes.fromhex(value.get_secret_value()))
            except ValueError:
                raise ValueError("must be hexadecimal") from None
            if length < 16:
                raise ValueError("must be at least 16 bytes")
        return value

    @property
    def bundled(self) -> bool:
        return self.database_url is None
