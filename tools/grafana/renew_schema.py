"""Writes schema.json: how Grafana itself says that a dashboard looks, by the types it publishes.

python -m tools.grafana.renew_schema 13.2.3    needs Node.js; the version of the image in docker-compose.yml

The types are @grafana/schema of Grafana Labs, under the Apache License 2.0. Their texts are left out: 130 kB become 35.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("schema.json")
WITH_FIELDS = ("timeseries", "table", "statetimeline")  # kinds that have settings of their own for each field
KINDS = (*WITH_FIELDS, "stat", "text")
_TYPES = "node_modules/@grafana/schema/dist/types/raw"
_GENERATOR = "ts-json-schema-generator@2"


def _generated(folder: Path, path: str, name: str) -> dict[str, Any]:
    """The JSON Schema of one type, without its texts."""
    command = ["npx", "ts-json-schema-generator", "--path", f"{_TYPES}/{path}/x/types.gen.d.ts", "--type", name]
    done = subprocess.run(  # noqa: S603
        [*command, "--no-type-check", "--no-top-ref"], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    written: dict[str, Any] = json.loads(done.stdout, object_hook=_without_text)
    return written


def _without_text(part: dict[str, Any]) -> dict[str, Any]:
    return {key: of for key, of in part.items() if not (key == "description" and isinstance(of, str))}


def _panel(folder: Path, kind: str) -> dict[str, Any]:
    path = f"composable/{kind}/panelcfg"
    custom = _generated(folder, path, "FieldConfig") if kind in WITH_FIELDS else {"maxProperties": 0}
    return {"options": _generated(folder, path, "Options"), "custom": custom}


def main(version: str) -> None:
    """Fetch the types of a version and write what they say."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages = [f"@grafana/schema@{version}", _GENERATOR, "typescript"]
        subprocess.run(["npm", "install", "--silent", "--ignore-scripts", *packages], cwd=folder, check=True)  # noqa: S603, S607
        schema = {
            "$comment": f"From the types of @grafana/schema {version}, Grafana Labs, Apache-2.0, by renew_schema.py",
            "dashboard": _generated(folder, "dashboard", "Dashboard"),
            "panels": {kind: _panel(folder, kind) for kind in KINDS},
        }
    SCHEMA.write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
