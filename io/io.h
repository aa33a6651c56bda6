/* Files: text, IDX, tensors (safetensors, .npy, .npz, .pt, HDF5, GGUF), checkpoints; early stopping; a data loader.
 *
 * Input files are untrusted. Readers check every length against the file's size before they allocate, multiply sizes
 * with overflow checks, and do not crash on any input. Text and IDX files may be gzipped (in a build with zlib) or
 * pipes. The bytes read are then limited: to 64 times the file's size, at least 64 MiB, of a pipe to 1 GiB, or to what
 * the caller sets by ..._read_limited; memory grows with what arrives, to at most twice that. A pipe that nobody opens
 * for writing is an error after a second. Writes are atomic: a file is written to a temporary file in the same
 * directory, synced, then renamed over the old one. A function that fails stores the reason in one line, "path:
 * reason", in *error, which may be NULL. */
#ifndef WG_IO_H
#define WG_IO_H

#include "../autograd/param.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wg_optimizer;

/* ---- whole files ---- */

/* Replaces the file's contents atomically: after a crash or on a full disk, the path has either the complete old or the
 * complete new file. Follows symbolic links, also one whose target does not exist yet. The new file has the old one's
 * permissions, and its owner and group if the system allows that; hard links and access control lists are not kept.
 * WG_ERR_IO if the system reports an error; the temporary file is then removed. A process that is killed leaves its
 * temporary file, PATH.tmp- and 16 digits; the next write of the same file removes it. */
WG_CHECKED WG_API wg_status wg_file_write(const char *path, const void *bytes, size_t size, wg_error *error);

/* A text. Unless it is mapped, bytes is followed by a NUL, which size does not count. */
typedef struct wg_text {
    char *bytes;
    size_t size;
    bool mapped; /* read-only, no NUL */
} wg_text;

/* Reads a text file, plain or gzipped. WG_ERR_FORMAT unless it is UTF-8 without NUL and without control characters of
 * ASCII other than tab, newline, form feed and carriage return, or if it exceeds the limit. An empty file is an empty
 * text. On error *text is zero. */
WG_CHECKED WG_API wg_status wg_text_read(const char *path, wg_text *text, wg_error *error);
/* The same with a limit in bytes of the text; 0: the default. */
WG_CHECKED WG_API wg_status wg_text_read_limited(const char *path, uint64_t limit, wg_text *text, wg_error *error);
/* The same for a text that may be larger than memory: copies it to a file without a name, in its folder or in /var/tmp,
 * and maps that. (If the file itself were mapped, cutting it would end the program.) Reads it if neither works. */
WG_CHECKED WG_API wg_status wg_text_map(const char *path, wg_text *text, wg_error *error);
WG_API void wg_text_fini(wg_text *text); /* accepts NULL and an empty text */

/* ---- IDX (MNIST's format; LeCun 1998) ---- */

/* The type of an IDX file's elements, as the file has it. */
typedef enum wg_idx_type {
    WG_IDX_U8 = 0x08,  /* uint8_t */
    WG_IDX_I8 = 0x09,  /* int8_t */
    WG_IDX_I16 = 0x0B, /* int16_t */
    WG_IDX_I32 = 0x0C, /* int32_t */
    WG_IDX_F32 = 0x0D, /* float */
    WG_IDX_F64 = 0x0E  /* double */
} wg_idx_type;

/* The contents of an IDX file. */
typedef struct wg_idx {
    wg_idx_type type; /* of the elements */
    wg_shape shape;   /* MNIST: [10000, 28, 28] and [10000] */
    void *data;       /* contiguous, row-major, in host byte order */
} wg_idx;

/* Reads an IDX file, plain or gzipped: bytes 0, 0, type, rank; rank sizes of 4 bytes; the elements; all big-endian.
 * WG_ERR_FORMAT if the file is shorter or longer than its header says, or exceeds the limit. */
