"""What a token costs and what a GPU can do: model FLOPs utilisation (MFU).

MFU after PaLM (Chowdhery et al. 2022, arXiv 2204.02311, appendix B): the operations that the model needs for the tokens
it learned from, over what the GPUs could have done meanwhile. What is computed again to save memory does not count, nor
does padding. The cost of a token is model.py's; with LoRA the frozen weights need no gradient of their own, so that a
weight costs 4 operations a token instead of 6.
"""

from __future__ import annotations

import re

from sft.training.model import Shape

PEAK_TFLOPS = {
    "B200": 2250.0,
    "B100": 1750.0,
    "GH200": 989.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H800": 989.0,
    "H20": 148.0,
    "A100": 312.0,
    "A800": 312.0,
    "L40S": 362.0,
    "L40": 181.0,
    "A40": 150.0,
    "A6000": 155.0,
    "A10": 125.0,
    "L4": 121.0,
    "4090": 165.0,
    "3090": 71.0,
}
"""Dense bf16 with float32 accumulation, TFLOP/s, from the makers' data sheets; the first name that fits counts."""


def flops_per_token(shape: Shape, context: float, adapter: bool) -> float:
    """In training. ``context``: length of the sample that a token stands in, averaged over tokens."""
    frozen = 2 * (shape.layers * shape.layer + shape.embedding) if adapter else 0
    return shape.flops_per_token(round(context)) - frozen


def peak_tflops(gpu: str) -> float:
    """Of one GPU by the name its driver gives it; 0 for one that is not in the table."""
    for name, peak in PEAK_TFLOPS.items():
        if re.search(rf"(?<![A-Z0-9]){name}(?![0-9])", gpu):
            return peak
    return 0.0
