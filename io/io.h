/* Files: text, IDX, safetensors, and checkpoints made of them; stopping early; the order of samples.
 *
 * Files may come from strangers. Every length is checked against the file's size before memory is asked
 * for, sizes are multiplied with overflow checks, and no input crashes a reader. A file is written whole
 * or not at all: into a temporary file in the same folder, synced, then renamed over the old one. Every
 * function that fails says why in one line, "path: reason", in *error (which may be NULL). */
#ifndef WG_IO_H
#define WG_IO_H

#include "../autograd/param.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wg_optimizer;

/* ---- whole files ---- */

/* Replaces the file by these bytes, crash-safely: after a kill or a full disk the old or the new file is
 * there, complete. A link stays one, and what it points to is replaced; the file's permissions stay.
 * WG_ERR_IO where the system refuses; the temporary file is then gone. */
WG_CHECKED WG_API wg_status wg_file_write(const char *path, const void *bytes, size_t size, wg_error *error);

/* A text in memory. bytes is followed by a NUL that size does not count, unless it is mapped. */
typedef struct wg_text {
    char *bytes;
    size_t size;
    bool mapped; /* read only, without a NUL */
} wg_text;

/* Reads a text file, plain or (where Wengert was built with zlib) gzipped. WG_ERR_FORMAT unless it is
 * text: UTF-8 without NUL and control characters (tab, newline, form feed and carriage return apart). An
 * empty file is an empty text. *text is zero on error. */
WG_CHECKED WG_API wg_status wg_text_read(const char *path, wg_text *text, wg_error *error);
/* The same, but a plain file is mapped, not read: the system brings in what is looked at and drops it again, so that a
 * text may be larger than the memory. The file must not be cut while it is mapped. */
WG_CHECKED WG_API wg_status wg_text_map(const char *path, wg_text *text, wg_error *error);
WG_API void wg_text_fini(wg_text *text);

/* ---- IDX (MNIST's format; LeCun 1998) ---- */

typedef enum wg_idx_type {
    WG_IDX_U8 = 0x08,
    WG_IDX_I8 = 0x09,
    WG_IDX_I16 = 0x0B,
    WG_IDX_I32 = 0x0C,
    WG_IDX_F32 = 0x0D,
    WG_IDX_F64 = 0x0E
} wg_idx_type;

typedef struct wg_idx {
    wg_idx_type type;
    wg_shape shape; /* MNIST: [10000, 28, 28] and [10000] */
    void *data;     /* dense, row-major, in this machine's byte order */
} wg_idx;

/* Reads an IDX file, plain or gzipped: bytes 0, 0, type, rank; rank sizes of 4 bytes; the numbers; all
 * big-endian. WG_ERR_FORMAT where the file is shorter or longer than its header says. */
WG_CHECKED WG_API wg_status wg_idx_read(const char *path, wg_idx *idx, wg_error *error);
WG_API void wg_idx_fini(wg_idx *idx);
/* Element i of the flat array. NaN past the end. */
WG_API double wg_idx_at(const wg_idx *idx, int64_t i);

/* ---- safetensors (github.com/huggingface/safetensors) ----
 * 8 bytes: length of the header, little-endian; a JSON object: name -> {dtype, shape, data_offsets}, and
 * under "__metadata__" a map of strings; the numbers, little-endian, row-major, without holes. */

typedef struct wg_entry {
    const char *name;
    const char *type; /* as the file calls it: "F32", "BF16", ... Not needed to write. */
    wg_dtype dtype;   /* WG_DTYPES for a type that Wengert does not compute with */
    wg_shape shape;
    const void *data; /* read: may stand at any address, so copy with memcpy */
    size_t bytes;     /* of data. Not needed to write. */
} wg_entry;

typedef struct wg_pair {
    const char *key, *value;
} wg_pair;

/* Writes tensors and metadata, with a checksum over the whole file (CRC-32, under "wengert.crc32").
 * Strings are UTF-8. WG_ERR_ARGUMENT for two equal names, an invalid shape, a string that is not UTF-8. */
