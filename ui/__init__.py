"""The faces people see: the Gradio app and the terminal. Both are HTTP clients of the gateway and nothing else."""
