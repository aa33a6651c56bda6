/* Columns of a CSV file as numbers, masks and categories. */
#include "csv_table.h"

#include "file.h"
#include "plain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_in(const wg__csv_field *field, const char *list)
{
    wg__csv_walk w = wg__csv_walk_begin(list, strlen(list), ',', false);
    while (wg__csv_walk_next(&w))
        if (wg__csv_compare(&w.field, field) == 0) return true;
    return false;
}

static bool is_missing(const wg_csv *csv, const wg__csv_field *field)
{
    return field->size == 0 || (!field->quoted && is_in(field, csv->missing));
}

static wg_status missing_value(const wg_csv *csv, const wg__csv_walk *w, wg_error *error)
{
    return wg__csv_wrong(csv, w, error, "the value is missing; option allow_missing accepts that");
}

/* ---- which columns ---- */

static wg_status no_column(const wg_csv *csv, const char *name, wg_error *error)
{
    return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "line 1: there is no column '%.40s'", csv->path, name);
}

/* Sets place[column] to 1 + its place in the list, 0 for the others. */
static wg_status place_list(const wg_csv *csv, const char *list, int32_t *place, int32_t *n, wg_error *error)
{
    wg__csv_walk w = wg__csv_walk_begin(list, strlen(list), csv->options.separator, csv->options.trim);
    char *name = malloc(strlen(list) + 1);
    if (!name) return wg__csv_no_memory(csv, error);
    wg_status status = WG_OK;
    while (status == WG_OK && wg__csv_walk_next(&w)) {
        wg__csv_copy(&w.field, name);
        const int64_t column = w.row == 0 ? wg_csv_find(csv, name) : -1;
        if (column < 0)
            status = no_column(csv, name, error);
        else if (place[column])
            status =
                wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "column '%.40s' is asked for twice", csv->path, name);
        else
            place[column] = ++*n;
    }
    free(name);
    if (status == WG_OK && (w.why || *n == 0))
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "'%.80s' is no list of columns", csv->path, list);
    return status;
}

/* place_list in new memory, which the caller frees; of NULL: all columns. NULL on error. */
static int32_t *places_of(const wg_csv *csv, const char *list, int32_t *n, wg_error *error)
{
    *n = 0;
    if (!csv) {
        wg_error_set(error, WG_ERR_ARGUMENT, "CSV: the table is NULL");
        return NULL;
    }
    int32_t *place = calloc((size_t)csv->columns, sizeof *place);
    if (!place) {
        wg__csv_no_memory(csv, error);
        return NULL;
    }
    if (!list)
        while (*n < csv->columns) place[*n] = *n + 1, ++*n;
    else if (place_list(csv, list, place, n, error) != WG_OK) {
        free(place);
        return NULL;
    }
    return place;
}

/* ---- numbers ---- */

static size_t digits(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && p[i] >= '0' && p[i] <= '9') i++;
    return i;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before the exponent: neither "inf" nor "0x1p3" */
static bool is_decimal(const char *p, size_t n)
{
    size_t i = n > 0 && (*p == '+' || *p == '-'), whole = digits(p + i, n - i), part = 0;
    i += whole;
    if (i < n && p[i] == '.') {
        i++;
        part = digits(p + i, n - i);
        i += part;
    }
    if (whole + part == 0) return false;
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        i += i < n && (p[i] == '+' || p[i] == '-');
        const size_t exponent = digits(p + i, n - i);
        if (exponent == 0) return false;
        i += exponent;
    }
    return i == n;
}

/* Reads the field at the walk. What follows a number in the text ends it for strtof as well: a quote, a separator, an
 * end of line or the text's NUL. */
static wg_status number_at(const wg_csv *csv, const wg__csv_walk *w, float *number, wg_error *error)
{
    const char *p = w->field.text;
    size_t n = w->field.size;
    while (n > 0 && (*p == ' ' || *p == '\t')) p++, n--;
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t')) n--;
    if (!is_decimal(p, n)) return wg__csv_wrong(csv, w, error, "'%.*s' is not a number", n < 40 ? (int)n : 40, p);
    *number = strtof(p, NULL);
    if (isinf(*number)) return wg__csv_wrong(csv, w, error, "%.*s is too large for f32", n < 40 ? (int)n : 40, p);
    return WG_OK;
}

static wg_status fill_numbers(const wg_csv *csv, const int32_t *place, int32_t n, float *numbers, wg_error *error)
{
    const wg__plain caller = wg__plain_begin();
    wg__csv_walk w = wg__csv_walk_of(csv);
    wg_status status = WG_OK;
    while (status == WG_OK && wg__csv_walk_next(&w)) {
        if (w.row == 0 || !place[w.column]) continue;
        float *to = &numbers[(w.row - 1) * n + place[w.column] - 1];
        if (!is_missing(csv, &w.field))
            status = number_at(csv, &w, to, error);
        else if (csv->options.allow_missing)
            *to = NAN;
        else
            status = missing_value(csv, &w, error);
    }
    wg__plain_end(&caller);
    return status;
}

const float *wg_csv_numbers(wg_csv *csv, const char *columns, wg_error *error)
{
    int32_t n;
    int32_t *place = places_of(csv, columns, &n, error);
    if (!place) return NULL;
    float *numbers = wg__csv_keep(csv, (size_t)csv->rows * (size_t)n * sizeof *numbers);
    const wg_status status = numbers ? fill_numbers(csv, place, n, numbers, error) : wg__csv_no_memory(csv, error);
    free(place);
    return status == WG_OK ? numbers : NULL;
}

