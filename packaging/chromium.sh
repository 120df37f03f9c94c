#!/usr/bin/env bash
# Make sure the browser tests find a Chromium; where it may not be installed, say in one line what is left out.
set -euo pipefail

command -v chromium >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the browser tests ..."
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null 2>&1; then
        exit 0
    fi
fi
echo "Left out: the browser tests (no chromium, and it cannot be installed here; sudo apt-get install chromium)"
