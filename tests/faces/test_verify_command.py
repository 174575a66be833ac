"""`financing verify` tells a person and a script the same verdict, without any store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from financing.cli import verify as command
from financing.evidence import asice, cms, verify
from financing.evidence.keys import Keys
from financing.values.times import rfc3339, wall_now
from financing.words import words
from tests.parts import crafted

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good packet of a fresh key store, a changed one, and another issuer's."""
    keys = Keys.open(tmp_path / "var" / "keys")
    now = wall_now().replace(microsecond=0)
    status = {"as_of": rfc3339(now), "schema": "status/1", "status": "current"}
    index = {"issued_at": rfc3339(now)}
    parts = crafted.documents(**{"packet.json": index, "status.json": status})
    manifest = asice.manifest(parts)
    good = asice.container(parts, manifest, keys.signer.sign(manifest, now))
    root = crafted.new_root(now)
    issued = crafted.new_signing(root, now)
    signature = cms.Signer.of(issued.der, issued.key).sign(manifest, now)
    (tmp_path / "good.asice").write_bytes(good)
    (tmp_path / "bad.asice").write_bytes(crafted.but(good, "checks.json", b"[]"))
    (tmp_path / "strange.asice").write_bytes(asice.container(parts, manifest, signature))
    (tmp_path / "ca.pem").write_bytes(keys.ca_pem)
    (tmp_path / "strange.pem").write_bytes(root.pem)
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if "FINANCING" not in name}
    return subprocess.run(
        [sys.executable, "-m", "financing", "verify", *arguments],
        cwd=folder,
        env=clean | {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_script_reads_the_verdict(folder: Path) -> None:
    good = run(folder, "good.asice", "--trust", "ca.pem", "--json")
    said = json.loads(good.stdout)
    assert good.returncode == 0
    assert (said["verdict"], said["indication"], said["part"]) == ("TOTAL-PASSED", None, None)
    assert said["packet"].startswith("sha-256:")
    assert said["status"]["status"] == "current"
    bad = run(folder, "bad.asice", "--trust", "ca.pem", "--json")
    said = json.loads(bad.stdout)
    assert bad.returncode == 1
    assert (said["verdict"], said["indication"]) == ("TOTAL-FAILED", "HASH_FAILURE")
    assert said["part"] == "checks.json"
    assert said["status"] is None


def test_without_trust_only_our_own_root_counts(folder: Path) -> None:
    assert run(folder, "good.asice").returncode == 0
    assert run(folder, "strange.asice").returncode == 3
    assert run(folder, "strange.asice", "--trust", "strange.pem").returncode == 0
    nobody = run(folder, "good.asice", "--json", FINANCING_DATA=str(folder / "elsewhere"))
    assert nobody.returncode == 3
    assert json.loads(nobody.stdout)["reason"] == "no-trusted-issuer"
    assert not (folder / "elsewhere").exists()


def test_a_person_reads_what_is_wrong_where_and_what_to_do(folder: Path) -> None:
    bad = run(folder, "bad.asice", "--lang", "zh")
    assert "checks.json" in bad.stdout
    assert words()["verify.part-changed"]["zh"] in bad.stdout
    assert words()["verify.ask_again"]["zh"] in bad.stdout
    english = run(folder, "bad.asice", "--lang", "en")
    assert words()["verify.part-changed"]["en"] in english.stdout


def test_a_wrong_call_changes_nothing_and_says_so(folder: Path) -> None:
    for arguments in (["nowhere.asice"], ["good.asice", "--trust", "good.asice"], []):
        ran = run(folder, *arguments)
        assert ran.returncode == 2
        assert ran.stdout == ""
        assert "error" in ran.stderr


def test_without_openssl_the_component_is_named(folder: Path) -> None:
    ran = run(folder, "good.asice", PATH=str(folder))
    assert ran.returncode == 4
    assert "openssl" in ran.stderr


@pytest.mark.parametrize("reason", verify.SUB_INDICATION)
def test_every_verdict_has_its_words_and_remedy(reason: str) -> None:
    sub = verify.SUB_INDICATION[reason]
    found = verify.Verdict("INDETERMINATE", sub, reason, "x", "sha-256:0", 3, {})
    for lang in ("zh", "en"):
        assert all(command.lines(found, ["AB:CD"], lang))
    assert command.document(found, [])["remedy"]["zh"]
