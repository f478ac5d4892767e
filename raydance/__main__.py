"""`python -m raydance` is the `raydance` command."""

from raydance.cli import main

main()
