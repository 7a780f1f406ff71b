"""WordNet's nouns for the tests: the real graph, parsed once a test process, and small files in WordNet's format."""

from __future__ import annotations

import functools
from pathlib import Path

from wordnet_synsets import Graph, WordNetFiles

DOG = "n02084071"
ENTITY = "n00001740"
PERSON = "n00007846"


@functools.cache
def nouns(folder: Path) -> Graph:
    """The graph of a folder, parsed without a cache."""
    return Graph.load(WordNetFiles(folder), None)


def noun_lines(*synsets: tuple[str, str]) -> bytes:
    """A `data.noun` of synsets without relations, given as (lemma, gloss); every line names its own offset."""
    text = b"  1 A licence of one line  \n"
    for lemma, gloss in synsets:
        text += f"{len(text):08d} 03 n 01 {lemma} 0 000 | {gloss}  \n".encode()
    return text
