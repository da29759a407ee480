"""The gradmill server: an engine that computes exact derivatives, and the process that serves it."""
