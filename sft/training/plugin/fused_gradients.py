"""Inside the trainer: weight gradients are added to the gradient buffer by the matrix product itself, without apex.

Megatron's `gradient_accumulation_fusion` saves a pass over all gradients and a buffer the size of each, for every
micro-batch. Transformer Engine's layers do it by themselves; Megatron's own output layer wants a kernel of apex, which
ms-swift therefore asks for. Here that kernel is Transformer Engine's product with `accumulate`. It takes effect with
`--megatron_extra_kwargs '{"gradient_accumulation_fusion": true}'`.

And with fp8 the master weights stay with Transformer Engine's Adam, which keeps only the 16 bits that the bf16 weights
lack: Megatron keeps 32-bit copies (2 bytes a parameter more) for the sake of weights that are fp8 themselves
(`--fp8_param_gather true`, which this does not go with), and would without them as well.

ms-swift loads this file itself (`--external_plugins THIS`), in the trainer's environment: nothing of DocDuet is there.
"""

import types


def accumulate(inputs, grads, main_grad) -> None:  # type: ignore[no-untyped-def]
    """main_grad (outputs, inputs) += grads (tokens, outputs).T @ inputs (tokens, inputs), in main_grad's precision."""
    from transformer_engine.pytorch.cpp_extensions import general_gemm

    general_gemm(
        inputs.reshape(-1, inputs.shape[-1]),
        grads.reshape(-1, grads.shape[-1]),
        out_dtype=main_grad.dtype,
        layout="NT",
        grad=True,
        out=main_grad,
        accumulate=True,
    )


def give_output_layer_its_kernel() -> None:
    from megatron.core.tensor_parallel import layers

    if not layers._grad_accum_fusion_available:
        layers._grad_accum_fusion_available = True
        kernel = types.SimpleNamespace(wgrad_gemm_accum_fp32=accumulate, wgrad_gemm_accum_fp16=accumulate)
        layers.fused_weight_gradient_mlp_cuda = kernel


def leave_master_weights_to_adam() -> None:
    from megatron.core.optimizer import optimizer_config

    kept = optimizer_config.OptimizerConfig.__post_init__

    def post_init(self) -> None:  # type: ignore[no-untyped-def]
        kept(self)
        if self.use_precision_aware_optimizer:
            self.use_precision_aware_optimizer_no_fp8_or_ds_fp8 = True

    optimizer_config.OptimizerConfig.__post_init__ = post_init


give_output_layer_its_kernel()
leave_master_weights_to_adam()
