"""A person may want notices by e-mail; what became of each is kept."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = (Path(__file__).parent / "0008_mail.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
