"""The commands of `raydance.cli`, one file for each group.

Nothing heavy is imported at the top of these files: `raydance --help` must not wait for torch.
"""
