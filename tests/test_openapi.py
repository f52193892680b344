"""The whole OpenAPI under schemathesis (slow tier): no generated request may be answered with a 5xx or break the contract."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_serving import Service, data

__all__ = ["data"]


@pytest.mark.slow
def test_no_generated_request_is_our_fault(data: Path) -> None:
    service = Service(data)
    try:
        admin = service.cli(
            "token",
            "issue",
            "a",
            "--source",
            "s",
            *(x for r in ("portal", "intake", "mediator", "supervisor", "analyst", "policy") for x in ("--role", r)),
        )
        found = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.address}/openapi.json", "-H", f"Authorization: Bearer {admin}",
                "--checks", "not_a_server_error", "--max-examples", "40", "--request-timeout", "20",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout[-6000:]
    finally:
        service.stop()
