"""From wishes to graphs: every kind of derivative as ordinary outputs of one graph, so that all share one forward pass.

differentiation   one graph for all wishes, and what its outputs are
joining           derivatives by several inputs side by side, and seeds that ask for all of them
patterns          which element depends on which, from the structure of the graph
coloring          elements that can share a direction
compression       sparse derivatives by as many directions as there are colours
"""
