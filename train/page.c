/* The page of a report: its frame, its style sheet, and the sections that it has. */
#include "page.h"

#include "../io/file.h"

static const char style[] =
    ":root{color-scheme:light dark;--ground:#fff;--panel:#f6f7f9;--ink:#1b2029;--soft:#5b6470;--rule:#e3e6ea;"
    "--mark:#2360c4;--rgb:35,96,196}"
    "@media(prefers-color-scheme:dark){:root{--ground:#16191e;--panel:#1e2229;--ink:#e8ebef;--soft:#9aa4b1;"
    "--rule:#2d333c;--mark:#6ea8ff;--rgb:110,168,255}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,"
    "-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",sans-serif}main{max-width:56rem;margin:0 auto;padding:"
    "3rem 1.5rem 5rem}h1{font-size:2rem;line-height:1.2;letter-spacing:-.02em;margin:0 0 1.75rem}h2{font-size:"
    "1.15rem;margin:2.75rem 0 .9rem;letter-spacing:-.01em}figure{margin:0}figcaption,caption,p{color:var(--soft);"
    "font-size:.875rem;margin:0 0 .75rem;text-align:left}figcaption{margin:.4rem 0 0}dl{margin:0}dt{color:"
    "var(--soft);font-size:.8125rem}dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}"
    ".results{display:flex;flex-wrap:wrap;gap:.75rem;margin-bottom:2rem}.results div{background:var(--panel);"
    "border-radius:.6rem;padding:.7rem 1.1rem;min-width:8.5rem}.results dd{font-size:1.5rem;font-weight:600;"
    "letter-spacing:-.01em;line-height:1.3}"
    ".chart{margin:0 0 1.75rem;overflow-x:auto}.chart svg{width:100%;min-width:32rem;height:auto;display:block}"
    ".texts figure{margin-bottom:1.1rem}pre{margin:0;padding:.9rem 1.1rem;background:var(--panel);border-radius:"
    ".6rem;font:.8125rem/1.55 ui-monospace,\"SF Mono\",Menlo,Consolas,\"DejaVu Sans Mono\",monospace;white-space:"
    "pre-wrap;overflow-wrap:anywhere}"
    ".pictures{display:flex;flex-wrap:wrap;gap:1rem}.pictures img{display:block;max-width:100%;height:auto;"
    "image-rendering:pixelated;border-radius:.3rem;border:1px solid var(--rule)}"
    ".matrices figure{margin-bottom:1.5rem}.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:"
    ".8125rem;font-variant-numeric:tabular-nums}th{font-weight:400;color:var(--soft)}"
    ".matrix td{min-width:2.4rem;height:1.9rem;text-align:center;padding:0 .3rem;border:1px solid var(--ground);"
    "background:rgba(var(--rgb),calc(.04 + .96*var(--p,0)))}.matrix tr:first-child td{background:none}.matrix .dark"
    "{color:var(--ground)}.matrix th[scope=row]{text-align:right;padding-right:.6rem;white-space:nowrap}"
    ".matrix th[scope=col]{vertical-align:bottom;padding:0 .2rem .3rem}.tall span{display:inline-block;"
    "writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap;line-height:1.2}"
    ".tables{display:grid;grid-template-columns:1fr;gap:1.75rem;margin-bottom:1.5rem}.costs{width:100%}.costs "
    "caption{"
    "font-weight:600;color:var(--ink);margin-bottom:.4rem}.costs th,.costs td{padding:.22rem .75rem .22rem 0;"
    "border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}.costs th[scope=row]{text-align:left;"
    "color:var(--ink);width:38%;white-space:normal;overflow-wrap:anywhere}.costs small{color:var(--soft)}.costs "
    ".bar"
    "{width:34%;padding-right:0}.bar "
    "i{display:block;height:.6rem;min-width:1px;background:var(--mark);border-radius:"
    ".15rem}"
    ".settings,section>dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:.75rem 1.5rem}"
    "@media print{main{max-width:none;padding:0}pre,figure,table{break-inside:avoid}}";

static void put_list(wg__bytes *out, const char *kind, const char *heading, const wg__bytes *rows)
{
    if (rows->size == 0) return;
    if (*heading) wg__bytes_print(out, "<section>\n<h2>%s</h2>\n", heading);
    wg__bytes_print(out, "<dl class=\"%s\">\n", kind);
    wg__bytes_put(out, rows->data, rows->size);
    wg__bytes_print(out, *heading ? "</dl>\n</section>\n" : "</dl>\n");
}

static void put_page(wg__bytes *out, const wg_report *report)
{
    wg__bytes_print(
        out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
             "content=\"width=device-width,initial-scale=1\">\n<title>");
    wg__put_text(out, report->title, false);
    wg__bytes_print(out, "</title>\n<style>%s%s</style>\n</head>\n<body>\n<main>\n<h1>", style, wg__chart_style);
    wg__put_text(out, report->title, false);
    wg__bytes_print(out, "</h1>\n");
    put_list(out, "results", "", &report->results);
    wg__put_curves(out, report);
    wg__bytes_put(out, report->exhibits.data, report->exhibits.size);
    if (report->open) wg__bytes_print(out, "</div>\n</section>\n");
    if (report->run.size > 0) {
        wg__bytes_print(out, "<section>\n<h2>Time and memory</h2>\n");
        wg__bytes_put(out, report->run.data, report->run.size);
        wg__bytes_print(out, "</section>\n");
    }
    put_list(out, "settings", "Settings", &report->settings);
    wg__bytes_print(out, "</main>\n</body>\n</html>\n");
}

wg_status wg_report_write(const wg_report *report, const char *path, wg_error *error)
{
    if (!report) return wg_error_set(error, WG_ERR_ARGUMENT, "report: report is NULL");
    if (report->error.status != WG_OK) return wg_error_set(error, report->error.status, "%s", report->error.text);
    wg__bytes page = {0};
    put_page(&page, report);
    const wg_status status = page.failed
                                 ? wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path ? path : "")
                                 : wg_file_write(path, page.data, page.size, error);
    wg__bytes_fini(&page);
    return status;
}
