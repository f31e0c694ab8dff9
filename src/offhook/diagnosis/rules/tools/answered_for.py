"""
A tool went wrong, and the model was told so instead of a result.

Caller notices: the agent says that something did not work, or tries again.
Why: an unknown name, arguments that are no JSON or do not fit, an exception, a deadline; or the same call made again
while its first run went on, which was not run again. Or the model calls tools in a circle.
Proof: the run's outcome in the record, and the function_call_output that answered it.
Fix: by outcome: name the tool's code, its deadline, or the words that describe it to the model.
Reproduce: a tool that raises ValueError.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/answered-for",
    title="A tool went wrong, and the model was told",
    lies="the agent's words may call it a problem of the line, or of the caller's",
    source="docs/tools.md",
    since="2026-11-25",
    needs=("provider", "bridge"),
    breaks="M18",
)
# outcome -> row of the catalogue that it would be where nobody answers, what is to be done
OUTCOMES = {
    "unknown": ("F-142", "let the instructions name only tools that it has"),
    "args_parse": ("F-144", "look whether the response was cut at its token limit"),
    "invalid": ("F-144", "describe the parameters in more words"),
    "raised": ("F-143", "mend the tool"),
    "timeout": ("F-146", "make it faster, give it more time, or make it a job (background = true)"),
    "busy": ("", "raise max_parallel, or make it faster"),
}


def find(view: Evidence) -> Iterator[Finding]:
    for done in view.tools_done:
        row, fix = OUTCOMES.get(done.outcome.partition(" ")[0], ("", ""))
        if fix and view.talk.result(done.id):
            why = f": {done.detail}" if done.detail else ""
            took = f"after {(done.ms or 0) / 1000:.1f} s"
            yield RULE.finding(
                done,
                f"{done.name} ended with {done.outcome!r} {took}{why}; the model was told.",
                fix,
                observable=f"{done.name}: {done.outcome}, answered",
                severity="note",
                catalogue=row,
                field=done.name,
            )
    for loop in view.inside.loops[:1]:
        yield RULE.finding(
            loop,
            f"The model called tools {loop.n} times in a row without a word to the caller; it was told to speak, "
            "and then asked no more.",
            "say in its instructions when a tool is to be called, and when not again; look at what the tools answer",
            observable=f"{loop.n} results, no word between them",
            field="response.create",
        )
    for name, first, n in view.inside.again():
        yield RULE.finding(
            first,
            f"{name} was called again with the same arguments{f' {n} times' if n > 1 else ''}; it was not run "
            "again, and got the first result.",
            "nothing is to be done: this is how an interruption looks",
            observable=f"{name}: {n + 1} calls, one run" if n > 1 else f"{name}: two calls, one run",
            severity="note",
            catalogue="F-148",
            field=name,
        )
