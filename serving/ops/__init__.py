"""What operators see and do: metrics, logs, traces, readiness, shutdown and reload."""
