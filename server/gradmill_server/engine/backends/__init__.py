"""Backends: what turns a graph and a block of points into arrays."""
