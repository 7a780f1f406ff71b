"""The requester's side of the MTurk API (2017-01-17), spoken by an unmodified boto3 client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from .calls import Calls
from .errors import MarketplaceUnavailable, RequestRefused
from .model import Assignment, AssignmentStatus, HitStatus, HitTerms, PublishedHit
from .protocol import already_exists, cents_of, published_hit, submission

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
# Adaptive: the client slows itself down when throttled. Few attempts, so that a marketplace that is down is soon told.
MAX_ATTEMPTS = 4
# A time that is past whatever the two clocks say.
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)

_HIT_ID = re.compile(r"\b[0-9A-Z]{10,64}\b")


def connect(endpoint_url: str, access_key: str, secret_key: str, region: str = "us-east-1") -> Requester:
    """Return a Requester for the marketplace at `endpoint_url`; nothing is called yet.

    Raises MarketplaceUnavailable for an address that cannot be one.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # botocore obeys HTTP_PROXY even for this machine itself, where no proxy can help.
    loopback = urlsplit(endpoint_url).hostname in {"127.0.0.1", "localhost", "::1"}
    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": MAX_ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        proxies={} if loopback else None,
    )
    try:
        session = boto3.session.Session(
            aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region
        )
        client = session.client("mturk", endpoint_url=endpoint_url, config=config)
    except (BotoCoreError, ValueError) as error:
        raise MarketplaceUnavailable(f"{endpoint_url} cannot be a marketplace's address: {error}") from error
    return Requester(Calls(client, endpoint_url))


