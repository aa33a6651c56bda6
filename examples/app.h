/* Shared parts of the examples: options, messages, a picture of the loss. (Progress, signals: train/progress.h.)
 *
 * Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 failure, 2 wrong usage, 128 + n after
 * signal n. The library itself prints nothing, installs no handler and never exits. */
#ifndef APP_H
#define APP_H

#include "../wengert.h"

#include <stdio.h>

/* ---- messages ---- */

/* Sets the prefix of every message: "charlm: ...". A message is one printable line: names and words from files cannot
 * reach the terminal with control characters. */
void app_name(const char *name);
const char *app_program(void);
void app_note(const char *format, ...) WG_PRINTF(1, 2);
_Noreturn void app_fail(const char *format, ...) WG_PRINTF(1, 2);  /* exit 1 */
_Noreturn void app_usage(const char *format, ...) WG_PRINTF(1, 2); /* exit 2 */
/* Writes words from outside to stdout as wg_printable shows them. */
void app_print(const char *text);
/* Writes a byte of generated text to stdout; on a terminal, a line at a time and printable. End it with a newline. */
void app_put_byte(char byte);
/* Ends the program if results could not be written to stdout. */
void app_check_output(void);
/* Checks that, and returns the result of main: 128 + the number of a signal that was noted, or 0. */
int app_end(void);
/* Ends the program if a file could not be written there: before an hour of training, not after. */
void app_check_place(const char *path);
/* Writes what the file has in memory to the disk. An error ends the program. */
void app_sync(FILE *file, const char *path);

/* ---- memory, tapes, random numbers ---- */

/* n zeroed elements; the caller frees them. Out of memory ends the program. */
void *app_room(int64_t n, size_t size);
/* The parameter set of a model whose sizes are in a file, which may come from a stranger: its memory is limited by the
 * file's size. NULL: no file, no limit. */
wg_params *app_params_new(const wg_safetensors *file, int64_t seed);
/* Ends the program if the set has an error; path: of that file. */
void app_check_params(const wg_params *params, const char *path);
/* A pool of threads and a tape that runs on it; the caller frees the tape, then the pool. precision is that of
 * products, "f32" or "bf16"; NULL: "f32". A failure ends the program. */
wg_tape *app_tape_new(int64_t threads, int64_t seed, const char *precision, wg_pool **pool);
/* Resets the tape after a step. Ends the program if the step failed. */
void app_end_step(wg_tape *tape);
/* Trains on the tape, with a progress bar: of steps of so many units. An error ends the program, and so does Ctrl-C. */
wg_fit_result app_fit(wg_fit_options fit, wg_tape *tape, wg_progress progress);
/* A loader of batches of n samples; one that cannot be made ends the program. lengths[n] (or NULL): batches of similar
 * lengths. */
wg_loader *app_loader_new(int64_t n, int64_t batch, int64_t seed, const int32_t *lengths);
/* The next of a sequence of random numbers 0 .. n - 1 (Knuth's MMIX generator). */
int64_t app_draw(uint64_t *random, int64_t n);
/* 64 random bits, a function of the arguments. */
uint64_t app_random(uint64_t seed, uint64_t step, uint64_t item);
/* 0 .. n - 1 in an order that depends on the seed, to shuffle data before a split; the caller frees it. */
int64_t *app_shuffled(int64_t n, uint64_t seed);

/* ---- options ---- */

typedef struct app_list {
    const char **items;
    int n;
} app_list;

typedef enum app_type {
    APP_END = 0, /* ends a table */
    APP_FLAG,    /* bool */
    APP_INT,     /* int64_t, from low to high */
    APP_REAL,    /* double, from low to high */
    APP_TEXT,    /* const char * */
    APP_CHOICE,  /* const char *, one of choices */
    APP_LIST     /* app_list: may be repeated; also takes all arguments that are not options */
} app_type;

typedef struct app_option {
    app_type type;
    const char *name; /* without the dashes */
    void *value;      /* the variable, which holds the default */
    const char *hint; /* the argument's name in the help: "N" */
    const char *help;
    double low, high;           /* bounds of a number, inclusive */
    const char *const *choices; /* ends with NULL */
    bool saved;                 /* stored in the program's checkpoints */
    bool fixed;                 /* ... and another value would not fit the model */
    bool given;                 /* set by app_parse: on the command line */
} app_option;

/* A row that programs share. */
#define APP_THREADS(value)                                                                                         \
    {                                                                                                              \
        APP_INT, "threads", value, "N", "0: all there are; changes no bit of the result", 0, 1024                  \
    }

extern const char *const app_precisions[];
#define APP_PRECISION(value, saved)                                                                                \
    {                                                                                                              \
        APP_CHOICE, "precision", value, "KIND", "of products; int8: not to train", 0, 0, app_precisions, saved     \
    }

/* Reads the options of a table, with --help and --version. usage is its first line: "charlm train [options]".
 * Ends the program after --help (exit 0) and on wrong usage (exit 2, one line). */
void app_parse(int argc, char **argv, const char *usage, const char *summary, app_option *table);
/* Sets an option from text; false if it is invalid. The text must outlive the option. */
bool app_option_set(app_option *option, const char *text);
/* Sets options that are not on the command line, by name and value: "steps=100 width=32". */
void app_preset(app_option *table, const char *settings);
/* The value as text that app_option_set reads back exactly. */
const char *app_option_text(const app_option *option, char text[64]);

/* ---- the loss curve ---- */

typedef struct app_points {
    double *x, *y;
    size_t n, room;
} app_points;

/* Adds a point; out of memory ends the program. */
void app_points_add(app_points *points, double x, double y);
void app_points_fini(app_points *points);

/* Writes an SVG with the training loss as a line (means over ranges of steps) and validation losses as dots. Steps must
 * increase. */
wg_status app_curve_write(const char *path, const char *title, const app_points *training,
                          const app_points *validation, wg_error *error);
/* Adds the points of such a file up to step `last`, for a resumed run. Ignores a file that is missing or unreadable,
 * and steps that do not increase. */
void app_curve_read(const char *path, double last, app_points *training, app_points *validation);

/* Text in an SVG: printable, and its special characters escaped. */
void app_put_svg(FILE *out, const char *text);

/* ---- matrices ---- */

/* Writes an SVG of rows x cols numbers from 0 (white) to 1 (black), with words (UTF-8) next to the rows and above the
 * columns: attention weights. numbers[row * cols + col]. */
wg_status app_matrix_write(const char *path, const char *title, int rows, int cols, const char *const *row_words,
                           const char *const *col_words, const float *numbers, wg_error *error);
/* Writes the numbers as CSV: an empty field and the words of the columns, then a line per row, its word first. Words
 * are quoted where RFC 4180 requires it; nine digits identify a float. */
wg_status app_matrix_write_csv(const char *path, int rows, int cols, const char *const *row_words,
                               const char *const *col_words, const float *numbers, wg_error *error);

#endif