const bool *wg_csv_present(wg_csv *csv, const char *columns, wg_error *error)
{
    int32_t n;
    int32_t *place = places_of(csv, columns, &n, error);
    if (!place) return NULL;
    bool *present = wg__csv_keep(csv, (size_t)csv->rows * (size_t)n * sizeof *present);
    if (!present) wg__csv_no_memory(csv, error);
    for (wg__csv_walk w = wg__csv_walk_of(csv); present && wg__csv_walk_next(&w);)
        if (w.row > 0 && place[w.column])
            present[(w.row - 1) * n + place[w.column] - 1] = !is_missing(csv, &w.field);
    free(place);
    return present;
}

/* ---- categories ---- */

static int compare_fields(const void *a, const void *b) { return wg__csv_compare(a, b); }

/* The different fields of a column, sorted, in new memory; *n of them. NULL if out of memory. */
static wg__csv_field *different_fields(const wg_csv *csv, int64_t column, size_t *n)
{
    wg__csv_field *all = malloc(((size_t)csv->rows + 1) * sizeof *all);
    size_t found = 0;
    for (wg__csv_walk w = wg__csv_walk_of(csv); all && wg__csv_walk_next(&w);)
        if (w.row > 0 && w.column == column && !is_missing(csv, &w.field)) all[found++] = w.field;
    if (found) qsort(all, found, sizeof *all, compare_fields);
    *n = 0;
    for (size_t i = 0; i < found; i++)
        if (i == 0 || wg__csv_compare(&all[i], &all[*n - 1]) != 0) all[(*n)++] = all[i];
    return all;
}

/* Their names, which are kept with the table. */
static wg_status collect_names(wg_csv *csv, int64_t column, wg_categories *c, wg_error *error)
{
    size_t n, bytes = 0;
    wg__csv_field *fields = different_fields(csv, column, &n);
    if (!fields) return wg__csv_no_memory(csv, error);
    for (size_t i = 0; i < n; i++) bytes += fields[i].size + 1;
    const char **names = wg__csv_keep(csv, n * sizeof *names);
    char *text = wg__csv_keep(csv, bytes);
    for (size_t i = 0; i < n && names && text; i++) {
        names[i] = text;
        text += wg__csv_copy(&fields[i], text) + 1;
    }
    free(fields);
    *c = (wg_categories){.n = (int64_t)n, .names = names};
    return names && text ? WG_OK : wg__csv_no_memory(csv, error);
}

static wg_status check_known(const wg_csv *csv, const wg_categories *known, wg_error *error)
{
    bool sorted = known->n >= 0 && (known->n == 0 || known->names);
    for (int64_t i = 0; sorted && i < known->n; i++)
        sorted = known->names[i] && (i == 0 || strcmp(known->names[i - 1], known->names[i]) < 0);
    if (sorted && known->n <= INT32_MAX) return WG_OK;
    return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "known categories are to be sorted, each once", csv->path);
}

static int compare_to_name(const void *field, const void *name)
{
    const wg__csv_field other = wg__csv_field_of(*(const char *const *)name);
    return wg__csv_compare(field, &other);
}

/* The index of the field at the walk among the names; -1 if it is missing or unknown, and that is allowed. */
static wg_status index_at(const wg_csv *csv, const wg__csv_walk *w, const wg_categories *c, int32_t *index,
                          wg_error *error)
{
    const bool missing = is_missing(csv, &w->field);
    const char *const *found =
        missing || !c->names ? NULL : bsearch(&w->field, c->names, (size_t)c->n, sizeof *c->names, compare_to_name);
    *index = found ? (int32_t)(found - c->names) : -1;
    if (found || csv->options.allow_missing) return WG_OK;
    if (missing) return missing_value(csv, w, error);
    const int shown = w->field.size < 40 ? (int)w->field.size : 40;
    return wg__csv_wrong(csv, w, error, "'%.*s' is none of the known categories", shown, w->field.text);
}

static wg_status fill_index(const wg_csv *csv, int64_t column, const wg_categories *c, int32_t *index,
                            wg_error *error)
{
    wg_status status = WG_OK;
    for (wg__csv_walk w = wg__csv_walk_of(csv); status == WG_OK && wg__csv_walk_next(&w);)
        if (w.row > 0 && w.column == column) status = index_at(csv, &w, c, &index[w.row - 1], error);
    return status;
}

static wg_status read_categories(wg_csv *csv, int64_t column, const wg_categories *known, wg_categories *c,
                                 wg_error *error)
{
    wg_status status = known ? check_known(csv, known, error) : collect_names(csv, column, c, error);
    if (status != WG_OK) return status;
    if (known) *c = *known;
    if (c->n > INT32_MAX)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "more categories than an i32 can count", csv->path);
    int32_t *index = wg__csv_keep(csv, (size_t)csv->rows * sizeof *index);
    c->index = index;
    return index ? fill_index(csv, column, c, index, error) : wg__csv_no_memory(csv, error);
}

const wg_categories *wg_csv_categories(wg_csv *csv, const char *column, const wg_categories *known, wg_error *error)
{
    const int64_t at = wg_csv_find(csv, column);
    if (!csv || !column) {
        wg_error_set(error, WG_ERR_ARGUMENT, "CSV: the %s is NULL", csv ? "column" : "table");
        return NULL;
    }
    if (at < 0) {
        no_column(csv, column, error);
        return NULL;
    }
    wg_categories *c = wg__csv_keep(csv, sizeof *c);
    const wg_status status = c ? read_categories(csv, at, known, c, error) : wg__csv_no_memory(csv, error);
    return status == WG_OK ? c : NULL;
}
