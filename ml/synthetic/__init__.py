"""Made-up data with known truth, for demos, tests and benches."""

from ml.synthetic.complaints import generate

__all__ = ["generate"]
