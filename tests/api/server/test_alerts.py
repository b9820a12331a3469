"""The alerts for Prometheus that come with Athena: their metrics exist, and each fires when it should."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from athena_api.metrics import FAMILIES
from tests.support.programs import needs

ALERTS = Path(__file__).parents[3] / "examples" / "deployment" / "alerts.yml"
METRIC = re.compile(r"\b(?:athena|process)_[a-z_]+")

CALM = {
    'up{job="athena"}': "1",
    "athena_projection_stopped": "0",
    'athena_log_commit_seconds_bucket{le="0.1"}': "0+10x240",
    'athena_log_commit_seconds_bucket{le="+Inf"}': "0+10x240",
    "athena_log_queue_transactions": "3",
    "athena_projection_lag_events": "0",
    "athena_event_loop_block_seconds": "0",
    'athena_background_failing{loop="a"}': "0",
    'athena_background_failing{loop="anchors.send"}': "0",
    "athena_tls_certificate_expiry_timestamp_seconds": "5000000",
    "athena_runs_without_executor": "0",
    'athena_runs_total{outcome="completed"}': "0+10x240",
    'athena_runs_total{outcome="failed"}': "0+1x240",
    'athena_run_waiting_seconds_bucket{le="10"}': "0+10x240",
    'athena_run_waiting_seconds_bucket{le="+Inf"}': "0+10x240",
    "athena_asks_oldest_age_seconds": "60",
    "athena_dead_letters_total": "5",
    "athena_requests_suppressed_total": "5",
    "athena_cost_today_usd": "1",
    "athena_cost_reserved_usd": "1",
    "athena_cost_budget_daily_usd": "10",
    "athena_unpriced_calls_total": "5",
    "athena_clock_jump_seconds": "0",
    "athena_clock_behind_log_seconds": "0",
    'process_open_fds{job="athena"}': "20",
    'process_max_fds{job="athena"}': "1024",
}
TROUBLE: dict[str, dict[str, str]] = {
    "AthenaDown": {'up{job="athena"}': "0"},
    "AthenaProjectionStopped": {"athena_projection_stopped": "1"},
    "AthenaCommitsSlow": {
        'athena_log_commit_seconds_bucket{le="0.1"}': "0",
        'athena_log_commit_seconds_bucket{le="1"}': "0+10x240",
    },
    "AthenaWriteQueueFull": {"athena_log_queue_transactions": "8000"},
    "AthenaViewsLag": {"athena_projection_lag_events": "20000"},
    "AthenaEventLoopBlocked": {"athena_event_loop_block_seconds": "0.5"},
    "AthenaLoopFailing": {'athena_background_failing{loop="a"}': "1"},
    "AthenaAnchorsNotSent": {'athena_background_failing{loop="anchors.send"}': "1"},
    "AthenaCertificateExpires": {"athena_tls_certificate_expiry_timestamp_seconds": "600000"},
    "AthenaRunsWithoutExecutor": {"athena_runs_without_executor": "2"},
    "AthenaRunsFail": {'athena_runs_total{outcome="failed"}': "0+5x240"},
    "AthenaAsksWaitLong": {"athena_asks_oldest_age_seconds": "20000"},
    "AthenaRunsWaitLong": {
        'athena_run_waiting_seconds_bucket{le="10"}': "0+1x240",
        'athena_run_waiting_seconds_bucket{le="600"}': "0+10x240",
    },
    "AthenaDeadLetters": {"athena_dead_letters_total": "0+1x240"},
    "AthenaRefusalsSuppressed": {"athena_requests_suppressed_total": "0+1x240"},
    "AthenaBudgetNearlySpent": {"athena_cost_today_usd": "8.5"},
    "AthenaUnpricedCalls": {"athena_unpriced_calls_total": "0+1x240"},
    "AthenaClockJumped": {"athena_clock_jump_seconds": "600"},
    "AthenaFileDescriptorsShort": {'process_open_fds{job="athena"}': "1000"},
}
"""For each alert the series that make it fire; all others are calm."""


CALMNESS: dict[str, dict[str, str]] = {"none": {}}


def values(series: str) -> str:
    """Return a value for each minute of four hours."""
    return series if "x" in series else f"{series}x240"


def test_each_alert_is_about_metrics_that_exist() -> None:
    text = ALERTS.read_text()
    used = {name.removesuffix("_bucket") for name in METRIC.findall(re.sub("#.*", "", text))}
    assert used <= {family.name for family in FAMILIES}
    assert set(re.findall("alert: (.*)", text)) == set(TROUBLE)


@pytest.mark.heavy
@needs("promtool")
def test_each_alert_fires_in_its_own_trouble_and_in_no_other(tmp_path: Path) -> None:
    query = "count by (alertname) (ALERTS{alertstate='firing'})"
    tests = [
        {
            "interval": "1m",
            "name": alert,
            "input_series": [{"series": name, "values": values(said)} for name, said in (CALM | trouble).items()],
            "promql_expr_test": [
                {
                    "expr": query,
                    "eval_time": "4h",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if trouble else [],
                }
            ],
        }
        for alert, trouble in (CALMNESS | TROUBLE).items()
    ]
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": tests}))
    for command in (("check", "rules", str(ALERTS)), ("test", "rules", str(tmp_path / "test.yml"))):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
