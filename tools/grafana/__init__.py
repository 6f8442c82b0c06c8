"""The dashboards: what they show, how Grafana wants it written, and what a good one keeps to."""
