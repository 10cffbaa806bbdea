"""`python -m service.commands`, the console command without its script."""

import sys

from service.commands import main

sys.exit(main())
