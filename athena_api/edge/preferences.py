"""Header fields in which a client lists what it accepts: names with weights."""

QUALITY = "q="


def accepted(field: str | None) -> dict[str, bool]:
    """Return the names of a field such as ``Accept`` in their order; False for those with the weight 0."""
    names: dict[str, bool] = {}
    for part in (field or "").lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if name:
            names[name] = not any(word.startswith(QUALITY) and not word.strip("q=0.") for word in parameters)
    return names