WG_CHECKED WG_API wg_status wg_idx_read(const char *path, wg_idx *idx, wg_error *error);
/* The same with a limit in bytes of the elements; 0: the default. */
WG_CHECKED WG_API wg_status wg_idx_read_limited(const char *path, uint64_t limit, wg_idx *idx, wg_error *error);
/* The same, with the elements as f32 or f64, times scale, or as i32, with a scale of 1, for wg_data: type is then that,
 * whatever the file's was. Pictures: WG_F32, 1 / 255.0; labels: WG_I32, 1. WG_ERR_FORMAT also for floats as i32. Takes
 * memory for both. */
WG_CHECKED WG_API wg_status wg_idx_read_as(const char *path, wg_dtype dtype, double scale, wg_idx *idx,
                                           wg_error *error);
WG_API void wg_idx_fini(wg_idx *idx); /* frees the elements */
/* Element i of the flattened array; NaN if i is out of range. */
WG_API double wg_idx_at(const wg_idx *idx, int64_t i);

/* ---- files of named tensors: safetensors, and those of NumPy, PyTorch, Keras and llama.cpp ----
 * The same functions read them all; what a file is, its first bytes say:
 *
 *     safetensors   github.com/huggingface/safetensors; written by wg_safetensors_write and as checkpoints
 *     .npy          numpy.save: one array, here named "arr_0"; written by wg_npy_write
 *     .npz          numpy.savez and savez_compressed; written by wg_npz_write
 *     .pt, .pth     torch.save of a state dict or of a checkpoint dict, also what PyTorch wrote before 1.6
 *     .h5, .hdf5    h5py's create_dataset; what Keras saves as .h5 and .weights.h5
 *     .keras        what Keras 3 saves: its model.weights.h5
 *     .gguf         of llama.cpp and ggml
 *
 * NumPy: versions 1 to 3 of the header, C and Fortran order, little- and big-endian; integers, floats, bool, and
 * bfloat16 (V2, of ml_dtypes). Compressed members need zlib.
 *
 * PyTorch: tensors at any depth of dicts, lists and tuples are named by the path to them, "state_dict.encoder.weight";
 * one that is saved alone is "tensor". All else, such as an epoch, is ignored. Tensors may share storages and be
 * strided; they are contiguous here. The pickle is not executed: the opcodes that torch.save writes for dicts of
 * tensors are followed, and names of classes are compared with a list. Anything else, such as a whole module or
 * TorchScript, is refused by its name.
 *
 * HDF5: datasets at any depth of groups are named by the path to them, "model_weights/lstm_1/lstm_1/kernel:0";
 * integers, floats, bool, and bfloat16 (opaque, of ml_dtypes); contiguous, or in chunks that may be shuffled and
 * deflated (gzip, which needs zlib). Attributes, soft links and datasets of strings or records are ignored. Refused are
 * links to other files, external and virtual datasets, other filters, datasets of which parts were never written, and
 * chunks written with libver="latest". No library of HDF5 is needed.
 *
 * GGUF: versions 2 and 3, little-endian. F32, F64, F16, BF16 and integers are as they are; Q4_0, Q4_1, Q5_0, Q5_1,
 * Q8_0, Q4_K, Q5_K and Q6_K are decoded to F32; other types are refused by name. Shapes are row-major: ggml's sizes the
 * other way round. Strings, numbers and bool of its pairs are metadata ("general.architecture"), arrays are ignored.
 *
 * A safetensors file is 8 bytes, the length of the header, little-endian; the header, a JSON object: name -> {dtype,
 * shape, data_offsets}, and "__metadata__" -> a map of strings; then the elements, little-endian, row-major, without
 * gaps. */

/* A tensor in a file. */
typedef struct wg_entry {
    const char *name;
    const char *type; /* safetensors' name of the dtype: "F32", "BF16", "I64", ... Ignored by the writers. */
    wg_dtype dtype;   /* WG_DTYPES for a type that is neither a tensor's nor WG_BF16 */
    wg_shape shape;
    const void *data; /* from a reader, it may be unaligned: copy it with memcpy */
    size_t bytes;     /* size of data. Ignored by the writers. */
} wg_entry;

