"""The facts of a record that says nothing but that there are two sides."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from financing.values.contract_facts import ContractFacts

_EMPTY: dict[str, Any] = {"str": "", "int": 0, "bool": False}
_NOBODY = {"scheme": "name", "identifier": "x", "name": "x", "size": ""}


def silent_facts() -> dict[str, Any]:
    """What `contract_version.facts` holds then: every field, each as empty as it may be."""
    found: dict[str, Any] = {}
    for one in fields(ContractFacts):
        kind = str(one.type)
        found[one.name] = None if "None" in kind else _EMPTY.get(kind, [])
    return found | {"purchaser": _NOBODY, "supplier": _NOBODY}
