"""A plugin of vLLM's CPU build: adapters at the price of their arithmetic.

vLLM 0.32 on a CPU gathers an adapter's matrices once a token (vllm/lora/ops/torch_ops/lora_ops.py): gigabytes for a
prompt of some thousand tokens, and for each token of an answer dozens of small operations a layer, adapter or not. The
class that the plugin puts in its place (lora_products.py) multiplies once for each request's rows. vLLM finds
`register` by its entry point and calls it in each of its processes; on anything but a CPU, or with a vLLM that is
built otherwise, it changes nothing. Results stay the same.
"""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

PRODUCTS = "serving.engines.lora_products.LoraProducts"
METHODS = ("update_metadata", "add_lora_linear", "add_lora_logits", "add_lora_embedding")


def register() -> None:
    """Name our class where vLLM asks its CPU platform which one applies adapters."""
    try:
        from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
        from vllm.platforms import current_platform

        if not current_platform.is_cpu():
            return
        platform: Any = type(current_platform)
        for owner, names in ((PunicaWrapperCPU, METHODS), (platform, ("get_punica_wrapper",))):
            for name in names:
                getattr(owner, name)  # AttributeError where vLLM is built in another way
        platform.get_punica_wrapper = classmethod(lambda cls: PRODUCTS)
    except (ImportError, AttributeError) as error:
        log.warning("adapters on this CPU are as slow as vLLM makes them: %s", error)
