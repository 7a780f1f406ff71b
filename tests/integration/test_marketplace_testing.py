"""`hits.marketplace.testing`, as somebody else's project uses it: a conftest, a program, a test, run by pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import boto3
import pytest

from hits.marketplace.testing import RunningMarketplace, mturk_marketplace

from ..marketplace_programs import TERMS
from ..marketplace_worker import html_question

__all__ = ["mturk_marketplace"]

README = Path(__file__).parents[2] / "README.md"

PROGRAM = f"""
import boto3

QUESTION = {html_question()!r}


def ask():
    client = boto3.client("mturk")
    hit = client.create_hit(
        Title="Umbrella?", Description="Look.", Reward="0.10", LifetimeInSeconds=600,
        AssignmentDurationInSeconds=60, Question=QUESTION,
    )
    return hit["HIT"]["HITId"]


def pay_everyone(hit_id):
    client = boto3.client("mturk")
    found = client.list_assignments_for_hit(HITId=hit_id, AssignmentStatuses=["Submitted"])["Assignments"]
    for assignment in found:
        client.approve_assignment(AssignmentId=assignment["AssignmentId"])
    return [assignment["Answer"] for assignment in found]
"""


def readme_test() -> str:
    """The test that README shows."""
    text = README.read_text()
    after = text[text.index("hits.marketplace.testing") :]
    block: str = after.split("```python\n", 1)[1].split("```", 1)[0]
    return block


def test_the_test_in_the_readme_runs_in_a_strangers_project(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["hits.marketplace.testing"]\n')
    (tmp_path / "umbrellas.py").write_text(textwrap.dedent(PROGRAM))
    (tmp_path / "test_umbrellas.py").write_text(readme_test())
    assert len(readme_test().splitlines()) <= 12
    environment = {**os.environ, "AWS_PROFILE": "nobody", "PYTEST_ADDOPTS": ""}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_finds_its_own_marketplace_by_the_environment(
    mturk_marketplace: RunningMarketplace, turn: str
) -> None:
    balance = boto3.client("mturk").get_account_balance()
    assert balance["AvailableBalance"] == "10000.00", turn


def test_the_fixture_serves_an_unmodified_client_and_a_worker(mturk_marketplace: RunningMarketplace) -> None:
    client = boto3.client("mturk")
    assert client.meta.endpoint_url == mturk_marketplace.url
    hit_id = client.create_hit(**TERMS, LifetimeInSeconds=60, MaxAssignments=2, Question=html_question())[
        "HIT"
    ]["HITId"]
    ada, bo = mturk_marketplace.worker("Ada"), mturk_marketplace.worker("Bo")
    assert mturk_marketplace.worker("Ada").worker_id == ada.worker_id
    bo.give_back(bo.accept(hit_id))
    assignment_id = ada.answer(hit_id, {"umbrella": "yes"})
    [found] = client.list_assignments_for_hit(HITId=hit_id)["Assignments"]
    assert (found["AssignmentId"], found["WorkerId"]) == (assignment_id, ada.worker_id)
    client.send_bonus(WorkerId=ada.worker_id, AssignmentId=assignment_id, BonusAmount="0.05", Reason="Quick")
    assert len(client.list_bonus_payments(HITId=hit_id)["BonusPayments"]) == 1


def test_two_marketplaces_run_side_by_side(
    tmp_path: Path, mturk_marketplace: RunningMarketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hits.marketplace.testing import running_marketplace

    other_folder = tmp_path / "other"
    other_folder.mkdir()
    with running_marketplace(other_folder, balance_cents=5) as other:
        assert other.url != mturk_marketplace.url
        assert other.client().get_account_balance()["AvailableBalance"] == "0.05"
        assert mturk_marketplace.client().get_account_balance()["AvailableBalance"] == "10000.00"
