#!/usr/bin/env python3
"""Writes leeward.json, the dashboard: `python3 deploy/grafana/dashboard.py`. Change this, never the JSON."""

import json
from pathlib import Path

TOPOLOGY = 'topology=~"$topology"'
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Row, then panels: title, kind, unit, what it says, and (legend, expression) for each line. `%s` is the topology.
ROWS = [
    ("Can we fail over now?", [
        ("Acting role", "stat", "none", "Which region takes writes by the controller's word.",
         [("{{region}} {{role}}", "max by (region, role) (leeward_region_role{%s}) == 1")]),
        ("Declared role", "stat", "none", "What the policy says at rest.",
         [("{{region}} {{role}}", "max by (region, role) (leeward_region_declared_role{%s}) == 1")]),
        ("Gates", "stat", "bool_yes_no", "Each must hold, or automation refuses.",
         [("{{gate}}", "min by (gate) (leeward_gate_ok{%s})")]),
        ("Region health", "timeseries", "none", "The detector's verdict, 1 for the state that a region is in.",
         [("{{region}} {{state}}", "max by (region, state) (leeward_region_health{%s})")]),
        ("Writable regions", "timeseries", "none", "Regions that took the last canary write, beside what is allowed.",
         [("{{region}}", "max by (region) (leeward_region_writable{%s})"),
          ("allowed", "max(leeward_topology_writable_regions_allowed{%s})")]),
    ]),
    ("RPO", [
        ("Exposure and budget", "timeseries", "s", "Time since the last heartbeat that is durable on the target.",
         [("{{link}}", "time() - max by (link) (leeward_link_last_durable_heartbeat_timestamp_seconds{%s})"),
          ("budget", "max(leeward_budget_rpo_seconds{%s})")]),
        ("Time over budget", "timeseries", "percentunit", "Share of time that a link spent over its RPO budget.",
         [("{{link}}", "max by (link) (rate(leeward_link_rpo_violation_seconds_total{%s}[$__rate_interval]))")]),
    ]),
    ("Links", [
        ("Records a second", "timeseries", "cps", "Read at the source, written at the target.",
         [("{{link}} read", "sum by (link) (rate(leeward_link_records_read_total{%s}[$__rate_interval]))"),
          ("{{link}} written", "sum by (link) (rate(leeward_link_records_written_total{%s}[$__rate_interval]))")]),
        ("Bytes a second", "timeseries", "Bps", "Stored bytes, as they go over the wire.",
         [("{{link}} read", "sum by (link) (rate(leeward_link_bytes_read_total{%s}[$__rate_interval]))"),
          ("{{link}} written", "sum by (link) (rate(leeward_link_bytes_written_total{%s}[$__rate_interval]))")]),
        ("Lag", "timeseries", "none", "Records at the source that the target lacks.",
         [("{{link}} {{topic}}", "sum by (link, topic) (leeward_link_lag_records{%s})")]),
        ("Latency, p99", "timeseries", "s", "From the append at the source to durable on the target.",
         [("{{link}}", "histogram_quantile(0.99, sum by (link, le) "
           "(rate(leeward_link_replication_latency_seconds_bucket{%s}[$__rate_interval])))")]),
        ("Partitions", "timeseries", "none", "By state; failed ones wait for a decision.",
         [("{{link}} {{state}}", "sum by (link, state) (leeward_link_partitions{%s})")]),
    ]),
    ("Offsets", [
        ("Groups", "timeseries", "none", "Groups whose positions have a place on the target, and those that have not.",
         [("{{link}} mapped", "max by (link) (leeward_offsets_mapped_groups{%s})"),
          ("{{link}} unmapped", "max by (link) (leeward_offsets_unmapped_groups{%s})")]),
        ("Since the last sync", "timeseries", "s", "Age of the group positions on the target.",
         [("{{link}}", "time() - max by (link) (leeward_offsets_last_sync_timestamp_seconds{%s})")]),
    ]),
    ("Producer buffer", [
        ("Used", "timeseries", "bytes", "Acknowledged bytes that the other region lacks, beside the capacity.",
         [("{{instance}} used", 'sum by (instance) (leeward_buffer_used_bytes{%s})'),
          ("{{instance}} capacity", 'sum by (instance) (leeward_buffer_capacity_bytes{%s})')]),
        ("fsync, p99", "timeseries", "s", "What an acknowledgement waits for.",
         [("{{instance}}", "histogram_quantile(0.99, sum by (instance, le) "
           "(rate(leeward_buffer_fsync_duration_seconds_bucket[$__rate_interval])))")]),
    ]),
    ("DNS and clients", [
        ("Published", "timeseries", "none", "Where each name points by our own last update.",
         [("{{name}} {{region}}", "max by (name, region) (leeward_dns_target{%s})")]),
        ("Canary produce, p99", "timeseries", "s", "A record of our own, as a client sees it.",
         [("{{region}}", "histogram_quantile(0.99, sum by (region, le) "
           "(rate(leeward_canary_produce_latency_seconds_bucket{%s}[$__rate_interval])))")]),
    ]),
    ("Controller", [
        ("Leader", "timeseries", "none", "1 at the controller that decides.",
         [("{{region}}", "max by (region) (leeward_controller_is_leader{%s})")]),
        ("Fencing epoch", "stat", "none", "Grows by one with each promotion.",
         [("epoch", "max(leeward_epoch{%s})")]),
        ("Lease left", "timeseries", "s", "At zero the acting primary's gateways stop forwarding.",
         [("{{region}}", "max by (region) (leeward_region_lease_remaining_seconds{%s})")]),
    ]),
    ("Failovers", [
        ("In progress", "timeseries", "none", "The phase that runs.",
         [("{{kind}} {{phase}}", "max by (kind, phase) (leeward_failover_in_progress{%s}) or vector(0)")]),
        ("Finished", "stat", "none", "Since the process started, by kind and result.",
         [("{{kind}} {{result}}", "sum by (kind, result) (leeward_failover_total{%s})")]),
        ("Last RTO and budget", "stat", "s", "Measured at the last failover, beside the policy's promise.",
         [("{{kind}}", "max by (kind) (leeward_failover_last_rto_seconds{%s})"),
          ("budget", "max(leeward_budget_rto_seconds{%s})")]),
        ("Phases", "bargauge", "s", "Mean time of each phase.",
         [("{{kind}} {{phase}}", "sum by (kind, phase) (leeward_failover_phase_duration_seconds_sum{%s}) "
           "/ sum by (kind, phase) (leeward_failover_phase_duration_seconds_count{%s})")]),
    ]),
    ("Process", [
        ("Build", "stat", "none", "What runs.",
         [("{{version}} {{commit}}", "count by (version, commit) (leeward_build_info)")]),
        ("Answering", "timeseries", "none", "Processes that answer their scrapes.",
         [("{{instance}}", 'up{job="leeward"}')]),
    ]),
]


