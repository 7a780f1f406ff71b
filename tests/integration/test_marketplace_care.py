"""Erasing a worker, and copies of a store that is in use."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hits.backup import back_up, restore
from hits.database import open_engine, reading
from hits.errors import DatabaseError, HitsError
from hits.marketplace import erasure, panels
from hits.marketplace.tables import accounts, hits, metadata, transfers

from ..marketplace_programs import make_hit, submitted
from ..marketplace_server import RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker


def everything_stored(engine: sa.Engine) -> str:
    """Every value of every table, as text."""
    with reading(engine) as connection:
        return "\n".join(
            str(row) for table in metadata.sorted_tables for row in connection.execute(table.select())
        )


def test_an_erased_worker_is_nowhere_in_the_store_and_the_answers_stay(
    market: RunningMarketplace, client: Any
) -> None:
    ada = SiteWorker(market.url, market.invite("Ada-Lovelace"))
    hit_id, assignment_id = submitted(client, ada)
    client.approve_assignment(AssignmentId=assignment_id)
    ada.post("/profile", country="GB", adult="yes")
    worker_id = client.get_assignment(AssignmentId=assignment_id)["Assignment"]["WorkerId"]
    client.notify_workers(Subject="Hello", MessageText="dear Ada-Lovelace", WorkerIds=[worker_id])
    client.create_worker_block(WorkerId=worker_id, Reason="Ada-Lovelace is too fast")
    client.delete_worker_block(WorkerId=worker_id)
    open_hit = make_hit(client, MaxAssignments=1)
    ada.accept(open_hit)
    assert ada.post("/privacy/erase").status_code == 400
    token = SiteWorker.csrf(ada.get("/privacy").text)
    done = ada.post("/privacy/erase", confirm="yes", csrf=token)
    assert done.status_code == 200
    assert "Ada-Lovelace" not in everything_stored(market.engine)
    assert ada.get("/hits").headers["Location"] == "/"
    kept = client.list_assignments_for_hit(HITId=hit_id)["Assignments"][0]
    assert (kept["WorkerId"], kept["AssignmentStatus"]) == (worker_id, "Approved")
    assert client.get_hit(HITId=open_hit)["HIT"]["NumberOfAssignmentsAvailable"] == 1
    with reading(market.engine) as connection:
        assert connection.scalar(sa.select(sa.func.sum(accounts.c.cents))) == 0
    again = SiteWorker(market.url, market.invite("Ada-Lovelace"))
    assert again.get(f"/assignments/{assignment_id}").status_code == 404


def test_an_erased_guest_of_a_panel_cannot_be_told_by_the_panels_ids(
    market: RunningMarketplace, client: Any
) -> None:
    made = panels.create_study(
        market.engine,
        "tester",
        "66f0",
        "C",
        pages=2,
        reward_cents=100,
        fee_cents=0,
        seconds=600,
        now=market.clock(),
    )
    guest = panels.arrive(market.engine, made, "participant-5e1f", "session-77", market.clock())
    panels.begin(market.engine, made, guest.worker_id, "session-77", market.clock())
    before = client.get_account_balance()["AvailableBalance"]
    erasure.erase(market.engine, erasure.find_worker(market.engine, guest.pseudonym), market.clock())
    stored = everything_stored(market.engine)
    assert "participant-5e1f" not in stored
    assert "session-77" not in stored
    assert float(client.get_account_balance()["AvailableBalance"]) == float(before) + 1
    with pytest.raises(HitsError, match="no worker"):
        erasure.find_worker(market.engine, guest.pseudonym)


def test_a_backup_taken_while_work_goes_on_is_whole_and_can_be_put_back(
    market: RunningMarketplace, client: Any, tmp_path: Path
) -> None:
    first = make_hit(client)
    stop = threading.Event()
    made: list[str] = []

    def work() -> None:
        mine = market.client()
        while not stop.is_set():
            made.append(make_hit(mine))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while len(made) < 5:
            stop.wait(0.05)
        copy = tmp_path / "copy.backup"
        back_up(market.engine, copy)
        at_copy = len(made)
    finally:
        stop.set()
        thread.join(timeout=60)
    assert copy.stat().st_mode & 0o077 == 0
    late = make_hit(client)
    # Restored under the running server, which goes on with what the copy has.
    restore(market.engine, copy)
    assert client.get_hit(HITId=first)["HIT"]["HITId"] == first
    with pytest.raises(client.exceptions.RequestError):
        client.get_hit(HITId=late)
    with reading(market.engine) as connection:
        kept = connection.scalar(sa.select(sa.func.count()).select_from(hits))
        assert 6 <= (kept or 0) <= at_copy + 2
        assert connection.scalar(sa.select(sa.func.sum(accounts.c.cents))) == 0
        holds = connection.scalar(sa.select(sa.func.count()).where(transfers.c.kind == "hold"))
        assert holds == kept, "a HIT and its hold are in the copy both or neither"
    assert make_hit(client)


def test_a_backup_overwrites_nothing_and_damage_is_never_put_in_place(tmp_path: Path) -> None:
    with running_marketplace(tmp_path) as market:
        client = market.client()
        hit_id = make_hit(client)
        copy = tmp_path / "copy.backup"
        back_up(market.engine, copy)
        with pytest.raises(DatabaseError, match="overwrites nothing"):
            back_up(market.engine, copy)
        whole = copy.read_bytes()
        copy.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DatabaseError, match="damaged"):
            restore(market.engine, copy)
        copy.write_bytes(b"PGDMP and so on")
        with pytest.raises(DatabaseError, match="does not fit"):
            restore(market.engine, copy)
        with pytest.raises(DatabaseError, match="cannot read"):
            restore(market.engine, tmp_path / "none")
        assert client.get_hit(HITId=hit_id)["HIT"]["HITId"] == hit_id
        assert sorted(path.name for path in tmp_path.glob(".*unfinished*")) == []


def test_a_backup_without_its_program_says_which_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatabaseError, match="pg_dump is not installed"):
        back_up(open_engine("postgresql://nobody@127.0.0.1:9/none"), tmp_path / "copy")
