"""`python -m flowfabric` is the command line."""

from flowfabric.cli import main

main()
