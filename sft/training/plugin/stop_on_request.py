"""Inside the trainer: when a file appears, save a checkpoint after the step at hand and end the training.

ms-swift loads this file itself (`--external_plugins THIS --callbacks stop_on_request`), in the trainer's environment,
so it needs nothing of DocDuet. A file and not a signal: torchrun kills its workers 30 s after a SIGTERM, which is less
than a large checkpoint takes, and all ranks of all nodes must stop at the same step: rank 0 looks, the others are told.
The file's path is in DOCDUET_STOP_FILE; without it the callback does nothing. It has a folder of its own because
ms-swift puts a plugin's folder first on the import path.
"""

import os
import sys


def asked() -> bool:
    """Whether the file is there: the same answer on every rank."""
    path = os.environ.get("DOCDUET_STOP_FILE")
    if not path:
        return False
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return os.path.exists(path)
    answer = [os.path.exists(path)]
    dist.broadcast_object_list(answer, src=0)
    return bool(answer[0])


def register_swift() -> None:
    """For `swift sft`: a callback of transformers' Trainer."""
    from swift.callbacks import callbacks_map
    from swift.callbacks.base import TrainerCallback

    class StopOnRequest(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
            if asked():
                control.should_log = True
                control.should_save = True
                control.should_training_stop = True
            return control

    callbacks_map["stop_on_request"] = StopOnRequest


def register_megatron() -> None:
    """For `megatron sft`: a callback of ms-swift's own loop, which ends when `train_iters` steps are done."""
    from swift.megatron.callbacks import megatron_callbacks_map
    from swift.megatron.callbacks.base import MegatronCallback

    class StopOnRequest(MegatronCallback):
        stopping = False

        def on_step_end(self) -> None:
            if asked():
                self.stopping = True
                self.state.should_log = True
                self.state.should_save = True

        def on_save(self, output_dir) -> None:  # type: ignore[no-untyped-def]
            if self.stopping:
                self.args.train_iters = self.state.iteration

    megatron_callbacks_map["stop_on_request"] = StopOnRequest


register_swift()
if "swift.megatron" in sys.modules:  # `megatron sft`; importing it for `swift sft` would set Megatron up
    register_megatron()
