/* The file of a log: opened under a new name, appended to record by record, never with half a one at its end. */
#include "log_file.h"

#include "file.h"
#include "proto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Numbers of fields: tensorflow/core/util/event.proto, framework/summary.proto. */
enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SESSION_STATUS = 1, SESSION_START = 1, SUMMARY_VALUE = 1, VALUE_TAG = 1 };

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- errors ---- */

wg_status wg__log_fail(wg_log_file *log, const wg_error *error)
{
    wg_error_set(&log->error, error->status, "%s", error->text);
    return error->status;
}

static wg_status out_of_memory(wg_log_file *log)
{
    wg_error error = {0};
    wg_error_set(&error, WG_ERR_MEMORY, WG__AT "out of memory", log->path);
    return wg__log_fail(log, &error);
}

/* ---- records ---- */

static uint32_t masked_crc(const void *bytes, size_t size)
{
    const uint32_t crc = wg__crc32c(0, bytes, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* A record that could not be written whole is cut off. */
static wg_status append(wg_log_file *log)
{
    wg_error error = {0};
    if (log->record.failed) return out_of_memory(log);
    if (log->broken) {
        wg_error_set(&error, WG_ERR_IO, WG__AT "ends with half a record", log->path);
        return wg__log_fail(log, &error);
    }
    if (wg__write_all(log->fd, log->record.data, log->record.size)) {
        log->size += log->record.size;
        return WG_OK;
    }
    wg__system_error(&error, log->path, "cannot write");
    log->broken = ftruncate(log->fd, (off_t)log->size) != 0;
    return wg__log_fail(log, &error);
}

/* Frames log->event and writes it. */
static wg_status write_event(wg_log_file *log)
{
    const uint64_t length = log->event.size;
    const uint32_t length_crc = masked_crc(&length, sizeof length),
                   data_crc = masked_crc(log->event.data, log->event.size);
    wg__bytes_clear(&log->record);
    log->record.failed = log->event.failed;
    wg__bytes_put(&log->record, &length, sizeof length);
    wg__bytes_put(&log->record, &length_crc, sizeof length_crc);
    wg__bytes_put(&log->record, log->event.data, log->event.size);
    wg__bytes_put(&log->record, &data_crc, sizeof data_crc);
    return append(log);
}

static void event_begin(wg_log_file *log, int64_t step)
{
    wg__bytes_clear(&log->event);
    wg__proto_double(&log->event, EVENT_TIME, seconds_now());
    if (step > 0) wg__proto_integer(&log->event, EVENT_STEP, (uint64_t)step);
}

bool wg__log_begin(wg_log_file *log, const char *what, const char *tag, int64_t step, wg_status *status)
{
    enum { LONGEST = 500 };
    wg_error error = {0};
    const size_t length = tag ? strnlen(tag, LONGEST + 1) : 0;
    bool plain = length > 0 && length <= LONGEST && wg__utf8_error(tag, length) == length;
    for (size_t i = 0; i < length; i++) plain &= (unsigned char)tag[i] >= 32 && tag[i] != 127;
    if (!log)
        wg_error_set(&error, WG_ERR_ARGUMENT, "log %s: log is NULL", what);
    else if (!plain)
        wg_error_set(&error, WG_ERR_ARGUMENT,
                     "log %s: tag \"%.80s\": must be UTF-8 of 1 to %d bytes without control characters", what,
                     tag ? tag : "", LONGEST);
    else if (step < 0)
        wg_error_set(&error, WG_ERR_ARGUMENT, "log %s %.80s: step %lld is negative", what, tag, (long long)step);
    if (error.status != WG_OK) {
        *status = log ? wg__log_fail(log, &error) : error.status;
        return false;
    }
    wg__bytes_clear(&log->value);
    wg__bytes_clear(&log->inner);
    wg__proto_bytes(&log->value, VALUE_TAG, tag, length);
    return true;
}

wg_status wg__log_end(wg_log_file *log, int64_t step)
{
    wg__bytes_clear(&log->record); /* room for the Summary message */
    wg__proto_bytes(&log->record, SUMMARY_VALUE, log->value.data, log->value.size);
    event_begin(log, step);
    wg__proto_bytes(&log->event, EVENT_SUMMARY, log->record.data, log->record.size);
    log->event.failed |= log->value.failed || log->inner.failed || log->record.failed;
    return write_event(log);
}

wg_status wg_log_resume(wg_log_file *log, int64_t step)
{
    wg_status status = WG_OK;
    if (!wg__log_begin(log, "resume", "step", step, &status)) return status;
    event_begin(log, step);
    wg__proto_integer(&log->inner, SESSION_STATUS, SESSION_START);
    wg__proto_bytes(&log->event, EVENT_SESSION, log->inner.data, log->inner.size);
    log->event.failed |= log->inner.failed;
    return write_event(log);
}

/* ---- opening and closing ---- */

/* Creates the folder and its parents; a folder that is there is none of its errors. */
static bool make_folders(char *path)
{
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        const bool ok = mkdir(path, 0777) == 0 || errno == EEXIST;
        *slash = '/';
        if (!ok) return false;
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

/* Names sort by time, as TensorBoard reads them. */
static bool create(wg_log_file *log, const char *folder)
{
    enum { ATTEMPTS = 1000 };
    char host[65] = "";
    if (gethostname(host, sizeof host - 1) != 0 || !*host) strcpy(host, "localhost");
    for (char *c = host; *c; c++)
        if (*c == '/' || (unsigned char)*c <= ' ' || (unsigned char)*c > 126) *c = '-';
    const int64_t seconds = (int64_t)seconds_now();
    for (int i = 0; i < ATTEMPTS; i++) {
        snprintf(log->path, PATH_MAX, "%s/events.out.tfevents.%010lld.%s.%d.%d", folder, (long long)seconds, host,
                 (int)getpid(), i);
        log->fd = open(log->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (log->fd >= 0 || errno != EEXIST) break;
    }
    return log->fd >= 0;
}

static void release(wg_log_file *log)
{
    wg__bytes_fini(&log->value);
    wg__bytes_fini(&log->inner);
    wg__bytes_fini(&log->event);
    wg__bytes_fini(&log->record);
    free(log);
}

wg_log_file *wg_log_open(const char *folder, wg_error *error)
{
    enum { NAME = 160 }; /* bytes that a file's name may take */
    if (!folder || !*folder) {
        wg_error_set(error, WG_ERR_ARGUMENT, "log: no folder given");
        return NULL;
    }
    if (strlen(folder) >= PATH_MAX - NAME) {
        wg_error_set(error, WG_ERR_IO, WG__AT "folder name is too long", folder);
        return NULL;
    }
    wg_log_file *log = calloc(1, sizeof *log + PATH_MAX);
    if (!log) {
        wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", folder);
        return NULL;
    }
    log->fd = -1;
    strcpy(log->path, folder);
    if (!make_folders(log->path) || !create(log, folder)) {
        wg__system_error(error, folder, "cannot create a log");
        release(log);
        return NULL;
    }
    event_begin(log, 0);
    static const char version[] = "brain.Event:2";
    wg__proto_bytes(&log->event, EVENT_VERSION, version, sizeof version - 1);
    if (write_event(log) == WG_OK) return log;
    unlink(log->path);
    wg_log_close(log, error);
    return NULL;
}

wg_status wg_log_close(wg_log_file *log, wg_error *error)
{
    if (!log) return WG_OK;
    wg_error last = {0};
    if (fsync(log->fd) != 0 && errno != EINVAL) wg__system_error(&last, log->path, "cannot sync to disk");
    if (close(log->fd) != 0) wg__system_error(&last, log->path, "cannot close");
    if (last.status != WG_OK) wg__log_fail(log, &last);
    const wg_status status = log->error.status;
    if (status != WG_OK) wg_error_set(error, status, "%s", log->error.text);
    release(log);
    return status;
}

const char *wg_log_path(const wg_log_file *log) { return log ? log->path : NULL; }
