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
/* For a program of several processes. app_fail and app_usage print only if this returns true; it is called once with
 * the line. */
void app_may_print(bool (*asked)(const char *text));
/* From now on app_note prints nothing; progress and app_watch_begin ask for it. */
void app_be_quiet(void);
bool app_is_quiet(void);
/* Writes words from outside to stdout as wg_printable shows them. */
void app_print(const char *text);
/* Writes a byte of generated text to stdout; on a terminal, a line at a time and printable. End it with a newline. */
void app_put_byte(char byte);
/* From now on, app_print and app_put_byte also write to this file; NULL: no longer. */
void app_copy_bytes(FILE *to);
/* Ends the program if results could not be written to stdout. */
void app_check_output(void);
/* Ends the program if a file could not be written there: before an hour of training, not after. */
void app_check_place(const char *path);
/* Writes what the file has in memory to the disk. An error ends the program. */
void app_sync(FILE *file, const char *path);

/* ---- the result ----
 * The last line of a program says what it has found, in words for people that a script can split at ", ":
 *
 *     final: validation loss 1.3812 nats, bits per character 1.9927, speed 43110 characters/s, time 60.1 s
 *
 * Each figure is its name, its number (or word), and the unit if it has one. Only time, speed and memory differ from
 * run to run. */

/* Adds figures, "accuracy: %.2f %%, time: %.1f s": the line has them without the colons. The report of --logdir shows
 * them, too. */
void app_result(const char *format, ...) WG_PRINTF(1, 2);
/* Prints the line, if there are figures and it has not been printed. */
void app_print_results(void);
/* Prints it, unless a signal ended the program; app_check_output, app_watch_end; returns the result of main: 128 + the
 * number of that signal, or 0. */
int app_end(void);

/* ---- memory, tapes, random numbers ---- */

/* n zeroed elements; the caller frees them. Out of memory ends the program. */
void *app_room(int64_t n, size_t size);
/* The parameter set of a model whose sizes are in a file, which may come from a stranger: its memory is limited by the
 * file's size. NULL: no file, no limit. storage: of app_storages, or NULL for f32. */
wg_params *app_params_new(const wg_safetensors *file, const char *storage, int64_t seed);
/* Ends the program if the set has an error; path: of that file. */
void app_check_params(const wg_params *params, const char *path);
/* Writes the values of the parameters after so many steps, and the seed, as a checkpoint. An error ends the program. */
void app_save(const char *path, wg_params *params, int64_t step, int64_t seed);
/* A model to export: record sets inputs x[n_in], made by app_export_floats or app_export_integers, and outputs
 * y[n_out], of a batch. */
typedef struct app_model {
    const char *const *inputs, *const *outputs; /* their names */
    int n_in, n_out;
    void (*record)(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y);
    void *context;
} app_model;
/* Writes an ONNX model for batches of any size; with --export-samples, inputs and outputs, too. An error ends the
 * program. */
void app_export(const char *path, wg_tape *tape, const app_model *model);
/* An input: floats from -1 to 1; i32 from low to high; rows of an embedding. Only --export-samples reads the
 * numbers. */
wg_tensor app_export_floats(wg_tape *tape, wg_shape shape);
wg_tensor app_export_integers(wg_tape *tape, wg_shape shape, int64_t low, int64_t high);
wg_tensor app_export_tokens(wg_tape *tape, wg_shape shape, const wg_embedding_layer *embedding);
extern bool app_export_samples; /* of the second row */
#define APP_EXPORT(path)                                                                                           \
    {APP_TEXT, "export", path, "FILE.onnx", "write the trained model for other programs (ONNX)"},                  \
    {                                                                                                              \
        APP_FLAG, "export-samples", &app_export_samples, NULL,                                                     \
            "and inputs and outputs of batches of 2 and 5: FILE.onnx.2.npz, FILE.onnx.5.npz", .needs = "export"    \
    }
