"""NumPy files, written piece by piece: never more than one piece in memory, and a full disk is an OSError."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save_rows(path: Path, parts: Sequence[NDArray[Any]]) -> None:
    """Write ``parts`` (at least one, of one dtype and width) below each other as one .npy file.

    Writing through a memory map would end the process (SIGBUS) where the disk is full.
    """
    first = parts[0]
    shape = (sum(len(part) for part in parts), *first.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            if part.dtype != first.dtype or part.shape[1:] != first.shape[1:]:
                raise ValueError(f"{path.name}: rows of {part.dtype} {part.shape} among {first.dtype} {first.shape}")
            file.write(np.ascontiguousarray(part).data)
