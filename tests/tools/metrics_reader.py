"""Parses metrics in Prometheus' text format from standard input with Prometheus' own Python client,
and prints them as JSON: a list of {name, labels, value, type}."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

samples = [
    {"name": sample.name, "labels": sample.labels, "value": sample.value, "type": family.type}
    for family in text_string_to_metric_families(sys.stdin.read())
    for sample in family.samples
]
json.dump(samples, sys.stdout)
