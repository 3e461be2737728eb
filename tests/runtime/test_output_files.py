"""Output files appear whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from genre_runtime import replacing, write_whole


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"model.bin": b"new"}


@pytest.mark.parametrize("written", [True, False])
def test_after_an_error_nothing_has_changed(tmp_path: Path, written: bool) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            if written:
                temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"model.bin": b"old"}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_the_target_of_a_link_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "disk" / "settings.json", tmp_path / "settings.json"
    target.parent.mkdir()
    link.symlink_to(target)
    write_whole(link, ["{", "}\n"])
    assert link.is_symlink()
    assert target.read_bytes() == b"{}\n"
    assert list(target.parent.iterdir()) == [target]
