"""`python -m imagenet_builder`: the command line without its console script."""

from imagenet_builder.cli import main

main()
