"""Passes: from a graph to an equal, cheaper or more accurate one."""
