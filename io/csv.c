/* A CSV file: opening it checks every line; each question about its columns walks through its text. */
#include "csv_table.h"

#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

wg_csv_options wg_csv_defaults(void) { return (wg_csv_options){.separator = ',', .missing = "NA,NaN,nan,null"}; }

/* ---- errors ---- */

wg_status wg__csv_wrong(const wg_csv *csv, const wg__csv_walk *at, wg_error *error, const char *format, ...)
{
    char reason[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    const unsigned long long line = at->line;
    const long long column = (long long)at->column + 1;
    if (at->row > 0 && at->column < csv->columns)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "line %llu, column %lld (%.40s): %s", csv->path, line,
                            column, csv->names[at->column], reason);
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "line %llu, column %lld: %s", csv->path, line, column, reason);
}

wg_status wg__csv_no_memory(const wg_csv *csv, wg_error *error)
{
    return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", csv->path);
}

/* ---- walking and keeping ---- */

wg__csv_walk wg__csv_walk_of(const wg_csv *csv)
{
    return wg__csv_walk_begin(csv->text.bytes, csv->text.size, csv->options.separator, csv->options.trim);
}

struct wg__csv_block {
    wg__csv_block *next;
    max_align_t bytes[];
};

void *wg__csv_keep(wg_csv *csv, size_t size)
{
    wg__csv_block *block = size < SIZE_MAX / 2 ? malloc(sizeof *block + size + 1) : NULL;
    if (!block) return NULL;
    block->next = csv->blocks;
    csv->blocks = block;
    return block->bytes;
}

/* ---- opening ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(**(const char *const *const *)a, **(const char *const *const *)b);
}

/* Sorts the names. Returns one that two columns have, or NULL. */
static const char *name_twice(wg_csv *csv)
{
    for (int64_t i = 0; i < csv->columns; i++) csv->sorted[i] = &csv->names[i];
    qsort(csv->sorted, (size_t)csv->columns, sizeof *csv->sorted, compare_names);
    for (int64_t i = 1; i < csv->columns; i++)
        if (compare_names(&csv->sorted[i - 1], &csv->sorted[i]) == 0) return *csv->sorted[i];
    return NULL;
}

/* The number of fields in the first row, and the bytes of their names. */
static wg_status measure_header(wg_csv *csv, size_t *bytes, wg_error *error)
{
    wg__csv_walk w = wg__csv_walk_of(csv);
    while (wg__csv_walk_next(&w)) {
        *bytes += w.field.size + 1;
        if (++csv->columns > WG__CSV_COLUMNS)
            return wg__csv_wrong(csv, &w, error, "more than %d columns", WG__CSV_COLUMNS);
        if (w.ends_row) return WG_OK;
    }
    if (w.why) return wg__csv_wrong(csv, &w, error, "%s", w.why);
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "the file is empty: it has no header", csv->path);
}

static wg_status read_header(wg_csv *csv, wg_error *error)
{
    size_t bytes = 0;
    wg_status status = measure_header(csv, &bytes, error);
    if (status != WG_OK) return status;
    csv->names = wg__csv_keep(csv, (size_t)csv->columns * sizeof *csv->names);
    char *text = wg__csv_keep(csv, bytes);
    csv->sorted = wg__csv_keep(csv, (size_t)csv->columns * sizeof *csv->sorted);
    if (!csv->names || !csv->sorted || !text) return wg__csv_no_memory(csv, error);
    wg__csv_walk w = wg__csv_walk_of(csv);
    for (int64_t i = 0; i < csv->columns && wg__csv_walk_next(&w); i++) {
        csv->names[i] = text;
        text += wg__csv_copy(&w.field, text) + 1;
    }
    const char *twice = name_twice(csv);
    if (!twice) return WG_OK;
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "line %llu: two columns are named '%.40s'", csv->path,
                        (unsigned long long)w.line, twice);
}

/* Every row has as many fields as the header. */
static wg_status check_rows(wg_csv *csv, wg_error *error)
{
    wg__csv_walk w = wg__csv_walk_of(csv);
    while (wg__csv_walk_next(&w)) {
        if (w.column >= csv->columns || (w.ends_row && w.column + 1 < csv->columns))
            return wg_error_set(error, WG_ERR_FORMAT, WG__AT "line %llu has %s than %lld fields", csv->path,
                                (unsigned long long)w.line, w.column < csv->columns ? "fewer" : "more",
                                (long long)csv->columns);
        csv->rows = w.row; /* the header is row 0 */
    }
    return w.why ? wg__csv_wrong(csv, &w, error, "%s", w.why) : WG_OK;
}

static wg_status open_table(wg_csv *csv, const char *path, wg_error *error)
{
    const char separator = csv->options.separator;
    if (!separator || !strchr(",;|\t", separator))
        return wg_error_set(error, WG_ERR_ARGUMENT, "CSV: the separator is ',', ';', '|' or a tab");
    wg_status status = wg_text_read_limited(path, csv->options.limit, &csv->text, error);
    if (status != WG_OK) return status;
    const char *missing = csv->options.missing ? csv->options.missing : "";
    csv->path = wg__csv_keep(csv, strlen(path));
    csv->missing = wg__csv_keep(csv, strlen(missing));
    if (!csv->path || !csv->missing) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path);
    strcpy(csv->path, path);
    strcpy(csv->missing, missing);
    status = read_header(csv, error);
    return status == WG_OK ? check_rows(csv, error) : status;
}

wg_csv *wg_csv_open(const char *path, wg_csv_options options, wg_error *error)
{
    wg_csv *csv = calloc(1, sizeof *csv);
    if (!csv) {
        wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path ? path : "");
        return NULL;
    }
    csv->options = options;
    if (open_table(csv, path, error) == WG_OK) return csv;
    wg_csv_close(csv);
    return NULL;
}

void wg_csv_close(wg_csv *csv)
{
    if (!csv) return;
    for (wg__csv_block *block = csv->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    wg_text_fini(&csv->text);
    free(csv);
}

/* ---- the columns ---- */

int64_t wg_csv_rows(const wg_csv *csv) { return csv ? csv->rows : 0; }
int64_t wg_csv_columns(const wg_csv *csv) { return csv ? csv->columns : 0; }

const char *wg_csv_name(const wg_csv *csv, int64_t column)
{
    return csv && column >= 0 && column < csv->columns ? csv->names[column] : NULL;
}

int64_t wg_csv_find(const wg_csv *csv, const char *name)
{
    const char *const *key = &name;
    if (!csv || !name) return -1;
    const char *const *const *at =
        bsearch(&key, csv->sorted, (size_t)csv->columns, sizeof *csv->sorted, compare_names);
    return at ? *at - (const char *const *)csv->names : -1;
}
