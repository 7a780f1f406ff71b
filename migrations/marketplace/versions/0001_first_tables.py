"""The first tables: people, HITs, assignments, qualifications, ledger.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UNTAKEN = sa.text("max_assignments > pending + submitted + approved + rejected AND disposed_at IS NULL")
KEPT = sa.text("disposed_at IS NULL")
HELD_OR_DONE = sa.text("state NOT IN ('Returned', 'Abandoned')")
ACCEPTED = sa.text("state = 'Accepted'")
SUBMITTED = sa.text("state = 'Submitted'")
UNSEEN = sa.text("unseen AND disposed_at IS NULL")
STARTED = sa.text("state = 'Started'")
DONE = sa.text("submitted_at IS NOT NULL")
LISTED = sa.text("deleted_at IS NULL")
OPEN_REQUEST = sa.text("state IN ('Started', 'Pending')")
RowNumber = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("cents >= 0 OR name = 'grants'", name=op.f("ck_accounts_no_overdraft")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_accounts")),
    )
    op.create_table(
        "notices",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column(
            "transport",
            sa.Enum("Email", "SQS", "SNS", name="transport", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_notices")),
    )
    with op.batch_alter_table("notices") as batch_op:
        batch_op.create_index(batch_op.f("ix_notices_due_at"), ["due_at"], unique=False)

    op.create_table(
        "questions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("xml", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_questions")),
    )
    op.create_table(
        "requesters",
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("requester_id", name=op.f("pk_requesters")),
        sa.UniqueConstraint("name", name=op.f("uq_requesters_name")),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=128), nullable=False),
        sa.Column("participant_id", sa.String(length=64), nullable=True),
        sa.Column("invited_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("subdivision", sa.String(length=2), nullable=True),
        sa.Column("adult", sa.Boolean(), nullable=True),
        sa.Column("master_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_workers")),
        sa.UniqueConstraint("participant_id", name=op.f("uq_workers_participant_id")),
        sa.UniqueConstraint("pseudonym", name=op.f("uq_workers_pseudonym")),
    )
    op.create_table(
        "hit_types",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("hit_type_id", sa.String(length=64), nullable=False),
        sa.Column("hit_group_id", sa.String(length=64), nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("keywords", sa.Text(), nullable=False),
        sa.Column("reward_cents", sa.BigInteger(), nullable=False),
        sa.Column("assignment_seconds", sa.Integer(), nullable=False),
        sa.Column("auto_approval_seconds", sa.Integer(), nullable=False),
        sa.Column("requirements", sa.Text(), nullable=False),
        sa.Column("notified", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requesters.requester_id"], name=op.f("fk_hit_types_requester_id_requesters")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_hit_types")),
        sa.UniqueConstraint("hit_type_id", name=op.f("uq_hit_types_hit_type_id")),
        sa.UniqueConstraint(
            "requester_id", "fingerprint", name=op.f("uq_hit_types_requester_id_fingerprint")
        ),
    )
    op.create_table(
        "invitations",
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.worker_id"], name=op.f("fk_invitations_worker_id_workers")
        ),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("pk_invitations")),
    )
    with op.batch_alter_table("invitations") as batch_op:
        batch_op.create_index(batch_op.f("ix_invitations_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "layouts",
        sa.Column("layout_id", sa.String(length=64), nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("frame_height", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requesters.requester_id"], name=op.f("fk_layouts_requester_id_requesters")
        ),
        sa.PrimaryKeyConstraint("layout_id", name=op.f("pk_layouts")),
    )
    with op.batch_alter_table("layouts") as batch_op:
        batch_op.create_index(batch_op.f("ix_layouts_requester_id"), ["requester_id"], unique=False)

    op.create_table(
        "messages",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requesters.requester_id"], name=op.f("fk_messages_requester_id_requesters")
        ),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.worker_id"], name=op.f("fk_messages_worker_id_workers")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_messages")),
    )
    with op.batch_alter_table("messages") as batch_op:
        batch_op.create_index(batch_op.f("ix_messages_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "qualification_types",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("qualification_type_id", sa.String(length=64), nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("keywords", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("retry_delay_seconds", sa.BigInteger(), nullable=True),
        sa.Column("test", sa.Text(), nullable=True),
        sa.Column("answer_key", sa.Text(), nullable=True),
        sa.Column("test_seconds", sa.BigInteger(), nullable=True),
        sa.Column("auto_granted_value", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["requester_id"],
            ["requesters.requester_id"],
            name=op.f("fk_qualification_types_requester_id_requesters"),
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_qualification_types")),
        sa.UniqueConstraint(
            "qualification_type_id", name=op.f("uq_qualification_types_qualification_type_id")
        ),
    )
    with op.batch_alter_table("qualification_types") as batch_op:
        batch_op.create_index(
            "uq_qualification_types_requester_id_name",
            ["requester_id", "name"],
            unique=True,
            sqlite_where=LISTED,
            postgresql_where=LISTED,
        )

    op.create_table(
        "requester_keys",
        sa.Column("access_key", sa.String(length=128), nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("secret_key", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["requester_id"],
            ["requesters.requester_id"],
            name=op.f("fk_requester_keys_requester_id_requesters"),
        ),
        sa.PrimaryKeyConstraint("access_key", name=op.f("pk_requester_keys")),
    )
    with op.batch_alter_table("requester_keys") as batch_op:
        batch_op.create_index(batch_op.f("ix_requester_keys_requester_id"), ["requester_id"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.worker_id"], name=op.f("fk_sessions_worker_id_workers")
        ),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_sessions_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "worker_blocks",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["requester_id"],
            ["requesters.requester_id"],
            name=op.f("fk_worker_blocks_requester_id_requesters"),
        ),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.worker_id"], name=op.f("fk_worker_blocks_worker_id_workers")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_worker_blocks")),
        sa.UniqueConstraint(
            "requester_id", "worker_id", name=op.f("uq_worker_blocks_requester_id_worker_id")
        ),
    )
    with op.batch_alter_table("worker_blocks") as batch_op:
        batch_op.create_index(batch_op.f("ix_worker_blocks_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "hit_type_qualifications",
        sa.Column("type_number", RowNumber, nullable=False),
        sa.Column("qualification_type_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["type_number"],
            ["hit_types.number"],
            name=op.f("fk_hit_type_qualifications_type_number_hit_types"),
        ),
        sa.PrimaryKeyConstraint(
            "type_number", "qualification_type_id", name=op.f("pk_hit_type_qualifications")
        ),
    )
    with op.batch_alter_table("hit_type_qualifications") as batch_op:
        batch_op.create_index(
            "ix_hit_type_qualifications_qualification_type_id", ["qualification_type_id"], unique=False
        )

    op.create_table(
        "hits",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("hit_id", sa.String(length=64), nullable=False),
        sa.Column("type_number", RowNumber, nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("question_digest", sa.String(length=64), nullable=False),
        sa.Column("is_form", sa.Boolean(), nullable=False),
        sa.Column("layout_id", sa.String(length=64), nullable=True),
        sa.Column("assignment_policy", sa.Text(), nullable=True),
        sa.Column("hit_policy", sa.Text(), nullable=True),
        sa.Column("unseen", sa.Boolean(), nullable=False),
        sa.Column("annotation", sa.Text(), nullable=True),
        sa.Column("max_assignments", sa.Integer(), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("submitted", sa.Integer(), nullable=False),
        sa.Column("approved", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("reviewing", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disposed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "pending + submitted + approved + rejected <= max_assignments",
            name=op.f("ck_hits_not_oversubscribed"),
        ),
        sa.CheckConstraint(
            "pending >= 0 AND submitted >= 0 AND approved >= 0 AND rejected >= 0", name=op.f("ck_hits_counts")
        ),
        sa.ForeignKeyConstraint(["layout_id"], ["layouts.layout_id"], name=op.f("fk_hits_layout_id_layouts")),
        sa.ForeignKeyConstraint(
            ["question_digest"], ["questions.digest"], name=op.f("fk_hits_question_digest_questions")
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requesters.requester_id"], name=op.f("fk_hits_requester_id_requesters")
        ),
        sa.ForeignKeyConstraint(
            ["type_number"], ["hit_types.number"], name=op.f("fk_hits_type_number_hit_types")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_hits")),
        sa.UniqueConstraint("hit_id", name=op.f("uq_hits_hit_id")),
    )
    with op.batch_alter_table("hits") as batch_op:
        batch_op.create_index(
            "ix_hits_changed_at", ["changed_at"], unique=False, sqlite_where=KEPT, postgresql_where=KEPT
        )
        batch_op.create_index(
            "ix_hits_kept", ["requester_id", "number"], unique=False, sqlite_where=KEPT, postgresql_where=KEPT
        )
        batch_op.create_index(
            "ix_hits_unseen", ["expires_at"], unique=False, sqlite_where=UNSEEN, postgresql_where=UNSEEN
        )
        batch_op.create_index(
            "ix_hits_untaken",
            ["type_number", "expires_at", "number"],
            unique=False,
            sqlite_where=UNTAKEN,
            postgresql_where=UNTAKEN,
        )

    op.create_table(
        "notification_settings",
        sa.Column("type_number", RowNumber, nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column(
            "transport",
            sa.Enum("Email", "SQS", "SNS", name="transport", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("event_types", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["type_number"], ["hit_types.number"], name=op.f("fk_notification_settings_type_number_hit_types")
        ),
        sa.PrimaryKeyConstraint("type_number", name=op.f("pk_notification_settings")),
    )
    op.create_table(
        "qualification_requests",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("type_number", RowNumber, nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "Started",
                "Pending",
                "Granted",
                "Rejected",
                "Lapsed",
                name="state",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("test", sa.Text(), nullable=True),
        sa.Column("answer_key", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["type_number"],
            ["qualification_types.number"],
            name=op.f("fk_qualification_requests_type_number_qualification_types"),
        ),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.worker_id"], name=op.f("fk_qualification_requests_worker_id_workers")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_qualification_requests")),
        sa.UniqueConstraint("request_id", name=op.f("uq_qualification_requests_request_id")),
    )
    with op.batch_alter_table("qualification_requests") as batch_op:
        batch_op.create_index("ix_qualification_requests_worker", ["worker_id"], unique=False)
        batch_op.create_index(
            "uq_qualification_requests_type_number_worker_id",
            ["type_number", "worker_id"],
            unique=True,
            sqlite_where=OPEN_REQUEST,
            postgresql_where=OPEN_REQUEST,
        )

    op.create_table(
        "qualifications",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("type_number", RowNumber, nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("Granted", "Revoked", name="status", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["type_number"],
            ["qualification_types.number"],
            name=op.f("fk_qualifications_type_number_qualification_types"),
        ),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.worker_id"], name=op.f("fk_qualifications_worker_id_workers")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_qualifications")),
        sa.UniqueConstraint("type_number", "worker_id", name=op.f("uq_qualifications_type_number_worker_id")),
    )
    with op.batch_alter_table("qualifications") as batch_op:
        batch_op.create_index(batch_op.f("ix_qualifications_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "console_keys",
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column(
            "use",
            sa.Enum("link", "session", name="use", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["requester_id"],
            ["requesters.requester_id"],
            name=op.f("fk_console_keys_requester_id_requesters"),
        ),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("pk_console_keys")),
    )
    with op.batch_alter_table("console_keys") as batch_op:
        batch_op.create_index(batch_op.f("ix_console_keys_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_console_keys_requester_id"), ["requester_id"], unique=False)

    op.create_table(
        "studies",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column(
            "panel",
            sa.Enum("prolific", name="panel", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("study_id", sa.String(length=64), nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("entry", sa.String(length=64), nullable=False),
        sa.Column("completion_code", sa.String(length=64), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("reward_cents", sa.BigInteger(), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "pages > 0 AND reward_cents > 0 AND fee_cents >= 0 AND seconds > 0",
            name=op.f("ck_studies_positive"),
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requesters.requester_id"], name=op.f("fk_studies_requester_id_requesters")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_studies")),
        sa.UniqueConstraint("entry", name=op.f("uq_studies_entry")),
        sa.UniqueConstraint("panel", "study_id", name=op.f("uq_studies_panel_study_id")),
    )
    op.create_table(
        "study_sessions",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("study_number", RowNumber, nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=True),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "Started",
                "Completed",
                "Returned",
                "TimedOut",
                name="state",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_number"], ["studies.number"], name=op.f("fk_study_sessions_study_number_studies")
        ),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.worker_id"], name=op.f("fk_study_sessions_worker_id_workers")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_study_sessions")),
        sa.UniqueConstraint(
            "study_number", "session_id", name=op.f("uq_study_sessions_study_number_session_id")
        ),
    )
    with op.batch_alter_table("study_sessions") as batch_op:
        batch_op.create_index(
            "ix_study_sessions_deadline",
            ["deadline"],
            unique=False,
            sqlite_where=STARTED,
            postgresql_where=STARTED,
        )
        batch_op.create_index(batch_op.f("ix_study_sessions_worker_id"), ["worker_id"], unique=False)
        batch_op.create_index(
            "uq_study_sessions_worker_id",
            ["worker_id"],
            unique=True,
            sqlite_where=STARTED,
            postgresql_where=STARTED,
        )

    op.create_table(
        "assignments",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("assignment_id", sa.String(length=64), nullable=False),
        sa.Column("hit_number", RowNumber, nullable=False),
        sa.Column("type_number", RowNumber, nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("session_number", RowNumber, nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "Accepted",
                "Submitted",
                "Approved",
                "Rejected",
                "Returned",
                "Abandoned",
                name="state",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("reward_cents", sa.BigInteger(), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("auto_approval_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("feedback", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["hit_number"], ["hits.number"], name=op.f("fk_assignments_hit_number_hits")),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.worker_id"], name=op.f("fk_assignments_worker_id_workers")
        ),
        sa.ForeignKeyConstraint(
            ["type_number"], ["hit_types.number"], name=op.f("fk_assignments_type_number_hit_types")
        ),
        sa.ForeignKeyConstraint(
            ["session_number"],
            ["study_sessions.number"],
            name=op.f("fk_assignments_session_number_study_sessions"),
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_assignments")),
        sa.UniqueConstraint("assignment_id", name=op.f("uq_assignments_assignment_id")),
    )
    with op.batch_alter_table("assignments") as batch_op:
        batch_op.create_index(
            "ix_assignments_auto_approval",
            ["auto_approval_at"],
            unique=False,
            sqlite_where=SUBMITTED,
            postgresql_where=SUBMITTED,
        )
        batch_op.create_index(
            "ix_assignments_deadline",
            ["deadline"],
            unique=False,
            sqlite_where=ACCEPTED,
            postgresql_where=ACCEPTED,
        )
        batch_op.create_index(
            "ix_assignments_earnings", ["worker_id", "state", "reward_cents"], unique=False
        )
        batch_op.create_index(
            "ix_assignments_pace",
            ["type_number", "submitted_at"],
            unique=False,
            sqlite_where=DONE,
            postgresql_where=DONE,
        )
        batch_op.create_index("ix_assignments_review", ["hit_number", "submitted_at", "number"], unique=False)
        batch_op.create_index(batch_op.f("ix_assignments_session_number"), ["session_number"], unique=False)
        batch_op.create_index("ix_assignments_worker", ["worker_id", "number"], unique=False)
        batch_op.create_index(
            "uq_assignments_hit_number_worker_id",
            ["hit_number", "worker_id"],
            unique=True,
            sqlite_where=HELD_OR_DONE,
            postgresql_where=HELD_OR_DONE,
        )

    op.create_table(
        "request_tokens",
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column(
            "scope",
            sa.Enum("create", "extend", name="scope", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("hit_number", RowNumber, nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["hit_number"], ["hits.number"], name=op.f("fk_request_tokens_hit_number_hits")
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"],
            ["requesters.requester_id"],
            name=op.f("fk_request_tokens_requester_id_requesters"),
        ),
        sa.PrimaryKeyConstraint("requester_id", "scope", "token", name=op.f("pk_request_tokens")),
    )
    op.create_table(
        "reviews",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("hit_number", RowNumber, nullable=False),
        sa.Column(
            "level",
            sa.Enum("Assignment", "HIT", name="level", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("subject_type", sa.String(length=16), nullable=False),
        sa.Column("question_id", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=True),
        sa.Column("succeeded", sa.Boolean(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["hit_number"], ["hits.number"], name=op.f("fk_reviews_hit_number_hits")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_reviews")),
    )
    with op.batch_alter_table("reviews") as batch_op:
        batch_op.create_index(batch_op.f("ix_reviews_hit_number"), ["hit_number"], unique=False)

    op.create_table(
        "bonuses",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("assignment_number", RowNumber, nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=True),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("cents > 0 AND fee_cents > 0", name=op.f("ck_bonuses_positive")),
        sa.ForeignKeyConstraint(
            ["assignment_number"],
            ["assignments.number"],
            name=op.f("fk_bonuses_assignment_number_assignments"),
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requesters.requester_id"], name=op.f("fk_bonuses_requester_id_requesters")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_bonuses")),
        sa.UniqueConstraint("requester_id", "token", name=op.f("uq_bonuses_requester_id_token")),
    )
    with op.batch_alter_table("bonuses") as batch_op:
        batch_op.create_index(batch_op.f("ix_bonuses_assignment_number"), ["assignment_number"], unique=False)

    op.create_table(
        "transfers",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "grant",
                "hold",
                "reward",
                "fee",
                "refund",
                "bonus",
                name="kind",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("destination", sa.String(length=128), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("hit_number", RowNumber, nullable=True),
        sa.Column("assignment_number", RowNumber, nullable=True),
        sa.CheckConstraint("cents > 0", name=op.f("ck_transfers_positive")),
        sa.CheckConstraint("source <> destination", name=op.f("ck_transfers_two_sides")),
        sa.ForeignKeyConstraint(
            ["assignment_number"],
            ["assignments.number"],
            name=op.f("fk_transfers_assignment_number_assignments"),
        ),
        sa.ForeignKeyConstraint(
            ["destination"], ["accounts.name"], name=op.f("fk_transfers_destination_accounts")
        ),
        sa.ForeignKeyConstraint(["hit_number"], ["hits.number"], name=op.f("fk_transfers_hit_number_hits")),
        sa.ForeignKeyConstraint(["source"], ["accounts.name"], name=op.f("fk_transfers_source_accounts")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_transfers")),
    )
    with op.batch_alter_table("transfers") as batch_op:
        batch_op.create_index(batch_op.f("ix_transfers_destination"), ["destination"], unique=False)
        batch_op.create_index(batch_op.f("ix_transfers_hit_number"), ["hit_number"], unique=False)
        batch_op.create_index(batch_op.f("ix_transfers_source"), ["source"], unique=False)

    op.create_table(
        "uploads",
        sa.Column("number", RowNumber, nullable=False),
        sa.Column("upload_key", sa.String(length=64), nullable=False),
        sa.Column("assignment_number", RowNumber, nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assignment_number"],
            ["assignments.number"],
            name=op.f("fk_uploads_assignment_number_assignments"),
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_uploads")),
        sa.UniqueConstraint(
            "assignment_number", "question", name=op.f("uq_uploads_assignment_number_question")
        ),
        sa.UniqueConstraint("upload_key", name=op.f("uq_uploads_upload_key")),
    )
    op.create_table(
        "upload_pieces",
        sa.Column("upload_number", RowNumber, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_number"], ["uploads.number"], name=op.f("fk_upload_pieces_upload_number_uploads")
        ),
        sa.PrimaryKeyConstraint("upload_number", "place", name=op.f("pk_upload_pieces")),
    )
    _compress_cheaply()


def _compress_cheaply() -> None:
    """PostgreSQL's usual compression takes four times as long for a page as storing it does; LZ4 is not in every build."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    offered = connection.scalar(
        sa.text("SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'")
    )
    if offered:
        op.execute("ALTER TABLE questions ALTER COLUMN xml SET COMPRESSION lz4")
        op.execute("ALTER TABLE assignments ALTER COLUMN answer SET COMPRESSION lz4")


