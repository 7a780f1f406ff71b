"""QuestionForm HITs on the worker site: shown without scripts, checked, and answered as MTurk answered."""

from __future__ import annotations

from typing import Any

import requests

from ..marketplace_programs import form_question, make_hit, question_form, refusal, selections
from ..marketplace_server import RunningMarketplace
from ..marketplace_worker import SiteWorker, elements

FORM = question_form(
    "<Overview><Title>Umbrellas</Title><FormattedContent><![CDATA[<p onclick='x()'>Look <b>closely</b>"
    "<script>alert(1)</script></p>]]></FormattedContent></Overview>",
    form_question("kind", selections("dog", "c&amp;t")),
    form_question("why", "<FreeTextAnswer/>", "<Text>Why &lt;that&gt;?</Text>"),
)


def test_a_form_is_shown_checked_and_answered(market: RunningMarketplace) -> None:
    client: Any = market.client()
    ada = SiteWorker(market.url, market.invite("Ada"))
    hit_id = make_hit(client, Question=FORM)
    assert client.get_hit(HITId=hit_id)["HIT"]["Question"] == FORM
    preview = requests.get(ada.frame_address(f"/hits/{hit_id}"), timeout=30)
    assert ("Submit</button>" in preview.text, "<b>closely</b>" in preview.text) == (False, True)
    for harmful in ("<script", "onclick", "alert(1)"):
        assert harmful not in preview.text
    assert "Why &lt;that&gt;?" in preview.text
    policy = preview.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert f"frame-ancestors {market.url}" in policy
    assert "X-Frame-Options" not in preview.headers

    assignment_id = ada.accept(hit_id)
    page = requests.get(ada.frame_address(f"/assignments/{assignment_id}"), timeout=30).text
    assert "Submit</button>" in page
    values = {found["value"] for found in elements(page, "value") if found.get("name") == "kind"}
    assert values == {"dog", "c&t"}
    wrong = ada.submit(assignment_id, {"kind": "horse", "why": "It <barks>"})
    assert (wrong.status_code, "It &lt;barks&gt;" in wrong.text) == (400, True)
    assert ada.main(f"/assignments/{assignment_id}")["data-status"] == "Accepted"
    assert ada.submit(assignment_id, {"kind": "c&t", "why": "It <barks>"}).status_code == 200
    answer = client.get_assignment(AssignmentId=assignment_id)["Assignment"]["Answer"]
    assert "<SelectionIdentifier>c&amp;t</SelectionIdentifier>" in answer
    assert "<FreeText>It &lt;barks&gt;</FreeText>" in answer


def test_forms_and_contents_that_cannot_be_shown_are_refused(market: RunningMarketplace) -> None:
    client: Any = market.client()
    with refusal("XMLParseError"):
        make_hit(client, Question=question_form(form_question("a", "<FileUploadAnswer/>")))
    with refusal("XHTMLParseError"):
        make_hit(client, Question=FORM.replace("<b>closely</b>", "<b>closely"))
