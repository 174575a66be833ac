"""A version is written before its contract moves, so that the contract's entry seals its facts."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE contract_version ALTER CONSTRAINT fk_contract_version_contract_id"
        " DEFERRABLE INITIALLY DEFERRED"
    )
