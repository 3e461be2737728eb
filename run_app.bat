@echo off
rem Starts the genre service and a window on it; closing the window ends both. Double-click it, or drop files and folders
rem onto it. The first time it creates .venv in this folder and installs the packages, which takes a few minutes.
setlocal
set "ROOT=%~dp0"
set "VENV=%ROOT%.venv"
set "APP=%VENV%\Scripts\genre-app.exe"
set "STAMP=%VENV%\app-complete"
set "WANTED=%TEMP%\genre-app-wanted-%RANDOM%.txt"

copy /b /y "%ROOT%constraints.txt"+"%ROOT%runtime\pyproject.toml"+"%ROOT%api\pyproject.toml"+"%ROOT%gui\pyproject.toml" "%WANTED%" >nul
if not exist "%APP%" goto setup
if exist "%VENV%\setup-complete" goto start
if not exist "%STAMP%" goto setup
fc /b "%WANTED%" "%STAMP%" >nul 2>&1 && goto start

:setup
set "PYTHON="
for %%v in (3.13 3.14 3.12 3.11) do if not defined PYTHON py -%%v -c "import tkinter" >nul 2>&1 && set "PYTHON=py -%%v"
if not defined PYTHON python -c "import sys, tkinter; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))" >nul 2>&1 && set "PYTHON=python"
if not defined PYTHON (
    echo run_app: no Python 3.11, 3.12, 3.13 or 3.14 with tcl/tk found: install one from https://www.python.org/downloads
    goto failed
)
echo Setting up, this first time only.
echo [1/3] creating %VENV% with %PYTHON%
%PYTHON% -m venv "%VENV%" || goto failed
echo [2/3] downloading and installing (about 300 MB)
"%VENV%\Scripts\python.exe" -m pip install --disable-pip-version-check --constraint "%ROOT%constraints.txt" ^
    --editable "%ROOT%runtime[cpu,library]" --editable "%ROOT%api" --editable "%ROOT%gui[drop,play,service]" || goto failed
copy /b /y "%WANTED%" "%STAMP%" >nul
echo [3/3] starting

:start
del "%WANTED%" >nul 2>&1
"%APP%" %*
if errorlevel 1 goto stopped
exit /b 0

:failed
del "%WANTED%" >nul 2>&1
echo run_app: the setup failed, see above: correct that and start this again
:stopped
pause
exit /b 1
