"""What Prometheus is told: the catalogue of all metrics, their readings of an overview, and the text of a scrape."""
