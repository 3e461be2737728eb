#!/bin/sh
# Starts the genre service and a window on it; closing the window ends both. Double-click it, or run it with files and
# folders to add. The first time it creates .venv in this folder and installs the packages, which takes a few minutes.
set -eu

root=$(cd "$(dirname "$0")" && pwd)
venv=$root/.venv
app=$venv/bin/genre-app
stamp=$venv/app-complete

pause() {
    if [ -n "${RUN_APP_IN_TERMINAL:-}" ]; then
        printf 'Press Return to close this window. '
        read -r _ || true
    fi
}

fail() {
    printf 'run_app: %s\n' "$*" >&2
    pause
    exit 1
}

wanted() {
    cat "$root/constraints.txt" "$root/runtime/pyproject.toml" "$root/api/pyproject.toml" "$root/gui/pyproject.toml"
}

is_set_up() {
    [ -x "$app" ] && { [ -f "$venv/setup-complete" ] || { [ -f "$stamp" ] && wanted | cmp -s - "$stamp"; }; }
}

# A double click may start this without a terminal: open one to show the progress of the installation.
open_terminal() {
    for terminal in x-terminal-emulator gnome-terminal konsole xfce4-terminal xterm; do
        if command -v "$terminal" >/dev/null 2>&1; then
            export RUN_APP_IN_TERMINAL=yes
            case $terminal in
                gnome-terminal) exec "$terminal" --wait -- "$root/run_app.sh" "$@" ;;
                *) exec "$terminal" -e "$root/run_app.sh" "$@" ;;
            esac
        fi
    done
}

find_python() {
    for name in python3.13 python3.14 python3.12 python3.11 python3 python; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            printf '%s\n' "$name"
            return
        fi
    done
}

set_up() {
    python=$(find_python)
    [ -n "$python" ] || fail "no Python 3.11, 3.12, 3.13 or 3.14 found: install one from https://www.python.org/downloads"
    "$python" -c 'import tkinter' 2>/dev/null ||
        fail "$python has no tkinter: install python3-tk by the system's package manager (on a Mac: brew install python-tk)"
    printf 'Setting up, this first time only.\n[1/3] creating %s with %s\n' "$venv" "$python"
    "$python" -m venv "$venv" || fail "$python could not create $venv: on Debian and Ubuntu install python3-venv"
    printf '[2/3] downloading and installing (about 300 MB)\n'
    "$venv/bin/python" -m pip install --disable-pip-version-check --constraint "$root/constraints.txt" \
        --editable "$root/runtime[cpu,library]" --editable "$root/api" --editable "$root/gui[drop,play,service]" ||
        fail "the installation failed, see above: check the connection and start this again"
    wanted >"$stamp"
    printf '[3/3] starting\n'
}

if ! is_set_up; then
    if [ ! -t 1 ] && [ -z "${RUN_APP_IN_TERMINAL:-}" ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
        open_terminal "$@"
    fi
    set_up
fi
exec "$app" "$@"
