"""From samples to medians, ratios, aims, a table and a plot."""

import shutil
import statistics
import subprocess

from paths import METRICS

PATHS = ("direct", "port-forward", "pump", "relay", "tp", "pump-direct", "relay-direct",
         "tp-direct")
MIB = 1024 * 1024


def values(samples, path, metric):
    """By round; a sample that failed has no value."""
    return {
        s["round"]: s["value"]
        for s in samples
        if s["path"] == path and s["metric"] == metric and s["value"] is not None
    }


def median(samples, path, metric):
    found = values(samples, path, metric)
    return statistics.median(found.values()) if found else None


def ratio(samples, metric, path, other, other_metric=None):
    """The median of the rounds' own ratios: what drifts between rounds does
    not count."""
    a = values(samples, path, metric)
    b = values(samples, other, other_metric or metric)
    both = [a[r] / b[r] for r in a if b.get(r)]
    return statistics.median(both) if both else None


def extra(samples, path, metric, key):
    found = [
        s["raw"][key]
        for s in samples
        if s["path"] == path and s["metric"] == metric and key in (s["raw"] or {})
    ]
    return statistics.median(found) if found else None


def summarize(samples):
    summary = {}
    for metric in METRICS:
        medians = {p: median(samples, p, metric) for p in PATHS}
        if not any(medians.values()):
            continue
        summary[metric] = {
            "median": medians,
            "tp_to": {
                p: ratio(samples, metric, "tp", p) for p in PATHS if p != "tp"
            },
            "direct_to_pump": ratio(samples, metric, "tp-direct", "pump-direct"),
            "direct_to_relay": ratio(samples, metric, "tp-direct", "relay-direct"),
            "direct_to_tp": ratio(samples, metric, "tp-direct", "tp"),
            "p99_us": {p: extra(samples, p, metric, "p99_us") for p in PATHS},
        }
    return summary


# ---- aims ----


def _aim(name, value, limit, unit, at_least):
    if value is None:
        return {"aim": name, "met": None, "value": None, "limit": limit, "unit": unit}
    met = value >= limit if at_least else value <= limit
    return {
        "aim": name,
        "met": met,
        "value": round(value, 4),
        "limit": limit,
        "unit": unit,
    }


def _largest(memory, program):
    peaks = [
        v for k, v in ((memory or {}).get("peak") or {}).items() if k.startswith(program)
    ]
    peaks = [v for v in peaks if v]
    return max(peaks) / MIB if peaks else None


def aims(data):
    samples, connect = data["samples"], data["connect"] or {}
    rows = []
    for metric in ("down1", "up1", "down8", "up8"):
        pumped = metric[:-1] + "1"  # one connection carries the 8 streams, too
        rows.append(
            _aim(
                f"{METRICS[metric][3]}, of the pump's",
                ratio(samples, metric, "tp", "pump", pumped),
                0.8,
                "",
                True,
            )
        )
    for metric in ("down1", "up1"):
        rows.append(
            _aim(
                f"{METRICS[metric][3]}, direct link, of bare TLS",
                ratio(samples, metric, "tp-direct", "pump-direct"),
                0.7,
                "",
                True,
            )
        )
    for metric, limit, at_least in (
        ("rr", 300, False),
        ("conn16", 2500, True),
        ("wrk", 35000, True),
    ):
        title, unit = METRICS[metric][3], METRICS[metric][1]
        rows.append(_aim(title, median(samples, "tp", metric), limit, unit, at_least))
    for program in ("tp-daemon", "tp-manager"):
        rows.append(
            _aim(
                f"RSS of {program} at its peak",
                _largest(data["memory"], program),
                25,
                "MiB",
                False,
            )
        )
    rows.append(
        _aim(
            "tp connect beyond a bare docker run",
            connect.get("beyond_s"),
            0.3,
            "s",
            False,
        )
    )
    size = data["image_bytes"]
    rows.append(
        _aim("size of tp-daemon's image", size and size / 1e6, 20, "MB", False)
    )
    return rows


# ---- text ----


def _number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 100 else f"{value:.2f}"


def _rows(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths))
        ).rstrip()


def table(data):
    rows = [["median", "", *PATHS, "tp/direct", "tp/pf",
             "tp/pump", "tp/relay", "td/pd", "td/rd", "td/tp"]]  # fmt: skip
    for metric, entry in data["summary"].items():
        _, unit, _, title = METRICS[metric]
        ratios = [_number(entry["tp_to"][p]) for p in PATHS[:4]]
        ratios += [_number(entry[k]) for k in ("direct_to_pump", "direct_to_relay", "direct_to_tp")]
        rows.append(
            [title, unit, *(_number(entry["median"][p]) for p in PATHS), *ratios]
        )
        if metric == "rr":
            p99 = [_number(entry["p99_us"][p]) for p in PATHS]
            rows.append([title.replace("p50", "p99"), unit, *p99, *[""] * 7])
    yield from _rows(rows)
    yield ""
    yield from _memory_table(data["memory"])
    connect = data["connect"]
    if connect:
        yield (
            f"tp connect {connect['tp_s']:.2f} s, docker run of its image "
            f"{connect['run_s']:.2f} s, tp quit {connect['quit_s']:.2f} s"
        )
    yield ""
    yield from _aim_table(data["aims"])


def _memory_table(memory):
    if not memory or not memory["before"]:
        return
    rows = [["RSS, MiB", "before", "peak", "after"]]
    for name in memory["before"]:
        cells = [memory[when].get(name) for when in ("before", "peak", "after")]
        rows.append([name] + [f"{c / MIB:.1f}" if c else "-" for c in cells])
    yield from _rows(rows)


def _aim_table(rows):
    words = {True: "met", False: "NOT MET", None: "not measured"}
    table_rows = [["aim", "", "value", "limit", ""]]
    for row in rows:
        table_rows.append(
            [row["aim"], words[row["met"]], _number(row["value"]),
             _number(row["limit"]), row["unit"]]
        )  # fmt: skip
    yield from _rows(table_rows)


# ---- plot ----

PANELS = (
    ("Bulk, Gbit/s", ("down1", "up1", "down8", "up8"), False),
    ("Request on a kept connection, p50, us", ("rr",), True),
    ("New connections a second", ("conn1", "conn16"), True),
    ("HTTP requests a second, wrk -c 32", ("wrk",), True),
)
COLOURS = ("#888888", "#d08030", "#3070b0", "#80b0e0", "#309050")


def _panel(title, metrics, logarithmic, summary):
    lines = [f"set title '{title}'", "unset logscale y", "set yrange [0:*]"]
    if logarithmic:
        lines += ["set yrange [1:*]", "set logscale y"]
    shown = [m for m in metrics if m in summary]
    if not shown:
        return []
    lines.append("$data << END")
    for metric in shown:
        cells = [summary[metric]["median"][p] for p in PATHS]
        lines.append(" ".join([metric, *("?" if c is None else str(c) for c in cells)]))
    lines.append("END")
    plots = [
        f"$data using {i + 2}:xtic(1) title '{path}' linecolor rgb '{colour}'"
        for i, (path, colour) in enumerate(zip(PATHS, COLOURS))
    ]
    lines.append("plot " + ", ".join(plots))
    return lines


def plot(data, output):
    """Writes an SVG; False without gnuplot."""
    if not shutil.which("gnuplot"):
        return False
    script = [
        "set terminal svg size 1000,700 background '#ffffff'",
        f"set output '{output}'",
        f"set multiplot layout 2,2 title 'tp, {data['date']}, "
        f"{data['host']['cores']} cores'",
        "set style data histogram",
        "set style histogram clustered gap 1",
        "set style fill solid border -1",
        "set datafile missing '?'",
        "set key top left",
        "set grid y",
    ]
    for panel in PANELS:
        script += _panel(*panel, data["summary"])
    script.append("unset multiplot")
    subprocess.run(
        ["gnuplot"], input="\n".join(script) + "\n", text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    return True
