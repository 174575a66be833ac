"""Named keys of banks, words of theirs that nobody knows, and messages that were not theirs."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = (Path(__file__).parent / "0004_bank_events.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
