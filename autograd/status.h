/* Status codes and error messages.
 *
 * Every function that can fail returns a wg_status or stores one in the object it operates on (a tape, a parameter
 * set). Each error has a message of one line. The library never prints, aborts or exits.
 *
 *     wg_error error = {0};
 *     wg_text text;
 *     if (wg_text_read("words.txt", &text, &error) != WG_OK)
 *         fprintf(stderr, "%s (%s)\n", error.text, wg_status_name(error.status));
 *
 * NULL for a pointer that must not be NULL, and an object that was never initialized, are errors as well, in every
 * function: WG_ERR_ARGUMENT where it can be returned or stored, with nil for a tensor; else the function does nothing
 * and returns NULL, 0 or false, or what its comment says. Where NULL is legal, the header says what it means. */
#ifndef WG_STATUS_H
#define WG_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX < UINT64_MAX || (defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
#error "Wengert needs a 64-bit little-endian machine"
#endif

#if defined(__GNUC__)
/* A public function: visible outside of the shared library. */
#define WG_API __attribute__((visibility("default")))
/* The compiler warns if the result is not used. */
#define WG_CHECKED __attribute__((warn_unused_result))
/* The compiler checks the arguments from number `first` on against the format, number `text`. */
#define WG_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define WG_API
#define WG_CHECKED
#define WG_PRINTF(text, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a function that can fail returns, and what objects store as their first error. */
typedef enum wg_status {
    WG_OK = 0,        /* no error */
    WG_ERR_ARGUMENT,  /* an argument is out of range, or a handle was never set */
    WG_ERR_SHAPE,     /* shapes do not match */
    WG_ERR_DTYPE,     /* dtypes do not match; there is no implicit promotion: see wg_cast */
    WG_ERR_STALE,     /* a tensor was used after wg_tape_reset */
    WG_ERR_GRADIENT,  /* the derivative does not exist or is not defined by the op */
    WG_ERR_MEMORY,    /* an allocation failed; the step is void and can be repeated */
    WG_ERR_INDEX,     /* an index is out of range; detected when the program runs */
    WG_ERR_NONFINITE, /* NaN or Inf, where the caller enabled the check */
    WG_ERR_CHANGED,   /* a parameter changed between recording and running */
    WG_ERR_IO,        /* a system call failed: open, read, write, sync, rename */
    WG_ERR_FORMAT     /* the contents of a file are invalid */
} wg_status;

/* The name of a status: "shape", "memory", ... Never NULL. */
WG_API const char *wg_status_name(wg_status status);

/* A status and its message of one line, in the caller's storage. Initialize with {0}. */
typedef struct wg_error {
    wg_status status; /* WG_OK: no error */
    char text[332];   /* the message; "" without an error */
} wg_error;

/* Sets *error, unless error is NULL or already contains an error: the first error is kept. Returns status. The text is
 * made printable (wg_printable) and cut to fit. */
WG_API wg_status wg_error_set(wg_error *error, wg_status status, const char *format, ...) WG_PRINTF(3, 4);
/* The same with a va_list. */
WG_API wg_status wg_error_setv(wg_error *error, wg_status status, const char *format, va_list arguments);

/* Writes text to out, of `size` bytes, as one line of printable UTF-8: control characters, ends of lines, marks of
 * writing direction and bytes that are not UTF-8 become \x1b or \u2028. Messages and dumps are written so; use it for
 * names and words from a file, before you print them. What does not fit is cut after a whole character; NULL becomes
 * "(null)". Returns out. */
WG_API const char *wg_printable(const char *text, char *out, size_t size);

/* The version of the library at run time: "0.1.0". WG_VERSION_* is the version of the header at compile time. */
WG_API const char *wg_version(void);

/* The version of the header, MAJOR.MINOR.PATCH: the first number */
#define WG_VERSION_MAJOR 0
/* second number */
#define WG_VERSION_MINOR 1
/* third number */
#define WG_VERSION_PATCH 0

#ifdef __cplusplus
}
#endif
#endif
