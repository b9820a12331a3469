"""A graph with one echo node, like Athena's mock, for LangGraph's environment."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found]


class State(TypedDict):
    """The question and the answer."""

    input: str
    output: str


def echo(state: State) -> dict[str, str]:
    """Echo the question."""
    return {"output": "Echo: " + state["input"]}


graph = StateGraph(State).add_node("echo", echo).add_edge(START, "echo").add_edge("echo", END).compile()
