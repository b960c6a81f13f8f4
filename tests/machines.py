"""How the suite runs a hypothesis state machine."""

from typing import Any

from hypothesis import Phase, settings


def run_machine(machine: Any, examples: int = 40, steps: int = 40) -> None:
    """Runs it in many orders of its rules.

    Without shrinking, which takes minutes: the steps of a failure are told as they were.
    """
    run = machine.TestCase("runTest")
    run.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    run.runTest()
