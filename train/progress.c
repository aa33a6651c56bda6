/* The progress bar. */
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool bar_shown; /* the line of the terminal has a bar */

void wg_progress_clear(void)
{
    if (bar_shown) fputs("\r\033[K", stderr);
    bar_shown = false;
}

static bool set_in_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

void wg_progress_begin(wg_progress *p, int64_t first, int64_t total)
{
    if (!p) return;
    const char *term = getenv("TERM");
    p->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    p->colour = p->terminal && !set_in_environment("NO_COLOR");
    p->first = first;
    p->total = total;
    p->skipped = 0;
    p->printed = p->drawn = p->paused = 0;
    p->started = wg_seconds();
}

void wg_progress_pause(wg_progress *p, double seconds)
{
    if (p) p->paused += seconds;
}

void wg_progress_skip(wg_progress *p, int64_t n)
{
    if (p) p->skipped += n;
}

static double elapsed(const wg_progress *p) { return wg_seconds() - p->started - p->paused; }

bool wg_progress_timeout(const wg_progress *p) { return p && p->limit > 0 && elapsed(p) >= p->limit; }

double wg_progress_rate(const wg_progress *p, int64_t done)
{
    const double seconds = p ? elapsed(p) : 0;
    return seconds > 0 ? (double)(done - p->first - p->skipped) * (p->unit ? p->units : 1) / seconds : 0;
}

/* The part of the run that is done, by steps or by time, whichever is larger. */
static double fraction_done(const wg_progress *p, int64_t done)
{
    double steps = p->total > p->first ? (double)(done - p->first) / (double)(p->total - p->first) : 1;
    double time = p->limit > 0 ? elapsed(p) / p->limit : 0;
    if (p->total <= p->first && p->limit > 0) steps = 0; /* only the time is known */
    return fmin(fmax(steps, time), 1);
}

static int terminal_columns(void)
{
    struct winsize size;
    const char *stated = getenv("COLUMNS");
    int columns = stated ? atoi(stated) : 0;
    if (columns <= 0 && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
    return columns > 0 ? columns : 80;
}

/* "12m03s" */
static const char *duration_text(double seconds, char *text, size_t size)
{
    int64_t s = seconds > 0 && seconds < 1e9 ? (int64_t)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(text, size, "%lldh%02lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
    else if (s >= 60)
        snprintf(text, size, "%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
    else
        snprintf(text, size, "%llds", (long long)s);
    return text;
}

/* The terminal echoes "^C" behind the bar: if that reached the next line, the bar could not be removed. */
static void draw_bar(const wg_progress *p, double fraction, const char *text)
{
    enum { ECHO = 3 };
    int columns = terminal_columns() - ECHO, room = columns - (int)strlen(text) - 3;
    int width = room > 40 ? 40 : room;
    wg_progress_clear();
    if (width >= 8) {
        int full = (int)(fraction * width);
        fputs(p->colour ? "[\033[32m" : "[", stderr);
        for (int i = 0; i < width; i++) fputc(i < full ? '=' : i == full ? '>' : ' ', stderr);
        fputs(p->colour ? "\033[0m] " : "] ", stderr);
    }
    fprintf(stderr, "%.*s", columns > 1 ? columns : 1, text);
    fflush(stderr);
    bar_shown = true;
}

void wg_progress_show(wg_progress *p, int64_t done, double loss)
{
    if (!p || p->quiet) return;
    double now = wg_seconds(), fraction = fraction_done(p, done);
    bool last = done == p->total;
    if (p->terminal ? now - p->drawn < 0.1 && !last : fraction - p->printed < 0.05 && !last) return;
    char left[32], number[32], text[200];
    snprintf(number, sizeof number, fabs(loss) < 1e6 ? "%.4f" : "%.3e", loss);
    duration_text(fraction > 0 ? elapsed(p) * (1 - fraction) / fraction : 0, left, sizeof left);
    snprintf(text, sizeof text, "%.30s%sstep %lld  loss %s  %.0f %s/s%.20s  %s left", p->label ? p->label : "",
             p->label ? ": " : "", (long long)done, number, wg_progress_rate(p, done), p->unit ? p->unit : "steps",
             p->place ? p->place : "", left);
    if (p->terminal)
        draw_bar(p, fraction, text);
    else
        fprintf(stderr, "%s\n", text);
    p->drawn = now;
    p->printed = fraction;
}

/* ---- a watcher of wg_fit ---- */

static void print_validation(const wg_fit_result *now)
{
    wg_progress_clear();
    fprintf(stderr, "step %llu: loss %.4f, validation %.4f%s\n", (unsigned long long)now->step, now->mean_loss,
            now->validation, now->best_step == now->step ? ", the best" : "");
}

void wg_fit_progress(void *progress, wg_fit_event event, const wg_fit_result *now)
{
    wg_progress *p = progress;
    if (!p || !now) return;
    switch (event) {
    case WG_FIT_BEGIN: wg_progress_begin(p, (int64_t)now->step, (int64_t)now->steps); break;
    case WG_FIT_STEP: wg_progress_show(p, (int64_t)now->step, now->mean_loss); break;
    case WG_FIT_VALIDATE: wg_progress_pause(p, -wg_seconds()); break;
    case WG_FIT_VALIDATED:
        wg_progress_pause(p, wg_seconds());
        print_validation(now);
        break;
    case WG_FIT_ENDED: wg_progress_clear(); break;
    default: break;
    }
}
