"""Errors of the pipeline, and the whole tree of the project's errors.

    Exception
    ├── wordnet_synsets.errors.WordNetError
    │   ├── WordNetNotFound            no database; says where it was looked for
    │   ├── WrongWordNet               not WordNet 3.0, or damaged
    │   └── UnknownSynset              no such wnid, name or word
    ├── hits.errors.HitsError
    │   ├── DatabaseError              a store cannot be opened, written or migrated
    │   │   └── SchemaMismatch         its schema is older or newer than the program
    │   ├── LockHeld                   another run is at work           (exit code 75)
    │   ├── PageTooLarge               a page over 65,535 bytes
    │   ├── AnswersUnreadable          an answer that is not our page's
    │   ├── MarketplaceUnavailable     no answer, or keys refused
    │   │   └── MarketplaceFaulty      it failed over one call, or answered what cannot be read
    │   ├── RequestRefused             the protocol's own errors, with TurkErrorCode
    │   ├── SimulationError            the worker site misbehaved
    │   ├── marketplace.codec.ProtocolError    a request that is not the protocol's
    │   ├── marketplace.working.CannotAccept   this worker cannot have this HIT, and why
    │   └── marketplace.working.NotHeld        this worker does not hold this assignment
    └── imagenet_builder.errors.BuilderError
        ├── ProjectError               no project here, or its settings are wrong
        ├── SourceError                a source is down or answers nonsense
        ├── ImageStoreError            image bytes cannot be read or written
        │   └── renditions.UndecodableError    an image that no rendition can be made of
        ├── PublishError               publishing was refused before anything was spent
        ├── AnswersError               a table of crowd answers cannot be read, decided or written
        ├── ReleaseError               a release cannot be written or read
        ├── TrainingError              training or evaluation cannot go on
        └── ShortOfRequest             done, but short of what was asked   (exit code 3)
            └── export.request.TooFewClasses   with what each category is short of

A failure that belongs to one picture is never an exception that leaves its stage: it is a value with a
named reason (`records.Rejected`, `records.Failed`) and ends in SQL.
"""


class BuilderError(Exception):
    """Base of every error that the pipeline raises on purpose; its text is one line fit to show a user."""


class ProjectError(BuilderError):
    """There is no project where one was looked for, or its settings are wrong."""


class SourceError(BuilderError):
    """A source did not answer, or answered something that is not its documented format."""


class ImageStoreError(BuilderError):
    """Image bytes could not be read from or written to the image store."""


class PublishError(BuilderError):
    """Publishing was refused before anything was spent."""


class AnswersError(BuilderError):
    """A table of crowd answers could not be read, decided or written."""


class ReleaseError(BuilderError):
    """A release could not be written, or what is on disk is not a release."""


class TrainingError(BuilderError):
    """A baseline could not be trained or evaluated."""


class ShortOfRequest(BuilderError):
    """The work was done as far as possible, but falls short of what was asked for."""
