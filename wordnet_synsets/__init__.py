"""Nouns of WordNet 3.0 as a graph keyed by wnid; the choice of categories in it; phrases to search pictures with.

`open_graph()` finds WordNet and gives the `Graph`; `choose` selects categories; `phrases` makes their queries.
Knows nothing of images.
"""

from .errors import UnknownSynset, WordNetError, WordNetNotFound, WrongWordNet
from .graph import Graph, open_graph
from .locate import WordNetFiles, find_wordnet
from .queries import Phrase, phrases
from .select import (
    DEFAULT_EXCLUDED,
    Guess,
    LeftOut,
    Reason,
    Selection,
    choose,
    list_names,
    list_wnids,
    names_in_file,
    official_ids,
)
from .synset import Synset
from .translations import Translations
from .wnid import is_wnid, offset_of, wnid_of

__all__ = [
    "DEFAULT_EXCLUDED",
    "Graph",
    "Guess",
    "LeftOut",
    "Phrase",
    "Reason",
    "Selection",
    "Synset",
    "Translations",
    "UnknownSynset",
    "WordNetError",
    "WordNetFiles",
    "WordNetNotFound",
    "WrongWordNet",
    "choose",
    "find_wordnet",
    "is_wnid",
    "list_names",
    "list_wnids",
    "names_in_file",
    "official_ids",
    "offset_of",
    "open_graph",
    "phrases",
    "wnid_of",
]
