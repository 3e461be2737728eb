"""The program of the standalone folder: the command `genre`, the window `genre-gui`, and the decoders of both.

Both executables of the folder are this program; the name of the file tells which one was started. A frozen program has
no interpreter that could run the decoder processes of the runtime, so `genre` is started again for them, with an
argument that only this module knows.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

COMMAND, WINDOW = "genre", "genre-gui"
DECODER_ARGUMENT = "--decoder-process"
LIBRARY_PATHS = ("LD_LIBRARY_PATH", "LIBPATH", "DYLD_LIBRARY_PATH")


def main() -> int:
    """Run what was started: a decoder process, the window or the command; returns the exit status."""
    multiprocessing.freeze_support()  # tqdm's lock starts a helper process on macOS
    give_back_library_paths()
    program = Path(sys.executable)
    if sys.argv[1:] == [DECODER_ARGUMENT]:
        from genre_runtime.decoders.process import main as decode

        decode()
        return 0
    from genre_runtime.decoders.pool import set_frozen_command

    # The command also decodes for the window: on Windows, a program for windows has no standard input and output.
    set_frozen_command([str(program.with_name(f"{COMMAND}{program.suffix}")), DECODER_ARGUMENT])
    if program.stem == WINDOW:
        open_streams()
        from genre_gui import cli as window

        return window.main()
    from genre_runtime import cli as command

    return command.main()


def give_back_library_paths() -> None:
    """Restore what the start of the frozen program changed, or the system's programs would load its libraries.

    The window starts the file dialogs of the desktop, a decoder starts ffmpeg.
    """
    for name in LIBRARY_PATHS:
        before = os.environ.pop(f"{name}_ORIG", None)
        if before is not None:
            os.environ[name] = before
        elif getattr(sys, "frozen", False):
            os.environ.pop(name, None)


def open_streams() -> None:
    """Open the null device for streams that a program for windows does not have, so that writing does not fail."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # until the end


if __name__ == "__main__":
    sys.exit(main())
