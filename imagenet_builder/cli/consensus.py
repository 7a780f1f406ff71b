"""`imagenet-builder consensus`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("consensus")
@click.argument("answers", type=click.Path(path_type=Path), metavar="ANSWERS.csv")
@click.option(
    "--controls",
    type=click.Path(path_type=Path),
    metavar="TRUTH.csv",
    help="Tasks whose label is known: task,truth.",
)
@click.option("--rule", "rule_name", metavar="RULE", required=True, help="majority, dynamic or dawid-skene.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="VERDICTS.csv", required=True, help="Where to write."
)
@click.option("--distribution", is_flag=True, help="One row a task and label, not one a task.")
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, max_open=True),
    help="Decide only as many as are right this often (dawid-skene).",
)
@click.option("--unsure", metavar="LABEL", help='The label that means "not sure"; an empty one always does.')
def command(
    answers: Path,
    controls: Path | None,
    rule_name: str,
    out: Path,
    distribution: bool,
    precision: float | None,
    unsure: str | None,
) -> None:
    """Decide any crowd's answers: worker,task,label in; task,label,probability,votes,decided out.

    Labels may be any words or numbers, two or more. A worker's first answer to a task counts. Columns may stand in any
    order, with commas, semicolons or tabs between. No project is needed.

    \b
    Examples:
      imagenet-builder consensus answers.csv --rule majority --out verdicts.csv
      imagenet-builder consensus answers.csv --controls truth.csv --rule dawid-skene --out verdicts.csv
    """
    from hits import consensus
    from imagenet_builder.answer_tables import read_answers, verdict_table, write_verdicts
    from imagenet_builder.errors import AnswersError

    try:
        rule = consensus.rule(rule_name, **({} if precision is None else {"precision": precision}))
    except ValueError as error:
        raise AnswersError(str(error)) from error
    for read in (answers, controls):
        if read is not None and read.exists() and out.exists() and out.samefile(read):
            raise AnswersError(f"{out} is read and would be written over; name another file for --out")
    table = read_answers(answers, controls, unsure)
    if table.repeated:
        click.echo(
            f"note: {table.repeated} answers were a worker's second to a task and do not count", err=True
        )
    if table.unknown_controls:
        click.echo(
            f"note: {table.unknown_controls} controls are for tasks without answers; ignored", err=True
        )
    for label in table.unnamed:
        click.echo(f"note: {label!r} is the truth of controls, but no answer says it", err=True)
    found = rule.decide(table.votes)
    write_verdicts(verdict_table(table, found, distribution=distribution), out)
    click.echo(
        f"{len(table.tasks)} tasks, {table.votes.task.size} votes, {len(table.labels)} labels: "
        f"{int(found.decided.sum())} decided, {int((~found.decided).sum())} undecided → {out}"
    )
