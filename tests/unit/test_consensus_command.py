"""`imagenet-builder consensus`: tables in, tables out."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hits.consensus import ABSTAINED, RULES, rule
from imagenet_builder.cli import command_line, run
from tests.simulated_crowd import SimulatedCrowd, simulated_crowd

LABELS = ("boxer", "n/a", "pug", "NA")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def written_crowd(folder: Path, n_labels: int = 4) -> tuple[SimulatedCrowd, Path, Path]:
    """A crowd as two files: task 7 is "t007", and labels are words that pandas likes to read as missing."""
    crowd = simulated_crowd(seed=1, n_tasks=150, prevalence=(1 / n_labels,) * n_labels, controls=0.2)
    unsure = np.random.default_rng(1).random(crowd.votes.label.size) < 0.1
    crowd = dataclasses.replace(
        crowd,
        votes=dataclasses.replace(crowd.votes, label=np.where(unsure, ABSTAINED, crowd.votes.label)),
    )
    names = sorted(LABELS[:n_labels])
    answers = pd.DataFrame(
        {
            "worker": [f"w{worker}" for worker in crowd.votes.worker],
            "task": [f"t{task:03}" for task in crowd.votes.task],
            "label": ["" if label == ABSTAINED else names[label] for label in crowd.votes.label],
        }
    )
    known = np.flatnonzero(crowd.votes.truth() >= 0)
    controls = pd.DataFrame(
        {"task": [f"t{task:03}" for task in known], "truth": [names[crowd.truth[task]] for task in known]}
    )
    shuffled = answers.sample(frac=1, random_state=2)
    shuffled.to_csv(folder / "answers.csv", index=False)
    controls.to_csv(folder / "truth.csv", index=False)
    return crowd, folder / "answers.csv", folder / "truth.csv"


def consensus(*arguments: object) -> int:
    return run(command_line.main, "consensus", *map(str, arguments))


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"task": str, "label": str}, keep_default_na=False)


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("n_labels", [2, 4])
def test_the_file_says_what_the_rule_says(tmp_path: Path, name: str, n_labels: int) -> None:
    crowd, answers, controls = written_crowd(tmp_path, n_labels)
    out = tmp_path / "verdicts.csv"
    assert consensus(answers, "--controls", controls, "--rule", name, "--out", out) == 0
    found, verdicts = rule(name).decide(crowd.votes), read(out)
    assert list(verdicts.columns) == ["task", "label", "probability", "votes", "decided"]
    assert verdicts["task"].tolist() == [f"t{task:03}" for task in range(150)]
    names = np.array(sorted(LABELS[:n_labels]))
    named = found.label != ABSTAINED
    assert verdicts["label"][named].tolist() == names[found.label[named]].tolist()
    assert (verdicts["label"][~named] == "").all()
    np.testing.assert_allclose(
        verdicts["probability"][named].astype(float), found.probability[named, found.label[named]], atol=1e-6
    )
    assert verdicts["votes"].tolist() == found.votes.tolist()
    assert verdicts["decided"].tolist() == found.decided.tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "truth.csv", "verdicts.csv"]


def test_the_distribution_has_a_row_a_label_and_sums_to_one(tmp_path: Path) -> None:
    _, answers, controls = written_crowd(tmp_path)
    short, long = tmp_path / "short.csv", tmp_path / "long.csv"
    assert consensus(answers, "--controls", controls, "--rule", "dawid-skene", "--out", short) == 0
    given = ("--controls", controls, "--rule", "dawid-skene", "--distribution", "--out", long)
    assert consensus(answers, *given) == 0
    verdicts, rows = read(short), read(long)
    assert len(rows) == 150 * 4
    np.testing.assert_allclose(rows.groupby("task")["probability"].sum(), 1, atol=1e-5)
    likeliest = rows.loc[rows.groupby("task")["probability"].idxmax()]
    named = (verdicts["label"] != "").to_numpy()
    assert not named.all()
    assert likeliest["label"][named].tolist() == verdicts["label"][named].tolist()
    assert rows.groupby("task")["decided"].sum().tolist() == verdicts["decided"].astype(int).tolist()


def test_a_second_answer_does_not_count_and_strange_controls_are_ignored_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write(
        tmp_path / "a.csv", "worker,task,label\nann,1,yes\nben,1,yes\nann,1,no\nann,2,no\nben,2,no\n"
    )
    controls = write(tmp_path / "c.csv", "task,truth\n2,no\n99,maybe\n")
    out = tmp_path / "v.csv"
    assert consensus(answers, "--controls", controls, "--rule", "majority", "--out", out) == 0
    notes = capsys.readouterr().err
    assert "1 answers were a worker's second" in notes
    assert "1 controls are for tasks without answers" in notes
    assert read(out)[["task", "label", "votes"]].to_numpy().tolist() == [["1", "yes", 2], ["2", "no", 2]]


def test_labels_that_are_numbers_and_other_columns_are_no_trouble(tmp_path: Path) -> None:
    answers = write(
        tmp_path / "a.csv", "when,label,task,worker\nnow,10,x,1\nnow,10,x,2\nnow,2,y,1\nnow,2,y,2\n"
    )
    out = tmp_path / "v.csv"
    assert consensus(answers, "--rule", "majority", "--distribution", "--out", out) == 0
    assert read(out)["label"].tolist() == ["2", "10", "2", "10"]


def test_the_word_for_not_sure_is_no_label(tmp_path: Path) -> None:
    answers = write(tmp_path / "a.csv", "worker,task,label\n1,x,yes\n2,x,dunno\n1,y,no\n2,y,\n")
    out = tmp_path / "v.csv"
    assert consensus(answers, "--rule", "dawid-skene", "--unsure", "dunno", "--out", out) == 0
    assert read(out)["votes"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "not a CSV file", id="empty"),
        pytest.param("worker,task,label\n", "has no rows", id="only a header"),
        pytest.param("worker,task\n1,2\n", "has no column label; it has worker, task", id="a column missing"),
        pytest.param("worker,task,label\n1,,yes\n", "row 2: task is empty", id="no task"),
        pytest.param("worker,task,label\n1,a,yes\n,a,no\n", "row 3: worker is empty", id="no worker"),
        pytest.param("worker,task,label\n1,a,yes\n2,a,yes\n", "nothing to decide", id="one label"),
        pytest.param("worker,task,label\n1,a,yes,3,4\n1,2,3,4,5,6\n", "not a CSV file", id="ragged"),
        pytest.param("worker,task,label\n1,a,b,yes\n", "not a CSV file", id="an unquoted comma"),
        pytest.param("{" + "word, " * 99 + "}\n", "it has {word, ", id="another format"),
        pytest.param("worker;task\n1;2\n", "has no column label; it has worker, task", id="semicolons"),
    ],
)
def test_bad_answers_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    answers = write(tmp_path / "a.csv", text)
    assert consensus(answers, "--rule", "majority", "--out", tmp_path / "v.csv") == 1
    error = capsys.readouterr().err
    assert says in error
    assert "a.csv" in error
    assert error.count("\n") == 1
    assert len(error) < 400
    assert not (tmp_path / "v.csv").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("task,label\nx,yes\n", "has no column truth", id="a column missing"),
        pytest.param("task,truth\nx,yes\nx,no\n", "gives task x two truths", id="two truths"),
        pytest.param("task,truth\nx,\n", "without a truth", id="no truth"),
    ],
)
def test_bad_controls_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    answers = write(tmp_path / "a.csv", "worker,task,label\n1,x,yes\n2,x,no\n")
    controls = write(tmp_path / "c.csv", text)
    given = ("--controls", controls, "--rule", "majority", "--out", tmp_path / "v.csv")
    assert consensus(answers, *given) == 1
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there_an_unknown_rule_and_no_folder_to_write_to_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write(tmp_path / "a.csv", "worker,task,label\n1,x,yes\n2,x,no\n")
    assert consensus(tmp_path / "none.csv", "--rule", "majority", "--out", tmp_path / "v.csv") == 1
    assert "none.csv does not exist" in capsys.readouterr().err
    assert consensus(answers, "--rule", "oracle", "--out", tmp_path / "v.csv") == 1
    assert "dawid-skene, dynamic, majority" in capsys.readouterr().err
    assert consensus(answers, "--rule", "majority", "--precision", "0.9", "--out", tmp_path / "v.csv") == 1
    assert "no parameter precision" in capsys.readouterr().err
    assert consensus(answers, "--rule", "majority", "--out", tmp_path / "no" / "v.csv") == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("worker;task;label\n1;x,1;yes\n2;x,1;yes\n1;y;no\n", id="semicolons"),
        pytest.param("worker\ttask\tlabel\n1\tx,1\tyes\n2\tx,1\tyes\n1\ty\tno\n", id="tabs"),
        pytest.param('\ufeffworker,task,label\n1,"x,1",yes\n2,"x,1",yes\n1,y,no\n', id="a byte order mark"),
        pytest.param('Label,Task, Worker\r\nyes,"x,1",1\r\nyes,"x,1",2\r\nno,y,1\r\n', id="spreadsheet"),
        pytest.param(
            'worker,Task,task,label\n1,a,"x,1",yes\n2,b,"x,1",yes\n1,c,y,no\n', id="exact name first"
        ),
    ],
)
def test_tables_as_other_programs_write_them_are_read(tmp_path: Path, text: str) -> None:
    out = tmp_path / "v.csv"
    assert consensus(write(tmp_path / "a.csv", text), "--rule", "majority", "--out", out) == 0
    assert read(out)[["task", "label", "votes"]].to_numpy().tolist() == [["x,1", "yes", 2], ["y", "no", 1]]


def test_a_label_that_controls_alone_name_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write(tmp_path / "a.csv", "worker,task,label\n1,x,yes\n2,x,no\n")
    controls = write(tmp_path / "c.csv", "task,truth\nx,Yes\n")
    given = ("--controls", controls, "--rule", "majority", "--out", tmp_path / "v.csv")
    assert consensus(answers, *given) == 0
    assert "'Yes' is the truth of controls, but no answer says it" in capsys.readouterr().err


def test_what_is_read_or_is_no_file_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write(tmp_path / "a.csv", "worker,task,label\n1,x,yes\n2,x,no\n1,y,no\n")
    before = answers.read_text()
    assert consensus(answers, "--rule", "majority", "--out", answers) == 1
    assert "would be written over" in capsys.readouterr().err
    assert answers.read_text() == before
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    taken: list[str] = []
    reader = threading.Thread(target=lambda: taken.append(pipe.read_text()))
    reader.start()
    assert consensus(answers, "--rule", "majority", "--out", pipe) == 0
    reader.join()
    assert taken[0].splitlines()[0] == "task,label,probability,votes,decided"
    assert pipe.is_fifo()
    link, behind = tmp_path / "link.csv", tmp_path / "behind.csv"
    link.symlink_to(behind)
    assert consensus(answers, "--rule", "majority", "--out", link) == 0
    assert link.is_symlink()
    assert len(behind.read_text().splitlines()) == 3
    assert consensus(tmp_path, "--rule", "majority", "--out", tmp_path / "v.csv") == 1
    assert "cannot be read: Is a directory" in capsys.readouterr().err
