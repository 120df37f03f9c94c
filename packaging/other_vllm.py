"""Exits with 0 where a vLLM is installed that is not `make engine`'s CPU build: `make demo` then leaves it alone."""

import sys
from importlib.metadata import PackageNotFoundError, version

try:
    sys.exit(1 if version("vllm").endswith("+cpu") else 0)
except PackageNotFoundError:
    sys.exit(1)
