/* CSV: a table of text with a header into columns of numbers and categories.
 *
 *     wg_error error = {0};
 *     wg_csv *csv = wg_csv_open("houses.csv", wg_csv_defaults(), &error);
 *     const float *x = wg_csv_numbers(csv, "bedrooms,area", &error);                // [rows, 2]
 *     const wg_categories *zip = wg_csv_categories(csv, "zip", NULL, &error);       // an index a row
 *     if (error.status != WG_OK) fprintf(stderr, "%s\n", error.text);
 *     wg_csv_close(csv);
 *
 * The format is RFC 4180's: fields between separators, lines between ends of lines (LF or CR LF), quotes around a field
 * that holds one of these, a doubled quote for a quote inside of quotes. The first line names the columns. All lines
 * have as many fields; empty lines are skipped, a UTF-8 mark at the beginning as well. A file may be gzipped or a pipe,
 * as with wg_text_read. Whether a column holds numbers or categories is decided by who asks for it.
 *
 * A field is missing if it is empty, or not quoted and among the option `missing`. Unless the option allow_missing is
 * set, that is an error where the column is read.
 *
 * Errors: "houses.csv: line 18, column 5 (price): 'x' is not a number". WG_ERR_FORMAT for what is wrong in the file,
 * WG_ERR_ARGUMENT for a column that it does not have. After an error the functions return NULL, and accept NULL for the
 * table: one check at the end is enough, since the first error is kept.
 *
 * Memory: the file's size, 4 bytes for each number that is asked for, 4 for each category; while categories are
 * collected, 32 bytes a row. At most 65,536 columns. */
#ifndef WG_CSV_H
#define WG_CSV_H

#include "../autograd/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_csv wg_csv; /* an open table */

/* The form of the file, and what counts as missing. */
typedef struct wg_csv_options {
    char separator;      /* ',' (the default), ';', '|' or a tab */
    const char *missing; /* what stands for a missing value, separated by commas; default "NA,NaN,nan,null" */
    bool allow_missing;  /* missing numbers are NaN, missing categories -1; default false: an error */
    bool trim;           /* drop blanks around fields that are not quoted; default false: they are part of them */
    uint64_t limit;      /* of the file's text, in bytes; default 0: as of wg_text_read */
} wg_csv_options;
WG_API wg_csv_options wg_csv_defaults(void);

/* Reads and checks a file. NULL on error. */
WG_API wg_csv *wg_csv_open(const char *path, wg_csv_options options, wg_error *error);
/* Frees the table and all that was read from it. */
WG_API void wg_csv_close(wg_csv *csv);

/* The number of lines below the header that are not empty. */
WG_API int64_t wg_csv_rows(const wg_csv *csv);
WG_API int64_t wg_csv_columns(const wg_csv *csv); /* as the header line has them */
/* The name of column 0 .. columns - 1; NULL if there is none. */
WG_API const char *wg_csv_name(const wg_csv *csv, int64_t column);
/* The column of this name; -1 if there is none. */
WG_API int64_t wg_csv_find(const wg_csv *csv, const char *name);

/* Columns as f32 [rows, n], rounded to nearest: for wg_data, valid until the table is closed. `columns` names n of them
 * in the order of the result, written like a line of the file ("area,\"price, net\"" with quotes where a name has
 * a separator); NULL: all. A number is decimal, with an exponent if need be ("-1.5e3"), blanks around it do not count;
 * the decimal point is a point in every locale. One that f32 does not hold is an error. */
WG_API const float *wg_csv_numbers(wg_csv *csv, const char *columns, wg_error *error);
/* Which fields of these columns are not missing, [rows, n]: a mask, for wg_data with WG_BOOL. */
WG_API const bool *wg_csv_present(wg_csv *csv, const char *columns, wg_error *error);

/* A column of strings as indices. */
typedef struct wg_categories {
    int64_t n;                /* different strings */
    const char *const *names; /* [n], sorted by their bytes */
    const int32_t *index;     /* [rows], into names, for wg_data with WG_I32; -1 where missing */
} wg_categories;

/* A column as categories, valid until the table is closed. `known`: names that another file or a saved model gave,
 * sorted; a string that is not among them is then an error, or -1 with allow_missing. NULL: those of this column. */
WG_API const wg_categories *wg_csv_categories(wg_csv *csv, const char *column, const wg_categories *known,
                                              wg_error *error);

#ifdef __cplusplus
}
#endif
#endif
