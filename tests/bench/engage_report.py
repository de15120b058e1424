"""From the samples of tests/bench/engage to medians, ratios and a table."""

import statistics

import report
from paths import METRICS

MIB = 1024 * 1024


def compare(samples, path, metric):
    """The median on that path, on the one without an agent, and the median of
    the rounds' own ratios and differences."""
    a = report.values(samples, path, metric)
    b = report.values(samples, "plain", metric)
    both = [(a[r], b[r]) for r in a if b.get(r)]
    if not both:
        return None
    return {
        "value": statistics.median(a.values()),
        "plain": statistics.median(b.values()),
        "ratio": statistics.median(x / y for x, y in both),
        "more": statistics.median(x - y for x, y in both),
        "p99_us": report.extra(samples, path, metric, "p99_us"),
        "plain_p99_us": report.extra(samples, "plain", metric, "p99_us"),
    }


def rss(rows, field="VmRSS"):
    return round(max(r[field] for r in rows) / MIB, 2) if rows else None


def summarize(data):
    found = {}
    for part, ways in (("idle", ("named", "redirect")), ("intercepted", ("intercepted",))):
        for way in ways:
            for metric in METRICS:
                row = compare(data[part], way, metric)
                if row:
                    found[f"{way} {metric}"] = row
    for kind, rows in data["first"].items():
        for key in ("first_s", "ready_s"):
            found[f"{kind} {key}"] = statistics.median(r[key] for r in rows)
    if data.get("memory"):
        for when in ("before", "after"):
            for program, rows in data["memory"][when].items():
                found[f"{program} {when}"] = {
                    "rss_mib": rss(rows),
                    "anon_mib": rss(rows, "RssAnon"),
                }
    return found


def print_report(data):
    found = data["summary"]
    print(f"{'':32}{'agent':>10}{'no agent':>10}{'ratio':>8}{'more':>10}")
    for name, row in found.items():
        if not isinstance(row, dict) or "ratio" not in row:
            continue
        _, unit, _, _ = METRICS[name.split()[1]]
        print(
            f"{name + ', ' + unit:32}{row['value']:10.5g}{row['plain']:10.5g}"
            f"{row['ratio']:8.2f}{row['more']:10.4g}"
        )
        if name.endswith(" rr"):
            print(f"{'  p99, us':32}{row['p99_us']:10.5g}{row['plain_p99_us']:10.5g}")
    for kind, what in (("warm", "with an agent"), ("cold", "without one")):
        print(
            f"intercept of a pod {what}: first request after "
            f"{found[f'{kind} first_s']:.2f} s, the command ended after "
            f"{found[f'{kind} ready_s']:.2f} s"
        )
    for name, row in found.items():
        if isinstance(row, dict) and "rss_mib" in row:
            program, when = name.split()
            number = 0 if when == "before" else data["memory"]["engagements"]
            print(
                f"{program} with {number} engagements: {row['rss_mib']} MiB RSS, "
                f"{row['anon_mib']} of it its own"
            )
