"""Prices: names, kinds of tokens, rounding, and the table against its source."""

import warnings
from decimal import ROUND_CEILING

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from athena_core.providers.prices import FREE, TABLE, ModelPrices, Prices, PriceTable, TokenRates
from athena_core.values import INTEGER_MAX, Usage
from docs.prices import text

PRICES = Prices.load()
FLAT = TokenRates(above=0, input=150_000, cached=75_000, written=200_000, output=600_000, reasoning=900_000)
STEEP = TokenRates(above=1_000, input=300_000, cached=150_000, written=400_000, output=1_200_000, reasoning=1_800_000)
SMALL = Prices(PriceTable(version="one", models={"openai": (ModelPrices(match="^small", rates=(FLAT, STEEP)),)}))
COUNTS = st.one_of(st.none(), st.integers(-10, 2**53))


def test_the_table_is_what_its_source_says() -> None:
    assert TABLE.read_bytes() == text(), "run 'python -m docs.prices'"


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("openai", "gpt-4o-mini-2024-07-18"),
        ("openai", "GPT-4o"),
        ("openai", "gpt-4o-20241120"),
        ("openai", "o3"),
        ("anthropic", "claude-3-5-haiku-20241022"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("anthropic", "claude-opus-4-6"),
        ("gemini", "gemini-2.5-flash"),
        ("gemini", "gemini-2.5-flash-lite"),
        ("gemini", "gemini-2.5-pro"),
        ("gemini", "gemini-3-pro-preview"),
    ],
)
@pytest.mark.parametrize("taken", [0, 1_000, 250_000])
def test_a_price_equals_its_source(provider: str, model: str, taken: int) -> None:
    usage = TheirUsage(input_tokens=taken, cache_read_tokens=taken // 4, output_tokens=777)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = {"gemini": "google"}.get(provider, provider)
        theirs = calc_price(usage, model_ref=model, provider_id=source).total_price
    ours = PRICES.cost(provider, model, Usage(input_tokens=taken, cached_input_tokens=taken // 4, output_tokens=777))
    assert ours == (theirs * 1_000_000).to_integral_value(ROUND_CEILING)
    assert PRICES.knows(provider, model)


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "small-llm"), ("anthropic", "gpt-4o"), ("http", "gpt-4o"), ("openai", "")]
)
def test_an_unknown_model_has_no_price(provider: str, model: str) -> None:
    assert PRICES.cost(provider, model, Usage(input_tokens=1, output_tokens=1)) is None
    assert not PRICES.knows(provider, model)
    assert PRICES.output_tokens(provider, model, 1, 1) is None


@pytest.mark.parametrize("provider", sorted(FREE))
def test_a_provider_without_prices_is_free(provider: str) -> None:
    assert PRICES.cost(provider, "any", Usage(input_tokens=10**9, output_tokens=10**9)) == 0
    assert PRICES.knows(provider, "any")
    assert PRICES.output_tokens(provider, "any", 1, 0) is None


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(), 0),
        (Usage(input_tokens=1), 1),  # 0.15, rounded up
        (Usage(input_tokens=100, output_tokens=100), 75),
        (Usage(input_tokens=100, cached_input_tokens=40, cache_write_tokens=20), 13),
        (Usage(output_tokens=100, reasoning_tokens=50), 75),
        (Usage(input_tokens=1_000), 150),
        (Usage(input_tokens=1_001), 301),
        (Usage(input_tokens=1_001, output_tokens=10), 313),
        (Usage(input_tokens=-5, output_tokens=-7), 0),
        (Usage(input_tokens=10, cached_input_tokens=99, cache_write_tokens=99), 1),
        (Usage(output_tokens=10, reasoning_tokens=99), 9),
        (Usage(input_tokens=2**53, output_tokens=2**53), INTEGER_MAX),
    ],
)
def test_each_kind_of_token_has_its_price(usage: Usage, cost: int) -> None:
    assert SMALL.cost("openai", "small", usage) == cost


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_cost_is_never_negative_nor_beyond_what_can_be_stored(
    taken: int | None, given_: int | None, cached: int | None, written: int | None, reasoning: int | None
) -> None:
    usage = Usage(
        input_tokens=taken,
        output_tokens=given_,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )
    for prices in (SMALL, PRICES):
        cost = prices.cost("openai", "small" if prices is SMALL else "gpt-4o", usage)
        assert cost is not None
        assert 0 <= cost <= INTEGER_MAX


@given(st.integers(0, 5_000), st.integers(0, 10_000))
def test_the_output_that_a_sum_buys_costs_no_more_than_the_sum(taken: int, micro_usd: int) -> None:
    tokens = SMALL.output_tokens("openai", "small", taken, micro_usd)
    assert tokens is not None
    cost = SMALL.cost("openai", "small", Usage(input_tokens=taken, output_tokens=tokens, reasoning_tokens=tokens))
    assert cost is not None
    assert tokens == 0 or cost <= micro_usd


def test_a_model_of_the_source_without_a_price_for_text_is_unknown() -> None:
    assert not PRICES.knows("openai", "text-embedding-3-small")
