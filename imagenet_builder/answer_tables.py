"""Crowd answers and verdicts as tables: `worker,task,label` in, one row a task out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np

from hits.consensus import ABSTAINED, UNKNOWN, Consensus, Votes

from .errors import AnswersError

if TYPE_CHECKING:
    import pandas as pd

ANSWER_COLUMNS = ("worker", "task", "label")
CONTROL_COLUMNS = ("task", "truth")
# Between columns, besides the comma.
SEPARATORS = (";", "\t")
# Of what stands where columns should be named, which may be a whole file of another format.
HEAD_SHOWN = 120


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTable:
    """Votes read from files; task and label `i` of `votes` are `tasks[i]` and `labels[i]` of the files.

    `repeated` answers were a worker's second to a task and do not count; `unknown_controls` are controls for
    tasks that nobody answered; `unnamed` labels are the truth of controls, but in no answer.
    """

    votes: Votes
    tasks: tuple[str, ...]
    labels: tuple[str, ...]
    repeated: int
    unknown_controls: int
    unnamed: tuple[str, ...]


def read_answers(answers: Path, controls: Path | None, unsure: str | None = None) -> AnswerTable:
    """Read answers (worker,task,label) and controls (task,truth) from CSV files: commas, semicolons or tabs between.

    An empty label, or the label `unsure`, is "not sure". Raises AnswersError for a file that cannot be read, has
    no rows, misses a column, has empty workers or tasks, or names fewer than two labels; and for a control with two
    different truths.
    """
    table = _read(answers, ANSWER_COLUMNS)
    counting = table.drop_duplicates(["worker", "task"], keep="first")
    named = counting["label"].where((counting["label"] != "") & (counting["label"] != unsure))
    truths = _truths(controls)
    # Sorted, so that the order of rows decides nothing but which of a worker's answers is the first.
    tasks = np.unique(counting["task"].to_numpy(dtype=str))
    workers = np.unique(counting["worker"].to_numpy(dtype=str))
    asked = {task: truth for task, truth in truths.items() if task in set(tasks.tolist())}
    said = set(named.dropna().tolist())
    labels = sorted({*said, *asked.values()}, key=_by_number)
    if len(labels) < 2:
        raise AnswersError(f"{answers} names {len(labels)} label(s): there is nothing to decide between")
    number = {label: place for place, label in enumerate(labels)}
    known = np.full(len(tasks), UNKNOWN, dtype=np.int64)
    for task, truth in asked.items():
        known[np.searchsorted(tasks, task)] = number[truth]
    votes = Votes(
        task=np.searchsorted(tasks, counting["task"].to_numpy(dtype=str)),
        worker=np.searchsorted(workers, counting["worker"].to_numpy(dtype=str)),
        label=named.map(number).fillna(ABSTAINED).to_numpy(dtype=np.int64),
        n_tasks=len(tasks),
        n_labels=len(labels),
        known=known,
    )
    return AnswerTable(
        votes,
        tuple(tasks.tolist()),
        tuple(labels),
        repeated=len(table) - len(counting),
        unknown_controls=len(truths) - len(asked),
        unnamed=tuple(label for label in labels if label not in said),
    )


def _truths(controls: Path | None) -> dict[str, str]:
    if controls is None:
        return {}
    table = _read(controls, CONTROL_COLUMNS).drop_duplicates()
    if (table["truth"] == "").any():
        raise AnswersError(f"{controls} has a row without a truth; a task that is not known is left out")
    twice = table["task"][table["task"].duplicated()]
    if len(twice):
        raise AnswersError(f"{controls} gives task {twice.iloc[0]} two truths; keep one")
    return dict(zip(table["task"].tolist(), table["truth"].tolist(), strict=True))


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    table = _parsed(path, columns)
    # By their exact names, if they are there.
    found = {str(name).strip().lower(): name for name in table.columns} | {
        str(name): name for name in table.columns
    }
    missing = [column for column in columns if column not in found]
    if missing:
        there = shorten(", ".join(map(str, table.columns)), HEAD_SHOWN, placeholder=" …")
        raise AnswersError(f"{path} has no column {', '.join(missing)}; it has {there}")
    if table.empty:
        raise AnswersError(f"{path} has no rows")
    table = table[[found[column] for column in columns]].set_axis(list(columns), axis=1).fillna("")
    for column in columns[:-1]:
        empty = np.flatnonzero((table[column] == "").to_numpy())
        if empty.size:
            raise AnswersError(f"{path}, row {empty[0] + 2}: {column} is empty")
    return table


def _parsed(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # Of rows with more values than columns: pandas would drop what is beyond.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # As text: task 007 is not task 7, and "NA" may be a label.
            return pd.read_csv(
                path,
                sep=separator(path),
                dtype=str,
                keep_default_na=False,
                skipinitialspace=True,
                index_col=False,
            )
    except FileNotFoundError as error:
        raise AnswersError(f"{path} does not exist") from error
    except OSError as error:
        raise AnswersError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise AnswersError(f"{path} is not text in UTF-8; save it as such") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        expected, what = ", ".join(columns), str(error).strip().replace("\n", " ")
        if isinstance(error, pd.errors.ParserWarning):
            what = "its rows have more values than its head names columns"
        raise AnswersError(f"{path} is not a CSV file with the columns {expected}: {what}") from error


def separator(path: Path) -> str:
    """What stands between the columns of a file's head: a comma, a semicolon or a tab."""
    # A pipe can be read only once.
    if not path.is_file():
        return ","
    with path.open(encoding="utf-8-sig") as file:
        head = file.readline()
    return next((one for one in SEPARATORS if one in head and "," not in head), ",")


