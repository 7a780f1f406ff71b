"""The budget of publish-hits: a cap on what is reserved and spent, whatever happens between two runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from hits.marketplace.settings import utc_now
from hits.model import Answer
from imagenet_builder.aggregate import aggregate
from imagenet_builder.errors import PublishError
from imagenet_builder.planning import PAGES_TO_TRUST
from imagenet_builder.publish import PublishReport, PublishRequest, publish
from imagenet_builder.reconcile import reconcile
from imagenet_builder.store import ledger
from imagenet_builder.store.tables import assignments, hits, reservations
from tests.killing_proxy import killing_proxy
from tests.verification_project import DOG, UMBRELLA, Verification, add_pictures, verification

# Ten dogs on two pages and five umbrellas on one: three pages of three votes at 10 and 2 cents.
PAGES: dict[str, object] = {"page_size": 8, "controls": 2}
PAGE_CENTS = 36


@pytest.fixture
def prepared(tmp_path: Path, wordnet_folder: Path, store_url: str) -> Iterator[Verification]:
    with verification(
        tmp_path, wordnet_folder, {DOG: 10, UMBRELLA: 5}, store_url=store_url, verification=PAGES
    ) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path, wordnet_folder: Path) -> Iterator[Verification]:
    """The same on SQLite alone."""
    with verification(tmp_path, wordnet_folder, {DOG: 10, UMBRELLA: 5}, verification=PAGES) as made:
        yield made


def within(cents: int) -> PublishRequest:
    return PublishRequest(reward_cents=10, budget_cents=cents)


def taken(made: Verification) -> int:
    """What the marketplace holds of the requester's money, in cents."""
    balance = made.marketplace.client().get_account_balance()["AvailableBalance"]
    return 1_000_000 - round(100 * float(balance))


def states(made: Verification) -> list[tuple[str, int]]:
    return sorted(made.rows(sa.select(reservations.c.state, reservations.c.cents)))


def test_the_cap_holds_over_all_runs_together(prepared: Verification) -> None:
    budget = 2 * PAGE_CENTS + PAGE_CENTS - 1
    first = publish(prepared.project, within(budget))
    assert (first.published, first.committed_cents) == (2, 0)
    again = publish(prepared.project, within(budget))
    assert (again.published, again.committed_cents) == (0, 2 * PAGE_CENTS)
    assert again.over_budget == 15 - first.questions
    assert taken(prepared) == 2 * PAGE_CENTS <= budget
    assert states(prepared) == [("reserved", PAGE_CENTS)] * 2
    assert publish(prepared.project, within(3 * PAGE_CENTS)).published == 1


def test_what_other_endpoints_cost_is_not_counted(small: Verification) -> None:
    publish(small.project, within(3 * PAGE_CENTS))
    with database.writing(small.project.engine) as connection:
        connection.execute(reservations.update().values(live=True))
    add_pictures(small.project, DOG, range(500, 503))
    assert publish(small.project, within(PAGE_CENTS)).published == 1


