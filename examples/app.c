/* Shared parts of the examples: messages, options, signals, progress. The loss curve is in curve.c. */
#include "app.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- messages ---- */

static const char *program = "app";
static bool bar_shown; /* the line of the terminal has a bar */

void app_name(const char *name) { program = name; }

static void clear_bar(void)
{
    if (bar_shown) fputs("\r\033[K", stderr);
    bar_shown = false;
}

static void say(const char *format, va_list arguments)
{
    clear_bar();
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void app_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void app_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    exit(1);
}

void app_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    exit(2);
}

void app_check_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) app_fail("cannot write the results: %s", strerror(errno));
}

void app_check_place(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";
    if (slash && (size_t)(slash - path) + 2 < sizeof folder)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) app_fail("%s: is not a regular file", path);
    if (access(folder, W_OK) != 0) app_fail("cannot write to the folder of %s: %s", path, strerror(errno));
}

/* ---- small things ---- */

void *app_room(int64_t n, size_t size)
{
    void *memory = n >= 0 ? calloc((size_t)n + 1, size) : NULL;
    if (!memory) app_fail("out of memory");
    return memory;
}

wg_tape *app_tape_new(int64_t threads, int64_t seed, wg_pool **pool)
{
    wg_tape_options options = wg_tape_defaults();
    options.pool = *pool = wg_pool_new((int)threads);
    options.seed = (uint64_t)seed;
    if (!*pool) app_fail("cannot start %lld threads", (long long)threads);
    wg_tape *tape = wg_tape_new(options);
    if (!tape) app_fail("out of memory");
    return tape;
}

void app_end_step(wg_tape *tape)
{
    if (wg_tape_reset(tape) != WG_OK) app_fail("%s", wg_tape_message(tape));
}

wg_loader *app_loader_new(int64_t n, int64_t batch, int64_t seed, const int32_t *lengths)
{
    wg_loader_options options = wg_loader_defaults();
    wg_error error = {0};
    options.batch = batch;
    options.seed = (uint64_t)seed;
    options.lengths = lengths;
    wg_loader *loader = wg_loader_new(n, options, &error);
    if (!loader) app_fail("%s", error.text);
    return loader;
}

int64_t app_draw(uint64_t *random, int64_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*random >> 33) % (uint64_t)n);
}

/* splitmix64 (Steele et al. 2014) */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t app_random(uint64_t seed, uint64_t step, uint64_t item) { return mix(mix(mix(seed) + step) + item); }

/* The order of an epoch with a single batch. */
int64_t *app_shuffled(int64_t n, uint64_t seed)
{
    wg_loader *loader = app_loader_new(n, n, (int64_t)seed, NULL);
    const int64_t *samples;
    int64_t *copy = app_room(n, sizeof *copy);
    wg_loader_batch(loader, 0, &samples);
    memcpy(copy, samples, (size_t)n * sizeof *copy);
    wg_loader_free(loader);
    return copy;
}

/* ---- options ---- */

/* The choice that equals text, or NULL. */
static const char *find_choice(const char *const *choices, const char *text)
{
    while (*choices && strcmp(*choices, text) != 0) choices++;
    return *choices;
}

/* "rnn, lstm, gru" */
static const char *choices_text(const char *const *choices, char *text, size_t size)
{
    size_t n = 0;
    *text = 0;
    for (int i = 0; choices[i] && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "", choices[i]);
    return text;
}

static void list_add(app_list *list, const char *item)
{
    list->items = realloc(list->items, (size_t)(list->n + 1) * sizeof *list->items);
    if (!list->items) app_fail("out of memory");
    list->items[list->n++] = item;
}

bool app_option_set(app_option *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    switch (o->type) {
    case APP_FLAG: *(bool *)o->value = strcmp(text, "0") != 0; return true;
    case APP_INT: {
        long long number = strtoll(text, &end, 10);
        if (end == text || *end || errno || (double)number < o->low || (double)number > o->high) return false;
        *(int64_t *)o->value = number;
        return true;
    }
    case APP_REAL: {
        double number = strtod(text, &end);
        if (end == text || *end || !(number >= o->low && number <= o->high)) return false;
        *(double *)o->value = number;
        return true;
    }
    case APP_CHOICE:
        if (!find_choice(o->choices, text)) return false;
        *(const char **)o->value = find_choice(o->choices, text);
        return true;
    case APP_TEXT: *(const char **)o->value = text; return true;
    case APP_LIST: list_add(o->value, text); return true;
    case APP_END: break;
    }
    return false;
}

