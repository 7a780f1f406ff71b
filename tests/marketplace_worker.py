"""A person at the worker site, as far as HTTP shows: a cookie jar that reads pages and posts their forms."""

from __future__ import annotations

from html.parser import HTMLParser

import requests


def html_question(body: str = "<form><input name='answer'></form>", height: int = 0) -> str:
    """An HTMLQuestion around a page's body."""
    return (
        '<HTMLQuestion xmlns="http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2011-11-11/'
        'HTMLQuestion.xsd"><HTMLContent><![CDATA[<!doctype html><html lang="en"><title>Q</title>'
        f"<body>{body}</body></html>]]></HTMLContent><FrameHeight>{height}</FrameHeight></HTMLQuestion>"
    )


def external_question(url: str) -> str:
    """An ExternalQuestion that frames `url`."""
    return (
        '<ExternalQuestion xmlns="http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/'
        f'ExternalQuestion.xsd"><ExternalURL>{url}</ExternalURL><FrameHeight>600</FrameHeight></ExternalQuestion>'
    )


class _Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append({name: value or "" for name, value in attrs})


def elements(page: str, attribute: str) -> list[dict[str, str]]:
    """The attributes of every element of a page that has `attribute`."""
    return [found for found in _Elements(page).found if attribute in found]


class SiteWorker:
    """A worker at the site `url`, signed in by her invitation."""

    def __init__(self, url: str, invitation: str | None = None) -> None:
        self.url = url
        self.session = requests.Session()
        if invitation is not None:
            answer = self.sign_in(invitation)
            assert answer.status_code == 303, answer.text

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.url + path, allow_redirects=False, timeout=30)

    def post(self, path: str, **fields: str) -> requests.Response:
        """Post a form of the site with the token that its pages carry."""
        if "csrf" not in fields:
            fields["csrf"] = self.csrf(self.get("/hits").text)
        return self.session.post(self.url + path, data=fields, allow_redirects=False, timeout=30)

    @staticmethod
    def csrf(page: str) -> str:
        return next(found["value"] for found in elements(page, "name") if found["name"] == "csrf")

    def sign_in(self, invitation: str, **fields: str) -> requests.Response:
        page = self.session.get(invitation, timeout=30)
        chosen = {"csrf": self.csrf(page.text), "consent": "yes", **fields}
        return self.session.post(invitation, data=chosen, allow_redirects=False, timeout=30)

    def accept(self, hit_id: str) -> str:
        """Accept a HIT and return the assignment's id."""
        answer = self.post(f"/hits/{hit_id}/accept")
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"].removeprefix("/assignments/")

    def frame_address(self, path: str) -> str:
        """The address of the question's frame on the page at `path`."""
        page = self.get(path)
        return next(found["src"] for found in elements(page.text, "id") if found["id"] == "question")

    def submit(
        self, assignment_id: str, fields: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Submit answers as a page in its frame does: without the session's cookie."""
        return requests.post(
            f"{self.url}/mturk/externalSubmit",
            data={"assignmentId": assignment_id, **(fields or {"answer": "yes"})},
            headers=headers,
            allow_redirects=False,
            timeout=30,
        )

    def main(self, path: str) -> dict[str, str]:
        """The attributes of a page's main element."""
        return next(found for found in elements(self.get(path).text, "id") if found["id"] == "main")
