"""Benchmarks of this tree against another revision: the same load, in turn, and ratios.

The measuring side is this tree's. Of the trees under test it uses what users rely on, which no revision renames:
commands, environment variables, topics, event types and ``/metrics``; never a module or a table.
"""
