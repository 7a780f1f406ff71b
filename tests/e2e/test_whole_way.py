"""From WordNet to a trained baseline by hand, on a small scale: every command as a user gives it, every part real."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from hits import database
from hits.simulation import Shown
from imagenet_builder.config import SETTINGS_NAME
from imagenet_builder.demo.drawing import draw
from imagenet_builder.project import find_project
from imagenet_builder.simulating import truth_by_picture_name
from imagenet_builder.store import tables as t
from tests import mediawiki_server
from tests.command import SCRIPT, done, marketplace_settings, refused, served, start
from tests.mediawiki_server import WikiPicture
from tests.people import Person, running_browser
from tests.real_parts import free_port, fresh_postgres_database, need

pytestmark = pytest.mark.timeout(900)

CATEGORIES = {"n04507155": "umbrella", "n07734744": "mushroom"}
RIGHT, WRONG = 10, 4
EXPORT = ("export", "--classes", "2", "--val", "1", "--test", "1", "--min-train", "4")
Truth = dict[tuple[str, str], bool]


def drawn(wnid: str | None, number: int, size: tuple[int, int] = (320, 240)) -> bytes:
    """A JPEG that shows a class or, for None, none."""
    file = io.BytesIO()
    draw(wnid, random.Random(f"{wnid} {number}"), size).save(file, "JPEG", quality=85)
    return file.getvalue()


def collection() -> tuple[list[WikiPicture], dict[str, bool]]:
    """Files for each category, right and wrong, and by file name whether it shows its category."""
    files: list[WikiPicture] = []
    truth: dict[str, bool] = {}
    for wnid, word in CATEGORIES.items():
        other = next(found for found in CATEGORIES if found != wnid)
        for number in range(RIGHT + WRONG):
            shows = number < RIGHT
            name = f"{word.capitalize()} {number:02d}.jpg"
            content = drawn(wnid if shows else (None, other)[number % 2], number)
            licence = ("{{cc-zero}}", "{{self|cc-by-sa-4.0}}", "{{cc-by-2.0}}")[number % 3]
            files.append(WikiPicture(name, content, described(word, number, licence)))
            truth[name] = shows
        files.append(
            WikiPicture(f"{word} sold.jpg", drawn(wnid, 90), described(word, 90, "{{cc-by-nc-2.0}}"))
        )
        files.append(
            WikiPicture(f"{word} tiny.jpg", drawn(wnid, 91, (64, 48)), described(word, 91, "{{cc-zero}}"))
        )
    return files, truth


def described(word: str, number: int, licence: str) -> str:
    return mediawiki_server.page(f"A {word} in the rain, number {number}", licence)


@pytest.fixture(scope="module")
def encyclopedia(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, bool]]]:
    """A MediaWiki with the collection; its address, and what each file shows."""
    need("mediawiki", (mediawiki_server.CODE / "api.php").exists() or None)
    need("php-cli", shutil.which("php"))
    folder = tmp_path_factory.mktemp("encyclopedia") / "wiki"
    files, truth = collection()
    mediawiki_server.build_wiki(folder, files)
    with mediawiki_server.serve_wiki(folder) as address:
        yield address, truth


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with running_browser(chromium) as running:
        yield running


def write_settings(project: Path, /, **sections: dict[str, object]) -> None:
    """What a user writes into the settings file with an editor: JSON's values are TOML's too."""
    lines: list[str] = []
    for section, settings in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (project / SETTINGS_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")


def by_cron(project: Path, *arguments: str) -> str:
    """Run a command as cron does: hardly any environment, from another folder, nobody at a terminal."""
    ended = subprocess.run(
        ["env", "-i", "PATH=/usr/bin:/bin", str(SCRIPT), "--project", str(project), *arguments],
        cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def truth_of(project: Path, shows: dict[str, bool]) -> Truth:
    """(SHA-256, wnid) → whether it shows the category, from the names of the files."""
    c = t.candidates.c
    found = find_project(project)
    with database.reading(found.engine) as connection:
        rows = connection.execute(sa.select(c.sha256, c.wnid, c.title).where(c.state == "stored")).all()
    found.engine.dispose()
    return {(row.sha256, row.wnid): shows[row.title.removeprefix("File:")] for row in rows}


def decided(project: Path) -> Truth:
    """The final verdicts: (SHA-256, wnid) → accepted."""
    q, v = t.questions.c, t.verdicts.c
    found = find_project(project)
    with database.reading(found.engine) as connection:
        rows = connection.execute(
            sa.select(q.sha256, q.wnid, v.decision)
            .join_from(t.questions, t.verdicts, v.question_id == q.id)
            .where(v.final)
        ).all()
    found.engine.dispose()
    return {(row.sha256, row.wnid): row.decision == "accepted" for row in rows}


def names_on_pages(project: Path, truth: Truth) -> dict[str, Shown]:
    found = find_project(project)
    names = truth_by_picture_name(found.engine, truth)
    found.engine.dispose()
    return names


def label_controls(browser: Browser, project: Path, shows: dict[str, bool], shots: Path) -> None:
    """The requester says of two pictures a category what they show, on her own page."""
    known = {sha256: answer for (sha256, _), answer in truth_of(project, shows).items()}
    server = start(project, "controls", "label", "--pictures", "40")
    try:
        assert server.stderr is not None
        address = server.stderr.readline().split()[1]
        page = browser.new_page()
        for wnid in CATEGORIES:
            page.goto(f"{address}categories/{wnid}")
            offered = page.locator("fieldset")
            names = [
                Path(src).stem
                for src in offered.locator("img").evaluate_all("all => all.map((one) => one.src)")
            ]
            for wanted in (True, False):
                place = next(place for place, name in enumerate(names) if known[name] is wanted)
                offered.nth(place).get_by_label("Yes" if wanted else "No", exact=True).check()
            page.screenshot(path=shots / f"controls-{wnid}.png")
            page.get_by_role("button", name="Save, and go back").click()
            expect(page.get_by_role("heading", name="Controls")).to_be_visible()
        page.close()
        server.terminate()
        output, errors = server.communicate(timeout=60)
    finally:
        server.kill()
        server.communicate()
    assert "4 controls made" in output, errors


def torchvision_loads(release: Path) -> None:
    """torchvision's own reader, as it is, finds the classes and opens the pictures."""
    pytest.importorskip("torch")
    from imagenet_builder.train.compatibility import load_torchvision

    torchvision = load_torchvision()
    for split in ("train", "val"):
        reader = torchvision.datasets.ImageNet(str(release), split)
        assert reader.wnids == sorted(CATEGORIES)
        assert reader.classes == [(CATEGORIES[wnid],) for wnid in sorted(CATEGORIES)]
        assert {label for _, label in reader.imgs} == {0, 1}
        picture, _ = reader[0]
        assert min(picture.size) > 100


