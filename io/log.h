/* TensorBoard's event files: what a training run logs, to be watched while it runs (tensorboard --logdir DIR).
 *
 *     wg_error error = {0};
 *     wg_log_file *log = wg_log_open("runs/first", &error);
 *     if (!log) fprintf(stderr, "%s\n", error.text);
 *     for (int64_t step = 0; step < 1000; step++) {
 *         ...
 *         wg_log_scalar(log, "loss/training", step, loss);
 *         if (step % 100 == 0) wg_log_params(log, step, params);
 *     }
 *     if (wg_log_close(log, &error) != WG_OK) fprintf(stderr, "%s\n", error.text);
 *
 * Every call writes one record (wg_log_params: one for each histogram) and hands it to the system before it returns:
 * a program that is killed leaves whole records, all that were written. After a power cut the last ones may be
 * missing; wg_log_close waits until they are on the disk. A record that does not fit on the disk is removed, the call
 * returns WG_ERR_IO, and later calls try again. The log keeps the first error, which wg_log_close returns, so that a
 * program may ignore the status of single calls. A log that is NULL is refused as any NULL: WG_ERR_ARGUMENT.
 *
 * A tag names what is logged: "loss/training" is the chart training in the group loss. It is UTF-8 of 1 to 500 bytes
 * without control characters. A step is not negative. A log may be used by one thread at a time.
 *
 * Format: a file of TFRecords (length, masked CRC-32C, data, masked CRC-32C), each an Event message of TensorFlow's
 * event.proto; values are those of summary.proto, as PyTorch's SummaryWriter writes them. */
#ifndef WG_LOG_H
#define WG_LOG_H

#include "../autograd/param.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_log_file wg_log_file; /* a file of events that is being written */

/* Begins a new file, events.out.tfevents.SECONDS.HOST.PROCESS.N, in the folder, which is created with its parents if
 * it is missing. Files that are there stay as they are: TensorBoard shows all files of a folder as one run. Returns
 * NULL on error: WG_ERR_ARGUMENT for an empty name, WG_ERR_IO, WG_ERR_MEMORY. */
WG_API wg_log_file *wg_log_open(const char *folder, wg_error *error);
/* Waits until the records are on the disk, closes the file and frees the log; accepts NULL. Returns the first error of
 * the log, and stores it in *error. */
WG_API wg_status wg_log_close(wg_log_file *log, wg_error *error);
/* The path of the file, valid until the log is closed. */
WG_API const char *wg_log_path(const wg_log_file *log);

/* A resumed run goes on with `step`: what earlier files of the folder have of this step and later ones is void. */
WG_API wg_status wg_log_resume(wg_log_file *log, int64_t step);

/* A number, rounded to f32. NaN and infinities are logged as they are. */
WG_API wg_status wg_log_scalar(wg_log_file *log, const char *tag, int64_t step, double number);

/* The distribution of n numbers of type f32 or f64: 30 ranges of equal width between the smallest and the largest.
 * NaN and infinities are left out; their number becomes the scalar TAG/nonfinite, if there are any. n is at least 1. */
WG_API wg_status wg_log_histogram(wg_log_file *log, const char *tag, int64_t step, wg_dtype dtype,
                                  const void *numbers, int64_t n);
/* Histograms of all parameters and buffers of f32 and f64, "values/NAME", and of the gradients that there are,
 * "gradients/NAME". */
WG_API wg_status wg_log_params(wg_log_file *log, int64_t step, const wg_params *params);

/* A picture: pixels[height][width][channels] from 0 to 255, rows from the top; channels: 1 grey, 3 RGB, 4 RGBA. A side
 * has 1 to 16384 pixels, all pixels at most 256 MiB. Written as PNG, compressed in a build with zlib. */
WG_API wg_status wg_log_image(wg_log_file *log, const char *tag, int64_t step, const uint8_t *pixels,
                              int64_t height, int64_t width, int channels);

/* A text, UTF-8. TensorBoard shows it as Markdown: four blanks before each line keep its lines as they are. */
WG_API wg_status wg_log_text(wg_log_file *log, const char *tag, int64_t step, const char *text);

#ifdef __cplusplus
}
#endif
#endif
