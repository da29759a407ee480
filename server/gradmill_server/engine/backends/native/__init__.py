"""The native backend: a tape machine whose handlers are compiled once for the processor at hand."""
