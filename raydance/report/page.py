"""The page of a report: plain HTML, relative links, no script, nothing from the network."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from raydance.evaluation.measure import show
from raydance.report.section import Animation
from raydance.report.tables import Table

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1f2733;--soft:#5b6774;--line:#dde2e8;--page:#f6f7f9;
--card:#fff;--accent:#2066b8;--warn:#fff4e5;--warnline:#e5a04b;--good:#1d7f46;--bad:#b3471d}
@media (prefers-color-scheme:dark){:root{--ink:#dfe4ea;--soft:#98a4b1;--line:#303843;
--page:#12161c;--card:#1a1f27;--accent:#6fb0f5;--warn:#33291a;--warnline:#a5762d;--good:#63c48b;
--bad:#f0946c}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 80px}
h1{font-size:30px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:21px;margin:52px 0 12px;letter-spacing:-.005em}
h3{font-size:16px;margin:26px 0 8px}
p{max-width:70ch;margin:8px 0}.soft{color:var(--soft)}.small{font-size:14px}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:18px 0 0;font-size:15px}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;
margin:12px 0;overflow-x:auto}
.warn{background:var(--warn);border:1px solid var(--warnline);border-radius:10px;
padding:12px 16px;margin:18px 0}.warn p{margin:2px 0}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:14px}
.grid .card{margin:0;padding:0;overflow:hidden}
.grid .card .words{padding:12px 14px}
.grid img{display:block;width:100%;background:#fafaf8}
figure{margin:0}figure img{display:block;max-width:100%;height:auto;margin:0 auto}
figcaption{color:var(--soft);font-size:14px;margin-top:8px}
table{border-collapse:collapse;font-size:14.5px;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;white-space:normal}
th{font-weight:600;color:var(--soft)}
tr.group td{font-weight:600;padding-top:16px;border-bottom-color:var(--soft)}
td.this{font-weight:600}td.good{color:var(--good)}td.bad{color:var(--bad)}
td.words,th.words{text-align:left;white-space:normal;vertical-align:top}
details summary{cursor:pointer;color:var(--accent)}
pre{font-size:13px;line-height:1.45;overflow-x:auto;margin:8px 0}
ul{padding-left:22px;margin:8px 0}li{margin:3px 0}
"""


def text(value: Any) -> str:
    """Anything as text that cannot be markup: captions and names come from strangers' files."""
    return html.escape(str(value))


def page(title: str, lead: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """The whole page.

    Args:
        lead: markup below the title.
        sections: anchor, title and markup of each.
    """
    links = "".join(f'<a href="#{a}">{text(t)}</a>' for a, t, _ in sections)
    body = "".join(f'<section id="{a}"><h2>{text(t)}</h2>{m}</section>' for a, t, m in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{text(title)}</h1>{lead}<nav>{links}</nav>{body}</main></body></html>\n"
    )


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def warning(lines: Iterable[str]) -> str:
    """A box that is not overlooked."""
    return f'<div class="warn">{"".join(paragraph(line) for line in lines)}</div>'


def items(lines: Iterable[str]) -> str:
    """A list of plain text."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"


def figure(file: str, number: str, caption: str) -> str:
    """A picture with the paper's figure number and a caption."""
    alt = text(f"{number}: {caption}")
    return (
        f'<div class="card"><figure><img src="{text(file)}" alt="{alt}">'
        f"<figcaption><b>{text(number)}.</b> {text(caption)}</figcaption></figure></div>"
    )


def table(shown: Table) -> str:
    """One of the paper's tables with this run's figures."""
    number = f"Table {shown.number}. " if shown.number else ""
    head = "".join(f"<th>{text(cell)}</th>" for cell in shown.header)
    rows = "".join(
        f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in shown.rows
    )
    note = paragraph(shown.note, "soft small") if shown.note else ""
    return (
        f'<div class="card"><h3 style="margin-top:0">{text(number + shown.title)}</h3>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}</div>"
    )


def measures(result: Mapping[str, Any], *, is_main: bool) -> str:
    """The table of `compare`: chance, baseline, runs, real motion or bound."""
    columns: Sequence[str] = result["columns"]
    titles = ["", "chance", "baseline", *columns, "real / bound"]
    head = "".join(f"<th>{text(title)}</th>" for title in titles)
    rows, group = [], ""
    hint = {"higher": "", "lower": "lower is better", "target": "near real is better"}
    for row in result["rows"]:
        if row["is_main"] != is_main:
            continue
        if row["group"] != group:
            group = row["group"]
            rows.append(f'<tr class="group"><td colspan="{len(titles)}">{text(group)}</td></tr>')
        extra = hint[row["better"]]
        soft = f' <span class="soft small">({extra})</span>' if extra else ""
        verdict = {True: " good", False: " bad", None: ""}[row["beats_baseline"]]
        cells = [
            f"<td>{text(row['name'])}{soft}</td>",
            f"<td>{text(show(row['chance'], row['unit']))}</td>",
            f"<td>{text(show(row['baseline'], row['unit']))}</td>",
        ]
        for title in columns:
            kind = f' class="this{verdict}"' if title == columns[-1] else ""
            shown = show(row["values"][title], row["unit"], row["intervals"][title])
            cells.append(f"<td{kind}>{text(shown)}</td>")
        cells.append(f"<td>{text(show(row['target'], row['unit']))}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="card"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def animations(shown: Sequence[Animation], folder: str) -> str:
    """GIFs side by side, each with its sentence."""
    cards = "".join(
        f'<div class="card"><img src="{text(folder)}/{text(a.file)}" alt="{text(a.title)}">'
        f'<div class="words"><b>{text(a.title)}</b>'
        f'<div class="soft small">{text(a.text)}</div></div></div>'
        for a in shown
    )
    return f'<div class="grid">{cards}</div>'


def examples(rows: Sequence[Mapping[str, Any]]) -> str:
    """Captions found for test windows beside the true ones."""
    body = []
    for row in rows:
        found = "".join(
            f"<div>{text(d['text'])} <span class='soft small'>{d['score']:.2f}"
            f"{', derived' if d['derived'] else ''}</span></div>"
            for d in row["found"]
        )
        is_right = bool(row["found"]) and row["found"][0]["names"] == row["name"]
        true = "".join(f"<div>{text(c)}</div>" for c in row["captions"])
        body.append(
            f'<tr><td>{text(row["name"].replace("_", " "))}</td><td class="words">{true}</td>'
            f'<td class="words">{found}</td>'
            f'<td class="{"good" if is_right else "bad"}">{"yes" if is_right else "no"}</td></tr>'
        )
    return (
        '<div class="card"><table><thead><tr><th>movement</th><th class="words">written</th>'
        '<th class="words">found, with cosine; those of its cluster first</th>'
        f"<th>right movement first</th></tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )
