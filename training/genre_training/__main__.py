"""`python -m genre_training`, which is how `torchrun` starts it."""

import sys

from genre_training.cli import main

sys.exit(main())