class Requester:
    """What publishing and collecting ask of a marketplace; threads may share one.

    Every method may raise what `Calls` raises.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.endpoint_url = calls.endpoint_url
        self._hit_types: dict[tuple[object, ...], str] = {}

    def balance_cents(self) -> int:
        """Return the money that HITs can still be published for, in US cents."""
        return self._calls.ask("get_account_balance", lambda answer: cents_of(answer["AvailableBalance"]))

    def create_hit(self, token: str, annotation: str, terms: HitTerms, question_xml: str) -> str:
        """Publish a HIT and return its id; with a `token` used within 24 h, the id of the HIT made with it.

        `token` has 1–64 characters, `annotation` up to 255: by it the HIT is found when the token has aged.
        """
        hit_type_id = self._hit_type(terms)
        try:
            return self._calls.ask(
                "create_hit_with_hit_type",
                lambda made: str(made["HIT"]["HITId"]),
                HITTypeId=hit_type_id,
                MaxAssignments=terms.max_assignments,
                LifetimeInSeconds=terms.lifetime,
                Question=question_xml,
                RequesterAnnotation=annotation,
                UniqueRequestToken=token,
            )
        except RequestRefused as refusal:
            if not already_exists(refusal):
                raise
            return self._made_before(refusal, token, annotation)

    def hit(self, hit_id: str) -> PublishedHit:
        """Return a HIT as the marketplace knows it; RequestRefused (HITDoesNotExist) for an unknown one."""
        return self._calls.ask("get_hit", lambda found: published_hit(found["HIT"]), HITId=hit_id)

    def find_by_annotation(self, prefix: str) -> Iterator[PublishedHit]:
        """Yield this requester's HITs whose annotation begins with `prefix`; disposed ones are not listed."""
        for hit in self._calls.each("list_hits", "HITs", published_hit):
            if hit.annotation.startswith(prefix):
                yield hit

    def reviewable(self) -> Iterator[str]:
        """Yield the ids of HITs that wait for review: all assignments submitted, or expired and none pending."""
        yield from self._calls.each("list_reviewable_hits", "HITs", lambda hit: str(hit["HITId"]))

    def assignments(
        self, hit_id: str, statuses: Iterable[AssignmentStatus] = tuple(AssignmentStatus)
    ) -> Iterator[Assignment]:
        """Yield a HIT's finished assignments in one of `statuses`, also before the HIT is reviewable."""
        wanted = [status.value for status in statuses]
        yield from self._calls.each(
            "list_assignments_for_hit", "Assignments", submission, HITId=hit_id, AssignmentStatuses=wanted
        )

    def approve(self, assignment_id: str) -> None:
        """Pay an assignment; one that is approved already is left as it is."""
        self._review(AssignmentStatus.APPROVED, "approve_assignment", AssignmentId=assignment_id)

    def reject(self, assignment_id: str, feedback: str) -> None:
        """Refuse an assignment, telling its worker why; one that is rejected already is left as it is."""
        self._review(
            AssignmentStatus.REJECTED,
            "reject_assignment",
            AssignmentId=assignment_id,
            RequesterFeedback=feedback,
        )

    def extend(self, hit_id: str, additional: int, token: str) -> None:
        """Ask for `additional` more assignments of a HIT, once for each `token` (24 h)."""
        try:
            self._calls.tell(
                "create_additional_assignments_for_hit",
                HITId=hit_id,
                NumberOfAdditionalAssignments=additional,
                UniqueRequestToken=token,
            )
        except RequestRefused as refusal:
            if not already_exists(refusal):
                raise

    def expire(self, hit_id: str) -> None:
        """Offer a HIT to nobody from now on; assignments in hand can still be submitted."""
        try:
            self._calls.tell("update_expiration_for_hit", HITId=hit_id, ExpireAt=LONG_AGO)
        except RequestRefused:
            # Repeating an expiration may be refused; what counts is that the HIT has expired.
            if self.hit(hit_id).expires_at > datetime.now(UTC):
                raise

    def delete(self, hit_id: str) -> None:
        """Dispose of a HIT whose assignments are all approved or rejected; one that is gone stays gone."""
        try:
            self._calls.tell("delete_hit", HITId=hit_id)
        except RequestRefused as refusal:
            if refusal.code == "HITDoesNotExist":
                return
            if self.hit(hit_id).status is not HitStatus.DISPOSED:
                raise

    def qualification_type(self, name: str, description: str) -> str:
        """Return the id of this requester's own qualification type `name`, made now if there is none.

        It is not there to be asked for. A name is unique among a requester's types.
        """
        return self._own_type(name, Description=description)

    def qualification_test(
        self, name: str, description: str, test_xml: str, answer_key_xml: str, seconds: int
    ) -> str:
        """Return the id of the qualification type `name` that people get by a test, made now if there is none.

        The test is a QuestionForm, its AnswerKey gives the value. It is taken once.
        """
        return self._own_type(
            name,
            Description=description,
            Test=test_xml,
            AnswerKey=answer_key_xml,
            TestDurationInSeconds=seconds,
        )

    def _own_type(self, name: str, **making: object) -> str:
        known = self._known_type(name)
        if known is not None:
            return known
        try:
            return self._calls.ask(
                "create_qualification_type",
                lambda made: str(made["QualificationType"]["QualificationTypeId"]),
                Name=name,
                QualificationTypeStatus="Active",
                **making,
            )
        except RequestRefused as refusal:
            # A list may leave out what is there, and a repeated call have done its work the first time.
            known = self._known_type(name) if refusal.code == "QualificationTypeAlreadyExists" else None
            if known is None:
                raise
            return known

    def _known_type(self, name: str) -> str | None:
        """This requester's own qualification type `name`, if it is listed."""
        listed = self._calls.each(
            "list_qualification_types",
            "QualificationTypes",
            lambda known: (known["Name"], str(known["QualificationTypeId"])),
            Query=name,
            MustBeRequestable=False,
            MustBeOwnedByCaller=True,
        )
        return next((type_id for found, type_id in listed if found == name), None)

    def qualify(self, type_id: str, worker_id: str) -> None:
        """Give a worker a qualification, without a message; one that she has stays."""
        self._calls.tell(
            "associate_qualification_with_worker",
            QualificationTypeId=type_id,
            WorkerId=worker_id,
            IntegerValue=1,
            SendNotification=False,
        )

    def disqualify(self, type_id: str, worker_id: str, reason: str) -> None:
        """Take a qualification from a worker; one that she does not have stays away."""
        try:
            self._calls.tell(
                "disassociate_qualification_from_worker",
                QualificationTypeId=type_id,
                WorkerId=worker_id,
                Reason=reason,
            )
        except RequestRefused as refusal:
            if refusal.code not in {"QualificationDoesNotExist", "InvalidQualificationState"}:
                raise

    def delete_qualification_type(self, type_id: str) -> None:
        """Delete a qualification type; one that is gone stays gone."""
        try:
            self._calls.tell("delete_qualification_type", QualificationTypeId=type_id)
        except RequestRefused as refusal:
            if refusal.code != "QualificationTypeDoesNotExist":
                raise

    def notify(self, worker_id: str, subject: str, text: str) -> None:
        """Send a worker a message."""
        self._calls.tell("notify_workers", Subject=subject, MessageText=text, WorkerIds=[worker_id])

    def _review(self, status: AssignmentStatus, operation: str, **parameters: str) -> None:
        try:
            self._calls.tell(operation, **parameters)
        except RequestRefused:
            # An earlier run, or a retry of this very call, may have done it.
            found = self._calls.ask(
                "get_assignment",
                lambda answer: str(answer["Assignment"]["AssignmentStatus"]),
                AssignmentId=parameters["AssignmentId"],
            )
            if found != status.value:
                raise

    def _hit_type(self, terms: HitTerms) -> str:
        key = (
            terms.title,
            terms.description,
            terms.keywords,
            terms.reward_cents,
            terms.assignment_duration,
            terms.auto_approval_delay,
            terms.barred,
            terms.required,
        )
        if key not in self._hit_types:
            self._hit_types[key] = self._calls.ask(
                "create_hit_type",
                lambda made: str(made["HITTypeId"]),
                Title=terms.title,
                Description=terms.description,
                Keywords=", ".join(terms.keywords),
                Reward=f"{terms.reward_cents // 100}.{terms.reward_cents % 100:02d}",
                AssignmentDurationInSeconds=terms.assignment_duration,
                AutoApprovalDelayInSeconds=terms.auto_approval_delay,
                QualificationRequirements=[
                    {
                        "QualificationTypeId": type_id,
                        "Comparator": "DoesNotExist",
                        # Shown, not hidden: who is kept out sees why.
                        "ActionsGuarded": "Accept",
                    }
                    for type_id in terms.barred
                ]
                + [
                    {
                        "QualificationTypeId": type_id,
                        "Comparator": "GreaterThanOrEqualTo",
                        "IntegerValues": [least],
                        "ActionsGuarded": "Accept",
                    }
                    for type_id, least in terms.required
                ],
            )
        return self._hit_types[key]

    def _made_before(self, refusal: RequestRefused, token: str, annotation: str) -> str:
        """The HIT that a used token made: named in the refusal, known again by its annotation."""
        for hit_id in _HIT_ID.findall(str(refusal).replace(token, " ")):
            try:
                found = self.hit(hit_id)
            except RequestRefused as unknown:
                if unknown.code != "HITDoesNotExist":
                    raise
                continue
            if found.annotation == annotation:
                return str(hit_id)
        raise refusal
