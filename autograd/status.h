/* What can go wrong, and how it is said.
 *
 * Every function of Wengert that can fail returns a wg_status or leaves one on the object it worked
 * on (a tape, a parameter set). The text that goes with it is one line. The library never prints,
 * aborts or exits. */
#ifndef WG_STATUS_H
#define WG_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WG_API                 __attribute__((visibility("default")))
#define WG_CHECKED             __attribute__((warn_unused_result))
#define WG_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define WG_API
#define WG_CHECKED
#define WG_PRINTF(text, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wg_status {
    WG_OK = 0,
    WG_ERR_ARGUMENT,  /* a value outside what the function accepts, or a handle that was never set */
    WG_ERR_SHAPE,     /* shapes that do not fit together */
    WG_ERR_DTYPE,     /* dtypes that do not fit together; there is no promotion: see wg_cast */
    WG_ERR_STALE,     /* a tensor kept across wg_tape_reset */
    WG_ERR_GRADIENT,  /* a derivative was asked for where there is none */
    WG_ERR_MEMORY,    /* an allocation failed; the step is void and can be tried again */
    WG_ERR_INDEX,     /* an index value, known only when run, is out of range */
    WG_ERR_NONFINITE, /* NaN or Inf where it was asked to be told */
    WG_ERR_CHANGED,   /* a parameter changed between recording and running */
    WG_ERR_IO,        /* the operating system refused: open, read, write, sync, rename */
    WG_ERR_FORMAT     /* a file does not hold what it should */
} wg_status;

/* The name of a status: "shape", "memory", ... Never NULL. */
WG_API const char *wg_status_name(wg_status status);

/* A status and one line of text, in the caller's storage. Start from {0}. */
typedef struct wg_error {
    wg_status status;
    char text[332];
} wg_error;

/* Sets *error unless it already holds an error (the first one is the one that is kept) or is NULL;
 * returns status. The text is cut at the size of the field. */
WG_API wg_status wg_error_set(wg_error *error, wg_status status, const char *format, ...) WG_PRINTF(3, 4);
WG_API wg_status wg_error_setv(wg_error *error, wg_status status, const char *format, va_list arguments);

/* "0.1.0", of the library that runs; WG_VERSION_* are of the header that was compiled. */
WG_API const char *wg_version(void);

#define WG_VERSION_MAJOR 0
#define WG_VERSION_MINOR 1
#define WG_VERSION_PATCH 0

#ifdef __cplusplus
}
#endif
#endif
