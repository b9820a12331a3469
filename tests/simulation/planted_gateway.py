"""Planted bugs of the gateway corner, of kinds that tired engineers make in the gateway and its meter."""

from tests.simulation.planted import bug

ANSWERS = "athena_core/gateway/answers.py"
CALL = "athena_core/gateway/call.py"
EXCHANGE = "athena_core/gateway/exchange.py"
GATEWAY = "athena_core/gateway/gateway.py"
CONNECTION = "athena_core/providers/connection.py"
PRICES = "athena_core/providers/prices.py"
LEDGER = "athena_core/services/execution/outside/run_ledger.py"

BUGS = [
    bug(
        "only known members of an answer count",
        (
            ANSWERS,
            "        self.meter.write(written(part, self.frame))\n",
            "        parts = [table(one.get('delta') or one.get('message')) for one in items(part.get('choices'))]\n"
            "        names = ('content', 'refusal', 'reasoning', 'tool_calls')\n"
            "        known = [{name: one.get(name) for name in names} for one in parts]\n"
            "        self.meter.write(written(known if 'choices' in part else part, self.frame))\n",
        ),
    ),
    bug(
        "an event that breaks off is free",
        (CALL, "            if self._answer is not None:\n                self._answer.break_off()\n", ""),
    ),
    bug(
        "a piece counts only after the agent has taken it",
        (
            CALL,
            "                if self._answer is not None:\n                    self._read(self._answer, piece)\n"
            "                elif",
            "                if self._answer is None and",
        ),
        (
            CALL,
            "                    await self._pay(self._answer)\n",
            "                    self._read(self._answer, piece)\n                    await self._pay(self._answer)\n",
        ),
    ),
    bug(
        "output after the last count is free",
        (PRICES, "if not whole or late or not given:", "if not whole or not given:"),
    ),
    bug(
        "the last of several counts holds",
        (
            PRICES,
            "max((count for count in known if count is not None), default=None)",
            "known[0] if found is None else found",
        ),
    ),
    bug(
        "repetitions count twice",
        (ANSWERS, "if self._had[kind, digest] > self._counted[digest]:", "if self._had[kind, digest]:"),
    ),
    bug(
        "the limit pays for one of several answers",
        (CALL, "tokens = min(max(paid // limit.answers, 1),", "tokens = min(max(paid, 1),"),
    ),
    bug(
        "a second reservation is forgotten",
        (
            CALL,
            "        self._granted = await self._ledger.reserve(self._number, provider, model, cost",
            "        await self._ledger.reserve(self._number, provider, model, cost",
        ),
    ),
    bug(
        "a call that is cut keeps its place",
        (
            GATEWAY,
            "            await self._call(exchange, self._count)\n        finally:\n            self._calls -= 1\n",
            "            await self._call(exchange, self._count)\n"
            "        except Refusal:\n"
            "            self._calls -= 1\n"
            "            raise\n        self._calls -= 1\n",
        ),
    ),
    bug(
        "the body of a refused call stays counted",
        (
            GATEWAY,
            "        except OSError:  # the client hung up\n"
            "            pass\n"
            "        finally:\n"
            "            exchange.release()\n",
            "            else:\n"
            "                exchange.release()\n"
            "        except OSError:  # the client hung up\n"
            "            exchange.release()\n",
        ),
    ),
    bug(
        "a body may take any time",
        (EXCHANGE, "async with asyncio.timeout(self._limits.body_seconds):", "async with asyncio.timeout(None):"),
    ),
    bug(
        "a silent vendor is waited for",
        (
            CONNECTION,
            "return httpx2.AsyncClient(\n            timeout=httpx2.Timeout(self._silence_seconds, connect",
            "return httpx2.AsyncClient(\n            timeout=httpx2.Timeout(None, connect",
        ),
    ),
    bug(
        "two calls at once share a number",
        (GATEWAY, "await self._call(exchange, self._count)", "await self._call(exchange, self._calls)"),
    ),
    bug(
        "an answer in one piece is cut with its agent",
        (CALL, "if making is not None and (streamed or not self._sent):", "if making is not None:"),
    ),
    bug(
        "a stream goes on without its agent",
        (CALL, "if making is not None and (streamed or not self._sent):", "if making is not None and not self._sent:"),
    ),
    bug(
        "a call that breaks off is recorded twice",
        (
            GATEWAY,
            "        except OSError:\n            raise\n        except Exception as error:\n            call",
            "        except OSError:\n"
            "            await self._record(call.ended())\n"
            "            raise\n"
            "        except Exception as error:\n"
            "            call",
        ),
    ),
    bug(
        "an answer that broke off ends like a whole one",
        (
            CALL,
            "                self._answer.break_off()\n            raise\n",
            "                self._answer.break_off()\n            self._exchange.finish()\n            raise\n",
        ),
    ),
    bug(
        "a call that is cut before its answer is free",
        (CALL, 'return self._sent and self._outcome == "cut"', "return False"),
    ),
    bug(
        "an answer that failed is free",
        (
            CALL,
            "        return self._answer is not None\n",
            '        return self._answer is not None and self._outcome != "failed"\n',
        ),
    ),
    bug(
        "the part of a free call stays taken",
        (
            LEDGER,
            "            finally:\n                self._open.pop(ended.call, None)\n",
            "            finally:\n"
            "                if ended.cost is not None:\n"
            "                    self._open.pop(ended.call, None)\n",
        ),
    ),
]
