"""What may come in from outside, and the limits that it is read under."""

from sensorium.admit.admission import Admission

__all__ = ["Admission"]
