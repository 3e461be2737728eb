"""A cluster of one machine says what one machine says, and loses no file when workers die."""

from __future__ import annotations

import json
import os
import signal
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from genre_runtime import GenreClassifier
from genre_runtime.cli import bulk, classify
from genre_runtime.errors import DeviceUnavailableError, InvalidInputError, MissingDependencyError, ModelNotFoundError
from genre_runtime.library.bulk import ray_engine
from genre_runtime.library.bulk.manifest import classify_source
from genre_runtime.library.bulk.parquet import ParquetOutput, result_row
from genre_runtime.library.bulk.ray_engine import MAX_DEATHS, Ledger, classify_on_ray
from genre_runtime.prediction import FileResult
from tests.synthetic import noise, tone, write_audio, write_model

WHY = "ray of genre-runtime[ray] is not installed"
N_FILES = 24


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """One Ray for all tests: starting it takes longer than they do."""
    pytest.importorskip("ray.data", reason=WHY)
    ray = ray_engine._import_ray()
    with pytest.MonkeyPatch.context() as patched:
        # Workers unpickle a class of this module, wherever pytest was started.
        patched.setenv("PYTHONPATH", str(Path(__file__).parents[4]), prepend=os.pathsep)
        ray.init(
            "local",
            num_cpus=2,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="CRITICAL",
            object_store_memory=100 * 2**20,
        )
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Tones, noises, and now and then a file that is none."""
    folder = tmp_path_factory.mktemp("music")
    paths = []
    for i in range(N_FILES):
        path = folder / f"{i}.wav"
        if i % 8 == 5:
            path.write_text("no music")
        else:
            write_audio(path, tone(1 + i / 10) if i % 2 else noise(1 + i / 10))
        paths.append(path)
    return [*paths, folder / "none.wav"]


def one_machine(model: Path, files: list[Path]) -> list[dict[str, Any]]:
    classifier = GenreClassifier.load(model, device="cpu", threads=1)
    results = classifier.classify_files(files, jobs=1)
    return [result_row(FileResult(str(file), result)) for file, result in zip(files, results, strict=True)]


class PlantedWorker(ray_engine.Worker):
    """Is killed by the files that the markers in a folder name: once, or always."""

    markers: Path

    def _row(self, index: int, source: str, finished: int | None) -> dict[str, Any]:

        def killed(classifier: Any, source: str, **rest: Any) -> Any:
            once, always = (self.markers / f"{kind} {Path(source).stem}" for kind in ("once", "always"))
            with (self.markers / "analysed").open("a") as file:
                file.write(f"{Path(source).stem}\n")
            if once.exists() or always.exists():
                once.unlink(missing_ok=True)
                os.kill(os.getpid(), signal.SIGKILL)
            return classify_source(classifier, source, **rest)

        with patch.object(ray_engine, "classify_source", killed):
            return super()._row(index, source, finished)


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_killed_workers_lose_no_file_and_a_file_that_kills_them_all_is_an_error(
    ray: Any, model: Path, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Planted(PlantedWorker):  # of a function, so that it travels to the workers as it is
        markers = tmp_path

    (tmp_path / "once 3").touch()
    (tmp_path / "always 14").touch()
    monkeypatch.setattr(ray_engine, "Worker", Planted)
    rows = list(classify_on_ray([str(file) for file in files], model, device="cpu", jobs=2))
    expected = one_machine(model, files)
    lost = rows.pop(14)
    expected.pop(14)
    assert rows == expected
    assert (lost["path"], lost["error_code"], lost["label"]) == (str(files[14]), "worker_lost", None)
    analysed = (tmp_path / "analysed").read_text().split()
    assert analysed.count("14") == MAX_DEATHS
    assert analysed.count("3") >= 2, "the first time, it killed its worker"
    assert not (tmp_path / "once 3").exists()


def test_the_command_says_what_one_machine_says(
    ray: Any, model: Path, files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason=WHY)
    names = [str(files[0]), files[1].as_uri(), *map(str, files[2:])]
    manifest = tmp_path / "list.jsonl"
    manifest.write_text("".join(json.dumps({"path": name}) + "\n" for name in names))
    tables = {}
    for engine in ("local", "ray"):
        output = tmp_path / f"{engine}.parquet"
        assert bulk.run(asked(model, output, [str(manifest)], engine=engine)) == 1
        err = capsys.readouterr().err
        assert "5.wav: " in err
        assert f"{N_FILES - 3} classified, 4 failed" in err
        tables[engine] = parquet.read_table(output)
    assert tables["ray"].equals(tables["local"])
    assert tables["ray"].to_pylist(maps_as_pydicts="strict")[2:] == one_machine(model, files)[2:]
    assert tables["ray"].column("path").to_pylist() == names
    assert list(tmp_path.glob("*.partial")) == []


def test_a_worker_that_cannot_start_is_said_in_words(ray: Any, model: Path, files: list[Path]) -> None:
    with pytest.raises(ray_engine.ClusterError, match="device 'directml' cannot be used"):
        list(classify_on_ray([str(files[0])], model, device="directml", jobs=1))


def test_a_missing_gpu_is_not_waited_for(ray: Any, model: Path) -> None:
    with pytest.raises(DeviceUnavailableError, match="no machine of the cluster has a GPU"):
        list(classify_on_ray(["a.wav"], model, device="cuda"))


def test_a_model_that_is_not_there_starts_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason=WHY)
    with pytest.raises(ModelNotFoundError):
        list(classify_on_ray(["a.wav"], tmp_path / "none.onnx"))


def test_without_ray_the_extra_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"genre-runtime\[ray\]"):
        list(classify_on_ray(["a.wav"], model))


def test_the_ledger_blames_only_what_was_not_finished() -> None:
    ledger = Ledger()
    assert [ledger.begin(0, None), ledger.begin(1, 0), ledger.begin(0, None), ledger.begin(1, 0)] == [1, 1, 1, 2]
    ledger.finish(1)
    assert ledger.begin(1, None) == 1


def asked(model: Path, output: Path | None, paths: list[str], **rest: Any) -> Namespace:
    """What the command line gives."""
    values: dict[str, Any] = {"engine": "local", "jobs": 2, "format": "table", "device": "cpu", "excerpts": None}
    values |= {"model": str(model), "output": output, "paths": paths, "state": None, "top": None}
    return Namespace(**(values | {"min_confidence": None, "head": None} | rest))


def test_parquet_in_a_folder_is_whole_file_by_file(model: Path, files: list[Path], tmp_path: Path) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason=WHY)
    folder = tmp_path / "results"
    rows = one_machine(model, files)
    output = ParquetOutput(str(folder), rows_a_part=10)
    for row in rows[:23]:
        output.write(row)
    assert parquet.read_table(folder).to_pylist(maps_as_pydicts="strict") == rows[:20], "readable while it goes on"
    output.close()
    assert parquet.read_table(folder).to_pylist(maps_as_pydicts="strict") == rows[:23]
    assert sorted(path.name for path in folder.iterdir()) == [f"part-{i:05}.parquet" for i in range(3)]
    with pytest.raises(InvalidInputError, match="an earlier run"):
        ParquetOutput(str(folder))


def test_nothing_is_analysed_if_nothing_can_be_written(
    model: Path, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow.parquet", reason=WHY)
    monkeypatch.setattr(bulk, "_own_rows", lambda sources, options: iter(()))
    with pytest.raises(OSError, match="no such folder"):
        bulk.run(asked(model, tmp_path / "no such folder" / "out.parquet", [str(files[0])]))


def test_a_run_that_did_not_begin_leaves_the_earlier_results(model: Path, files: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet", reason=WHY)
    (tmp_path / "out.parquet").write_text("earlier")
    with pytest.raises(ModelNotFoundError):
        bulk.run(asked(tmp_path / "none.onnx", tmp_path / "out.parquet", [str(files[0])]))
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    assert (tmp_path / "out.parquet").read_text() == "earlier"


def test_an_interrupted_run_leaves_what_it_has_done(
    model: Path, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason=WHY)

    def interrupted(result: FileResult) -> dict[str, Any]:
        if result.path == str(files[7]):
            raise KeyboardInterrupt
        return result_row(result)

    monkeypatch.setattr(bulk, "result_row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bulk.run(asked(model, tmp_path / "out.parquet", [str(file) for file in files], jobs=1))
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.to_pylist(maps_as_pydicts="strict") == one_machine(model, files[:7])


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ({"output": None}, "--output FILE.parquet"),
        ({"format": "csv"}, "--format"),
        ({"top": 3, "state": Path("state")}, "--top --state"),
        ({"paths": []}, "no audio files"),
    ],
)
def test_what_cannot_be_had_is_said(model: Path, tmp_path: Path, rest: dict[str, Any], words: str) -> None:
    options = asked(model, tmp_path / "out.parquet", ["a.wav"])
    with pytest.raises(InvalidInputError, match=words):
        bulk.run(Namespace(**(vars(options) | rest)))
    assert not (tmp_path / "out.parquet").exists()


def test_a_package_that_urls_need_is_named_before_the_work(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(url: str) -> Any:
        raise MissingDependencyError(f"{url} takes another package")

    monkeypatch.setattr(bulk, "file_system", lacking)
    with pytest.raises(MissingDependencyError, match="takes another package"):
        bulk.run(asked(model, tmp_path / "out.parquet", ["a.wav", "cloud://b.wav"]))


def test_what_the_command_takes_for_bulk(model: Path) -> None:
    assert not classify.is_bulk(asked(model, Path("genres.csv"), ["a.wav", "folder"]))
    assert classify.is_bulk(asked(model, Path("genres.parquet"), ["a.wav"]))
    assert classify.is_bulk(asked(model, None, ["list.csv"]))
    assert classify.is_bulk(asked(model, None, ["s3://bucket/a.wav"]))
    assert classify.is_bulk(asked(model, None, ["a.wav"], engine="ray"))


@pytest.mark.skipif(os.name == "nt", reason="Windows' names are text")
def test_a_name_that_is_not_utf_8_becomes_text(classifier: GenreClassifier, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason=WHY)
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")
    row = result_row(FileResult(path, classifier.classify_or_error(Path(path))))
    assert row["path"].endswith("\\udcff.wav")
    assert "\\udcff.wav" in row["error_message"]
