"""Who may do what: permission × role × whose rows, as one table.

A role that a row does not name gets the answer of an address that does not exist. `scope` names
the table whose visible rows bound the act (`store/visible.py`): a permission without a visible
row is worth nothing. `public` needs no sign-in.

Source: rulebook, roles and duties; separation of a credit decision from the bureau and the
operator: measure 18 of the action plan (the platform serves, the bank decides).
"""

from __future__ import annotations

from dataclasses import dataclass

ROLES = ("supplier", "bank", "purchaser", "bureau", "operator")


@dataclass(frozen=True, slots=True)
class Permission:
    name: str
    roles: tuple[str, ...]
    scope: str  # table whose visible rows bound it; "" where nothing of a case is touched


PERMISSIONS = (
    Permission("public", (), ""),
    Permission("signed-in", ROLES, ""),
    Permission("inbox.read", ROLES, "notice"),
    Permission("contract.read", ("supplier",), "contract"),
    Permission("application.read", ("supplier",), "application"),
    Permission("application.write", ("supplier",), "contract"),
    Permission("consent.give", ("supplier",), "contract"),
    Permission("offer.accept", ("supplier",), "application"),
    Permission("confirmation.ask", ("supplier",), "contract"),
    Permission("account.propose", ("supplier",), "contract"),
    Permission("case.read", ("bank",), "application"),
    Permission("offer.read", ("supplier", "bank"), "offer"),
    Permission("loan.read", ("supplier", "bank"), "loan"),
    Permission("payment.read", ("supplier", "purchaser", "bureau"), "payment"),
    Permission("purchase.read", ("purchaser",), "contract"),
    Permission("packet.read", ("supplier", "bank"), "packet"),
    Permission("exchange.read", ("bank",), "transcript"),
    Permission("contract.confirm", ("purchaser",), "confirmation"),
    Permission("account.approve", ("purchaser",), "contract"),
    Permission("performance.accept", ("purchaser",), "contract"),
    Permission("figures.read", ("bureau",), "contract"),
    Permission("deadlines.read", ("bureau",), "contract"),
    Permission("parked.read", ("operator",), "parked"),
    Permission("parked.replay", ("operator",), "parked"),
    Permission("job.read", ("operator",), ""),
    Permission("job.retry", ("operator",), ""),
    Permission("bank.desk", ("operator",), ""),
)

BY_NAME = {permission.name: permission for permission in PERMISSIONS}

FIRST_PAGE = {
    "supplier": "/contracts",
    "bank": "/cases",
    "purchaser": "/confirmations",
    "bureau": "/figures",
    "operator": "/parked",
}


def may(role: str, permission: str) -> bool:
    """Whether a role holds a permission; whose rows it reaches is the scope's matter."""
    return role in BY_NAME[permission].roles