void app_preset(app_option *table, const char *settings)
{
    char word[128];
    for (int used; sscanf(settings, "%127s%n", word, &used) == 1; settings += used) {
        char *value = strchr(word, '=');
        app_option *o = table;
        if (value) *value++ = 0;
        while (o->type != APP_END && strcmp(o->name, word) != 0) o++;
        if (!o->given && (!value || o->type == APP_TEXT || !app_option_set(o, value)))
            app_fail("the preset of --%s is wrong", word);
    }
}

const char *app_option_text(const app_option *o, char text[64])
{
    switch (o->type) {
    case APP_FLAG: return *(bool *)o->value ? "1" : "0";
    case APP_INT: snprintf(text, 64, "%lld", (long long)*(int64_t *)o->value); return text;
    case APP_REAL: snprintf(text, 64, "%.17g", *(double *)o->value); return text;
    case APP_TEXT:
    case APP_CHOICE: return *(const char **)o->value;
    default: return "";
    }
}

static _Noreturn void refuse_value(const app_option *o, const char *text)
{
    char all[128];
    if (o->type == APP_CHOICE)
        app_usage("--%s must be one of %s, not '%s'", o->name, choices_text(o->choices, all, sizeof all), text);
    app_usage("--%s must be a %snumber from %.10g to %.10g, not '%s'", o->name, o->type == APP_INT ? "whole " : "",
              o->low, o->high, text);
}

static void print_help(const char *usage, const char *summary, const app_option *table)
{
    printf("usage: %s\n\n%s\n\n", usage, summary);
    for (const app_option *o = table; o->type != APP_END; o++) {
        char left[64], value[64], all[128];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->hint ? " " : "", o->hint ? o->hint : "");
        printf("  %-22s %s", left, o->help);
        if (o->type == APP_INT) printf(" (%s)", app_option_text(o, value));
        if (o->type == APP_REAL) printf(" (%g)", *(double *)o->value);
        if (o->type == APP_CHOICE)
            printf(": %s (%s)", choices_text(o->choices, all, sizeof all), app_option_text(o, value));
        if (o->type == APP_TEXT && *(const char **)o->value) printf(" (%s)", app_option_text(o, value));
        putchar('\n');
    }
    printf("  %-22s %s\n  %-22s %s\n", "--help", "print this", "--version", "print the version");
}

/* The table in getopt's form; val is the index plus one. */
static struct option *to_getopt(const app_option *table, int *n)
{
    for (*n = 0; table[*n].type != APP_END; ++*n) {}
    struct option *longs = calloc((size_t)*n + 3, sizeof *longs);
    if (!longs) app_fail("out of memory");
    for (int i = 0; i < *n; i++) {
        int argument = table[i].type == APP_FLAG ? no_argument : required_argument;
        longs[i] = (struct option){table[i].name, argument, NULL, i + 1};
    }
    longs[*n] = (struct option){"help", no_argument, NULL, *n + 1};
    longs[*n + 1] = (struct option){"version", no_argument, NULL, *n + 2};
    return longs;
}

/* Adds arguments that are not options to the list of the table. */
static void take_rest(int argc, char **argv, app_option *table)
{
    for (; optind < argc; optind++) {
        app_option *o = table;
        while (o->type != APP_END && o->type != APP_LIST) o++;
        if (o->type == APP_END) app_usage("'%s' is not an option; --help lists them", argv[optind]);
        app_option_set(o, argv[optind]);
    }
}

