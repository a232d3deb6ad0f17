"""`python -m graphport` is the `graphport` command."""

import sys

from graphport.cli import main

sys.exit(main())