def downgrade() -> None:
    op.drop_table("upload_pieces")
    op.drop_table("uploads")
    with op.batch_alter_table("transfers") as batch_op:
        batch_op.drop_index(batch_op.f("ix_transfers_source"))
        batch_op.drop_index(batch_op.f("ix_transfers_hit_number"))
        batch_op.drop_index(batch_op.f("ix_transfers_destination"))

    op.drop_table("transfers")
    with op.batch_alter_table("bonuses") as batch_op:
        batch_op.drop_index(batch_op.f("ix_bonuses_assignment_number"))

    op.drop_table("bonuses")
    with op.batch_alter_table("reviews") as batch_op:
        batch_op.drop_index(batch_op.f("ix_reviews_hit_number"))

    op.drop_table("reviews")
    op.drop_table("request_tokens")
    with op.batch_alter_table("assignments") as batch_op:
        batch_op.drop_index(
            "uq_assignments_hit_number_worker_id", sqlite_where=HELD_OR_DONE, postgresql_where=HELD_OR_DONE
        )
        batch_op.drop_index("ix_assignments_worker")
        batch_op.drop_index(batch_op.f("ix_assignments_session_number"))
        batch_op.drop_index("ix_assignments_review")
        batch_op.drop_index("ix_assignments_pace", sqlite_where=DONE, postgresql_where=DONE)
        batch_op.drop_index("ix_assignments_earnings")
        batch_op.drop_index("ix_assignments_deadline", sqlite_where=ACCEPTED, postgresql_where=ACCEPTED)
        batch_op.drop_index(
            "ix_assignments_auto_approval", sqlite_where=SUBMITTED, postgresql_where=SUBMITTED
        )

    op.drop_table("assignments")
    with op.batch_alter_table("study_sessions") as batch_op:
        batch_op.drop_index(
            "uq_study_sessions_worker_id", sqlite_where=STARTED, postgresql_where=STARTED
        )
        batch_op.drop_index(batch_op.f("ix_study_sessions_worker_id"))
        batch_op.drop_index("ix_study_sessions_deadline", sqlite_where=STARTED, postgresql_where=STARTED)
    op.drop_table("study_sessions")
    op.drop_table("studies")
    with op.batch_alter_table("console_keys") as batch_op:
        batch_op.drop_index(batch_op.f("ix_console_keys_requester_id"))
        batch_op.drop_index(batch_op.f("ix_console_keys_expires_at"))
    op.drop_table("console_keys")
    with op.batch_alter_table("qualifications") as batch_op:
        batch_op.drop_index(batch_op.f("ix_qualifications_worker_id"))

    op.drop_table("qualifications")
    with op.batch_alter_table("qualification_requests") as batch_op:
        batch_op.drop_index(
            "uq_qualification_requests_type_number_worker_id",
            sqlite_where=OPEN_REQUEST,
            postgresql_where=OPEN_REQUEST,
        )
        batch_op.drop_index("ix_qualification_requests_worker")

    op.drop_table("qualification_requests")
    op.drop_table("notification_settings")
    with op.batch_alter_table("hits") as batch_op:
        batch_op.drop_index("ix_hits_untaken", sqlite_where=UNTAKEN, postgresql_where=UNTAKEN)
        batch_op.drop_index("ix_hits_unseen", sqlite_where=UNSEEN, postgresql_where=UNSEEN)
        batch_op.drop_index("ix_hits_kept", sqlite_where=KEPT, postgresql_where=KEPT)
        batch_op.drop_index("ix_hits_changed_at", sqlite_where=KEPT, postgresql_where=KEPT)

    op.drop_table("hits")
    with op.batch_alter_table("hit_type_qualifications") as batch_op:
        batch_op.drop_index("ix_hit_type_qualifications_qualification_type_id")

    op.drop_table("hit_type_qualifications")
    with op.batch_alter_table("worker_blocks") as batch_op:
        batch_op.drop_index(batch_op.f("ix_worker_blocks_worker_id"))

    op.drop_table("worker_blocks")
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.drop_index(batch_op.f("ix_sessions_worker_id"))
        batch_op.drop_index(batch_op.f("ix_sessions_expires_at"))

    op.drop_table("sessions")
    with op.batch_alter_table("requester_keys") as batch_op:
        batch_op.drop_index(batch_op.f("ix_requester_keys_requester_id"))

    op.drop_table("requester_keys")
    with op.batch_alter_table("qualification_types") as batch_op:
        batch_op.drop_index(
            "uq_qualification_types_requester_id_name", sqlite_where=LISTED, postgresql_where=LISTED
        )

    op.drop_table("qualification_types")
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_index(batch_op.f("ix_messages_worker_id"))

    op.drop_table("messages")
    with op.batch_alter_table("layouts") as batch_op:
        batch_op.drop_index(batch_op.f("ix_layouts_requester_id"))

    op.drop_table("layouts")
    with op.batch_alter_table("invitations") as batch_op:
        batch_op.drop_index(batch_op.f("ix_invitations_worker_id"))

    op.drop_table("invitations")
    op.drop_table("hit_types")
    op.drop_table("workers")
    op.drop_table("secrets")
    op.drop_table("requesters")
    op.drop_table("questions")
    with op.batch_alter_table("notices") as batch_op:
        batch_op.drop_index(batch_op.f("ix_notices_due_at"))

    op.drop_table("notices")
    op.drop_table("accounts")
