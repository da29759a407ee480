"""Objectives that people really differentiate, written once for gradmill and once, independently, for JAX."""
