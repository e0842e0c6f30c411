"""`python -m nst_lightning` is `nst-batch`."""

from nst_lightning.cli import main

main()
