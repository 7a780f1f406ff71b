"""What tests of the Requester API share: refusals by TurkErrorCode, HITs, submissions, forms as XML."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .marketplace_worker import SiteWorker, html_question

TERMS: dict[str, Any] = {
    "Title": "Is it an umbrella?",
    "Description": "Look at pictures and say what they show.",
    "Reward": "0.25",
    "AssignmentDurationInSeconds": 300,
    "AutoApprovalDelayInSeconds": 600,
}
_SCHEMAS = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas"


def make_hit(client: Any, **changes: Any) -> str:
    """The id of a new HIT."""
    terms = {**TERMS, "LifetimeInSeconds": 3600, "Question": html_question(), **changes}
    if "HITLayoutId" in changes:
        del terms["Question"]
    hit_id: str = client.create_hit(**terms)["HIT"]["HITId"]
    return hit_id


def submitted(client: Any, worker: SiteWorker, **changes: Any) -> tuple[str, str]:
    """A HIT that the worker submitted, and her assignment."""
    hit_id = make_hit(client, **changes)
    assignment_id = worker.accept(hit_id)
    assert worker.submit(assignment_id).status_code == 200
    return hit_id, assignment_id


@contextmanager
def refusal(code: str) -> Iterator[pytest.ExceptionInfo[ClientError]]:
    """A RequestError with this TurkErrorCode and a message is raised within."""
    with pytest.raises(ClientError) as caught:
        yield caught
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer.get("TurkErrorCode")) == (
        "RequestError",
        f"AWS.MechanicalTurk.{code}",
    ), answer
    assert answer["Message"]


def balance(client: Any) -> tuple[str, str]:
    """What the requester can spend, and what is on hold."""
    answer = client.get_account_balance()
    return answer["AvailableBalance"], answer.get("OnHoldBalance", "0.00")


def everything(client: Any, operation: str, key: str, size: int = 1, **request: Any) -> list[Any]:
    """All entries of a list, page by page through boto3's own paginator."""
    pages = client.get_paginator(operation).paginate(**request, PaginationConfig={"PageSize": size})
    return [entry for page in pages for entry in page[key]]


def question_form(*questions: str) -> str:
    """A QuestionForm of these Question (or Overview) elements."""
    return f'<QuestionForm xmlns="{_SCHEMAS}/2017-11-06/QuestionForm.xsd">{"".join(questions)}</QuestionForm>'


def form_question(
    identifier: str, answer: str, content: str = "<Text>Which?</Text>", needed: bool = True
) -> str:
    """A Question of a QuestionForm."""
    return (
        f"<Question><QuestionIdentifier>{identifier}</QuestionIdentifier>"
        f"<IsRequired>{str(needed).lower()}</IsRequired><QuestionContent>{content}</QuestionContent>"
        f"<AnswerSpecification>{answer}</AnswerSpecification></Question>"
    )


def selections(*identifiers: str, most: int = 1, more: str = "") -> str:
    """A SelectionAnswer among these."""
    listed = "".join(
        f"<Selection><SelectionIdentifier>{name}</SelectionIdentifier><Text>{name}</Text></Selection>"
        for name in identifiers
    )
    return (
        f"<SelectionAnswer><MinSelectionCount>1</MinSelectionCount><MaxSelectionCount>{most}</MaxSelectionCount>"
        f"<StyleSuggestion>radiobutton</StyleSuggestion><Selections>{listed}{more}</Selections></SelectionAnswer>"
    )


def answer_key(options: dict[str, dict[str, int]], mapping: str = "") -> str:
    """An AnswerKey: by question, the scores of selections (joined by `+`)."""
    questions = "".join(
        f"<Question><QuestionIdentifier>{identifier}</QuestionIdentifier>"
        + "".join(
            "<AnswerOption>"
            + "".join(f"<SelectionIdentifier>{name}</SelectionIdentifier>" for name in chosen.split("+"))
            + f"<AnswerScore>{score}</AnswerScore></AnswerOption>"
            for chosen, score in scores.items()
        )
        + "</Question>"
        for identifier, scores in options.items()
    )
    closing = f"<QualificationValueMapping>{mapping}</QualificationValueMapping>" if mapping else ""
    return f'<AnswerKey xmlns="{_SCHEMAS}/2005-10-01/AnswerKey.xsd">{questions}{closing}</AnswerKey>'
