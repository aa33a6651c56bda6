/* Internal to io/: the pickle in a .pt file, as torch.save writes it for dicts of tensors (protocol 2).
 *
 * A pickle is a program for a stack machine that can call anything. This one calls nothing: it knows the opcodes that a
 * dict of tensors needs, and a fixed list of names; any other opcode or name ends it with an error that gives its name.
 * Its memory: at most 32 bytes for a byte of the pickle, which has at most 4 MiB. */
#ifndef WG_PICKLE_H
#define WG_PICKLE_H

#include "bytes.h"
#include "file.h"

typedef enum wg__pickled {
    WG__P_OTHER = 0, /* None, a bool, a float: not looked at */
    WG__P_MARK,
    WG__P_INT,     /* at: the number */
    WG__P_TEXT,    /* n bytes of the pickle, at offset `at` */
    WG__P_GLOBAL,  /* at: its number in the list of names */
    WG__P_TUPLE,   /* n cells from `at` on */
    WG__P_DICT,    /* at: its box; of a list, the keys are 0, 1, ... */
    WG__P_STORAGE, /* at: its number */
    WG__P_TENSOR   /* at: its number */
} wg__pickled;

typedef struct wg__pvalue {
    uint32_t kind, n;
    int64_t at;
} wg__pvalue;

/* A dict or a list: a chain of the items that may hold tensors. Ids count from 1; 0: none. */
typedef struct wg__pbox {
    uint32_t first, last; /* item */
    uint32_t count;       /* of a list: all that was appended */
    bool is_list;
} wg__pbox;

typedef struct wg__pitem {
    wg__pvalue key, value;
    uint32_t next;
} wg__pitem;

/* ('storage', class, key, device, number of elements), and in the old form a sixth, None */
typedef struct wg__pstorage {
    wg__pvalue key; /* a text: the member data/KEY of the archive */
    int64_t numel;
    int type; /* of wg__types */
} wg__pstorage;

/* _rebuild_tensor_v2(storage, offset, size, strides, ...) */
typedef struct wg__ptensor {
    int64_t storage, offset; /* offset: in elements */
    int64_t size, strides;   /* cells of integers */
    int rank;
} wg__ptensor;

enum { WG__PICKLE_LIMIT = 4 << 20, WG__PICKLE_DEPTH = 1 << 16 }; /* bytes; values on the stack */

typedef struct wg__pickle {
    const char *path;
    const char *text; /* the pickle */
    size_t size, at;
    bool stopped;
    wg_error error;
    /* Growing arrays of wg__pvalue, ..., wg__ptensor. */
    wg__bytes stack, memo, cells, boxes, items, storages, tensors;
} wg__pickle;

/* Runs the pickle. *root is what it made. */
wg_status wg__pickle_run(wg__pickle *pickle, wg__pvalue *root, wg_error *error);
void wg__pickle_fini(wg__pickle *pickle);

static inline const wg__pvalue *wg__pickle_cell(const wg__pickle *p, int64_t i)
{
    return (const wg__pvalue *)p->cells.data + i;
}
static inline const wg__pbox *wg__pickle_box(const wg__pickle *p, int64_t i)
{
    return (const wg__pbox *)p->boxes.data + i;
}
static inline const wg__pitem *wg__pickle_item(const wg__pickle *p, uint32_t id)
{
    return (const wg__pitem *)p->items.data + (id - 1);
}
static inline const wg__pstorage *wg__pickle_storage(const wg__pickle *p, int64_t i)
{
    return (const wg__pstorage *)p->storages.data + i;
}
static inline const wg__ptensor *wg__pickle_tensor(const wg__pickle *p, int64_t i)
{
    return (const wg__ptensor *)p->tensors.data + i;
}

#endif
