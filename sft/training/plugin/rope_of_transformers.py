"""Inside `megatron export`: rotary embedding by the names of transformers 5.

mcore-bridge 1.6.5 puts a function of its own in the place of transformers' default, and it asks a model's configuration
for `rope_theta`. transformers 5 keeps that in `rope_parameters`, so the precision test could not load the model that
was just converted. ms-swift loads this file itself (`--external_plugins THIS`).
"""

from types import SimpleNamespace
from typing import Any


def with_theta(config: Any) -> Any:
    """``config``, or what the function needs of it."""
    if hasattr(config, "rope_theta"):
        return config
    parameters = config.rope_parameters
    names = ("hidden_size", "num_attention_heads", "head_dim")
    there = {name: getattr(config, name) for name in names if hasattr(config, name)}
    partial = parameters.get("partial_rotary_factor", 1.0)
    return SimpleNamespace(**there, rope_theta=parameters["rope_theta"], partial_rotary_factor=partial)


def change_bridge() -> None:
    try:
        from mcore_bridge.model import rope
    except ImportError:
        return
    own = rope.EXTENDED_ROPE_INIT_FUNCTIONS.get("default")
    if own is not None:
        rope.EXTENDED_ROPE_INIT_FUNCTIONS["default"] = lambda config, *more, **named: own(
            with_theta(config), *more, **named
        )


change_bridge()
