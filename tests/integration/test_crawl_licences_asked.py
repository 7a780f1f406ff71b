"""A crawl for other licences than the last: the services are asked for them from the start."""

from __future__ import annotations

from pathlib import Path

from tests.builder_store import empty_project
from tests.command import done
from tests.picture_services import picture_services


def test_licences_that_are_asked_for_later_are_found_though_the_first_queries_are_exhausted(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with picture_services() as services:
        project = empty_project(
            tmp_path,
            wordnet={"folder": str(wordnet_folder)},
            inaturalist={"endpoint": f"{services.address}/v1"},
            crawl={"sources": ["inaturalist"], "attempts": 1},
        ).folder
        done(project, "synsets", "select", "fly_agaric")

        def found(licences: str) -> int:
            """How many candidates are new, of pictures that nobody serves."""
            count: int = done(project, "crawl", "--licence", licences, "--json").document["new_candidates"]
            return count

        assert found("cc0") == 6
        assert found("cc0,by-nc") == 6
        asked = [query["photo_license"] for path, query in services.asked if path == "/v1/observations"]
        assert asked == ["cc0", "cc0,cc-by-nc"]
        assert found("by-nc,cc0") == 0
        asked = [query["photo_license"] for path, query in services.asked if path == "/v1/observations"]
        assert asked == ["cc0", "cc0,cc-by-nc"], "what is exhausted is not asked again"
    queries = done(project, "candidates", "--queries", "--json").document
    assert {query["words"] for query in queries} == {
        "Amanita muscaria [cc0,research]",
        "Amanita muscaria [cc0,by-nc,research]",
    }
    assert "Amanita muscaria [cc0,research] " in done(project, "candidates", "--queries").output


def test_a_table_shows_the_names_of_settings_as_they_are(tmp_path: Path, wordnet_folder: Path) -> None:
    project = empty_project(tmp_path, wordnet={"folder": str(wordnet_folder)}, project={"contact": ""}).folder
    assert "set [project] contact in imagenet-builder.toml" in done(project, "doctor").output