def _by_number(label: str) -> tuple[int, float, str]:
    """Labels that are numbers in their order (2 before 10), and before words."""
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)


def verdict_table(answers: AnswerTable, found: Consensus, *, distribution: bool) -> pd.DataFrame:
    """Return the table to write: task,label,probability,votes,decided; with `distribution` a row a label.

    A task that nobody named a label for has an empty label and probability; with `distribution` there is no
    `decided` for labels other than the task's.
    """
    import pandas as pd

    labels = np.array(answers.labels, dtype=object)
    tasks = np.array(answers.tasks, dtype=object)
    if distribution:
        rows, n_labels = len(tasks), len(labels)
        each = np.tile(np.arange(n_labels), rows)
        return pd.DataFrame(
            {
                "task": np.repeat(tasks, n_labels),
                "label": labels[each],
                "probability": found.probability.ravel(),
                "votes": np.repeat(found.votes, n_labels),
                "decided": np.repeat(found.decided, n_labels) & (each == np.repeat(found.label, n_labels)),
            }
        )
    named = found.label != ABSTAINED
    shown = np.where(named, found.label, 0)
    return pd.DataFrame(
        {
            "task": tasks,
            "label": np.where(named, labels[shown], ""),
            "probability": np.where(named, found.probability[np.arange(len(tasks)), shown], np.nan),
            "votes": found.votes,
            "decided": found.decided,
        }
    )


def write_verdicts(table: pd.DataFrame, path: Path) -> None:
    """Write a table of verdicts as CSV, whole or not at all; probabilities to six places.

    What is there and is no file, such as a pipe, is written to and never replaced; nor is a link, such as /dev/stdout.
    """
    path = path.resolve()
    in_place = path.exists() and not path.is_file()
    beside = path if in_place else path.with_name(f".{path.name}.part")
    try:
        table.to_csv(beside, index=False, float_format="%.6f")
        if not in_place:
            beside.replace(path)
    except OSError as error:
        if not in_place:
            beside.unlink(missing_ok=True)
        raise AnswersError(f"{path} cannot be written: {error.strerror or error}") from error
