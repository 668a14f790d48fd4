#include "halftone/report/html_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "halftone/report/comparison.h"
#include "halftone/report/svg_chart.h"

namespace halftone {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

const char* const kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Halftone: comparison of runs</title>
<style>
:root{--fg:#1c1c1e;--dim:#6b6b70;--bg:#fff;--card:#f6f6f7;--rule:#dcdce0;--s0:#0b62c4;--s1:#c2410c;
--s2:#15803d;--s3:#7c3aed;--s4:#b91c6b;--s5:#0e7490;--s6:#8a6d00;--s7:#52525b;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--fg:#ececee;--dim:#a0a0a6;--bg:#141416;--card:#1d1d20;
--rule:#36363b;--s0:#6cb2ff;--s1:#ff9b66;--s2:#5fd38a;--s3:#b79bff;--s4:#ff83bd;--s5:#58cfe3;
--s6:#e0bf4a;--s7:#b8b8c0}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1200px;padding:1.25rem;color:var(--fg);
background:var(--bg);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:2rem 0 .5rem}
p{max-width:70ch;margin:.4rem 0}.dim{color:var(--dim)}.warn{border-left:3px solid var(--s1);
padding:.2rem .75rem;background:var(--card)}
.box{overflow-x:auto;border:1px solid var(--rule);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .65rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
tr:last-child td{border-bottom:0}th{color:var(--dim);font-weight:600;background:var(--card)}
.text th,.text td,th.l,td.l{text-align:left}button.sort{all:unset;cursor:pointer}
button.sort:focus-visible{outline:2px solid var(--s0)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:1rem}
figure{margin:0;padding:.75rem;border:1px solid var(--rule);border-radius:6px;min-width:0}
figcaption{font-weight:600;font-size:13.5px;margin-bottom:.25rem}figure>svg{width:100%;height:auto}
.legend{display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:12.5px}.legend svg{margin-right:.25rem}
.grid{stroke:var(--rule)}.axis{fill:none;stroke:var(--dim)}.tick{fill:var(--dim);font-size:12px}
.label{fill:var(--fg);font-size:11.5px}.level{stroke:var(--dim);stroke-dasharray:5 4}
.line{fill:none;stroke-width:1.8}.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}
.s3{--c:var(--s3)}.s4{--c:var(--s4)}.s5{--c:var(--s5)}.s6{--c:var(--s6)}.s7{--c:var(--s7)}
.front{fill:none;stroke:var(--dim);stroke-width:1.2}
@media(max-width:600px){.tick{font-size:17px}.label{font-size:15px}}
.line{stroke:var(--c)}.m{fill:var(--c)}
</style></head><body>
)";

// Click sorts by a column; without scripts the table stands as it was printed.
const char* const kScript = R"(<script>
for(const b of document.querySelectorAll('button.sort'))b.onclick=()=>{
const c=b.closest('th').cellIndex,t=b.closest('table').tBodies[0],n=b.dataset.n=-(b.dataset.n||-1),
k=r=>r.cells[c].textContent,v=t=>t=='inf'?1/0:t=='-inf'?-1/0:parseFloat(t),
f=(x,y)=>{const p=v(x),q=v(y);
return isNaN(p)||isNaN(q)?(isNaN(p)-isNaN(q))*n||x.localeCompare(y):p<q?-1:+(p>q)};
[...t.rows].sort((x,y)=>n*f(k(x),k(y))).forEach(r=>t.append(r))}
</script>
)";

