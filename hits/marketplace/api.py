"""The Requester API's operations by name.

Errors are MTurk's own TurkErrorCodes; where it has none that fits, this marketplace adds some in the same
style: `AWS.MechanicalTurk.HITTypeDoesNotExist`, and `AWS.MechanicalTurk.BonusAlreadyExists` for a bonus
whose UniqueRequestToken has paid one, `AWS.MechanicalTurk.FileUploadDoesNotExist` for GetFileUploadURL.

Some of MTurk's codes cannot come up. AssignmentAlreadyExists, ExceedsMaxAssignmentsPerWorker and
DoesNotMeetRequirements are about accepting HITs, which people do on the site; HITTooOldForExtension is about HITs
from before 22 July 2015, and HITAlreadyPassedReview about an operation that the API of 2017 no longer has.
"""

from __future__ import annotations

from collections.abc import Mapping

from .operations import assignments, hits, qualifications, reviews, workers
from .operations.calls import Caller, Operation

__all__ = ["OPERATIONS", "Caller"]

OPERATIONS: Mapping[str, Operation] = {
    **hits.OPERATIONS,
    **assignments.OPERATIONS,
    **qualifications.OPERATIONS,
    **workers.OPERATIONS,
    **reviews.OPERATIONS,
}
