"""`evaluate` on releases from disk: the devkit's figures, sealed splits, boxes, and one line for what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import loadmat

from imagenet_builder.cli import command_line, run
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.hierarchy import trimmed_hierarchy
from imagenet_builder.export.matlab import synsets_mat
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportReport, ExportRequest
from imagenet_builder.project import Project
from imagenet_builder.train.sealed import open_sealed
from tests.export_parts import GOLDFISH, TENCH, UMBRELLA, project_with, some_pictures, thawed
from wordnet_synsets.graph import open_graph
from wordnet_synsets.select import official_ids

VECTORS = Path(__file__).parents[1] / "unit" / "vectors" / "evaluation"
REQUEST = ExportRequest(Sizes(val=3, test=4, min_train=3, max_train=20, replicate=2), classes=3)


@pytest.fixture
def project(tmp_path: Path, wordnet_folder: Path) -> Project:
    return project_with(
        tmp_path / "project", wordnet_folder, some_pictures({TENCH: 13, GOLDFISH: 14, UMBRELLA: 12})
    )


@pytest.fixture
def report(project: Project, tmp_path: Path) -> ExportReport:
    return export(project, REQUEST, tmp_path / "release")


def val_of(release: Path) -> list[tuple[str, int, str]]:
    rows = pq.read_table(release / "images.parquet").to_pylist()
    return sorted((row["file"], row["ilsvrc_id"], row["wnid"]) for row in rows if row["split"] == "val")


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    assert run(command_line.main, "evaluate", *map(str, arguments), "--json") == 0, capsys.readouterr().err
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_the_original_routine_s_figures_come_out_of_a_release_with_its_ground_truth(
    tmp_path: Path, wordnet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The 2,000 ragged lines that the MATLAB routine scored, as the val of a release of the 2012 thousand."""
    truth = [int(line) for line in (VECTORS / "ground_truth.txt").read_text().split()]
    ids = official_ids()
    release = tmp_path / "release"
    (release / "ILSVRC2012_devkit_t12" / "data").mkdir(parents=True)
    nodes = trimmed_hierarchy(open_graph(wordnet_folder), ids, {})
    (release / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(synsets_mat(nodes))
    (release / "manifest.json").write_text(
        json.dumps(
            {"title": "t", "classes": [{"wnid": wnid, "ilsvrc_id": number} for wnid, number in ids.items()]}
        )
    )
    rows = [
        {"file": f"ILSVRC2012_val_{number:08d}.JPEG", "split": "val", "ilsvrc_id": class_id}
        for number, class_id in enumerate(truth, start=1)
    ]
    # In no order: file names decide which line is whose.
    pq.write_table(pa.Table.from_pylist(rows[::-1]), release / "images.parquet")
    found = evaluated(capsys, release, VECTORS / "predictions.txt")
    lines = (VECTORS / "expected.tsv").read_text().splitlines()[1:]
    assert found["pictures"] == 2000
    assert found["flat"] == pytest.approx([float(line.split("\t")[1]) for line in lines], abs=5e-7)
    hierarchical = found["hierarchical"]
    assert isinstance(hierarchical, list)
    assert hierarchical == sorted(hierarchical, reverse=True)
    assert 0 < hierarchical[4] < hierarchical[0] < 19


def test_right_guesses_score_nothing_and_wrong_ones_what_meta_mat_says(
    report: ExportReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = val_of(report.folder)
    guesses = tmp_path / "guesses.txt"
    guesses.write_text("".join(f"{class_id}\n" for _, class_id, _ in val))
    found = evaluated(capsys, report.folder, guesses)
    assert found["flat"] == [0] * 5
    assert found["hierarchical"] == [0] * 5
    # Tench and goldfish meet at cyprinid, an umbrella and a fish far above.
    id_of = {wnid: class_id for _, class_id, wnid in val}
    guesses.write_text(f"{id_of[GOLDFISH]}\n" * len(val))
    synsets = loadmat(report.folder / "ILSVRC2012_devkit_t12/data/meta.mat", squeeze_me=True)["synsets"]
    height = {row["WNID"]: int(row["wordnet_height"]) for row in synsets}
    cyprinid, whole = "n01439121", "n00003553"
    expected = (0 * 3 + 3 * height[cyprinid] + 3 * height[whole]) / 9
    found = evaluated(capsys, report.folder, guesses)
    assert found["flat"] == pytest.approx([2 / 3] * 5)
    assert found["hierarchical"] == pytest.approx([expected] * 5)


def test_test_is_scored_with_its_key_alone(
    project: Project, report: ExportReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_key, replicate_key = report.test_keys
    for split, key in (
        ("test", test_key),
        ("replicate", replicate_key),
        ("test", project.folder / "secret.key"),
    ):
        rows = open_sealed(report.folder, split, key)
        guesses = tmp_path / "guesses.txt"
        guesses.write_text("".join(f"0 {row['ilsvrc_id']}\n" for row in rows))
        found = evaluated(capsys, report.folder, guesses, "--split", split, "--key", key)
        assert found["split"] == split
        assert found["flat"] == [1, 0, 0, 0, 0]
    assert run(command_line.main, "evaluate", str(report.folder), str(guesses), "--split", "test") == 1
    assert "are sealed: give --key" in capsys.readouterr().err
    arguments = ["--split", "test", "--key", str(replicate_key)]
    assert run(command_line.main, "evaluate", str(report.folder), str(guesses), *arguments) == 1
    assert "does not open" in capsys.readouterr().err


def test_boxes_are_scored_where_it_is_known_where_things_are(
    report: ExportReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = val_of(report.folder)
    solution = tmp_path / "LOC_val_solution.csv"
    rows = [f"{Path(file).stem},{wnid} 1 1 40 40 {wnid} 50 50 60 60" for file, _, wnid in val]
    solution.write_text("ImageId,PredictionString\n" + "\n".join(rows) + "\n")
    guesses = tmp_path / "guesses.txt"
    guesses.write_text("".join(f"{class_id} 30 30 60 60 {class_id} 1 1 40 30\n" for _, class_id, _ in val))
    found = evaluated(capsys, report.folder, guesses, "--boxes", solution)
    assert found["flat"] == [0] * 5
    assert found["localization"] == [1, 0, 0, 0, 0]
    assert run(command_line.main, "evaluate", str(report.folder), str(guesses), "--boxes", str(solution)) == 0
    assert "localization error" in capsys.readouterr().out
    solution.write_text("ImageId,PredictionString\n" + "\n".join(rows[1:]) + "\n")
    assert run(command_line.main, "evaluate", str(report.folder), str(guesses), "--boxes", str(solution)) == 1
    assert f"says nothing of where {val[0][0]} shows its class" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("1\n\n2\n", "line 2 is blank"),
        ("1\n" * 9 + "\n", "line 10 is blank"),
        ("1\n" * 8, "has 8 lines, val has 9 pictures"),
        ("1\n" * 8 + "1.5\n", "line 9: '1.5' is not a class id"),
        ("1\né\n" + "1\n" * 7, "line 2: a byte 0xc3 is not of plain text; lines of class ids"),
        ("", "is empty: a line is wanted for each of val's 9 pictures"),
        ("\n\n", "is empty: a line is wanted for each of val's 9 pictures"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_submission_is_refused_in_one_line(
    report: ExportReport,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    complaint: str,
) -> None:
    guesses = tmp_path / "guesses.txt"
    if content is not None:
        guesses.write_text(content)
    assert run(command_line.main, "evaluate", str(report.folder), str(guesses)) == 1
    said = capsys.readouterr().err
    assert complaint in said
    assert len(said.splitlines()) == 1


def test_what_is_no_release_is_refused_in_one_line(
    report: ExportReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guesses = tmp_path / "guesses.txt"
    guesses.write_text("1\n" * 9)
    for name, complaint in (
        ("ILSVRC2012_devkit_t12/data/meta.mat", "meta.mat"),
        ("images.parquet", "images.parquet"),
        ("manifest.json", "manifest.json"),
    ):
        release = tmp_path / "damaged"
        shutil.rmtree(release, ignore_errors=True)
        shutil.copytree(report.folder, release)
        thawed(release)
        (release / name).write_bytes(b"nonsense")
        assert run(command_line.main, "evaluate", str(release), str(guesses)) == 1
        said = capsys.readouterr().err
        assert complaint in said
        assert len(said.splitlines()) == 1
    assert run(command_line.main, "evaluate", str(tmp_path / "nothing"), str(guesses)) == 1
    assert "is not a release" in capsys.readouterr().err
    assert run(command_line.main, "evaluate", "http://127.0.0.1:9/first", str(guesses)) == 1
    said = capsys.readouterr().err
    assert said == "Error: http://127.0.0.1:9/first cannot be read: give a folder, or s3://, gs:// or az://\n"


def test_a_release_in_any_format_has_a_hierarchy_and_without_its_kit_none(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guesses = tmp_path / "guesses.txt"
    guesses.write_text("1\n" * 9)
    for name in ("parquet", "ilsvrc-archives"):
        request = ExportRequest(REQUEST.sizes, classes=3, formats=(name,))
        folder = export(project, request, tmp_path / name).folder
        assert evaluated(capsys, folder, guesses)["hierarchical"] is not None
    (folder / "archives" / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    assert evaluated(capsys, folder, guesses)["hierarchical"] is None


def test_evaluating_needs_nothing_of_the_pipeline(report: ExportReport, tmp_path: Path) -> None:
    guesses = tmp_path / "guesses.txt"
    guesses.write_text("1\n" * 9)
    script = (
        "import sys; from imagenet_builder.cli import run, command_line\n"
        f"assert run(command_line.main, 'evaluate', {str(report.folder)!r}, {str(guesses)!r}) == 0\n"
        "heavy = {'sqlalchemy', 'torch', 'boto3', 'aiohttp', 'hits', 'wordnet_synsets', 'imagenet_builder.export'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ids_of_the_file_are_the_ids_of_the_ground_truth(report: ExportReport) -> None:
    lines = (report.folder / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt").read_text()
    assert np.array_equal([int(line) for line in lines.split()], [one for _, one, _ in val_of(report.folder)])
