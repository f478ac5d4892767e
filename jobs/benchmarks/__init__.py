"""The benchmarks that `jobs/benchmark.py` runs, one file for each subject."""
