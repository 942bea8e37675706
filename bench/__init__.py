"""Benchmarks of FlowFabric beside other systems on the same machine and the same Valkey.

`python -m bench` runs them; README.md in this folder tells the rules. Nothing here asserts a time.
"""
