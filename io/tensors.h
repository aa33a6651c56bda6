/* Internal to io/: a file of named tensors, open for reading, whatever its format; bytes that are read at any place.
 *
 * A reader of a format fills a wg_safetensors: one block of data, a text with the names and shapes, and a small index.
 * safetensors_read.c takes the block and the text from the file as they are; npy.c and pt.c add tensor by tensor. */
#ifndef WG_TENSORS_H
#define WG_TENSORS_H

#include "bytes.h"
#include "json.h"

/* ---- bytes on disk or in memory ---- */

typedef struct wg__source {
    const char *path; /* for messages */
    uint64_t size;
    wg__reader *reader; /* NULL: in memory */
    const char *bytes;
    uint64_t at; /* the reader's position */
} wg__source;

/* Reads exactly n bytes from offset `at` on; "file is truncated" if they are not there. */
wg_status wg__source_read(wg__source *source, uint64_t at, void *to, size_t n, wg_error *error);

/* ---- types ---- */

typedef struct wg__type {
    const char *name; /* of safetensors */
    uint8_t bits;
    uint8_t dtype; /* WG_DTYPES: none of ours */
} wg__type;

enum { WG__TYPES = 20 };
extern const wg__type wg__types[WG__TYPES];
/* The index of a type by its name; WG__TYPES if there is none. */
int wg__type_find(const char *name);

/* ---- an open file ---- */

enum { WG__HEADER_LIMIT = 100000000, WG__METADATA_LIMIT = 1024 };

/* A tensor in the index. */
typedef struct wg__indexed {
    uint64_t begin, end;  /* offsets of its bytes in the data */
    uint32_t name, shape; /* offsets in the header: a string; a shape as JSON */
    uint8_t type, rank;
} wg__indexed;

/* A metadata pair, as offsets in the header. */
typedef struct wg__indexed_pair {
    uint32_t key, value;
} wg__indexed_pair;

struct wg_safetensors {
    char *path;
    char *bytes;    /* of safetensors: the whole file; else the data */
    wg__bytes text; /* the header, where it is not in bytes */
    char *header;   /* strings and shapes */
    size_t header_size;
    char *data;
    uint64_t data_size, data_room;
    wg__indexed *tensors; /* sorted by name once the file is open */
    size_t n_tensors, tensors_room;
    size_t n_pairs;
    wg__indexed_pair pairs[WG__METADATA_LIMIT];
    bool checksum_ok; /* the file has a checksum, and it matches */
    bool has_metadata;
};

/* Stores "path: reason". Returns WG_ERR_FORMAT; or WG_ERR_MEMORY. */
wg_status wg__tensors_fail(const wg_safetensors *file, wg_error *error, const char *reason);
wg_status wg__tensors_no_memory(const wg_safetensors *file, wg_error *error);

/* Parses the shape of a tensor. */
bool wg__parse_shape(wg__json *json, wg_shape *shape);
/* Sorts the tensors by name, which must be unique. */
wg_status wg__tensors_sort(wg_safetensors *file, wg_error *error);
/* The index of a tensor by its name, by bisection; the number of tensors if there is none. */
size_t wg__safetensors_index(const wg_safetensors *file, const char *name);

/* Appends n bytes to the data, for the caller to fill; NULL if out of memory. The data moves. `expected` is what the
 * data will have in all, as far as it is known: room grows to it at once if it is at most `at_once`, else by doubling
 * as bytes arrive. */
char *wg__tensors_more(wg_safetensors *file, size_t n, uint64_t expected, uint64_t at_once);
/* Adds a tensor of this type, an index of wg__types, whose bytes begin at `begin` in the data. */
wg_status wg__tensors_add(wg_safetensors *file, const char *name, int type, const wg_shape *shape, uint64_t begin,
                          wg_error *error);

/* ---- readers: each reads a whole file, of at least 8 bytes, into an empty wg_safetensors ---- */

wg_status wg__read_safetensors(wg_safetensors *file, wg__source *source, wg_error *error);
wg_status wg__read_npy(wg_safetensors *file, wg__source *source, wg_error *error);
wg_status wg__read_archive(wg_safetensors *file, wg__source *source, wg_error *error); /* .npz, .pt or .keras */
wg_status wg__read_pt_old(wg_safetensors *file, wg__source *source, wg_error *error);  /* before PyTorch 1.6 */
wg_status wg__read_hdf5(wg_safetensors *file, wg__source *source, wg_error *error);
wg_status wg__read_gguf(wg_safetensors *file, wg__source *source, wg_error *error);

/* ---- for writers ---- */

/* Checks the tensors that a writer is given: names in UTF-8, each once; dtypes, shapes and, unless they are filled
 * later, data. order[n] is their order by name. WG_ERR_ARGUMENT. */
wg_status wg__entries_check(const char *path, const wg_entry *tensors, size_t n, bool filled, size_t *order,
                            wg_error *error);

/* ---- sorting ---- */

/* Sorts in place in O(n log n), without allocating. less(context, a, b) is the order. */
typedef bool (*wg__less)(const void *context, const void *a, const void *b);
void wg__sort(void *items, size_t n, size_t size, wg__less less, const void *context);

/* ---- elements ---- */

/* Copies elements of `size` bytes from memory with these strides, in elements, to contiguous memory. */
void wg__copy_strided(const char *from, const wg_shape *shape, const int64_t *strides, size_t size, char *to);
/* Whether elements with these strides are contiguous and row-major. */
bool wg__is_row_major(const wg_shape *shape, const int64_t *strides);

#endif
