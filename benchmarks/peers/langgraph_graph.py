"""A graph of one node that echoes, as Athena's mock does; it runs in LangGraph's environment."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found]


class State(TypedDict):
    """What is asked, and what is answered."""

    input: str
    output: str


def echo(state: State) -> dict[str, str]:
    """Answer."""
    return {"output": "Echo: " + state["input"]}


graph = StateGraph(State).add_node("echo", echo).add_edge(START, "echo").add_edge("echo", END).compile()
