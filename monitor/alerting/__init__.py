"""Alerts of a process that nobody else watches: the same as Prometheus and Alertmanager would send, sent by itself."""
