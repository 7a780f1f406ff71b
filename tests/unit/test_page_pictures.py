"""What is read from a page: pictures, words, licences."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.sources.page_pictures import PagePicture, read_page

ADDRESS = "https://site.example/dogs/page.html"


def pictures(markup: str) -> dict[str, PagePicture]:
    return {picture.url: picture for picture in read_page(markup, ADDRESS).pictures}


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<img src="a.jpg">', "https://site.example/dogs/a.jpg"),
        ('<base href="/other/"><img src="a.jpg">', "https://site.example/other/a.jpg"),
        ('<img src="a.jpg" srcset="b.jpg 800w, c,d.jpg 1600w">', "https://site.example/dogs/c,d.jpg"),
        ('<img src="a.jpg" srcset="a.jpg, b.jpg 2x">', "https://site.example/dogs/b.jpg"),
        (
            '<picture><source srcset="w.webp 900w"><img src="a.jpg"></picture>',
            "https://site.example/dogs/w.webp",
        ),
        ('<meta property="og:image" content="//cdn.example/o.jpg#x">', "https://cdn.example/o.jpg"),
    ],
)
def test_the_largest_form_of_a_picture_is_found(markup: str, expected: str) -> None:
    assert list(pictures(markup)) == [expected]


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="data:image/png;base64,AAAA">',
        "<img>",
        '<img src="javascript:1">',
        '<img src="http://[">',
        "",
    ],
)
def test_what_cannot_be_fetched_is_no_picture(markup: str) -> None:
    assert pictures(markup) == {}


def test_words_come_from_alt_caption_file_name_and_for_the_main_picture_the_title() -> None:
    markup = """
      <title>A day by the sea</title><meta property="og:image" content="main.jpg">
      <figure><img src="IMG_red-umbrella2.jpg" alt="On the beach"><figcaption>A <b>big</b> one</figcaption></figure>
      <img src="next.jpg">"""
    found = pictures(markup)
    assert found["https://site.example/dogs/IMG_red-umbrella2.jpg"].words == (
        "On the beach A big one dogs IMG red umbrella jpg"
    )
    assert "day by the sea" in found["https://site.example/dogs/main.jpg"].words
    assert "sea" not in found["https://site.example/dogs/next.jpg"].words


def test_an_image_object_tells_licence_and_author_of_its_own_picture_only() -> None:
    linked = {
        "@context": "https://schema.org",
        "@graph": [
            {
                "@type": ["ImageObject"],
                "contentUrl": "a.jpg",
                "license": "https://creativecommons.org/licenses/by-sa/4.0/",
                "creator": {"@type": "Person", "name": "Ann Example"},
                "creditText": "Ann's photos",
                "name": "A hound",
            }
        ],
    }
    markup = (
        f'<script type="application/ld+json">{json.dumps(linked)}</script><img src="a.jpg"><img src="b.jpg">'
    )
    found = pictures(markup)
    mine, other = found["https://site.example/dogs/a.jpg"], found["https://site.example/dogs/b.jpg"]
    assert (mine.rights.licence, mine.rights.licence_version) == ("by-sa", "4.0")
    assert (mine.rights.author, mine.rights.credit) == ("Ann Example", "Ann's photos")
    assert "hound" in mine.words
    assert other.rights.licence is None


def test_rel_license_is_for_every_picture_that_tells_none_of_its_own() -> None:
    markup = '<img src="a.jpg"><a rel="nofollow license" href="https://creativecommons.org/licenses/by/2.0/">CC</a>'
    [picture] = pictures(markup).values()
    assert (picture.rights.licence, picture.rights.licence_version) == ("by", "2.0")


@pytest.mark.parametrize(
    ("meta", "stated"),
    [
        ('<meta name="robots" content="noindex">', "noindex"),
        ('<meta name="imagenet-builder" content="noai">', "noai"),
        ('<meta name="tdm-reservation" content="1">', "tdm-reservation"),
        ('<meta name="otherbot" content="noai">', None),
        ('<meta name="robots" content="nofollow, max-image-preview:large">', None),
    ],
)
def test_a_page_that_opts_out_says_how(meta: str, stated: str | None) -> None:
    contents = read_page(f'{meta}<img src="a.jpg">', ADDRESS)
    assert (contents.opt_out is None) == (stated is None)
    assert stated is None or stated in str(contents.opt_out)
    assert len(contents.pictures) == (0 if stated else 1)


def test_broken_json_and_nesting_without_end_tell_nothing() -> None:
    deep = "[" * 5000 + "]" * 5000
    for text in ("{", deep, '"text"', '{"@type": "ImageObject", "contentUrl": 3}'):
        assert list(pictures(f'<script type="application/ld+json">{text}</script><img src="a.jpg">')) == [
            "https://site.example/dogs/a.jpg"
        ]


@given(st.text(alphabet="<>/= \"'abimgsrcetx:;&#!-[]{}", max_size=300))
def test_no_markup_raises(markup: str) -> None:
    assert isinstance(read_page(markup, ADDRESS).pictures, tuple)