def test_unanswered_pages_give_their_money_back_to_the_budget(prepared: Verification) -> None:
    publish(prepared.project, within(2 * PAGE_CENTS))
    answered, unanswered = prepared.pages()
    prepared.submit("anna", answered, Answer.YES)
    for hit_id in (answered, unanswered):
        prepared.marketplace.client().update_expiration_for_hit(HITId=hit_id, ExpireAt=0)
    aggregate(prepared.project)
    assert states(prepared) == [("released", 0), ("spent", PAGE_CENTS // 3)]
    with database.reading(prepared.project.engine) as connection:
        assert ledger.committed(connection) == ledger.Committed(reserved=0, spent=PAGE_CENTS // 3)
    assert publish(prepared.project, within(PAGE_CENTS + PAGE_CENTS // 3)).published == 1


def test_pages_that_are_given_up_release_their_money(small: Verification) -> None:
    publish(small.project, within(3 * PAGE_CENTS))
    with database.writing(small.project.engine) as connection:
        gone = sa.select(sa.func.min(hits.c.id)).scalar_subquery()
        connection.execute(hits.update().where(hits.c.id == gone).values(platform_hit_id="3GONE"))
    reconcile(small.project, abandon=True)
    assert states(small) == [("released", 0)] + [("reserved", PAGE_CENTS)] * 2


def test_money_is_reserved_before_the_platform_is_called_and_kept_after_a_kill(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    from tests.integration.test_publish_killed import CREATE, killed, undisturbed

    with killing_proxy() as (proxy, address):

        def between(url: str) -> str:
            proxy.upstream = url
            return address

        with verification(
            tmp_path, wordnet_folder, {DOG: 10, UMBRELLA: 5}, endpoint=between, verification=PAGES
        ) as made:
            run = ("publish-hits", "--sandbox", "--reward", "0.10", "--budget", "0.72")
            # Killed before the platform hears of the first page, then after it made it.
            proxy.kill(CREATE, 1, delivered=False)
            killed(made, proxy, *run)
            assert taken(made) == 0
            assert states(made) == [("reserved", PAGE_CENTS)] * 2
            proxy.kill(CREATE, 1, delivered=True)
            killed(made, proxy, *run)
            undisturbed(made, proxy, *run)
            assert taken(made) == 2 * PAGE_CENTS
            assert "the budget pays for no page" in undisturbed(made, proxy, *run)
            assert taken(made) == 2 * PAGE_CENTS


def test_what_is_reserved_between_plan_and_publication_counts(prepared: Verification) -> None:
    def another_run(plan: PublishReport) -> None:
        assert plan.cost.total_cents == 3 * PAGE_CENTS
        with database.writing(prepared.project.engine) as connection:
            hit_id = connection.execute(
                hits.insert()
                .values(
                    wnid=DOG,
                    token="another",
                    endpoint=prepared.marketplace.url,
                    live=False,
                    state="intended",
                    votes_wanted=3,
                    rule="majority",
                    reward_cents=10,
                    fee_cents=2,
                    intended_at=utc_now(),
                )
                .returning(hits.c.id)
            ).scalar_one()
            ledger.reserve(connection, hit_id, PAGE_CENTS, utc_now())

    with pytest.raises(PublishError, match=r"would exceed the budget of \$1\.08"):
        publish(prepared.project, within(3 * PAGE_CENTS), confirm=another_run)
    with database.reading(prepared.project.engine) as connection:
        assert ledger.committed(connection).total == 3 * PAGE_CENTS
    assert taken(prepared) == 2 * PAGE_CENTS


def test_the_settings_may_hold_the_cap_for_every_run(tmp_path: Path, wordnet_folder: Path) -> None:
    capped = {**PAGES, "budget_cents": PAGE_CENTS}
    with verification(tmp_path, wordnet_folder, {DOG: 10}, verification=capped) as made:
        assert publish(made.project, PublishRequest(reward_cents=10)).published == 1
        assert publish(made.project, PublishRequest(reward_cents=10)).published == 0
        assert publish(made.project, within(2 * PAGE_CENTS)).published == 1


def test_a_plan_says_what_a_candidate_and_an_accepted_picture_cost(small: Verification) -> None:
    dry = publish(small.project, PublishRequest(reward_cents=10, dry_run=True))
    assert dry.cents_per_candidate == pytest.approx(3 * PAGE_CENTS / 15)
    assert (dry.decided, dry.expected_accepted) == (0, 7.5)
    publish(small.project, PublishRequest(categories=(DOG,)))
    for hit_id in small.pages():
        for worker in ("anna", "ben", "cleo"):
            small.submit(worker, hit_id, Answer.NO)
    aggregate(small.project)
    after = publish(small.project, PublishRequest(reward_cents=10, dry_run=True))
    # All ten were no: so are most umbrellas, as far as one can tell.
    assert after.decided == 10
    assert after.expected_accepted == pytest.approx(5 * (2 * 1 / 12) / 2)
    assert after.cents_per_accepted == pytest.approx(PAGE_CENTS / after.expected_accepted)


def test_rewards_follow_the_time_that_pages_took(small: Verification) -> None:
    publish(small.project, PublishRequest(categories=(DOG,)))
    hit_id = next(iter(small.pages()))
    small.submit("anna", hit_id, Answer.NO)
    aggregate(small.project)
    settings = small.project.settings.verification
    assert publish(small.project, PublishRequest(dry_run=True)).timed_pages == 0
    (row,) = small.rows(sa.select(assignments))
    timed = {**dict(zip(assignments.c.keys(), row, strict=True)), "page_seconds": 8 * 3.0}
    timed["submitted_at"] = timed["submitted_at"].replace(year=timed["submitted_at"].year + 1)
    with database.writing(small.project.engine) as connection:
        connection.execute(assignments.update().values(page_seconds=None))
        for number in range(PAGES_TO_TRUST):
            copy = {**timed, "id": 100 + number, "platform_assignment_id": f"A{number}"}
            connection.execute(assignments.insert().values(copy))
    dry = publish(small.project, PublishRequest(dry_run=True))
    assert (dry.seconds_per_picture, dry.timed_pages) == (3.0, PAGES_TO_TRUST)
    least = 5 * 3.0 * settings.pay_per_hour_cents / 3600
    assert least <= dry.cost.reward_cents / dry.cost.assignments <= least + 1
    with database.writing(small.project.engine) as connection:
        # The platform's clock was set back while the page was answered: the page's own is left.
        connection.execute(assignments.update().values(submitted_at=timed["accepted_at"] - timedelta(days=1)))
    assert publish(small.project, PublishRequest(dry_run=True)).seconds_per_picture == 3.0
    with database.writing(small.project.engine) as connection:
        connection.execute(assignments.update().values(page_seconds=0.01))
    rushed = publish(small.project, PublishRequest(dry_run=True))
    assert rushed.seconds_per_picture == settings.seconds_per_picture / 2
