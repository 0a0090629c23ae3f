"""`report metrics` and the alerts on it, as Prometheus's own tool reads them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REGFS, cannot_run, output, run
from tests.registry.conftest import unpacked  # noqa: F401
from tests.registry.truth import Truth

pytestmark = pytest.mark.interop

RULES = Path(__file__).parents[2] / "scripts/prometheus/regfs.rules.yml"

#: What a store that is neither whole nor read through is for the alerts, and one that is both.
SERIES = """
rule_files: [{rules}]
evaluation_interval: 1h
tests:
  - interval: 1h
    input_series:
      - series: 'regfs_unpullable_tags{{store="bad"}}'
        values: 0x30 2x30
      - series: 'regfs_gaps{{store="bad"}}'
        values: 1x60
      - series: 'regfs_blob_bytes{{store="bad", instance="h", state="tagged"}}'
        values: 0+3000000000x60
      - series: 'regfs_blob_bytes{{store="good", instance="h", state="tagged"}}'
        values: 0+1000000000x60
      - series: 'regfs_gaps{{store="good"}}'
        values: 0x60
    alert_rule_test:
      - {{eval_time: 20h, alertname: RegistryImageCannotBePulled}}
      - eval_time: 40h
        alertname: RegistryImageCannotBePulled
        exp_alerts:
          - exp_labels: {{store: bad}}
            exp_annotations: {{summary: "2 tags of bad cannot be pulled: regfs check bad"}}
      - eval_time: 2h
        alertname: RegistryStorageNotRead
        exp_alerts:
          - exp_labels: {{store: bad}}
            exp_annotations: {{summary: "1 places of bad could not be read: regfs report broken bad"}}
      - eval_time: 40h
        alertname: RegistryGrew
        exp_alerts:
          - exp_labels: {{store: bad, instance: h}}
            exp_annotations: {{summary: "bad grew by 67.06GiB in a day: regfs report repositories bad"}}
"""


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool") or shutil.which("promtool", path=str(Path(sys.executable).parent))
    if found is None:
        cannot_run("promtool is not installed")
    return found


@pytest.mark.parametrize("store_name", Truth.packed().stores)
def test_promtool_takes_the_metrics_of_each_store(store_name: str, unpacked: Path, promtool: str) -> None:  # noqa: F811
    text = output(*REGFS, "report", "metrics", unpacked / store_name)
    assert text.count("\nregfs_") > 20
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_alerts_are_rules_and_fire(promtool: str, tmp_path: Path) -> None:
    output(promtool, "check", "rules", RULES)
    (tmp_path / "test.yml").write_text(SERIES.format(rules=RULES))
    done = run(promtool, "test", "rules", tmp_path / "test.yml")
    assert done.returncode == 0, done.stdout