/* A line of metadata. */
typedef struct wg_pair {
    const char *key, *value; /* as in the header of the file */
} wg_pair;

/* Writes tensors and metadata, with a checksum of the whole file (CRC-32, under "wengert.crc32"). Strings are UTF-8.
 * WG_ERR_ARGUMENT for a duplicate name, an invalid shape, or a string that is not UTF-8. */
WG_CHECKED WG_API wg_status wg_safetensors_write(const char *path, const wg_entry *tensors, size_t n_tensors,
                                                 const wg_pair *metadata, size_t n_metadata, wg_error *error);

/* Makes `size` bytes of a tensor, from `offset` on; calls go through each tensor from its beginning to its end. Returns
 * WG_OK, or another status with *error set, which becomes the write's. */
typedef wg_status (*wg_fill)(void *context, size_t tensor, uint64_t offset, void *bytes, size_t size,
                             wg_error *error);
/* The same for tensors that are not in memory: those whose data is NULL are made by fill as they are written. */
WG_CHECKED WG_API wg_status wg_safetensors_write_from(const char *path, const wg_entry *tensors, size_t n_tensors,
                                                      const wg_pair *metadata, size_t n_metadata, wg_fill fill,
                                                      void *context, wg_error *error);

/* Writes a tensor as .npy (its name is ignored), or tensors as .npz, stored. Names are then relative paths without
 * "..". bf16 is written as V2; in NumPy, view(ml_dtypes.bfloat16) makes numbers of it. WG_ERR_ARGUMENT for a duplicate
 * or an invalid name, or an invalid shape. */
WG_CHECKED WG_API wg_status wg_npy_write(const char *path, const wg_entry *tensor, wg_error *error);
WG_CHECKED WG_API wg_status wg_npz_write(const char *path, const wg_entry *tensors, size_t n, wg_error *error);

typedef struct wg_safetensors wg_safetensors; /* an open file of tensors, in any of the formats */

/* Reads and validates a file. safetensors: a header of at most 100 MB, JSON without duplicate keys, UTF-8, every offset
 * against shape and type, no gaps, no overlaps, no trailing bytes, and the checksum if there is one. Archives: members
 * that overlap, leave a folder by "..", are there twice, are encrypted, or do not match their CRC-32 or size are
 * errors; so are a pickle of more than 4 MiB and tensors that reach out of their storage. HDF5: structures that refer
 * to each other in circles, groups nested more than 32 deep, datasets that share bytes, and chunks that are missing or
 * out of order are errors. GGUF: tensors whose elements share bytes or are not in the file are errors.
 *
 * Needs memory for the file and 32 bytes per tensor. In addition: for an array in Fortran order or a tensor that is not
 * contiguous its own size, at most the file's in all; 64 bytes for a member of an archive; for a pickle 32 times its
 * size; for deflated members and chunks what arrives, at most the limit above, and a chunk twice while it is read; for
 * a .keras its weights twice; for GGUF 7.2 times the size of quantized elements, and 200 bytes a tensor. Returns NULL
 * on error. */
WG_API wg_safetensors *wg_safetensors_open(const char *path, wg_error *error);
/* The same for a file in memory, which it copies. Messages use name (NULL: none) in place of the path. */
WG_API wg_safetensors *wg_safetensors_parse(const void *bytes, size_t size, const char *name, wg_error *error);
/* Frees the file and what was read from it; accepts NULL. */
WG_API void wg_safetensors_close(wg_safetensors *file);