std::string main_table(const std::vector<RunRecord>& runs) {
  std::string out =
      "<div class='box'><table><thead><tr><th class='l'>run</th>"
      "<th class='l'>method</th>";
  const std::vector<Column> columns = comparison_columns(runs);
  for (const Column& column : columns)
    out += fmt::format("<th><button class='sort'>{}</button></th>", escape_html(column.title));
  out += "</tr></thead><tbody>\n";
  for (const RunRecord& run : runs) {
    out += fmt::format("<tr><td class='l'>{}</td><td class='l'>{}</td>", escape_html(run.name),
                       escape_html(run.method));
    for (const Column& column : columns) out += fmt::format("<td>{}</td>", cell_text(column, run));
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

// Runs by rows, keys by columns, only the keys in which the runs differ (or all of them).
std::string entries_table(const std::vector<RunRecord>& runs, Entries RunRecord::*member,
                          bool differing) {
  std::vector<std::string> keys;
  std::map<std::string, std::set<std::string>> values;
  for (const RunRecord& run : runs)
    for (const auto& [key, value] : run.*member) {
      if (!values.contains(key)) keys.push_back(key);
      values[key].insert(value);
    }
  if (differing)
    std::erase_if(keys, [&](const std::string& key) { return values[key].size() < 2; });
  if (keys.empty()) return "";
  std::string out = "<div class='box'><table class='text'><thead><tr><th>run</th>";
  for (const std::string& key : keys) out += fmt::format("<th>{}</th>", escape_html(key));
  out += "</tr></thead><tbody>\n";
  for (const RunRecord& run : runs) {
    out += fmt::format("<tr><td>{}</td>", escape_html(run.name));
    for (const std::string& key : keys) {
      const auto& entries = run.*member;
      const auto found = std::find_if(entries.begin(), entries.end(),
                                      [&](const auto& entry) { return entry.first == key; });
      out += fmt::format("<td>{}</td>", found == entries.end() ? "-" : escape_html(found->second));
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::optional<double> teacher_perplexity(const std::vector<RunRecord>& runs) {
  for (const RunRecord& run : runs)
    if (run.teacher_perplexity) return run.teacher_perplexity;
  return std::nullopt;
}

// What the names of all runs begin with, up to a dash: charts say only what differs.
size_t common_prefix(const std::vector<RunRecord>& runs) {
  const std::string& first = runs.front().name;
  size_t length = runs.size() < 2 ? 0 : first.size();
  for (const RunRecord& run : runs)
    length = std::min<size_t>(
        length, std::mismatch(first.begin(), first.end(), run.name.begin(), run.name.end()).first -
                    first.begin());
  const size_t dash = length ? first.rfind('-', length - 1) : std::string::npos;
  return dash == std::string::npos ? 0 : dash + 1;
}

// Runs as labelled points, and the front that no run beats in both.
std::string pareto_chart(const std::vector<RunRecord>& runs, const std::string& title,
                         const std::string& x_title, double (*x)(const RunRecord&)) {
  Chart chart{.title = title,
              .x_title = x_title,
              .y_title = "perplexity (log)",
              .log_y = true,
              .most_over_median = 1e3,
              .level = teacher_perplexity(runs),
              .level_name = "teacher"};
  const size_t prefix = common_prefix(runs);
  std::vector<std::pair<double, double>> points;
  for (const RunRecord& run : runs) {
    if (!run.perplexity || run.method == "none") continue;
    const std::pair point(x(run), *run.perplexity);
    if (point.second >= 1) points.push_back(point);  // below is no model's, nor is NaN
    chart.series.push_back({.name = run.name.substr(prefix),
                            .points = {point},
                            .line = false,
                            .markers = true,
                            .labelled = true});
  }
  std::sort(points.begin(), points.end());
  Series front{.name = "", .points = {}};
  for (const auto& p : points)
    if (front.points.empty() || p.second < front.points.back().second) front.points.push_back(p);
  if (front.points.size() > 1) chart.series.push_back(front);
  return svg_chart(chart);
}

std::string curves(const std::vector<RunRecord>& runs, const std::string& title, bool log_y,
                   std::optional<double> LoggedStep::*member) {
  Chart chart{.title = title, .x_title = "step", .y_title = title, .log_y = log_y};
  const size_t prefix = common_prefix(runs);
  for (const RunRecord& run : runs) {
    Series series{.name = run.name.substr(prefix), .points = {}};
    for (const LoggedStep& step : run.log)
      if (step.*member) series.points.emplace_back(step.step, *(step.*member));
    if (!series.points.empty()) chart.series.push_back(series);
  }
  return svg_chart(chart);
}

// One chart a kind of linear, the layers along x.
std::string layer_charts(const std::vector<RunRecord>& runs) {
  std::map<std::string, Chart> charts;
  std::vector<std::string> kinds;
  const size_t prefix = common_prefix(runs);
  for (const RunRecord& run : runs) {
    std::map<std::string, Series> series;
    for (const auto& [name, error] : run.layers) {
      const std::string kind = name.substr(name.rfind('.') + 1);
      if (!charts.contains(kind)) {
        kinds.push_back(kind);
        charts[kind] = {.title = kind,
                        .x_title = "layer",
                        .y_title = "relative output error (log)",
                        .log_y = true};
      }
      Series& s = series[kind];
      s.name = run.name.substr(prefix);
      s.points.emplace_back(static_cast<double>(s.points.size()), error);
    }
    for (auto& [kind, s] : series) {
      s.markers = s.points.size() <= 8;
      charts[kind].series.push_back(std::move(s));
    }
  }
  std::string out;
  for (const std::string& kind : kinds) out += svg_chart(charts[kind]);
  return out;
}

std::string section(const std::string& title, const std::string& text, const std::string& body) {
  if (body.empty()) return "";
  return fmt::format("<h2>{}</h2>\n{}{}", title,
                     text.empty() ? "" : fmt::format("<p class='dim'>{}</p>\n", text), body);
}

std::string charts(const std::string& body) {
  return body.empty() ? "" : "<div class='charts'>\n" + body + "</div>\n";
}

}  // namespace

std::string html_page(const std::vector<RunRecord>& runs) {
  std::string out = kHead;
  out += fmt::format("<h1>Comparison of {} runs</h1>\n", runs.size());
  for (const std::string& warning : protocol_differences(runs))
    out += fmt::format("<p class='warn'>{}</p>\n", escape_html(warning));
  out +=
      section("Results",
              "Bits: <b>paper</b> by the method's own formula; <b>linear</b> every stored bit of "
              "the quantised linears (signs, bitmaps, fp16 scales) a weight; <b>file</b> 8 times "
              "the bytes of the whole model over all its parameters. KL (nats a token) and top-1 "
              "compare with the teacher's predictions on the same text. Tasks: zero-shot, acc_norm "
              "where there is one, else acc; above chance: (average - chance) / (the teacher's - "
              "chance).",
              main_table(runs));
  out +=
      section("Perplexity against size",
              "Down and left is better. The line joins the runs that no other beats in both.",
              charts(pareto_chart(runs, "Against true bits", "stored bits a weight of the linears",
                                  [](const RunRecord& r) { return r.bits_linear; }) +
                     pareto_chart(runs, "Against the whole file", "MB",
                                  [](const RunRecord& r) { return r.bytes / 1e6; })));
  out += section("Training", "",
                 charts(curves(runs, "loss", true, &LoggedStep::loss) +
                        curves(runs, "learning rate", false, &LoggedStep::learning_rate) +
                        curves(runs, "sign flips a step", true, &LoggedStep::sign_flip_rate)));
  out += section("Relative output error by layer",
                 "tr(D H D<sup>T</sup>) / tr(W H W<sup>T</sup>), D the weight's error, H the "
                 "Hessian of the linear's calibration inputs.",
                 charts(layer_charts(runs)));
  out += section("What differs between the recipes", "",
                 entries_table(runs, &RunRecord::recipe, true));
  out += section("Protocol", "", entries_table(runs, &RunRecord::protocol, false));
  out += section("Machine", "", entries_table(runs, &RunRecord::machine, false));
  return out + kScript + "</body></html>\n";
}

}  // namespace halftone
