"""`python -m sensorium.worker DIRECTORY FD`: what a host starts. Not meant to be typed."""

import sys
from pathlib import Path

from sensorium.worker.serve import serve

serve(Path(sys.argv[1]), int(sys.argv[2]))