/* The tensors, sorted by name: index 0 .. count - 1. Their pointers are valid until the file is closed. */
WG_API size_t wg_safetensors_count(const wg_safetensors *file);
WG_API wg_entry wg_safetensors_at(const wg_safetensors *file, size_t index); /* past the end: no name, rank -1 */
/* Finds a tensor by name. Returns false, with *entry zero, if there is none. */
WG_API bool wg_safetensors_find(const wg_safetensors *file, const char *name, wg_entry *entry);
/* Converts a tensor's elements to f32, f64, i32 or bool, in `to`, of its number of elements: floats to the nearest
 * number, integers and bool to any of these. WG_ERR_DTYPE if the type does not convert; WG_ERR_FORMAT for an integer
 * that i32 does not hold (bool: other than 0 and 1), or a number that would become infinite. The contents of `to` are
 * then undefined.
 *
 *     wg_entry e;
 *     int32_t labels[1000];
 *     if (wg_safetensors_find(file, "labels", &e) && wg_shape_equal(&e.shape, &shape))
 *         status = wg_entry_read(&e, WG_I32, labels, &error);
 */
WG_CHECKED WG_API wg_status wg_entry_read(const wg_entry *entry, wg_dtype dtype, void *to, wg_error *error);
/* The metadata value of a key; NULL if there is none. Of safetensors and GGUF files; others have no metadata. */
WG_API const char *wg_safetensors_metadata(const wg_safetensors *file, const char *key);
/* The metadata: index 0 .. count - 1. */
WG_API size_t wg_safetensors_metadata_count(const wg_safetensors *file);
WG_API wg_pair wg_safetensors_metadata_at(const wg_safetensors *file, size_t index); /* NULL, NULL past the end */
/* The path that the file was read from. */
WG_API const char *wg_safetensors_path(const wg_safetensors *file);

/* ---- checkpoints ----
 * All the state that a training run needs to continue bit for bit, but for what the program says in code: the options
 * of the optimizer, and the learning rate that it has set. (A schedule sets it in each step; one that was lowered for
 * another reason can be kept in metadata.) Random numbers are functions of (seed, step), so these two are the whole
 * random state. */

/* Where tensors of a file go, if not to the member of their own name: a row of a map.
 *
 *     const wg_map_row map[] = {
 *         // q, k and v into one member: its rows 0 to 63, 64 to 127, 128 to 191
 *         {.from = "model.*.q.weight", .to = "*.in_proj_weight"},
 *         {.from = "model.*.k.weight", .to = "*.in_proj_weight", .row = 64},
 *         {.from = "model.*.v.weight", .to = "*.in_proj_weight", .row = 128},
 *         // Keras: transposed
 *         {.from = "dense/kernel", .to = "dense.weight", .axes = "io->oi"},
 *         // ONNX: one direction, another order of gates, one tensor for two members
 *         {.from = "W", .to = "lstm.weight_ih_l0", .axes = "1oi->oi", .gates = "iofc->ifco"},
 *         {.from = "B", .to = "lstm.bias_ih_l0", .axes = "1o->o", .gates = "iofc->ifco", .rows = 256},
 *         {.from = "B", .to = "lstm.bias_hh_l0", .axes = "1o->o", .gates = "iofc->ifco", .take = 256, .rows = 256},
 *         // all others, without the prefix; what is not wanted
 *         {.from = "model.*", .to = "*"},
 *         {.from = "optimizer.*"}};
 *     wg_checkpoint c = {.params = model, .map = map, .n_map = sizeof map / sizeof *map};
 *
 * The first row whose `from` matches a name counts, with all later ones that have the same `from`. A tensor that no row
 * matches goes to the member of its own name. The tensors that go to a member must fill all its rows, each once. */
typedef struct wg_map_row {
    /* The name in the file. A star, of which there may be 4, stands for any characters, as few as match. */
    const char *from;
    /* The name of the member, with what the stars stood for. NULL: the tensor is not wanted. */
    const char *to;
    /* Axes of the tensor in the file -> axes of the member, a letter each, as in einops: "io->oi" transposes,
     * "hwio->oihw" is for a kernel of a Keras convolution, "ihk->(hk)i" joins two axes, "1oi->oi" drops one of size 1.
     * NULL: as they are. What follows counts rows, the first axis, after this. */
    const char *axes;
    /* Blocks of rows in the file -> their order in the member, a letter each. NULL: as they are. */
    const char *gates;
    int64_t take, rows; /* only rows [take, take + rows) of the tensor; rows 0: all from `take` on */
    int64_t row;        /* the row of the member that the first of them goes to */
} wg_map_row;

