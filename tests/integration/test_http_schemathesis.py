"""What the OpenAPI document allows is answered as it says, and what it does not is refused: schemathesis tries both.

More examples, new ones each time: JAKWATCH_HTTP_EXAMPLES=500 make test ARGS=tests/integration/test_http_schemathesis.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.integration.desk import POLICY
from tests.integration.live import Live

EXAMPLES = int(os.environ.get("JAKWATCH_HTTP_EXAMPLES", "10"))
SEED = () if "JAKWATCH_HTTP_EXAMPLES" in os.environ else ("--seed", "1")  # an ordinary run can be repeated by anyone
WITHIN = 300 + 20 * EXAMPLES  # seconds

# JSON Schema knows neither the order of days nor Unicode's categories, so what fits may still be refused, with 422.
CONFIG = """\
[phases.coverage]
unexpected-methods = ["DELETE"]
[[operations]]
include-method = "POST"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
"""


def test_the_interface_does_what_its_document_says(tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    with Live(tmp_path, "--policy", POLICY) as live:
        tried = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", f"{live.url}openapi.json",
                "--checks", "all", "--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES), *SEED,
                "--suppress-health-check", "all", "--generation-database", "none", "--no-color",
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=WITHIN,
        )  # fmt: skip
        assert tried.returncode == 0, tried.stdout[-10_000:] + tried.stderr[-2_000:]
        assert "8 selected / 8 total" in tried.stdout
        assert int(re.findall(r"(\d+) generated", tried.stdout)[-1]) > 2_000
        assert live.stderr == ""
        assert live.get("healthz") == (200, {"ok": True, "trouble": None})