def test_a_dataset_is_made_by_hand_with_people_in_browsers(
    tmp_path: Path, encyclopedia: tuple[str, dict[str, bool]], browser: Browser, wordnet_folder: Path
) -> None:
    address, shows = encyclopedia
    port, project, shots = free_port(), tmp_path / "umbrellas", tmp_path / "screenshots"
    shots.mkdir()

    # A project with categories.
    assert "made a project in" in done(tmp_path, "init", "umbrellas").output
    write_settings(
        project,
        project={"name": "umbrellas", "contact": "tests@example.org"},
        wordnet={"folder": str(wordnet_folder)},
        crawl={"per_category": 40, "allow_addresses": [address.removeprefix("http://")]},
        wikimedia={"endpoint": f"{address}/api.php", "search_text": True},
        marketplace=marketplace_settings(port),
        verification={"page_size": RIGHT + WRONG, "controls": 2},
    )
    assert "2 selected: 2 new" in done(project, "synsets", "select", "umbrella", "n07734744").output
    assert "n04507155  umbrella.n.01  umbrella" in done(project, "synsets", "selected").output

    # Candidates.
    first = done(project, "crawl", "--json").document
    reasons = {(found["state"], found["reason"]): found["count"] for found in first["outcomes"]}
    assert reasons == {
        ("stored", None): 2 * (RIGHT + WRONG),
        ("rejected", "licence"): 2,
        ("rejected", "too-small"): 2,
    }
    assert "nothing to do" in (rested := done(project, "crawl").output)
    assert "(`imagenet-builder crawl --again` asks them from their beginning)" in " ".join(rested.split())
    assert done(project, "crawl", "--again", "--json").document["new_candidates"] == 0
    assert "too-small" in done(project, "candidates", "--rejected").output
    label_controls(browser, project, shows, shots)

    # People vote.
    with served(project, "marketplace", "serve", port=port):
        invited = done(project, "marketplace", "invite", "ann", "ben", "cem", "--json").document
        plan = done(project, "publish-hits", "--sandbox", "--dry-run").output
        assert "dry run: nothing was changed" in plan
        assert done(project, "status", "--json").document["hits"] == {}
        made = done(project, "publish-hits", "--sandbox").output
        assert re.search(r"questions  24 in 2 categories, and 4 controls", made), made
        assert [line for line in made.splitlines() if line.startswith("total")] == [
            line for line in plan.splitlines() if line.startswith("total")
        ]
        truth = truth_of(project, shows)
        names = names_on_pages(project, truth)
        hands = ("mouse", "keyboard", "touch")
        for person_number, (worker, hand) in enumerate(zip(invited, hands, strict=True), start=1):
            person = Person(browser, worker["name"], hand, shots)
            person.sign_in(worker["url"])
            pages = 0
            while person.take_next():
                assert person.answer(names) == RIGHT + WRONG
                pages += 1
            person.shoot("nothing-left")
            assert (pages, person.troubles) == (2, [])
            said = json.loads(by_cron(project, "aggregate", "--json"))
            assert (said["collected"]["assignments"], said["collected"]["payments"]) == (2, 2)
            assert said["hits_open"] == (0 if person_number == 3 else 2)
            assert said["collected"]["controls_right"] == said["collected"]["controls_shown"] == 4
            person.page.goto(f"http://127.0.0.1:{port}/earnings")
            person.shoot("earnings")
            assert person.page.locator("[data-assignment-id][data-status=Approved]").count() == 2
            person.page.context.close()
        assert "0 collected" in by_cron(project, "aggregate")
        assert "good" in done(project, "doctor").output
    verdicts = decided(project)
    assert len(verdicts) == 24
    assert all(truth[question] is accepted for question, accepted in verdicts.items())

    # A release, and a baseline.
    release = project / "releases" / "first"
    done(project, *EXPORT, "--out", "releases/first")
    assert "is sound" in done(project, "verify-release", "releases/first").output
    torchvision_loads(release)
    done(
        project,
        *("train", "releases/first", "--arch", "small", "--size", "32", "--epochs", "1", "--device", "cpu"),
        *("--workers", "0", "--out", "runs/first"),
    )
    metrics = json.loads((project / "runs" / "first" / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["classes"], len(metrics["epochs"])) == (2, 1)

    # Where it stands.
    status = done(project, "status", "--json").document
    assert status["votes"] == {"yes": 3 * 2 * RIGHT, "no": 3 * 2 * WRONG}
    assert (status["workers"], status["agreement"], status["releases"]) == (3, 1.0, ["first"])
    assert status["spent_cents"] == status["promised_cents"] > 0
    done(project, "report", "--run", "runs/first", "--out", "report.html")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((project / "report.html").as_uri())
    page.screenshot(path=shots / "report.png", full_page=True)
    page.close()


def test_ones_own_pictures_become_a_dataset_in_postgresql_with_a_simulated_crowd(
    tmp_path: Path, postgres_server: str, wordnet_folder: Path
) -> None:
    port, project = free_port(), tmp_path / "mine"
    shows: dict[str, bool] = {}
    for wnid, word in CATEGORIES.items():
        (tmp_path / "pictures" / word).mkdir(parents=True)
        for number in range(RIGHT + WRONG):
            name, right = f"{word}-{number:02d}.jpg", number < RIGHT
            (tmp_path / "pictures" / word / name).write_bytes(drawn(wnid if right else None, number))
            shows[name] = right
    with ExitStack() as stack:
        stores = [stack.enter_context(fresh_postgres_database(postgres_server)) for _ in range(2)]
        done(tmp_path, "init", "mine")
        write_settings(
            project,
            store={"url": stores[0]},
            wordnet={"folder": str(wordnet_folder)},
            crawl={"sources": ["folder"], "licences": ["by"]},
            folder={"path": str(tmp_path / "pictures"), "licence": "by", "author": "Ann Example"},
            marketplace={**marketplace_settings(port), "store": stores[1]},
        )
        refused(project, "status")
        assert "builder: empty → " in done(project, "db", "upgrade").output
        done(project, "synsets", "select", *CATEGORIES)
        assert done(project, "crawl", "--json").document["new_candidates"] == len(shows)
        truth = truth_of(project, shows)
        (tmp_path / "truth.jsonl").write_text(
            "".join(
                json.dumps({"sha256": sha256, "wnid": wnid, "truth": right}) + "\n"
                for (sha256, wnid), right in truth.items()
            ),
            encoding="utf-8",
        )
        with served(project, "marketplace", "serve", port=port):
            done(project, "publish-hits", "--sandbox", "--controls", "0", "--page-size", "10")
            crowd = done(
                project,
                *("marketplace", "simulate", "--workers", "3", "--profile", "careful", "--json"),
                *("--truth", str(tmp_path / "truth.jsonl")),
            ).document
            assert crowd["answers"]["broken"] == 0
            said = json.loads(by_cron(project, "aggregate", "--json"))
            assert said["collected"]["payments"] == crowd["pages"]
            assert json.loads(by_cron(project, "aggregate", "--json"))["verdicts_changed"] == 0
            assert "postgresql" in done(project, "doctor").output
        verdicts = decided(project)
        assert len(verdicts) == len(truth)
        # A careful worker errs on 2 to 4 pictures in a hundred: three of them together hardly ever do.
        assert sum(truth[question] is accepted for question, accepted in verdicts.items()) >= len(truth) - 2
        done(project, *EXPORT, "--out", "releases/first")
        assert "is sound" in done(project, "verify-release", "releases/first").output
        status = done(project, "status", "--json").document
        assert status["spent_cents"] == status["promised_cents"] > 0
        assert sum(category["accepted"] for category in status["categories"]) >= 2 * RIGHT - 2
        assert done(project, "candidates", "--json").document[0]["stored"] == RIGHT + WRONG
        done(project, "report")
        assert "data:image/jpeg;base64," in (project / "report.html").read_text(encoding="utf-8")
