"""Made-up data with known truth, for demos, tests and benches."""

from ml.synthetic.complaints import generate
from ml.synthetic.grievances import grievances
from ml.synthetic.streams import stream

__all__ = ["generate", "grievances", "stream"]
