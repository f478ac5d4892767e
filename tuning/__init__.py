"""Hyper-parameter sweeps: Optuna samples and prunes, Ray runs the trials side by side."""
