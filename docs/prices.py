"""The generator of the price table: ``python -m docs.prices`` writes it from the installed genai-prices."""

import re
from decimal import Decimal
from pathlib import Path

import genai_prices
import msgspec
from genai_prices import types as theirs
from genai_prices.data import providers

from athena_core.providers.prices import PICO_PER_MICRO, TABLE, ModelPrices, PriceTable, TokenRates

PROVIDERS = {"anthropic": ("anthropic", ""), "gemini": ("google", "gemini"), "openai": ("openai", "")}
"""The priced providers, with their names in genai-prices and the beginning of their models' names there."""


def table() -> PriceTable:
    """Return the prices of the models of all priced providers."""
    known = {provider.id: provider for provider in providers}
    return PriceTable(
        version=f"genai-prices {genai_prices.__version__}",
        models={
            name: tuple(model for one in known[source].models if one.id.startswith(begins) and (model := _model(one)))
            for name, (source, begins) in PROVIDERS.items()
        },
    )


def _model(model: theirs.ModelInfo) -> ModelPrices | None:
    """Return the current (last) prices of a model, or None if it does not read and write text."""
    prices = model.prices
    if isinstance(prices, list):
        if any(isinstance(one.constraint, theirs.TimeOfDateConstraint) for one in prices):
            raise ValueError(f"{model.id}: prices by the time of day are not supported")
        prices = prices[-1].prices
    if prices.input_mtok is None or prices.output_mtok is None:
        return None
    found = [getattr(prices, f"{kind}_mtok") for kind in ("input", "output", "cache_read", "cache_write")]
    starts = {tier.start for price in found if isinstance(price, theirs.TieredPrices) for tier in price.tiers}
    return ModelPrices(
        match=_pattern(model.match), rates=tuple(_rates(prices, start) for start in sorted({0, *starts}))
    )


def _rates(prices: theirs.ModelPrice, above: int) -> TokenRates:
    taken, given = _at(prices.input_mtok, above), _at(prices.output_mtok, above)
    assert taken is not None
    assert given is not None
    cached, written = _at(prices.cache_read_mtok, above), _at(prices.cache_write_mtok, above)
    reasoning = _at(prices.output_reasoning_mtok, above)
    return TokenRates(
        above=above,
        input=taken,
        cached=taken if cached is None else cached,
        written=taken if written is None else written,
        output=given,
        reasoning=given if reasoning is None else reasoning,
    )


def _at(price: Decimal | theirs.TieredPrices | None, above: int) -> int | None:
    """Return the price of a token in millionths of a micro-USD, for calls with more input tokens than ``above``."""
    if isinstance(price, theirs.TieredPrices):
        price = [price.base, *(tier.price for tier in price.tiers if tier.start <= above)][-1]
    if price is None:
        return None
    pico = price * PICO_PER_MICRO  # dollars for a million tokens are micro-USD for one
    if pico != int(pico) or pico < 0:
        raise ValueError(f"{price}: finer than the table, or negative")
    return int(pico)


def _pattern(clause: object) -> str:
    """Return a clause as a regular expression to search for in the lower-case name."""
    match clause:
        case theirs.ClauseEquals():
            return f"^{re.escape(clause.equals.lower())}$"
        case theirs.ClauseStartsWith():
            return f"^{re.escape(clause.starts_with.lower())}"
        case theirs.ClauseEndsWith():
            return f"{re.escape(clause.ends_with.lower())}$"
        case theirs.ClauseContains():
            return re.escape(clause.contains.lower())
        case theirs.ClauseRegex():
            return f"(?:{clause.regex})"
        case theirs.ClauseAnd():
            return "^" + "".join(f"(?=.*?(?:{_pattern(one)}))" for one in clause.and_)
        case theirs.ClauseOr():
            return "|".join(_pattern(one) for one in clause.or_)
        case _:
            raise ValueError(f"{clause!r} is not supported")


def text() -> bytes:
    """Return the content of the file."""
    return msgspec.json.format(msgspec.json.encode(table()), indent=1) + b"\n"


def main(path: Path = TABLE) -> None:
    """Write the table to a file."""
    path.write_bytes(text())


if __name__ == "__main__":
    main()