/* What is saved and loaded. Initialize with {0} or by names: {.params = model}. */
typedef struct wg_checkpoint {
    wg_params *params;              /* parameters and buffers; tied ones are saved under every name */
    struct wg_optimizer *optimizer; /* of params; its state is saved as "optim.*"; NULL: none */
    uint64_t step;           /* for wg_set_step when the run is resumed: the program's own, or wg_next_step */
    uint64_t seed;           /* for wg_set_seed */
    const wg_pair *metadata; /* the program's own data; keys must not start with "wengert." */
    size_t n_metadata;       /* pairs of metadata */
    /* WG_F32 (0): parameters as they are, those in bf16 as BF16. WG_BF16: those of f32 are rounded to nearest, ties to
     * even, for a file of half the size; buffers and the optimizer's state are not. A run resumed from it is not bit
     * for bit the same. */
    wg_dtype saved_as;
    const wg_map_row *map; /* for loading; NULL: each tensor goes to the member of its own name */
    size_t n_map;          /* rows of the map */
} wg_checkpoint;

/* Writes a checkpoint atomically. WG_ERR_ARGUMENT if there are no parameters, a metadata key is reserved, the optimizer
 * is of another set or has only a part of its state (both also on loading), or parameters of f64 are to be saved in
 * bf16; other errors as of wg_safetensors_write. */
WG_CHECKED WG_API wg_status wg_checkpoint_save(const char *path, const wg_checkpoint *checkpoint, wg_error *error);

/* How a file and a set differ. */
typedef enum wg_difference_kind {
    WG_MISSING, /* in the set, not in the file, or not all of its rows: its values, or those rows, are unchanged */
    WG_UNEXPECTED,  /* in the file, not in the set, or sent by the map to no member of the set: ignored */
    WG_OTHER_SHAPE, /* shapes differ: its values are unchanged */
    WG_OTHER_DTYPE  /* dtypes differ and do not convert: its values are unchanged */
} wg_difference_kind;

/* A difference between a file and a set. */
typedef struct wg_difference {
    wg_difference_kind kind; /* what differs */
    const char *name;        /* of the tensor or member */
    const char *text;        /* one line: "missing: decoder.bias [65]" */
} wg_difference;

/* Returns whether to load despite this difference. */
typedef bool (*wg_tolerate)(void *context, const wg_difference *difference);

/* Accepts every difference. */
WG_API bool wg_tolerate_all(void *context, const wg_difference *difference);

/* Loads parameters and buffers, by their names or by checkpoint->map, and, if checkpoint->optimizer is set, the
 * optimizer's state, and sets step and seed (0 if the file has none, so that files of other programs can be loaded).
 * With tolerate NULL the first difference between file and set is an error, WG_ERR_FORMAT. Otherwise tolerate is called
 * for every difference and decides. On error nothing is changed. Without an optimizer, its state in the file is
 * ignored. WG_ERR_ARGUMENT for a row of the map that makes no sense. Two tensors that go to the same rows of a member
 * are an error, unless they are a tied parameter under two names, with the same values. Takes O(n log n) for n tensors.
 *
 * F32, F64, F16 and BF16 convert to f32, f64 and a parameter in bf16: to the nearest number (from F64 to bf16 by way of
 * f32); one of F64 that would become infinite in f32 is a difference.
 * 64-bit integers convert to a buffer's floats, for PyTorch's num_batches_tracked. Other types are differences. */
WG_CHECKED WG_API wg_status wg_checkpoint_load(const wg_safetensors *file, wg_checkpoint *checkpoint,
                                               wg_tolerate tolerate, void *context, wg_error *error);

/* ---- early stopping ----
 * Tracks a validation metric, saves the checkpoint with the best value, and reports when the metric has not improved
 * for too long (Prechelt 1998):
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
 * It is a plain struct: copy it, or store its fields in a checkpoint's metadata. */

