/* What a training loop shows on a terminal: a progress bar; Ctrl-C that lets it end well.
 *
 * This is the only part of the library that prints or handles signals, and only for a program that asks for it. */
#ifndef WG_PROGRESS_H
#define WG_PROGRESS_H

#include "fit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* On a terminal a bar on stderr, redrawn at most ten times a second; elsewhere about twenty plain lines:
 *
 *     [========>                 ] step 412  loss 1.6022  43110 chars/s  38s left
 *
 * Initialize with {0}, or with {.unit = "chars", .units = 3200}. */
typedef struct wg_progress {
    const char *unit;  /* of the rate, "chars"; NULL: steps */
    double units;      /* of a step */
    const char *label; /* which of several models it is about; NULL: there is one */
    double limit;      /* seconds, if time is what ends the run; 0: none */
    /* State. */
    int64_t first, total; /* steps */
    int64_t skipped;      /* steps that count as done, but were not made */
    bool terminal, colour;
    double printed;        /* progress of the last plain line, 0 to 1 */
    double started, drawn; /* seconds */
    double paused;         /* seconds that do not count */
} wg_progress;

/* Steps first .. total - 1 are about to be made. */
WG_API void wg_progress_begin(wg_progress *progress, int64_t first, int64_t total);
/* Shows that `done` steps of the total are done. */
WG_API void wg_progress_show(wg_progress *progress, int64_t done, double loss);
/* Excludes this time from the rate. */
WG_API void wg_progress_pause(wg_progress *progress, double seconds);
/* The next n steps will not be made (early stopping): they do not count for the rate. */
WG_API void wg_progress_skip(wg_progress *progress, int64_t n);
/* Whether the time limit is reached. */
WG_API bool wg_progress_timeout(const wg_progress *progress);
/* Units per second so far. */
WG_API double wg_progress_rate(const wg_progress *progress, int64_t done);
/* Removes the bar, of whatever progress, from the terminal: before the program writes there, and at the end. */
WG_API void wg_progress_clear(void);

/* A watcher of wg_fit, with a wg_progress: the bar, and on stderr a line after each validation. */
WG_API void wg_fit_progress(void *progress, wg_fit_event event, const wg_fit_result *now);

/* From now on, the first Ctrl-C (or SIGTERM) is only noted; the second one ends the program. */
WG_API void wg_signal_catch(void);
/* The number of the signal that was noted, or 0. */
WG_API int wg_signal_number(void);
/* Whether one was: for wg_fit_options.stop. */
WG_API bool wg_signal_noted(void *context);

/* Seconds of a monotonic clock. */
WG_API double wg_seconds(void);

#ifdef __cplusplus
}
#endif
#endif
