"""Entry point of ``python -m athena_cli``."""

import sys

from athena_cli.app import main

sys.exit(main())
