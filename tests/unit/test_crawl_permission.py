"""robots.txt and opt-out headers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.crawl.permission import Robots, RobotsFile, RobotsState, opt_out
from imagenet_builder.records import Failed, Reason

ORIGIN = "https://pictures.example"


def robots(text: str = "", failure: Failed | None = None) -> Robots:
    async def fetch(url: str) -> RobotsFile:
        assert url == f"{ORIGIN}/robots.txt"
        return RobotsFile(text, failure)

    return Robots(fetch)


@pytest.mark.parametrize(
    ("text", "path", "state"),
    [
        ("", "/a.jpg", RobotsState.ALLOWED),
        ("User-agent: *\nDisallow: /private/", "/a.jpg", RobotsState.ALLOWED),
        ("User-agent: *\nDisallow: /private/", "/private/a.jpg", RobotsState.DISALLOWED),
        ("User-agent: *\nDisallow: /", "/a.jpg", RobotsState.DISALLOWED),
        ("User-agent: *\nDisallow: /\nAllow: /open/", "/open/a.jpg", RobotsState.ALLOWED),
        ("User-agent: imagenet-builder\nDisallow: /", "/a.jpg", RobotsState.DISALLOWED),
        ("User-agent: otherbot\nDisallow: /", "/a.jpg", RobotsState.ALLOWED),
        ("User-agent: *\nDisallow: /*.jpg$", "/b/a.jpg", RobotsState.DISALLOWED),
        ("<html><body>Not a robots file</body></html>", "/a.jpg", RobotsState.ALLOWED),
    ],
)
async def test_robots_rules_are_obeyed(text: str, path: str, state: RobotsState) -> None:
    assert await robots(text).judge(ORIGIN, ORIGIN + path) == (state, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("User-agent: *\nCrawl-delay: 2.5\nDisallow: /private/", 2.5),
        ("User-agent: imagenet-builder\nCrawl-delay: 3\n\nUser-agent: *\nCrawl-delay: 9", 3),
        ("User-agent: otherbot\nCrawl-delay: 9", 0),
        ("User-agent: *\nCrawl-delay: soon", 0),
        ("User-agent: *\nCrawl-delay: -3", 0),
        ("User-agent: *\nCrawl-delay: nan", 0),
        ("User-agent: *\nCrawl-delay: inf", 0),
    ],
)
async def test_the_delay_that_a_robots_file_asks_for_is_read(text: str, seconds: float) -> None:
    read = robots(text)
    await read.judge(ORIGIN, f"{ORIGIN}/a.jpg")
    assert read.crawl_delay(ORIGIN) == seconds


async def test_a_robots_file_that_cannot_be_had_closes_the_site_for_now() -> None:
    failure = Failed(Reason.SERVER_ERROR, True, "HTTP 503")
    assert await robots(failure=failure).judge(ORIGIN, f"{ORIGIN}/a.jpg") == (
        RobotsState.UNREACHABLE,
        failure,
    )


async def test_a_robots_file_is_asked_for_once_and_survives_a_cancelled_reader() -> None:
    asked = 0
    go = asyncio.Event()

    async def fetch(url: str) -> RobotsFile:
        nonlocal asked
        asked += 1
        await go.wait()
        return RobotsFile("User-agent: *\nDisallow: /no")

    known = Robots(fetch)
    readers = [asyncio.create_task(known.judge(ORIGIN, f"{ORIGIN}/no")) for _ in range(5)]
    await asyncio.sleep(0)
    readers[0].cancel()
    go.set()
    states = await asyncio.gather(*readers[1:])
    assert [state for state, _ in states] == [RobotsState.DISALLOWED] * 4
    assert asked == 1


@given(st.text(max_size=300), st.text(max_size=50))
def test_no_robots_file_and_no_path_can_raise(text: str, path: str) -> None:
    state, failure = asyncio.run(robots(f"User-agent: *\n{text}").judge(ORIGIN, f"{ORIGIN}/{path}"))
    assert state in (RobotsState.ALLOWED, RobotsState.DISALLOWED)
    assert failure is None


@pytest.mark.parametrize(
    ("tags", "stated"),
    [
        ([], None),
        (["all"], None),
        (["nofollow"], None),
        (["noai"], "X-Robots-Tag: noai"),
        (["NOAI, NoImageAI"], "X-Robots-Tag: noai, noimageai"),
        (["nofollow", "noindex"], "X-Robots-Tag: noindex"),
        (["none"], "X-Robots-Tag: none"),
        (["googlebot: noindex"], None),
        (["imagenet-builder: noai"], "X-Robots-Tag: noai"),
        (["*: noindex"], "X-Robots-Tag: noindex"),
        (["googlebot: noindex", "noai"], "X-Robots-Tag: noai"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"], "X-Robots-Tag: noindex"),
        (["max-image-preview: large"], None),
    ],
)
def test_robots_tags_for_everyone_or_for_this_robot_opt_out(tags: list[str], stated: str | None) -> None:
    assert opt_out(tags, []) == stated


def test_a_reservation_of_text_and_data_mining_opts_out() -> None:
    assert opt_out([], ["1"]) == "tdm-reservation: 1"
    assert opt_out([], ["0"]) is None
