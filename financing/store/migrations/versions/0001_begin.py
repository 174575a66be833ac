"""Every table, guard, and grant of the first release."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    here = Path(__file__).parent
    for name in ("0001_tables.sql", "0001_guards.sql"):
        sql = (here / name).read_text(encoding="utf-8")
        op.get_bind().exec_driver_sql(sql.replace("%", "%%"))  # a percent sign is no placeholder
