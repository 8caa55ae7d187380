"""A sample database for each test, copied from one that is built once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sample


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.build(tmp_path_factory.mktemp("sample") / "audit.db")


@pytest.fixture
def audit_db(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(built, tmp_path / "audit.db"))