/* A pool of threads and a tape that runs on it; the caller frees the tape, then the pool. precision is that of
 * products, "f32" or "bf16"; NULL: "f32". A failure ends the program. */
wg_tape *app_tape_new(int64_t threads, int64_t seed, const char *precision, wg_pool **pool);
/* Resets the tape after a step. Ends the program if the step failed. */
void app_end_step(wg_tape *tape);
/* Trains on the tape, with a progress bar, app_watch_step and fit.watch, if that is set. An error ends the program, and
 * so does Ctrl-C (fit.stop, if set, must look for it, too). */
wg_fit_result app_fit(wg_fit_options fit, wg_tape *tape, wg_progress progress);
/* A loader of batches of n samples; one that cannot be made ends the program. lengths[n] (or NULL): batches of similar
 * lengths. */
wg_loader *app_loader_new(int64_t n, int64_t batch, int64_t seed, const int32_t *lengths);
/* The next of a sequence of random numbers 0 .. n - 1 (Knuth's MMIX generator). */
int64_t app_draw(uint64_t *random, int64_t n);
/* The next one from low to below high, one of 2^24, by app_draw. */
double app_draw_real(uint64_t *random, double low, double high);
/* The next 64 random bits (splitmix64; Steele, Lea, Flood 2014); the first state is any seed. */
uint64_t app_bits(uint64_t *random);
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
    const char *needs;          /* the option without which this one does nothing, or NULL */
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

extern const char *const app_storages[];
#define APP_STORAGE(value)                                                                                         \
    {                                                                                                              \
        APP_CHOICE, "storage", value, "KIND", "of parameters in memory; bf16 takes half of it", 0, 0, app_storages \
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

/* ---- what a run leaves ----
 * A report, which is one page with all there is to see; in the folder of --logdir, as report.html, with event files for
 * TensorBoard and trace.json, the threads' work in five training steps, for ui.perfetto.dev; or without that folder in
 * the file of --report, of programs that have this option. Without either these functions do nothing. An error ends the
 * program. */

#define APP_LOGDIR(value)                                                                                          \
    {                                                                                                              \
        APP_TEXT, "logdir", value, "DIR", "leave TensorBoard's events, report.html and trace.json there"           \
    }
/* Its value is by default a file in the current folder, which is left out if that cannot be written. */
#define APP_REPORT(value)                                                                                          \
    {                                                                                                              \
        APP_TEXT, "report", value, "FILE", "without --logdir: leave the report there, as HTML; '': nowhere"        \
    }

/* page: of --report, or NULL. The report is written when numbers of app_watch_test come in, and when the program ends,
 * however it does. */
void app_watch_begin(const char *folder, const char *page, const app_option *options);
/* Says where the page is, unless --logdir did; app_end calls it. */
void app_watch_end(void);
/* After a training step: its loss. */
void app_watch_step(wg_tape *tape, const wg_params *params, int64_t step, double loss);
/* After a test: its number, and the distribution of the parameters. */
void app_watch_test(const wg_params *params, const char *chart, const char *series, int64_t step, double number);
/* A figure at the top of the report: app_result calls it. */
void app_watch_result(const char *name, const char *text);
void app_watch_text(const char *heading, int64_t step, const char *text);
/* What app_print and app_put_byte write between these is a sample. */
void app_watch_sample_begin(void);
void app_watch_sample_end(int64_t step);
void app_watch_matrix(const char *heading, const char *caption, int rows, int cols, const char *const *row_words,
                      const char *const *col_words, const float *numbers);
/* A grey picture, pixels[height][width], the number-th one with this heading. */
void app_watch_picture(const char *heading, int number, const char *caption, int64_t step, const uint8_t *pixels,
                       int64_t height, int64_t width);

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

/* With --logdir, of a run that goes on after step `last`: what TensorBoard has of later steps is void, and the report
 * begins with these points. */
void app_watch_resume(int64_t last, const app_points *training, const app_points *validation);

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
