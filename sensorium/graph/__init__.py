"""Graphs, and what runs of them give."""

from sensorium.graph.graph import Graph
from sensorium.graph.options import Approver, Question, RunOptions, Verdict
from sensorium.graph.result import Crossed, ErrorReport, NodeReport, Result

__all__ = ["Approver", "Crossed", "ErrorReport", "Graph", "NodeReport", "Question", "Result", "RunOptions", "Verdict"]
