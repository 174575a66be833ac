"""`python -m financing VERB …` is the `financing` command."""

from financing.cli.main import main

main()
