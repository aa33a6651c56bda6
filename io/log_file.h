/* Internal. The file of a log, and its records. */
#ifndef WG_LOG_FILE_H
#define WG_LOG_FILE_H

#include "bytes.h"
#include "log.h"

struct wg_log_file {
    int fd;
    uint64_t size; /* of the whole records in the file */
    bool broken;   /* half a record could not be removed */
    wg_error error;
    wg__bytes value, inner, event, record; /* room that calls reuse */
    char path[];
};

/* Keeps the error, if it is the first; returns its status. */
wg_status wg__log_fail(wg_log_file *log, const wg_error *error);
/* Checks tag and step of a call and empties value and inner; false: *status is the error. */
bool wg__log_begin(wg_log_file *log, const char *what, const char *tag, int64_t step, wg_status *status);
/* Writes a record with log->value, the fields of a Summary.Value after the tag. */
wg_status wg__log_end(wg_log_file *log, int64_t step);

#endif
