"""Results as Parquet: one file, or a folder of files."""

from __future__ import annotations

from typing import Any

from genre_runtime.errors import UnfitOutputError
from genre_runtime.library.bulk.manifest import file_system, import_extra
from genre_runtime.library.scan import is_parquet
from genre_runtime.prediction import NAME_LISTS, FileResult

ROWS_A_PART = 10_000
"""Rows held in memory before they are written: a row group of a file, or a file of a folder."""


def result_row(result: FileResult) -> dict[str, Any]:
    """Return a result as flat columns, named as in `arrow_schema`; columns that do not apply are None.

    Bytes of a name that are not UTF-8 are written as escapes, since columns hold text.

    Parameters
    ----------
    result : FileResult
    """
    values = result.to_dict()
    error = values.pop("error", {})
    values |= {"error_code": error.get("code"), "error_message": error.get("message")}
    row = {name: values.get(name) for name in arrow_schema().names}
    return {k: v.encode(errors="backslashreplace").decode() if isinstance(v, str) else v for k, v in row.items()}


def arrow_schema() -> Any:
    """Columns of the results, an Arrow schema."""
    pyarrow = import_extra("pyarrow")
    text, number = pyarrow.string(), pyarrow.float64()
    columns = {"path": text, "label": text, "confidence": number, "confident": pyarrow.bool_(), "reason": text}
    columns |= {"probabilities": pyarrow.map_(text, number), "duration_seconds": number, "device": text}
    columns |= {"error_code": text, "error_message": text, "announced_seconds": number, "music": text}
    columns |= {name: pyarrow.list_(text) for name in NAME_LISTS}
    return pyarrow.schema(columns)


class ParquetOutput:
    """Writes rows to one file, or to a folder of files that are whole one by one.

    What was written until `close` can be read, also when the run was interrupted.

    Parameters
    ----------
    name : str
        A path or URL. It is a file's if it ends in `.parquet` (or `.PARQUET`), else a folder's.
    rows_a_part : int

    Raises
    ------
    UnfitOutputError
        The folder holds results already.
    """

    def __init__(self, name: str, rows_a_part: int = ROWS_A_PART) -> None:
        self._files, self._name = file_system(name)
        self._rows_a_part, self._rows, self._n_parts = rows_a_part, list[dict[str, Any]](), 0
        self._writer: Any = None
        self._is_folder = not is_parquet(name)
        if self._is_folder:
            self._files.makedirs(self._name, exist_ok=True)
            if any(file.endswith(".parquet") for file in self._files.ls(self._name, detail=False)):
                raise UnfitOutputError(f"{name!r} holds the results of an earlier run: name another folder")
        self._open()  # what cannot be written should be known before the work begins

    def write(self, row: dict[str, Any]) -> None:
        """Take one row.

        Parameters
        ----------
        row : dict
            As `result_row` returns it.
        """
        self._rows.append(row)
        if len(self._rows) >= self._rows_a_part:
            self._write_part()

    def close(self) -> None:
        """Write the rest; without rows, nothing is left."""
        if self._rows:
            self._write_part()
        if self._writer is not None:
            self._writer.close()
            self._stream.close()
            if self._n_parts and not self._is_folder:
                self._files.mv(f"{self._path}.partial", self._path)
            else:
                self._files.rm(f"{self._path}.partial")

    def _open(self) -> None:
        self._path = f"{self._name}/part-{self._n_parts:05}.parquet" if self._is_folder else self._name
        self._stream = self._files.open(f"{self._path}.partial", "wb")
        self._writer = import_extra("pyarrow.parquet").ParquetWriter(self._stream, arrow_schema())

    def _write_part(self) -> None:
        if self._writer is None:
            self._open()
        self._writer.write_table(import_extra("pyarrow").Table.from_pylist(self._rows, arrow_schema()))
        self._rows.clear()
        self._n_parts += 1
        if self._is_folder:  # only whole files get the name that readers look for
            self._writer.close()
            self._stream.close()
            self._files.mv(f"{self._path}.partial", self._path)
            self._writer = None
