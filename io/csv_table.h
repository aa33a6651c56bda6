/* Internal to io/: an open CSV file. */
#ifndef WG_CSV_TABLE_H
#define WG_CSV_TABLE_H

#include "csv_walk.h"
#include "io.h"

enum { WG__CSV_COLUMNS = 1 << 16 }; /* at most */

typedef struct wg__csv_block wg__csv_block;

struct wg_csv {
    wg_text text;
    wg_csv_options options; /* missing: see below */
    char *path, *missing;
    const char **names;         /* [columns] */
    const char *const **sorted; /* [columns] the places in `names`, by name */
    int64_t rows, columns;
    wg__csv_block *blocks; /* all memory but the text */
};

/* A walk from the header on. */
wg__csv_walk wg__csv_walk_of(const wg_csv *csv);
/* Memory that is freed with the table; NULL if there is none. */
void *wg__csv_keep(wg_csv *csv, size_t size);

/* WG_ERR_FORMAT: "path: line 18, column 5 (price): reason" at the walk's field. */
wg_status wg__csv_wrong(const wg_csv *csv, const wg__csv_walk *at, wg_error *error, const char *format, ...)
    WG_PRINTF(4, 5);
wg_status wg__csv_no_memory(const wg_csv *csv, wg_error *error);

#endif
