"""python3 -m gembench_analysis: gembench-report without installing."""

import sys

from .main import main

sys.exit(main())
