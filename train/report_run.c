/* Where the time and the memory of a run go: tables of a report, from a tape's trace and its last plan. */
#include "../autograd/base/index.h"
#include "../autograd/base/random.h"
#include "../autograd/trace.h"

#include "page.h"

#include <stdlib.h>
#include <string.h>

/* ---- rows: sums by name ---- */

typedef struct row {
    const char *name; /* of the tape */
    bool backward;
    double amount; /* seconds or bytes */
    uint64_t calls;
} row;

typedef struct rows {
    wg__heap heap;
    row *list;
    uint32_t n, room;
    wg__index index; /* name and direction -> place in the list, plus 1 */
    double sum;
    bool failed;
} rows;

static uint64_t hash_key(const char *name, bool backward) { return wg__hash_bytes(backward, name, strlen(name)); }

static uint64_t hash_row(const void *owner, uint32_t id)
{
    const row *r = &((const rows *)owner)->list[id - 1];
    return hash_key(r->name, r->backward);
}

static void add(rows *r, const char *name, bool backward, double amount)
{
    if (!wg__index_room(&r->heap, &r->index, hash_row, r) ||
        !wg__grow(&r->heap, (void **)&r->list, &r->room, (uint64_t)r->n + 1, sizeof *r->list)) {
        r->failed = true;
        return;
    }
    const uint32_t mask = r->index.size - 1;
    uint32_t at = (uint32_t)hash_key(name, backward) & mask;
    for (uint32_t id; (id = r->index.table[at]); at = (at + 1) & mask)
        if (r->list[id - 1].backward == backward && strcmp(r->list[id - 1].name, name) == 0) break;
    if (!r->index.table[at]) {
        r->list[r->n++] = (row){.name = name, .backward = backward};
        r->index.table[at] = r->n;
        r->index.count++;
    }
    row *found = &r->list[r->index.table[at] - 1];
    found->amount += amount;
    found->calls++;
    r->sum += amount;
}

static void rows_free(rows *r)
{
    wg__index_release(&r->heap, &r->index);
    wg__heap_release(&r->heap, r->list, r->room * sizeof *r->list);
}

static int by_amount(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->amount != y->amount) return x->amount > y->amount ? -1 : 1;
    const int order = strcmp(x->name, y->name);
    return order ? order : x->backward - y->backward;
}

/* ---- what is summed ---- */

typedef struct costs {
    rows ops, scopes, memory;
    int64_t runs;
    int threads;
} costs;

static const char outside[] = "outside of all scopes";

static void add_event(void *context, const wg_trace_event *e)
{
    costs *c = context;
    c->runs += !e->op;
    if (e->thread >= c->threads) c->threads = e->thread + 1;
    if (!e->op) return;
    add(&c->ops, e->op, e->forward, e->seconds);
    add(&c->scopes, *e->scope ? e->scope : outside, false, e->seconds);
}

static void add_memory(void *context, const char *scope, size_t bytes)
{
    add(context, *scope ? scope : outside, false, (double)bytes);
}

/* ---- tables ---- */

enum { MOST_ROWS = 12 };

static void put_row(wg__bytes *out, const char *name, const char *mark, double amount, double sum, double scale,
                    double largest)
{
    wg__bytes_print(out, "<tr><th scope=\"row\">");
    wg__put_text(out, name, false);
    if (*mark) wg__bytes_print(out, " <small>%s</small>", mark);
    wg__bytes_print(
        out, "</th><td>%.*f</td><td>%.1f %%</td><td class=\"bar\"><i style=\"width:%.1f%%\"></i></td></tr>\n",
        amount * scale < 10 ? 2 : 1, amount * scale, sum > 0 ? 100 * amount / sum : 0,
        largest > 0 ? 100 * amount / largest : 0);
}

/* The largest rows, and the sum of the rest. No rows, or no scopes, are no table. */
static void put_table(wg__bytes *out, const char *title, const char *unit, double scale, rows *r)
{
    char rest[64];
    double others = 0;
    if (r->n == 0 || (r->n == 1 && r->list[0].name == outside)) return;
    qsort(r->list, r->n, sizeof *r->list, by_amount);
    for (size_t i = MOST_ROWS; i < r->n; i++) others += r->list[i].amount;
    const double largest = others > r->list[0].amount ? others : r->list[0].amount;
    wg__bytes_print(out,
                    "<table class=\"costs\"><caption>%s</caption>\n<tr><td></td><th scope=\"col\">%s</th><th "
                    "scope=\"col\">share</th><td></td></tr>\n",
                    title, unit);
    for (size_t i = 0; i < r->n && i < MOST_ROWS; i++)
        put_row(out, r->list[i].name, r->list[i].backward ? "backward" : "", r->list[i].amount, r->sum, scale,
                largest);
    snprintf(rest, sizeof rest, "%u more", r->n > MOST_ROWS ? r->n - MOST_ROWS : 0);
    if (r->n > MOST_ROWS) put_row(out, rest, "", others, r->sum, scale, largest);
    wg__bytes_print(out, "</table>\n");
}

static void put_memory(wg__bytes *out, const char *name, size_t bytes)
{
    wg__bytes_print(out, "<div><dt>%s</dt><dd>%.1f MiB</dd></div>\n", name, (double)bytes / (1 << 20));
}

static void put_sizes(wg__bytes *out, const wg_tape *tape, const wg_params *params)
{
    wg__bytes_print(out, "<dl>\n");
    if (params) {
        wg__bytes_print(out, "<div><dt>trainable numbers</dt><dd>%lld</dd></div>\n",
                        (long long)wg_params_trainable(params));
        put_memory(out, "parameters and gradients", wg_params_memory(params).live);
    }
    put_memory(out, "tape, at most", wg_tape_memory(tape).peak);
    wg__bytes_print(out, "</dl>\n");
}

wg_status wg_report_run(wg_report *report, const wg_tape *tape, const wg_params *params)
{
    costs c = {.threads = 0};
    if (!report) return WG_ERR_ARGUMENT;
    if (!tape) return wg__report_fail(report, WG_ERR_ARGUMENT, "run: tape is NULL");
    wg__bytes *out = &report->run;
    wg_trace_each(tape, add_event, &c);
    wg_memory_each(tape, add_memory, &c.memory);
    wg__bytes_clear(out);
    if (c.runs > 0)
        wg__bytes_print(out, "<p>Traced: %lld run%s on %d thread%s.</p>\n", (long long)c.runs,
                        c.runs == 1 ? "" : "s", c.threads, c.threads == 1 ? "" : "s");
    wg__bytes_print(out, "<div class=\"tables\">\n");
    put_table(out, "Time by op", "ms", 1e3, &c.ops);
    put_table(out, "Time by scope", "ms", 1e3, &c.scopes);
    put_table(out, "Values in memory at the peak, by scope", "KiB", 1.0 / 1024, &c.memory);
    wg__bytes_print(out, "</div>\n");
    put_sizes(out, tape, params);
    out->failed |= c.ops.failed || c.scopes.failed || c.memory.failed;
    rows_free(&c.ops);
    rows_free(&c.scopes);
    rows_free(&c.memory);
    return wg__report_end(report, out);
}