void app_parse(int argc, char **argv, const char *usage, const char *summary, app_option *table)
{
    int n, code, index = 0;
    struct option *longs = to_getopt(table, &n);
    opterr = 0;
    optind = 1;
    while ((code = getopt_long(argc, argv, ":", longs, &index)) != -1) {
        const char *word = argv[optind - 1];
        if (code == ':') app_usage("%s needs a value", word);
        if (code == '?') app_usage("unknown option '%s'; --help lists them", word);
        if (code == n + 1) print_help(usage, summary, table);
        if (code == n + 2) printf("%s %s\n", program, wg_version());
        if (code > n) {
            app_check_output();
            exit(0);
        }
        app_option *o = &table[code - 1];
        if (!app_option_set(o, o->type == APP_FLAG ? "1" : optarg)) refuse_value(o, optarg);
        o->given = true;
    }
    free(longs);
    take_rest(argc, argv, table);
}

/* ---- signals and time ---- */

static volatile sig_atomic_t noted_signal;

static void note_signal(int number) { noted_signal = number; }

void app_catch_signals(void)
{
    /* The first signal removes the handler, so that a second one has its default effect. */
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int app_signal(void) { return noted_signal; }

int app_end(void)
{
    app_check_output();
    return noted_signal ? 128 + noted_signal : 0;
}

double app_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- progress ---- */

static bool set_in_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

void app_progress_begin(app_progress *p, double seconds, int64_t first, int64_t total, const char *unit,
                        double units_per_step)
{
    const char *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    *p = (app_progress){.terminal = terminal,
                        .colour = terminal && !set_in_environment("NO_COLOR"),
                        .first = first,
                        .total = total,
                        .seconds = seconds,
                        .started = app_now(),
                        .unit = unit,
                        .units_per_step = units_per_step};
}

void app_progress_pause(app_progress *p, double seconds) { p->paused += seconds; }

static double elapsed(const app_progress *p) { return app_now() - p->started - p->paused; }

bool app_progress_timeout(const app_progress *p) { return p->seconds > 0 && elapsed(p) >= p->seconds; }

double app_progress_rate(const app_progress *p, int64_t done)
{
    double seconds = elapsed(p);
    return seconds > 0 ? (double)(done - p->first) * p->units_per_step / seconds : 0;
}

/* The part of the run that is done, by steps or by time, whichever is larger. */
static double fraction_done(const app_progress *p, int64_t done)
{
    double steps = p->total > p->first ? (double)(done - p->first) / (double)(p->total - p->first) : 1;
    double time = p->seconds > 0 ? elapsed(p) / p->seconds : 0;
    return fmin(fmax(steps, time), 1);
}

static int terminal_columns(void)
{
    struct winsize size;
    int columns = set_in_environment("COLUMNS") ? atoi(getenv("COLUMNS")) : 0;
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

static void draw_bar(const app_progress *p, double fraction, const char *text)
{
    int columns = terminal_columns(), room = columns - (int)strlen(text) - 4;
    int width = room > 40 ? 40 : room;
    clear_bar();
    if (width >= 8) {
        int full = (int)(fraction * width);
        fputs(p->colour ? "[\033[32m" : "[", stderr);
        for (int i = 0; i < width; i++) fputc(i < full ? '=' : i == full ? '>' : ' ', stderr);
        fputs(p->colour ? "\033[0m] " : "] ", stderr);
    }
    fprintf(stderr, "%.*s", columns > 1 ? columns - 1 : 1, text);
    fflush(stderr);
    bar_shown = true;
}

void app_progress_show(app_progress *p, int64_t done, double loss)
{
    double now = app_now(), fraction = fraction_done(p, done);
    bool last = done == p->total;
    if (p->terminal ? now - p->drawn < 0.1 && !last : fraction - p->printed < 0.05 && !last) return;
    char left[32], text[160];
    duration_text(fraction > 0 ? elapsed(p) * (1 - fraction) / fraction : 0, left, sizeof left);
    snprintf(text, sizeof text, "step %lld  loss %.4f  %.0f %s/s  %s left", (long long)done, loss,
             app_progress_rate(p, done), p->unit, left);
    if (p->terminal)
        draw_bar(p, fraction, text);
    else
        fprintf(stderr, "%s\n", text);
    p->drawn = now;
    p->printed = fraction;
}

void app_progress_end(app_progress *p) { clear_bar(); }
