"""the builder's store

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "categories",
        sa.Column("wnid", sa.String(length=9), nullable=False),
        sa.Column("sense_key", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("lemmas", sa.JSON(), nullable=False),
        sa.Column("gloss", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("selected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("wnid", name=op.f("pk_categories")),
    )
    op.create_table(
        "images",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("orientation", sa.SmallInteger(), nullable=False),
        sa.Column("perceptual_hash", sa.BigInteger(), nullable=False),
        sa.Column("descriptor", sa.LargeBinary(length=576), nullable=True),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_images")),
    )
    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_images_perceptual_hash"), ["perceptual_hash"], unique=False)

    op.create_table(
        "releases",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("classes", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
    )
    op.create_table(
        "tombstones",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("image", "url", "author", name="kind", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("laid_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstones")),
        sa.UniqueConstraint("target", "kind", name=op.f("uq_tombstones_target_kind")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("platform_worker_id", sa.String(length=64), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
        sa.UniqueConstraint(
            "endpoint", "platform_worker_id", name=op.f("uq_workers_endpoint_platform_worker_id")
        ),
    )
    op.create_table(
        "hits",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("wnid", sa.String(length=9), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "intended",
                "published",
                "collected",
                "abandoned",
                name="state",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("votes_wanted", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("reward_cents", sa.Integer(), nullable=False),
        sa.Column("fee_cents", sa.Integer(), nullable=False),
        sa.Column("rounds", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("intended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bar_type_id", sa.String(length=255), nullable=True),
        sa.Column("platform_hit_id", sa.String(length=64), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('intended', 'abandoned') OR platform_hit_id IS NOT NULL",
            name=op.f("ck_hits_published_has_platform_id"),
        ),
        sa.ForeignKeyConstraint(["wnid"], ["categories.wnid"], name=op.f("fk_hits_wnid_categories")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hits")),
        sa.UniqueConstraint("endpoint", "platform_hit_id", name=op.f("uq_hits_endpoint_platform_hit_id")),
        sa.UniqueConstraint("token", name=op.f("uq_hits_token")),
    )
    with op.batch_alter_table("hits", schema=None) as batch_op:
        batch_op.create_index("ix_hits_state", ["state"], unique=False)

    op.create_table(
        "queries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("wnid", sa.String(length=9), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("words", sa.String(length=255), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("continuation", sa.Text(), nullable=True),
        sa.Column("exhausted", sa.Boolean(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("known", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["wnid"], ["categories.wnid"], name=op.f("fk_queries_wnid_categories")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queries")),
        sa.UniqueConstraint("wnid", "source", "words", name=op.f("uq_queries_wnid_source_words")),
    )
    op.create_table(
        "questions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("wnid", sa.String(length=9), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["images.sha256"], name=op.f("fk_questions_sha256_images")),
        sa.ForeignKeyConstraint(["wnid"], ["categories.wnid"], name=op.f("fk_questions_wnid_categories")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_questions")),
        sa.UniqueConstraint("sha256", "wnid", name=op.f("uq_questions_sha256_wnid")),
    )
    with op.batch_alter_table("questions", schema=None) as batch_op:
        batch_op.create_index("ix_questions_wnid", ["wnid"], unique=False)

    op.create_table(
        "release_images",
        sa.Column("release_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("file_name", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("wnid", sa.String(length=9), nullable=False),
        sa.Column(
            "split",
            sa.Enum(
                "train", "val", "test", "replicate", name="split", native_enum=False, create_constraint=True
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name=op.f("fk_release_images_release_id_releases")
        ),
        sa.ForeignKeyConstraint(["sha256"], ["images.sha256"], name=op.f("fk_release_images_sha256_images")),
        sa.ForeignKeyConstraint(
            ["wnid"], ["categories.wnid"], name=op.f("fk_release_images_wnid_categories")
        ),
        sa.PrimaryKeyConstraint("release_id", "file_name", name=op.f("pk_release_images")),
    )
    with op.batch_alter_table("release_images", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_release_images_sha256"), ["sha256"], unique=False)

    op.create_table(
        "renditions",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("rendition_sha256", sa.String(length=64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["images.sha256"], name=op.f("fk_renditions_sha256_images")),
        sa.PrimaryKeyConstraint("sha256", "purpose", name=op.f("pk_renditions")),
    )
    op.create_table(
        "assignments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("worker_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("platform_assignment_id", sa.String(length=64), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "Submitted", "Approved", "Rejected", name="status", native_enum=False, create_constraint=True
            ),
            nullable=False,
        ),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("page_seconds", sa.Float(), nullable=True),
        sa.Column("controls_right", sa.Integer(), nullable=False),
        sa.Column("controls_shown", sa.Integer(), nullable=False),
        sa.Column("unreadable", sa.Text(), nullable=True),
        sa.Column("answer_xml", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["hit_id"], ["hits.id"], name=op.f("fk_assignments_hit_id_hits")),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name=op.f("fk_assignments_worker_id_workers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
        sa.UniqueConstraint(
            "hit_id", "platform_assignment_id", name=op.f("uq_assignments_hit_id_platform_assignment_id")
        ),
    )
    with op.batch_alter_table("assignments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_assignments_hit_id"), ["hit_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_assignments_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "candidates",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("wnid", sa.String(length=9), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("query_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("page_url", sa.Text(), nullable=True),
        sa.Column("licence", sa.String(length=64), nullable=True),
        sa.Column("licence_version", sa.String(length=16), nullable=True),
        sa.Column("licence_url", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("credit", sa.Text(), nullable=True),
        sa.Column("original_url", sa.Text(), nullable=True),
        sa.Column("original_sha1", sa.String(length=40), nullable=True),
        sa.Column("claimed_width", sa.Integer(), nullable=True),
        sa.Column("claimed_height", sa.Integer(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "stored",
                "rejected",
                "failed",
                name="state",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column(
            "reason",
            sa.Enum(
                "licence",
                "robots",
                "opt-out",
                "not-an-image",
                "unsupported-format",
                "animated",
                "damaged",
                "too-small",
                "too-large",
                "aspect",
                "blank",
                "excluded",
                "taken-down",
                "forbidden-address",
                "bad-url",
                "not-found",
                "refused",
                "rate-limited",
                "server-error",
                "host-down",
                "unreachable",
                "timeout",
                "interrupted",
                "too-many-redirects",
                name="reason",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=True,
        ),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("retryable", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("robots", sa.String(length=32), nullable=True),
        sa.Column("opt_out", sa.String(length=255), nullable=True),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.String(length=64), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("file_artist", sa.Text(), nullable=True),
        sa.Column("file_copyright", sa.Text(), nullable=True),
        sa.Column("file_credit", sa.Text(), nullable=True),
        sa.Column("file_usage_terms", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'pending') = (ended_at IS NULL)", name=op.f("ck_candidates_end_has_time")
        ),
        sa.CheckConstraint(
            "(state = 'stored') = (sha256 IS NOT NULL)", name=op.f("ck_candidates_stored_has_image")
        ),
        sa.CheckConstraint(
            "(state IN ('rejected', 'failed')) = (reason IS NOT NULL)",
            name=op.f("ck_candidates_refusal_has_reason"),
        ),
        sa.ForeignKeyConstraint(["query_id"], ["queries.id"], name=op.f("fk_candidates_query_id_queries")),
        sa.ForeignKeyConstraint(["sha256"], ["images.sha256"], name=op.f("fk_candidates_sha256_images")),
        sa.ForeignKeyConstraint(["wnid"], ["categories.wnid"], name=op.f("fk_candidates_wnid_categories")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidates")),
        sa.UniqueConstraint("url", "wnid", name=op.f("uq_candidates_url_wnid")),
    )
    with op.batch_alter_table("candidates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_candidates_sha256"), ["sha256"], unique=False)
        batch_op.create_index("ix_candidates_state", ["state", "wnid"], unique=False)
        batch_op.create_index("ix_candidates_wnid", ["wnid"], unique=False)

    op.create_table(
        "controls",
        sa.Column("question_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "answer",
            sa.Enum("yes", "no", name="answer", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("provenance", sa.String(length=64), nullable=False),
        sa.Column("labelled_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["question_id"], ["questions.id"], name=op.f("fk_controls_question_id_questions")
        ),
        sa.PrimaryKeyConstraint("question_id", name=op.f("pk_controls")),
    )
    op.create_table(
        "hit_questions",
        sa.Column("hit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("question_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("as_control", sa.Boolean(), nullable=False),
        sa.Column("picture_name", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["hit_id"], ["hits.id"], name=op.f("fk_hit_questions_hit_id_hits")),
        sa.ForeignKeyConstraint(
            ["question_id"], ["questions.id"], name=op.f("fk_hit_questions_question_id_questions")
        ),
        sa.PrimaryKeyConstraint("hit_id", "position", name=op.f("pk_hit_questions")),
        sa.UniqueConstraint("hit_id", "question_id", name=op.f("uq_hit_questions_hit_id_question_id")),
        sa.UniqueConstraint("picture_name", name=op.f("uq_hit_questions_picture_name")),
    )
    with op.batch_alter_table("hit_questions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_hit_questions_question_id"), ["question_id"], unique=False)

    op.create_table(
        "rulings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rulings")),
    )
    op.create_table(
        "verdicts",
        sa.Column(
            "question_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "decision",
            sa.Enum("accepted", "rejected", "undecided", name="decision", native_enum=False),
            nullable=False,
        ),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("ruling_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("yes", sa.Integer(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("unsure", sa.Integer(), nullable=False),
        sa.Column("broken", sa.Integer(), nullable=False),
        sa.Column("report", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "decision = 'accepted' OR decision = 'rejected' OR decision = 'undecided'",
            name=op.f("ck_verdicts_decision"),
        ),
        sa.PrimaryKeyConstraint("question_id", name=op.f("pk_verdicts")),
    )
    op.create_table(
        "superseded_verdicts",
        sa.Column("question_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "decision",
            sa.Enum("accepted", "rejected", "undecided", name="decision", native_enum=False),
            nullable=False,
        ),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("ruling_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("yes", sa.Integer(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("unsure", sa.Integer(), nullable=False),
        sa.Column("broken", sa.Integer(), nullable=False),
        sa.Column("report", sa.Integer(), nullable=False),
        sa.Column("superseded_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "call",
            sa.Enum("approve", "extend", "expire", name="call", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("assignment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("hit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("intended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignments.id"], name=op.f("fk_outbox_assignment_id_assignments")
        ),
        sa.ForeignKeyConstraint(["hit_id"], ["hits.id"], name=op.f("fk_outbox_hit_id_hits")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("token", name=op.f("uq_outbox_token")),
    )
    op.create_table(
        "votes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("question_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("assignment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("worker_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "answer",
            sa.Enum(
                "yes",
                "no",
                "unsure",
                "broken",
                "report",
                name="answer",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column(
            "report_reason",
            sa.Enum(
                "private",
                "offensive",
                "illegal",
                name="report_reason",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=True,
        ),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.Column("cast_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(answer = 'report') = (report_reason IS NOT NULL)", name=op.f("ck_votes_report_has_reason")
        ),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignments.id"], name=op.f("fk_votes_assignment_id_assignments")
        ),
        sa.ForeignKeyConstraint(
            ["question_id"], ["questions.id"], name=op.f("fk_votes_question_id_questions")
        ),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name=op.f("fk_votes_worker_id_workers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_votes")),
        sa.UniqueConstraint("assignment_id", "question_id", name=op.f("uq_votes_assignment_id_question_id")),
    )
    with op.batch_alter_table("votes", schema=None) as batch_op:
        batch_op.create_index("ix_votes_question_id", ["question_id"], unique=False)
        batch_op.create_index(
            "ix_votes_reported",
            ["question_id"],
            unique=False,
            sqlite_where=sa.text("answer = 'report'"),
            postgresql_where=sa.text("answer = 'report'"),
        )
        batch_op.create_index(batch_op.f("ix_votes_worker_id"), ["worker_id"], unique=False)
        batch_op.create_index(
            "uq_votes_counting",
            ["worker_id", "question_id"],
            unique=True,
            sqlite_where=sa.text("counts"),
            postgresql_where=sa.text("counts"),
        )

    op.create_table(
        "watermarks",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_watermarks")),
    )
    op.create_table(
        "reservations",
        sa.Column("hit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "reserved", "spent", "released", name="state", native_enum=False, create_constraint=True
            ),
            nullable=False,
        ),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("promised_cents", sa.BigInteger(), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'reserved') = (settled_at IS NULL)", name=op.f("ck_reservations_settled_has_time")
        ),
        sa.ForeignKeyConstraint(["hit_id"], ["hits.id"], name=op.f("fk_reservations_hit_id_hits")),
        sa.PrimaryKeyConstraint("hit_id", name=op.f("pk_reservations")),
    )
    op.create_table(
        "exclusions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("worker_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "reason",
            sa.Enum(
                "inaccurate",
                "too_fast",
                "same_answer",
                "unreadable",
                "requester",
                name="reason",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lift_told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unfounded", sa.Boolean(), nullable=False),
        sa.Column("votes_left_out", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.id"], name=op.f("fk_exclusions_worker_id_workers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exclusions")),
    )
    with op.batch_alter_table("exclusions", schema=None) as batch_op:
        batch_op.create_index(
            "uq_exclusions_standing",
            ["worker_id"],
            unique=True,
            sqlite_where=sa.text("lifted_at IS NULL"),
            postgresql_where=sa.text("lifted_at IS NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("exclusions", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_exclusions_standing",
            sqlite_where=sa.text("lifted_at IS NULL"),
            postgresql_where=sa.text("lifted_at IS NULL"),
        )

    op.drop_table("exclusions")
    op.drop_table("reservations")
    op.drop_table("watermarks")
    with op.batch_alter_table("votes", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_votes_counting", sqlite_where=sa.text("counts"), postgresql_where=sa.text("counts")
        )
        batch_op.drop_index(batch_op.f("ix_votes_worker_id"))
        batch_op.drop_index(
            "ix_votes_reported",
            sqlite_where=sa.text("answer = 'report'"),
            postgresql_where=sa.text("answer = 'report'"),
        )
        batch_op.drop_index("ix_votes_question_id")

    op.drop_table("votes")
    op.drop_table("outbox")
    op.drop_table("superseded_verdicts")
    op.drop_table("verdicts")
    op.drop_table("rulings")
    with op.batch_alter_table("hit_questions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_hit_questions_question_id"))

    op.drop_table("hit_questions")
    op.drop_table("controls")
    with op.batch_alter_table("candidates", schema=None) as batch_op:
        batch_op.drop_index("ix_candidates_wnid")
        batch_op.drop_index("ix_candidates_state")
        batch_op.drop_index(batch_op.f("ix_candidates_sha256"))

    op.drop_table("candidates")
    with op.batch_alter_table("assignments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_assignments_worker_id"))
        batch_op.drop_index(batch_op.f("ix_assignments_hit_id"))

    op.drop_table("assignments")
    op.drop_table("renditions")
    with op.batch_alter_table("release_images", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_release_images_sha256"))

    op.drop_table("release_images")
    with op.batch_alter_table("questions", schema=None) as batch_op:
        batch_op.drop_index("ix_questions_wnid")

    op.drop_table("questions")
    op.drop_table("queries")
    with op.batch_alter_table("hits", schema=None) as batch_op:
        batch_op.drop_index("ix_hits_state")

    op.drop_table("hits")
    op.drop_table("workers")
    op.drop_table("tombstones")
    op.drop_table("releases")
    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_images_perceptual_hash"))

    op.drop_table("images")
    op.drop_table("categories")
