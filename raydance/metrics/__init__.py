"""Metrics: arrays in, floats out. Never imports a model.

Imports no family, so that a process loads those it uses: SciPy's statistics take half a second.
`catalogue` names all metrics.
"""
