"""Sweeps, which Optuna samples and prunes, and ablations; Ray runs their trials side by side."""
