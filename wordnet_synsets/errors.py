"""Errors of the WordNet package; the whole tree is drawn in `imagenet_builder.errors`."""


class WordNetError(Exception):
    """Base of every error that `wordnet_synsets` raises on purpose; its text is one line for the user."""


class WordNetNotFound(WordNetError):
    """No WordNet database was found; the text says where it was looked for and how to get it."""


class WrongWordNet(WordNetError):
    """The database found is not WordNet 3.0, or is damaged."""


class UnknownSynset(WordNetError):
    """No noun synset answers to this wnid, name or word."""
