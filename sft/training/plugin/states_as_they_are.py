"""Inside the trainer: the optimizer's states go into a checkpoint, and come back, as they are in memory.

megatron-core 0.16.1 cannot go on from what its precision-aware optimizer has saved: it takes the mark "padding" beside
the states for one of them (distrib_optimizer.py, `_set_main_param_and_optimizer_states`). And Transformer Engine's Adam
hands out moments in bf16 as float32 copies on the GPU, 8 bytes a parameter while saving and more while loading: a GPU
that the training fills has no room for them. Here 16-bit states are saved and loaded in place: no memory, and 10 bytes
a parameter on the disk instead of 14.

ms-swift loads this file itself (`--external_plugins THIS`), in the trainer's environment: nothing of DocDuet is there.
Named for `--use_precision_aware_optimizer true`, by launch.py.
"""

from typing import Any

import torch

SAVED_AS = {"param": "master_param", "exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq"}
"""Names in a checkpoint, and Transformer Engine's."""


def plain(state: Any) -> bool:
    """Whether the state is the number itself; float16 and fp8 are kept with a scale."""
    return state.dtype in (torch.bfloat16, torch.float32, torch.int16)


def states_of(adam: Any, param: Any) -> dict[str, Any]:
    """The states of ``param`` by the names they are saved under; not copies, where they are plain."""
    there = {name: own for name, own in SAVED_AS.items() if own in adam.state[param]}
    return {
        name: state if plain(state := adam.state[param][own]) else adam.get_unscaled_state(param, own)
        for name, own in there.items()
    }


def set_states(adam: Any, param: Any, saved: Any) -> None:
    """Write what ``states_of`` gave back into the states. What is no state is left alone."""
    for name, own in SAVED_AS.items():
        if name not in saved:
            continue
        state = adam.state[param].get(own)
        if state is not None and plain(state):
            state.copy_(saved[name])
        else:
            adam.set_scaled_state(param, own, saved[name])


def make_states(adam: Any) -> None:
    """The states of every parameter, as the first step makes them."""
    for group in adam.param_groups:
        for param in group["params"]:
            if not adam.state[param]:
                adam.initialize_state(param, adam.store_param_remainders and param.dtype == torch.bfloat16)


def all_plain(adam: Any) -> bool:
    return all(plain(state) for states in adam.state.values() for state in states.values())


def set_groups(adam: Any, state_dict: Any) -> None:
    """Step and hyperparameters; the states themselves are written by ``set_states``."""
    for group, saved in zip(adam.param_groups, state_dict["param_groups"], strict=True):
        group.update({name: value for name, value in saved.items() if name != "params"})


def change_adam() -> None:
    """Its state_dict without copies in float32; of what it is given back, the groups."""
    from transformer_engine.pytorch.optimizers import FusedAdam

    saves, loads = FusedAdam.state_dict, FusedAdam.load_state_dict

    def state_dict(self: Any) -> Any:
        return torch.optim.Optimizer.state_dict(self) if all_plain(self) else saves(self)

    def load_state_dict(self: Any, given: Any) -> None:
        own = torch.optim.Optimizer.state_dict(self)["state"]
        same = given["state"].keys() == own.keys() and all(given["state"][n] is own[n] for n in own)
        if same and all_plain(self):
            set_groups(self, given)
        else:
            loads(self, given)

    FusedAdam.state_dict, FusedAdam.load_state_dict = state_dict, load_state_dict


def change_megatron() -> None:
    """What its distributed optimizer saves of a parameter, and how it reads that back."""
    from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
    from transformer_engine.pytorch.optimizers import FusedAdam

    gets = DistributedOptimizer._get_main_param_and_optimizer_states
    sets = DistributedOptimizer._set_main_param_and_optimizer_states
    loads = DistributedOptimizer.load_state_dict

    def with_adam(self: Any) -> bool:
        aware = self.config.use_precision_aware_optimizer_no_fp8_or_ds_fp8
        return bool(aware) and isinstance(self.optimizer, FusedAdam)

    def shard(self: Any, model_param: Any) -> Any:
        group, place = self.model_param_group_index_map[model_param]
        return self.optimizer.param_groups[group]["params"][place]

    def get(self: Any, model_param: Any) -> Any:
        return states_of(self.optimizer, shard(self, model_param)) if with_adam(self) else gets(self, model_param)

    def put(self: Any, model_param: Any, tensors: Any) -> None:
        if with_adam(self):
            set_states(self.optimizer, shard(self, model_param), tensors)
        else:
            sets(self, model_param, tensors)

    def load_state_dict(self: Any, state_dict: Any) -> None:
        if with_adam(self):
            make_states(self.optimizer)  # else Megatron makes them twice
        loads(self, state_dict)

    DistributedOptimizer._get_main_param_and_optimizer_states = get
    DistributedOptimizer._set_main_param_and_optimizer_states = put
    DistributedOptimizer.load_state_dict = load_state_dict


def register_megatron() -> None:
    try:
        change_adam()
        change_megatron()
    except ImportError as error:  # an optimizer that is not Transformer Engine's saves its states itself
        print(f"states are saved as Megatron does it: {error}")


register_megatron()
