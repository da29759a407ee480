"""The process around the engine: transport, cache, workers, metrics."""
