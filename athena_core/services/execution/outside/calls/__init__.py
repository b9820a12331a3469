"""The calls of outside agents: their own as events, and those that they make at the MCP endpoint of their run."""