/* The rule, and what it has seen. Start from wg_early_stop_defaults. */
typedef struct wg_early_stop {
    int64_t patience; /* stop after this many consecutive updates without improvement; default 5 */
    double min_delta; /* an improvement is larger than this; default 0 */
    bool higher;      /* higher is better (an accuracy); default false (a loss) */
    const char *path; /* of the best checkpoint; default NULL: it is not saved */
    /* State. */
    double best;   /* the best value so far; NaN before the first */
    uint64_t step; /* the checkpoint's step at the best value */
    int64_t since; /* updates since then */
} wg_early_stop;
WG_API wg_early_stop wg_early_stop_defaults(void);

/* Adds the next value; if it is the best so far, saves the checkpoint to path. NaN is never an improvement. checkpoint
 * may be NULL if path is. Errors are those of wg_checkpoint_save; the best value is then unchanged. */
WG_CHECKED WG_API wg_status wg_early_stop_update(wg_early_stop *stop, double number,
                                                 const wg_checkpoint *checkpoint, wg_error *error);
/* Whether to stop: since >= patience. */
WG_API bool wg_early_stop_due(const wg_early_stop *stop);
/* Loads the best checkpoint. WG_ERR_ARGUMENT if none was saved; other errors as of wg_checkpoint_load. */
WG_CHECKED WG_API wg_status wg_early_stop_restore(const wg_early_stop *stop, wg_checkpoint *checkpoint,
                                                  wg_error *error);

/* ---- data loader ----
 * The sample indices of each batch, in a new order every epoch. The order is a function of the seed and the batch's
 * number alone, so a resumed run needs only its step:
 *
 *     wg_loader_options options = wg_loader_defaults();
 *     options.batch = 32;
 *     options.lengths = lengths;                          // batches of sequences of similar length
 *     wg_loader *loader = wg_loader_new(n, options, &error);
 *     for (uint64_t step = start; step < steps; step++) {
 *         const int64_t *samples;
 *         int64_t n = wg_loader_batch(loader, step, &samples);
 *         ...
 *     }
 */

typedef struct wg_loader wg_loader; /* the order of a data set's samples */

/* Batches and their order. */
typedef struct wg_loader_options {
    int64_t batch;  /* batch size; default 1 */
    uint64_t seed;  /* default 0 */
    bool shuffle;   /* default true; false: 0, 1, 2, ... in every epoch */
    bool drop_last; /* drop an incomplete last batch; default false: it is smaller */
    const int32_t
        *lengths;   /* [n], copied; NULL: none. With lengths, each bucket is sorted by length, and the batches
                               are shuffled */
    int64_t bucket; /* size of a bucket, in batches; default 50 */
} wg_loader_options;
WG_API wg_loader_options wg_loader_defaults(void);

/* Returns NULL on error: WG_ERR_ARGUMENT if an option is out of range, or if with drop_last the n samples do not fill a
 * batch; WG_ERR_MEMORY. */
WG_API wg_loader *wg_loader_new(int64_t n, wg_loader_options options, wg_error *error);
WG_API void wg_loader_free(wg_loader *loader); /* accepts NULL */
/* The number of batches in an epoch. Batch s is batch s % batches of epoch s / batches. */
WG_API int64_t wg_loader_batches(const wg_loader *loader);
/* Returns the number of samples of batch `step`, counted from 0 through all epochs, and their indices in *samples,
 * valid until the next call. */
WG_API int64_t wg_loader_batch(wg_loader *loader, uint64_t step, const int64_t **samples);
/* The same for shard `shard` of `shards`, counted from 0, of that batch (dist/dist.h): of its n samples those from
 * floor(n shard / shards) to floor(n (shard + 1) / shards), which may be none. 0 if shard is out of range. */
WG_API int64_t wg_loader_shard(wg_loader *loader, uint64_t step, int64_t shard, int64_t shards,
                               const int64_t **samples);

#ifdef __cplusplus
}
#endif
#endif
