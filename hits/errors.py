"""Errors of the crowd-verification package; the whole tree is drawn in `imagenet_builder.errors`."""


class HitsError(Exception):
    """Base of every error that `hits` raises on purpose; its text is one line fit to show a user."""


class DatabaseError(HitsError):
    """A store could not be opened, written or migrated."""


class SchemaMismatch(DatabaseError):
    """The store's schema is older or newer than this program."""


class LockHeld(HitsError):
    """Another run holds the lock; trying later is the remedy."""


class PageTooLarge(HitsError):
    """A question page exceeds the API's 65,535 bytes."""


class AnswersUnreadable(HitsError):
    """An assignment's answer is not the XML that the page sends."""


class MarketplaceUnavailable(HitsError):
    """The marketplace did not answer, or refused the keys."""


class MarketplaceFaulty(MarketplaceUnavailable):
    """The marketplace was reached, but failed over this call, or answered what cannot be read."""


class RequestRefused(HitsError):
    """The marketplace answered a request with an error.

    `code` is MTurk's TurkErrorCode without its `AWS.MechanicalTurk.` prefix (empty if none was given).
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class SimulationError(HitsError):
    """The worker site did not behave as a simulated worker needs."""