WG_CHECKED WG_API wg_status wg_safetensors_write(const char *path, const wg_entry *tensors, size_t n_tensors,
                                                 const wg_pair *metadata, size_t n_metadata, wg_error *error);

typedef struct wg_safetensors wg_safetensors;

/* Reads a file and checks all of it: header of at most 100 MB, JSON without duplicate keys, UTF-8, every
 * offset against shape and type, no holes, no overlaps, no bytes left over, the checksum if there is one.
 * Takes the file's size and 32 bytes a tensor of memory. NULL on error. */
WG_API wg_safetensors *wg_safetensors_open(const char *path, wg_error *error);
/* The same for a file in memory, which is copied; name (NULL: none) stands for the path in messages. */
WG_API wg_safetensors *wg_safetensors_parse(const void *bytes, size_t size, const char *name, wg_error *error);
WG_API void wg_safetensors_close(wg_safetensors *file);

/* The tensors, sorted by name: index 0 .. count - 1. What they point to lives until the close. */
WG_API size_t wg_safetensors_count(const wg_safetensors *file);
WG_API wg_entry wg_safetensors_at(const wg_safetensors *file, size_t index);
/* False when there is none of this name; *entry is then zero. */
WG_API bool wg_safetensors_find(const wg_safetensors *file, const char *name, wg_entry *entry);
/* The metadata value of a key; NULL when there is none. */
WG_API const char *wg_safetensors_metadata(const wg_safetensors *file, const char *key);
WG_API size_t wg_safetensors_metadata_count(const wg_safetensors *file);
WG_API wg_pair wg_safetensors_metadata_at(const wg_safetensors *file, size_t index);
/* The path it was read from. */
WG_API const char *wg_safetensors_path(const wg_safetensors *file);

/* ---- checkpoints ----
 * All that a training run needs to go on bit for bit. Random numbers are functions of (seed, step), so
 * these two are the whole random state. */

typedef struct wg_checkpoint {
    wg_params *params;              /* parameters and buffers; tied ones are saved under both names */
    struct wg_optimizer *optimizer; /* its state is saved as "optim.*"; NULL: none */
    uint64_t step;
    uint64_t seed;
    const wg_pair *metadata; /* the program's own words; keys must not start with "wengert." */
    size_t n_metadata;
} wg_checkpoint;

/* Writes a checkpoint, crash-safely. */
WG_CHECKED WG_API wg_status wg_checkpoint_save(const char *path, const wg_checkpoint *checkpoint, wg_error *error);

typedef enum wg_difference_kind {
    WG_MISSING,     /* the set has it, the file has not: its values stay as they are */
    WG_UNEXPECTED,  /* the file has it, the set has not: it is left aside */
    WG_OTHER_SHAPE, /* shapes differ: its values stay */
    WG_OTHER_DTYPE  /* dtypes differ: its values stay */
} wg_difference_kind;

typedef struct wg_difference {
    wg_difference_kind kind;
    const char *name;
    const char *text; /* one line: "missing: decoder.bias [65]" */
} wg_difference;

/* Says whether to load in spite of this difference. */
typedef bool (*wg_tolerate)(void *context, const wg_difference *difference);

/* Accepts every difference. */
WG_API bool wg_tolerate_all(void *context, const wg_difference *difference);

/* Loads parameters, buffers, and the optimizer's state where there is an optimizer, and sets step and seed
 * (0 where the file has none, so files of other programs can be loaded). tolerate NULL is strict: the
 * first difference is an error, WG_ERR_FORMAT. Otherwise it is asked about every difference, which makes
 * loading lenient with a report. Either all is loaded or, on error, nothing is changed. Optimizer state in
 * the file is left aside when there is no optimizer. Integers of 64 bits go into a buffer's floats: PyTorch's
 * num_batches_tracked. */
WG_CHECKED WG_API wg_status wg_checkpoint_load(const wg_safetensors *file, wg_checkpoint *checkpoint,
                                               wg_tolerate tolerate, void *context, wg_error *error);

