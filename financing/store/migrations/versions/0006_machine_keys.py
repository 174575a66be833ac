"""A machine may prove itself by a key of its own instead of a secret."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = (Path(__file__).parent / "0006_machine_keys.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