def panel(number, shape, place):
    title, kind, unit, description, lines = shape
    return {
        "id": number,
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": {"textMode": "value_and_name"} if kind == "stat" else {},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "legendFormat": legend,
             "expr": expression.replace("%s", TOPOLOGY)}
            for at, (legend, expression) in enumerate(lines)
        ],
    }


def panels():
    found, number, line = [], 0, 0
    for title, shapes in ROWS:
        number += 1
        found.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                      "gridPos": {"x": 0, "y": line, "w": 24, "h": 1}})
        line += 1
        width = 24 // min(3, len(shapes))
        for at, shape in enumerate(shapes):
            number += 1
            place = {"x": at % 3 * width, "y": line + at // 3 * 7, "w": width, "h": 7}
            found.append(panel(number, shape, place))
        line += (len(shapes) + 2) // 3 * 7
    return found


def dashboard():
    return {
        "uid": "leeward-topology",
        "title": "Leeward: topology",
        "tags": ["leeward", "kafka"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
            {"name": "topology", "type": "query", "datasource": DATASOURCE, "label": "Topology", "refresh": 2,
             "query": "label_values(leeward_topology_info, topology)", "multi": True, "includeAll": True},
        ]},
        "annotations": {"list": [
            {"name": "Promotions", "datasource": DATASOURCE, "enable": True, "iconColor": "orange",
             "expr": "changes(leeward_epoch{" + TOPOLOGY + "}[1m]) > 0", "titleFormat": "fencing epoch changed"},
        ]},
        "panels": panels(),
    }


def text():
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("leeward.json").write_text(text())
