"""A scenario: the TOML file that specifies a run, as values."""

from edgesim.scenario.file import read_scenario
from edgesim.scenario.scenario import Scenario

__all__ = ["Scenario", "read_scenario"]
