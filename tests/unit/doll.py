"""A web server that is only declarations: the agent ``doll`` of the tests."""

import sys

from ocf.declarations import Parameter, ParameterError
from resource_agents.layouts import Layout
from resource_agents.processes import Process
from resource_agents.server import Command, Server


class Doll(Server):
    """Never started."""

    name = "doll"
    title = "Doll"
    parameters = (
        Parameter("configfile", "string", "/etc/doll.conf", "its configuration", unique=True),
        Parameter("start_command", "string", "", "how to start it", required=True),
        Parameter("port", "integer", "80", "where it listens"),
        Parameter("verbose", "boolean", "false", "whether it talks"),
    )

    def __init__(self, values, instance="default"):
        super().__init__(values, instance)
        if self.values["port"] == "0" and self.values["verbose"] == "true":
            raise ParameterError("port = 0 cannot be verbose: give it a port")

    @property
    def binary(self) -> str:
        return "/bin/doll"

    def read_layout(self) -> Layout:
        return Layout()

    def start_command(self) -> Command:
        return Command((self.binary,))

    def is_main(self, process: Process) -> bool:
        return False


AGENT = Doll

sys.modules["resource_agents.doll"] = sys.modules[__name__]  # agents are found by importing them
