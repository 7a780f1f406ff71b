"""Licences as sources write them, and description pages' templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.records import Rights
from imagenet_builder.sources.licences import FREEDOM, freest, parse_licence
from imagenet_builder.sources.wikitext import plain, read_rights, templates


@pytest.mark.parametrize(
    ("text", "code", "version"),
    [
        ("cc0", "cc0", None),
        ("CC0", "cc0", None),
        ("Cc-zero", "cc0", None),
        ("Public domain", "pd", None),
        ("PD-old-100", "pd", None),
        ("PD-USGov-NASA", "pd", None),
        ("pd", "pd", None),
        ("cc-by-4.0", "by", "4.0"),
        ("CC BY 4.0", "by", "4.0"),
        ("CC BY-SA 3.0", "by-sa", "3.0"),
        ("cc-by-sa-2.5,2.0,1.0", "by-sa", "2.5"),
        ("Cc-by-sa-3.0-migrated", "by-sa", "3.0"),
        ("CC BY-SA 3.0 de", "by-sa", "3.0"),
        ("cc-by-sa-2.5-nl", "by-sa", "2.5"),
        ("cc-by-nc-sa-2.0", "by-nc-sa", "2.0"),
        ("CC BY-ND-NC 1.0", "by-nc-nd", "1.0"),
        ("cc-by-nc-2.0", "by-nc", "2.0"),
        ("cc by sa", "by-sa", None),
        ("GFDL", "gfdl", None),
        ("GFDL-1.2", "gfdl", "1.2"),
        ("FAL", "fal", None),
        ("https://creativecommons.org/licenses/by-sa/4.0", "by-sa", "4.0"),
        ("http://creativecommons.org/licenses/by/2.0/de/deed.en", "by", "2.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0", "1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "pd", "1.0"),
    ],
)
def test_known_licences_are_read(text: str, code: str, version: str | None) -> None:
    found = parse_licence(text)
    assert found is not None
    assert (found.licence, found.licence_version) == (code, version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Information",
        "own",
        "All rights reserved",
        "cc-by-sa-4.0 and more",
        "ccby",
        "pdf",
        "by",
        "fair use",
    ],
)
def test_what_is_not_known_to_be_a_licence_is_none(text: str) -> None:
    assert parse_licence(text) is None


def test_the_freest_licence_in_its_newest_version_is_taken() -> None:
    found = [Rights("gfdl"), Rights("by-sa", "2.5"), Rights("by-sa", "3.0"), Rights("by-nc", "4.0")]
    assert freest(found) == Rights("by-sa", "3.0")
    assert freest([]) is None


@given(st.text(max_size=80))
def test_no_text_makes_a_licence_that_settings_cannot_name(text: str) -> None:
    found = parse_licence(text)
    assert found is None or found.licence in FREEDOM


def test_nested_templates_are_found_with_their_parameters() -> None:
    text = "{{Information|description={{en|1=A [[File:x|link|b]] here}}|author=Bo|source={{own}}}}{{self|cc0|GFDL}}"
    found = {template.name: template for template in templates(text)}
    assert set(found) == {"en", "own", "information", "self"}
    assert found["information"].named["author"] == "Bo"
    assert found["en"].named["1"] == "A [[File:x|link|b]] here"
    assert found["self"].positional == ("cc0", "GFDL")


@pytest.mark.parametrize(
    ("text", "rights"),
    [
        ("{{cc-by-sa-4.0}}", ("by-sa", "4.0", None)),
        ("{{self|GFDL|cc-by-sa-3.0,2.5}}", ("by-sa", "3.0", None)),
        ("{{self | author=[[User:Ann|Ann]] | cc-zero }}", ("cc0", None, "Ann")),
        ("{{PD-self}}{{Information|Author=[https://ann.example Ann E.]}}", ("pd", None, "Ann E.")),
        ("{{Information|author={{Creator:Ann}}|description=x}}", (None, None, "Creator:Ann")),
        ("<!-- {{cc-by-4.0}} --> nothing", (None, None, None)),
        ("<nowiki>{{cc-by-4.0}}</nowiki>", (None, None, None)),
        ("{{cc-by-4.0", (None, None, None)),
        ("}} {{cc-by-4.0}} {{", ("by", "4.0", None)),
    ],
)
def test_description_pages_tell_licence_and_author(
    text: str, rights: tuple[str | None, str | None, str | None]
) -> None:
    found = read_rights(text)
    assert (found.licence, found.licence_version, found.author) == rights


@given(st.text(alphabet="{}[]|=ab <>!-'\n", max_size=200))
def test_no_wikitext_raises(text: str) -> None:
    read_rights(text)
    list(templates(text))


def test_markup_is_taken_off_short_texts() -> None:
    assert plain("'''[[User:Ann|Ann]]''' <small>of</small> [https://x.example the club]") == "Ann of the club"
