"""Several files of a folder replaced and removed together: all of it happens, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path


def exchange(staging: Path, output: Path, names: Sequence[str], obsolete: Sequence[str]) -> None:
    """Put the files `names` of `staging` into `output`, in this order, then remove `obsolete` ones there.

    On any error, and on Ctrl-C, `output` is made what it was. No file is missing in between.

    Parameters
    ----------
    staging : Path
        A temporary folder on the same disk as `output`: copies of the old files lie there meanwhile.
    output : Path
    names, obsolete : sequence of str
        File names; an `obsolete` file that is not there is none to remove.

    Raises
    ------
    OSError
        A file cannot be replaced or removed: it is a folder, or on Windows another program holds it open.
    """
    before = staging / "before"
    before.mkdir()
    for name in (*names, *obsolete):
        if (output / name).exists():
            shutil.copy2(output / name, before / name)
    with ExitStack() as undo:  # runs every callback, even when one of them fails
        for name in names:
            undo.callback(_put_back, before / name, output / name, staging / name)
            (staging / name).replace(output / name)
        for name in obsolete:
            undo.callback(_put_back, before / name, output / name, output / name)
            (output / name).unlink(missing_ok=True)
        undo.pop_all()


def _put_back(before: Path, path: Path, untouched: Path) -> None:
    """Make `path` what it was, unless the file `untouched` shows that nothing has happened to it yet."""
    if untouched.exists():
        return
    if before.exists():
        before.replace(path)
    else:
        path.unlink(missing_ok=True)
