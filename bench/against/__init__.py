"""Benchmarks that compare this tree with another revision: the same load in turns, and ratios of the figures.

The measuring code is this tree's. Of the trees under test it uses only what users rely on and no revision renames:
commands, environment variables, topics, event types and ``/metrics``; never a module or a table.
"""
