#!/usr/bin/env bash
# Make a virtual environment, also on a Debian or Ubuntu whose python3 came without venv. usage: venv.sh PYTHON FOLDER
set -euo pipefail
python=$1 folder=$2

command -v "$python" >/dev/null || { echo "DocDuet needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3"; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "DocDuet needs Python 3.11 or newer; $("$python" --version) is too old. Run make PYTHON=/path/to/a/newer/python3"; exit 1; }

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $package ..."
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null
    else
        echo "Python's venv module is missing: run  sudo apt-get install $package  and then make again"
        exit 1
    fi
fi
"$python" -m venv "$folder"
