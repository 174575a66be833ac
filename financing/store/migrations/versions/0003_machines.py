"""Software of others that asks by itself: its secret, its tokens, the answers it already has."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = (Path(__file__).parent / "0003_machines.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
