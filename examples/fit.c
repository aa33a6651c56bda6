/* wg_fit as the examples call it: with a progress bar, --logdir and Ctrl-C. */
#include "app.h"

#include <stdlib.h>

typedef struct watcher {
    wg_fit_options fit; /* of the program: its watcher is told first */
    wg_progress progress;
} watcher;

/* The programs print validations themselves. */
static void watch(void *context, wg_fit_event event, const wg_fit_result *now)
{
    watcher *w = context;
    if (w->fit.watch) w->fit.watch(w->fit.watched, event, now);
    if (event == WG_FIT_STEP) app_watch_step(w->fit.tape, w->fit.params, (int64_t)now->step, now->loss);
    if (event != WG_FIT_VALIDATED) wg_fit_progress(&w->progress, event, now);
}

wg_fit_result app_fit(wg_fit_options fit, wg_tape *tape, wg_progress progress)
{
    wg_fit_result end;
    wg_error error = {0};
    fit.tape = tape;
    watcher w = {fit, progress};
    fit.watch = watch, fit.watched = &w;
    if (!fit.stop) fit.stop = wg_signal_noted;
    if (wg_fit(&fit, &end, &error) != WG_OK) app_fail("%s", error.text);
    if (end.end == WG_FIT_STOPPED && wg_signal_noted(NULL)) {
        app_note("stopped after step %llu", (unsigned long long)end.step);
        exit(128 + wg_signal_number());
    }
    return end;
}