/* ---- stopping early ----
 * Watches a number that validation gives, keeps the checkpoint where it was best, and says when it has not been
 * better for too long (Prechelt 1998):
 *
 *     wg_early_stop stop = wg_early_stop_defaults();
 *     stop.path = "best.safetensors";
 *     ...
 *     checkpoint.step = step;
 *     if (wg_early_stop_update(&stop, validate(), &checkpoint, &error) != WG_OK) ...
 *     if (wg_early_stop_due(&stop)) break;
 *     ...
 *     wg_early_stop_restore(&stop, &checkpoint, &error);
 *
 * A plain struct: copy it, or keep its fields in a checkpoint's metadata. */

typedef struct wg_early_stop {
    int64_t patience; /* stop after so many numbers in a row that were not better; default 5 */
    double min_delta; /* better means better by more than this; default 0 */
    bool higher;      /* higher is better (an accuracy); default false (a loss) */
    const char *path; /* where the best checkpoint goes; default NULL: nowhere */
    double best;      /* from here on its own: the best number, NaN before the first */
    uint64_t step;    /* the checkpoint's step where it was best */
    int64_t since;    /* numbers since then */
} wg_early_stop;
WG_API wg_early_stop wg_early_stop_defaults(void);

/* Takes the next number; where it is the best so far, saves the checkpoint to path. NaN is never better. checkpoint
 * may be NULL where there is no path. Errors are those of wg_checkpoint_save; the best is then still the old one. */
WG_CHECKED WG_API wg_status wg_early_stop_update(wg_early_stop *stop, double number,
                                                 const wg_checkpoint *checkpoint, wg_error *error);
/* Time to stop? */
WG_API bool wg_early_stop_due(const wg_early_stop *stop);
/* Loads the best checkpoint. WG_ERR_ARGUMENT where there is none. */
WG_CHECKED WG_API wg_status wg_early_stop_restore(const wg_early_stop *stop, wg_checkpoint *checkpoint,
                                                  wg_error *error);

/* ---- which samples next ----
 * The numbers of the samples of every batch, in an order that is new in every epoch. It is a function of the seed and
 * the batch's number alone, so that a run that goes on at a step needs nothing but the step:
 *
 *     wg_loader_options options = wg_loader_defaults();
 *     options.batch = 32;
 *     options.lengths = lengths;                          // batches of sequences of about the same length
 *     wg_loader *loader = wg_loader_new(n, options, &error);
 *     for (uint64_t step = start; step < steps; step++) {
 *         const int64_t *samples;
 *         int64_t n = wg_loader_batch(loader, step, &samples);
 *         ...
 *     }
 */

typedef struct wg_loader wg_loader;

typedef struct wg_loader_options {
    int64_t batch;          /* samples in a batch, at most; default 1 */
    uint64_t seed;          /* default 0 */
    bool shuffle;           /* default true; false: 0, 1, 2, ... in every epoch */
    bool drop_last;         /* leave out the samples that do not fill a batch; default false: a smaller batch */
    const int32_t *lengths; /* [n], copied, or NULL: sort by length, within stretches of */
    int64_t bucket;         /* so many batches, and take the batches in any order; default 50 */
} wg_loader_options;
WG_API wg_loader_options wg_loader_defaults(void);

/* NULL on error: options out of range (as a batch that n samples do not fill, with drop_last), memory. */
WG_API wg_loader *wg_loader_new(int64_t n, wg_loader_options options, wg_error *error);
WG_API void wg_loader_free(wg_loader *loader);
/* Batches in an epoch: batch number s is number s % batches of epoch s / batches. */
WG_API int64_t wg_loader_batches(const wg_loader *loader);
/* Batch number step, counted from 0 through all epochs: how many samples it has, and, until the next call, which. */
WG_API int64_t wg_loader_batch(wg_loader *loader, uint64_t step, const int64_t **samples);

#ifdef __cplusplus
}
#endif
#endif
