"""What arrived and cannot be used: one issue and one Task for each version that fails a check.

They concern the data, not a side (clinical-rules 3.2). The Task ends when the resource arrives usable.
"""

from dataclasses import replace

from pathways.definition import Activity
from pathways.inputs import SetAside
from pathways.memory import Task
from pathways.raising import due
from pathways.steps import PERSON, Raised
from pathways.turn import Turn

RULE = "data-check"


def check(turn: Turn) -> None:
    """Raise issues for inputs newly set aside, and end the Tasks of those that have become usable."""
    for problem in turn.inputs.set_aside:
        key = f"{RULE}:{problem.entry.versioned}"
        if key not in turn.memory(PERSON).raised:
            _raise(turn, problem, key)
    _end(turn)


def _raise(turn: Turn, problem: SetAside, key: str) -> None:
    activities = {a.code: a for a in turn.pathway.activities.values() if a.resource == "DetectedIssue"}
    issue = activities[problem.issue]
    task = next(a for a in turn.pathway.activities.values() if a.resource == "Task" and a.code == issue.task)
    made = _made(turn, issue, problem)
    todo = replace(_made(turn, task, problem), focus=made.reference)
    memory = turn.memory(PERSON)
    kept = Task(
        id=todo.id,
        code=task.code,
        state="open",
        made=turn.now.isoformat(),
        step=memory.steps + 1,
        about=problem.entry.reference,
    )
    after = replace(memory.with_task(kept), raised=(*memory.raised, key))
    title = turn.pathway.display(issue.codings[0]["system"], issue.code)
    turn.take(PERSON, RULE, f"{title}: {problem.title}", after, raised=(made, todo), facts=())


def _made(turn: Turn, activity: Activity, problem: SetAside) -> Raised:
    priority = activity.priority or "routine"
    return Raised(
        id=turn.origin(PERSON).derive(activity, problem.entry.versioned),
        activity=activity,
        priority=priority,
        due=due(activity, priority, turn.now),
        implicated=(problem.entry.versioned,),
    )


def _end(turn: Turn) -> None:
    memory = turn.memory(PERSON)
    ended = memory
    for task in memory.tasks:
        if task.state == "open" and task.about in turn.inputs.usable:
            ended = ended.with_task(replace(task, state="completed"))
    if ended != memory:
        turn.take(PERSON, RULE, "Data corrected at the source", ended, facts=(), silent=True)
