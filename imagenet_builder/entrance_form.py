"""`controls test`: an entrance test made of pictures whose answer the requester knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from hits import database
from hits.model import Answer

from .concepts import concept_of
from .errors import PublishError
from .examples import example_name
from .store import controls as store

if TYPE_CHECKING:
    from hits.model import Concept

    from .project import Project

_SCHEMAS = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas"
FORM_SCHEMA = f"{_SCHEMAS}/2017-11-06/QuestionForm.xsd"
KEY_SCHEMA = f"{_SCHEMAS}/2005-10-01/AnswerKey.xsd"
CHOICES = (Answer.YES, Answer.NO)
LEAST = 4
TEST_NAME = "entrance-test.xml"
ANSWERS_NAME = "entrance-answers.xml"


class KnownPicture(NamedTuple):
    """A picture (SHA-256) of which it is known whether it shows a category."""

    sha256: str
    wnid: str
    answer: Answer


def choose_known(project: Project, wnids: Sequence[str], count: int) -> list[KnownPicture]:
    """Up to `count` known pictures, the categories in turn, in each as many that show it as do not.

    The same controls always give the same pictures. Raises PublishError where there are not two of each answer: who
    always says the same must not pass.
    """
    with database.reading(project.engine) as connection:
        by_category = [_pairs(wnid, store.control_pictures(connection, wnid)) for wnid in wnids]
    in_turn = [pair for turn in zip_longest(*by_category) for pair in turn if pair is not None]
    chosen = [picture for pair in in_turn[: count // 2] for picture in pair]
    if len(chosen) < LEAST:
        raise PublishError(
            "a test needs two pictures that show their category and two that do not; "
            "make more with `imagenet-builder controls label`"
        )
    # By their hash: nothing in the order tells an answer.
    return sorted(chosen)


def _pairs(wnid: str, known: Mapping[str, Answer]) -> list[tuple[KnownPicture, ...]]:
    """One picture that shows the category with one that does not, as often as there are both."""
    sides = [
        [KnownPicture(sha256, wnid, said) for sha256, said in known.items() if said is choice]
        for choice in CHOICES
    ]
    return list(zip(*sides, strict=False))


def make_test(project: Project, known: Sequence[KnownPicture]) -> tuple[str, str]:
    """A QuestionForm that asks of each picture whether it shows its category, and the AnswerKey, one point each.

    The key makes a percentage of the points. Pictures stand under names that tell nothing (`examples.example_name`),
    at `[marketplace] pictures_url`.
    """
    form = Element("QuestionForm", xmlns=FORM_SCHEMA)
    overview = SubElement(form, "Overview")
    SubElement(overview, "Title").text = "What counts?"
    SubElement(overview, "Text").text = "Say of each picture whether it shows what is asked for."
    key = Element("AnswerKey", xmlns=KEY_SCHEMA)
    for number, picture in enumerate(known, start=1):
        identifier = f"picture-{number}"
        url = (
            f"{project.settings.marketplace.pictures_url}/{example_name(project.secret, picture.sha256)}.jpg"
        )
        _ask(form, identifier, concept_of(project.graph, picture.wnid), url)
        _score(key, identifier, picture.answer)
    mapping = SubElement(SubElement(key, "QualificationValueMapping"), "PercentageMapping")
    SubElement(mapping, "MaximumSummedScore").text = str(len(known))
    return _document(form), _document(key)


def write_test(folder: Path, test: str, answers: str) -> tuple[Path, Path]:
    """Write both files into a folder; raises PublishError where they are already, or it cannot be written."""
    paths = folder / TEST_NAME, folder / ANSWERS_NAME
    try:
        for path, text in zip(paths, (test, answers), strict=True):
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError as error:
        raise PublishError(
            f"{error.filename} is there already, and people may have passed it; remove it, or give another --out"
        ) from error
    except OSError as error:
        raise PublishError(f"cannot write {error.filename}: {error.strerror}") from error
    return paths


def _ask(form: Element, identifier: str, concept: Concept, url: str) -> None:
    question = SubElement(form, "Question")
    SubElement(question, "QuestionIdentifier").text = identifier
    SubElement(question, "IsRequired").text = "true"
    content = SubElement(question, "QuestionContent")
    SubElement(content, "Text").text = f"Does this picture show “{concept.name}”: {concept.definition}?"
    binary = SubElement(content, "Binary")
    kind = SubElement(binary, "MimeType")
    SubElement(kind, "Type").text, SubElement(kind, "SubType").text = "image", "jpeg"
    SubElement(binary, "DataURL").text = url
    SubElement(binary, "AltText").text = "The picture that is asked about"
    answer = SubElement(SubElement(question, "AnswerSpecification"), "SelectionAnswer")
    SubElement(answer, "StyleSuggestion").text = "radiobutton"
    selections = SubElement(answer, "Selections")
    for choice in CHOICES:
        selection = SubElement(selections, "Selection")
        SubElement(selection, "SelectionIdentifier").text = choice.value
        SubElement(selection, "Text").text = choice.value.capitalize()


def _score(key: Element, identifier: str, answer: Answer) -> None:
    question = SubElement(key, "Question")
    SubElement(question, "QuestionIdentifier").text = identifier
    option = SubElement(question, "AnswerOption")
    SubElement(option, "SelectionIdentifier").text = answer.value
    SubElement(option, "AnswerScore").text = "1"


def _document(root: Element) -> str:
    indent(root)
    return tostring(root, encoding="unicode") + "\n"
