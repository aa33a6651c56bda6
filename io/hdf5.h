/* Internal to io/: reads the datasets of an HDF5 file (HDF5 File Format Specification 3.0), as h5py and Keras write it.
 *
 * It is our own, not libhdf5, for the promises of io.h: of 20,000 files with a few bytes changed, libhdf5 1.10.8
 * crashed on 49 and did not end on 3, its memory follows what a header says, and filters are loaded from the
 * environment.
 *
 * Read are superblocks 0 to 3, object headers of both versions, groups as symbol tables, with links in their header or
 * in a fractal heap, datasets that are compact, contiguous or in chunks under a version 1 B-tree, with shuffle and
 * deflate. That is what h5py writes unless it is told libver="latest". Refused by name is the rest: links to other
 * files, external and virtual storage, other filters, newer indices of chunks. Soft links are passed over: what they
 * name has its own name. So are attributes, and datasets of no numbers, such as strings.
 *
 * hdf5.c walks through groups, hdf5_heap.c through large ones, hdf5_header.c reads the header of an object and walks
 * through trees, hdf5_type.c reads types and shapes, hdf5_data.c elements. */
#ifndef WG_HDF5_H
#define WG_HDF5_H

#include "tensors.h"
#include "zip.h" /* little-endian numbers */

enum { WG__H5_PATH = 1000 };
#define WG__H5_NOWHERE UINT64_MAX /* the address of what was never written */

typedef struct wg__h5 {
    wg_safetensors *file;
    wg__source *source;
    uint64_t budget; /* bytes of structures, without elements, that may still be read: ends circles among them */
    uint64_t packed; /* bytes of elements in the file, of all datasets so far: at most the file's size */
    uint64_t limit;  /* of the bytes of elements, as of wg__reader_limit; of those of chunks, too: */
    uint64_t chunks; /* bytes of all chunks so far, inflated, with those outside of their datasets */
    char path[WG__H5_PATH + 1];
    wg_error *error;
} wg__h5;

/* Stores "FILE: PATH: reason": WG_ERR_FORMAT. */
wg_status wg__h5_fail(const wg__h5 *h, const char *reason);
/* Reads n bytes of structures. */
wg_status wg__h5_take(wg__h5 *h, uint64_t at, void *to, size_t n);
/* The same into new memory, which the caller frees, also on error. A NUL follows the bytes. */
wg_status wg__h5_take_new(wg__h5 *h, uint64_t at, uint64_t n, char **to);

/* Reads the weights of a .keras file, a member of its archive. */
#define WG__KERAS_WEIGHTS "model.weights.h5"
wg_status wg__read_keras(wg_safetensors *file, wg__zip *zip, const wg__member *weights, wg_error *error);

/* ---- the header of an object: a list of messages ---- */

enum {
    WG__H5_SPACE = 1,
    WG__H5_LINK_INFO = 2,
    WG__H5_TYPE = 3,
    WG__H5_LINK = 6,
    WG__H5_EXTERNAL = 7,
    WG__H5_LAYOUT = 8,
    WG__H5_FILTERS = 11,
    WG__H5_CONTINUED = 16,
    WG__H5_SYMBOLS = 17
};

typedef struct wg__h5_message {
    const char *data;
    size_t size;
    uint8_t type;
    bool shared; /* the data are a reference to another object */
} wg__h5_message;

typedef struct wg__h5_header {
    wg__bytes bytes; /* the messages of all its blocks */
    int version;     /* 1 or 2 */
    bool ordered;    /* messages have a creation order */
} wg__h5_header;

wg_status wg__h5_header_read(wg__h5 *h, uint64_t at, wg__h5_header *header);
void wg__h5_header_fini(wg__h5_header *header);
/* The first message at or after *at, which moves past it. False at the end. */
bool wg__h5_next(const wg__h5_header *header, size_t *at, wg__h5_message *m);
/* The first message of a type. */
bool wg__h5_find(const wg__h5_header *header, uint8_t type, wg__h5_message *m);

/* ---- version 1 B-trees: symbol tables, and chunks of a dataset ---- */

typedef struct wg__h5_tree {
    wg__h5 *h;
    char kind;           /* 0: of symbol tables, 1: of chunks */
    size_t key_size;     /* bytes in front of the address of a child */
    const char *damaged; /* what to say of a tree that is none */
    wg_status (*leaf)(void *context, const char *key, uint64_t child);
    void *context;
} wg__h5_tree;

/* Calls leaf for all leaves of the tree with its root at this address, in their order. */
wg_status wg__h5_walk_tree(const wg__h5_tree *tree, uint64_t at);

/* ---- links of a large group ---- */

typedef wg_status (*wg__h5_each)(void *context, const wg__h5_message *link);
/* Calls each for all links in the fractal heap at this address, whose names the B-tree at `index` has. */
wg_status wg__h5_walk_heap(wg__h5 *h, uint64_t at, uint64_t index, wg__h5_each each, void *context);

/* ---- datasets ---- */

typedef struct wg__h5_array {
    wg_shape shape;
    int type; /* of wg__types */
    size_t width;
    bool is_tensor; /* it has a shape, and elements that are numbers */
    bool big_endian;
    uint64_t bytes; /* of all elements */
} wg__h5_array;

/* Type and shape of a dataset. */
wg_status wg__h5_describe(wg__h5 *h, const wg__h5_header *header, wg__h5_array *a);
/* Adds a dataset under the name h->path. */
wg_status wg__h5_add(wg__h5 *h, const wg__h5_header *header);

#endif
