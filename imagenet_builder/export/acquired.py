"""How the pictures of a release were come by, in the sentences of its documents: searched for, or the makers' own."""

from __future__ import annotations

from collections.abc import Mapping

from imagenet_builder.sources.folder import NAME as OWN

from .facts import Facts

SEARCHED = "Candidates were found by searching open picture sources for the words of each synset"
SAMPLE = (
    "Candidates were the first that searches for the words of\neach synset found, so it is not representative of what "
    "the sources hold, nor of the world."
)
LEANING = (
    "searches in a few\nlanguages decide what a class looks like; open sources favour places and things that their "
    "contributors photograph."
)


def acquired_texts(facts: Facts) -> Mapping[str, str]:
    """What fills the places of the templates that tell where pictures came from, by name."""
    own = facts.sources[OWN]
    searched = {source: number for source, number in facts.sources.items() if source != OWN}
    if not own:
        return {
            "found": f"{SEARCHED}.",
            "sample": SAMPLE,
            "origin": "Pictures come from public pages and may show people.",
            "sources": f"By searching these sources: {_listed(searched)}.",
            "leaning": f"; {LEANING}",
        }
    if not searched:
        return {
            "found": "Candidates were pictures that the makers of the dataset had.",
            "sample": "Candidates were the pictures that its makers had, which represent no more than that.",
            "origin": "Its makers had the pictures; they may show people.",
            "sources": f"Its makers had them: {OWN} ({own:,}).",
            "leaning": "; what its\nmakers had decides what a class looks like.",
        }
    return {
        "found": f"{SEARCHED},\nbut for pictures that the makers of the dataset had: {own:,} of those here.",
        "sample": SAMPLE,
        "origin": "Pictures come from public pages, or were its makers' own, and may show people.",
        "sources": f"By searching these sources: {_listed(searched)}; its makers had the others: {OWN} ({own:,}).",
        "leaning": f"; {LEANING}",
    }


def searched_or_own(facts: Facts) -> dict[str, str | list[str]]:
    """What Croissant's responsible-AI vocabulary has of it."""
    own = "The makers of the dataset had pictures of their own."
    if set(facts.sources) <= {OWN}:
        return {
            "rai:dataCollection": own,
            "rai:dataBiases": ["Who made the dataset decided what is photographed, and where."],
            "rai:personalSensitiveInformation": ["Pictures may show people."],
        }
    searched = (
        "Open picture sources were searched for the words of each synset; "
        "robots.txt and opt-outs were respected."
    )
    return {
        "rai:dataCollection": f"{searched} {own}" if facts.sources[OWN] else searched,
        "rai:dataBiases": ["Contributors of open sources decide what is photographed, and where."],
        "rai:personalSensitiveInformation": ["Pictures come from public pages and may show people."],
    }


def _listed(sources: Mapping[str, int]) -> str:
    by_number = sorted(sources.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{source} ({number:,})" for source, number in by_number)
